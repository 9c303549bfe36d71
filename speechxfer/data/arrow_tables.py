"""Tables of Hugging Face's `datasets`: Parquet files as on the hub, and folders that ``save_to_disk`` wrote (Arrow).

Source: the documentation of `datasets` ("Load audio data", the type ``Audio``): a column of structs with the ``bytes`` of a file,
its ``path``, or both. They are read with pyarrow, a part of the rows at a time. Bytes become files; paths stay where they are.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from speechxfer.data.decoder import read_duration_s
from speechxfer.data.importing import NO_TEXT, ImportedSpeech, slug
from speechxfer.data.manifest import Utterance
from speechxfer.data.tables import COLUMNS
from speechxfer.errors import InputError
from speechxfer.runtime import import_extra, parse_json, read_text, write_atomically

TEXTS = ("text", "sentence", "transcription", "transcript", "normalized_text", "raw_transcription")
SPEAKERS = COLUMNS["speaker"]
LANGUAGES = ("language", "lang", "locale")
AUDIO = ("audio", "file", "path")
BEGINNINGS = {b"RIFF": ".wav", b"fLaC": ".flac", b"OggS": ".ogg", b"ID3": ".mp3", b"\xff\xfb": ".mp3"}
FIX = "give Parquet files with a column of audio, or a folder of datasets' save_to_disk"
ROWS = 64  # in memory at once
_Row = dict[str, Any]


@dataclass(frozen=True)
class TableOptions:
    """How tables are imported.

    Attributes:
        audio_out: folder for the files that bytes become.
        text_column: name of the column of transcripts; empty: the first of `TEXTS` that there is.
        language: of all utterances; empty: as a column of `LANGUAGES` says.
    """

    audio_out: Path
    text_column: str = ""
    language: str = ""


def is_arrow_table(path: Path) -> bool:
    """Whether a path is a Parquet or Arrow file, or a folder that ``save_to_disk`` wrote."""
    if path.is_dir():
        return any((path / name).is_file() for name in ("state.json", "dataset_dict.json"))
    return path.suffix.lower() in (".parquet", ".arrow")


def read_arrow_table(path: Path, options: TableOptions) -> ImportedSpeech:
    """The utterances of a table, one per row with a text.

    Raises:
        InputError: pyarrow is missing, a damaged file, several splits in a folder, no column of audio or text, a missing
            recording, or a file in the place of one to write.
    """
    imported = ImportedSpeech()
    for file in _files(path):
        for number, (columns, row) in enumerate(_rows(file, options.text_column), start=1):
            where = f"{file}, row {number}"
            text = row[columns.text]
            if not isinstance(text, str) or not text.strip():
                imported.skipped.setdefault(NO_TEXT, []).append(f"{file.name} row {number}")
                continue
            audio, name = _recording(row[columns.audio], file, number, options.audio_out, where)
            duration_s = read_duration_s(audio)
            imported.append(
                Utterance(
                    id=name,
                    audio_filepath=audio,
                    duration=round(duration_s, 6),
                    text=text,
                    speaker=_text_of(row, columns.speaker),
                    lang=options.language or _text_of(row, columns.language),
                )
            )
    return imported


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    splits = path / "dataset_dict.json"
    if splits.is_file():
        data = parse_json(read_text(splits, fix=FIX), str(splits), fix=FIX)
        names = data.get("splits") if isinstance(data, dict) else None
        shown = ", ".join(map(str, names)) if isinstance(names, list) else "?"
        raise InputError(
            f"{path}: has the splits {shown}; import each into a manifest of its own, such as {path}/train"
        )
    state = path / "state.json"
    data = parse_json(read_text(state, fix=FIX), str(state), fix=FIX)
    listed = data.get("_data_files") if isinstance(data, dict) else None
    names = [one.get("filename") for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    if not names or not all(isinstance(name, str) and Path(name).name == name for name in names):
        raise InputError(f"{state}: names no files of data; {FIX}")
    return [path / str(name) for name in names]


def _rows(file: Path, text_column: str) -> Iterator[tuple["_Columns", _Row]]:
    """The columns that matter and the rows of a file, a part of them in memory; other columns are not read."""
    arrow = import_extra("pyarrow", "datasets", str(file))
    try:
        if file.suffix.lower() == ".parquet":
            parquet = import_extra("pyarrow.parquet", "datasets", str(file))
            with parquet.ParquetFile(file) as table:
                columns = _Columns.find(table.schema_arrow.names, text_column, file)
                for batch in table.iter_batches(ROWS, columns=columns.names()):
                    yield from ((columns, row) for row in batch.to_pylist())
            return
        with arrow.memory_map(str(file)) as source, arrow.ipc.open_stream(source) as stream:
            columns = _Columns.find(stream.schema.names, text_column, file)
            for batch in stream:
                for start in range(0, batch.num_rows, ROWS):
                    part = batch.select(columns.names()).slice(start, ROWS)
                    yield from ((columns, row) for row in part.to_pylist())
    except (arrow.ArrowException, OSError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{file}: cannot be read as a table ({reason}); {FIX}") from error


@dataclass(frozen=True)
class _Columns:
    """Names of the columns that matter; empty: there is none."""

    audio: str
    text: str
    speaker: str
    language: str

    @classmethod
    def find(cls, found: Sequence[str], text_column: str, file: Path) -> "_Columns":
        shown = ", ".join(found)
        audio = next((name for name in AUDIO if name in found), "")
        if not audio:
            raise InputError(f"{file}: has no column of audio ({', '.join(AUDIO)}); its columns: {shown}; {FIX}")
        text = next((name for name in (text_column, *(() if text_column else TEXTS)) if name in found), "")
        if not text:
            wanted = text_column or ", ".join(TEXTS)
            raise InputError(
                f"{file}: has no column of text ({wanted}); its columns: {shown}; name one with --text-column"
            )
        others = (next((name for name in names if name in found), "") for names in (SPEAKERS, LANGUAGES))
        return cls(audio, text, *others)

    def names(self) -> list[str]:
        """The columns to read, each once."""
        return [name for name in dict.fromkeys((self.audio, self.text, self.speaker, self.language)) if name]


def _text_of(row: _Row, column: str) -> str:
    """The value of a column as text; numbers that stand for classes of languages say nothing."""
    value = row.get(column)
    return value if isinstance(value, str) else str(value) if column in SPEAKERS and value is not None else ""


def _recording(value: Any, file: Path, number: int, audio_out: Path, where: str) -> tuple[Path, str]:
    """The file of a recording, written if the table has its bytes, and the id of its utterance."""
    given = value if isinstance(value, dict) else {"path": value}
    name, content = given.get("path"), given.get("bytes")
    stem = slug(Path(name).stem) if isinstance(name, str) else ""
    stem = stem or f"{slug(file.stem)}-{number:06d}"
    if isinstance(content, bytes):
        suffix = next((suffix for start, suffix in BEGINNINGS.items() if content.startswith(start)), "")
        suffix = suffix or (Path(name).suffix if isinstance(name, str) else "") or ".audio"
        return _write(audio_out, stem, suffix, content, f"{slug(file.stem)}-{number:06d}"), stem
    if not isinstance(name, str) or not name:
        raise InputError(f"{where}: its audio is neither a file's bytes nor a path; {FIX}")
    found = next((path for path in (file.parent / name, Path(name)) if os.path.isfile(path)), None)
    if found is None:
        raise InputError(f"{where}: its recording {name} is missing; put it there, or give a table that has the bytes")
    return Path(os.path.abspath(found)), stem


def _write(folder: Path, stem: str, suffix: str, content: bytes, other_stem: str) -> Path:
    """Write a file, unless it is there with the same content; of two rows with one name, the second gets another."""
    for name in (stem, f"{stem}-{other_stem}"):
        path = folder / f"{name}{suffix}"
        if not path.exists():
            write_atomically(path, content)
            return path
        if path.read_bytes() == content:
            return path
    raise InputError(f"{path}: exists with another content and is not replaced; name another --out, or remove it")
