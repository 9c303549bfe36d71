"""Language packs: the low-rank update, adapters, extra layers and head of an adaptation, without the weights of its base."""

import os
from pathlib import Path

import torch

from speechxfer.checkpoints.card import Card
from speechxfer.checkpoints.hub import HUB
from speechxfer.checkpoints.loading import load_model, pack_tensors
from speechxfer.checkpoints.model_folders import write_description, write_folder
from speechxfer.checkpoints.sources import Source, resolve_source, weights_hash
from speechxfer.checkpoints.weights import write_weights
from speechxfer.errors import InputError
from speechxfer.models import AcousticModel, base_weights, has_lora, lora_rank_and_alpha


def save_pack(model: AcousticModel, folder: Path | str, card: Card, *, base: Path | str | Source) -> None:
    """Write a language pack: the result of a low-rank adaptation without the weights of its base.

    Args:
        model: made by `transfer` and `with_lora` from the base, before `merge_lora`.
        folder: where to; made if missing.
        card: where the model comes from.
        base: the model that it was made from, as for `load_model`; the pack stores its name and a hash of its weights.

    Raises:
        InputError: the model has no low-rank update, its own weights are not those of the base, or as `save_model`.
    """
    if not has_lora(model):
        raise InputError("a language pack needs a low-rank update, and the model has none; set transfer.lora_rank")
    source = resolve_source(base)
    expected = load_model(source).encoder.state_dict()
    own = base_weights(model)
    differing = [name for name in expected if name not in own or not torch.equal(own[name].cpu(), expected[name])]
    if differing:
        raise InputError(
            f"the encoder's own weights are not those of {base} ({differing[0]} differs), so a pack would not fit it; name the "
            "model that this one was made from"
        )
    parts = {"name": _base_name(Path(folder), source), "weights": weights_hash(source)}
    write_folder(folder, lambda partial: _write_pack(model, partial, card, parts))


def _base_name(folder: Path, source: Source) -> str:
    """How a pack in `folder` names its base: a shipped model or one of the hub by its name, another by its relative path."""
    if source.is_shipped or source.name.startswith(HUB):
        return source.name
    return os.path.relpath(source.path.resolve(), folder.resolve())


def _write_pack(model: AcousticModel, partial: Path, card: Card, base: dict[str, str]) -> None:
    write_weights(pack_tensors(model), partial / "pack.safetensors")
    rank, alpha = lora_rank_and_alpha(model)
    write_description(model, partial, card, {"base": base, "lora": {"rank": rank, "alpha": alpha}})
