"""Comparison of the sizes that a description claims with the weights that come with it, before memory is allocated.

A model is first built on torch's meta device, where tensors have shapes but no memory, and compared with the weights' shapes.
What building repeats or computes (layers, position tables) is bounded by the number of tensors and by `MAX_COMPUTED_VALUES`.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch

from speechxfer.checkpoints.weights import COPY_AGAIN
from speechxfer.errors import InputError
from speechxfer.models import AcousticModel

MAX_SIZE = 2**31
MOST_LAYERS_UNASKED = 1000  # so many are built on the meta device in seconds
MAX_COMPUTED_VALUES = 2**28  # of buffers that are computed instead of loaded


def check_config_sizes(config: Mapping[str, Any], tensors: int, where: str) -> None:
    """Refuse a network's configuration that asks for many more layers than there are weights, or has numbers beyond any size.

    Args:
        config: the settings, which may be nested.
        tensors: number of tensors in the weights file.
        where: opens the message.

    Raises:
        InputError: names the setting.
    """
    most_layers = max(tensors, MOST_LAYERS_UNASKED)
    for key, value in config.items():
        if isinstance(value, Mapping):
            check_config_sizes(value, tensors, where)
            continue
        numbers = value if isinstance(value, list) else [value]
        bound = most_layers if "layers" in key else MAX_SIZE
        if len(numbers) > most_layers:
            raise InputError(
                f"{where}: {key} has {len(numbers)} values, but the weights {tensors} tensors; {COPY_AGAIN}"
            )
        for number in numbers:
            if isinstance(number, int) and not -MAX_SIZE <= number <= bound:
                reason = (
                    f"but the weights have {tensors} tensors" if "layers" in key else f"expected at most {MAX_SIZE}"
                )
                raise InputError(f"{where}: {key} is {number}, {reason}; {COPY_AGAIN}")


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
            f"{where}: its settings make no network ({type(error).__name__}: {error}); {COPY_AGAIN}"
        ) from error
    stored = model.state_dict()
    computed = sum(value.numel() for name, value in model.named_buffers() if name not in stored)
    if computed > MAX_COMPUTED_VALUES:
        raise InputError(f"{where}: its settings ask for tables of {computed:,} values; {COPY_AGAIN}")
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
            f"{where}: does not fit its own architecture ({name} is {reason}, one of {len(differing)}); {COPY_AGAIN}"
        )
