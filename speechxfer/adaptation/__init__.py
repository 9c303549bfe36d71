"""Adaptation of a pretrained model: a new head initialised symbol by symbol, added layers, partial loading, freezing.

- `transfer` returns `Transferred`: the new model and its `HeadTable` of `HeadRow`s; `read_symbol_map` reads a user's map,
  `read_head_table` a run's table.
- `with_new_layers` adds adapters and layers; `load_matching` loads partly matching weights into any module.
- `unfreeze_step`, `frozen_modules` and `set_frozen` decide and apply what is frozen at a step.
- `WORD_START` is sentencepiece's symbol for a space.
"""

from speechxfer.adaptation.construction import Transferred as Transferred
from speechxfer.adaptation.construction import transfer as transfer
from speechxfer.adaptation.construction import with_new_layers as with_new_layers
from speechxfer.adaptation.freezing import frozen_modules as frozen_modules
from speechxfer.adaptation.freezing import set_frozen as set_frozen
from speechxfer.adaptation.freezing import unfreeze_step as unfreeze_step
from speechxfer.adaptation.partial_loading import load_matching as load_matching
from speechxfer.adaptation.symbol_mapping import WORD_START as WORD_START
from speechxfer.adaptation.symbol_mapping import HeadRow as HeadRow
from speechxfer.adaptation.symbol_mapping import HeadTable as HeadTable
from speechxfer.adaptation.symbol_mapping import read_head_table as read_head_table
from speechxfer.adaptation.symbol_mapping import read_symbol_map as read_symbol_map
