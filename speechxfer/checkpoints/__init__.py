"""TODO-DOOR"""

from speechxfer.checkpoints.card import Card, card_from_description, read_card
from speechxfer.checkpoints.foreign_weights import WORD_DELIMITER
from speechxfer.checkpoints.loading import load_model
from speechxfer.checkpoints.model_folders import save_model
from speechxfer.checkpoints.packs import save_pack
from speechxfer.checkpoints.sources import find_model, is_external, weights_hash
from speechxfer.checkpoints.weights import load_weights, read_weights, write_weights

__all__ = [
    "WORD_DELIMITER",
    "Card",
    "card_from_description",
    "find_model",
    "is_external",
    "load_model",
    "load_weights",
    "read_card",
    "read_weights",
    "save_model",
    "save_pack",
    "weights_hash",
    "write_weights",
]
