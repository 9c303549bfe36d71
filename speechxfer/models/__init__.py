"""Acoustic models: encoders, heads, adapters and low-rank updates.

- `AcousticModel` is an encoder with a head, vocabulary, features and normaliser; `Task` and `ParentHead` belong to it.
- `Architecture` describes a network; `Encoder` is the interface of every encoder.
- `build_head` and `Pooling` make output layers.
- `ENCODER_FAMILIES`, `CHECKPOINT_TYPES`, `CtcModel`: the families of transformers; `TransformersEncoder` runs their encoders,
  `import_transformers` imports the library.
- `with_lora`, `merge_lora`, `has_lora`, `lora_modules`, `lora_rank_and_alpha`, `base_weights`: low-rank updates.
"""

from speechxfer.models.acoustic_model import AcousticModel
from speechxfer.models.architecture import Architecture
from speechxfer.models.encoder import Encoder
from speechxfer.models.families import CHECKPOINT_TYPES, ENCODER_FAMILIES, CtcModel, import_transformers
from speechxfer.models.heads import ParentHead, Pooling, Task, build_head
from speechxfer.models.lora import (
    base_weights,
    has_lora,
    lora_modules,
    lora_rank_and_alpha,
    merge_lora,
    with_lora,
)
from speechxfer.models.transformers_encoders import TransformersEncoder

__all__ = [
    "CHECKPOINT_TYPES",
    "ENCODER_FAMILIES",
    "AcousticModel",
    "Architecture",
    "CtcModel",
    "Encoder",
    "ParentHead",
    "Pooling",
    "Task",
    "TransformersEncoder",
    "base_weights",
    "build_head",
    "has_lora",
    "import_transformers",
    "lora_modules",
    "lora_rank_and_alpha",
    "merge_lora",
    "with_lora",
]
