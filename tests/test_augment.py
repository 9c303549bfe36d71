"""Augmentation: pitch and length after a change of speed, and what SpecAugment may and may not touch."""

import math
from typing import Any

import numpy as np
import pytest

from speechxfer.augment import at_speed, spec_augment

RATE = 16_000
MASKS: dict[str, Any] = {"frequency_masks": 2, "frequency_mask_mels": 27, "time_masks": 5, "time_mask_ratio": 0.05}


def utterance(frames: int = 200, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((frames, 80)).astype(np.float32)


# --- Speed --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("factor", [0.5, 0.9, 1.1, 2.0])
def test_speed_changes_length_and_pitch_together(factor: float) -> None:
    tone = (0.5 * np.sin(2 * np.pi * 440 * np.arange(2 * RATE) / RATE)).astype(np.float32)
    faster = at_speed(tone, factor, RATE)
    assert faster.dtype == np.float32
    assert len(faster) == math.ceil(2 * RATE / factor)
    expected = 0.5 * np.sin(2 * np.pi * 440 * factor * np.arange(len(faster)) / RATE)
    assert np.abs(faster - expected)[500:-500].max() < 2e-3


def test_speed_one_changes_nothing() -> None:
    samples = utterance(50).ravel()
    assert np.array_equal(at_speed(samples, 1.0, RATE), samples)


def test_speed_of_nothing_is_nothing() -> None:
    assert at_speed(np.zeros(0, np.float32), 1.1, RATE).shape == (0,)


# --- SpecAugment --------------------------------------------------------------------------------------------------------


def test_masked_values_are_the_mean_and_all_others_stay() -> None:
    features = utterance()
    before = features.copy()
    masked = spec_augment(features, np.random.default_rng(3), **MASKS)
    assert np.array_equal(features, before)  # the input is not written to
    changed = masked != features
    assert 0 < changed.sum() < changed.size
    assert np.allclose(masked[changed], features.mean(), atol=1e-6)
    whole_bands, whole_frames = changed.all(axis=0), changed.all(axis=1)
    assert np.array_equal(changed, whole_bands[None, :] | whole_frames[:, None])


def test_masks_keep_to_their_number_and_width_and_reach_it() -> None:
    widest_band, longest_stretch = 0, 0
    for seed in range(600):
        generator = np.random.default_rng(seed)
        changed = (
            spec_augment(utterance(), generator, **(MASKS | {"frequency_masks": 1, "time_masks": 0})) != utterance()
        )
        band = changed.any(axis=0)
        assert np.diff(np.flatnonzero(band)).max(initial=1) == 1  # one band without a gap
        widest_band = max(widest_band, int(band.sum()))
        changed = (
            spec_augment(utterance(), generator, **(MASKS | {"frequency_masks": 0, "time_masks": 1})) != utterance()
        )
        stretch = changed.any(axis=1)
        assert np.diff(np.flatnonzero(stretch)).max(initial=1) == 1
        longest_stretch = max(longest_stretch, int(stretch.sum()))
    assert widest_band == 27
    assert longest_stretch == 10  # 5 % of 200 frames


def test_every_band_and_every_frame_can_be_masked() -> None:
    bands, stretches = np.zeros(80, int), np.zeros(40, int)
    for seed in range(300):
        for kind, counts in (("time_masks", bands), ("frequency_masks", stretches)):
            settings = MASKS | {"time_mask_ratio": 0.2, kind: 0}  # the other kind only
            changed = spec_augment(utterance(40), np.random.default_rng(seed), **settings) != utterance(40)
            counts += changed.any(axis=0 if counts is bands else 1)
    assert bands.min() > 0
    assert stretches.min() > 0


def test_the_same_generator_draws_the_same_masks() -> None:
    first, second, other = (spec_augment(utterance(), np.random.default_rng(seed), **MASKS) for seed in (7, 7, 8))
    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("frames", [0, 1, 2, 19])
@pytest.mark.parametrize("ratio", [0.0, 0.05, 1.0])
def test_short_utterances_are_no_special_case(frames: int, ratio: float) -> None:
    masked = spec_augment(utterance(frames), np.random.default_rng(0), **(MASKS | {"time_mask_ratio": ratio}))
    assert masked.shape == (frames, 80)
    assert np.isfinite(masked).all()


def test_no_masks_change_nothing() -> None:
    settings = {"frequency_masks": 0, "frequency_mask_mels": 27, "time_masks": 0, "time_mask_ratio": 0.05}
    assert np.array_equal(spec_augment(utterance(), np.random.default_rng(0), **settings), utterance())
