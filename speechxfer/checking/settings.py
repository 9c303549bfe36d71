"""What a training requires of its data."""

from collections.abc import Callable
from dataclasses import dataclass

from speechxfer.checking.feasibility import kaldi_frames, resampled_count, subsampled_frames
from speechxfer.checking.findings import MeasuredAudio
from speechxfer.text import Kind, Normalizer


@dataclass(frozen=True)
class CheckSettings:
    """The requirements of the intended training."""

    sample_rate_hz: int = 16_000
    """Sampling rate of the features."""
    feature_frames: Callable[[int], int] = kaldi_frames
    """From a number of samples at `sample_rate_hz` to the number of feature frames."""
    encoder_frames: Callable[[int], int] = subsampled_frames
    """From a number of feature frames to the number of encoder frames."""
    normalizer: Normalizer = Normalizer()
    vocabulary_kind: Kind = "characters"
    """Kind of the symbols, which are collected from the texts of train (without train, from all texts)."""
    bpe_size: int = 500
    """Number of symbols of a BPE vocabulary."""
    resample: bool = False
    """Another sampling rate is no error: the audio is resampled while reading."""
    mono: bool = False
    """Several channels are no error: they are averaged while reading."""
    max_duration_s: float = 30.0
    """Longest utterance in training; a longer one in dev or test is a warning."""
    classify: bool = False
    """The whole text of an utterance is one label; there is no CTC."""

    def count_frames(self, audio: MeasuredAudio) -> int:
        """Feature frames of a recording in training."""
        return self.feature_frames(resampled_count(audio.samples, audio.rate_hz, self.sample_rate_hz))
