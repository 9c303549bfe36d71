"""Tar archives of recordings with their texts, one sample after the other, in WebDataset's layout: utterances for a manifest.

The members of a sample have one name up to the first dot after the last slash: ``a/1.flac`` and ``a/1.txt``, or ``a/1.json`` with
``text`` and perhaps ``speaker`` and ``lang``. Archives, on this machine or behind an address, are read once, from start to end.
Nothing is unpacked: names, links and devices in them have no effect on any file.
"""

import os
import tarfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

from speechxfer.data.containers import (
    TAR_BLOCK_BYTES,
    UNDECODED,
    address_of,
    is_header_of,
    keep_contents,
    member_path,
    open_file_system,
)
from speechxfer.data.decoder import read_duration_s
from speechxfer.data.headers import UnreadableAudioError
from speechxfer.data.importing import SOUND_SUFFIXES, ImportedSpeech, slug
from speechxfer.data.manifest import Utterance
from speechxfer.errors import InputError
from speechxfer.runtime import parse_json, track_amount

MAX_TEXT_BYTES = 1 << 20
MAX_SOUND_BYTES = 1 << 30
NO_SOUND = "without sound"
NO_FILE = "links, devices and sparse files"
NO_TEXT = "without text"
_FIX = "write the shard again"


def is_tar(path: Path) -> bool:
    """Whether a file or address is an archive, by its name."""
    return path.suffix.lower() == ".tar"


def find_addresses(pattern: str) -> list[Path]:
    """The objects whose addresses fit a pattern such as ``s3://bucket/shards/*.tar``, in order of their names.

    Raises:
        InputError: there is none, or the service cannot be asked.
    """
    file_system, path = open_file_system(pattern)
    try:
        found = sorted(file_system.glob(path))
    except OSError as error:
        raise InputError(f"{pattern}: cannot be read ({error}); correct it, or the access to it") from error
    if not found:
        raise InputError(f"{pattern}: there is no such object; correct it")
    return [Path(file_system.unstrip_protocol(name)) for name in found]


def read_tar(path: Path, language: str = "") -> ImportedSpeech:
    """The utterances of an archive; `language` is that of all that state none.

    Raises:
        InputError: it cannot be read, is compressed or cut off; a text is too large or damaged; a sound cannot be read.
    """
    place = address_of(path) or os.path.abspath(path)
    imported = ImportedSpeech()
    sample: dict[str, bytes | str] = {}
    current = ""
    try:
        for key, suffix, value in _members(path, place, imported):
            if key != current:
                _add(imported, current, sample, place, language)
                current, sample = key, {}
            if suffix in sample:
                raise InputError(
                    f"{path}: the sample {_shown(current)!r} has two members {suffix!r}, as its name ends at the first dot; name "
                    f"the members of a sample alike, and others differently, and {_FIX}"
                )
            sample[suffix] = value
    except (tarfile.TarError, OSError, EOFError) as error:
        advice = "give an uncompressed tar archive, as its members are read in place, or copy it again"
        raise InputError(f"{path}: not readable as a tar archive ({error}); {advice}") from error
    _add(imported, current, sample, place, language)
    return imported


def _members(path: Path, place: str, imported: ImportedSpeech) -> Iterator[tuple[str, str, bytes | str]]:
    """Key, suffix and value of each file: the path of a sound in the archive, or the bytes of a text."""
    with ExitStack() as opened:
        file, size = _open_archive(place)
        opened.enter_context(file)
        archive = opened.enter_context(tarfile.open(fileobj=file, mode="r:"))
        done = opened.enter_context(track_amount(f"reading {path.name}", size))
        for member in archive:
            done(member.offset)
            if member.isdir():
                continue
            folder, _, name = member.name.rpartition("/")
            base, _, suffix = name.partition(".")
            suffix = "." + suffix.lower().rpartition(".")[2]
            is_sound = suffix in SOUND_SUFFIXES
            if not is_sound and suffix not in (".txt", ".json"):
                continue
            where = f"{path}: {_shown(member.name)!r}"
            if not member.isreg() or member.issparse():
                imported.skipped.setdefault(NO_FILE, []).append(_shown(member.name))
                continue
            most = MAX_SOUND_BYTES if is_sound else MAX_TEXT_BYTES
            if not 0 < member.size <= most:
                raise InputError(f"{where} has {member.size:,} bytes; expected 1 to {most:,}; {_FIX}")
            content = file.read(member.size) if file.seek(member.offset_data) == member.offset_data else b""
            if len(content) < member.size:
                raise InputError(f"{where} is cut off; copy the archive again")
            if is_sound:
                sound = member_path(place, member.name, member.offset_data, member.size)
                file.seek(member.offset_data - TAR_BLOCK_BYTES)
                if not is_header_of(file.read(TAR_BLOCK_BYTES), sound):
                    raise InputError(
                        f"{where} has no header of the POSIX format ustar; {_FIX}, such as with tar --format=pax"
                    )
                keep_contents(Path(sound), content)
            yield (
                f"{folder}/{base}" if folder else base,
                "sound" if is_sound else suffix,
                sound if is_sound else content,
            )
        file.seek(archive.offset)
        if any(file.read(TAR_BLOCK_BYTES) or b"?"):  # where a header is damaged or missing, tarfile stops as at the end
            raise InputError(
                f"{path}: is damaged or cut off at byte {archive.offset:,}; copy the archive again, or {_FIX}"
            )


def _open_archive(place: str) -> tuple[BinaryIO, int]:
    """An archive, open for reading, and its size."""
    if not address_of(place):
        return open(place, "rb"), os.path.getsize(place)
    file_system, name = open_file_system(place)
    return file_system.open(name, "rb"), file_system.size(name)


def _add(imported: ImportedSpeech, key: str, sample: dict[str, bytes | str], place: str, language: str) -> None:
    key = _shown(key)
    where = f"{place}: {key!r}"
    sound = sample.get("sound")
    if not isinstance(sound, str):
        if key:
            imported.skipped.setdefault(NO_SOUND, []).append(key)
        return
    try:
        duration_s = read_duration_s(Path(sound))
    except UnreadableAudioError as error:
        raise InputError(f"{where}: {error.reason}; {error.advice}") from error
    details = _details(sample, where)
    if not details["text"]:
        imported.changed.setdefault(NO_TEXT, []).append(key)
    imported.append(
        Utterance(
            id=slug(key.removeprefix("./").replace("/", "-")),
            audio_filepath=Path(sound),
            duration=round(duration_s, 6),
            text=details["text"],
            speaker=details["speaker"],
            lang=details["lang"] or language,
        )
    )


def _shown(name: str) -> str:
    """A name without the bytes that are not UTF-8, which can be neither printed nor written."""
    return name.encode(errors=UNDECODED).decode(errors="replace")


def _details(sample: dict[str, bytes | str], where: str) -> dict[str, str]:
    """Text, speaker and language of a sample, from its texts; empty where they are not stated."""
    row = parse_json(sample[".json"], f"{where}.json", fix=_FIX) if ".json" in sample else {}
    if not isinstance(row, dict):
        raise InputError(f"{where}.json: expected a JSON object with 'text', found {type(row).__name__}; {_FIX}")
    details = {name: row.get(name, "") for name in ("text", "speaker", "lang")}
    if ".txt" in sample:
        content = sample[".txt"]
        try:
            details["text"] = (content.decode("utf-8-sig") if isinstance(content, bytes) else content).strip()
        except UnicodeDecodeError as error:
            raise InputError(f"{where}.txt: not UTF-8 at byte {error.start}; {_FIX}") from error
    for name, value in details.items():
        if not isinstance(value, str):
            raise InputError(f"{where}.json: {name!r} must be a string, found {value!r}; put it in quotes")
    return details
