"""A model on disk: a folder that describes itself.

``weights.safetensors`` (data, no code), ``vocabulary.json``, and ``model.json`` with architecture, task, feature spec and
its fingerprint, normaliser and provenance (parent, data, licence, command); ``parents.json`` and ``parents.safetensors``
with the heads of the models it was made from. Loading is strict, recomputes the fingerprint and refuses what does not
match. A language pack is such a folder with ``pack.safetensors`` in place of the weights: only what a low-rank transfer
learned, to be put onto its base. What it is not: the state of a training run (see ``finetune.py``).
"""

import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from speechxfer.checkpoints.card import FORMAT, Card
from speechxfer.checkpoints.parents import head_tensors
from speechxfer.checkpoints.weights import write_weights
from speechxfer.errors import InputError
from speechxfer.features import feature_fingerprint
from speechxfer.models import AcousticModel, has_lora, merge_lora

FILES = (
    "weights.safetensors",
    "pack.safetensors",
    "vocabulary.json",
    "model.json",
    "parents.json",
    "parents.safetensors",
)


def save_model(model: AcousticModel, folder: Path | str, card: Card, *, half: bool = False) -> None:
    """Write the folder whole or not at all; an older one there is replaced. `half`: weights in float16.

    A low-rank update is merged into the weights that are written.

    Raises:
        InputError: the folder's place holds something that is not a model.
    """
    plain = merge_lora(model) if has_lora(model) else model
    write_folder(folder, lambda partial: _write_files(plain, partial, card, half))


def write_folder(folder: Path | str, write: Callable[[Path], None]) -> None:
    folder = Path(folder)
    strange = sorted(path.name for path in folder.iterdir() if path.name not in FILES) if folder.is_dir() else []
    if strange or folder.is_file():
        raise InputError(f"{folder}: holds what is no model ({(strange or ['a file'])[0]}); choose another folder")
    partial = folder.with_name(f"{folder.name}.{os.getpid()}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        write(partial)
        _replace_folder(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _write_files(model: AcousticModel, partial: Path, card: Card, half: bool) -> None:
    write_weights(model.state_dict(), partial / "weights.safetensors", half=half)
    write_description(model, partial, card)
    if not model.parents:
        return
    heads = {
        f"{i}.{name}": value for i, parent in enumerate(model.parents) for name, value in head_tensors(parent).items()
    }
    write_weights(heads, partial / "parents.safetensors", half=half)
    told = [
        {
            "name": parent.name,
            "task": parent.task,
            "extra_layers": parent.extra_layers,
            "normalizer": parent.normalizer.to_dict(),
            "vocabulary": parent.vocabulary.to_dict(),
        }
        for parent in model.parents
    ]
    (partial / "parents.json").write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def write_description(model: AcousticModel, partial: Path, card: Card, more: Mapping[str, Any] | None = None) -> None:
    model.vocabulary.save(partial / "vocabulary.json")
    description = {
        "format": FORMAT,
        "task": model.task,
        "architecture": model.architecture.to_dict(),
        "features": model.spec.to_dict(),
        "feature_values": feature_fingerprint(model.spec),
        "normalizer": model.normalizer.to_dict(),
        **(more or {}),
        **asdict(card),
    }
    (partial / "model.json").write_text(json.dumps(description, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _replace_folder(partial: Path, folder: Path) -> None:
    """Rename, an older model first out of the way and deleted last: at no moment is there none on disk."""
    older = partial.with_suffix(".older")
    shutil.rmtree(older, ignore_errors=True)
    if folder.exists():
        folder.rename(older)
    partial.rename(folder)
    shutil.rmtree(older, ignore_errors=True)
