"""Models on disk: resolution of names and paths, model folders, language packs, transformers folders and NeMo archives.

- `resolve_source` finds the model that a name or path means, as a `Source`; the functions below take either.
- `weights_hash` is the SHA-256 of its weights.
- `load_model` loads it; `save_model` and `save_pack` write models and language packs.
- `Card` and `read_card`: where a model comes from.
- `read_weights`, `load_weights`, `write_weights`: tensors in safetensors files, always finite.
- `WORD_DELIMITER` is the space in the vocabularies of Wav2Vec2 tokenizers.
"""

from speechxfer.checkpoints.card import Card as Card
from speechxfer.checkpoints.card import read_card as read_card
from speechxfer.checkpoints.external_models import WORD_DELIMITER as WORD_DELIMITER
from speechxfer.checkpoints.loading import load_model as load_model
from speechxfer.checkpoints.model_folders import save_model as save_model
from speechxfer.checkpoints.packs import save_pack as save_pack
from speechxfer.checkpoints.sources import Source as Source
from speechxfer.checkpoints.sources import resolve_source as resolve_source
from speechxfer.checkpoints.sources import weights_hash as weights_hash
from speechxfer.checkpoints.weights import load_weights as load_weights
from speechxfer.checkpoints.weights import read_weights as read_weights
from speechxfer.checkpoints.weights import write_weights as write_weights
