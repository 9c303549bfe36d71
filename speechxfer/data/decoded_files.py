"""Segments of files that cannot be seeked exactly: cut from the decoded file, or read in order in one pass.

A file whose samples fit into `DECODED_CACHE_BYTES` is decoded once and kept. A larger one is read in blocks from its start; the
last `KEPT_SAMPLES` stay in memory, so that segments in order may overlap. Only a segment that begins before them decodes the
file anew.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol

import numpy as np

from speechxfer.data.headers import FileKey, Samples

DECODED_CACHE_BYTES = 256_000_000
BLOCK_SAMPLES = 1 << 20
KEPT_SAMPLES = 1 << 21  # 43 s at 48 kHz


class SampleReader(Protocol):
    """An open file that is read from its start to its end."""

    def read(self, count: int) -> Samples:
        """The next `count` samples, float32 `[samples, channels]`; fewer only at the end."""

    def close(self) -> None:
        """Close the file."""


class DecodedFiles:
    """Cache of the files that were decoded last, from which segments are cut; bounded in bytes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._samples: OrderedDict[FileKey, Samples] = OrderedDict()

    def get(self, key: FileKey, decode: Callable[[], Samples]) -> Samples:
        """The samples of a file, which `decode` returns if they are not in the cache."""
        with self._lock:
            if key not in self._samples:
                self._samples[key] = decode()
            self._samples.move_to_end(key)
            while len(self._samples) > 1 and sum(v.nbytes for v in self._samples.values()) > DECODED_CACHE_BYTES:
                self._samples.popitem(last=False)
            return self._samples[key]


class SequentialReaders(threading.local):
    """One open file per thread, for files too large to cache: segments in order are read in a single pass."""

    def __init__(self) -> None:
        self._key: FileKey | None = None
        self._reader: SampleReader | None = None
        self._position = 0  # of the reader
        self._kept: Samples = np.zeros((0, 1), np.float32)  # the samples before it

    def get(self, key: FileKey, start: int, count: int, open_reader: Callable[[], SampleReader]) -> Samples:
        """`count` samples from `start` on; fewer at the end of the file."""
        if self._reader is None or key != self._key or start < self._position - len(self._kept):
            self._close()
            self._reader, self._key = open_reader(), key
        try:
            while self._position < start + count:
                block = self._reader.read(min(BLOCK_SAMPLES, start + count - self._position))
                if not len(block):
                    break
                kept = self._kept[max(0, len(self._kept) - max(KEPT_SAMPLES, self._position - start)) :]
                self._kept = np.concatenate([kept, block]) if len(kept) else block
                self._position += len(block)
        except Exception:
            self._close()  # where a damaged file continues is unknown
            raise
        first = self._position - len(self._kept)
        return self._kept[start - first : start - first + count]

    def _close(self) -> None:
        if self._reader is not None:
            self._reader.close()
        self._reader, self._key, self._position = None, None, 0
        self._kept = np.zeros((0, 1), np.float32)
