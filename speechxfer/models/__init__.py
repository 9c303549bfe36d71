"""Acoustic models: encoders, heads, adapters and low-rank updates.

- `AcousticModel` is an encoder with a head, vocabulary, features and normaliser; `Task` and `ParentHead` belong to it.
- `Architecture` describes a network; `Encoder` is the interface of every encoder.
- `build_head` and `Pooling` make output layers.
- `ENCODER_FAMILIES`, `CHECKPOINT_TYPES`, `CtcModel`: the families of transformers; `TransformersEncoder` runs their encoders,
  `import_transformers` imports the library.
- `with_lora`, `merge_lora`, `has_lora`, `lora_modules`, `lora_rank_and_alpha`, `base_weights`: low-rank updates.
"""

from speechxfer.models.acoustic_model import AcousticModel as AcousticModel
from speechxfer.models.architecture import Architecture as Architecture
from speechxfer.models.encoder import Encoder as Encoder
from speechxfer.models.heads import ParentHead as ParentHead
from speechxfer.models.heads import Pooling as Pooling
from speechxfer.models.heads import Task as Task
from speechxfer.models.heads import build_head as build_head
from speechxfer.models.lora import base_weights as base_weights
from speechxfer.models.lora import has_lora as has_lora
from speechxfer.models.lora import lora_modules as lora_modules
from speechxfer.models.lora import lora_rank_and_alpha as lora_rank_and_alpha
from speechxfer.models.lora import merge_lora as merge_lora
from speechxfer.models.lora import with_lora as with_lora
from speechxfer.models.transformers_encoders import TransformersEncoder as TransformersEncoder
from speechxfer.models.transformers_families import CHECKPOINT_TYPES as CHECKPOINT_TYPES
from speechxfer.models.transformers_families import ENCODER_FAMILIES as ENCODER_FAMILIES
from speechxfer.models.transformers_families import CtcModel as CtcModel
from speechxfer.models.transformers_families import import_transformers as import_transformers
