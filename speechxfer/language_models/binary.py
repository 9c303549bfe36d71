"""Compact files of n-gram models: the arrays of `NgramTables` one after the other, which are memory-mapped.

Little-endian. 128 bytes of header: the magic number ``SXNGRAM`` with a zero, version and order (uint32), the number of n-grams of
orders 1 to 6 and the bytes of words and of metadata (uint64), zeros. Then, each from a multiple of 64 bytes on: metadata (JSON:
``unit`` and ``normalizer``), words (UTF-8, separated by line feeds), keys (int64), log-probabilities (float32), links (int32),
backoff weights (float32). The file ends with the last weight.

A file is untrusted: all of it is checked when it is opened, so that no query can leave the arrays.
"""

import json
import os
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from speechxfer.errors import InputError
from speechxfer.language_models.scratch import BLOCK, blocks, write_zeros
from speechxfer.language_models.tables import (
    MAX_NGRAMS,
    MAX_ORDER,
    SPECIAL,
    Floats,
    Ints,
    NgramTables,
    Unit,
    check_words,
    count_contexts,
)
from speechxfer.runtime import atomic_file, parse_json
from speechxfer.text import Normalizer

MAGIC, VERSION = b"SXNGRAM\0", 1
HEADER = struct.Struct("<8sII6QQQ48x")
ALIGNMENT = 64
MAX_METADATA_BYTES = 1 << 16
FIX = "train the model again with `speechxfer lm train`"


@dataclass(frozen=True)
class Layout:
    """Sizes of a file, from which follow the places of its parts."""

    counts: tuple[int, ...]
    word_bytes: int
    metadata_bytes: int

    def places(self) -> list[tuple[int, int]]:
        """Begin and end of metadata, words, keys, log-probabilities, links and backoff weights, in bytes."""
        rows, contexts = 1 + sum(self.counts), count_contexts(self.counts)
        sizes = (self.metadata_bytes, self.word_bytes, 8 * rows, 4 * rows, 4 * rows, 4 * contexts)
        places, end = [], HEADER.size
        for size in sizes:
            begin = -(-end // ALIGNMENT) * ALIGNMENT
            end = begin + size
            places.append((begin, end))
        return places

    def header(self) -> bytes:
        """The first bytes of the file."""
        counts = (*self.counts, *(0 for _ in range(MAX_ORDER - len(self.counts))))
        return HEADER.pack(MAGIC, VERSION, len(self.counts), *counts, self.word_bytes, self.metadata_bytes)


def is_binary(path: Path) -> bool:
    """Whether a file begins as a compact file does; False if it cannot be read."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return False
        with path.open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except (OSError, ValueError):
        return False


@contextmanager
def create_binary(
    path: Path, words: tuple[str, ...], counts: tuple[int, ...], unit: Unit, normalizer: Normalizer | None
) -> Iterator[NgramTables]:
    """The tables of a new file, to be filled (key, log-probability and link of row 0 are) while the block lasts.

    Raises:
        InputError: the place cannot be written.
    """
    text = "\n".join(words).encode()
    described = {"unit": unit, "normalizer": normalizer.to_dict() if normalizer else None}
    metadata = json.dumps(described, sort_keys=True).encode()
    layout = Layout(counts, len(text), len(metadata))
    places = layout.places()
    with atomic_file(path) as partial:
        with partial.open("r+b") as file:
            file.write(layout.header())
            for (begin, _), content in zip(places, (metadata, text), strict=False):
                file.seek(begin)
                file.write(content)
            write_zeros(file, places[-1][1] - file.tell())
        arrays = _map(partial, places, "r+")
        arrays[0][0] = -1
        yield NgramTables(words, counts, *arrays, unit, normalizer)
        for array in arrays:
            array.flush()


def write_binary(tables: NgramTables, path: Path | str) -> None:
    """Write a compact file.

    Raises:
        InputError: the place cannot be written.
    """
    with create_binary(Path(path), tables.words, tables.counts, tables.unit, tables.normalizer) as new:
        for name in ("keys", "log_probs", "links", "backoffs"):
            source, target = getattr(tables, name), getattr(new, name)
            for block in blocks(len(source)):
                target[block] = source[block]


def read_binary(path: Path | str) -> NgramTables:
    """Open a compact file; its arrays are memory-mapped.

    Raises:
        InputError: the file cannot be read, is of another version or is damaged.
    """
    path = Path(path)
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(HEADER.size)
            layout = _parse_header(head, size, path)
            places = layout.places()
            metadata, text = (os.pread(file.fileno(), end - begin, begin) for begin, end in places[:2])
        arrays = _map(path, places, "c")
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error}); {FIX}") from error
    unit, normalizer = _parse_metadata(metadata, path)
    try:
        words = text.decode("utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: its words are not UTF-8; {FIX}") from error
    if len(words) != layout.counts[0] or tuple(words[: len(SPECIAL)]) != SPECIAL or "" in words:
        raise _damaged(path, "words")
    check_words(words, str(path))
    tables = NgramTables(tuple(words), layout.counts, *arrays, unit, normalizer)
    _check_keys(tables, path)
    _check_values(tables, path)
    return tables


def _map(path: Path, places: list[tuple[int, int]], mode: Any) -> tuple[Any, Any, Any, Any]:
    """Keys, log-probabilities, backoff weights and links: the order of `NgramTables`."""

    def part(place: tuple[int, int], dtype: str) -> NDArray[Any]:
        return np.memmap(path, dtype, mode, place[0], ((place[1] - place[0]) // np.dtype(dtype).itemsize,))

    return part(places[2], "<i8"), part(places[3], "<f4"), part(places[5], "<f4"), part(places[4], "<i4")


def _damaged(path: Path, what: str) -> InputError:
    return InputError(f"{path}: damaged ({what}); {FIX}")


def _parse_header(head: bytes, size: int, path: Path) -> Layout:
    if len(head) < HEADER.size or not head.startswith(MAGIC):
        raise InputError(f"{path}: is not a compact language model; {FIX}")
    _, version, order, *counts, word_bytes, metadata_bytes = HEADER.unpack(head)
    if version != VERSION:
        raise InputError(
            f"{path}: a language model of version {version}; this release reads version {VERSION}; "
            "use the release of speechxfer that wrote it"
        )
    if not 1 <= order <= MAX_ORDER or any(counts[order:]) or counts[0] < len(SPECIAL) or sum(counts) > MAX_NGRAMS:
        raise _damaged(path, "header")
    layout = Layout(tuple(counts[:order]), word_bytes, metadata_bytes)
    if layout.header() != head or metadata_bytes > MAX_METADATA_BYTES or layout.places()[-1][1] != size:
        raise _damaged(path, f"header, or the file is incomplete: {size:,} bytes")
    return layout


def _parse_metadata(metadata: bytes, path: Path) -> tuple[Unit, Normalizer | None]:
    described = parse_json(metadata, str(path), fix=FIX)
    if not isinstance(described, dict) or described.keys() != {"unit", "normalizer"}:
        raise _damaged(path, "metadata")
    if described["unit"] not in get_args(Unit):
        raise _damaged(path, f"unit {described['unit']!r}")
    given = described["normalizer"]
    try:
        return described["unit"], None if given is None else Normalizer.from_dict(given)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _check_keys(tables: NgramTables, path: Path) -> None:
    """Keys ascend, every word is an n-gram of order 1, and the contexts of each order are of the order below."""
    keys: Ints = tables.keys
    words = len(tables.words)
    for first in range(0, len(keys), BLOCK):
        part = keys[first : first + BLOCK + 1]
        if (part[1:] <= part[:-1]).any():
            raise _damaged(path, "order of keys")
    for order in range(1, tables.order + 1):
        rows, contexts = tables.rows_of(order), tables.rows_of(order - 1)
        inside = keys[rows.start : rows.stop]
        if len(inside) and not (contexts.start * words <= inside[0] and inside[-1] < contexts.stop * words):
            raise _damaged(path, f"keys of order {order}")
    if keys[0] != -1:
        raise _damaged(path, "keys of order 1")


def _check_values(tables: NgramTables, path: Path) -> None:
    """Links lead to lower orders; log-probabilities are finite and at most 0, backoff weights finite."""
    for order in range(1, tables.order + 1):
        rows = tables.rows_of(order)
        links = tables.links[rows.start : rows.stop]
        lowest = rows.start if order > 1 else 1
        if any(
            len(links[block]) and not 0 <= links[block].min() <= links[block].max() < lowest
            for block in blocks(len(links))
        ):
            raise _damaged(path, f"links of order {order}")
    floats: Floats = tables.log_probs
    if any(not (np.isfinite(floats[block]) & (floats[block] <= 0)).all() for block in blocks(len(floats))):
        raise _damaged(path, "log-probabilities")
    if any(not np.isfinite(tables.backoffs[block]).all() for block in blocks(len(tables.backoffs))):
        raise _damaged(path, "backoff weights")
    if tables.links[0] or tables.log_probs[0] or tables.backoffs[0]:
        raise _damaged(path, "the empty n-gram")
