"""Models on disk: resolution of names and paths, model folders, language packs, transformers folders and NeMo archives.

- `resolve_source` finds the model that a name or path means, as a `Source`; the functions below take either.
- `load_model` loads it; `save_model` and `save_pack` write models and language packs.
- `Card` and `read_card`: where a model comes from.
- `read_weights`, `load_weights`, `write_weights`: tensors in safetensors files, always finite.
- `WORD_DELIMITER` is the space in the vocabularies of Wav2Vec2 tokenizers.
"""

from speechxfer.checkpoints.card import Card, read_card
from speechxfer.checkpoints.external_models import WORD_DELIMITER
from speechxfer.checkpoints.loading import load_model
from speechxfer.checkpoints.model_folders import save_model
from speechxfer.checkpoints.packs import save_pack
from speechxfer.checkpoints.sources import Source, resolve_source
from speechxfer.checkpoints.weights import load_weights, read_weights, write_weights

__all__ = [
    "WORD_DELIMITER",
    "Card",
    "Source",
    "load_model",
    "load_weights",
    "read_card",
    "read_weights",
    "resolve_source",
    "save_model",
    "save_pack",
    "write_weights",
]
