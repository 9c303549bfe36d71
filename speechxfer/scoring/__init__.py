"""TODO-DOOR"""

from speechxfer.scoring.comparison import Comparison, compare
from speechxfer.scoring.report import PooledScore, WerReport, read_report
from speechxfer.scoring.scorer import check_same_task, join, pool, score

__all__ = [
    "Comparison",
    "PooledScore",
    "WerReport",
    "check_same_task",
    "compare",
    "join",
    "pool",
    "read_report",
    "score",
]
