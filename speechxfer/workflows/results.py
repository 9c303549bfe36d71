"""Results files of recipes: `results.json`, one row per model, split and decoder."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from speechxfer.errors import InputError
from speechxfer.runtime import write_atomically


@dataclass(frozen=True)
class Forgetting:
    """The source's own task before and after the encoder was adapted, under the source's head; mean rates in percent."""

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
    """One measured row: what was trained on what, how well it did, and how to do it again.

    Rates are in percent with their 95 % interval, `train_hours` in hours of audio, `wall_s` in seconds. `name` says how
    the model came about (scratch, frozen, finetuned, ...), `source` names the model it started from.
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
    sub: Annotated[int | None, Field(alias="substitutions")] = None
    del_: Annotated[int | None, Field(alias="deletions")] = None
    ins: Annotated[int | None, Field(alias="insertions")] = None
    words: int | None = None
    forgetting: "Forgetting | None" = None

    def summary(self) -> str:
        """One line for a model's card."""
        return (
            f"{self.split}: WER {self.wer:.1f} % [{self.wer_low:.1f}, {self.wer_high:.1f}], "
            f"CER {self.cer:.1f} % [{self.cer_low:.1f}, {self.cer_high:.1f}] ({self.name}, {self.decoder})"
        )


Key = tuple[str, str, float, str, str]
_ROWS = TypeAdapter(list[ResultRow])


def add_row(results_json: Path, row: ResultRow) -> None:
    """Put a row into the file: in the place of the one with the same key, else at the end.

    The key is name, source, train_hours, split and decoder. Rates are kept to two decimals. The file appears whole or
    not at all.

    Raises:
        InputError: the file is there and malformed, or the row holds something that is no finite number.
    """
    row = _rounded(row)
    rows = read_rows(results_json) if results_json.exists() else []
    keys = [_key(old) for old in rows]
    if _key(row) in keys:
        older = rows[keys.index(_key(row))]
        same_model = (older.commit, older.wall_s, older.seeds) == (row.commit, row.wall_s, row.seeds)
        if row.forgetting is None and same_model:
            row = dataclasses.replace(row, forgetting=older.forgetting)
        rows[keys.index(_key(row))] = row
    else:
        rows.append(row)
    tree = _ROWS.dump_python(rows, by_alias=True, exclude_none=True, warnings="none")
    text = json.dumps(tree, ensure_ascii=False, indent=2) + "\n"
    _parse_rows(text, f"{results_json}, to be written")
    write_atomically(results_json, text)


def add_forgetting(results_json: Path, name: str, source: str, train_hours: float, forgetting: Forgetting) -> None:
    """Note what became of the source's task in every row of this model: of this name, source and training hours.

    Raises:
        InputError: there is no such row.
    """
    for row in rows_of_model(results_json, name, source, train_hours):
        add_row(results_json, dataclasses.replace(row, forgetting=forgetting))


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
    return _parse_rows(read_text_file(results_json), str(results_json))


def _rounded(row: ResultRow) -> ResultRow:
    return dataclasses.replace(
        row,
        train_hours=round(row.train_hours, 3),
        wer=round(row.wer, 2),
        wer_low=round(row.wer_low, 2),
        wer_high=round(row.wer_high, 2),
        cer=round(row.cer, 2),
        cer_low=round(row.cer_low, 2),
        cer_high=round(row.cer_high, 2),
        wall_s=round(row.wall_s, 1),
    )


def _key(row: ResultRow) -> Key:
    return (row.name, row.source, row.train_hours, row.split, row.decoder)


def _parse_rows(text: str, where: str) -> list[ResultRow]:
    try:
        rows = _ROWS.validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = "".join(f" row {part + 1}" if isinstance(part, int) else f" {part!r}" for part in first["loc"][:2])
        raise InputError(
            f"{where}:{place}: {first['msg']}; expected a JSON list of result rows: mend it, or delete it and run again"
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


def read_text_file(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: unreadable ({error.strerror}); check the path") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 at byte {error.start}; save it as UTF-8") from error
