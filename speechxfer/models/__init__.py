"""TODO-DOOR"""

from speechxfer.models.acoustic_model import AcousticModel
from speechxfer.models.architecture import Architecture
from speechxfer.models.families import ENCODER_FAMILIES, import_transformers
from speechxfer.models.heads import Parent, Pooling, Task, build_head
from speechxfer.models.lora import has_lora, lora_modules, merge_lora, own_weights, with_lora

__all__ = [
    "ENCODER_FAMILIES",
    "AcousticModel",
    "Architecture",
    "Parent",
    "Pooling",
    "Task",
    "build_head",
    "has_lora",
    "import_transformers",
    "lora_modules",
    "merge_lora",
    "own_weights",
    "with_lora",
]
