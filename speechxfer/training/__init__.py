"""TODO-DOOR"""

from speechxfer.training.loop import finetune
from speechxfer.training.losses import utterance_losses
from speechxfer.training.schedule import default_steps
from speechxfer.training.state import training_cost
from speechxfer.training.targets import encode_targets, frames_needed

__all__ = ["default_steps", "encode_targets", "finetune", "frames_needed", "training_cost", "utterance_losses"]
