"""Bounds on the sizes that a description of a model claims, checked before anything is allocated or built.

Descriptions come from files of unknown origin (``model.json``, configurations of transformers and NeMo) and from settings. The
bounds are far above those of any published encoder of speech.
"""

import math
from collections.abc import Mapping
from typing import Any

from speechxfer.errors import InputError

MAX_INPUT_DIM = 8192
MAX_ADAPTER_DIM = 8192
MAX_EXTRA_LAYERS = 64
MAX_LORA_RANK = 1024
MAX_LAYERS = 512  # any setting with "layers" in its name, and the length of a list
MAX_SETTING = 1 << 21  # any other whole number, such as widths, positions and sizes of vocabularies
MAX_PARAMETERS = 4_000_000_000


def check_range(name: str, value: object, lowest: int, highest: int) -> None:
    """Raise InputError unless `value` is a whole number from `lowest` to `highest`."""
    if isinstance(value, bool) or not isinstance(value, int) or not lowest <= value <= highest:
        raise InputError(f"{name} is {shorten(value)}; expected a whole number from {lowest} to {highest}; correct it")


def check_share(name: str, value: object) -> None:
    """Raise InputError unless `value` is a number from 0 to below 1."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
        raise InputError(f"{name} is {shorten(value)}; expected a number from 0 to below 1; correct it")


def check_config(config: Mapping[str, Any], where: str) -> None:
    """Raise InputError where a configuration of an encoder has a number beyond all bounds; `where` begins the names."""
    for key, value in config.items():
        name = f"{where}.{key}"
        if isinstance(value, Mapping):
            check_config(value, name)
            continue
        values = value if isinstance(value, list | tuple) else [value]
        if len(values) > MAX_LAYERS:
            raise InputError(f"{name} is a list of {len(values)}; expected at most {MAX_LAYERS}; copy the model again")
        highest = MAX_LAYERS if "layers" in str(key) else MAX_SETTING
        for number in values:
            if isinstance(number, int) and not isinstance(number, bool):
                check_range(name, number, -1, highest)
            elif isinstance(number, float) and not math.isfinite(number):
                raise InputError(f"{name} is {number}; expected a finite number; copy the model again")


def shorten(value: object) -> str:
    """A value as messages show it; a number of many digits by its number of digits."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 1 << 64:
        return f"a number of {round(value.bit_length() * math.log10(2))} digits"
    return repr(value)[:60]
