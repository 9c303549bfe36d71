"""Tables of recordings and their texts: TSV and CSV files, written by hand or exported by annotation tools.

Columns, separators and times are recognised here. ELAN, Praat and Audacity export begin and end of an
annotation, in seconds, milliseconds or as hours:minutes:seconds; spreadsheets of many countries write decimal commas.
"""

import csv
import math
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PureWindowsPath

from speechxfer.data.importing import ImportedSpeech
from speechxfer.data.manifest import LONGEST_S
from speechxfer.data.segments import SPLIT_NAMES, Segment, measure_segments, one_space, print_line, read_lines
from speechxfer.errors import InputError

COLUMNS = {
    "path": ("path", "audio_filepath", "file", "filename", "file_name", "audio", "wav"),
    "text": ("text", "sentence", "transcript", "transcription"),
    "id": ("id", "utterance_id", "utt_id"),
    "start": ("start",),
    "frames": ("frames",),
    "speaker": ("speaker", "speaker_id", "client_id"),
    "split": ("split",),
    "lang": ("lang", "language", "locale"),
}
TIME_COLUMNS = {
    "offset": "offset|start|begin|from|onset|xmin|tmin",
    "duration": "duration",
    "end": "end|stop|to|xmax|tmax",
}
TIME_NAME = r"(?:{names})(?:[ _-]*time)?(?:[ _-]+\(?(?P<unit>[^()]*)\)?)?"  # such as "End Time - ss.msec", "end_ms"
UNITS_S = {
    **dict.fromkeys(("", "s", "sec", "secs", "second", "seconds", "ss.msec", "hh:mm:ss.ms", "hh:mm:ss.msec"), 1.0),
    **dict.fromkeys(("ms", "msec", "milliseconds"), 0.001),
}
TIME = re.compile(r"(?:(?:(?P<hours>\d+):)?(?P<minutes>\d{1,2}):)?(?P<seconds>\d+(?:[.,]\d*)?)")
TABLE_NAME = "transcripts.tsv"
MAX_UNREADABLE = 0.1  # share of the rows; more missing audio is taken for a wrong folder


@dataclass(frozen=True)
class Row:
    """One line of a table: its cells by our column names ("" where absent) and its place for messages."""

    cells: dict[str, str]
    where: str
    seconds_per_unit: Mapping[str, float]  # of the columns of times


@dataclass(frozen=True)
class _Columns:
    """Where the header has each of our columns, and the units of those that hold times."""

    index: dict[str, int]
    seconds_per_unit: dict[str, float]


def is_table(path: Path) -> bool:
    """Whether a file is a table, by its suffix."""
    return path.suffix.lower() in (".tsv", ".csv")


def import_table(table: Path, language: str = "", audio_dir: Path | None = None) -> ImportedSpeech:
    """The utterances of a table; its column of splits, if it has one, is not used.

    Args:
        table: the file.
        language: code of the language of rows that name none.
        audio_dir: folder that paths are relative to; None: the table's own.

    Raises:
        InputError: as `read_segments`; or the audio of more than one row in ten is missing or unreadable.
    """
    segments = read_segments(table, lang=language, audio_dir=audio_dir)
    imported = ImportedSpeech()
    for placed in measure_segments(segments, max_unreadable=math.floor(MAX_UNREADABLE * len(segments))):
        imported.append(placed.utterance)
    return imported


def find_table(table: Path) -> Path:
    """The table itself, or the ``transcripts.tsv`` in a folder.

    Raises:
        InputError: there is no such file.
    """
    path = table / TABLE_NAME if table.is_dir() else table
    if not path.is_file():
        raise InputError(f"{path}: no such file; expected a table or a folder with {TABLE_NAME}: check the path")
    return path


def read_segments(
    table: Path, *, lang: str = "", audio_dir: Path | None = None, untranscribed: bool = False
) -> list[Segment]:
    """Every row of a table (or of a folder's ``transcripts.tsv``) as a segment.

    Args:
        table: the table or the folder.
        lang: language of rows that name none.
        audio_dir: folder that paths are relative to; the table's own by default.
        untranscribed: no text is needed, and none is taken over.

    Raises:
        InputError: as `read_rows`, a cell is not what its column says, or two rows have the same id.
    """
    table = find_table(table)
    rows = read_rows(table, required=("path",) if untranscribed else ("path", "text"))
    rows = [replace(row, cells=row.cells | {"text": ""}) for row in rows] if untranscribed else rows
    folder = audio_dir or table.parent
    ids = _ids(rows)
    return [_segment(row, row_id, folder, lang) for row, row_id in zip(rows, ids, strict=True)]


# ------------------------------------------------------------------------------------------------------------- rows
def read_rows(table: Path, *, required: Sequence[str] = ("path", "text")) -> list[Row]:
    """Rows of a table under our column names.

    Raises:
        InputError: not UTF-8, no header with the columns `required`, a row with too many or too few cells, or no row.
    """
    lines = read_lines(table)
    if not lines or not lines[0].strip():
        raise InputError(f"{table}:1: the table is empty; expected a header line that names a path and a text column")
    cells = _split_lines(table, lines)
    _, header = next(cells)
    columns = _match_columns(header, f"{table}:1", required)
    unused = [name for position, name in enumerate(header) if position not in columns.index.values()]
    if unused:
        print_line(f"note: {table}: columns not used: {', '.join(unused)}")
    rows = []
    for number, values in cells:
        if not any(value.strip() for value in values):
            continue
        if len(values) != len(header):
            raise InputError(
                f"{table}:{number}: {len(values)} cells where the header has {len(header)}; expected one a column: "
                "look for a missing or an extra separator, or a quote that is not closed"
            )
        found = {name: values[position].strip() for name, position in columns.index.items()}
        rows.append(Row(found, f"{table}:{number}", columns.seconds_per_unit))
    if not rows:
        raise InputError(f"{table}: no rows below the header; expected one a recording")
    return rows


def _split_lines(table: Path, lines: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    """Line number and cells of every record, by the file's dialect."""
    if table.suffix.lower() != ".csv":
        yield from enumerate((line.split("\t") for line in lines), start=1)
        return
    separator = max(",;\t", key=lines[0].count)
    reader = csv.reader((line + "\n" for line in lines), delimiter=separator, strict=True)
    line = 1
    try:
        for values in reader:
            yield line, values
            line = reader.line_num + 1
    except csv.Error as error:
        raise InputError(
            f"{table}:{line}: not CSV ({error}); expected cells with a separator in quotes, and quotes in them doubled"
        ) from error


# ---------------------------------------------------------------------------------------------------------- columns
def _match_columns(header: Sequence[str], where: str, required: Sequence[str]) -> _Columns:
    """Our columns in the header; of several names for one column the first in `COLUMNS` is used."""
    names = [name.strip().casefold() for name in header]
    repeated = [name for name, count in Counter(names).items() if count > 1 and name]
    if repeated:
        raise InputError(f"{where}: column {repeated[0]!r} occurs twice; expected distinct names: rename one")
    index: dict[str, int] = {}
    for column, aliases in COLUMNS.items():
        found = [alias for alias in aliases if alias in names]
        if found:
            index[column] = names.index(found[0])
        elif column in required:
            raise InputError(
                f"{where}: no {column} column among {', '.join(map(repr, header))}; expected one named "
                f"{', '.join(aliases)}: {_advice_on_columns(header)}"
            )
    return _with_times(names, index, where)


def _advice_on_columns(header: Sequence[str]) -> str:
    if len(header) == 1 and re.search("[,;]", header[0]):
        return "the cells are separated by commas or semicolons, so name the file .csv, or separate them with tabs"
    return "add a header line or rename the column"


def _with_times(names: Sequence[str], index: dict[str, int], where: str) -> _Columns:
    """The columns with those of times: beside an end, `start` is in seconds, else it counts samples."""
    times: dict[str, tuple[int, str]] = {}
    for column, alternatives in TIME_COLUMNS.items():
        for position, name in enumerate(names):
            match = re.fullmatch(TIME_NAME.format(names=alternatives), name)
            if match and column not in times and position not in (index.get("path"), index.get("text")):
                times[column] = (position, (match["unit"] or "").strip())
    if "end" in times:
        if "frames" in index:
            raise InputError(f"{where}: 'frames' beside {names[times['end'][0]]!r}; expected one of them: delete one")
        index.pop("start", None)
        times.pop("duration", None)
    elif times.get("offset", (-1, ""))[0] == index.get("start"):
        times.pop("offset", None)
    for position, unit in times.values():
        if unit not in UNITS_S:
            raise InputError(
                f"{where}: column {names[position]!r} has the unknown unit {unit!r}; expected seconds or milliseconds, such "
                "as end_s or end_ms (or start and frames, which count samples): rename the column"
            )
    return _Columns(
        index | {column: position for column, (position, _) in times.items()},
        {column: UNITS_S[unit] for column, (_, unit) in times.items()},
    )


# --------------------------------------------------------------------------------------------------------- segments
def _ids(rows: Sequence[Row]) -> list[str]:
    """Id of every row: its own, else its file's name, with folders and suffix where names repeat, and the start if given.

    Raises:
        InputError: two rows without ids mean the same recording, or an id has a tab or a line break.
    """
    names = _distinct_names({row.cells["path"] for row in rows})
    ids = []
    first_row: dict[str, str] = {}
    for row in rows:
        begin = row.cells.get("start") or row.cells.get("offset") or ""
        derived = names[row.cells["path"]] + (f"_{begin}" if begin else "")
        name = row.cells.get("id") or derived
        if name != "".join(name.splitlines()) or "\t" in name:
            raise InputError(f"{row.where}: id {name!r} has a tab or a line break; expected one word: rename it")
        if not row.cells.get("id") and name in first_row:
            raise InputError(
                f"{row.where}: {row.cells['path']!r} was already listed at {first_row[name]}; expected each recording once, "
                "or columns start and end that say which segment each row means: delete one row"
            )
        first_row.setdefault(name, row.where)
        ids.append(name)
    return ids


def _distinct_names(paths: set[str]) -> dict[str, str]:
    """A name for every path: without folders and suffix if that distinguishes all of them, else with both as far as needed."""
    slashed = {path: re.sub(r"[\t\r\n]+", " ", path.replace("\\", "/")) for path in paths}
    ways = (
        lambda path: Path(path).stem,
        lambda path: os.path.splitext(path)[0].replace("/", "_"),
        lambda path: path.replace("/", "_"),
    )
    for way in ways:
        names = {path: way(text) for path, text in slashed.items()}
        if len(set(names.values())) == len(names):
            break
    return names


def find_audio(folder: Path, name: str) -> Path:
    """The file that a table means: as written, else with Windows' separators or the other Unicode form of accents.

    Of a path with a drive letter the longest end that exists below `folder` is taken. Where nothing exists, the path as written.
    """
    ways = [name]
    if "\\" in name:
        windows = PureWindowsPath(name)
        parts = windows.parts[1:] if windows.anchor else windows.parts
        ways += ["/".join(parts[first:]) for first in range(len(parts) if windows.anchor else 1)]
    for way in ways:  # macOS writes decomposed accents
        for spelling in (way, unicodedata.normalize("NFC", way), unicodedata.normalize("NFD", way)):
            if os.path.isfile(folder / spelling):
                return folder / spelling
    return folder / name


def _segment(row: Row, row_id: str, folder: Path, lang: str) -> Segment:
    cells = row.cells
    if not cells["path"]:
        raise InputError(f"{row.where}: the path is empty; expected the recording's file: fill it in or delete the row")
    in_samples = [name for name in ("start", "frames") if cells.get(name)]
    in_seconds = [name for name in ("offset", "duration") if cells.get(name)]
    if in_samples and in_seconds:
        raise InputError(
            f"{row.where}: {in_samples[0]!r} (samples) and {in_seconds[0]!r} (seconds) are both given; expected one of "
            "the two: delete the other column"
        )
    offset_s, duration_s = _seconds(row, "offset"), _seconds(row, "duration")
    end_s = _seconds(row, "end")
    if end_s is not None:
        duration_s = end_s - (offset_s or 0.0)
        if duration_s < 0:
            raise InputError(
                f"{row.where}: it ends at {end_s:g} s, before it begins at {offset_s:g} s; correct the times"
            )
    return Segment(
        id=row_id,
        path=find_audio(folder, cells["path"]),
        text=cells["text"],
        where=row.where,
        split=_split_name(cells, row.where),
        speaker=one_space(cells.get("speaker", "")),
        lang=cells.get("lang") or lang,
        start=_samples(row, "start"),
        frames=_samples(row, "frames"),
        offset_s=offset_s,
        duration_s=duration_s,
    )


def _split_name(cells: Mapping[str, str], where: str) -> str:
    if "split" not in cells:
        return ""
    name = cells["split"].casefold()
    if not re.fullmatch(r"[\w-]+", name):
        raise InputError(f"{where}: split {cells['split']!r} is no usable name; expected train, dev or test")
    return SPLIT_NAMES.get(name, name)


def _samples(row: Row, column: str) -> int | None:
    value = row.cells.get(column, "")
    if not value:
        return None
    if not re.fullmatch(r"[0-9]{1,18}", value):
        raise InputError(
            f"{row.where}: {column} is {value!r}; expected a whole number of samples: for seconds give start and end, or "
            "offset and duration"
        )
    return int(value)


def _seconds(row: Row, column: str) -> float | None:
    """A time in seconds: ``12.5``, ``12,5``, ``1:02.5`` or ``1:01:02.5``, in the unit of its column."""
    value = row.cells.get(column, "")
    if not value:
        return None
    match = TIME.fullmatch(value)
    if match is None:
        raise InputError(f"{row.where}: {column} is {value!r}; expected seconds, zero or more, or minutes:seconds")
    seconds = float(match["seconds"].replace(",", "."))
    seconds += 60 * float(match["minutes"] or 0) + 3600 * float(match["hours"] or 0)
    seconds *= row.seconds_per_unit[column]
    if not math.isfinite(seconds) or seconds > LONGEST_S:
        raise InputError(f"{row.where}: {column} is {value!r}; expected the seconds of a recording: correct it")
    return seconds
