"""A folder of arrays that are computed once: one file for each, named after a hash of everything that determines it.

An entry is written whole or not at all, carries a checksum, and is found by any process that asks for the same contents. Locks
let two processes share the computation. The entries that were used least recently are removed beyond `LIMIT_BYTES`. The
folder may be deleted at any time.
"""

import os
import random
import shutil
import struct
import zlib
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from speechxfer.errors import InputError
from speechxfer.runtime import atomic_file, file_lock, log_info

Array = npt.NDArray[np.generic]

LIMIT_BYTES = 20_000_000_000
REPORTED_BYTES = 1_000_000_000  # a computation that needs more is announced
SUFFIX = ".features"
_MAGIC = b"sxferft1"
_HEADER = struct.Struct("<8sIII")  # magic, rows, bytes of a row, CRC-32 of the rows


@dataclass(frozen=True)
class FeatureCache:
    """Arrays `[rows, ...]` of one type and row shape in a folder.

    The key of an entry is its file's path in the folder, ``SHARD/DIGEST``; entries of one shard have one lock.
    """

    folder: Path
    dtype: npt.DTypeLike
    row_shape: tuple[int, ...]

    def __post_init__(self) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(
                f"{self.folder}: features cannot be stored there ({error.strerror}); set data.cache_dir"
            ) from error

    @property
    def row_bytes(self) -> int:
        """Bytes of one row."""
        return int(np.prod(self.row_shape, dtype=np.int64)) * np.dtype(self.dtype).itemsize

    def path(self, key: str) -> Path:
        """File of an entry."""
        return self.folder / (key + SUFFIX)

    def rows(self, key: str) -> int | None:
        """Rows of an entry, without reading them; None where it is missing or not whole."""
        try:
            with self.path(key).open("rb") as file:
                return self._read_header(file.read(_HEADER.size), os.fstat(file.fileno()).st_size)[0]
        except OSError:
            return None

    def read(self, key: str) -> Array | None:
        """An entry; None where it is missing or damaged."""
        try:
            data = self.path(key).read_bytes()
        except OSError:
            return None
        rows, checksum = self._read_header(data, len(data))
        values = memoryview(data)[_HEADER.size :]
        if rows is None or zlib.crc32(values) != checksum:
            return None
        return np.frombuffer(values, dtype=self.dtype).reshape(rows, *self.row_shape)

    def _read_header(self, data: bytes, file_bytes: int) -> tuple[int | None, int]:
        """Rows and checksum of an entry; no rows where the file is of another kind or not whole."""
        if len(data) < _HEADER.size:
            return None, 0
        magic, rows, row_bytes, checksum = _HEADER.unpack_from(data)
        whole = magic == _MAGIC and row_bytes == self.row_bytes and file_bytes == _HEADER.size + rows * row_bytes
        return (rows if whole else None), checksum

    def write(self, key: str, values: Array) -> None:
        """Store an entry; InputError where the disk is full."""
        data = np.ascontiguousarray(values, dtype=self.dtype).tobytes()
        header = _HEADER.pack(_MAGIC, len(values), self.row_bytes, zlib.crc32(data))
        with atomic_file(self.path(key)) as partial:
            partial.write_bytes(header + data)

    def fill(
        self, missing: Sequence[str], compute: Callable[[str], Array], needed_bytes: int, used: Set[str]
    ) -> Iterator[None]:
        """Compute the missing entries; yields after each.

        Several processes that fill the same folder share the work: each shard is locked while its entries are computed.

        Args:
            needed_bytes: estimate of what the missing entries take, compared with the room on the disk beforehand.
            used: entries that are not removed to make room.
        """
        if not missing:
            return
        self._make_room(needed_bytes, used)
        by_shard: dict[str, list[str]] = defaultdict(list)
        for key in missing:
            by_shard[key.partition("/")[0]].append(key)
        in_own_order = random.Random(os.getpid()).sample(sorted(by_shard), len(by_shard))  # so that they rarely meet
        for shard in in_own_order:
            with file_lock(self.folder / shard / "entries"):
                for key in by_shard[shard]:
                    if self.rows(key) is None:
                        self.write(key, compute(key))
                    yield
        self._evict(LIMIT_BYTES, used)

    def mark_used(self, keys: Collection[str]) -> None:
        """Note the time of use, by which entries are removed."""
        for key in keys:
            with suppress(OSError):  # a folder that may only be read
                os.utime(self.path(key))

    def _make_room(self, needed_bytes: int, used: Set[str]) -> None:
        """Log the space needed, remove old entries if the disk lacks the room; InputError where that is not enough."""
        free = shutil.disk_usage(self.folder).free
        if needed_bytes > free:
            stored_bytes = sum(size for _, size, _ in self._entries())
            self._evict(max(0, stored_bytes - (needed_bytes - free)), used)
            free = shutil.disk_usage(self.folder).free
        if needed_bytes > free:
            raise InputError(
                f"{self.folder}: the features need about {needed_bytes / 1e9:.1f} GB, and {free / 1e9:.1f} GB of the disk are "
                "free; free some, or set data.cache_dir to a folder on another disk"
            )
        if needed_bytes > REPORTED_BYTES:
            log_info(f"features take about {needed_bytes / 1e9:.1f} GB in {self.folder}")

    def _entries(self) -> list[tuple[int, int, Path]]:
        """Time of the last use, bytes and file of each entry."""
        found = []
        for path in self.folder.glob(f"*/*{SUFFIX}"):
            with suppress(FileNotFoundError):  # another process has removed it
                status = path.stat()
                found.append((status.st_mtime_ns, status.st_size, path))
        return found

    def _evict(self, limit_bytes: int, used: Set[str]) -> None:
        """Remove the entries used least recently until the rest fits, but none of `used`."""
        kept = {self.path(key) for key in used}
        entries = sorted(self._entries())
        total = sum(size for _, size, _ in entries)
        for _, size, path in entries:
            if total <= limit_bytes:
                return
            if path not in kept:
                path.unlink(missing_ok=True)
                total -= size
