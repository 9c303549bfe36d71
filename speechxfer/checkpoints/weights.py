"""Tensors on disk: safetensors only, loaded strictly; weights with NaN or infinite values are neither saved nor loaded.

Before memory is allocated for a model, it is built on torch's meta device, where tensors have shapes but no memory, and compared
with the shapes of the stored weights. Settings themselves are bounded where they are defined: `Architecture`, `FeatureSpec`.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import safetensors.torch
import torch

from speechxfer.errors import InputError
from speechxfer.models import AcousticModel
from speechxfer.runtime import atomic_file

COPY_AGAIN = "copy the model again"
MAX_COMPUTED_VALUES = 2**28  # of buffers that are computed instead of loaded


def write_weights(tensors: Mapping[str, torch.Tensor], path: Path, *, half: bool = False) -> None:
    """Write tensors by name as a safetensors file; `half`: floating-point ones in float16.

    Raises:
        InputError: a value is NaN or infinite, in float16 if that is written, or the file cannot be written.
    """
    weights = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    if half:
        weights = {name: value.half() if value.is_floating_point() else value for name, value in weights.items()}
    check_finite(weights, str(path), "not written; lower the learning rates or start again from an earlier checkpoint")
    with atomic_file(path) as partial:
        partial.write_bytes(safetensors.torch.save(weights))  # save_file would make it readable by its owner only


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """Tensors of a safetensors file, floating-point ones as float32.

    Raises:
        InputError: the file is missing or damaged, or a value is NaN or infinite.
    """
    _check_file(path)
    try:
        weights = safetensors.torch.load_file(str(path))
    except (safetensors.SafetensorError, OSError) as error:
        raise InputError(f"{path}: missing or damaged ({error}); {COPY_AGAIN}") from error
    check_finite(weights, str(path), COPY_AGAIN)
    return {name: value.float() if value.is_floating_point() else value for name, value in weights.items()}


def read_shapes(path: Path) -> dict[str, torch.Size]:
    """Shapes of the tensors of a safetensors file, from its header; errors as `read_weights`."""
    _check_file(path)
    try:
        with safetensors.safe_open(str(path), framework="pt") as file:
            return {name: torch.Size(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    except (safetensors.SafetensorError, OSError) as error:
        raise InputError(f"{path}: missing or damaged ({error}); {COPY_AGAIN}") from error


def _check_file(path: Path) -> None:
    """Refuse a pipe, which would block for ever."""
    if not path.is_file():
        raise InputError(f"{path}: missing or damaged (no file); {COPY_AGAIN}")


def load_weights(model: torch.nn.Module, path: Path) -> None:
    """Load a safetensors file into a module; anything missing, unexpected or of another shape is an InputError."""
    try:
        model.load_state_dict(read_weights(path))
    except RuntimeError as error:
        raise InputError(f"{path}: does not fit its own architecture ({error}); {COPY_AGAIN}") from error


def check_finite(tensors: Mapping[str, torch.Tensor], where: str, fix: str) -> None:
    """Raise InputError if a tensor has values that are NaN or infinite; the message names it."""
    for name, value in tensors.items():
        if value.is_floating_point() and not torch.isfinite(value).all():
            raise InputError(f"{where}: the tensor {name} has values that are NaN or infinite; {fix}")


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
