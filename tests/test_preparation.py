"""Preparation of a run."""

from pathlib import Path
from typing import Any

import pytest

from speechxfer.config.settings import DataConfig
from speechxfer.training import preparation
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


def test_features_of_long_utterances_of_dev_are_of_windows(tmp_path: Path) -> None:
    """Tones without a pause that could be cut: 47 s of them in windows of at most 24 s."""
    train = write_tone_corpus(tmp_path / "train.jsonl", 3, letters="abc", seed=1)
    dev = write_tone_corpus(tmp_path / "dev.jsonl", 2, letters="abc", seed=2, words=(100, 100))
    assert all(utterance.duration > 30 for utterance in dev)
    run = prepare_run(source_model("dnn"), train, dev, settings(), DataConfig(), tmp_path / "run")
    assert len(run.data.dev.utterances) == 2 < len(run.data.dev_features.frames[0])
    assert max(run.data.dev_features.frames[0]) <= 2_404
