"""Training: preparation, the loop with exact resume, checkpoint selection, losses and regularisers.

- `finetune`: train a model, from random or transferred weights; `average`: the mean of several models' weights.
- `planned_steps`, `training_cost`: how many steps a run has, and how many it took, and how long; `training_precision`: in which
  number format; `resolved_settings`: with which of the settings that depend on the model; `read_metrics`.
- `RESOLVED_SETTINGS`, `step_audio_s`, `RANDOM_LR`: the names of these settings, seconds of audio in a step of a model, and the
  learning rate of random weights.
- `encode_targets`, `frames_needed`, `utterance_losses`: targets, their feasibility, and the loss of each utterance.
- `compare_fingerprints`, `hash_utterances`, `hash_source`: whether a recorded run is the requested one.
"""

from speechxfer.training.fingerprint import compare_fingerprints as compare_fingerprints
from speechxfer.training.fingerprint import hash_source as hash_source
from speechxfer.training.fingerprint import hash_utterances as hash_utterances
from speechxfer.training.loop import finetune as finetune
from speechxfer.training.losses import utterance_losses as utterance_losses
from speechxfer.training.metrics import read_metrics as read_metrics
from speechxfer.training.preparation import is_streamed as is_streamed
from speechxfer.training.schedule import RANDOM_LR as RANDOM_LR
from speechxfer.training.schedule import step_audio_s as step_audio_s
from speechxfer.training.selection import average as average
from speechxfer.training.state import RESOLVED_SETTINGS as RESOLVED_SETTINGS
from speechxfer.training.state import has_state as has_state
from speechxfer.training.state import planned_steps as planned_steps
from speechxfer.training.state import resolved_settings as resolved_settings
from speechxfer.training.state import training_cost as training_cost
from speechxfer.training.state import training_precision as training_precision
from speechxfer.training.targets import encode_targets as encode_targets
from speechxfer.training.targets import frames_needed as frames_needed
