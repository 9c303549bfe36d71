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
from speechxfer.features.cache import Array, FeatureCache
from speechxfer.features.extraction import AudioOptions, utterance_features, utterance_samples
from speechxfer.features.log_mel import front_end_version
from speechxfer.runtime import track

SAMPLE_SCALE = 32767.0

_Compute = Callable[[Utterance, float], Array]


@dataclass(frozen=True)
class FeatureStore:
    """Features of a manifest at one or several speeds; entries that are damaged or removed meanwhile are computed again."""

    cache: FeatureCache
    keys: tuple[tuple[str, ...], ...]
    """[speed][utterance]"""
    frames: tuple[tuple[int, ...], ...]
    """[speed][utterance]"""
    utterances: Sequence[Utterance]
    speeds: tuple[float, ...]
    compute: _Compute
    scale: float = 1.0
    """Stored values are divided by it."""

    def get(self, index: int, speed_index: int = 0) -> Samples:
        """float32 `[frames, mels]` (or `[samples]`) of utterance `index` at speed number `speed_index`."""
        key = self.keys[speed_index][index]
        values = self.cache.read(key)
        if values is None:
            values = self.compute(self.utterances[index], self.speeds[speed_index])
            self.cache.write(key, values)
        restored: Samples = np.array(values, dtype=np.float32)
        return restored if self.scale == 1.0 else restored / self.scale


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
    rows_per_s, what = options.spec.frames_per_s, "computing features"
    return _fill_store(utterances, cache, compute, front_end, rows_per_s, what, speeds)


def store_samples(utterances: Sequence[Utterance], options: AudioOptions, folder: Path) -> FeatureStore:
    """Like `store_features`, of samples in [-1, 1]: 16 bit, at the rate of the features."""
    cache = FeatureCache(folder, np.int16, ())

    def compute(utterance: Utterance, _: float) -> Array:
        return np.round(utterance_samples(utterance, options).clip(-1, 1) * SAMPLE_SCALE).astype(np.int16)

    rate_hz = options.spec.sample_rate_hz
    reading = ["samples", rate_hz, options.resample, options.mono]
    return _fill_store(utterances, cache, compute, reading, rate_hz, "reading samples", scale=SAMPLE_SCALE)


def _fill_store(
    utterances: Sequence[Utterance],
    cache: FeatureCache,
    compute: _Compute,
    identity: Sequence[object],
    rows_per_s: float,
    title: str,
    speeds: Sequence[float] = (1.0,),
    scale: float = 1.0,
) -> FeatureStore:
    """Compute what is missing; `identity`: everything but utterance and speed that determines an entry."""
    keys = tuple(tuple(_entry_key(utterance, [*identity, speed]) for utterance in utterances) for speed in speeds)
    wanted = {  # sorted by file and place, so that long recordings are decoded once
        key: (utterance, speed)
        for speed, row in zip(speeds, keys, strict=True)
        for key, utterance in sorted(
            zip(row, utterances, strict=True), key=lambda pair: (str(pair[1].audio_filepath), pair[1].offset)
        )
    }
    missing = [key for key in wanted if cache.rows(key) is None]
    needed_s = sum(wanted[key][0].duration / wanted[key][1] for key in missing)
    with collect_audio_warnings():
        needed_bytes = round(needed_s * rows_per_s * cache.row_bytes)
        filling = cache.fill(missing, lambda key: compute(*wanted[key]), needed_bytes, wanted.keys())
        for _ in track(filling, title, total=len(missing)):
            pass
    cache.mark_used(wanted)
    rows = {key: cache.rows(key) for key in wanted}
    for key, count in rows.items():
        if count is None:  # removed by another process in this moment
            values = compute(*wanted[key])
            cache.write(key, values)
            rows[key] = len(values)
    frames = tuple(tuple(rows[key] or 0 for key in row) for row in keys)
    return FeatureStore(cache, keys, frames, utterances, tuple(speeds), compute, scale)


def _entry_key(utterance: Utterance, identity: Sequence[object]) -> str:
    try:
        contents = hash_audio_file(utterance.audio_filepath)
    except UnreadableAudioError as error:
        raise InputError(f"{utterance.id}: {error}") from error
    what = json.dumps([contents, utterance.offset, utterance.duration, *identity])
    return f"{contents[:2]}/{hashlib.sha256(what.encode()).hexdigest()[:40]}"
