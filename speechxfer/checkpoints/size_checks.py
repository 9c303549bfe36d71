"""Comparison of the sizes that a description claims with the weights that come with it, before memory is allocated.

A model is first built on torch's meta device, where tensors have shapes but no memory, and compared with the weights' shapes.
What building repeats or computes (layers, position tables) is bounded by the number of tensors and by `MAX_COMPUTED_VALUES`.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch

from speechxfer.errors import InputError
from speechxfer.models import AcousticModel

MAX_SIZE = 2**31
MAX_COMPUTED_VALUES = 2**28  # of buffers that are computed instead of loaded


def check_config_sizes(config: Mapping[str, Any], tensors: int, where: str) -> None:
    """Refuse a network's configuration with more layers than there are tensors of weights, or with numbers beyond any size.

    Raises:
        InputError: names the setting.
    """
    for key, value in config.items():
        bound = tensors if "layers" in key else MAX_SIZE
        if isinstance(value, Mapping):
            check_config_sizes(value, tensors, where)
        elif isinstance(value, list) and len(value) > tensors:
            raise InputError(f"{where}: {key} has {len(value)} values, but the weights {tensors} tensors; copy the model again")
        for number in value if isinstance(value, list) else [value]:
            if isinstance(number, int) and not -MAX_SIZE < number <= bound:
                raise InputError(
                    f"{where}: {key} is {number}, but its weights have {tensors} tensors; copy the model again"
                    if "layers" in key
                    else f"{where}: {key} is {number}, expected at most {MAX_SIZE}; copy the model again"
                )


def build_on_meta(build: Callable[[], AcousticModel], where: str) -> AcousticModel:
    """The model with shapes but without memory.

    Raises:
        InputError: the settings make no network, or one with too large computed tables.
    """
    try:
        with torch.random.fork_rng(devices=[]), torch.device("meta"):
            model = build()
    except (RuntimeError, ArithmeticError, MemoryError, AssertionError, IndexError) as error:
        raise InputError(
            f"{where}: its settings make no network ({type(error).__name__}: {error}); copy the model again"
        ) from error
    stored = model.state_dict()
    computed = sum(value.numel() for name, value in model.named_buffers() if name not in stored)
    if computed > MAX_COMPUTED_VALUES:
        raise InputError(f"{where}: its settings ask for tables of {computed:,} values; copy the model again")
    return model


def check_shapes(expected: Mapping[str, torch.Tensor], found: Mapping[str, torch.Size], where: str) -> None:
    """Raise InputError unless names and shapes are equal; the message names the first tensor that differs."""
    differing = sorted(
        name
        for name in expected.keys() | found.keys()
        if name not in expected or name not in found or expected[name].shape != found[name]
    )
    if differing:
        name = differing[0]
        reason = "unexpected" if name not in expected else "missing" if name not in found else "of another shape"
        raise InputError(
            f"{where}: does not fit its own architecture ({name} is {reason}, one of {len(differing)}); copy the model again"
        )
