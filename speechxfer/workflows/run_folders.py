"""A run's folder: what was requested (``run.json``), whether it is finished, and how its head was initialised."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from speechxfer.adaptation import HeadRow, HeadTable
from speechxfer.config import Config
from speechxfer.data import Utterance
from speechxfer.errors import InputError
from speechxfer.workflows.run_inputs import RunData


def requested_run(config: Config, data: RunData, source_data: Sequence[Utterance], source: str) -> dict[str, Any]:
    """The fingerprint of a run, for ``run.json``: settings, data, and `source`, the hash of the source's weights."""
    return {
        "config": config.model_dump(mode="json"),
        "train": [_hash_utterances(part) for part in data.train_parts],
        "dev": _hash_utterances(data.dev),
        "source": source,
        "source_data": _hash_utterances(source_data),
    }


def _hash_utterances(utterances: Sequence[Utterance]) -> str:
    rows = [[u.id, str(u.audio_filepath), u.offset, u.duration, u.text, u.speaker, u.lang] for u in utterances]
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def is_finished(out: Path, requested: dict[str, Any]) -> bool:
    """Whether `out` holds the requested run, finished; InputError if it holds another one."""
    path = out / "run.json"
    started = (out / "state" / "current.json").exists() or (out / "model" / "model.json").exists()
    if started and not path.exists():
        raise InputError(
            f"{out}: holds a model or a run, but no run.json that says what it was trained on; choose another --out, so that "
            "it is not lost"
        )
    if not started:
        return False  # a start that failed or was stopped before its first state has nothing to lose
    try:
        defaults = _flatten({"config": Config().model_dump(mode="json")})  # of settings that did not exist then
        earlier = defaults | _flatten(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, AttributeError) as error:
        raise InputError(f"{path}: damaged ({error}); choose another --out, or delete that folder") from error
    differing = [key for key, value in _flatten(requested).items() if earlier.get(key) != value]
    if differing:
        raise InputError(
            f"{out}: holds a run with other settings or data ({', '.join(differing[:5])} differ); choose another --out, "
            "or delete that folder to start anew"
        )
    return (out / "model" / "model.json").exists()


def _flatten(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat |= _flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return flat


def read_head_table(out: Path) -> HeadTable:
    """The rows of ``head.tsv`` of a run's folder."""
    lines = (out / "head.tsv").read_text(encoding="utf-8").removesuffix("\n").split("\n")
    return HeadTable(HeadRow(*line.split("\t")) for line in lines)  # type: ignore[arg-type]
