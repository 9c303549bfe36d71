"""Recordings that are no file of their own: members of tar archives, and objects behind an address such as ``s3://``.

A member's path is ``ARCHIVE#member=NAME&bytes=FIRST-LAST``: an address with the range of bytes that HTTP would ask for (RFC 9110,
section 14.1.2), so that reading it is one read and needs no index; `NAME` is percent-encoded. The header in front of these bytes
(POSIX ustar) shows whether the archive still has that member there. Archives are never unpacked.

As `Path` has one slash where an address has two, a relative path that begins with a scheme (``s3:/``) is an address.
Addresses are opened by fsspec (extra ``remote``).
"""

import io
import os
import re
import stat
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from speechxfer.data.headers import FileKey, UnreadableAudioError, file_key
from speechxfer.errors import InputError
from speechxfer.runtime import import_extra

MAX_CONTENT_BYTES = 4 << 30
KEPT_BYTES = 64_000_000  # of contents read last: a file is opened several times, long recordings are read in segments
TAR_BLOCK_BYTES = 512
LONGEST_NAME_BYTES = 100  # of ustar's header; of longer names it has a part
UNDECODED = "surrogateescape"  # how Python shows bytes of names that are not UTF-8
_ADDRESS = re.compile(r"([a-z][a-z0-9+.-]+):/+(.*)", re.DOTALL)
_MEMBER = re.compile(r"(.+)#member=([^&]+)&bytes=(\d{1,18})-(\d{1,18})", re.DOTALL)
_FIX = "run `speechxfer import` on the archive again"


@dataclass(frozen=True)
class _Place:
    """Where contents are; `member` and the position of its first and last byte only for members of archives."""

    path: str
    is_remote: bool
    member: str = ""
    first: int = 0
    last: int = 0


def member_path(archive: str, name: str, first: int, size: int) -> str:
    """The path of a member of an archive, as in a manifest."""
    return f"{archive}#member={quote(name, safe='', errors=UNDECODED)}&bytes={first}-{first + size - 1}"


def address_of(path: Path | str) -> str:
    """The address that a path stands for; empty for a path of this machine.

    >>> address_of(Path("s3://bucket/a.flac"))
    's3://bucket/a.flac'
    """
    match = _ADDRESS.fullmatch(os.fspath(path))
    return f"{match[1]}://{'/' if match[1] == 'file' else ''}{match[2]}" if match else ""


def is_contained(path: Path | str) -> bool:
    """Whether a recording is no file of its own on this machine."""
    return _place(path) is not None


def archive_of(path: Path | str) -> str:
    """The file of this machine that a recording is in, or is; empty for an address."""
    place = _place(path)
    return os.fspath(path) if place is None else "" if place.is_remote else place.path


def is_header_of(header: bytes, path: Path | str) -> bool:
    """Whether a block of an archive is the header by which `read_contents` knows a member again."""
    place = _place(path)
    return place is not None and _is_header(header, place)


def read_contents(path: Path | str) -> bytes:
    """The bytes of a member or object.

    Raises:
        UnreadableAudioError: it is missing, cannot be read, is too large, or the archive has something else in its place.
    """
    place = _place(path)
    if place is None:
        raise UnreadableAudioError(path, "is neither a member of an archive nor an address")
    with _lock:
        if os.fspath(path) in _kept:
            _kept.move_to_end(os.fspath(path))
            return _kept[os.fspath(path)]
    try:
        content = _read_remote(place) if place.is_remote else _read_local(place)
    except (OSError, ValueError) as error:
        cause = str(getattr(error, "strerror", None) or error) or type(error).__name__
        shown = address_of(path) or path
        raise UnreadableAudioError(
            shown, f"cannot be read ({cause})", "correct its path or the access to it"
        ) from error
    if place.member:
        header, content = content[:TAR_BLOCK_BYTES], content[TAR_BLOCK_BYTES:]
        if not _is_header(header, place) or len(content) < place.last + 1 - place.first:
            raise UnreadableAudioError(
                path, "the archive no longer has this member there: it was changed or cut off", _FIX
            )
    keep_contents(path, content)
    return content


def keep_contents(path: Path | str, content: bytes) -> None:
    """Have what was read of a member or object at hand, for when it is read next."""
    with _lock:
        _kept[os.fspath(path)] = content
        while len(_kept) > 1 and sum(map(len, _kept.values())) > KEPT_BYTES:
            _kept.popitem(last=False)


def open_recording(path: Path | str) -> io.BufferedIOBase:
    """A recording, wherever it is, as an open file; errors as `read_contents`, and `OSError` for a file of this machine."""
    return io.BytesIO(read_contents(path)) if is_contained(path) else open(path, "rb")


def recording_key(path: Path | str) -> FileKey:
    """As `file_key`; what is no file of its own is taken not to change while this process runs."""
    return (os.fspath(path), 0, len(read_contents(path)), 0) if is_contained(path) else file_key(path)


def open_file_system(address: str) -> tuple[Any, str]:
    """fsspec's file system of an address, and the path in it; InputError if a package for it is missing."""
    fsspec = import_extra("fsspec", "remote", address)
    try:
        file_system, path = fsspec.core.url_to_fs(address)
    except (ImportError, ValueError) as error:  # ValueError: an unknown scheme
        raise InputError(
            f"{address}: cannot be opened ({error}); install what fsspec needs for it, or correct it"
        ) from error
    return file_system, str(path)


def _place(path: Path | str) -> _Place | None:
    text = os.fspath(path)
    if ":/" not in text and "#member=" not in text:
        return None
    text = address_of(text) or text
    is_remote = "://" in text
    match = _MEMBER.fullmatch(text) if "#member=" in text else None
    if match:
        return _Place(match[1], is_remote, unquote(match[2], errors=UNDECODED), int(match[3]), int(match[4]))
    return _Place(text, True) if is_remote else None


def _read_local(place: _Place) -> bytes:
    """A member with its header in front."""
    with open(place.path, "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ValueError("the archive is no file")
        file.seek(_first_byte(place))
        return file.read(place.last + 1 - _first_byte(place))


def _read_remote(place: _Place) -> bytes:
    """An object, or a member with its header in front."""
    file_system, path = open_file_system(place.path)
    try:
        if place.member:
            return bytes(file_system.cat_file(path, start=_first_byte(place), end=place.last + 1))
        size = file_system.size(path)
        if size is not None and size > MAX_CONTENT_BYTES:
            raise ValueError(f"more than {MAX_CONTENT_BYTES:,} bytes; copy it to this machine")
        return bytes(file_system.cat_file(path))
    except (OSError, ValueError):
        raise
    except Exception as error:  # services have exceptions of their own, such as for missing credentials
        raise OSError(f"{type(error).__name__}: {error}") from error


def _first_byte(place: _Place) -> int:
    first, size = place.first - TAR_BLOCK_BYTES, place.last + 1 - place.first
    if first < 0 or not 0 < size <= MAX_CONTENT_BYTES:
        raise ValueError(f"bytes {place.first} to {place.last} are no member of an archive")
    return first


def _is_header(header: bytes, place: _Place) -> bool:
    """Whether a block of an archive is the header of a member."""
    size = place.last + 1 - place.first
    same = header[257:262] == b"ustar" and header[124:136].strip(b" \0").lstrip(b"0") == b"%o" % size
    name = place.member.encode(errors=UNDECODED)
    if name.isascii() and len(name) < LONGEST_NAME_BYTES:
        same = same and header[:LONGEST_NAME_BYTES].rstrip(b"\0") == name
    return same


_lock = threading.Lock()
_kept: OrderedDict[str, bytes] = OrderedDict()
