"""Augmentation: pitch and length after a change of speed, and what SpecAugment may and may not touch."""

import itertools
import math

import numpy as np
import pytest

from speechxfer.features import augmentation as augment
from speechxfer.features.augmentation import change_speed, distort, spec_augment

RATE = 16_000


def utterance(frames: int = 200, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((frames, 80)).astype(np.float32)


# --- Speed --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("factor", [0.5, 0.9, 1.1, 2.0])
def test_speed_changes_length_and_pitch_together(factor: float) -> None:
    tone = (0.5 * np.sin(2 * np.pi * 440 * np.arange(2 * RATE) / RATE)).astype(np.float32)
    faster = change_speed(tone, factor, RATE)
    assert faster.dtype == np.float32
    assert len(faster) == math.ceil(2 * RATE / factor)
    expected = 0.5 * np.sin(2 * np.pi * 440 * factor * np.arange(len(faster)) / RATE)
    assert np.abs(faster - expected)[500:-500].max() < 2e-3


def test_speed_one_changes_nothing() -> None:
    samples = utterance(50).ravel()
    assert np.array_equal(change_speed(samples, 1.0, RATE), samples)


def test_speed_of_nothing_is_nothing() -> None:
    assert change_speed(np.zeros(0, np.float32), 1.1, RATE).shape == (0,)


# --- SpecAugment --------------------------------------------------------------------------------------------------------


def changed_by(strength: float, seed: int, frames: int = 200) -> np.ndarray:
    """`[frames, mels]`: which values SpecAugment replaces."""
    features = utterance(frames)
    changed: np.ndarray = spec_augment(features, np.random.default_rng(seed), strength=strength) != features
    return changed


def segments(flags: np.ndarray) -> list[int]:
    """Lengths of the runs of true values."""
    return [len(list(run)) for value, run in itertools.groupby(flags.tolist()) if value]


def test_masked_values_are_the_mean_and_all_others_stay() -> None:
    features = utterance()
    before = features.copy()
    masked = spec_augment(features, np.random.default_rng(3), strength=2.5)
    assert np.array_equal(features, before)  # the input is not written to
    changed = masked != features
    assert 0 < changed.sum() < changed.size
    assert np.allclose(masked[changed], features.mean(), atol=1e-6)
    whole_bands, whole_frames = changed.all(axis=0), changed.all(axis=1)
    assert np.array_equal(changed, whole_bands[None, :] | whole_frames[:, None])


@pytest.mark.parametrize(
    ("strength", "bands", "mels", "segments_in_time"),
    [(0.5, 1, 5, 1), (1.0, 1, 10, 2), (2.5, 2, 25, 5), (3.0, 3, 27, 6)],
)
def test_number_and_width_of_masks_follow_the_strength(
    strength: float, bands: int, mels: int, segments_in_time: int
) -> None:
    """Segments in time are at most 5 % of 200 frames; neighbouring masks may join."""
    found = [changed_by(strength, seed) for seed in range(400)]
    in_mels = [segments(changed.all(axis=0)) for changed in found]
    in_time = [segments(changed.all(axis=1)) for changed in found]
    assert max(map(len, in_mels)) == bands and max(map(len, in_time)) == segments_in_time
    assert max(max(widths, default=0) for widths in in_mels if len(widths) == bands) == mels
    assert max(max(lengths, default=0) for lengths in in_time if len(lengths) == segments_in_time) == 10


def test_every_band_and_every_frame_can_be_masked() -> None:
    found = [changed_by(1.0, seed, frames=40) for seed in range(300)]
    assert all(np.sum([changed.all(axis=axis) for changed in found], axis=0).min() > 0 for axis in (0, 1))


@pytest.mark.parametrize("strength", [1.0, 3.0])
def test_stacked_frames_lose_the_same_bands(strength: float) -> None:
    """Two frames of 80 mels in 160 columns, as the preset `seamless` has them."""
    features = np.random.default_rng(0).standard_normal((100, 160)).astype(np.float32)
    for seed in range(50):
        masked = spec_augment(features, np.random.default_rng(seed), mels=80, strength=strength)
        bands = (masked != features).all(axis=0)
        assert np.array_equal(bands[:80], bands[80:])
        assert bands[:80].sum() <= (10 if strength == 1.0 else 80)
        single = spec_augment(utterance(100), np.random.default_rng(seed), mels=80, strength=strength)
        assert np.array_equal((single != utterance(100)).all(axis=0), bands[:80])


def test_the_same_generator_gives_the_same_masks() -> None:
    first, second, other = (spec_augment(utterance(), np.random.default_rng(seed)) for seed in (7, 7, 8))
    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("frames", [0, 1, 2, 19])
@pytest.mark.parametrize("strength", [0.0, 1.0, 4.0])
def test_short_utterances_are_no_special_case(frames: int, strength: float) -> None:
    masked = spec_augment(utterance(frames), np.random.default_rng(0), strength=strength)
    assert masked.shape == (frames, 80)
    assert np.isfinite(masked).all()


def test_strength_zero_changes_nothing() -> None:
    assert np.array_equal(spec_augment(utterance(), np.random.default_rng(0), strength=0.0), utterance())


# --- Recording conditions -----------------------------------------------------------------------------------------------


def speech_like(seconds: float = 1.5) -> np.ndarray:
    noise = np.random.default_rng(5).standard_normal(int(seconds * RATE))
    loudness = 0.1 + np.abs(np.sin(2 * np.pi * 3 * np.arange(len(noise)) / RATE))
    return (0.05 * noise * loudness).astype(np.float32)


def test_distortion_keeps_length_and_type_and_depends_on_the_generator() -> None:
    samples = speech_like()
    before = samples.copy()
    results = [distort(samples, np.random.default_rng(seed), RATE) for seed in range(40)]
    assert np.array_equal(samples, before)
    for result in results:
        assert result.dtype == np.float32
        assert result.shape == samples.shape
        assert np.isfinite(result).all()
    assert np.array_equal(results[7], distort(samples, np.random.default_rng(7), RATE))
    assert len({result.tobytes() for result in results}) > 35


def test_silence_and_nothing_stay_as_they_are() -> None:
    for samples in (np.zeros(800, np.float32), np.zeros(0, np.float32)):
        assert np.array_equal(distort(samples, np.random.default_rng(0), RATE), samples)


def only(monkeypatch: pytest.MonkeyPatch, share: str, **ranges: tuple[float, float]) -> None:
    for name in ("ROOM", "EQUALISED", "BAND", "NOISE", "CLIPPED", "CODEC"):
        monkeypatch.setattr(augment, f"{name}_SHARE", 1.0 if name == share else 0.0)
    for name, values in ranges.items():
        monkeypatch.setattr(augment, name, values)


def test_nothing_chosen_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, "none")
    samples = speech_like()
    assert np.abs(distort(samples, np.random.default_rng(1), RATE) - samples).max() < 1e-6


@pytest.mark.parametrize("snr_db", [0.0, 12.0, 30.0])
@pytest.mark.parametrize("colour", [0.0, 2.0])
def test_noise_has_the_chosen_level(monkeypatch: pytest.MonkeyPatch, snr_db: float, colour: float) -> None:
    only(monkeypatch, "NOISE", SNR_DB=(snr_db, snr_db), COLOUR=(colour, colour))
    samples = speech_like()
    noise = distort(samples, np.random.default_rng(1), RATE) - samples
    assert 10 * np.log10(np.mean(samples**2) / np.mean(noise**2)) == pytest.approx(snr_db, abs=0.2)
    power = np.abs(np.fft.rfft(noise)) ** 2
    octave_fall_db = 10 * np.log10(power[2000:4000].mean() / power[4000:8000].mean())
    assert octave_fall_db == pytest.approx(3.01 * colour, abs=1.0)  # 6 dB an octave is brown noise


def test_a_narrow_line_passes_its_band_only(monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, "BAND", LOW_CUT_HZ=(300.0, 300.0), HIGH_CUT_HZ=(3400.0, 3400.0))
    seconds = np.arange(2 * RATE) / RATE
    for hz, low_db, high_db in ((60, -200, -50), (1000, -0.5, 0.5), (2500, -0.5, 0.5), (5500, -200, -45)):
        tone = (0.3 * np.sin(2 * np.pi * hz * seconds)).astype(np.float32)
        changed = distort(tone, np.random.default_rng(0), RATE)[RATE // 2 : -RATE // 2]
        level_db = 20 * np.log10(np.sqrt(np.mean(changed**2)) / (0.3 / np.sqrt(2)))
        assert low_db < level_db < high_db, hz


def test_a_room_decays_by_60_db_in_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, "ROOM", REVERBERATION_S=(0.5, 0.5), DIRECT_DB=(0.0, 0.0))
    click = np.zeros(RATE, np.float32)
    click[1000] = 1.0
    changed = distort(click, np.random.default_rng(2), RATE)
    assert changed[1000] == pytest.approx(1.0, abs=1e-3)
    assert np.abs(changed[:1000]).max() < 1e-6  # nothing before the sound
    tail = changed[1001 : 1000 + RATE // 2]
    assert np.sum(tail**2) == pytest.approx(1.0, rel=1e-2)  # as much as the direct sound: 0 dB
    early, late = (np.mean(tail[start : start + 800] ** 2) for start in (0, 6400))
    assert 10 * np.log10(early / late) == pytest.approx(60 * 0.4 / 0.5, abs=2.0)
    assert np.abs(changed[1000 + RATE // 2 :]).max() < 1e-4


def test_clipping_cuts_at_a_share_of_the_peak(monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, "CLIPPED", CLIP_RATIO=(0.5, 0.5))
    samples = speech_like()
    changed = distort(samples, np.random.default_rng(0), RATE)
    limit = 0.5 * np.abs(samples).max()
    assert np.allclose(changed, samples.clip(-limit, limit), atol=1e-6)


def test_opus_keeps_the_sound_and_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, "CODEC")
    tone = np.zeros(2 * RATE, np.float32)
    tone[RATE // 2 : RATE] = 0.02 * np.sin(2 * np.pi * 440 * np.arange(RATE // 2) / RATE)
    changed = distort(tone, np.random.default_rng(0), RATE)
    assert not np.array_equal(changed, tone)
    inside = slice(RATE // 2 + 1600, RATE - 1600)
    assert np.corrcoef(changed[inside], tone[inside])[0, 1] > 0.98


@pytest.mark.parametrize("rate_hz", [11_025, 16_000, 44_100])
def test_every_sampling_rate_can_be_distorted(rate_hz: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Opus knows five rates only (RFC 6716); at others the codec is skipped instead of ending a training."""
    monkeypatch.setattr(augment, "CODEC_SHARE", 1.0)
    samples = np.sin(np.arange(rate_hz) / 20).astype(np.float32)
    assert len(augment.distort(samples, np.random.default_rng(0), rate_hz)) == rate_hz
