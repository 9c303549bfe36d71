"""Classification: the whole normalised text of an utterance is one label, such as "zoom in"."""

from dataclasses import replace
from pathlib import Path

import pytest

import speechxfer as sx
from speechxfer.config import load_config
from speechxfer.data import read_manifest, write_manifest
from speechxfer.text import Vocabulary
from speechxfer.workflows import check_run, train_from_scratch
from tests.tone_corpus import write_tone_corpus

COMMANDS = ("Zoom in", "Zoom out!", "Stop")
SETTINGS = [
    "text.task=classify",
    "text.vocabulary=words",
    "model.encoder=dnn",
    "model.subsampling=1",
    "finetune.steps=2",
    "finetune.evaluate_every_steps=1",
    "finetune.optimizer=sgd",
]


@pytest.fixture
def commands(tmp_path: Path) -> Path:
    """A manifest of twelve recordings, four of each command."""
    utterances = write_tone_corpus(tmp_path / "tones.jsonl", 12, letters="abc", words=(1, 1))
    texts = [COMMANDS[number % len(COMMANDS)] for number in range(len(utterances))]
    labelled = [replace(utterance, text=text) for utterance, text in zip(utterances, texts, strict=True)]
    write_manifest(tmp_path / "commands.jsonl", labelled)
    return tmp_path / "commands.jsonl"


def test_a_label_is_the_whole_normalised_text() -> None:
    vocabulary = Vocabulary.from_texts(COMMANDS, "labels")
    assert vocabulary.symbols == ("<blank>", "stop", "zoom in", "zoom out")
    assert vocabulary.encode("zoom out") == [3] and vocabulary.decode([2]) == "zoom in"
    assert vocabulary.unknown("zoom") == {"zoom": 1} and vocabulary.encode("") == []
    assert Vocabulary.from_dict(vocabulary.to_dict(), "x.json") == vocabulary


def test_labels_of_several_words_are_trained_and_recognised(commands: Path, tmp_path: Path) -> None:
    trained = train_from_scratch(commands, commands, out=tmp_path / "run", config=load_config(None, SETTINGS))
    assert trained.model.vocabulary.symbols == ("<blank>", "stop", "zoom in", "zoom out")
    found = sx.transcribe(trained.model, read_manifest(commands))
    assert {result.text for result in found.values()} <= {"stop", "zoom in", "zoom out"}


def test_check_accepts_labels_of_several_words(commands: Path) -> None:
    report = check_run([commands], load_config(None, SETTINGS))
    assert not report.errors
    utterances = read_manifest(commands)
    write_manifest(commands, [replace(utterances[0], text="zoom again"), *utterances[1:]])
    warnings = check_run([commands], load_config(None, SETTINGS)).findings
    assert [(f.kind, f.id) for f in warnings if f.kind == "single example"] == [("single example", utterances[0].id)]
