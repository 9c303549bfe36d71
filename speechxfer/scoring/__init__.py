"""Scoring: word and character error rates with intervals, reports, and paired comparisons. Never imports torch.

* `score`: references and hypotheses to a `WerReport`; `read_report` reads one from JSON, `render_report` gives it as text.
  `error_rates`: only the rates.
* `join`: reports of different utterances (folds) in one; `pool`: reports of several seeds averaged to a `PooledScore`.
* `compare`: a paired test of two systems, a `Comparison`; `check_same_task` refuses reports that cannot be compared.
* `score_transcripts`, `score_segments`: NIST's TRN, and CTM against STM, by the conventions of sclite (`NistOptions`) to a
  `NistReport`; `render_nist_table`: sclite's table of speakers.
* `align`, `edit_operation`: the scorer's alignment and the kind of each pair; `format_rate`, `format_counts`: rates and counts
  as text.
* `forecast_rate`: the error rate with more training speech, from a learning curve of `MeasuredRate`s.
* `Calibration`, `fit_calibration`, `parse_calibration`: confidences as the share of such words that are right; `judge_words` says
  which words are right, `score_confidences` how well their confidences predict it, a `ConfidenceScore`.
"""

from speechxfer.scoring.alignment import align as align
from speechxfer.scoring.alignment import count_errors as count_errors
from speechxfer.scoring.alignment import edit_operation as edit_operation
from speechxfer.scoring.calibration import Calibration as Calibration
from speechxfer.scoring.calibration import fit_calibration as fit_calibration
from speechxfer.scoring.calibration import parse_calibration as parse_calibration
from speechxfer.scoring.comparison import Comparison as Comparison
from speechxfer.scoring.comparison import check_same_task as check_same_task
from speechxfer.scoring.comparison import compare as compare
from speechxfer.scoring.confidence import ConfidenceScore as ConfidenceScore
from speechxfer.scoring.confidence import judge_words as judge_words
from speechxfer.scoring.confidence import score_confidences as score_confidences
from speechxfer.scoring.counts import Confusions as Confusions
from speechxfer.scoring.counts import Counts as Counts
from speechxfer.scoring.counts import Pair as Pair
from speechxfer.scoring.counts import ScoredUtterance as ScoredUtterance
from speechxfer.scoring.counts import format_counts as format_counts
from speechxfer.scoring.counts import format_rate as format_rate
from speechxfer.scoring.forecasting import Forecast as Forecast
from speechxfer.scoring.forecasting import MeasuredRate as MeasuredRate
from speechxfer.scoring.forecasting import forecast_rate as forecast_rate
from speechxfer.scoring.nist import NistReport as NistReport
from speechxfer.scoring.nist import score_segments as score_segments
from speechxfer.scoring.nist import score_transcripts as score_transcripts
from speechxfer.scoring.nist_tables import render_nist_table as render_nist_table
from speechxfer.scoring.pooling import PooledScore as PooledScore
from speechxfer.scoring.pooling import join as join
from speechxfer.scoring.pooling import pool as pool
from speechxfer.scoring.rendering import render_report as render_report
from speechxfer.scoring.report import WerReport as WerReport
from speechxfer.scoring.report import read_report as read_report
from speechxfer.scoring.scorer import error_rates as error_rates
from speechxfer.scoring.scorer import score as score
from speechxfer.scoring.word_networks import NistOptions as NistOptions
