"""Loading models: strict, with the features that the weights were trained on, or refused."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from speechxfer.checkpoints.card import read_card
from speechxfer.checkpoints.nemo_archives import load_nemo_archive
from speechxfer.checkpoints.parents import read_parents
from speechxfer.checkpoints.sources import HUB, SHIPPED, find_model, is_external, locate_external, weights_hash
from speechxfer.checkpoints.transformers_folders import load_transformers_folder
from speechxfer.checkpoints.weights import load_weights, read_weights
from speechxfer.errors import InputError
from speechxfer.features import FeatureSpec, feature_fingerprint, middle_frame
from speechxfer.models import AcousticModel, Architecture, merge_lora, with_lora
from speechxfer.text import Normalizer, Vocabulary

FINGERPRINT_TOLERANCE = 0.005  # single and double precision differ by 0.0001 at most
MIDDLE_FRAME_TOLERANCE = 0.02


def pack_tensors(model: AcousticModel) -> dict[str, torch.Tensor]:
    """Of a model with a low-rank update all but the encoder's own weights: the update, adapters, extra layers, head."""
    return {
        name: value
        for name, value in model.state_dict().items()
        if not name.startswith("encoder.") or ".lora_" in name or ".adapters." in name
    }


def load_model(name: Path | str) -> AcousticModel:
    """Load a model in float32 on the CPU, in evaluation mode.

    Args:
        name: a model's folder, a finished run, the name of a shipped model, or another toolkit's checkpoint: a folder of
            transformers, ``hf:ORGANISATION/NAME`` on its hub (``@REVISION`` may follow), or a ``.nemo`` archive.

    Raises:
        InputError: no model there, damaged or truncated files, weights that do not fit the architecture, or features
            that come out differently here than where the model was trained.
    """
    if is_external(name):
        return load_external(name)
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
        model = _load_pack(folder, description, AcousticModel(architecture, vocabulary, spec, normalizer, task))
    else:
        model = AcousticModel(architecture, vocabulary, spec, normalizer, task)
        load_weights(model, folder / "weights.safetensors")
        model.parents = read_parents(folder, model)
    model.name = description["name"]
    return model.eval()


def _load_pack(folder: Path, description: Mapping[str, Any], model: AcousticModel) -> AcousticModel:
    """A language pack's model: its base's encoder with the pack's update merged into it."""
    try:
        base, lora = dict(description["base"]), dict(description["lora"])
        name, expected = base["name"], base["weights"]
        rank, alpha = int(lora["rank"]), float(lora["alpha"])
        near: Path | str = SHIPPED / name if (SHIPPED / name / "model.json").is_file() else folder / name
        place = name if name.startswith(HUB) else near
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{folder / 'model.json'}: damaged ({error}); copy the pack again") from error
    if not (is_external(place) or (Path(place) / "model.json").is_file()):
        raise InputError(f"{folder}: the base of this language pack, {name}, is not at {place}; put it there")
    if weights_hash(place) != expected:
        raise InputError(
            f"{folder}: this language pack was made for other weights than those of {name}; give it the very model it was made "
            "from, or adapt anew"
        )
    source = load_model(place)
    model.encoder.load_state_dict(source.encoder.state_dict(), strict=False)  # the pack brings new adapters, if any
    model.parents = (source.snapshot_head(), *source.parents)
    model = with_lora(model, rank, alpha)
    weights = read_weights(folder / "pack.safetensors")
    try:
        if pack_tensors(model).keys() != weights.keys():
            raise RuntimeError(f"{len(pack_tensors(model).keys() ^ weights.keys())} names differ")
        model.load_state_dict(weights, strict=False)
    except RuntimeError as error:
        raise InputError(f"{folder / 'pack.safetensors'}: does not fit ({error}); copy the pack again") from error
    return merge_lora(model)


def _same_features(spec: FeatureSpec, description: Mapping[str, Any]) -> bool:
    """Whether `spec` gives here what it gave where the model was saved; older models tell one frame only."""
    if "feature_fingerprint" in description:
        return _are_close(middle_frame(spec), description["feature_fingerprint"], MIDDLE_FRAME_TOLERANCE)
    stored, here = dict(description["feature_values"]), feature_fingerprint(spec)
    return stored.keys() == here.keys() and all(
        _are_close(here[name], stored[name], FINGERPRINT_TOLERANCE) for name in here
    )


def _are_close(here: list[float], stored: list[float], tolerance: float) -> bool:
    there = list(map(float, stored))
    return len(here) == len(there) and all(abs(a - b) <= tolerance for a, b in zip(here, there, strict=True))


def load_external(name: Path | str) -> AcousticModel:
    """The checkpoint as a model in float32 on the CPU, in evaluation mode; its front end is one of our presets.

    A checkpoint without a CTC head has a vocabulary of the blank alone: a source to adapt, not a recogniser.

    Raises:
        InputError: not there, damaged, of an architecture or with a front end that is not known, a transducer, or holding
            code in place of tensors.
    """
    place = locate_external(name)
    try:
        model = load_nemo_archive(place) if place.suffix == ".nemo" else load_transformers_folder(place)
    except InputError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError) as error:  # settings of another's hand have any shape
        raise InputError(
            f"{place}: its settings lack something or are damaged ({type(error).__name__}: {error}); copy the model again"
        ) from error
    model.name = str(name)
    return model.eval()
