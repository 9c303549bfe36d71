"""From utterances to padded batches: features computed once and kept, length buckets under a budget of frames.

Every utterance is used once per epoch, however small the corpus; every process gets the same number of steps; the plan
is a function of (seed, epoch) alone, so a resumed run finds its place by recomputing it. What it is not: a dataset class
or a loader with workers. Targets are concatenated, never padded, so no padding value can reach a loss.
"""

import hashlib
import json
import math
import os
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from speechxfer.augment import at_speed
from speechxfer.errors import InputError
from speechxfer.features import FeatureSpec, Samples, audio_rate_hz, filterbank, read_audio
from speechxfer.manifest import Utterance
from speechxfer.progress import say, track

SAMPLE_SCALE = 32767.0
LONGEST_ROW_BYTES = 4096  # of one frame
LOADED_AHEAD = 8  # batches
LOADING_THREADS = max(1, (os.cpu_count() or 1) - 1)


@dataclass(frozen=True)
class Batch:
    """Padded features of some utterances and their concatenated targets."""

    ids: tuple[str, ...]
    features: Tensor
    """float32 `[batch, frames, mels]`, zero beyond each utterance's length."""
    lengths: Tensor
    """int64 `[batch]`, in frames."""
    targets: Tensor
    """int64 `[sum(target_lengths)]`: the utterances' symbols one after the other."""
    target_lengths: Tensor
    """int64 `[batch]`."""

    def to(self, device: torch.device) -> "Batch":
        """The same batch on a device (lengths stay where CTC wants them: on the CPU they are small either way)."""
        tensors = (self.features, self.lengths, self.targets, self.target_lengths)
        return Batch(self.ids, *(tensor.to(device) for tensor in tensors))


@dataclass(frozen=True)
class Reading:
    """How audio becomes features: see `read_audio` for the two permissions."""

    spec: FeatureSpec
    resample: bool = False
    mono: bool = False


def utterance_samples(utterance: Utterance, reading: Reading) -> Samples:
    """float32 `[samples]` of one utterance at the features' rate."""
    return read_audio(
        utterance.audio_filepath,
        sample_rate_hz=reading.spec.sample_rate_hz,
        offset_s=utterance.offset,
        duration_s=utterance.duration,
        resample=reading.resample,
        mono=reading.mono,
    )


def utterance_features(utterance: Utterance, reading: Reading, speed: float = 1.0) -> Samples:
    """float32 `[frames, mels]` of one utterance, played `speed` times as fast."""
    samples = at_speed(utterance_samples(utterance, reading), speed, reading.spec.sample_rate_hz)
    features: Samples = filterbank(samples, reading.spec).numpy()
    return features


def say_what_is_resampled(utterances: Sequence[Utterance], reading: Reading) -> None:
    """One line per sampling rate that reading will convert, if it may convert at all."""
    if not reading.resample:
        return
    rates = Counter(audio_rate_hz(path) for path in {utterance.audio_filepath for utterance in utterances})
    for rate, files in sorted(rates.items()):
        if rate != reading.spec.sample_rate_hz:
            say(f"resampling {files} files from {rate} Hz to {reading.spec.sample_rate_hz} Hz, as asked")


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
    reading: Reading,
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


def store_samples(utterances: Sequence[Utterance], reading: Reading, folder: Path) -> SampleStore:
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


def plan_batches(
    frames: Sequence[int], budget_frames: int, generator: np.random.Generator, *, processes: int = 1
) -> list[list[list[int]]]:
    """Cut utterances of these lengths into steps of one batch per process.

    Neighbours in length share a batch of at most `budget_frames` padded frames; an utterance longer than that is a batch
    of its own. Each index from 0 to len(frames) - 1 occurs exactly once. The one exception to the budget: where there are
    too few utterances to give every process one in the last step, the smallest batches are joined instead.

    Returns:
        `[step][process]` lists of indices; every step has `processes` non-empty batches of similar length.

    Raises:
        InputError: fewer utterances than processes.
    """
    if len(frames) < processes:
        raise InputError(f"{len(frames)} utterances cannot feed {processes} processes; start at most {len(frames)}")
    jitter = generator.uniform(0.95, 1.05, size=len(frames))
    order = np.argsort(np.asarray(frames) * jitter, kind="stable")
    batches = _cut(order.tolist(), frames, budget_frames)
    wanted = min(-(-len(batches) // processes), len(frames) // processes) * processes
    while len(batches) < wanted:
        widest = max(range(len(batches)), key=lambda i: len(batches[i]))
        half = len(batches[widest]) // 2
        batches[widest : widest + 1] = [batches[widest][:half], batches[widest][half:]]
    while len(batches) > wanted:
        batches[:2] = [batches[0] + batches[1]]
    steps = [batches[i : i + processes] for i in range(0, len(batches), processes)]
    return [steps[i] for i in generator.permutation(len(steps))]


def _cut(order: Sequence[int], frames: Sequence[int], budget_frames: int) -> list[list[int]]:
    batches: list[list[int]] = [[]]
    longest = 0
    for index in order:
        longest = max(longest, frames[index])
        if batches[-1] and longest * (len(batches[-1]) + 1) > budget_frames:
            batches.append([])
            longest = frames[index]
        batches[-1].append(index)
    return batches


def in_background(load: Callable[..., Batch], arguments: Sequence[tuple[Any, ...]]) -> Iterator[Batch]:
    """`load(*arguments[i])` for each i, in order, a few of them being loaded by threads while the caller works."""
    with ThreadPoolExecutor(LOADING_THREADS) as pool:
        ahead: deque[Future[Batch]] = deque()
        try:
            for each in arguments:
                ahead.append(pool.submit(load, *each))
                if len(ahead) > LOADED_AHEAD:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            for future in ahead:
                future.cancel()


def collate(ids: Sequence[str], features: Sequence[Samples], targets: Sequence[Sequence[int]]) -> Batch:
    """Pad features `[frames, mels]` of several utterances with zeros and join their targets."""
    lengths = torch.tensor([len(values) for values in features])
    padded = torch.zeros(len(features), int(lengths.max()), features[0].shape[1])
    for row, values in enumerate(features):
        padded[row, : len(values)] = torch.from_numpy(values)
    joined = torch.tensor([symbol for target in targets for symbol in target], dtype=torch.long)
    return Batch(tuple(ids), padded, lengths, joined, torch.tensor([len(target) for target in targets]))
