"""TODO-DOOR"""

from speechxfer.workflows.baselines import against_baseline
from speechxfer.workflows.checking_runs import check_run
from speechxfer.workflows.data_curves import learning_curve
from speechxfer.workflows.description import describe
from speechxfer.workflows.embeddings import embed
from speechxfer.workflows.evaluation_runs import RowTarget, evaluate_models
from speechxfer.workflows.folds import cross_validate
from speechxfer.workflows.ranking import rank_sources
from speechxfer.workflows.results import Forgetting, ResultRow, add_row, read_rows
from speechxfer.workflows.self_training import self_train
from speechxfer.workflows.shipping import copy_model
from speechxfer.workflows.studies import StudyRun
from speechxfer.workflows.training_runs import Adapted, adapt, train_from_scratch
from speechxfer.workflows.transcription_runs import transcribe_inputs

__all__ = [
    "Adapted",
    "Forgetting",
    "ResultRow",
    "RowTarget",
    "StudyRun",
    "adapt",
    "add_row",
    "against_baseline",
    "check_run",
    "copy_model",
    "cross_validate",
    "describe",
    "embed",
    "evaluate_models",
    "learning_curve",
    "rank_sources",
    "read_rows",
    "self_train",
    "train_from_scratch",
    "transcribe_inputs",
]
