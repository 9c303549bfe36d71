"""Batches: every utterance once, budget and processes respected, and a feature store that returns what it was given."""

import itertools
import os
import time
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from speechxfer.errors import InputError
from speechxfer.features.batches import LOADED_AHEAD, Batch, collate, load_in_background, plan_batches


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
    with pytest.raises(InputError, match="3 utterances are too few for 4 processes; start at most 3"):
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


# --- Loading ahead ---------------------------------------------------------------------------------------------------------


def batch_of(number: int) -> Batch:
    return collate([str(number)], [np.zeros((1, 80), np.float32)], [[1]])


def test_batches_come_in_order_however_long_each_takes() -> None:
    def load(number: int) -> Batch:
        time.sleep(0.002 * (number % 3))
        return batch_of(number)

    assert [batch.ids for batch in load_in_background(load, range(30))] == [(str(i),) for i in range(30)]
    assert list(load_in_background(load, [])) == []


def test_processes_load_in_order_and_tell_of_failures() -> None:
    def load(number: int) -> Batch:
        time.sleep(0.002 * (number % 3))
        if number == 20:
            raise InputError(f"process {os.getpid()}: the 21st is broken")
        return batch_of(number)

    loading = load_in_background(load, iter(range(100)), processes=2)
    assert [next(loading).ids for _ in range(20)] == [(str(i),) for i in range(20)]
    with pytest.raises(InputError, match=r"^process \d+: the 21st is broken$") as caught:
        next(loading)
    assert str(os.getpid()) not in str(caught.value)


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
