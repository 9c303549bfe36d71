"""Workflows: what the verbs of the command line do, one function for each, with the same defaults in Python.

- `adapt`, `train_from_scratch`, `Adapted`: training runs.
- `evaluate_models`, `transcribe_inputs`, `RowTarget`: models by name, scored on a manifest or applied to recordings.
- `check_run`, `describe`, `embed`: the verbs ``check``, ``info`` and ``embed``.
- `StudySettings`, `Splits`: how the runs of a study are trained and on what; `cross_validate`, `learning_curve`,
  `compare_with_baseline`, `self_train`: the studies.
- `rank_sources`: which source model suits a target best.
- `ResultRow`, `Forgetting`, `read_rows`, `add_row`: the ``results.json`` of recipes.
"""

from speechxfer.workflows.baselines import compare_with_baseline
from speechxfer.workflows.checking_runs import check_run
from speechxfer.workflows.cross_validation import cross_validate
from speechxfer.workflows.embeddings import embed
from speechxfer.workflows.evaluation_runs import RowTarget, evaluate_models
from speechxfer.workflows.learning_curves import learning_curve
from speechxfer.workflows.model_description import describe
from speechxfer.workflows.ranking import rank_sources
from speechxfer.workflows.results import Forgetting, ResultRow, add_row, read_rows
from speechxfer.workflows.self_training import self_train
from speechxfer.workflows.studies import Splits, StudySettings
from speechxfer.workflows.training_runs import Adapted, adapt, train_from_scratch
from speechxfer.workflows.transcription_runs import transcribe_inputs

__all__ = [
    "Adapted",
    "Forgetting",
    "ResultRow",
    "RowTarget",
    "Splits",
    "StudySettings",
    "adapt",
    "add_row",
    "check_run",
    "compare_with_baseline",
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
