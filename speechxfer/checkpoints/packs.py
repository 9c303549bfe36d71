"""Language packs: what a low-rank transfer learned, without the weights of its base."""

import os
from pathlib import Path

import torch

from speechxfer.checkpoints.card import Card
from speechxfer.checkpoints.loading import load_model, pack_tensors
from speechxfer.checkpoints.model_folders import write_description, write_folder
from speechxfer.checkpoints.sources import HUB, SHIPPED, find_model, weights_hash
from speechxfer.checkpoints.weights import write_weights
from speechxfer.errors import InputError
from speechxfer.models import AcousticModel, base_weights, has_lora, lora_rank_and_alpha


def save_pack(model: AcousticModel, folder: Path | str, card: Card, *, base: Path | str) -> None:
    """Write a language pack: what a low-rank transfer learned, without the weights of its base, which stay where they are.

    Args:
        model: made by `transfer` and `with_lora` from the base, before `merge_lora`.
        base: name of the model that it was made from, as for `load_model`; it is noted with a hash of its weights.

    Raises:
        InputError: the model has no low-rank update, its own weights are not those of the base, or the folder's place holds
            something that is not a model.
    """
    if not has_lora(model):
        raise InputError("a language pack holds a low-rank update, and the model has none; set transfer.lora_rank")
    expected = load_model(base).encoder.state_dict()
    own = base_weights(model)
    strange = [name for name in expected if name not in own or not torch.equal(own[name].cpu(), expected[name])]
    if strange:
        raise InputError(
            f"the encoder's own weights are not those of {base} ({strange[0]} differs), so a pack would not fit it; name the "
            "model that this one was made from"
        )
    write_folder(
        folder, lambda partial: _write_pack(model, partial, card, _name_from(Path(folder), base), weights_hash(base))
    )


def _name_from(folder: Path, base: Path | str) -> str:
    """How a pack in `folder` names its base: a shipped model, or one of a hub, by its name, another by its path."""
    if str(base).startswith(HUB):
        return str(base)
    place = find_model(base)
    return place.name if place.parent == SHIPPED else os.path.relpath(place.resolve(), folder.resolve())


def _write_pack(model: AcousticModel, partial: Path, card: Card, base: str, weights: str) -> None:
    write_weights(pack_tensors(model), partial / "pack.safetensors")
    rank, alpha = lora_rank_and_alpha(model)
    parts = {
        "base": {"name": base, "weights": weights},
        "lora": {"rank": rank, "alpha": alpha},
    }
    write_description(model, partial, card, parts)
