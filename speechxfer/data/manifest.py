"""Manifests: one utterance a line, as a JSON object with the field names of NVIDIA NeMo's ASR manifests.

``audio_filepath``, ``offset``, ``duration`` and ``text`` are NeMo's; ``id``, ``speaker`` and ``lang`` are added. Paths are
relative to the manifest's own folder. Corpora are converted to manifests by ``data_scripts/`` and judged by ``speechxfer check``.
"""

import codecs
import json
import os
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from speechxfer.errors import InputError, first_names
from speechxfer.runtime import parse_json, read_bytes, write_atomically

REQUIRED = ("id", "audio_filepath", "duration")
TEXT_FIELDS = ("text", "speaker", "lang")
_CONTROL = ("Cc", "Zl", "Zp")  # tabs, line breaks and other characters that break lines of output
LONGEST_S = 1e9  # thirty years: a longer one is no duration
MAX_MANIFEST_BYTES = 4 << 30  # ten million utterances


@dataclass(frozen=True)
class Utterance:
    """A segment of speech and its text; `offset` and `duration` are in seconds.

    >>> from pathlib import Path
    >>> import speechxfer as sx
    >>> sx.Utterance("greeting", Path("new.wav"), duration=0.5, text="good day").offset
    0.0
    """

    id: str
    audio_filepath: Path
    duration: float
    text: str = ""
    offset: float = 0.0
    speaker: str = ""
    lang: str = ""


def read_manifest(path: Path | str) -> list[Utterance]:
    """Read a manifest; audio paths are taken relative to the manifest's own folder.

    Raises:
        InputError: the file is missing or not UTF-8, a line is no JSON object, a field is missing, of the wrong type or
            out of range, an id occurs twice, or there is no utterance at all. The message names file and line.

    >>> import speechxfer as sx
    >>> len(sx.read_manifest("data/train.jsonl"))
    8
    """
    path = Path(path)
    utterances: list[Utterance] = []
    seen: dict[str, int] = {}
    for number, line in number_lines(path):
        utterance = parse_line(line, f"{path}:{number}", path.parent)
        if utterance.id in seen:
            raise InputError(
                f"{path}:{number}: id {utterance.id!r} was already used on line {seen[utterance.id]}; ids must be unique: "
                "rename one or delete the line"
            )
        seen[utterance.id] = number
        utterances.append(utterance)
    if not utterances:
        raise InputError(f"{path}: the manifest has no utterance; expected one JSON object a line")
    return utterances


def read_concatenated(paths: Sequence[Path]) -> list[Utterance]:
    """The utterances of several manifests; InputError if an id occurs in two of them."""
    return [utterance for manifest in read_manifests(paths) for utterance in manifest]


def read_manifests(paths: Sequence[Path]) -> list[list[Utterance]]:
    """Each manifest's utterances; InputError if an id occurs in two of them."""
    manifests = [read_manifest(path) for path in paths]
    found: dict[str, Path] = {}
    repeated: dict[str, tuple[Path, Path]] = {}
    for path, manifest in zip(paths, manifests, strict=True):
        for utterance in manifest:
            if utterance.id in found:
                repeated[utterance.id] = (found[utterance.id], path)
            found[utterance.id] = path
    if repeated:
        one, other = next(iter(repeated.values()))
        where = f"{one} and {other}" if one != other else f"{one}, which is given twice"
        names = first_names(list(map(repr, repeated)))
        raise InputError(f"ids occur in {where}: {names}; ids must be unique: rename them in one")
    return manifests


def number_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """The lines of a manifest that are not blank, with their numbers; InputError if it cannot be read."""
    data = read_bytes(path, fix="give the path of a manifest (.jsonl, UTF-8)", max_bytes=MAX_MANIFEST_BYTES)
    data = data.removeprefix(codecs.BOM_UTF8).replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return ((number, line) for number, line in enumerate(data.split(b"\n"), start=1) if line.strip())


def parse_line(line: bytes, where: str, folder: Path) -> Utterance:
    """Parse one line of a manifest in `folder`; `where` (file:line) opens the message of the InputError."""
    row = parse_json(line, where, fix="expected one JSON object a line (UTF-8)")
    if not isinstance(row, dict):
        raise InputError(f"{where}: expected a JSON object with {', '.join(REQUIRED)}, found {type(row).__name__}")
    missing = [key for key in REQUIRED if key not in row]
    if missing:
        raise InputError(f"{where}: field {missing[0]!r} is missing; an utterance needs {', '.join(REQUIRED)}")
    for key in ("id", "audio_filepath", *TEXT_FIELDS):
        if not isinstance(row.get(key, ""), str):
            raise InputError(f"{where}: {key!r} must be a string, found {row[key]!r}; put it in quotes")
    if not row["id"]:
        raise InputError(f"{where}: 'id' is empty; give every utterance a name of its own")
    control = next((character for character in row["id"] if unicodedata.category(character) in _CONTROL), "")
    if control:
        raise InputError(f"{where}: 'id' contains the control character U+{ord(control):04X}; rename the utterance")
    if not row["audio_filepath"] or "\0" in row["audio_filepath"]:
        raise InputError(f"{where}: 'audio_filepath' is {row['audio_filepath']!r}; expected the path of a recording")
    return Utterance(
        id=row["id"],
        audio_filepath=Path(os.path.normpath(folder.resolve() / row["audio_filepath"])),
        duration=_seconds(row, "duration", where),
        text=row.get("text", ""),
        offset=_seconds(row, "offset", where),
        speaker=row.get("speaker", ""),
        lang=row.get("lang", ""),
    )


def _seconds(row: dict[str, Any], key: str, where: str) -> float:
    value = row.get(key, 0.0)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 <= value <= LONGEST_S:
        raise InputError(f"{where}: {key!r} must be a number of seconds, zero or more, found {value!r}")
    return float(value)


def write_manifest(
    path: Path | str, utterances: Iterable[Utterance], more: Mapping[str, Mapping[str, object]] | None = None
) -> None:
    """Write a manifest; audio paths become relative to its folder. The same utterances give the same bytes.

    The file appears whole or not at all.

    Args:
        path: where.
        utterances: what.
        more: further fields of lines, by id; reading ignores them.

    Raises:
        InputError: a text that UTF-8 cannot encode, or a place that cannot be written.

    >>> import speechxfer as sx
    >>> utterances = sx.read_manifest("data/train.jsonl")
    >>> sx.write_manifest("data/first.jsonl", utterances[:4])
    """
    path = Path(path)
    folder = path.parent.resolve()
    further = more or {}
    lines = "".join(_line(utterance, folder, further.get(utterance.id, {})) for utterance in utterances)
    try:
        write_atomically(path, lines)
    except UnicodeEncodeError as error:
        around = lines[max(0, error.start - 40) : error.start]
        raise InputError(
            f"{path}: half a surrogate pair after {around!r} cannot be written in UTF-8; correct that text"
        ) from error


def _line(utterance: Utterance, folder: Path, more: Mapping[str, object]) -> str:
    row = {
        "id": utterance.id,
        "audio_filepath": Path(os.path.relpath(utterance.audio_filepath.absolute(), folder)).as_posix(),
        "offset": utterance.offset,
        "duration": utterance.duration,
        "text": utterance.text,
        "speaker": utterance.speaker,
        "lang": utterance.lang,
        **more,
    }
    return json.dumps(row, ensure_ascii=False) + "\n"
