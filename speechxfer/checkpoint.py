"""A model on disk: a folder that describes itself.

``weights.safetensors`` (data, no code), ``vocabulary.json``, and ``model.json`` with architecture, task, feature spec and
its fingerprint, normaliser and provenance (parents, data, licence, command). Loading is strict, recomputes the
fingerprint and refuses what does not match. What it is not: the state of a training run (see ``finetune.py``).
"""

import json
import os
import shutil
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch

from speechxfer.errors import InputError
from speechxfer.features import FeatureSpec, feature_fingerprint
from speechxfer.models import AcousticModel, Architecture
from speechxfer.report import read_rows
from speechxfer.text import Normalizer, Vocabulary

FORMAT = 1
FILES = ("weights.safetensors", "vocabulary.json", "model.json")
FINGERPRINT_TOLERANCE = 0.02
SHIPPED = Path(__file__).parent / "shipped"


@dataclass(frozen=True)
class Card:
    """Where a model comes from; free-form values that a person or a results table wants to know."""

    name: str = ""
    parent: str = ""
    language: str = ""
    licence: str = ""
    details: dict[str, Any] = field(default_factory=dict)


def save_model(model: AcousticModel, folder: Path | str, card: Card, *, half: bool = False) -> None:
    """Write the folder whole or not at all; an older one there is replaced. `half`: weights in float16.

    Raises:
        InputError: the folder's place holds something that is not a model.
    """
    folder = Path(folder)
    strange = sorted(path.name for path in folder.iterdir() if path.name not in FILES) if folder.is_dir() else []
    if strange or folder.is_file():
        raise InputError(f"{folder}: holds what is no model ({(strange or ['a file'])[0]}); choose another folder")
    partial = folder.with_name(f"{folder.name}.{os.getpid()}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        _write_files(model, partial, card, half)
        _put_in_place(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _write_files(model: AcousticModel, partial: Path, card: Card, half: bool) -> None:
    write_weights(model, partial / "weights.safetensors", half=half)
    model.vocabulary.save(partial / "vocabulary.json")
    description = {
        "format": FORMAT,
        "task": model.task,
        "architecture": model.architecture.to_dict(),
        "features": model.spec.to_dict(),
        "feature_fingerprint": feature_fingerprint(model.spec),
        "normalizer": model.normalizer.to_dict(),
        **asdict(card),
    }
    (partial / "model.json").write_text(json.dumps(description, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _put_in_place(partial: Path, folder: Path) -> None:
    """Rename, an older model first out of the way and deleted last: at no moment is there none on disk."""
    older = partial.with_suffix(".older")
    shutil.rmtree(older, ignore_errors=True)
    if folder.exists():
        folder.rename(older)
    partial.rename(folder)
    shutil.rmtree(older, ignore_errors=True)


def find_model(name: Path | str) -> Path:
    """The folder of a model: a path, the ``model`` folder of a finished run, or the name of a shipped one."""
    for folder in (Path(name), Path(name) / "model", SHIPPED / str(name)):
        if (folder / "model.json").is_file():
            return folder
    shipped = sorted(path.name for path in SHIPPED.iterdir() if path.is_dir()) if SHIPPED.is_dir() else []
    raise InputError(
        f"{name}: no model there (a model is a folder with model.json); give a folder, a finished run, "
        f"or one that is shipped: {', '.join(shipped) or 'none'}"
    )


def read_card(name: Path | str) -> dict[str, Any]:
    """The contents of ``model.json``; InputError if it is damaged or of a newer format."""
    path = find_model(name) / "model.json"
    try:
        description: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        version = description["format"]
        card = _card_in(description)
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise InputError(f"{path}: damaged ({error}); copy the model again") from error
    if not isinstance(card.details, dict):
        raise InputError(f"{path}: damaged ('details' is no object); copy the model again")
    if version != FORMAT:
        raise InputError(f"{path}: format {version}, this version of speechxfer reads {FORMAT}; upgrade speechxfer")
    return description


def _card_in(description: dict[str, Any]) -> Card:
    """The card among a description's fields; KeyError where one is missing."""
    return Card(**{field.name: description[field.name] for field in fields(Card)})


def load_model(name: Path | str) -> AcousticModel:
    """Load a model in float32 on the CPU, in evaluation mode.

    Args:
        name: a model's folder, a finished run, or the name of a shipped model.

    Raises:
        InputError: no model there, damaged or truncated files, weights that do not fit the architecture, or features
            that come out differently here than where the model was trained.
    """
    folder = find_model(name)
    description = read_card(folder)
    try:
        spec = FeatureSpec.from_dict(description["features"])
        architecture = Architecture(**description["architecture"])
        normalizer = Normalizer.from_dict(description["normalizer"])
        fingerprint, task = list(map(float, description["feature_fingerprint"])), description["task"]
    except InputError as error:
        raise InputError(f"{folder / 'model.json'}: {error}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{folder / 'model.json'}: field missing or unknown ({error}); copy the model again"
        ) from error
    _check_fingerprint(folder, spec, fingerprint)
    model = AcousticModel(architecture, Vocabulary.load(folder / "vocabulary.json"), spec, normalizer, task)
    load_weights(model, folder / "weights.safetensors")
    return model.eval()


def _check_fingerprint(folder: Path, spec: FeatureSpec, stored: list[float]) -> None:
    here = feature_fingerprint(spec)
    same = len(here) == len(stored) and all(
        abs(a - b) <= FINGERPRINT_TOLERANCE for a, b in zip(here, stored, strict=True)
    )
    if not same:
        raise InputError(
            f"{folder}: the features {spec.name!r} version {spec.version} come out differently here than where the model was "
            "trained; its weights would hear noise. Use the version of speechxfer that made it, or report this"
        )


def write_weights(module: torch.nn.Module, path: Path, *, half: bool = False) -> None:
    """Parameters and buffers as a safetensors file; `half`: floating-point ones in float16."""
    weights = {name: value.detach().cpu().contiguous() for name, value in module.state_dict().items()}
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


def copy_model(
    name: Path | str, folder: Path | str, *, new_name: str = "", half: bool = False, results: str = "", limits: str = ""
) -> None:
    """Save a model again elsewhere with the card it has, under another name or in half precision for shipping.

    Args:
        results: a results.json of this model; its rates go onto the card.
        limits: what a user must not expect of it; goes onto the card too.
    """
    card = _card_in(read_card(name))
    figures = [row.summary() for row in read_rows(Path(results))] if results else []
    told = {key: value for key, value in (("figures", figures), ("limits", limits)) if value}
    card = replace(card, name=new_name or card.name, details=card.details | told)
    save_model(load_model(name), folder, card, half=half)
