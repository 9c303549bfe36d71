"""Manifests: one utterance a line, as a JSON object with the field names of NVIDIA NeMo's ASR manifests.

``audio_filepath``, ``offset``, ``duration`` and ``text`` are NeMo's; ``id``, ``speaker`` and ``lang`` are added. Paths are
relative to the manifest's own folder. Corpora are converted to manifests by ``data_scripts/`` and judged by ``speechxfer check``.
"""

import codecs
import gc
import json
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from speechxfer.data.containers import address_of
from speechxfer.errors import InputError, first_names
from speechxfer.runtime import check_file, parse_json, write_atomically

REQUIRED = ("id", "audio_filepath", "duration")
TEXT_FIELDS = ("text", "speaker", "lang")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")  # Cc, Zl, Zp: tabs and whatever else breaks lines of output
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
    folder, where = os.path.realpath(path.parent), f"{path}:"
    seen: set[str] = set()
    utterances = []
    with paused_collection():
        for number, line in number_lines(path):
            utterance = parse_line(line, f"{where}{number}", folder)
            if utterance.id in seen:
                raise InputError(
                    f"{path}:{number}: id {utterance.id!r} was already used on line {_line_of(utterance.id, path)}; ids must "
                    "be unique: rename one or delete the line"
                )
            seen.add(utterance.id)
            utterances.append(utterance)
    if not utterances:
        raise InputError(f"{path}: the manifest has no utterance; expected one JSON object a line")
    return utterances


@contextmanager
def paused_collection() -> Iterator[None]:
    """No garbage collection meanwhile: for making millions of objects that stay, which it would go through again and again."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _line_of(id_: str, path: Path) -> int:
    """The first line of a manifest with this id."""
    folder = os.path.realpath(path.parent)
    return next(number for number, line in number_lines(path) if parse_line(line, str(path), folder).id == id_)


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
    fix = "give the path of a manifest (.jsonl, UTF-8)"
    check_file(path, fix=fix, max_bytes=MAX_MANIFEST_BYTES)
    number = 0
    with open(path, "rb") as file:
        for piece in file:
            whole = piece.removesuffix(b"\n") if number else piece.removesuffix(b"\n").removeprefix(codecs.BOM_UTF8)
            for line in whole.removesuffix(b"\r").split(b"\r") if b"\r" in whole else (whole,):
                number += 1
                if line and not line.isspace():
                    yield number, line


def parse_line(line: bytes, where: str, folder: str) -> Utterance:
    """Parse one line of a manifest.

    Args:
        line: its bytes.
        where: ``file:line``, which opens the message of the error.
        folder: of the manifest, absolute and without links.

    Raises:
        InputError: the line is no utterance.
    """
    row = parse_json(line, where, fix="expected one JSON object a line (UTF-8)")
    if not isinstance(row, dict):
        raise InputError(f"{where}: expected a JSON object with {', '.join(REQUIRED)}, found {type(row).__name__}")
    try:
        id_, name, duration = row["id"], row["audio_filepath"], row["duration"]
    except KeyError:
        missing = [key for key in REQUIRED if key not in row]
        raise InputError(
            f"{where}: field {missing[0]!r} is missing; an utterance needs {', '.join(REQUIRED)}"
        ) from None
    text, speaker, lang = row.get("text", ""), row.get("speaker", ""), row.get("lang", "")
    if not type(id_) is type(name) is type(text) is type(speaker) is type(lang) is str:
        key = next(key for key in ("id", "audio_filepath", *TEXT_FIELDS) if type(row.get(key, "")) is not str)
        raise InputError(f"{where}: {key!r} must be a string, found {row[key]!r}; put it in quotes")
    if not id_:
        raise InputError(f"{where}: 'id' is empty; give every utterance a name of its own")
    control = _CONTROL.search(id_)
    if control:
        raise InputError(f"{where}: 'id' contains the control character U+{ord(control[0]):04X}; rename the utterance")
    if not name or "\0" in name:
        raise InputError(f"{where}: 'audio_filepath' is {name!r}; expected the path of a recording")
    duration, offset = _seconds(duration, "duration", where), _seconds(row.get("offset", 0.0), "offset", where)
    return Utterance(id_, _absolute(name, folder), duration, text, offset, sys.intern(speaker), sys.intern(lang))


def _absolute(name: str, folder: str) -> Path:
    if "://" in name:
        return Path(name)
    joined = name if name[0] == "/" else f"{folder}/{name}"
    return Path(os.path.normpath(joined) if "/." in joined or "//" in joined or name[-1] == "/" else joined)


def _seconds(value: object, key: str, where: str) -> float:
    if (type(value) is not float and type(value) is not int) or not 0.0 <= value <= LONGEST_S:
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
        "audio_filepath": address_of(utterance.audio_filepath)
        or Path(os.path.relpath(utterance.audio_filepath.absolute(), folder)).as_posix(),
        "offset": utterance.offset,
        "duration": utterance.duration,
        "text": utterance.text,
        "speaker": utterance.speaker,
        "lang": utterance.lang,
        **more,
    }
    return json.dumps(row, ensure_ascii=False) + "\n"
