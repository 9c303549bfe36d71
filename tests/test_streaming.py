"""Large corpora: features that are computed as they are needed, and what identifies a run then."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from speechxfer.config.settings import DataConfig
from speechxfer.data.manifest import Utterance
from speechxfer.errors import InputError
from speechxfer.features.extraction import AudioOptions, report_resampling
from speechxfer.features.presets import PRESETS
from speechxfer.training.fingerprint import hash_utterances
from speechxfer.training.loading import iterate_batches
from speechxfer.training.preparation import prepare_run
from speechxfer.training.targets import Targets, encode_targets
from tests.small_models import settings, source_model
from tests.tone_corpus import write_tone_corpus


@pytest.fixture
def train(tmp_path: Path) -> list[Utterance]:
    return write_tone_corpus(tmp_path / "train.jsonl", 6, letters="abc", seed=1, words=(1, 3))


def test_streamed_batches_are_those_of_stored_features(
    train: list[Utterance], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the half precision in which features are stored; samples are stored in 16 bits."""
    config = settings(steps=6, batch_s=4.0, speed_factors=(0.9, 1.0, 1.1), spec_augment=1.0, distortion=1e-9)
    stored = prepare_run(source_model("dnn"), train, train[:2], config, DataConfig(), tmp_path / "a" / "run")
    monkeypatch.setattr("speechxfer.training.preparation.STREAM_ABOVE_H", 0.0)
    streamed = prepare_run(source_model("dnn"), train, train[:2], config, DataConfig(), tmp_path / "b" / "run")
    assert streamed.data.frames.tolist() == [list(row) for row in stored.data.features.frames]
    assert len(list((tmp_path / "b").glob(".features/*/*.features"))) == 2, "of dev only"
    batches = zip(iterate_batches(stored, 0, 0, 0), iterate_batches(streamed, 0, 0, 0), strict=True)
    for (_, one), (_, other) in batches:
        assert one.ids == other.ids and one.targets.tolist() == other.targets.tolist()
        torch.testing.assert_close(one.features, other.features, rtol=2e-3, atol=2e-2)
    for index in range(6):
        samples = [run.data.samples.get(index) for run in (stored, streamed) if run.data.samples]
        np.testing.assert_allclose(*samples, rtol=0, atol=1 / 32_767)


def test_a_missing_recording_is_named_before_training(
    train: list[Utterance], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("speechxfer.training.preparation.STREAM_ABOVE_H", 0.0)
    train[3].audio_filepath.unlink()
    with pytest.raises(InputError, match=rf"^{train[3].id}: .*the audio file is missing"):
        prepare_run(source_model("dnn"), train, train[:2], settings(), DataConfig(), tmp_path / "run")


def test_recordings_count_by_name_where_they_are_not_read(train: list[Utterance], tmp_path: Path) -> None:
    by_name, by_contents = hash_utterances(train, contents=False), hash_utterances(train)
    train[0].audio_filepath.write_bytes(b"copied again")
    assert hash_utterances(train, contents=False) == by_name != by_contents
    assert hash_utterances(train[1:], contents=False) != by_name
    moved = tmp_path / "elsewhere"
    train[0].audio_filepath.parent.rename(moved)
    there = [Utterance(**vars(u) | {"audio_filepath": moved / u.audio_filepath.name}) for u in train]
    assert hash_utterances(there, contents=False) == by_name
    renamed = there[0].audio_filepath.rename(moved / "other.wav")
    assert (
        hash_utterances([Utterance(**vars(there[0]) | {"audio_filepath": renamed}), *there[1:]], contents=False)
        != by_name
    )


def test_targets_are_a_sequence_of_symbols_of_each_text(train: list[Utterance]) -> None:
    """Symbols by hand: blank, space, a, b, c."""
    texts = ["ab", "c a", "a" * 300]
    utterances = [Utterance(str(number), Path("x.wav"), 1.0, text) for number, text in enumerate(texts)]
    targets = encode_targets(source_model("dnn"), utterances, DataConfig())
    assert isinstance(targets, Targets)
    assert list(targets) == [[2, 3], [4, 1, 2], [2] * 300] == targets[:]
    assert targets[-2] == [4, 1, 2] and targets.lengths.tolist() == [2, 3, 300]
    with pytest.raises(IndexError):
        targets[3]
    assert targets.frames_needed().tolist() == [2, 3, 599], "300 symbols and 299 blanks between equal ones"


def test_of_many_recordings_some_rates_are_looked_at(
    train: list[Utterance], capsys: pytest.CaptureFixture[str]
) -> None:
    audio = AudioOptions(replace(PRESETS["kaldi"], sample_rate_hz=8_000), resample=True)
    report_resampling(train, audio, most=4)
    report_resampling(train, audio, most=6)
    assert capsys.readouterr().err.splitlines() == [
        "resampling 3 files from 16000 Hz to 8000 Hz (of 3 that were looked at)",
        "resampling 6 files from 16000 Hz to 8000 Hz",
    ]
