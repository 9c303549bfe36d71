"""Adaptation of a pretrained model: a new head initialised symbol by symbol, added layers, partial loading, freezing.

- `transfer` returns `Transferred`: the new model and its `HeadTable` of `HeadRow`s; `read_symbol_map` reads a user's map.
- `with_new_layers` adds adapters and layers; `load_matching` loads partly matching weights into any module.
- `unfreeze_step`, `frozen_modules` and `set_frozen` decide and apply what is frozen at a step.
- `WORD_START` is sentencepiece's symbol for a space.
"""

from speechxfer.adaptation.construction import Transferred, transfer, with_new_layers
from speechxfer.adaptation.freezing import frozen_modules, set_frozen, unfreeze_step
from speechxfer.adaptation.partial_loading import load_matching
from speechxfer.adaptation.symbol_mapping import WORD_START, HeadRow, HeadTable, read_symbol_map

__all__ = [
    "WORD_START",
    "HeadRow",
    "HeadTable",
    "Transferred",
    "frozen_modules",
    "load_matching",
    "read_symbol_map",
    "set_frozen",
    "transfer",
    "unfreeze_step",
    "with_new_layers",
]
