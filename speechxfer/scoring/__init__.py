"""Scoring: word and character error rates with intervals, reports, and paired comparisons. Never imports torch.

* `score`: references and hypotheses to a `WerReport`; `read_report` reads one from JSON, `render_report` gives it as text.
* `join`: reports of different utterances (folds) in one; `pool`: reports of several seeds averaged to a `PooledScore`.
* `compare`: a paired test of two systems, a `Comparison`; `check_same_task` refuses reports that cannot be compared.
"""

from speechxfer.scoring.comparison import Comparison, check_same_task, compare
from speechxfer.scoring.pooling import PooledScore, join, pool
from speechxfer.scoring.rendering import render_report
from speechxfer.scoring.report import WerReport, read_report
from speechxfer.scoring.scorer import score

__all__ = [
    "Comparison",
    "PooledScore",
    "WerReport",
    "check_same_task",
    "compare",
    "join",
    "pool",
    "read_report",
    "render_report",
    "score",
]
