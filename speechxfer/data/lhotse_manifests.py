"""Manifests of lhotse: supervisions with their recordings, or cuts, as JSON Lines (``.jsonl``, ``.jsonl.gz``).

Source: lhotse's documentation, "Representing a corpus" and "Cuts". They are read without lhotse. What has been altered (speed,
volume, mixtures) is skipped, as are single channels of recordings that have several.
"""

import gzip
import io
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from speechxfer.data.importing import NO_DURATION, NO_TEXT, ImportedSpeech
from speechxfer.data.manifest import Utterance
from speechxfer.errors import InputError
from speechxfer.runtime import parse_json, read_bytes

FIX = "give the cuts or the supervisions of lhotse (.jsonl, .jsonl.gz)"
ALTERED = "of altered or mixed recordings"
ONE_CHANNEL = "of one channel of several"
REPEATED = "that occur in several cuts"
MAX_BYTES = 4 << 30
_Row = dict[str, Any]


def is_lhotse_manifest(path: Path) -> bool:
    """Whether a file's name is that of a manifest of lhotse."""
    return path.name.endswith((".jsonl", ".jsonl.gz"))


def read_lhotse_manifest(path: Path, language: str = "") -> ImportedSpeech:
    """The utterances of a file of cuts, or of supervisions, whose recordings are in the file of the same name with "recordings".

    Paths of recordings are relative to the current folder, as for lhotse, or to the manifest.

    Raises:
        InputError: a file is missing or damaged, a recording is missing or no file.
    """
    imported = ImportedSpeech()
    recordings: dict[str, _Row] | None = None
    seen: set[str] = set()
    for where, row in _rows(path):
        if "tracks" in row:
            imported.skipped.setdefault(ALTERED, []).append(str(row.get("id", where)))
        elif "supervisions" in row:
            start_s = _seconds(row, "start", where)
            if not isinstance(row["supervisions"], list):
                raise InputError(f"{where}: 'supervisions' is no list; {FIX}")
            for supervision in row["supervisions"]:
                _add(imported, supervision, row.get("recording"), start_s, where, language, seen)
        elif "recording_id" in row:
            recordings = recordings if recordings is not None else _read_recordings(path)
            _add(imported, row, recordings.get(row["recording_id"]), 0.0, where, language, seen)
        else:
            raise InputError(f"{where}: is neither a cut nor a supervision; {FIX}")
    return imported


def _add(
    imported: ImportedSpeech, row: Any, recording: Any, start_s: float, where: str, language: str, seen: set[str]
) -> None:
    """Add the utterance of a supervision, or the reason why there is none."""
    if not isinstance(row, dict) or not isinstance(row.get("id"), str) or not row["id"]:
        raise InputError(f"{where}: a supervision without 'id'; {FIX}")
    if not isinstance(recording, dict):
        raise InputError(f"{where}: {row['id']!r} has no recording; {FIX}")
    offset_s, duration_s = start_s + _seconds(row, "start", where), _seconds(row, "duration", where)
    text = row.get("text") or ""
    reason = ""
    if recording.get("transforms"):
        reason = ALTERED
    elif len(recording.get("channel_ids") or [0]) > 1:
        reason = ONE_CHANNEL
    elif not isinstance(text, str) or not text.strip():
        reason = NO_TEXT
    elif offset_s < 0 or duration_s <= 0:
        reason = NO_DURATION
    elif row["id"] in seen:
        reason = REPEATED
    if reason:
        imported.skipped.setdefault(reason, []).append(row["id"])
        return
    seen.add(row["id"])
    imported.append(
        Utterance(
            id=row["id"],
            audio_filepath=_recording_path(recording, where),
            duration=round(duration_s, 6),
            text=text,
            offset=round(offset_s, 6),
            speaker=str(row.get("speaker") or ""),
            lang=language or str(row.get("language") or ""),
        )
    )


def _read_recordings(path: Path) -> dict[str, _Row]:
    """The recordings that belong to a file of supervisions, by id."""
    if "supervisions" not in path.name:
        raise InputError(f"{path}: supervisions whose recordings are unknown; name the file ...supervisions..., {FIX}")
    beside = path.with_name(path.name.replace("supervisions", "recordings"))
    return {str(row.get("id")): row for _, row in _rows(beside)}


def _recording_path(recording: _Row, where: str) -> Path:
    sources = recording.get("sources")
    source = sources[0] if isinstance(sources, list) and len(sources) == 1 and isinstance(sources[0], dict) else {}
    value = source.get("source")
    if source.get("type") != "file" or not isinstance(value, str) or not value or "\0" in value:
        raise InputError(
            f"{where}: recording {recording.get('id')!r} is no single file; save its sound to a file first"
        )
    folder = Path(where.rpartition(":")[0]).parent
    found = next((file for file in (Path(value), folder / value) if os.path.isfile(file)), None)
    if found is None:
        raise InputError(f"{where}: recording {recording.get('id')!r} is missing at {value}; correct the path")
    return Path(os.path.abspath(found))


def _rows(path: Path) -> Iterator[tuple[str, _Row]]:
    """The objects of a file, each with ``file:line``."""
    content = read_bytes(path, fix=FIX, max_bytes=MAX_BYTES)
    if path.suffix == ".gz":
        try:
            with gzip.GzipFile(fileobj=io.BytesIO(content)) as packed:
                content = packed.read(MAX_BYTES + 1)
        except (OSError, EOFError, zlib.error) as error:
            raise InputError(f"{path}: is no whole gzip file ({error}); {FIX}") from error
        if len(content) > MAX_BYTES:
            raise InputError(f"{path}: unpacked it has more than {MAX_BYTES:,} bytes; {FIX}")
    for number, line in enumerate(content.split(b"\n"), start=1):
        if line.strip():
            where = f"{path}:{number}"
            row = parse_json(line, where, fix=FIX)
            if not isinstance(row, dict):
                raise InputError(f"{where}: expected a JSON object; {FIX}")
            yield where, row


def _seconds(row: _Row, key: str, where: str) -> float:
    value = row.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not -1e9 < value < 1e9:
        raise InputError(f"{where}: {key!r} is {value!r}; expected seconds; {FIX}")
    return float(value)
