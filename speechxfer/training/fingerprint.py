"""The fingerprint of a run: everything that determines its result, as plain values and hashes of contents.

A run is resumed, or recognised as finished, only if its recorded fingerprint equals the requested one. ``run.json`` (settings
and inputs of `adapt` and `train`) and ``state/current.json`` (what the training loop starts from) are compared by the same
function.
"""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

from speechxfer.config import Config
from speechxfer.data import Utterance, existing_name, hash_audio_file
from speechxfer.errors import InputError
from speechxfer.features import front_end_version
from speechxfer.models import AcousticModel


def compare_fingerprints(recorded: Mapping[str, Any], requested: Mapping[str, Any]) -> list[str]:
    """Dotted names of the entries that differ.

    A setting (under ``config``) that was added after the recorded run had its default then.
    """
    defaults = _flatten({"config": Config().model_dump(mode="json")})
    before = defaults | _flatten(recorded)
    now = _flatten(json.loads(json.dumps(requested)))
    changed = [name for name, value in now.items() if name not in before or before[name] != value]
    return changed + [name for name in before if name not in now and name not in defaults]


def _flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat |= _flatten(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {prefix + key: value}
    return flat


def model_fingerprint(model: AcousticModel) -> dict[str, Any]:
    """A model's structure, symbols, features and normaliser, and hashes of its weights and of its sources' heads."""
    parts = (model.architecture, model.spec, model.normalizer)
    weights, heads = hashlib.sha256(), hashlib.sha256()
    for value in model.state_dict().values():
        weights.update(value.detach().cpu().contiguous().numpy().tobytes())
    for parent in model.parents:
        heads.update(parent.weight.numpy().tobytes() + parent.bias.numpy().tobytes())
    return {
        "model": [*(part.to_dict() for part in parts), model.task, list(model.vocabulary.symbols)],
        "front end": front_end_version(model.spec),
        "first weights": weights.hexdigest(),
        "source heads": heads.hexdigest(),
    }


def hash_source(source: AcousticModel) -> str:
    """Hash of all that an adapted model takes from its source: structure, weights, heads, symbols and letter tables."""
    parts = {**model_fingerprint(source), "letters": dict(source.vocabulary.letters)}
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def hash_utterances(utterances: Sequence[Utterance], *, contents: bool = True) -> str:
    """Hash of these manifest rows and of the contents of their audio files, whose paths do not count.

    Args:
        contents: False: of the names of the audio files instead, which have to exist; reading them all would take hours.

    Raises:
        InputError: an audio file cannot be read.
    """
    digest = hashlib.sha256()
    identify, write = (hash_audio_file, json.dumps) if contents else (existing_name, repr)  # of a million rows
    for u in utterances:
        try:
            audio = identify(os.fspath(u.audio_filepath))
        except InputError as error:
            raise InputError(f"{u.id}: {error}") from error
        digest.update(write([u.id, audio, u.offset, u.duration, u.text, u.speaker, u.lang]).encode())
    return digest.hexdigest()
