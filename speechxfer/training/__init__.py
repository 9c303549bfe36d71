"""Training: preparation, the loop with exact resume, checkpoint selection, losses and regularisers.

- `finetune`: train a model, from random or transferred weights.
- `default_steps`: how many steps a run takes by default; `training_cost`: how many it took, and how long.
- `encode_targets`, `frames_needed`, `utterance_losses`: targets, their feasibility, and the loss of each utterance.
- `compare_fingerprints`, `hash_utterances`, `hash_source`, `hash_file`: whether a recorded run is the requested one.
"""

from speechxfer.training.fingerprint import compare_fingerprints, hash_file, hash_source, hash_utterances
from speechxfer.training.loop import finetune
from speechxfer.training.losses import utterance_losses
from speechxfer.training.schedule import default_steps
from speechxfer.training.state import training_cost
from speechxfer.training.targets import encode_targets, frames_needed

__all__ = [
    "compare_fingerprints",
    "default_steps",
    "encode_targets",
    "finetune",
    "frames_needed",
    "hash_file",
    "hash_source",
    "hash_utterances",
    "training_cost",
    "utterance_losses",
]
