"""Heads of the models that a model was made from, on disk: ``parents.json`` and ``parents.safetensors``."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import torch

from speechxfer.checkpoints.weights import COPY_AGAIN, read_weights
from speechxfer.errors import InputError
from speechxfer.models import AcousticModel, ParentHead, Task, build_head
from speechxfer.runtime import read_json
from speechxfer.text import Normalizer, Vocabulary


def read_parents(folder: Path, model: AcousticModel) -> tuple[ParentHead, ...]:
    """The parents' heads; InputError if what is there does not fit the model's encoder and its extra layers."""
    path = folder / "parents.json"
    if not path.exists() and not (folder / "parents.safetensors").exists():
        return ()
    heads, descriptions = read_weights(folder / "parents.safetensors"), read_json(path, fix=COPY_AGAIN)
    try:
        parents = tuple(_parent(each, heads, number, path) for number, each in enumerate(list(descriptions)))
        misfits = [why for parent in parents if (why := _misfit(parent, model))]
        if misfits:
            raise ValueError(misfits[0])
        if len(heads) != sum(len(head_tensors(parent)) for parent in parents):
            raise ValueError(f"{len(parents)} parents, but {len(heads)} tensors")
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise InputError(f"{path}: damaged ({error}); {COPY_AGAIN}") from error
    return parents


def _parent(description: Mapping[str, Any], heads: Mapping[str, torch.Tensor], number: int, path: Path) -> ParentHead:
    start = f"{number}.pooling."
    return ParentHead(
        description["name"],
        Vocabulary.from_dict(description["vocabulary"], path),
        Normalizer.from_dict(description["normalizer"]),
        description["task"],
        int(description["extra_layers"]),
        heads[f"{number}.weight"],
        heads[f"{number}.bias"],
        {name.removeprefix(start): value for name, value in heads.items() if name.startswith(start)},
    )


def head_tensors(parent: ParentHead) -> dict[str, torch.Tensor]:
    """A parent's weight, bias and pooling statistics by the names that they have on disk."""
    statistics = {f"pooling.{name}": value for name, value in parent.pooling_state.items()}
    return {"weight": parent.weight, "bias": parent.bias, **statistics}


def _shapes(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Size]:
    return {name: value.shape for name, value in tensors.items()}


def _misfit(parent: ParentHead, model: AcousticModel) -> str:
    """Why a parent's head does not fit this model's encoder; empty if it fits."""
    if parent.task not in get_args(Task):
        return f"{parent.name!r} has the unknown task {parent.task!r}"
    if not 0 <= parent.extra_layers <= model.architecture.extra_layers:
        return f"{parent.name!r} has {parent.extra_layers} extra layers of {model.architecture.extra_layers}"
    with torch.device("meta"):
        pooling, head = build_head(model.encoder, parent.task, len(parent.vocabulary.symbols))
    statistics = pooling.state_dict() if pooling else {}
    expected = replace(parent, weight=head.weight, bias=head.bias, pooling_state=statistics)
    if _shapes(head_tensors(parent)) != _shapes(head_tensors(expected)):
        return f"the head of {parent.name!r} does not fit its vocabulary, task or the encoder"
    return ""
