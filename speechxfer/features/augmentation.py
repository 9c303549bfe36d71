"""Augmentation of training speech: speed (Ko et al., Interspeech 2015) and SpecAugment (Park et al., arXiv:1904.08779).

SpecAugment is used without time warping, with the utterance's mean as the masking value.
"""

import numpy as np

from speechxfer.data import Samples, resample_audio

MASK_MELS = 10
WIDEST_MASK_MELS = 27  # as in the paper
TIME_MASKS = 2
TIME_MASK_RATIO = 0.05


def change_speed(samples: Samples, factor: float, sample_rate_hz: int) -> Samples:
    """`[samples]` played `factor` times as fast: tempo and pitch change together, `ceil(samples / factor)` remain."""
    return resample_audio(samples, sample_rate_hz * factor, sample_rate_hz)


def spec_augment(
    features: Samples, generator: np.random.Generator, *, mels: int = 80, strength: float = 1.0
) -> Samples:
    """Replace some mel bands and time segments by the utterance's mean value.

    Strength 1 masks one band of up to 10 mels and two segments of up to 5 % of the frames. The width of the band (up to 27)
    and the number of segments grow in proportion to the strength; from 2 on, a band is added for each whole number.

    Args:
        features: `[frames, stack * mels]`; a band is masked in all frames that are stacked.
        generator: of the random positions and widths.
        mels: mel bands of one frame.
        strength: 0 or more; 0 masks nothing.

    Returns:
        a copy of the features.
    """
    frequency_masks = max(1, int(strength)) if strength else 0
    frequency_mask_mels = min(WIDEST_MASK_MELS, round(MASK_MELS * strength), mels)
    time_masks = round(TIME_MASKS * strength)
    masked = features.copy()
    frames = len(features)
    stacked = masked.reshape(frames, features.shape[1] // mels, mels)  # a view
    mean = features.mean() if features.size else 0.0
    for _ in range(frequency_masks):
        width = int(generator.integers(0, frequency_mask_mels + 1))
        first = int(generator.integers(0, mels - width + 1))
        stacked[..., first : first + width] = mean
    for _ in range(time_masks):
        width = int(generator.integers(0, int(frames * TIME_MASK_RATIO) + 1))
        first = int(generator.integers(0, frames - width + 1))
        masked[first : first + width] = mean
    return masked
