"""Reference times, by which ``recipes/alignment`` measures alignments: JSON lines, one utterance each.

    {"id": "swh-001", "tier": "words", "units": [["w", 0.106], ["a", 0.199], ["", 0.31], ["t", null]]}

`tier` is the tier of an annotation that has these units. A unit has a text and its start in seconds from the start of the
utterance, or null where that is unknown; a pause has an empty text.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from speechxfer.errors import InputError
from speechxfer.runtime import parse_json, read_text, write_atomically

FIX = "give a file of times that synthesize_times or mboshi_times wrote"


@dataclass(frozen=True)
class TimedUnit:
    """A word, phone or letter with its start in seconds, or None; a pause has an empty text."""

    text: str
    start_s: float | None


@dataclass(frozen=True)
class TimedUtterance:
    """The units of an utterance, in order, and the tier of an annotation that has them."""

    id: str
    tier: str
    units: tuple[TimedUnit, ...]


def write_times(path: Path, utterances: Iterable[TimedUtterance]) -> None:
    """Write reference times; the same utterances give the same bytes."""
    rows = ({"id": u.id, "tier": u.tier, "units": [[unit.text, unit.start_s] for unit in u.units]} for u in utterances)
    write_atomically(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def read_times(path: Path) -> list[TimedUtterance]:
    """Read what `write_times` wrote; InputError names file and line of what it did not."""
    lines = read_text(path, fix=FIX).splitlines()
    return [
        _parse(parse_json(line, f"{path}:{number}", fix=FIX), f"{path}:{number}")
        for number, line in enumerate(lines, 1)
    ]


def _parse(row: Any, where: str) -> TimedUtterance:
    if isinstance(row, dict):
        id_, tier, units = row.get("id"), row.get("tier"), row.get("units")
        if isinstance(id_, str) and isinstance(tier, str) and isinstance(units, list) and _is_units(units):
            return TimedUtterance(id_, tier, tuple(TimedUnit(text, start_s) for text, start_s in units))
    raise InputError(f"{where}: expected id, tier, and units of a text and a start each; {FIX}")


def _is_units(value: list[Any]) -> bool:
    pairs = [unit for unit in value if isinstance(unit, list) and len(unit) == 2]
    return len(pairs) == len(value) and all(
        isinstance(text, str) and (start is None or isinstance(start, int | float)) for text, start in pairs
    )
