"""Language packs: the low-rank update, adapters, extra layers and head of an adaptation, without the weights of its base."""

import os
from collections.abc import Sequence
from pathlib import Path

import torch

from speechxfer.checkpoints.card import Card
from speechxfer.checkpoints.loading import load_model, pack_tensors
from speechxfer.checkpoints.model_folders import model_folder, write_description
from speechxfer.checkpoints.sources import HUB, Source, resolve_source, weights_hash
from speechxfer.checkpoints.weights import write_weights
from speechxfer.errors import InputError
from speechxfer.models import AcousticModel, base_weights, has_lora, lora_rank_and_alpha


def save_pack(
    model: AcousticModel,
    folder: Path | str,
    card: Card,
    *,
    base: Path | str | Source,
    decoding: Sequence[Path] = (),
) -> None:
    """Write a language pack: the result of a low-rank adaptation without the weights of its base.

    Args:
        model: made by `transfer` and `with_lora` from the base, before `merge_lora`.
        folder: where to; made if missing.
        card: where the model comes from.
        base: the model that it was made from, as for `load_model`; the pack stores its name and a hash of its weights.
        decoding: files that are copied into the folder, as for `save_model`.

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
    has_name = source.is_shipped or source.name.startswith(HUB)  # others are named by their path relative to the pack
    base_name = source.name if has_name else os.path.relpath(source.path.resolve(), Path(folder).resolve())
    rank, alpha = lora_rank_and_alpha(model)
    parts = {
        "base": {"name": base_name, "weights": weights_hash(source)},
        "lora": {"rank": rank, "alpha": alpha},
    }
    with model_folder(folder, decoding) as partial:
        write_weights(pack_tensors(model), partial / "pack.safetensors")
        write_description(model, partial, card, parts)
