"""Arrays in temporary files, for texts whose counts do not fit into memory."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from speechxfer.runtime import temporary_folder

BLOCK = 1 << 22  # values that are in memory at once


class Scratch:
    """A folder of arrays; the system writes them to disk when memory is short."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files = 0

    def path(self) -> Path:
        """A new name in the folder."""
        self._files += 1
        return self._folder / f"{self._files}.array"

    def array(self, dtype: Any, length: int) -> NDArray[Any]:
        """An array of zeros in a file; an empty one in memory, as no empty file can be mapped."""
        if not length:
            return np.zeros(0, dtype)
        path = self.path()
        with path.open("wb") as file:
            write_zeros(file, length * np.dtype(dtype).itemsize)
        return np.memmap(path, dtype, "r+")

    def store(self, values: NDArray[Any]) -> NDArray[Any]:
        """A copy in a file."""
        stored = self.array(values.dtype, len(values))
        stored[:] = values
        return stored

    @contextmanager
    def growing(self, dtype: Any) -> "Iterator[GrowingArray]":
        """An array that is written a part at a time."""
        path = self.path()
        with path.open("wb") as file:
            yield GrowingArray(path, file, dtype)


class GrowingArray:
    """A file of numbers that is written from front to back."""

    def __init__(self, path: Path, file: BinaryIO, dtype: Any) -> None:
        self._path, self._file, self._dtype = path, file, dtype
        self.length = 0

    def append(self, values: Any) -> None:
        """Write some more numbers."""
        part = np.asarray(values, dtype=self._dtype)
        self.length += len(part)
        self._file.write(part.tobytes())

    def finish(self) -> NDArray[Any]:
        """All numbers, for reading."""
        self._file.flush()
        return np.memmap(self._path, self._dtype, "r") if self.length else np.zeros(0, self._dtype)


@contextmanager
def scratch_folder(beside: Path) -> Iterator[Scratch]:
    """A temporary folder of arrays beside a file that is written in the end; it is removed when the block ends.

    Raises:
        InputError: the disk is full or the place cannot be written.
    """
    with temporary_folder(beside) as folder:
        yield Scratch(folder)


def write_zeros(file: BinaryIO, size: int) -> None:
    """Write so many zeros: a file that is mapped must be on the disk, as a disk that is full kills whoever writes to the map."""
    for first in range(0, size, BLOCK):
        file.write(bytes(min(BLOCK, size - first)))


def blocks(length: int) -> Iterator[slice]:
    """Slices that cover a length, each of at most `BLOCK` values."""
    return (slice(first, min(first + BLOCK, length)) for first in range(0, length, BLOCK))
