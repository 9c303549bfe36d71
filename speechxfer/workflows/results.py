"""Results files of recipes: ``results.json``, one row for each model, split and decoder.

Pages are rendered from it by ``recipes/rendering.py``.
"""

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from pydantic import ConfigDict, TypeAdapter, ValidationError

from speechxfer.errors import InputError
from speechxfer.runtime import file_lock, read_text, write_atomically


@dataclass(frozen=True)
class Forgetting:
    """Error rates on the source's own task before and after adaptation, with the source's output layer; means in percent."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    split: str
    wer_before: float
    wer_after: float
    cer_before: float
    cer_after: float

    def __str__(self) -> str:
        wer, cer = f"{self.wer_before:.1f} → {self.wer_after:.1f}", f"{self.cer_before:.1f} → {self.cer_after:.1f}"
        return f"{wer} (CER {cer}; {self.split})"


@dataclass(frozen=True)
class ResultRow:
    """One result: the model, its error rates, and how to reproduce it.

    Rates are in percent with their 95 % interval, `train_hours` in hours of audio, `wall_s` in seconds. `name` is the kind of
    training (scratch, frozen, finetuned, ...), `source` the name of the source model.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    name: str
    source: str
    train_hours: float
    split: str
    decoder: str
    seeds: list[int]
    steps: int
    wer: float
    wer_low: float
    wer_high: float
    cer: float
    cer_low: float
    cer_high: float
    command: str
    commit: str
    date: str
    hardware: str
    wall_s: float
    substitutions: int | None = None
    deletions: int | None = None
    insertions: int | None = None
    words: int | None = None
    precision: str | None = None
    forgetting: "Forgetting | None" = None


Key = tuple[str, str, float, str, str]
_ROWS = TypeAdapter(list[ResultRow])


def add_row(results_json: Path, row: ResultRow) -> None:
    """Add a row to the file, in the place of the row with the same key if there is one.

    The key is name, source, train_hours, split and decoder. Rates are rounded to two decimals. Forgetting that was measured of
    the same trained model is kept. Processes that write to the same file wait for each other.

    Raises:
        InputError: the file is there and malformed, or the row holds a number that is not finite.
    """
    rates = ("wer", "wer_low", "wer_high", "cer", "cer_low", "cer_high")
    digits = {"train_hours": 3, "wall_s": 1} | dict.fromkeys(rates, 2)
    row = dataclasses.replace(row, **{name: round(getattr(row, name), places) for name, places in digits.items()})
    with file_lock(results_json):
        rows = {_key(old): old for old in (read_rows(results_json) if results_json.exists() else [])}
        older = rows.get(_key(row))
        trained = (row.commit, row.wall_s, row.seeds)
        if older and not row.forgetting and (older.commit, older.wall_s, older.seeds) == trained:
            row = dataclasses.replace(row, forgetting=older.forgetting)
        rows[_key(row)] = row
        _write_rows(results_json, list(rows.values()))


def add_forgetting(results_json: Path, name: str, source: str, train_hours: float, forgetting: Forgetting) -> None:
    """Add error rates on the source's task to every row of this model: of this name, source and training hours.

    Raises:
        InputError: there is no such row.
    """
    with file_lock(results_json):
        found = {_key(row) for row in rows_of_model(results_json, name, source, train_hours)}
        rows = read_rows(results_json)
        changed = [dataclasses.replace(row, forgetting=forgetting) if _key(row) in found else row for row in rows]
        _write_rows(results_json, changed)


def _write_rows(results_json: Path, rows: Sequence[ResultRow]) -> None:
    tree = _ROWS.dump_python(list(rows), exclude_none=True, warnings="none")
    text = json.dumps(tree, ensure_ascii=False, indent=2) + "\n"
    _parse_rows(text, f"{results_json}, to be written")
    write_atomically(results_json, text)


def rows_of_model(results_json: Path, name: str, source: str, train_hours: float) -> list[ResultRow]:
    """The rows of this name, source and training hours, whatever was scored; InputError if there is none."""
    rows = read_rows(results_json) if results_json.exists() else []
    mine = [row for row in rows if (row.name, row.source, row.train_hours) == (name, source, round(train_hours, 3))]
    if not mine:
        raise InputError(
            f"{results_json}: has no row {name!r} from {source!r} with {train_hours:g} training hours; evaluate the model on "
            "its own task first, with the same --row"
        )
    return mine


def read_rows(results_json: Path) -> list[ResultRow]:
    """Read the rows of a results file, in its order.

    Raises:
        InputError: the file is missing, is no JSON list of rows, or holds two rows with one key.
    """
    return _parse_rows(read_text(results_json, fix="delete it and evaluate again"), str(results_json))


def _key(row: ResultRow) -> Key:
    return (row.name, row.source, row.train_hours, row.split, row.decoder)


def _parse_rows(text: str, where: str) -> list[ResultRow]:
    try:
        rows = _ROWS.validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = "".join(f" row {part + 1}" if isinstance(part, int) else f" {part!r}" for part in first["loc"][:2])
        raise InputError(
            f"{where}{place and ':'}{place}: {first['msg']}; expected a JSON list of result rows: correct it, or delete it and "
            "evaluate again"
        ) from error
    seen: dict[Key, int] = {}
    for number, row in enumerate(rows, start=1):
        if _key(row) in seen:
            raise InputError(
                f"{where}: row {number} repeats row {seen[_key(row)]}; name, source, train_hours, split and decoder "
                "together must be unique: delete one"
            )
        seen[_key(row)] = number
    return rows
