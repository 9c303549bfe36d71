"""Loading of models: strict, with the features that the weights were trained on, or refused."""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch

from speechxfer.checkpoints.card import read_description
from speechxfer.checkpoints.model_folders import head_tensors
from speechxfer.checkpoints.nemo_archives import load_nemo_archive
from speechxfer.checkpoints.sources import HUB, Source, resolve_source, shipped_versions, weights_hash
from speechxfer.checkpoints.transformers_folders import load_transformers_folder
from speechxfer.checkpoints.weights import (
    COPY_AGAIN,
    build_on_meta,
    check_shapes,
    load_weights,
    read_shapes,
    read_weights,
)
from speechxfer.errors import InputError
from speechxfer.features import FeatureSpec, feature_fingerprint
from speechxfer.models import AcousticModel, Architecture, ParentHead, Task, build_head, merge_lora, with_lora
from speechxfer.runtime import read_json
from speechxfer.scoring import parse_calibration
from speechxfer.text import Normalizer, Vocabulary

FINGERPRINT_TOLERANCE = 0.005  # single and double precision differ by 0.0001 at most


def load_model(name: Path | str | Source) -> AcousticModel:
    """Load a model in float32 on the CPU, in evaluation mode.

    An external checkpoint without a CTC head has a vocabulary of the blank alone: a source to adapt, not a recogniser.

    Args:
        name: a model's folder, a finished run, the name of a shipped model, a folder of the transformers library,
            ``hf:ORGANISATION/NAME`` on its hub (``@REVISION`` may follow), or a ``.nemo`` archive.

    Raises:
        InputError: no model there, damaged or truncated files, weights that do not fit the architecture or are not finite,
            an external architecture or front end that is not supported, or features that this version computes differently.

    Example:
        >>> import speechxfer as sx
        >>> sx.load_model("multilingual-small").vocabulary.kind
        'phones'
    """
    source = resolve_source(name)
    if source.kind == "folder":
        return _load_folder(source)
    load = load_nemo_archive if source.kind == "nemo" else load_transformers_folder
    try:
        model = load(source.path)
    except InputError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:  # unexpected settings
        raise InputError(
            f"{source.path}: its settings are incomplete or damaged ({type(error).__name__}: {error}); {COPY_AGAIN}"
        ) from error
    model.name = source.name
    return model.eval()


def _load_folder(source: Source, packs: tuple[Path, ...] = ()) -> AcousticModel:
    """A model's folder or a language pack's; `packs`: the packs whose base it is."""
    folder = source.path
    where = str(folder / "model.json")
    description = read_description(folder)
    vocabulary = Vocabulary.load(folder / "vocabulary.json")
    try:
        spec = FeatureSpec.from_dict(description["features"])
        architecture = Architecture(**description["architecture"])
        normalizer = Normalizer.from_dict(description["normalizer"])
        calibration = parse_calibration(description.get("calibration"))
        same_features, task = _same_features(spec, description["feature_values"]), description["task"]
    except InputError as error:
        raise InputError(f"{where}: {error}") from error
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{where}: field missing or unknown ({error}); {COPY_AGAIN}") from error
    if not same_features:
        raise InputError(
            f"{folder}: this version of speechxfer computes the features {spec.name!r} version {spec.version} differently from "
            "those that the model was trained on; use the version that made it, or report this"
        )
    new = partial(AcousticModel, architecture, vocabulary, spec, normalizer, task)
    if "base" in description:
        model = _load_pack(folder, description, new, packs)
    else:
        weights = folder / "weights.safetensors"
        shapes = read_shapes(weights)
        check_shapes(build_on_meta(new, where).state_dict(), shapes, str(weights))
        model = new()
        load_weights(model, weights)
        model.parents = _read_parents(folder, model)
    model.name = description["name"]
    model.calibration = calibration
    return model.eval()


def _read_parents(folder: Path, model: AcousticModel) -> tuple[ParentHead, ...]:
    """The parents' heads; InputError if what is there does not fit the model's encoder and its extra layers."""
    path = folder / "parents.json"
    if not path.exists() and not (folder / "parents.safetensors").exists():
        return ()
    heads, descriptions = read_weights(folder / "parents.safetensors"), read_json(path, fix=COPY_AGAIN)
    try:
        parents = tuple(_parent(each, heads, number, path) for number, each in enumerate(list(descriptions)))
        for parent in parents:
            _check_fit(parent, model)
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


def _check_fit(parent: ParentHead, model: AcousticModel) -> None:
    """Raise ValueError if a parent's head does not fit this model's encoder."""
    if parent.task not in get_args(Task):
        raise ValueError(f"{parent.name!r} has the unknown task {parent.task!r}")
    if not 0 <= parent.extra_layers <= model.architecture.extra_layers:
        raise ValueError(f"{parent.name!r} has {parent.extra_layers} extra layers of {model.architecture.extra_layers}")
    with torch.device("meta"):
        pooling, head = build_head(model.encoder, parent.task, len(parent.vocabulary.symbols))
    statistics = pooling.state_dict() if pooling else {}
    expected = replace(parent, weight=head.weight, bias=head.bias, pooling_state=statistics)
    found, fitting = ({name: value.shape for name, value in head_tensors(each).items()} for each in (parent, expected))
    if found != fitting:
        raise ValueError(f"the head of {parent.name!r} does not fit its vocabulary, task or the encoder")


def _load_pack(
    folder: Path, description: Mapping[str, Any], new: Callable[[], AcousticModel], packs: tuple[Path, ...]
) -> AcousticModel:
    """A language pack's model: its base's encoder with the pack's update merged into it."""
    weights = folder / "pack.safetensors"
    shapes = read_shapes(weights)
    try:
        base, lora = dict(description["base"]), dict(description["lora"])
        name, expected = str(base["name"]), base["weights"]
        rank, alpha = int(lora["rank"]), float(lora["alpha"])
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{folder / 'model.json'}: damaged ({error}); copy the pack again") from error
    ranks = {shape[0] for tensor, shape in shapes.items() if ".lora_A." in tensor and shape}
    if ranks != {rank} or not math.isfinite(alpha):
        raise InputError(
            f"{weights}: does not fit the rank {rank} and alpha {alpha} of its model.json; copy the pack again"
        )
    base_source = _find_base(folder, name, expected)
    if folder.resolve() in packs:
        raise InputError(f"{folder}: this language pack is its own base; copy the pack again")
    inner = base_source.kind == "folder"
    source = _load_folder(base_source, (*packs, folder.resolve())) if inner else load_model(base_source)
    found = {f"encoder.{key}": value.shape for key, value in source.encoder.state_dict().items()}
    for name, shape in shapes.items():
        if ".lora_" not in name:  # as it is named without the wrapper of a low-rank update
            found[name.replace("encoder.base_model.model.", "encoder.", 1).replace(".base_layer.", ".")] = shape
    check_shapes(build_on_meta(new, str(folder)).state_dict(), found, str(weights))
    model = new()
    model.encoder.load_state_dict(source.encoder.state_dict(), strict=False)  # the pack may add adapters
    model.parents = (source.snapshot_head(), *source.parents)
    model = with_lora(model, rank, alpha)
    check_shapes(pack_tensors(model), shapes, str(weights))
    model.load_state_dict(read_weights(weights), strict=False)
    return merge_lora(model)


def _find_base(folder: Path, name: str, expected: str) -> Source:
    """The base that a pack names, with the expected weights: shipped, of the hub, or at a path relative to the pack."""
    try:
        if versions := shipped_versions(name):
            candidates = [resolve_source(version.name) for version in reversed(versions)]
        else:
            candidates = [resolve_source(name if name.startswith(HUB) else folder / name)]
    except InputError as error:
        raise InputError(f"{folder}: the base of this language pack, {name}, is not found: {error}") from error
    for candidate in candidates:
        if weights_hash(candidate) == expected:
            return candidate
    raise InputError(
        f"{folder}: this language pack was made for other weights than those of {name}; use the model that it was made from, or "
        "adapt anew"
    )


def pack_tensors(model: AcousticModel) -> dict[str, torch.Tensor]:
    """Tensors of a language pack: all but the encoder's own weights, that is the update, adapters, extra layers and head."""
    return {
        name: value
        for name, value in model.state_dict().items()
        if not name.startswith("encoder.") or ".lora_" in name or ".adapters." in name
    }


def _same_features(spec: FeatureSpec, stored: Mapping[str, Any]) -> bool:
    """Whether this version computes the same features of the test signal as those stored with the model."""
    here = {name: np.array(values) for name, values in feature_fingerprint(spec).items()}
    there = {name: np.array(values, dtype=np.float64) for name, values in dict(stored).items()}
    return here.keys() == there.keys() and all(
        here[name].shape == there[name].shape
        and np.allclose(here[name], there[name], rtol=0, atol=FINGERPRINT_TOLERANCE)
        for name in here
    )
