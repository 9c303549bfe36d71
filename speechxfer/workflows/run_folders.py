"""A run's folder: what was requested (``run.json``), whether it is finished, and how its head was initialised."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from speechxfer.adaptation import HeadRow, HeadTable
from speechxfer.config import Config
from speechxfer.data import Utterance
from speechxfer.errors import InputError
from speechxfer.features import feature_preset, front_end_version
from speechxfer.runtime import read_json
from speechxfer.training import compare_fingerprints, hash_file, hash_utterances
from speechxfer.workflows.run_inputs import RunData


def requested_run(
    config: Config, data: RunData, source_data: Sequence[Utterance], source: str, language: str, licence: str
) -> dict[str, Any]:
    """The fingerprint of a run, for ``run.json``: settings, and the contents of everything that it reads.

    Args:
        source: hash of the source model; empty: none.
        language, licence: of the model to be trained.

    Raises:
        InputError: a file that the settings or manifests name cannot be read.
    """
    settings = config.model_dump(mode="json")
    del settings["data"]["cache_dir"]  # where features are kept does not change them
    paths = {"symbol_map": config.transfer.symbol_map, "letters": config.text.letters}
    requested = {
        "config": settings,
        **{name: hash_file(Path(path)) if path else None for name, path in paths.items()},
        "language": language,
        "licence": licence,
        "train": [hash_utterances(part) for part in data.train_parts],
        "dev": hash_utterances(data.dev),
        "source": source,
        "source_data": hash_utterances(source_data),
    }
    if not source:  # that of a source is part of its hash
        requested["front end"] = front_end_version(feature_preset(config.model.features))
    return requested


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
    recorded = read_json(path, fix="choose another --out, or delete that folder to start anew")
    if not isinstance(recorded, dict):
        raise InputError(f"{path}: damaged (not an object); choose another --out, or delete that folder to start anew")
    differing = compare_fingerprints(recorded, requested)
    if differing:
        raise InputError(
            f"{out}: holds a run with other settings or data ({', '.join(differing[:5])} differ); choose another --out, "
            "or delete that folder to start anew"
        )
    return (out / "model" / "model.json").exists()


def read_head_table(out: Path) -> HeadTable:
    """The rows of ``head.tsv`` of a run's folder."""
    lines = (out / "head.tsv").read_text(encoding="utf-8").removesuffix("\n").split("\n")
    return HeadTable(HeadRow(*line.split("\t")) for line in lines)  # type: ignore[arg-type]
