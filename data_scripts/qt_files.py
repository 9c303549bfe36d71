"""Two file formats of the Qt toolkit: compiled resources (``.rcc``) and compiled translations (``.qm``).

What it is: `resources` and `translations`, which read a file whole. What it is not: a writer, or a reader of
resources compressed otherwise than by zlib (Zstandard is refused). Source: Qt 5's own
``src/corelib/io/qresource.cpp`` and ``src/corelib/kernel/qtranslator.cpp``, which define both formats; all numbers
are big-endian.
"""

import struct
import zlib
from pathlib import Path

from speechxfer.errors import InputError

_DIRECTORY, _COMPRESSED, _ZSTANDARD = 2, 1, 4  # flags of an entry
_QM_MAGIC = bytes.fromhex("3cb86418caef9c95cd211cbf60a1bddd")
_MESSAGES = 0x69  # tag of the section that holds the texts
_END, _TRANSLATION, _OBSOLETE = 1, 3, 5
_SOURCE = 6  # tags of a message; those that are not named here are contexts and comments


def resources(path: Path) -> dict[str, bytes]:
    """The files of a resource collection by their path inside it (``/folder/name.json``).

    Raises:
        InputError: not a resource file of version 1 to 3, or one with Zstandard compression.
    """
    data = _bytes(path)
    if data[:4] != b"qres" or len(data) < 20:
        raise InputError(f"{path}: not a Qt resource file; expected one that starts with 'qres': check the path")
    version, tree, contents, names = struct.unpack(">4I", data[4:20])
    size = 14 if version == 1 else 22
    files: dict[str, bytes] = {}

    def name(offset: int) -> str:
        (length,) = struct.unpack_from(">H", data, names + offset)
        return data[names + offset + 6 : names + offset + 6 + 2 * length].decode("utf-16-be")

    def walk(node: int, prefix: str) -> None:
        name_offset, flags = struct.unpack_from(">IH", data, tree + node * size)
        place = f"{prefix}/{name(name_offset)}" if node else ""
        if flags & _DIRECTORY:
            count, first = struct.unpack_from(">2I", data, tree + node * size + 6)
            for child in range(first, first + count):
                walk(child, place)
            return
        (offset,) = struct.unpack_from(">I", data, tree + node * size + 10)
        (length,) = struct.unpack_from(">I", data, contents + offset)
        content = data[contents + offset + 4 : contents + offset + 4 + length]
        if flags & _ZSTANDARD:
            raise InputError(
                f"{path}: {place} is compressed with Zstandard; expected zlib: take the package of Debian 12"
            )
        files[place] = zlib.decompress(content[4:]) if flags & _COMPRESSED else content

    try:
        walk(0, "")
    except (struct.error, zlib.error, UnicodeDecodeError) as error:
        raise InputError(f"{path}: a damaged Qt resource file ({error}): fetch it again") from error
    return files


def translations(path: Path) -> dict[str, str]:
    """Translation by source text; of several contexts the first that is translated.

    Raises:
        InputError: not a compiled translation.
    """
    data = _bytes(path)
    if data[:16] != _QM_MAGIC:
        raise InputError(f"{path}: not a compiled Qt translation (.qm): check the path")
    texts: dict[str, str] = {}
    place = 16
    try:
        while place < len(data):
            tag, length = struct.unpack_from(">BI", data, place)
            if place + 5 + length > len(data):
                raise struct.error(f"it ends {place + 5 + length - len(data)} bytes early")
            if tag == _MESSAGES:
                for source, translation in _messages(data[place + 5 : place + 5 + length]):
                    if source and translation:
                        texts.setdefault(source, translation)
            place += 5 + length
    except (struct.error, UnicodeDecodeError) as error:
        raise InputError(f"{path}: a damaged Qt translation ({error}): fetch it again") from error
    return texts


def _messages(section: bytes) -> list[tuple[str, str]]:
    pairs, source, translation, place = [], "", "", 0
    while place < len(section):
        tag = section[place]
        place += 1
        if tag == _END:
            pairs.append((source, translation))
            source = translation = ""
        elif tag == _OBSOLETE:
            place += 4
        else:
            (length,) = struct.unpack_from(">I", section, place)
            content = section[place + 4 : place + 4 + length] if length != 0xFFFFFFFF else b""
            place += 4 + len(content)
            if tag == _TRANSLATION and not translation:
                translation = content.decode("utf-16-be")
            elif tag == _SOURCE:
                source = content.rstrip(b"\0").decode("utf-8")
    return pairs


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); expected a file of Qt: check the path") from error
