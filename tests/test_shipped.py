"""Shipped models: small, loadable, unchanged, and as good as when they were added."""

import hashlib
import re
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
from speechxfer.workflows.decoders import open_decoder
from speechxfer.workflows.model_description import describe

SHA256 = {  # of weights.safetensors: a shipped model never changes, new weights get a new version
    "english-1": "37c9157a7210aa1651f10c3e2c499f4cbaaac7ee061375e2c49f437c5fbf5bc8",
    "multilingual-small-1": "bb16b3160551d681f4dd18a37b9a82822f3ad06d04853d0f4bf4b40e4273fdc0",
    "multilingual-small-2": "5dfaaddc6eb52ad3feec0c0c0f31fe150432c4cc7b6aad2940525aa8d3395228",
    "multilingual-small-3": "b0c130a058945d4427498905ac8a8909e0bbfc39c41dabef541ea83e9c8c1669",
}
WELSH_PHONE_ERROR_BOUND = (
    0.40  # of a language that it was not trained on, synthesised with noise; 0.27 when it was shipped
)


def test_shipped_weights_never_change() -> None:
    found = {
        path.name: hashlib.sha256((path / "weights.safetensors").read_bytes()).hexdigest()
        for path in SHIPPED.iterdir()
        if path.is_dir()
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


def notice_sections() -> dict[str, str]:
    """The sections of the notice by the model that they are about."""
    text = (SHIPPED / "NOTICE.md").read_text("utf-8")
    return dict(re.findall(r"^## (\S+)\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL))


def missing_from_notice(licence: str, section: str) -> list[str]:
    """The corpora and licences of a card that a section of the notice has no row with."""
    rows = {line.split(" | ")[0][2:]: line for line in section.casefold().splitlines() if line.startswith("| ")}
    names: list[str] = []  # of corpora whose licence follows in brackets
    missing = []
    for terms, name in re.findall(
        r"\(([^()]*)\)|([^(), ][^(),]*?)(?:, | and |\s*(?=\()|$)", licence.removeprefix("trained on ").casefold()
    ):
        if name:
            names.append(name.removeprefix("and "))
            continue
        found = {name: [row for corpus, row in rows.items() if corpus.startswith(name)] for name in names}
        missing += [name for name in names if not found[name]]
        missing += [f"{name}: {terms}" for name in names if found[name] and terms not in found[name][0]]
        names = []
    return missing + names


@pytest.mark.parametrize("name", SHA256)
def test_the_notice_names_every_corpus_of_a_shipped_model_and_its_licence(name: str) -> None:
    section = notice_sections()[name]
    card = read_card(name)
    assert missing_from_notice(card.licence, section) == []
    assert len(re.findall(r"^\| (?!corpus|---)", section, re.MULTILINE)) >= 2


def test_a_corpus_without_a_row_or_with_another_licence_is_found() -> None:
    section = "\n| corpus | in training | licence |\n| Kathleen | English | CC0 1.0 |\n| Tux Paint | Greek | GPL 2 |\n"
    assert missing_from_notice("trained on kathleen (CC0), Tux Paint (GPL 2)", section) == []
    assert missing_from_notice("kathleen (CC0), Tux Paint and KLettres (GPL 2)", section) == ["klettres"]
    assert missing_from_notice("kathleen and Tux Paint (GPL 2)", section) == ["kathleen: gpl 2"]
    assert missing_from_notice("kathleen (CC0), tux paint", section) == ["tux paint"], "without a licence"


def test_the_notice_is_installed() -> None:
    """setup.py names it among the package's files."""
    setup = (SHIPPED.parents[1] / "setup.py").read_text("utf-8")
    assert '"shipped/NOTICE.md"' in setup


@pytest.mark.parametrize("name", SHA256)
def test_info_shows_the_licence_of_the_weights_and_the_notice(name: str) -> None:
    lines = describe(name).splitlines()
    assert f"licence of the weights: {read_card(name).licence}; each corpus: {SHIPPED / 'NOTICE.md'}" in lines


@pytest.mark.parametrize(
    ("name", "version"), [("english", "english-1"), ("multilingual-small", "multilingual-small-3")]
)
def test_names_without_version_keep_loading(name: str, version: str) -> None:
    assert resolve_source(name).name == version


def test_multilingual_small_decodes_with_the_frequencies_of_phones() -> None:
    """By default; its measured error rates are those of ``recipes/multilingual``."""
    decoder = open_decoder("multilingual-small", load_model("multilingual-small"))
    assert decoder is not None and decoder.name == "beam 8, word 1-gram"
    for name in ("multilingual-small-2", "english"):
        assert open_decoder(name, load_model(name)) is None


def test_multilingual_small_recognises_phones_of_a_language_it_was_not_trained_on(tmp_path: Path) -> None:
    synthesize("cy", tmp_path, sentences=20)
    utterances = [
        replace(utterance, text=" ".join(phones_of(utterance.text, "cy")))
        for utterance in read_manifest(tmp_path / "train.jsonl")
    ]
    report = evaluate(load_model("multilingual-small"), utterances, resample=True)
    assert report.words > 300
    assert report.wer < WELSH_PHONE_ERROR_BOUND
