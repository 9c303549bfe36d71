"""Preparation of a run, and the estimate of its time."""

from pathlib import Path
from typing import Any

import pytest

from speechxfer.config.settings import DataConfig
from speechxfer.training import pace, preparation
from speechxfer.training.pace import Pace
from speechxfer.training.preparation import prepare_run
from tests.small_models import settings, source_model
from tests.tone_corpus import write_tone_corpus


def test_features_are_computed_before_the_processes_connect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So no collective operation waits for them, and the usual timeout suits all of them."""
    train = write_tone_corpus(tmp_path / "train.jsonl", 3, letters="abc", seed=1)
    order: list[str] = []
    store, accelerator = preparation.store_features, preparation.Accelerator

    def watched_store(*arguments: Any, **options: Any) -> Any:
        order.append("features")
        return store(*arguments, **options)

    def watched_accelerator(**options: Any) -> Any:
        order.append("connected")
        assert options.keys() == {"cpu"}, "no timeout of our own"
        return accelerator(**options)

    monkeypatch.setattr(preparation, "store_features", watched_store)
    monkeypatch.setattr(preparation, "Accelerator", watched_accelerator)
    prepare_run(source_model("dnn"), train, train, settings(), DataConfig(), tmp_path / "run")
    assert order == ["features", "features", "connected"]


def test_long_utterances_of_dev_are_cut_at_pauses(tmp_path: Path) -> None:
    train = write_tone_corpus(tmp_path / "train.jsonl", 3, letters="abc", seed=1)
    dev = write_tone_corpus(tmp_path / "dev.jsonl", 2, letters="abc", seed=2, words=(100, 100))
    assert all(utterance.duration > 30 for utterance in dev)
    run = prepare_run(source_model("dnn"), train, dev, settings(), DataConfig(), tmp_path / "run")
    assert max(segment.duration for segment in run.data.dev.segments) <= 20.0
    assert max(run.data.dev_features.frames[0]) <= 2_000


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        """At 100 s."""
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_the_time_of_a_run_is_estimated_from_its_first_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first step takes 30 s and does not count; the others take 2 s: after 11 of 101 steps 90 * 2 s are left."""
    lines: list[str] = []
    monkeypatch.setattr(pace, "log_info", lines.append)
    clock = Clock()
    run = Pace(101, 0, clock)
    for step in range(1, 102):
        clock.now += 30.0 if step == 1 else 2.0
        assert (run.time_left(step) == "") == (step < 11 or step == 101), step
        run.update(step)
        if step == 73:
            assert run.time_left(step) == ", about 56 s left"
    assert lines == ["about 3 min for 90 steps (2.00 s each), and the evaluations"]


def test_a_resumed_run_is_measured_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    monkeypatch.setattr(pace, "log_info", lines.append)
    clock = Clock()
    run = Pace(5000, 400, clock)
    for step in range(401, 412):
        clock.now += 3.0
        run.update(step)
    assert lines == ["about 3 h 49 min for 4,589 steps (3.00 s each), and the evaluations"]
