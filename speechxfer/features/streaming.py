"""Features of large corpora: computed whenever they are needed, from recordings that are not read before.

Storing the features of a thousand hours takes a hundred gigabytes, and computing them before the first step takes hours; a
core computes them much faster than it trains on them. Their numbers follow from the durations in the manifest.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from speechxfer.data import Samples, Utterance
from speechxfer.features.extraction import AudioOptions, utterance_features, utterance_samples
from speechxfer.features.spec import FeatureSpec

FrameCounts = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class StreamedFeatures:
    """Features, or samples, of utterances at one or several speeds; nothing is stored."""

    utterances: Sequence[Utterance]
    speeds: tuple[float, ...]
    frames: FrameCounts
    """`[speeds, utterances]`, by the durations of the manifest."""
    compute: Callable[[Utterance, float], Samples]

    def get(self, index: int, speed_index: int = 0) -> Samples:
        """float32 `[frames, mels]` (or `[samples]`) of utterance `index` at speed number `speed_index`."""
        return self.compute(self.utterances[index], self.speeds[speed_index])


def stream_features(
    utterances: Sequence[Utterance], options: AudioOptions, speeds: Sequence[float] = (1.0,)
) -> StreamedFeatures:
    """Features that are computed at every `get`."""

    def compute(utterance: Utterance, speed: float) -> Samples:
        return utterance_features(utterance, options, speed)

    return StreamedFeatures(utterances, tuple(speeds), count_frames(utterances, options.spec, speeds), compute)


def stream_samples(utterances: Sequence[Utterance], options: AudioOptions) -> StreamedFeatures:
    """Samples in [-1, 1] at the rate of the features, read at every `get`."""

    def compute(utterance: Utterance, _: float) -> Samples:
        return utterance_samples(utterance, options)

    return StreamedFeatures(utterances, (1.0,), np.zeros((1, 0), np.int64), compute)


def count_frames(utterances: Sequence[Utterance], spec: FeatureSpec, speeds: Sequence[float]) -> FrameCounts:
    """Numbers of feature frames `[speeds, utterances]` by the durations of the manifest."""
    durations = np.fromiter((utterance.duration for utterance in utterances), np.float64, len(utterances))
    samples, places = np.unique(np.rint(durations * spec.sample_rate_hz).astype(np.int64), return_inverse=True)
    rows = []
    for speed in speeds:
        changed = np.ceil(samples * (spec.sample_rate_hz / (spec.sample_rate_hz * speed))).astype(np.int64)
        rows.append(np.array([spec.frames(count) for count in changed.tolist()], dtype=np.int64)[places])
    return np.stack(rows)
