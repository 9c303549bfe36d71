"""A model on disk: a folder that describes itself.

``weights.safetensors`` (data, no code), ``vocabulary.json``, and ``model.json`` with architecture, task, feature spec and
its fingerprint, normaliser and provenance (parent, data, licence, command); ``parents.json`` and ``parents.safetensors``
with the heads of the models it was made from. Loading is strict, recomputes the fingerprint and refuses what does not
match. A language pack is such a folder with ``pack.safetensors`` in place of the weights: only what a low-rank transfer
learned, to be put onto its base. What it is not: the state of a training run (see ``finetune.py``).
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, get_args

import safetensors
import safetensors.torch
import torch

from speechxfer.errors import InputError
from speechxfer.features import FeatureSpec, feature_fingerprint, feature_preset, middle_frame
from speechxfer.foreign import HUB, card_of, hash_of, is_foreign, load_foreign, locate
from speechxfer.lora import has_lora, merge_lora, own_weights, with_lora
from speechxfer.models import AcousticModel, Architecture, Parent
from speechxfer.models.acoustic import Task, head_of
from speechxfer.report import read_rows
from speechxfer.text import Normalizer, Vocabulary

FORMAT = 1
FILES = (
    "weights.safetensors",
    "pack.safetensors",
    "vocabulary.json",
    "model.json",
    "parents.json",
    "parents.safetensors",
)
FINGERPRINT_TOLERANCE = 0.005  # single and double precision differ by 0.0001 at most
MIDDLE_FRAME_TOLERANCE = 0.02
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

    A low-rank update is merged into the weights that are written.

    Raises:
        InputError: the folder's place holds something that is not a model.
    """
    plain = merge_lora(model) if has_lora(model) else model
    _write_folder(folder, lambda partial: _write_files(plain, partial, card, half))


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
    own = own_weights(model)
    strange = [name for name in expected if name not in own or not torch.equal(own[name].cpu(), expected[name])]
    if strange:
        raise InputError(
            f"the encoder's own weights are not those of {base} ({strange[0]} differs), so a pack would not fit it; name the "
            "model that this one was made from"
        )
    _write_folder(
        folder, lambda partial: _write_pack(model, partial, card, _name_from(Path(folder), base), weights_hash(base))
    )


def _name_from(folder: Path, base: Path | str) -> str:
    """How a pack in `folder` names its base: a shipped model, or one of a hub, by its name, another by its path."""
    if str(base).startswith(HUB):
        return str(base)
    place = find_model(base)
    return place.name if place.parent == SHIPPED else os.path.relpath(place.resolve(), folder.resolve())


def _write_folder(folder: Path | str, write: Callable[[Path], None]) -> None:
    folder = Path(folder)
    strange = sorted(path.name for path in folder.iterdir() if path.name not in FILES) if folder.is_dir() else []
    if strange or folder.is_file():
        raise InputError(f"{folder}: holds what is no model ({(strange or ['a file'])[0]}); choose another folder")
    partial = folder.with_name(f"{folder.name}.{os.getpid()}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        write(partial)
        _put_in_place(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _write_files(model: AcousticModel, partial: Path, card: Card, half: bool) -> None:
    write_weights(model.state_dict(), partial / "weights.safetensors", half=half)
    _write_description(model, partial, card)
    if not model.parents:
        return
    heads = {f"{i}.{name}": value for i, parent in enumerate(model.parents) for name, value in _tensors(parent).items()}
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


def _write_pack(model: AcousticModel, partial: Path, card: Card, base: str, weights: str) -> None:
    write_weights(_learned(model), partial / "pack.safetensors")
    encoder: Any = model.encoder
    settings = encoder.peft_config["default"]
    parts = {
        "base": {"name": base, "weights": weights},
        "lora": {"rank": settings.r, "alpha": settings.lora_alpha},
    }
    _write_description(model, partial, card, parts)


def _learned(model: AcousticModel) -> dict[str, torch.Tensor]:
    """Of a model with a low-rank update all but the encoder's own weights: the update, adapters, extra layers, head."""
    return {
        name: value
        for name, value in model.state_dict().items()
        if not name.startswith("encoder.") or ".lora_" in name or ".adapters." in name
    }


def _write_description(model: AcousticModel, partial: Path, card: Card, more: Mapping[str, Any] | None = None) -> None:
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


def _put_in_place(partial: Path, folder: Path) -> None:
    """Rename, an older model first out of the way and deleted last: at no moment is there none on disk."""
    older = partial.with_suffix(".older")
    shutil.rmtree(older, ignore_errors=True)
    if folder.exists():
        folder.rename(older)
    partial.rename(folder)
    shutil.rmtree(older, ignore_errors=True)


def find_model(name: Path | str) -> Path:
    """The folder of a model: a path, the ``model`` folder of a finished run, or the name of a shipped one.

    Of another toolkit's checkpoint: where it lies on this machine (see ``foreign.py``).
    """
    if is_foreign(name):
        return locate(name)
    for folder in (Path(name), Path(name) / "model", SHIPPED / str(name)):
        if (folder / "model.json").is_file():
            return folder
    if (Path(name) / "run.json").is_file():
        raise InputError(
            f"{name}: this run has not finished, so it has no model yet; give its command again, which goes on"
        )
    shipped = sorted(path.name for path in SHIPPED.iterdir() if path.is_dir()) if SHIPPED.is_dir() else []
    raise InputError(
        f"{name}: no model there (a model is a folder with model.json); give a folder, a finished run, hf:ORGANISATION/NAME, a "
        f".nemo archive, or one that is shipped: {', '.join(shipped) or 'none'}"
    )


def read_card(name: Path | str) -> dict[str, Any]:
    """The contents of ``model.json``; InputError if it is damaged or of a newer format."""
    if is_foreign(name):
        return card_of(name)
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
        name: a model's folder, a finished run, the name of a shipped model, or another toolkit's checkpoint: a folder of
            transformers, ``hf:ORGANISATION/NAME`` on its hub (``@REVISION`` may follow), or a ``.nemo`` archive.

    Raises:
        InputError: no model there, damaged or truncated files, weights that do not fit the architecture, or features
            that come out differently here than where the model was trained.
    """
    if is_foreign(name):
        return load_foreign(name)
    folder = find_model(name)
    description = read_card(folder)
    try:
        spec = FeatureSpec.from_dict(description["features"])
        architecture = Architecture(**description["architecture"])
        normalizer = Normalizer.from_dict(description["normalizer"])
        same_features, task = _same_features(spec, description), description["task"]
    except InputError as error:
        raise InputError(f"{folder / 'model.json'}: {error}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{folder / 'model.json'}: field missing or unknown ({error}); copy the model again"
        ) from error
    if not same_features:
        raise InputError(
            f"{folder}: the features {spec.name!r} version {spec.version} come out differently here than where the model was "
            "trained; its weights would hear noise. Use the version of speechxfer that made it, or report this"
        )
    vocabulary = Vocabulary.load(folder / "vocabulary.json")
    if "base" in description:
        model = _on_its_base(folder, description, AcousticModel(architecture, vocabulary, spec, normalizer, task))
    else:
        model = AcousticModel(architecture, vocabulary, spec, normalizer, task)
        load_weights(model, folder / "weights.safetensors")
        model.parents = _read_parents(folder, model)
    model.name = description["name"]
    return model.eval()


def _read_parents(folder: Path, model: AcousticModel) -> tuple[Parent, ...]:
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
        if len(heads) != sum(len(_tensors(parent)) for parent in parents):
            raise ValueError(f"{len(parents)} parents, but {len(heads)} tensors")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: damaged ({error}); copy the model again") from error
    return parents


def _parent(told: Mapping[str, Any], heads: Mapping[str, torch.Tensor], number: int, path: Path) -> Parent:
    start = f"{number}.pooling."
    return Parent(
        told["name"],
        Vocabulary.from_dict(told["vocabulary"], path),
        Normalizer.from_dict(told["normalizer"]),
        told["task"],
        int(told["extra_layers"]),
        heads[f"{number}.weight"],
        heads[f"{number}.bias"],
        {name.removeprefix(start): value for name, value in heads.items() if name.startswith(start)},
    )


def _tensors(parent: Parent) -> dict[str, torch.Tensor]:
    statistics = {f"pooling.{name}": value for name, value in parent.statistics.items()}
    return {"weight": parent.weight, "bias": parent.bias, **statistics}


def _shapes(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Size]:
    return {name: value.shape for name, value in tensors.items()}


def _misfit(parent: Parent, model: AcousticModel) -> str:
    """Why a parent's head cannot stand on this model's encoder; empty if it can."""
    if parent.task not in get_args(Task):
        return f"{parent.name!r} has the unknown task {parent.task!r}"
    if not 0 <= parent.extra_layers <= model.architecture.extra_layers:
        return f"{parent.name!r} lies on {parent.extra_layers} extra layers of {model.architecture.extra_layers}"
    pooling, head = head_of(model.encoder, parent.task, len(parent.vocabulary.symbols))
    statistics = pooling.state_dict() if pooling else {}
    expected = replace(parent, weight=head.weight, bias=head.bias, statistics=statistics)
    if _shapes(_tensors(parent)) != _shapes(_tensors(expected)):
        return f"the head of {parent.name!r} does not fit its vocabulary, task or the encoder"
    return ""


def _on_its_base(folder: Path, description: Mapping[str, Any], model: AcousticModel) -> AcousticModel:
    """A language pack's model: its base's encoder with the pack's update merged into it."""
    try:
        base, lora = dict(description["base"]), dict(description["lora"])
        name, expected = base["name"], base["weights"]
        rank, alpha = int(lora["rank"]), float(lora["alpha"])
        near: Path | str = SHIPPED / name if (SHIPPED / name / "model.json").is_file() else folder / name
        place = name if name.startswith(HUB) else near
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{folder / 'model.json'}: damaged ({error}); copy the pack again") from error
    if not (is_foreign(place) or (Path(place) / "model.json").is_file()):
        raise InputError(f"{folder}: the base of this language pack, {name}, is not at {place}; put it there")
    if weights_hash(place) != expected:
        raise InputError(
            f"{folder}: this language pack was made for other weights than those of {name}; give it the very model it was made "
            "from, or adapt anew"
        )
    source = load_model(place)
    model.encoder.load_state_dict(source.encoder.state_dict(), strict=False)  # the pack brings new adapters, if any
    model.parents = (source.as_kept(), *source.parents)
    model = with_lora(model, rank, alpha)
    weights = read_weights(folder / "pack.safetensors")
    try:
        if _learned(model).keys() != weights.keys():
            raise RuntimeError(f"{len(_learned(model).keys() ^ weights.keys())} names differ")
        model.load_state_dict(weights, strict=False)
    except RuntimeError as error:
        raise InputError(f"{folder / 'pack.safetensors'}: does not fit ({error}); copy the pack again") from error
    return merge_lora(model)


def weights_hash(name: Path | str) -> str:
    """SHA-256 of a model's weights, or of a pack's, as they lie on disk."""
    if is_foreign(name):
        return hash_of(name)
    folder = find_model(name)
    paths = [folder / file for file in ("weights.safetensors", "pack.safetensors") if (folder / file).is_file()]
    if not paths:
        raise InputError(f"{folder}: its weights are missing; copy the model again")
    return hashlib.sha256(paths[0].read_bytes()).hexdigest()


def _same_features(spec: FeatureSpec, description: Mapping[str, Any]) -> bool:
    """Whether `spec` gives here what it gave where the model was saved; older models tell one frame only."""
    if "feature_fingerprint" in description:
        return _close(middle_frame(spec), description["feature_fingerprint"], MIDDLE_FRAME_TOLERANCE)
    stored, here = dict(description["feature_values"]), feature_fingerprint(spec)
    return stored.keys() == here.keys() and all(
        _close(here[name], stored[name], FINGERPRINT_TOLERANCE) for name in here
    )


def _close(here: list[float], stored: list[float], tolerance: float) -> bool:
    there = list(map(float, stored))
    return len(here) == len(there) and all(abs(a - b) <= tolerance for a, b in zip(here, there, strict=True))


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


def copy_model(
    name: Path | str,
    folder: Path | str,
    *,
    new_name: str = "",
    half: bool = False,
    results: str = "",
    limits: str = "",
    features: str = "",
) -> None:
    """Save a model again elsewhere with the card it has, under another name or in half precision for shipping.

    Args:
        results: a results.json; its rates go onto the card, but for those of models made from another source.
        limits: what a user must not expect of it; goes onto the card too.
        features: name of another feature preset that it shall hear with from now on.

    Raises:
        InputError: no such model or preset, or the preset's frames are of another size or rate.
    """
    card = _card_in(read_card(name))
    rows = read_rows(Path(results)) if results else []
    figures = [row.summary() for row in rows if row.source == Path(card.parent).name]
    told = {key: value for key, value in (("figures", figures), ("limits", limits)) if value}
    card = replace(card, name=new_name or card.name, details=card.details | told)
    model = load_model(name)
    if features:
        model.spec = _exchanged(model.spec, feature_preset(features))
    save_model(model, folder, card, half=half)


def _exchanged(old: FeatureSpec, new: FeatureSpec) -> FeatureSpec:
    """The new features, if a network that was made for the old ones can read them."""
    shapes = [(spec.dim, spec.frames_per_s, spec.sample_rate_hz) for spec in (old, new)]
    if shapes[0] != shapes[1]:
        was, would = ("{} values at {:g} frames a second of {} Hz".format(*shape) for shape in shapes)
        raise InputError(f"features {new.name} have {would}, and the model hears {was}; choose a preset of that shape")
    return new
