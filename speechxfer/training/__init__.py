"""Training: preparation, the loop with exact resume, checkpoint selection, losses and regularisers.

- `finetune`: train a model, from random or transferred weights.
- `default_steps`: how many steps a run takes by default; `training_cost`: how many it took, and how long; `read_metrics`.
- `encode_targets`, `frames_needed`, `utterance_losses`: targets, their feasibility, and the loss of each utterance.
- `compare_fingerprints`, `hash_utterances`, `hash_source`: whether a recorded run is the requested one.
"""

from speechxfer.training.fingerprint import compare_fingerprints, hash_source, hash_utterances
from speechxfer.training.loop import finetune
from speechxfer.training.losses import utterance_losses
from speechxfer.training.metrics import read_metrics
from speechxfer.training.preparation import encode_targets, frames_needed
from speechxfer.training.schedule import default_steps
from speechxfer.training.state import training_cost

__all__ = [
    "compare_fingerprints",
    "default_steps",
    "encode_targets",
    "finetune",
    "frames_needed",
    "hash_source",
    "hash_utterances",
    "read_metrics",
    "training_cost",
    "utterance_losses",
]
