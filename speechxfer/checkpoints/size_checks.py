"""Comparison of the tensor sizes in a description with those of the stored weights, before memory is allocated.

A model is first built on torch's meta device, where tensors have shapes but no memory, and compared with the weights' shapes.
Settings themselves are bounded where they are defined: `Architecture` and `FeatureSpec`.
"""

from collections.abc import Callable, Mapping

import torch

from speechxfer.checkpoints.weights import COPY_AGAIN
from speechxfer.errors import InputError
from speechxfer.models import AcousticModel

MAX_COMPUTED_VALUES = 2**28  # of buffers that are computed instead of loaded


def build_on_meta(build: Callable[[], AcousticModel], where: str) -> AcousticModel:
    """The model with shapes but without memory.

    Raises:
        InputError: the settings make no network, or one with too large computed tables.
    """
    try:
        with torch.random.fork_rng(devices=[]), torch.device("meta"):
            model = build()
    except InputError as error:
        raise InputError(f"{where}: {error}") from error
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
