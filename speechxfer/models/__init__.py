"""TODO-DOOR"""

from speechxfer.models.acoustic_model import AcousticModel
from speechxfer.models.architecture import Architecture, encoder_shapes
from speechxfer.models.encoder import Encoder
from speechxfer.models.families import (
    CHECKPOINT_TYPES,
    ENCODER_FAMILIES,
    CheckpointLayout,
    CtcModel,
    EncoderFamily,
    import_transformers,
)
from speechxfer.models.heads import Parent, Pooling, Task, build_head
from speechxfer.models.lora import (
    base_encoder,
    has_lora,
    lora_modules,
    lora_rank_and_alpha,
    merge_lora,
    own_weights,
    with_lora,
)
from speechxfer.models.transformers_encoders import TransformersEncoder

__all__ = [
    "CHECKPOINT_TYPES",
    "ENCODER_FAMILIES",
    "AcousticModel",
    "Architecture",
    "CheckpointLayout",
    "CtcModel",
    "Encoder",
    "EncoderFamily",
    "Parent",
    "Pooling",
    "Task",
    "TransformersEncoder",
    "base_encoder",
    "build_head",
    "encoder_shapes",
    "has_lora",
    "import_transformers",
    "lora_modules",
    "lora_rank_and_alpha",
    "merge_lora",
    "own_weights",
    "with_lora",
]
