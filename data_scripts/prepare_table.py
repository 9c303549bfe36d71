"""Manifests from any table of recordings and their texts: this is the script for recordings of your own.

The table is a TSV or CSV file with a header line (UTF-8, with or without byte-order mark), or a folder with a
``transcripts.tsv``. In a ``.csv`` the separator (comma, semicolon or tab) is found out and quoting works as usual; in
any other file the separator is a tab and quotes are ordinary characters. Columns, by any of their names, in any order:

    path      path, audio_filepath, file, filename, file_name, audio, wav    required; relative to the table's folder
    text      text, sentence, transcript, transcription                      required; kept as it is written
    id        id, utterance_id, utt_id                                       else the file's name
    start     start                                                          first sample, at the file's own rate
    frames    frames                                                         number of samples
    offset    offset                                                         the same two in seconds
    duration  duration
    speaker   speaker, speaker_id, client_id
    split     split                                                          train, dev (val, valid, validation), test
    lang      lang, language, locale

One manifest a split is written: train.jsonl, dev.jsonl, test.jsonl (another split name becomes a file of that name).
Without a split column the table is split 80/10/10 by hash: whole speakers where there are ten or more; else whole
sentences, so that no sentence is in two splits; but where the same few words are recorded over and over (five or more
times each), single recordings. With ``--untranscribed`` no text is needed, what there is is not looked at, and all goes into
untranscribed.jsonl, for ``speechxfer self-train`` and ``speechxfer embed``. What it is not: a check of the recordings;
``speechxfer check`` does that next.

    python -m data_scripts.prepare_table recordings.tsv data/mine --lang yo
    python -m data_scripts.prepare_table more_recordings.tsv data/more --untranscribed
"""

import argparse
import csv
import math
import os
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from data_scripts.corpus import (
    SPLIT_NAMES,
    Placed,
    Segment,
    exit_on_bad_input,
    measure,
    print_line,
    read_lines,
    write_splits,
)
from speechxfer.data import LONGEST_S, Utterance, digest, take_seconds, write_manifest
from speechxfer.errors import InputError
from speechxfer.text import Normalizer

COLUMNS = {
    "path": ("path", "audio_filepath", "file", "filename", "file_name", "audio", "wav"),
    "text": ("text", "sentence", "transcript", "transcription"),
    "id": ("id", "utterance_id", "utt_id"),
    "start": ("start",),
    "frames": ("frames",),
    "offset": ("offset",),
    "duration": ("duration",),
    "speaker": ("speaker", "speaker_id", "client_id"),
    "split": ("split",),
    "lang": ("lang", "language", "locale"),
}
TABLE_NAME = "transcripts.tsv"
END = r"(end|stop|to|xmax)([ _-]*(time|ms|s|sec|seconds))?([ _-].*)?"  # as annotation tools call where a stretch ends
HELD_OUT = 0.1  # share of dev, and of test, where the table has no split column
MIN_SPEAKERS = 10  # with fewer, sentences are kept apart instead of speakers
MIN_REPEATS = 5  # recordings per sentence from which a table counts as a few words said over and over


@dataclass(frozen=True)
class Row:
    """One line of a table: its cells by our column names ("" where absent) and where it stands."""

    cells: dict[str, str]
    where: str


# ---------------------------------------------------------------------------------------------------------- reading
def find_table(table: Path) -> Path:
    """The table itself, or the ``transcripts.tsv`` in a folder.

    Raises:
        InputError: there is no such file.
    """
    path = table / TABLE_NAME if table.is_dir() else table
    if not path.is_file():
        raise InputError(f"{path}: no such file; expected a table or a folder with {TABLE_NAME}: check the path")
    return path


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
    _refuse_ends(header, columns, f"{table}:1")
    unused = [name for index, name in enumerate(header) if index not in columns.values()]
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
        rows.append(Row({name: values[index].strip() for name, index in columns.items()}, f"{table}:{number}"))
    if not rows:
        raise InputError(f"{table}: no rows below the header; expected one a recording")
    return rows


def _refuse_ends(header: Sequence[str], columns: Mapping[str, int], where: str) -> None:
    """A stretch whose end would be overlooked reaches to the end of its file, from a start in another unit, and trains."""
    ends = [name for name in header if re.fullmatch(END, name.strip().casefold())]
    if ends and not {"duration", "frames"} & set(columns):
        raise InputError(
            f"{where}: the column {ends[0]!r} would be overlooked, and every stretch would reach to the end of its file; "
            "expected offset and duration in seconds (duration is end minus offset), or start and frames in samples: rename "
            "the columns"
        )


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


def _match_columns(header: Sequence[str], where: str, required: Sequence[str]) -> dict[str, int]:
    """Index of each of our columns in the header; of several names for one column the first in `COLUMNS` wins."""
    names = [name.strip().casefold() for name in header]
    doubled = [name for name, count in Counter(names).items() if count > 1 and name]
    if doubled:
        raise InputError(f"{where}: column {doubled[0]!r} occurs twice; expected distinct names: rename one")
    columns = {}
    for column, aliases in COLUMNS.items():
        found = [alias for alias in aliases if alias in names]
        if found:
            columns[column] = names.index(found[0])
        elif column in required:
            raise InputError(
                f"{where}: no {column} column among {', '.join(map(repr, header))}; expected one named "
                f"{', '.join(aliases)}: {_way_to_columns(header)}"
            )
    return columns


def _way_to_columns(header: Sequence[str]) -> str:
    if len(header) == 1 and re.search("[,;]", header[0]):
        return "the cells are separated by commas or semicolons, so name the file .csv, or separate them with tabs"
    return "add a header line or rename the column"


def read_segments(
    table: Path, *, lang: str = "", audio_dir: Path | None = None, untranscribed: bool = False
) -> list[Segment]:
    """Every row of a table (or of a folder's ``transcripts.tsv``) as a segment; audio is not touched.

    Args:
        lang: language of rows that name none.
        audio_dir: folder that paths are relative to; the table's own by default.
        untranscribed: no text is needed, and none is taken over.

    Raises:
        InputError: as `read_rows`, or a cell is not what its column says.
    """
    table = find_table(table)
    rows = read_rows(table, required=("path",) if untranscribed else ("path", "text"))
    rows = [replace(row, cells=row.cells | {"text": ""}) for row in rows] if untranscribed else rows
    folder = audio_dir or table.parent
    ids = _ids(rows)
    return [_segment(row, row_id, folder, lang) for row, row_id in zip(rows, ids, strict=True)]


def _ids(rows: Sequence[Row]) -> list[str]:
    """Id of every row: its own, else its file's name (with folders where names repeat, with the start if given)."""
    stems = [Path(row.cells["path"]).stem for row in rows]
    paths = {row.cells["path"] for row in rows}
    distinct = len(set(stems)) == len(paths)
    ids = []
    for row, stem in zip(rows, stems, strict=True):
        name = stem if distinct else os.path.splitext(row.cells["path"])[0].replace("/", "_")
        begin = row.cells.get("start") or row.cells.get("offset") or ""
        ids.append(row.cells.get("id") or (f"{name}_{begin}" if begin else name))
    return ids


def _as_written_on_disk(folder: Path, name: str) -> Path:
    """The path; where there is no such file, the one whose name has its accents composed or decomposed, as macOS writes them."""
    ways = (name, unicodedata.normalize("NFC", name), unicodedata.normalize("NFD", name))
    return next((folder / way for way in ways if os.path.isfile(folder / way)), folder / name)


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
    return Segment(
        id=row_id,
        path=_as_written_on_disk(folder, cells["path"]),
        text=cells["text"],
        where=row.where,
        split=_split_name(cells, row.where),
        speaker=cells.get("speaker", ""),
        lang=cells.get("lang") or lang,
        start=_samples(row, "start"),
        frames=_samples(row, "frames"),
        offset_s=_seconds(row, "offset"),
        duration_s=_seconds(row, "duration"),
    )


def _split_name(cells: dict[str, str], where: str) -> str:
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
    if not re.fullmatch(r"[0-9]+", value):
        raise InputError(
            f"{row.where}: {column} is {value!r}; expected a whole number of samples: for seconds name the columns "
            "offset and duration"
        )
    return int(value)


def _seconds(row: Row, column: str) -> float | None:
    value = row.cells.get(column, "")
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        seconds = math.nan
    if not 0.0 <= seconds <= LONGEST_S:
        raise InputError(f"{row.where}: {column} is {value!r}; expected seconds, zero or more, with a decimal point")
    return seconds


# -------------------------------------------------------------------------------------------------------- splitting
def group_by_split(placed: Iterable[Placed]) -> dict[str, list[Utterance]]:
    """Utterances by split, train, dev and test first, each in the order of the corpus."""
    found: defaultdict[str, list[Utterance]] = defaultdict(list)
    for item in placed:
        found[item.split].append(item.utterance)
    order = [name for name in ("train", "dev", "test") if name in found]
    return {name: found[name] for name in order + sorted(set(found) - set(order))}


def split_by_hash(utterances: Sequence[Utterance]) -> dict[str, list[Utterance]]:
    """80/10/10 split that depends on the data alone, by speaker, sentence or recording (see the module's docstring).

    Raises:
        InputError: fewer than three groups to split.
    """
    sentences = {_sentence(utterance) for utterance in utterances}
    speakers = {utterance.speaker for utterance in utterances}
    if len(speakers) >= MIN_SPEAKERS:
        kind, keys = "speaker", [utterance.speaker for utterance in utterances]
    elif len(utterances) >= MIN_REPEATS * len(sentences):
        kind, keys = "recording", [utterance.id for utterance in utterances]
    else:
        kind, keys = "sentence", [_sentence(utterance) for utterance in utterances]
    split_of = _deal(Counter(keys))
    splits: dict[str, list[Utterance]] = {"train": [], "dev": [], "test": []}
    for utterance, key in zip(utterances, keys, strict=True):
        splits[split_of[key]].append(utterance)
    print_line(
        f"note: the table has no split column: split 80/10/10 by {kind} "
        f"({len(split_of):,} in all), the same way every time; add a split column to choose yourself"
    )
    return splits


def _sentence(utterance: Utterance) -> str:
    return Normalizer()(utterance.text) or " ".join(utterance.text.split())


def _deal(sizes: Counter[str]) -> dict[str, str]:
    """Split of each group: in order of hash they fill test and dev, the emptier first, up to their room; then train."""
    if len(sizes) < 3:
        raise InputError(
            f"only {len(sizes)} different sentences or recordings to split; expected at least three: record more, or "
            "add a split column with train, dev and test"
        )
    room = max(math.ceil(HELD_OUT * sizes.total()), sorted(sizes.values())[1])
    filled = {"test": 0, "dev": 0}
    split_of = {}
    for group in sorted(sizes, key=lambda group: digest("split", group)):
        emptier = min(filled, key=lambda name: filled[name])
        if filled[emptier] + sizes[group] <= room:
            filled[emptier] += sizes[group]
            split_of[group] = emptier
        else:
            split_of[group] = "train"
    return split_of


# ---------------------------------------------------------------------------------------------------------- the verb
def prepare(
    table: Path,
    out_dir: Path,
    *,
    lang: str = "",
    audio_dir: Path | None = None,
    limit_hours: float | None = None,
    partial: bool = False,
    untranscribed: bool = False,
) -> dict[str, Path]:
    """Write the manifests of a table and return them by split.

    Args:
        table: TSV or CSV file, or a folder with ``transcripts.tsv``.
        lang: language code for rows that name none.
        audio_dir: folder that the paths are relative to; the table's own by default.
        limit_hours: at most this much of train, speakers in proportion; dev and test stay whole.
        partial: leave rows with missing or unreadable audio out instead of stopping.
        untranscribed: one manifest of that name, without texts.

    Raises:
        InputError: the table or its audio is not as described; the message names table and line.
    """
    table, out_dir = Path(table), Path(out_dir)
    if limit_hours is not None and not limit_hours > 0:
        raise InputError(
            f"the limit of train is {limit_hours} h; expected a number of hours above zero: mend --limit-hours"
        )
    if untranscribed and limit_hours is not None:
        raise InputError("--limit-hours cuts train, and --untranscribed makes none: leave one of them out")
    segments = read_segments(table, lang=lang, audio_dir=audio_dir, untranscribed=untranscribed)
    placed = measure(segments, partial=partial, untranscribed=untranscribed)
    if not placed:
        raise InputError(f"{table}: every row was left out; see the reasons above")
    if untranscribed:
        path = out_dir / "untranscribed.jsonl"
        write_manifest(path, [item.utterance for item in placed])
        onward = f"speechxfer embed multilingual-small {path} --out {out_dir}/map --resample --mono"
        print_line(f"{path}: {len(placed):,} recordings; next: {onward}")
        return {"untranscribed": path}
    named = {item.split for item in placed}
    if "train" in named and "dev" not in named:
        print_line(
            f"note: {table}: no row is dev, by which the best evaluation is chosen; mark a tenth of the rows dev"
        )
    splits = group_by_split(placed) if any(named) else split_by_hash([item.utterance for item in placed])
    if limit_hours is not None and "train" in splits:
        splits["train"] = take_seconds(splits["train"], limit_hours * 3600, "limit")
        print_line(f"note: train is cut to {limit_hours} h")
    return write_splits(out_dir, splits)


def repacked(corpus_dir: Path, *, lang: str, partial: bool) -> list[Placed] | None:
    """A corpus that was repacked around a ``transcripts.tsv``; None where the folder has none (the original layout)."""
    if not (corpus_dir / TABLE_NAME).is_file():
        return None
    print_line(f"{corpus_dir}: a repacked copy, read from its {TABLE_NAME}")
    return measure(read_segments(corpus_dir, lang=lang), partial=partial)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("table", type=Path, help="TSV or CSV table, or a folder with transcripts.tsv")
    parser.add_argument("out_dir", type=Path, help="folder for the manifests")
    parser.add_argument("--lang", default="", help="language code for rows that name none, e.g. yo")
    parser.add_argument("--audio-dir", type=Path, help="folder that paths are relative to (default: the table's)")
    parser.add_argument("--limit-hours", type=float, help="keep at most this much of train")
    parser.add_argument("--partial", action="store_true", help="leave out rows whose audio is missing or unreadable")
    parser.add_argument(
        "--untranscribed", action="store_true", help="no text column is needed; for self-train and embed"
    )
    options = vars(parser.parse_args())
    exit_on_bad_input(lambda: prepare(**options))


if __name__ == "__main__":
    main()
