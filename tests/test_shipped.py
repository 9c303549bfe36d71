"""Shipped models: small, loadable, unchanged, and as good as when they were added."""

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from data_scripts.synthesize_demo import synthesize
from data_scripts.synthesize_multilingual import phones_of
from speechxfer.checkpoints.card import read_card
from speechxfer.checkpoints.loading import load_model
from speechxfer.checkpoints.sources import SHIPPED, resolve_source
from speechxfer.data.manifest import read_manifest
from speechxfer.decoding.evaluation import evaluate
from speechxfer.features.presets import PRESETS

SHA256 = {  # of weights.safetensors: a shipped model never changes, new weights get a new version
    "english-1": "37c9157a7210aa1651f10c3e2c499f4cbaaac7ee061375e2c49f437c5fbf5bc8",
    "multilingual-small-1": "bb16b3160551d681f4dd18a37b9a82822f3ad06d04853d0f4bf4b40e4273fdc0",
}
WELSH_PHONE_ERROR_BOUND = (
    0.40  # of a language that it was not trained on, synthesised with noise; 0.27 when it was shipped
)


def test_shipped_weights_never_change() -> None:
    found = {
        path.name: hashlib.sha256((path / "weights.safetensors").read_bytes()).hexdigest() for path in SHIPPED.iterdir()
    }
    assert found == SHA256


@pytest.mark.parametrize("name", SHA256)
def test_a_shipped_model_loads_with_a_complete_card(name: str) -> None:
    model, card = load_model(name), read_card(name)
    assert sum(path.stat().st_size for path in (SHIPPED / name).iterdir()) <= 20e6
    assert model.name == card.name == name
    assert card.language and card.licence and card.details["command"]
    assert not card.details["commit"].endswith("-dirty")


@pytest.mark.parametrize("name", SHA256)
def test_a_shipped_model_gets_the_features_that_it_was_trained_on(name: str) -> None:
    trained_on = read_card(name).details["config"]["model"]["features"]
    assert load_model(name).spec == PRESETS[trained_on]


@pytest.mark.parametrize(
    ("name", "version"), [("english", "english-1"), ("multilingual-small", "multilingual-small-1")]
)
def test_names_without_version_keep_loading(name: str, version: str) -> None:
    assert resolve_source(name).name == version


def test_multilingual_small_recognises_phones_of_a_language_it_was_not_trained_on(tmp_path: Path) -> None:
    synthesize("cy", tmp_path, sentences=20)
    utterances = [
        replace(utterance, text=" ".join(phones_of(utterance.text, "cy")))
        for utterance in read_manifest(tmp_path / "train.jsonl")
    ]
    report = evaluate(load_model("multilingual-small"), utterances, resample=True)
    assert report.words > 300
    assert report.wer < WELSH_PHONE_ERROR_BOUND
