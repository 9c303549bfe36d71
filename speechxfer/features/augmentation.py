"""Augmentation of training features: SpecAugment (Park et al., arXiv:1904.08779, without time warping) and speed (Ko et al., Interspeech 2015)."""

import numpy as np

from speechxfer.data import Samples, resample_audio


def change_speed(samples: Samples, factor: float, sample_rate_hz: int) -> Samples:
    """`[samples]` played `factor` times as fast: tempo and pitch change together, `ceil(samples / factor)` remain."""
    return resample_audio(samples, sample_rate_hz * factor, sample_rate_hz)


def change_tempo(features: Samples, factor: float) -> Samples:
    """Features `[frames, mels]` played `factor` times as fast at the same pitch, `round(frames / factor)` of them.

    Between frames the values are interpolated linearly. Unlike `change_speed` it leaves every band where it was, so that tones
    and voices keep their heights.
    """
    frames = max(1, round(len(features) / factor))
    places = np.minimum(np.arange(frames) * factor, len(features) - 1)
    before = places.astype(int)
    after = np.minimum(before + 1, len(features) - 1)
    share = (places - before)[:, None].astype(np.float32)
    played: Samples = features[before] * (1 - share) + features[after] * share
    return played


def spec_augment(
    features: Samples,
    generator: np.random.Generator,
    *,
    frequency_masks: int,
    frequency_mask_mels: int,
    time_masks: int,
    time_mask_ratio: float,
) -> Samples:
    """A copy of `[frames, mels]` in which bands and stretches are replaced by the utterance's mean value.

    Args:
        frequency_masks, frequency_mask_mels: how many bands, and the widest in mels.
        time_masks, time_mask_ratio: how many stretches, and the longest as a share of the utterance.
    """
    masked = features.copy()
    frames, mels = features.shape
    mean = features.mean() if features.size else 0.0
    for _ in range(frequency_masks):
        width = int(generator.integers(0, min(frequency_mask_mels, mels) + 1))
        first = int(generator.integers(0, mels - width + 1))
        masked[:, first : first + width] = mean
    for _ in range(time_masks):
        width = int(generator.integers(0, int(frames * time_mask_ratio) + 1))
        first = int(generator.integers(0, frames - width + 1))
        masked[first : first + width] = mean
    return masked
