"""What manifests are checked against: the features, encoder, vocabulary and limits of the intended training."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from speechxfer.checking.feasibility import kaldi_frames, resampled_count, subsampled_frames
from speechxfer.checking.findings import MeasuredAudio
from speechxfer.errors import InputError
from speechxfer.text import Kind, Normalizer, Vocabulary


@dataclass(frozen=True)
class CheckSettings:
    """The requirements of the intended training.

    Raises:
        InputError: a value is out of range.
    """

    sample_rate_hz: int = 16_000
    """Sampling rate of the features."""
    subsampling: int = 4
    """Feature frames per encoder frame, a power of two; not used if `encoder_frames` is given."""
    frames_of_samples: Callable[[int], int] | None = None
    """From a number of samples at `sample_rate_hz` to the number of feature frames; None: Kaldi's 25 ms every 10 ms."""
    encoder_frames: Callable[[int], int] | None = None
    """From a number of feature frames to the number of encoder frames; None: by `subsampling`."""
    normalizer: Normalizer = Normalizer()
    vocabulary: Vocabulary | None = None
    """Symbols of the model; None: collected from the texts of train (without train, from all texts)."""
    vocabulary_kind: Kind = "characters"
    """Kind of the symbols, where the vocabulary is made from texts."""
    bpe_size: int = 500
    """Number of symbols of a BPE vocabulary that is made from texts."""
    resample: bool = False
    """Another sampling rate is no error: the audio is resampled while reading."""
    mono: bool = False
    """Several channels are no error: they are averaged while reading."""
    speed: float = 1.0
    """Speed perturbation by this factor, which leaves fewer frames."""
    max_duration_s: float = 30.0
    """Longest utterance in training; a longer one in dev or test is a warning."""
    classify: bool = False
    """The whole text of an utterance is one label; there is no CTC."""

    def __post_init__(self) -> None:
        if self.encoder_frames is None and (self.subsampling < 1 or self.subsampling & (self.subsampling - 1)):
            raise InputError(
                f"check: subsampling is {self.subsampling}; expected a power of two; or give encoder_frames"
            )
        if not self.speed > 0 or self.sample_rate_hz < 100:
            raise InputError(
                f"check: speed {self.speed:g} at {self.sample_rate_hz} Hz; expected above 0, at least 100 Hz; correct it"
            )

    def feature_frames(self, audio: MeasuredAudio) -> int:
        """Feature frames of a recording in training."""
        samples = resampled_count(audio.samples, audio.rate_hz, self.sample_rate_hz)
        samples = resampled_count(samples, self.sample_rate_hz * self.speed, self.sample_rate_hz)
        if self.frames_of_samples:
            return self.frames_of_samples(samples)
        return kaldi_frames(samples, self.sample_rate_hz)

    def encoded_frames(self, frames: int) -> int:
        """Number of encoder frames for this number of feature frames."""
        return self.encoder_frames(frames) if self.encoder_frames else subsampled_frames(frames, self.subsampling)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for the JSON report."""
        return {
            "sample_rate_hz": self.sample_rate_hz,
            "subsampling": None if self.encoder_frames else self.subsampling,
            "normalizer": self.normalizer.to_dict(),
            "vocabulary_kind": self.vocabulary.kind if self.vocabulary else self.vocabulary_kind,
            "vocabulary_given": self.vocabulary is not None,
            "resample": self.resample,
            "mono": self.mono,
            "speed": self.speed,
            "max_duration_s": self.max_duration_s,
            "classify": self.classify,
        }
