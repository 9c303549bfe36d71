"""Scoring: word and character error rates with intervals, reports, and paired comparisons. Never imports torch.

* `score`: references and hypotheses to a `WerReport`; `read_report` reads one from JSON, `render_report` gives it as text.
* `join`: reports of different utterances (folds) in one; `pool`: reports of several seeds averaged to a `PooledScore`.
* `compare`: a paired test of two systems, a `Comparison`; `check_same_task` refuses reports that cannot be compared.
* `Calibration`, `fit_calibration`: confidences as the share of such words that are right; `judge_words` says which words are
  right, `score_confidences` how well their confidences predict it, a `ConfidenceScore`.
"""

from speechxfer.scoring.calibration import Calibration as Calibration
from speechxfer.scoring.calibration import fit_calibration as fit_calibration
from speechxfer.scoring.comparison import Comparison as Comparison
from speechxfer.scoring.comparison import check_same_task as check_same_task
from speechxfer.scoring.comparison import compare as compare
from speechxfer.scoring.confidence import ConfidenceScore as ConfidenceScore
from speechxfer.scoring.confidence import judge_words as judge_words
from speechxfer.scoring.confidence import score_confidences as score_confidences
from speechxfer.scoring.pooling import PooledScore as PooledScore
from speechxfer.scoring.pooling import join as join
from speechxfer.scoring.pooling import pool as pool
from speechxfer.scoring.rendering import render_report as render_report
from speechxfer.scoring.report import WerReport as WerReport
from speechxfer.scoring.report import read_report as read_report
from speechxfer.scoring.scorer import score as score
