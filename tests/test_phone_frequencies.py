"""The frequencies of phones as a model's own language model: counts by hand, and what decodes with them."""

import sys
from pathlib import Path

import pytest
import torch

from recipes.multilingual.phone_frequencies import add_frequencies, main
from recipes.shipping import copy_model
from speechxfer.checkpoints.card import Card
from speechxfer.checkpoints.loading import load_model
from speechxfer.checkpoints.model_folders import save_model
from speechxfer.data.manifest import Utterance, read_manifest, write_manifest
from speechxfer.decoding.evaluation import evaluate
from speechxfer.decoding.phone_options import PhoneOptions
from speechxfer.language_models.reading import read_language_model
from speechxfer.workflows.decoders import DecodingOptions, open_decoder
from speechxfer.workflows.model_description import describe
from tests.test_inventory import phone_model
from tests.tone_corpus import write_tone_corpus


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model of phones; train.jsonl with eight b and two k, and dev.jsonl."""
    save_model(phone_model("a", "b", "k", "t", "x"), tmp_path / "phones", Card("phones"))
    write_tone_corpus(tmp_path / "dev.jsonl", 3, letters="ab", seed=2, words=(1, 3))
    texts = ("b b b b k", "b b b b k")
    write_manifest(
        tmp_path / "train.jsonl", [Utterance(str(n), tmp_path / "x.wav", 1.0, text=t) for n, t in enumerate(texts)]
    )
    return tmp_path


def test_frequent_phones_score_higher_and_the_model_decodes_with_them(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of 12 tokens, with the two ends of sentences, b has 8 and k 2. Kneser and Ney's fixed discounts leave 6.5 and 1, and give
    each of the words (b, k, end, unknown) a quarter of the 3.5 that were taken: 7.375 and 1.875."""
    name = str(folder / "phones")
    stored = add_frequencies(name, [folder / "train.jsonl"], folder / "dev.jsonl")
    ngrams = read_language_model(folder / "phones" / "word.lm")
    words = torch.tensor([ngrams.id_of("b"), ngrams.id_of("k")])
    scores, _ = ngrams.score(torch.full((2,), ngrams.start), words)
    assert scores.exp().tolist() == pytest.approx([7.375 / 12, 1.875 / 12], abs=1e-4)
    assert (stored.beam, stored.weights.symbol_scale, stored.weights.symbol_bonus) == (8, 0.8, 3.0)
    model = load_model(name)
    decoder = open_decoder(name, model)
    assert decoder is not None and decoder.name == "beam 8, word 1-gram"
    assert open_decoder(name, model, DecodingOptions(PhoneOptions("auto"))) is None, (
        "phones that are counted, not these"
    )
    report = evaluate(model, read_manifest(folder / "dev.jsonl"), decoder=decoder)
    assert 100 * report.wer == stored.wer
    assert report.wer != evaluate(model, read_manifest(folder / "dev.jsonl")).wer, "greedily it is another"
    assert "word.lm" in describe(name)


def test_a_shipped_copy_has_the_frequencies(folder: Path) -> None:
    copy_model(folder / "phones", folder / "without")
    assert not (folder / "without" / "word.lm").exists()
    add_frequencies(str(folder / "phones"), [folder / "train.jsonl"], folder / "dev.jsonl")
    copy_model(folder / "phones", folder / "with")
    for file in ("word.lm", "decoding.json"):
        assert (folder / "with" / file).read_bytes() == (folder / "phones" / file).read_bytes()


def test_the_command_line_names_what_is_missing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["x", str(folder / "phones"), "--train", str(folder / "train.jsonl"), "--dev", str(folder / "no.jsonl")]
    monkeypatch.setattr(sys, "argv", arguments)
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2 and "no.jsonl" in capsys.readouterr().err
    arguments[-1] = str(folder / "dev.jsonl")
    main()
    assert "decodes with the frequencies of phones" in capsys.readouterr().err
