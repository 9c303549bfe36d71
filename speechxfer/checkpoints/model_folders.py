"""Model folders: all files of one model, written and replaced as a whole.

``weights.safetensors`` (data, no code), ``vocabulary.json``, and ``model.json`` with architecture, task, feature spec and
its fingerprint, normaliser and card; ``parents.json`` and ``parents.safetensors`` with the heads of the models that it was
made from; ``word.lm``, ``character.lm`` and ``decoding.json``: its language models and their weights. A language pack has
``pack.safetensors`` in place of the weights: the low-rank update without its base (packs.py).
"""

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import Tensor

from speechxfer.checkpoints.card import FORMAT, Card
from speechxfer.checkpoints.sources import SHIPPED
from speechxfer.checkpoints.weights import write_weights
from speechxfer.errors import InputError
from speechxfer.features import feature_fingerprint
from speechxfer.models import AcousticModel, ParentHead, has_lora, merge_lora
from speechxfer.runtime import atomic_folder

FILES = (
    "weights.safetensors",
    "pack.safetensors",
    "vocabulary.json",
    "model.json",
    "parents.json",
    "parents.safetensors",
    "decoding.json",  # weights of language models (workflows/decoders.py), which do not outlive the model
    "word.lm",
    "character.lm",
)


def save_model(
    model: AcousticModel,
    folder: Path | str,
    card: Card | None = None,
    *,
    half: bool = False,
    decoding: Sequence[Path] = (),
) -> None:
    """Write the folder whole or not at all; an older model there is replaced.

    A low-rank update is merged into the weights that are written. Language models belong to a model's folder, not to the loaded
    model: to copy a model with them, copy its folder.

    Args:
        model: the model; not changed.
        folder: where to; made if missing.
        card: where the model comes from; None: only a name, that of the folder.
        half: write weights in float16.
        decoding: files that are copied into the folder: language models and their weights, with which the model decodes.

    Raises:
        InputError: the folder has files that belong to no model, a weight is NaN or infinite, or the disk is full.

    Example:
        >>> import speechxfer as sx
        >>> sx.save_model(sx.load_model("english"), "my-model")
        >>> sx.load_model("my-model").name
        'my-model'
    """
    plain = merge_lora(model) if has_lora(model) else model
    with model_folder(folder, decoding) as partial:
        write_weights(plain.state_dict(), partial / "weights.safetensors", half=half)
        write_description(plain, partial, card or Card(Path(folder).name))
        if plain.parents:
            _write_parents(plain, partial, half)


@contextmanager
def model_folder(folder: Path | str, decoding: Sequence[Path] = ()) -> Iterator[Path]:
    """A temporary folder for the files of a model, which replaces `folder` when the block ends; errors as `save_model`.

    Args:
        decoding: files that are copied into it.
    """
    folder = Path(folder)
    other = sorted(path.name for path in folder.iterdir() if path.name not in FILES) if folder.is_dir() else []
    if folder.resolve().parent == SHIPPED and folder.exists():
        raise InputError(f"{folder}: a shipped model is immutable; save the new one under the next version")
    if other or folder.is_file():
        raise InputError(
            f"{folder}: has {(other or ['a file'])[0]}, which is no part of a model; choose another folder"
        )
    with atomic_folder(folder) as partial:
        for file in decoding:
            shutil.copyfile(file, partial / file.name)
        yield partial


def _write_parents(model: AcousticModel, partial: Path, half: bool) -> None:
    heads = {
        f"{i}.{name}": value for i, parent in enumerate(model.parents) for name, value in head_tensors(parent).items()
    }
    write_weights(heads, partial / "parents.safetensors", half=half)
    descriptions = [
        {
            "name": parent.name,
            "task": parent.task,
            "extra_layers": parent.extra_layers,
            "normalizer": parent.normalizer.to_dict(),
            "vocabulary": parent.vocabulary.to_dict(),
        }
        for parent in model.parents
    ]
    _write_json(partial / "parents.json", descriptions)


def head_tensors(parent: ParentHead) -> dict[str, Tensor]:
    """A parent's weight, bias and pooling statistics by the names that they have on disk."""
    statistics = {f"pooling.{name}": value for name, value in parent.pooling_state.items()}
    return {"weight": parent.weight, "bias": parent.bias, **statistics}


def write_description(model: AcousticModel, partial: Path, card: Card, more: Mapping[str, Any] | None = None) -> None:
    """Write ``vocabulary.json`` and ``model.json``; `more`: further fields."""
    model.vocabulary.save(partial / "vocabulary.json")
    description = {
        "format": FORMAT,
        "task": model.task,
        "architecture": model.architecture.to_dict(),
        "features": model.spec.to_dict(),
        "feature_values": feature_fingerprint(model.spec),
        "normalizer": model.normalizer.to_dict(),
        **({"calibration": asdict(model.calibration)} if model.calibration else {}),
        **(more or {}),
        **asdict(card),
    }
    _write_json(partial / "model.json", description)


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
