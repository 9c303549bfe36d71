"""Heads of the models that a model was made from, on disk."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import torch

from speechxfer.checkpoints.weights import read_weights
from speechxfer.errors import InputError
from speechxfer.models import AcousticModel, ParentHead, Task, build_head
from speechxfer.text import Normalizer, Vocabulary


def read_parents(folder: Path, model: AcousticModel) -> tuple[ParentHead, ...]:
    """The parents' heads; InputError if what is there does not fit the model's encoder and its extra layers."""
    path = folder / "parents.json"
    if not path.exists() and not (folder / "parents.safetensors").exists():
        return ()
    heads = read_weights(folder / "parents.safetensors")
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        parents = tuple(_parent(each, heads, number, path) for number, each in enumerate(list(told)))
        misfits = [why for parent in parents if (why := _misfit(parent, model))]
        if misfits:
            raise ValueError(misfits[0])
        if len(heads) != sum(len(head_tensors(parent)) for parent in parents):
            raise ValueError(f"{len(parents)} parents, but {len(heads)} tensors")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: damaged ({error}); copy the model again") from error
    return parents


def _parent(told: Mapping[str, Any], heads: Mapping[str, torch.Tensor], number: int, path: Path) -> ParentHead:
    start = f"{number}.pooling."
    return ParentHead(
        told["name"],
        Vocabulary.from_dict(told["vocabulary"], path),
        Normalizer.from_dict(told["normalizer"]),
        told["task"],
        int(told["extra_layers"]),
        heads[f"{number}.weight"],
        heads[f"{number}.bias"],
        {name.removeprefix(start): value for name, value in heads.items() if name.startswith(start)},
    )


def head_tensors(parent: ParentHead) -> dict[str, torch.Tensor]:
    statistics = {f"pooling.{name}": value for name, value in parent.pooling_state.items()}
    return {"weight": parent.weight, "bias": parent.bias, **statistics}


def _shapes(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Size]:
    return {name: value.shape for name, value in tensors.items()}


def _misfit(parent: ParentHead, model: AcousticModel) -> str:
    """Why a parent's head cannot stand on this model's encoder; empty if it can."""
    if parent.task not in get_args(Task):
        return f"{parent.name!r} has the unknown task {parent.task!r}"
    if not 0 <= parent.extra_layers <= model.architecture.extra_layers:
        return f"{parent.name!r} lies on {parent.extra_layers} extra layers of {model.architecture.extra_layers}"
    pooling, head = build_head(model.encoder, parent.task, len(parent.vocabulary.symbols))
    statistics = pooling.state_dict() if pooling else {}
    expected = replace(parent, weight=head.weight, bias=head.bias, pooling_state=statistics)
    if _shapes(head_tensors(parent)) != _shapes(head_tensors(expected)):
        return f"the head of {parent.name!r} does not fit its vocabulary, task or the encoder"
    return ""
