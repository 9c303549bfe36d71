"""Features and samples of a manifest, computed once and read from the feature cache during training.

An entry of the cache is named after the contents of the audio file (not its path or time), the segment, the speed, the way of
reading and the front end with its version. So one new utterance computes one entry, the folds of a cross-validation share
theirs, and a recording that was replaced is computed anew.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from speechxfer.data import Samples, UnreadableAudioError, Utterance, collect_audio_warnings, hash_audio_file
from speechxfer.errors import InputError
from speechxfer.features.cache import Array, CacheKey, FeatureCache
from speechxfer.features.extraction import AudioOptions, utterance_features, utterance_samples
from speechxfer.features.fingerprint import front_end_version
from speechxfer.runtime import track

SAMPLE_SCALE = 32767.0

_Compute = Callable[[Utterance, float], Array]


@dataclass(frozen=True)
class FeatureStore:
    """Features of a manifest at one or several speeds; entries that are damaged or removed meanwhile are computed again."""

    cache: FeatureCache
    keys: tuple[tuple[CacheKey, ...], ...]
    """[speed][utterance]"""
    frames: tuple[tuple[int, ...], ...]
    """[speed][utterance]"""
    utterances: Sequence[Utterance]
    speeds: tuple[float, ...]
    compute: _Compute

    def get(self, index: int, speed_index: int = 0) -> Samples:
        """float32 `[frames, mels]` of utterance `index` at speed number `speed_index`."""
        key = self.keys[speed_index][index]
        values = self.cache.read(key)
        if values is None:
            values = self.compute(self.utterances[index], self.speeds[speed_index])
            self.cache.write(key, values)
        return np.array(values, dtype=np.float32)


@dataclass(frozen=True)
class SampleStore:
    """Samples of a manifest, read and resampled once."""

    store: FeatureStore

    def get(self, index: int) -> Samples:
        """float32 `[samples]` of utterance `index`, in [-1, 1]."""
        samples: Samples = self.store.get(index) / SAMPLE_SCALE
        return samples


def store_features(
    utterances: Sequence[Utterance],
    options: AudioOptions,
    folder: Path,
    *,
    speeds: Sequence[float] = (1.0,),
    half: bool = False,
) -> FeatureStore:
    """Compute the features that are not yet in the cache.

    Args:
        folder: of the cache; made if missing.
        speeds: each utterance is stored at each of them.
        half: float16 instead of float32 on disk (for training; the rounding is far below the augmentation).

    Raises:
        InputError: audio that cannot be read, or no room on the disk.
    """
    cache = FeatureCache(folder, np.float16 if half else np.float32, (options.spec.dim,))

    def compute(utterance: Utterance, speed: float) -> Array:
        return utterance_features(utterance, options, speed).astype(cache.dtype)

    front_end = [options.spec.to_dict(), front_end_version(options.spec), options.resample, options.mono, half]
    row_s = 1 / options.spec.frames_per_s
    return _fill_store(utterances, speeds, cache, compute, _Kind(front_end, row_s, "computing features"))


def store_samples(utterances: Sequence[Utterance], options: AudioOptions, folder: Path) -> SampleStore:
    """Like `store_features`, of samples: 16 bit, at the rate of the features."""
    cache = FeatureCache(folder, np.int16, ())

    def compute(utterance: Utterance, _: float) -> Array:
        return np.round(utterance_samples(utterance, options).clip(-1, 1) * SAMPLE_SCALE).astype(np.int16)

    rate_hz = options.spec.sample_rate_hz
    reading = ["samples", rate_hz, options.resample, options.mono]
    return SampleStore(_fill_store(utterances, (1.0,), cache, compute, _Kind(reading, 1 / rate_hz, "reading samples")))


@dataclass(frozen=True)
class _Kind:
    """What is stored: everything but the utterance that determines an entry, seconds per row, and a title for progress."""

    identity: Sequence[object]
    row_s: float
    title: str


def _fill_store(
    utterances: Sequence[Utterance], speeds: Sequence[float], cache: FeatureCache, compute: _Compute, kind: _Kind
) -> FeatureStore:
    keys = tuple(tuple(_entry_key(utterance, [*kind.identity, speed]) for utterance in utterances) for speed in speeds)
    wanted = {  # sorted by file and place, so that long recordings are decoded once
        key: (utterance, speed)
        for speed, row in zip(speeds, keys, strict=True)
        for key, utterance in sorted(zip(row, utterances, strict=True), key=lambda pair: _place(pair[1]))
    }
    missing = [key for key in wanted if cache.rows(key) is None]
    needed_s = sum(wanted[key][0].duration / wanted[key][1] for key in missing)
    with collect_audio_warnings():
        needed_bytes = round(needed_s / kind.row_s * cache.row_bytes)
        filling = cache.fill(missing, lambda key: compute(*wanted[key]), needed_bytes, wanted.keys())
        for _ in track(filling, kind.title, total=len(missing)):
            pass
    cache.mark_used(wanted)
    rows = {key: cache.rows(key) for key in wanted}
    for key, count in rows.items():
        if count is None:  # removed by another process in this moment
            values = compute(*wanted[key])
            cache.write(key, values)
            rows[key] = len(values)
    frames = tuple(tuple(rows[key] or 0 for key in row) for row in keys)
    return FeatureStore(cache, keys, frames, utterances, tuple(speeds), compute)


def _place(utterance: Utterance) -> tuple[str, float]:
    return str(utterance.audio_filepath), utterance.offset


def _entry_key(utterance: Utterance, identity: Sequence[object]) -> CacheKey:
    try:
        contents = hash_audio_file(utterance.audio_filepath)
    except UnreadableAudioError as error:
        raise InputError(f"{utterance.id}: {error}") from error
    what = json.dumps([contents, utterance.offset, utterance.duration, *identity])
    return CacheKey(contents[:2], hashlib.sha256(what.encode()).hexdigest()[:40])
