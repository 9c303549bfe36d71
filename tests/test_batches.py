"""Batches: every utterance once, budget and processes respected, and a feature store that returns what it was given."""

import itertools
import math
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from speechxfer.data.manifest import Utterance
from speechxfer.errors import InputError
from speechxfer.features import extraction as batches
from speechxfer.features.batches import LOADED_AHEAD, Batch, collate, load_in_background, plan_batches
from speechxfer.features.cache import FeatureStore, store_features, store_samples
from speechxfer.features.extraction import AudioOptions, report_resampling, utterance_features
from speechxfer.features.log_mel import filterbank
from speechxfer.features.presets import PRESETS

RATE = 16_000
READING = AudioOptions(PRESETS["kaldi-mvn"])


def plan(frames: Sequence[int], budget: int, processes: int = 1, seed: int = 0) -> list[list[list[int]]]:
    return plan_batches(frames, budget, np.random.default_rng(seed), processes=processes)


def speech_like_lengths(utterances: int) -> list[int]:
    return np.random.default_rng(5).integers(50, 1500, utterances).tolist()


# --- Plans --------------------------------------------------------------------------------------------------------------


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.integers(1, 400), min_size=1, max_size=60), st.integers(1, 3000), st.integers(1, 5), st.integers(0, 9)
)
def test_any_plan_uses_every_utterance_once_in_equal_steps(
    frames: list[int], budget: int, processes: int, seed: int
) -> None:
    if len(frames) < processes:
        with pytest.raises(InputError):
            plan(frames, budget, processes, seed)
        return
    steps = plan(frames, budget, processes, seed)
    assert sorted(index for step in steps for batch in step for index in batch) == list(range(len(frames)))
    assert all(len(step) == processes and all(step) for step in steps)
    if processes == 1:
        over = [batch for (batch,) in steps if len(batch) * max(frames[i] for i in batch) > budget]
        assert all(len(batch) == 1 for batch in over)


def test_budget_is_respected_and_used() -> None:
    frames = speech_like_lengths(500)
    for processes in (1, 2, 4):
        batches_ = [batch for step in plan(frames, 12_000, processes) for batch in step]
        padded = [len(batch) * max(frames[i] for i in batch) for batch in batches_]
        assert max(padded) <= 12_000
        assert sum(frames) / sum(padded) > 0.9  # little padding: neighbours in length
        assert np.mean(padded) > 0.7 * 12_000


def test_the_batches_of_a_step_have_similar_lengths() -> None:
    frames = speech_like_lengths(400)
    steps = plan(frames, 12_000, 3)
    ranges = sorted(
        (min(lengths), max(lengths)) for step in steps for lengths in [[frames[i] for b in step for i in b]]
    )
    # Lengths are jittered by 5 % either way before sorting, so ranges may overlap by 1.05 / 0.95 and no more.
    for (_, longest), (shortest, _) in itertools.pairwise(ranges):
        assert longest <= shortest * 1.05 / 0.95


def test_an_utterance_over_the_budget_is_a_batch_of_its_own() -> None:
    steps = plan([100, 9000, 110, 9500], 1000)
    assert sorted(sorted(batch) for (batch,) in steps) == [[0, 2], [1], [3]]


def test_eight_utterances_feed_two_processes_and_one_feeds_one() -> None:
    steps = plan([300] * 8, 100_000, 2)
    assert [len(step) for step in steps] == [2]
    assert sorted(len(batch) for batch in steps[0]) == [4, 4]
    assert plan([300], 10, 1) == [[[0]]]


def test_where_the_last_step_cannot_be_filled_the_shortest_batches_are_joined() -> None:
    # Three utterances, each over the budget, and two processes: no cutting helps, and nobody may be left without work.
    steps = plan([500, 300, 900], 100, 2)
    assert [sorted(sorted(batch) for batch in step) for step in steps] == [[[0, 1], [2]]]


def test_fewer_utterances_than_processes_are_refused() -> None:
    with pytest.raises(InputError, match="3 utterances cannot feed 4 processes; start at most 3"):
        plan([300] * 3, 1000, 4)


def test_a_plan_follows_from_its_seed() -> None:
    frames = speech_like_lengths(100)
    assert plan(frames, 5000, seed=1) == plan(frames, 5000, seed=1)
    assert plan(frames, 5000, seed=1) != plan(frames, 5000, seed=2)
    contents = [{tuple(sorted(b)) for (b,) in plan(frames, 5000, seed=s)} for s in (1, 2)]
    assert contents[0] != contents[1]  # not only the order: who is batched with whom


# --- Collating ----------------------------------------------------------------------------------------------------------


def test_collate_pads_features_with_zeros_and_targets_not_at_all() -> None:
    short, long = np.full((2, 3), 5.0, np.float32), np.full((4, 3), 6.0, np.float32)
    batch = collate(["a", "b"], [short, long], [[7, 7], [8]])
    assert batch.ids == ("a", "b")
    assert batch.features.dtype == torch.float32
    assert batch.features.tolist() == [[[5.0] * 3] * 2 + [[0.0] * 3] * 2, [[6.0] * 3] * 4]
    assert batch.lengths.tolist() == [2, 4]
    assert batch.targets.tolist() == [7, 7, 8]
    assert batch.target_lengths.tolist() == [2, 1]
    assert {batch.lengths.dtype, batch.targets.dtype, batch.target_lengths.dtype} == {torch.int64}


def test_collate_takes_utterances_without_targets() -> None:
    batch = collate(["a"], [np.zeros((1, 80), np.float32)], [[]])
    assert batch.targets.shape == (0,)
    assert batch.targets.dtype == torch.int64
    assert batch.to(torch.device("meta")).features.device.type == "meta"


# --- The feature store --------------------------------------------------------------------------------------------------


@pytest.fixture
def corpus(tmp_path: Path) -> list[Utterance]:
    """Four stretches of different length in two files."""
    generator = np.random.default_rng(0)
    for name in ("a", "b"):
        soundfile.write(tmp_path / f"{name}.wav", 0.1 * generator.standard_normal(2 * RATE), RATE)
    places = [("a", 0.0, 0.7), ("a", 0.7, 1.3), ("b", 0.25, 0.5), ("b", 0.0, 2.0)]
    return [Utterance(f"u{i}", tmp_path / f"{n}.wav", d, offset=o) for i, (n, o, d) in enumerate(places)]


def refuse(*_: object, **__: object) -> None:
    raise AssertionError("audio was read again")


def test_utterance_features_are_those_of_its_stretch(corpus: list[Utterance]) -> None:
    samples, _ = soundfile.read(corpus[1].audio_filepath, dtype="float32")
    expected = filterbank(samples[11_200:32_000], READING.spec).numpy()
    assert np.array_equal(utterance_features(corpus[1], READING), expected)


def test_stored_features_are_the_utterances_own_and_not_computed_twice(
    corpus: list[Utterance], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = [utterance_features(utterance, READING) for utterance in corpus]
    first = store_features(corpus, READING, tmp_path / "cache")
    monkeypatch.setattr(batches, "read_audio", refuse)
    second = store_features(corpus, READING, tmp_path / "cache")
    for store in (first, second):
        assert store.frames == (tuple(map(len, expected)),)
        for index, values in enumerate(expected):
            assert store.get(index).dtype == np.float32
            assert np.array_equal(store.get(index), values)
    assert sorted(path.suffix for path in (tmp_path / "cache").iterdir()) == [".bin", ".json"]


def test_what_the_store_hands_out_can_be_changed_without_harm(corpus: list[Utterance], tmp_path: Path) -> None:
    store = store_features(corpus, READING, tmp_path / "cache")
    before = store.get(0).copy()
    store.get(0)[:] = 0.0
    assert np.array_equal(store.get(0), before)


def test_half_precision_is_off_by_less_than_its_rounding(corpus: list[Utterance], tmp_path: Path) -> None:
    full = store_features(corpus, READING, tmp_path / "cache")
    half = store_features(corpus, READING, tmp_path / "cache", half=True)
    for index in range(len(corpus)):
        error = np.abs(half.get(index) - full.get(index))
        assert (error <= np.abs(full.get(index)) * 2.0**-11 + 2.0**-25).all()  # ten bits and the hidden one
    assert half.get(0).dtype == np.float32
    assert os.path.getsize(half.values.filename) < 0.52 * os.path.getsize(full.values.filename)


def test_an_utterance_that_occurs_twice_is_stored_once(corpus: list[Utterance], tmp_path: Path) -> None:
    speeds = (1.0, 1.1)
    once = store_features(corpus, READING, tmp_path / "once", speeds=speeds)
    twice = store_features([*corpus[1:], *corpus], READING, tmp_path / "twice", speeds=speeds)
    for number, utterance in enumerate([*corpus[1:], *corpus]):
        for speed in range(2):
            expected = once.get(corpus.index(utterance), speed)
            assert len(expected) == twice.frames[speed][number]
            np.testing.assert_array_equal(twice.get(number, speed), expected)
    assert twice.values.size == once.values.size


def test_speeds_change_the_lengths_and_are_stored_side_by_side(corpus: list[Utterance], tmp_path: Path) -> None:
    speeds = (0.9, 1.0, 1.1)
    store = store_features(corpus, READING, tmp_path / "cache", speeds=speeds)
    for number, speed in enumerate(speeds):
        for index, utterance in enumerate(corpus):
            samples = math.ceil(round(utterance.duration * RATE) / speed)
            assert abs(store.frames[number][index] - (1 + (samples - 400) // 160)) <= 1
            assert np.array_equal(store.get(index, number), utterance_features(utterance, READING, speed))
    assert store.frames[0][3] > store.frames[1][3] > store.frames[2][3]


def test_what_will_be_resampled_is_said_once_per_rate(
    corpus: list[Utterance], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for rate, name in ((8000, "c"), (44_100, "d"), (8000, "e")):
        soundfile.write(tmp_path / f"{name}.wav", np.zeros(rate), rate)
        corpus += [Utterance(f"{name}{half}", tmp_path / f"{name}.wav", 0.5, offset=half / 2) for half in (0, 1)]
    report_resampling(corpus, READING)
    assert capsys.readouterr().err == ""  # nothing will be, unasked
    report_resampling(corpus, AudioOptions(READING.spec, resample=True))
    assert capsys.readouterr().err.splitlines() == [
        "resampling 2 files from 8000 Hz to 16000 Hz, as asked",
        "resampling 1 files from 44100 Hz to 16000 Hz, as asked",
    ]


def frames_in(store: FeatureStore) -> int:
    return sum(map(sum, store.frames))


def test_another_question_gets_another_file(corpus: list[Utterance], tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    stores = [
        store_features(corpus, READING, cache),
        store_features(corpus[:2], READING, cache),
        store_features(corpus, AudioOptions(PRESETS["kaldi"]), cache),
        store_features(corpus, READING, cache, speeds=(1.0, 0.9)),
        store_features(corpus, READING, cache, half=True),
        store_features([*corpus[:3], Utterance("u3", corpus[3].audio_filepath, 1.0)], READING, cache),
    ]
    assert len({store.values.filename for store in stores}) == len(stores)
    assert np.array_equal(stores[2].get(0), utterance_features(corpus[0], AudioOptions(PRESETS["kaldi"])))
    assert frames_in(stores[1]) < frames_in(stores[0])


def test_changed_audio_is_read_again(corpus: list[Utterance], tmp_path: Path) -> None:
    before = store_features(corpus, READING, tmp_path / "cache").get(3)
    path = corpus[3].audio_filepath
    soundfile.write(path, 0.1 * np.random.default_rng(9).standard_normal(2 * RATE), RATE)
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 1))  # a later time even on a coarse clock
    after = store_features(corpus, READING, tmp_path / "cache").get(3)
    assert np.array_equal(after, utterance_features(corpus[3], READING))
    assert not np.array_equal(after, before)


def test_missing_audio_is_named_by_utterance(corpus: list[Utterance], tmp_path: Path) -> None:
    corpus[2].audio_filepath.unlink()
    with pytest.raises(InputError, match=r"u2: .*b\.wav is missing"):
        store_features(corpus, READING, tmp_path / "cache")


def test_a_failure_leaves_no_half_written_store(corpus: list[Utterance], tmp_path: Path) -> None:
    corpus[2].audio_filepath.write_bytes(b"no audio at all")
    with pytest.raises(InputError, match=r"b\.wav"):
        store_features(corpus, READING, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_store_that_lost_its_index_is_made_again(corpus: list[Utterance], tmp_path: Path) -> None:
    expected = store_features(corpus, READING, tmp_path / "cache").get(1)
    for path in (tmp_path / "cache").glob("*.json"):
        path.unlink()
    assert np.array_equal(store_features(corpus, READING, tmp_path / "cache").get(1), expected)


def test_an_utterance_shorter_than_a_window_has_no_frames(corpus: list[Utterance], tmp_path: Path) -> None:
    short = Utterance("short", corpus[0].audio_filepath, 0.02)
    store = store_features([short, corpus[0], short], READING, tmp_path / "cache")
    assert [store.get(index).shape for index in range(3)] == [(0, 80), (68, 80), (0, 80)]
    assert store_features([short], READING, tmp_path / "cache").get(0).shape == (0, 80)


def test_a_place_that_cannot_hold_features_is_named(corpus: list[Utterance], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"cannot keep features there .*data\.cache_dir"):
        store_features(corpus, READING, tmp_path / "file" / "cache")


# --- Samples and loading ahead ------------------------------------------------------------------------------------------


def test_stored_samples_are_the_utterances_own_and_not_read_twice(
    corpus: list[Utterance], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store_samples(corpus, READING, tmp_path / "cache")
    monkeypatch.setattr(batches, "read_audio", refuse)
    store = store_samples(corpus, READING, tmp_path / "cache")
    for index, (name, start, stop) in enumerate(
        [("a", 0, 11_200), ("a", 11_200, 32_000), ("b", 4_000, 12_000), ("b", 0, 32_000)]
    ):
        expected, _ = soundfile.read(tmp_path / f"{name}.wav", start=start, stop=stop, dtype="float32")
        assert store.get(index).shape == expected.shape
        assert np.abs(store.get(index) - expected).max() <= 2.0**-15


def test_stored_samples_have_the_features_rate(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "slow.wav", np.zeros(4000), 8000)
    utterance = Utterance("slow", tmp_path / "slow.wav", 0.5)
    store = store_samples([utterance], AudioOptions(READING.spec, resample=True), tmp_path / "cache")
    assert len(store.get(0)) == 8000


def batch_of(number: int) -> Batch:
    return collate([str(number)], [np.zeros((1, 80), np.float32)], [[1]])


def test_batches_come_in_order_however_long_each_takes() -> None:
    def load(number: int) -> Batch:
        time.sleep(0.002 * (number % 3))
        return batch_of(number)

    assert [batch.ids for batch in load_in_background(load, range(30))] == [(str(i),) for i in range(30)]
    assert list(load_in_background(load, [])) == []


def test_no_more_is_loaded_ahead_than_said() -> None:
    asked: list[int] = []

    def load(number: int) -> Batch:
        asked.append(number)
        return batch_of(number)

    loading = load_in_background(load, range(100))
    next(loading)
    loading.close()
    assert max(asked) <= LOADED_AHEAD


def test_loading_ahead_goes_on_over_the_end_of_an_epoch() -> None:
    planned: list[tuple[int, int]] = []

    def plan_epochs() -> Iterator[tuple[int, int]]:
        for epoch in itertools.count():
            for number in range(3):
                planned.append((epoch, number))
                yield epoch, number

    loading = load_in_background(lambda item: item, plan_epochs())
    assert [next(loading) for _ in range(3)] == [(0, 0), (0, 1), (0, 2)]
    assert len(planned) == 3 + LOADED_AHEAD  # the next epoch is being loaded while the last batch of this one is used
    loading.close()


def test_a_failure_while_loading_reaches_the_caller() -> None:
    def load(number: int) -> Batch:
        if number == 2:
            raise InputError("the third is broken")
        return batch_of(number)

    loading = load_in_background(load, range(5))
    assert [next(loading).ids, next(loading).ids] == [("0",), ("1",)]
    with pytest.raises(InputError, match="the third is broken"):
        next(loading)
