"""Features of utterances: audio read and converted as the settings allow."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from speechxfer.data import Samples, Utterance, read_audio, read_audio_header
from speechxfer.features.augmentation import change_speed
from speechxfer.features.log_mel import filterbank
from speechxfer.features.spec import FeatureSpec
from speechxfer.runtime import log_info


@dataclass(frozen=True)
class AudioOptions:
    """How audio becomes features: see `read_audio` for the two permissions."""

    spec: FeatureSpec
    resample: bool = False
    mono: bool = False


class FeatureSource(Protocol):
    """Features of utterances by index: a `FeatureStore`, or `ComputedFeatures`."""

    def get(self, index: int) -> Samples:
        """float32 `[frames, mels]` of utterance `index`."""


@dataclass(frozen=True)
class ComputedFeatures:
    """Features in memory, `[frames, mels]` each (a `FeatureSource`)."""

    values: Sequence[Samples]

    def get(self, index: int) -> Samples:
        """float32 `[frames, mels]` of utterance `index`."""
        return self.values[index]


def utterance_samples(utterance: Utterance, audio: AudioOptions) -> Samples:
    """float32 `[samples]` of one utterance at the features' rate."""
    return read_audio(
        utterance.audio_filepath,
        sample_rate_hz=audio.spec.sample_rate_hz,
        offset_s=utterance.offset,
        duration_s=utterance.duration,
        resample=audio.resample,
        mono=audio.mono,
    )


def utterance_features(utterance: Utterance, audio: AudioOptions, speed: float = 1.0) -> Samples:
    """float32 `[frames, mels]` of one utterance, played `speed` times as fast."""
    samples = change_speed(utterance_samples(utterance, audio), speed, audio.spec.sample_rate_hz)
    features: Samples = filterbank(samples, audio.spec).numpy()
    return features


def report_resampling(utterances: Sequence[Utterance], audio: AudioOptions, *, most: int | None = None) -> None:
    """One line per sampling rate that reading will convert, if it may convert any, by the headers of `most` recordings."""
    if not audio.resample:
        return
    paths = list(dict.fromkeys(utterance.audio_filepath for utterance in utterances))
    chosen = paths[:: -(-len(paths) // most)] if most else paths
    rates = Counter(read_audio_header(path).rate_hz for path in chosen)
    looked_at = "" if len(chosen) == len(paths) else f" (of {len(chosen):,} that were looked at)"
    for rate, files in sorted(rates.items()):
        if rate != audio.spec.sample_rate_hz:
            log_info(f"resampling {files} files from {rate} Hz to {audio.spec.sample_rate_hz} Hz{looked_at}")
