"""TODO-DOOR"""

from speechxfer.adaptation.construction import transfer, with_new_layers
from speechxfer.adaptation.freezing import frozen_modules, set_frozen, unfreeze_step
from speechxfer.adaptation.partial_loading import load_matching
from speechxfer.adaptation.symbol_mapping import (
    WORD_START,
    HeadRow,
    head_mode_between_tasks,
    head_summary,
    head_table,
    plan_head,
    read_symbol_map,
)

__all__ = [
    "WORD_START",
    "HeadRow",
    "frozen_modules",
    "head_mode_between_tasks",
    "head_summary",
    "head_table",
    "load_matching",
    "plan_head",
    "read_symbol_map",
    "set_frozen",
    "transfer",
    "unfreeze_step",
    "with_new_layers",
]
