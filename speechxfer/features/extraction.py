"""Features of utterances: audio read and converted as the settings allow."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

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


def utterance_samples(utterance: Utterance, reading: AudioOptions) -> Samples:
    """float32 `[samples]` of one utterance at the features' rate."""
    return read_audio(
        utterance.audio_filepath,
        sample_rate_hz=reading.spec.sample_rate_hz,
        offset_s=utterance.offset,
        duration_s=utterance.duration,
        resample=reading.resample,
        mono=reading.mono,
    )


def utterance_features(utterance: Utterance, reading: AudioOptions, speed: float = 1.0) -> Samples:
    """float32 `[frames, mels]` of one utterance, played `speed` times as fast."""
    samples = change_speed(utterance_samples(utterance, reading), speed, reading.spec.sample_rate_hz)
    features: Samples = filterbank(samples, reading.spec).numpy()
    return features


def report_resampling(utterances: Sequence[Utterance], reading: AudioOptions) -> None:
    """One line per sampling rate that reading will convert, if it may convert at all."""
    if not reading.resample:
        return
    rates = Counter(read_audio_header(path).rate_hz for path in {utterance.audio_filepath for utterance in utterances})
    for rate, files in sorted(rates.items()):
        if rate != reading.spec.sample_rate_hz:
            log_info(f"resampling {files} files from {rate} Hz to {reading.spec.sample_rate_hz} Hz, as asked")
