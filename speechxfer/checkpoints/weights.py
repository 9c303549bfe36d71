"""Tensors on disk: safetensors only; loading is strict."""

from collections.abc import Mapping
from pathlib import Path

import safetensors.torch
import torch

from speechxfer.errors import InputError


def write_weights(tensors: Mapping[str, torch.Tensor], path: Path, *, half: bool = False) -> None:
    """Tensors by name as a safetensors file; `half`: floating-point ones in float16."""
    weights = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    if half:
        weights = {name: value.half() if value.is_floating_point() else value for name, value in weights.items()}
    path.write_bytes(safetensors.torch.save(weights))  # save_file would let nobody else read it


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """Tensors of a safetensors file, floating-point ones as float32; InputError if it is missing or damaged."""
    try:
        weights = safetensors.torch.load_file(str(path))
    except (safetensors.SafetensorError, OSError) as error:
        raise InputError(f"{path}: missing or damaged ({error}); copy the model again") from error
    return {name: value.float() if value.is_floating_point() else value for name, value in weights.items()}


def load_weights(model: torch.nn.Module, path: Path) -> None:
    """Load a safetensors file into a module; anything missing, unexpected or of another shape is an InputError."""
    try:
        model.load_state_dict(read_weights(path))
    except RuntimeError as error:
        raise InputError(f"{path}: does not fit its own architecture ({error}); copy the model again") from error
