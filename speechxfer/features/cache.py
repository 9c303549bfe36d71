"""Features and samples computed once and kept on disk, mapped into memory."""

import hashlib
import json
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from speechxfer.data import Samples, Utterance
from speechxfer.errors import InputError
from speechxfer.features.extraction import AudioOptions, utterance_features, utterance_samples
from speechxfer.runtime import track

SAMPLE_SCALE = 32767.0
LONGEST_ROW_BYTES = 4096  # of one frame


@dataclass(frozen=True)
class FeatureStore:
    """Features of a manifest at one or several speeds, in one file that is mapped into memory, not read."""

    values: np.memmap  # [frames of everything, mels]
    starts: tuple[tuple[int, ...], ...]  # [speed][utterance]
    frames: tuple[tuple[int, ...], ...]  # [speed][utterance]

    def get(self, index: int, speed_index: int = 0) -> Samples:
        """float32 `[frames, mels]` of utterance `index` at speed number `speed_index`."""
        start = self.starts[speed_index][index]
        return np.array(self.values[start : start + self.frames[speed_index][index]], dtype=np.float32)


def store_features(
    utterances: Sequence[Utterance],
    reading: AudioOptions,
    folder: Path,
    *,
    speeds: Sequence[float] = (1.0,),
    half: bool = False,
) -> FeatureStore:
    """Compute features once, or find them again in `folder` if audio, settings and speeds are still the same.

    Args:
        folder: made if missing; holds one file per combination, safe to delete at any time.
        speeds: each utterance is stored at each of them.
        half: float16 instead of float32 on disk (training; the loss of precision is below the augmentation by far).
    """
    what = json.dumps([reading.spec.to_dict(), reading.resample, reading.mono, list(speeds), half])
    dtype = np.float16 if half else np.float32

    def rows(utterance: Utterance, speed: float) -> npt.NDArray[Any]:
        return utterance_features(utterance, reading, speed).astype(dtype)

    return _stored(utterances, rows, speeds, folder, what, (reading.spec.dim,), dtype)


@dataclass(frozen=True)
class SampleStore:
    """The samples of a manifest, read and resampled once, in one file that is mapped into memory."""

    store: FeatureStore

    def get(self, index: int) -> Samples:
        """float32 `[samples]` of utterance `index`, in [-1, 1]."""
        samples: Samples = self.store.get(index) / SAMPLE_SCALE
        return samples


def store_samples(utterances: Sequence[Utterance], reading: AudioOptions, folder: Path) -> SampleStore:
    """Like `store_features`, of samples: 16 bit, at the rate of the features."""
    what = json.dumps(["samples", reading.spec.sample_rate_hz, reading.resample, reading.mono])

    def rows(utterance: Utterance, speed: float) -> npt.NDArray[Any]:
        samples = utterance_samples(utterance, reading)
        return np.round(samples.clip(-1, 1) * SAMPLE_SCALE).astype(np.int16)

    return SampleStore(_stored(utterances, rows, (1.0,), folder, what, (), np.int16))


def _stored(
    utterances: Sequence[Utterance],
    rows: Callable[[Utterance, float], npt.NDArray[Any]],
    speeds: Sequence[float],
    folder: Path,
    what: str,
    shape: tuple[int, ...],
    dtype: type,
) -> FeatureStore:
    """`rows(utterance, speed)` of all, computed or found again under a name that `what` and the audio files decide.

    An utterance that occurs several times is stored once.
    """
    place = {utterance: number for number, utterance in enumerate(dict.fromkeys(utterances))}
    stored = list(place)
    key = _store_key(stored, what)
    index_path, values_path = folder / f"{key}.json", folder / f"{key}.bin"
    frames = _stored_frames(index_path, values_path, math.prod(shape) * np.dtype(dtype).itemsize)
    if frames is None:
        frames = _compute_store(stored, rows, speeds, index_path, values_path)
    ends = np.cumsum([0, *(count for row in frames for count in row)])
    values = np.memmap(values_path, dtype=dtype, mode="r", shape=(max(1, int(ends[-1])), *shape))
    places = [place[utterance] for utterance in utterances]
    starts = tuple(tuple(int(ends[speed * len(stored) + i]) for i in places) for speed in range(len(frames)))
    return FeatureStore(values, starts, tuple(tuple(row[i] for i in places) for row in frames))


def _stored_frames(index_path: Path, values_path: Path, frame_bytes: int) -> tuple[tuple[int, ...], ...] | None:
    """Frames by speed and utterance of a store that was kept; None where it is missing or not whole."""
    try:
        frames = tuple(map(tuple, json.loads(index_path.read_text())["frames"]))
        whole = values_path.stat().st_size == sum(map(sum, frames)) * frame_bytes + LONGEST_ROW_BYTES
    except (OSError, ValueError, KeyError, TypeError):
        return None  # it is computed again
    return frames if whole else None


def _store_key(utterances: Sequence[Utterance], what: str) -> str:
    digest = hashlib.sha256(what.encode())
    for utterance in utterances:
        try:
            status = utterance.audio_filepath.stat()
        except OSError as error:
            raise InputError(
                f"{utterance.id}: {utterance.audio_filepath} is missing; correct 'audio_filepath' in the manifest"
            ) from error
        place = (
            str(utterance.audio_filepath),
            status.st_size,
            status.st_mtime_ns,
            utterance.offset,
            utterance.duration,
        )
        digest.update(repr(place).encode())
    return digest.hexdigest()[:24]


def _compute_store(
    utterances: Sequence[Utterance],
    rows: Callable[[Utterance, float], npt.NDArray[Any]],
    speeds: Sequence[float],
    index_path: Path,
    values_path: Path,
) -> tuple[tuple[int, ...], ...]:
    """Write the store; its frames by speed and utterance."""
    try:
        index_path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{index_path.parent}: cannot keep features there ({error.strerror}); set data.cache_dir"
        ) from error
    partial = values_path.with_suffix(f".{os.getpid()}.partial")
    per_speed: list[list[int]] = []
    try:
        with partial.open("wb") as file:
            for speed in speeds:
                counts = []
                for utterance in track(utterances, f"reading at speed {speed:g}"):
                    values = rows(utterance, speed)
                    counts.append(len(values))
                    file.write(values.tobytes())
                per_speed.append(counts)
            file.write(b"\0" * LONGEST_ROW_BYTES)  # an empty file cannot be mapped
        partial.replace(values_path)
    finally:
        partial.unlink(missing_ok=True)
    index_partial = index_path.with_suffix(f".{os.getpid()}.partial")
    index_partial.write_text(json.dumps({"frames": per_speed}))
    index_partial.replace(index_path)
    return tuple(map(tuple, per_speed))
