"""Voice activity and segments of recordings, on signals whose parts with speech are known."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from speechxfer.data import Samples, Utterance
from speechxfer.decoding import voice_activity
from speechxfer.decoding.segmentation import (
    LONGEST_PAUSE_S,
    MAX_SEGMENT_S,
    extend,
    group_speech,
    segment_recording,
)
from speechxfer.decoding.voice_activity import MARGIN_S, band_levels, detect_speech, find_speech
from speechxfer.features import AudioOptions, feature_preset
from tests.tone_corpus import tones

RATE = 16_000
AUDIO = AudioOptions(feature_preset("kaldi-mvn"), resample=True, mono=True)
PARTS = [(2.0, 5.0), (9.0, 10.0), (25.0, 31.0), (31.5, 33.0)]  # seconds of the recording with speech
DURATION_S = 40.0


def voice(seconds: float, seed: int) -> np.ndarray:
    """Vowels by the source-filter model: pulses of a voice that moves, through three formants, in syllables of 0.2 s."""
    generator, count = np.random.default_rng(seed), round(seconds * RATE)
    time_s = np.arange(count) / RATE
    phase = 2 * np.pi * np.cumsum(120 + 20 * np.sin(2 * np.pi * 1.5 * time_s)) / RATE
    wave = np.zeros(count)
    for harmonic in range(1, 30):
        hz = 120 * harmonic
        gain = sum(np.exp(-(((hz - formant) / 150) ** 2)) for formant in (500, 1500, 2500)) + 0.02
        wave += gain * np.sin(harmonic * phase)
    syllables = 0.6 + 0.4 * np.cos(2 * np.pi * 5 * time_s + generator.uniform(0, 6))
    return wave * syllables / np.abs(wave).max() * 0.2


def recording(noise: np.ndarray) -> Samples:
    samples = noise[: round(DURATION_S * RATE)].copy()
    for number, (start, end) in enumerate(PARTS):
        first = round(start * RATE)
        part = voice(end - start, number)
        samples[first : first + len(part)] += part
    return samples.astype(np.float32)


def white(level: float) -> np.ndarray:
    return level * np.random.default_rng(0).standard_normal(round(DURATION_S * RATE))


def hum_and_crickets() -> np.ndarray:
    time_s = np.arange(round(DURATION_S * RATE)) / RATE
    crickets = 0.025 * np.sin(2 * np.pi * 4200 * time_s) * (1 + np.sin(2 * np.pi * 8 * time_s))
    return white(1e-3) + 0.1 * np.sin(2 * np.pi * 150 * time_s) + crickets


@pytest.mark.parametrize(
    "noise",
    [white(0.0), white(1e-3), white(0.01), hum_and_crickets()],
    ids=["none", "faint", "20 dB", "hum and crickets"],
)
def test_speech_is_found_where_it_is(noise: np.ndarray) -> None:
    found = find_speech(band_levels(recording(noise), RATE))
    joined = [(2.0, 5.0), (9.0, 10.0), (25.0, 33.0)] if len(found) == 3 else PARTS  # the pause of 0.5 s may be bridged
    assert len(found) == len(joined)
    for (start, end), (true_start, true_end) in zip(found, joined, strict=True):
        assert start == pytest.approx(true_start - MARGIN_S, abs=0.1)
        assert end == pytest.approx(true_end + MARGIN_S, abs=0.2)


def test_noise_alone_and_clicks_are_no_speech() -> None:
    samples = white(0.01).astype(np.float32)
    samples[5 * RATE : 5 * RATE + 80] += 0.5  # a click of 5 ms
    assert find_speech(band_levels(samples, RATE)) == []
    assert find_speech(band_levels(np.zeros(RATE, np.float32), RATE)) == []
    assert find_speech(band_levels(np.zeros(0, np.float32), RATE)) == []


def test_frames_are_centred_on_their_times() -> None:
    samples = np.zeros(RATE, np.float32)
    samples[round(0.505 * RATE)] = 1.0  # in the middle of frame 50
    assert int(band_levels(samples, RATE).sum(axis=1).argmax()) == 50
    assert len(band_levels(np.zeros(161, np.float32), RATE)) == 2


@pytest.mark.parametrize("rate", [16_000, 44_100])
def test_recordings_are_read_in_blocks_of_any_rate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rate: int) -> None:
    samples, path = recording(white(1e-3)), tmp_path / "a.wav"
    positions = np.linspace(0, len(samples) - 1, round(DURATION_S * rate))
    soundfile.write(path, np.interp(positions, np.arange(len(samples)), samples), rate)
    whole = find_speech(band_levels(samples, RATE))
    monkeypatch.setattr(voice_activity, "BLOCK_S", 3.0)
    found = detect_speech(Utterance("a", path, DURATION_S), AUDIO)
    assert np.array(found) == pytest.approx(np.array(whole), abs=0.05)


def test_parts_are_joined_across_short_pauses() -> None:
    assert group_speech([(1.0, 4.0), (4.2, 8.0), (8.4, 12.0)]) == [(1.0, 8.0), (8.4, 12.0)]
    short = [(1.0, 1.5), (2.0, 4.0), (4.5, 5.0), (5.0 + LONGEST_PAUSE_S + 0.1, 9.0)]
    assert group_speech(short) == [(1.0, 4.0), (4.5, 5.0), (7.1, 9.0)], "a short segment is joined to the next one"
    assert group_speech([]) == []


def test_long_speech_is_cut_at_the_last_of_its_longest_pauses() -> None:
    # Pauses of 0.1 s at 6 s, 0.28 s at 9 s, 0.25 s at 15 s, 0.15 s at 18 s; 20 s are allowed.
    parts = [(0.0, 6.0), (6.1, 9.0), (9.28, 15.0), (15.25, 18.0), (18.15, 24.0)]
    assert group_speech(parts) == [(0.0, 15.0), (15.25, 24.0)]
    # Of pauses before the preferred length, the last one that fits.
    assert group_speech([(0.0, 2.0), (2.2, 4.0), (4.1, 23.0)]) == [(0.0, 4.0), (4.1, 23.0)]
    assert group_speech([(0.0, 45.0), (45.1, 50.0)]) == [(0.0, 45.0), (45.1, 50.0)], "speech without a pause is not cut"


def test_segments_keep_some_of_the_pauses() -> None:
    assert extend([(0.1, 5.0), (5.4, 9.0)], 9.9, 0.3) == [
        (0.0, pytest.approx(5.2)),
        (pytest.approx(5.2), pytest.approx(9.3)),
    ]
    assert extend([(4.0, 5.0), (8.0, 9.0)], 20.0, 20.0) == [(0.0, 6.5), (6.5, 20.0)], "which then cover the recording"


@settings(deadline=None, max_examples=60)
@given(st.lists(st.floats(0.05, 40.0), max_size=60))
def test_every_part_is_in_one_segment_and_no_segment_is_needlessly_long(lengths: list[float]) -> None:
    edges = [0.0, *itertools.accumulate(lengths)]
    parts = list(zip(edges[::2], edges[1::2], strict=False))
    groups = group_speech(parts)
    assert [a for a, _ in groups] == sorted(a for a, _ in groups)
    for start, end in parts:
        assert sum(a <= start and end <= b for a, b in groups) == 1
    for a, b in groups:
        assert b - a <= MAX_SEGMENT_S or (a, b) in parts


def test_segments_are_named_by_recording_and_second(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, recording(white(1e-3)), RATE)
    whole = Utterance("a", path, DURATION_S, text="all", speaker="s")
    segments = segment_recording(whole, AUDIO)
    assert [segment.id for segment in segments] == [f"a@{segment.offset:.2f}" for segment in segments]
    assert [segment.offset for segment in segments][:3] == pytest.approx([0.8, 7.8, 23.8], abs=0.1)
    assert {(segment.text, segment.speaker, segment.audio_filepath) for segment in segments} == {("", "s", path)}
    covering = segment_recording(whole, AUDIO, skip_silence=False)
    assert covering[0].offset == 0 and covering[-1].offset + covering[-1].duration == DURATION_S
    for before, after in itertools.pairwise(covering):
        assert before.offset + before.duration == pytest.approx(after.offset)
    short = Utterance("b", path, 20.0)
    assert segment_recording(short, AUDIO) == [short]


def test_a_recording_without_speech_has_no_segments(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, white(1e-3), RATE)
    whole = Utterance("a", path, DURATION_S)
    assert segment_recording(whole, AUDIO) == []
    (covering,) = segment_recording(whole, AUDIO, skip_silence=False)
    assert (covering.offset, covering.duration) == (0.0, DURATION_S)


def test_tones_are_speech_too(tmp_path: Path) -> None:
    """The corpus of tones stands for speech in other tests."""
    phrase = tones("abc cab " * 4, "abc", 0, np.random.default_rng(0))
    samples = np.concatenate([np.zeros(RATE), phrase, np.zeros(RATE)]) + 1e-4 * np.random.default_rng(
        0
    ).standard_normal(len(phrase) + 2 * RATE)
    found = find_speech(band_levels(samples.astype(np.float32), RATE))
    start, end = found[0][0], found[-1][1]
    assert start == pytest.approx(1.0 - MARGIN_S, abs=0.15) and end == pytest.approx(1 + len(phrase) / RATE, abs=0.5)
