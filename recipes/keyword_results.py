"""Measurements of keyword search in ``keyword_search.json``: written by ``recipes/keyword_search.py``, rendered in RESULTS.md."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar

from pydantic import ConfigDict, TypeAdapter, ValidationError

from speechxfer.errors import InputError
from speechxfer.runtime import read_text, write_atomically

COLUMNS = (
    "model",
    "keywords",
    "MAP % of `find`",
    "MAP % of the greedy text",
    "ratio",
    "precision / recall of `find` at a threshold",
)


@dataclass(frozen=True)
class Operation:
    """What a threshold gives: share of right hits among all, and of the relevant utterances that are found; fractions."""

    threshold: float
    precision: float
    recall: float


@dataclass(frozen=True)
class SearchQuality:
    """Mean average precision with its interval, in percent."""

    mean_average_precision: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean_average_precision:.1f} [{self.low:.1f}, {self.high:.1f}]"


@dataclass(frozen=True)
class Measurement:
    """One model's search in one manifest.

    Attributes:
        weights: SHA-256 of the weights' file.
        pairs: of a keyword and an utterance that has it.
        ratio: MAP of `find` over that of the text search, with the bounds of its interval; None where text search finds nothing.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", allow_inf_nan=False)

    model: str
    weights: str
    manifest: str
    utterances: int
    keywords: int
    pairs: int
    find: SearchQuality
    text_search: SearchQuality
    ratio: tuple[float, float, float] | None
    operations: tuple[Operation, ...]
    command: str
    commit: str
    date: str
    hardware: str


_MEASUREMENTS = TypeAdapter(list[Measurement])


def write_measurements(path: Path, measurements: Sequence[Measurement]) -> None:
    """Write the file, whole or not at all."""
    write_atomically(path, json.dumps([asdict(one) for one in measurements], ensure_ascii=False, indent=1) + "\n")


def read_measurements(path: Path) -> list[Measurement]:
    """The measurements of a file; InputError if it is missing or malformed."""
    try:
        return _MEASUREMENTS.validate_json(read_text(path, fix="run stage `search` again"))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = " ".join(str(part) for part in first["loc"])
        raise InputError(f"{path}: {place}: {first['msg']}; delete it and run stage `search` again") from error


def render_search(measurements: Sequence[Measurement]) -> list[str]:
    """The section of RESULTS.md: heading, what was measured, table, commands."""
    rows = [
        (
            Path(one.model).name,
            str(one.keywords),
            str(one.find),
            str(one.text_search),
            "{:.2f} [{:.2f}, {:.2f}]".format(*one.ratio) if one.ratio else "–",
            ", ".join(
                f"{100 * at.precision:.0f} / {100 * at.recall:.0f} % at {at.threshold:g}" for at in one.operations
            ),
        )
        for one in measurements
    ]
    lines = ["| " + " | ".join(row) + " |" for row in (COLUMNS, ["---"] * len(COLUMNS), *rows)]
    commands = dict.fromkeys(f"- `{one.command}` at {one.commit}, {one.date}, {one.hardware}" for one in measurements)
    return [
        "## Keyword search",
        "Mean average precision (MAP) of `speechxfer find`, and of searching the greedily decoded text, on the same "
        f"{measurements[0].utterances} utterances; 95 % intervals over keywords. The keywords are all words of at least three "
        "letters that occur in at least two utterances; marks of tone must be right (`recipes/keyword_search.py`).",
        "\n".join(lines),
        "\n".join(commands),
    ]
