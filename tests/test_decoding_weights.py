"""Decoding with language models and phrases by the verbs: tuning on dev, stored weights, alternatives, and what is refused."""

import json
import shutil
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch

from speechxfer import cli
from speechxfer.checkpoints import load_model, save_model
from speechxfer.data import read_manifest
from speechxfer.decoding import (
    BeamDecoder,
    FusionWeights,
    evaluate,
    prepare_fusion,
    read_phrases,
    score_hypotheses,
    transcribe,
)
from speechxfer.decoding.beam_decoder import align
from speechxfer.errors import InputError
from speechxfer.language_models import read_language_model
from speechxfer.scoring import Calibration, calibration, error_rates, fit_calibration, judge_words, read_report, score
from speechxfer.text import BLANK, Normalizer, Vocabulary
from speechxfer.workflows import DecodingOptions, evaluate_models, transcribe_inputs, tune_models, tuning
from speechxfer.workflows.decoders import StoredWeights, open_decoder, read_stored_weights, store_weights
from speechxfer.workflows.weight_search import Trial, propose_weights
from tests.test_beam_search import CHARACTERS, WORDS
from tests.tone_corpus import write_tone_corpus

DAMAGED_CALIBRATION = json.dumps(
    {
        "format": "speechxfer-decoding-1",
        "tuned": {
            "": asdict(StoredWeights(8, FusionWeights(), "", "dev", 1.0, 1.0)) | {"calibration": {"slope": -1.0}}
        },
    }
)
SETTINGS = ("model.encoder=dnn", "model.subsampling=1", "model.size=tiny", "finetune.steps=2", "finetune.batch_s=8")
SETTINGS += ("finetune.evaluate_every_steps=1", "finetune.speed_factors=[1.0]", "finetune.precision=fp32")


def run(*arguments: str | Path) -> int:
    """The exit code of a command."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["speechxfer", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            cli.main()
    return int(end.value.code or 0)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with train.jsonl, dev.jsonl, language models of words and characters, and a finished run 'run'."""
    folder = tmp_path_factory.mktemp("tones")
    write_tone_corpus(folder / "train.jsonl", 8, letters="abc", seed=1, words=(1, 3))
    write_tone_corpus(folder / "dev.jsonl", 4, letters="abc", seed=2, words=(1, 3))
    (folder / "words.arpa").write_text(WORDS, encoding="utf-8")
    (folder / "characters.arpa").write_text(CHARACTERS, encoding="utf-8")
    settings = [word for setting in SETTINGS for word in ("--set", setting)]
    data = ["--train", str(folder / "train.jsonl"), "--dev", str(folder / "dev.jsonl")]
    assert run("train", "--out", folder / "run", *data, *settings) == 0
    return folder


def test_weights_are_tuned_stored_and_used(corpus: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    name, models = str(corpus / "run"), (corpus / "words.arpa", corpus / "characters.arpa")
    options = DecodingOptions(language_models=models, beam=4)
    (tuning,) = tune_models([name], corpus / "dev.jsonl", options, trials=12)
    assert tuning.trials[0].cost == min(trial.cost for trial in tuning.trials) < tuning.trials[-1].cost
    assert "word 3-gram, character 3-gram: best of 12 trials" in str(tuning) and "greedy" in str(tuning)
    (stored,) = read_stored_weights(name).values()
    assert stored.weights == tuning.trials[0].weights != FusionWeights()
    assert (stored.beam, stored.dev, stored.language_models) == (4, "dev.jsonl", "word 3-gram, character 3-gram")
    capsys.readouterr()
    plain = DecodingOptions(language_models=tuple(reversed(models)))  # the order of the files does not matter
    report = evaluate_models([name], corpus / "dev.jsonl", tmp_path, decoding=plain)
    assert "defaults" not in capsys.readouterr().err
    assert 100 * report.wer == pytest.approx(stored.wer) and 100 * report.cer == pytest.approx(stored.cer)
    assert read_report(tmp_path / "report.json").decoder == "beam 4, word 3-gram, character 3-gram"
    evaluate_models([name], corpus / "dev.jsonl", decoding=DecodingOptions(language_models=models[:1], beam=2))
    assert "no weights were tuned" in capsys.readouterr().err  # those of other language models are not used


def test_tuning_calibrates_the_confidences_of_its_own_decoder(
    corpus: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    model, dev = load_model(corpus / "run"), read_manifest(corpus / "dev.jsonl")
    model.calibration = Calibration(2.0, 1.0, 99)  # of greedy decoding
    save_model(model, tmp_path / "copy")
    name, options = str(tmp_path / "copy"), DecodingOptions(language_models=(corpus / "characters.arpa",), beam=2)
    monkeypatch.setattr(calibration, "MIN_WORDS", 4)
    tune_models([name], corpus / "dev.jsonl", options, trials=1)
    (stored,) = read_stored_weights(name).values()
    decoder = open_decoder(name, model, options)
    assert decoder and decoder.calibration == stored.calibration is not None
    raw = transcribe(model, dev, decoder=replace(decoder, calibration=None))
    report = score_hypotheses(model, dev, raw)
    words = judge_words(report, {id_: [word.confidence for word in one.words] for id_, one in raw.items()})
    assert stored.calibration == fit_calibration(words.confidences, words.right)
    with_lm, greedy = evaluate_models([name], corpus / "dev.jsonl", decoding=options), evaluate(model, dev)
    untuned = evaluate_models([name], corpus / "dev.jsonl", decoding=DecodingOptions(beam=2))
    flags = [each.confidence and each.confidence.calibrated for each in (report, with_lm, greedy, untuned)]
    assert flags == [False, True, True, False]


def test_weights_of_several_language_models_are_kept_beside_each_other(corpus: Path, tmp_path: Path) -> None:
    model = load_model(corpus / "run")
    save_model(model, tmp_path / "copy")
    first = StoredWeights(
        8, FusionWeights(boost=1.25), "word 3-gram", "dev.jsonl", 10.0, 5.0, Calibration(0.5, 0.1, 30)
    )
    second = StoredWeights(16, FusionWeights(), "", "dev.jsonl", 11.0, 6.0)
    store_weights(str(tmp_path / "copy"), "one", first)
    store_weights(str(tmp_path / "copy"), "two", second)
    assert read_stored_weights(str(tmp_path / "copy")) == {"one": first, "two": second}
    save_model(model, tmp_path / "copy")  # new weights of the model: those of the decoder do not outlive the old ones
    assert read_stored_weights(str(tmp_path / "copy")) == {}


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        '{"format": "speechxfer-decoding-1"}',
        "{",
        '{"format": "speechxfer-decoding-1", "tuned": {"a": 1}}',
        DAMAGED_CALIBRATION,
    ],
)
def test_damaged_weights_are_refused(corpus: Path, tmp_path: Path, text: str) -> None:
    save_model(load_model(corpus / "run"), tmp_path / "copy")
    (tmp_path / "copy" / "decoding.json").write_text(text)
    with pytest.raises(InputError, match=r"decoding\.json.*tune again"):
        open_decoder(str(tmp_path / "copy"), load_model(tmp_path / "copy"), DecodingOptions(beam=3))


@pytest.mark.parametrize(
    ("before", "after"),
    [('"beam": 8', '"beam": 0'), ('"beam": 8', '"beam": 1000000'), ("0.25", "NaN"), ("0.25", "Infinity")],
)
def test_weights_out_of_range_are_refused(corpus: Path, tmp_path: Path, before: str, after: str) -> None:
    save_model(load_model(corpus / "run"), tmp_path / "copy")
    stored = StoredWeights(8, FusionWeights(boost=0.25), "word 3-gram", "dev.jsonl", 10.0, 5.0)
    path = store_weights(str(tmp_path / "copy"), "one", stored)
    path.write_text(path.read_text().replace(before, after))
    with pytest.raises(InputError, match=r"decoding\.json.*tune again"):
        read_stored_weights(str(tmp_path / "copy"))


def test_tuning_refuses_training_data_and_results(corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    common = ("evaluate", corpus / "run", "--lm", corpus / "words.arpa", "--tune")
    assert run(*common, "--on", corpus / "train.jsonl") == 2
    assert "8 utterances are training data" in capsys.readouterr().err
    assert run(*common, "--on", corpus / "dev.jsonl", "--results", corpus / "results.json") == 2
    assert "omit --results" in capsys.readouterr().err
    assert run("evaluate", corpus / "run", "--tune", "--on", corpus / "dev.jsonl") == 2
    assert "give --lm or --boost" in capsys.readouterr().err
    assert run("evaluate", "english", "--lm", corpus / "words.arpa", "--tune", "--on", corpus / "dev.jsonl") == 2
    assert "immutable" in capsys.readouterr().err


def test_tuning_compares_the_whole_manifest_where_a_run_states_no_ids(
    corpus: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ids = (corpus / "run" / "train_ids.txt").read_text()
    (corpus / "run" / "train_ids.txt").unlink()
    try:
        options = DecodingOptions(language_models=(corpus / "words.arpa",), beam=2)
        with pytest.raises(InputError, match="is training data"):
            tune_models([str(corpus / "run")], corpus / "train.jsonl", options, trials=1)
        tune_models([str(corpus / "run")], corpus / "dev.jsonl", options, trials=1)
        assert "does not state the ids" in capsys.readouterr().err
    finally:
        (corpus / "run" / "train_ids.txt").write_text(ids)


def test_models_that_are_no_seeds_of_one_run_are_refused_before_tuning(
    corpus: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def search(*_: object, **__: object) -> None:
        raise AssertionError("log-probabilities are computed")

    other = shutil.copytree(corpus / "run", tmp_path / "other")
    card = json.loads((other / "model" / "model.json").read_text(encoding="utf-8"))
    text = json.dumps(card).replace('"batch_s": 8.0', '"batch_s": 9.0')
    (other / "model" / "model.json").write_text(text, encoding="utf-8")
    monkeypatch.setattr(tuning, "compute_log_probs", search)
    options = DecodingOptions(language_models=(corpus / "words.arpa",))
    with pytest.raises(InputError, match=r"not one model with several seeds \(finetune.batch_s differ\)"):
        tune_models([str(corpus / "run"), str(other)], corpus / "dev.jsonl", options)


def test_weights_of_boosting_name_their_list_and_another_one_is_warned_of(
    corpus: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    name = str(shutil.copytree(corpus / "run", tmp_path / "run"))
    for file, phrase in (("names.txt", "ab"), ("places.txt", "ba")):
        (tmp_path / file).write_text(f"{phrase}\n", encoding="utf-8")
    tune_models([name], corpus / "dev.jsonl", DecodingOptions(boost=tmp_path / "names.txt", beam=2), trials=1)
    assert f"used whenever {name} decodes with the phrases of {tmp_path / 'names.txt'}" in capsys.readouterr().err
    warnings = {}
    for file in ("names.txt", "places.txt"):
        open_decoder(name, load_model(name), DecodingOptions(boost=tmp_path / file))
        warnings[file] = capsys.readouterr().err
    assert warnings["names.txt"] == ""
    assert f"tuned with the list names.txt, which {tmp_path / 'places.txt'} differs from" in warnings["places.txt"]


def test_transcribe_prints_the_n_best_texts(corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("transcribe", corpus / "run", corpus / "dev.jsonl", "--nbest", "3", "--beam", "8") == 0
    rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    by_id = {id_: [row for row in rows if row[0] == id_] for id_, *_ in rows}
    assert list(by_id) == [utterance.id for utterance in read_manifest(corpus / "dev.jsonl")]
    for alternatives in by_id.values():
        assert [row[1] for row in alternatives] == ["1", "2", "3"]
        scores = [float(row[2]) for row in alternatives]
        assert scores == sorted(scores, reverse=True) and len({row[3] for row in alternatives}) == 3
    assert run("transcribe", corpus / "run", corpus / "dev.jsonl", "--nbest", "3", "--beam", "2") == 2
    capsys.readouterr()
    for elsewhere in (["--format", "json"], ["--out", corpus / "lost"]):  # files have no place for alternatives
        assert run("transcribe", corpus / "run", corpus / "dev.jsonl", "--nbest", "3", *elsewhere) == 2
        assert "--nbest 3 prints lines of text" in capsys.readouterr().err
    assert not (corpus / "lost").exists()


def test_boosting_by_a_list_without_phrases_is_greedy(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "none.txt").write_text("\n\n")
    (tmp_path / "some.txt").write_text("abc\t2\n")
    greedy = dict(transcribe_inputs(str(corpus / "run"), [corpus / "dev.jsonl"]))
    none = DecodingOptions(boost=tmp_path / "none.txt")
    assert dict(transcribe_inputs(str(corpus / "run"), [corpus / "dev.jsonl"], decoding=none)) == greedy
    assert "has no phrase" in capsys.readouterr().err
    model = load_model(corpus / "run")
    decoder = open_decoder(str(corpus / "run"), model, DecodingOptions(boost=tmp_path / "some.txt"))
    assert decoder is not None and decoder.name == "beam 16, boosting"
    certain = torch.full((6, len(model.vocabulary.symbols)), -9.0)
    for frame, symbol in enumerate([0, *model.vocabulary.encode("abb"), 0, 0]):
        certain[frame, symbol] = 0.0
    certain[3, model.vocabulary.encode("c")[0]] = -2.0  # less probable than b, but then the phrase is complete
    assert [h.text for h in decoder.decode([certain.log_softmax(dim=1)])] == ["abc"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("abc\nabd\n", r"line 2: 'abd' has 'd', which the model cannot write"),
        ("abc\tmuch\n", r"line 1: the weight 'much' is no number"),
        ("abc\tnan\n", r"line 1: the weight is nan"),
        ("abc\n!!\n", r"line 2: the phrase is empty after normalisation"),
    ],
)
def test_bad_phrases_are_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "phrases.txt").write_text(text)
    vocabulary = Vocabulary((BLANK, " ", "a", "b", "c"))
    with pytest.raises(InputError, match=message):
        read_phrases(tmp_path / "phrases.txt", vocabulary, Normalizer())


@pytest.mark.parametrize(
    ("vocabulary", "names", "message"),
    [
        (Vocabulary((BLANK, "x", "y", " ")), ["words"], "can spell none"),
        (Vocabulary((BLANK, "x", "y")), ["characters"], "knows none of the model's symbols"),
        (Vocabulary((BLANK, "a", *"cdefg"), "phones"), ["words"], "does not know most of the model's symbols"),
        (Vocabulary((BLANK, "a", "b")), ["words"], "writes no space"),
        (Vocabulary((BLANK, " ", "a", "b")), ["words", "words"], "two language models of one kind"),
        (Vocabulary((BLANK, "a", "b"), "phones"), ["characters"], "suits a model of characters"),
        (Vocabulary((BLANK, "yes", "no"), "labels"), ["words"], "classifier"),
    ],
)
def test_language_models_that_do_not_suit_are_refused(
    corpus: Path, vocabulary: Vocabulary, names: list[str], message: str
) -> None:
    models = [read_language_model(corpus / f"{name}.arpa") for name in names]
    with pytest.raises(InputError, match=message):
        prepare_fusion(vocabulary, Normalizer(), models)


def test_words_have_the_times_of_the_best_alignment() -> None:
    vocabulary = Vocabulary((BLANK, " ", "a", "b"))
    path = [0, 2, 2, 0, 2, 1, 0, 3, 0, 0]
    log_probs = torch.full((len(path), 4), 0.01)
    log_probs[range(len(path)), path] = 0.97
    (hypothesis,) = BeamDecoder(vocabulary, frame_s=0.04).decode([log_probs.log()])
    assert hypothesis.text == "aa b"
    assert [(word.text, word.start_s, word.end_s) for word in hypothesis.words] == [
        ("aa", pytest.approx(0.04), pytest.approx(0.20)),
        ("b", pytest.approx(0.28), pytest.approx(0.32)),
    ]
    assert hypothesis.confidence == pytest.approx(0.97) and hypothesis.blank_frames == 5 and hypothesis.frames == 10
    assert align(log_probs.log(), []) == [0] * 10


def test_error_rates_are_those_of_the_scorer() -> None:
    references, hypotheses = {"a": "one two three", "b": "", "c": "Four"}, {"a": "one too", "b": "x y", "c": "four"}
    report = score(references, hypotheses)
    pairs = [(references[id_], hypotheses[id_]) for id_ in references]
    assert error_rates(pairs) == (report.wer, report.cer)


@pytest.mark.parametrize(
    "names", [("symbol_scale", "symbol_bonus"), ("word_scale", "word_bonus", "unknown_word", "boost")]
)
def test_the_search_for_weights_finds_the_minimum(names: tuple[str, ...]) -> None:
    aims = {
        "symbol_scale": 0.9,
        "symbol_bonus": 0.2,
        "word_scale": 0.4,
        "word_bonus": 1.0,
        "unknown_word": 1.5,
        "boost": 2.5,
    }
    tried: dict[FusionWeights, Trial] = {}
    for number, weights in enumerate(propose_weights(names, tried)):
        cost = sum(abs(getattr(weights, name) - aims[name]) for name in names)
        tried[weights] = Trial(weights, cost, 0.0)
        if number == 120:
            break
    best = min(tried.values(), key=lambda trial: trial.cost).weights
    for name in names:
        assert getattr(best, name) == pytest.approx(aims[name], abs=0.35)
    for name in set(aims) - set(names):
        assert getattr(best, name) == getattr(FusionWeights(), name)


@pytest.mark.parametrize("sizes", [{"beam": 100_000}, {"nbest": 100_000}])
def test_a_beam_that_needs_too_much_memory_is_refused(sizes: dict[str, int]) -> None:
    with pytest.raises(InputError, match=r"is 100,000; expected at most 1,024"):
        DecodingOptions(**sizes)


def test_known_words_are_the_only_ones_written(corpus: Path, tmp_path: Path) -> None:
    options = DecodingOptions(language_models=(corpus / "words.arpa",), beam=8)
    run_name, known = str(corpus / "run"), replace(options, known_words=True)
    texts = [hypothesis.text for _, hypothesis in transcribe_inputs(run_name, [corpus / "dev.jsonl"], decoding=known)]
    assert all(word in ("a", "ab", "b") for text in texts for word in text.split())
    (tuning,) = tune_models([run_name], corpus / "dev.jsonl", known, trials=2)
    assert tuning.names == ("word_scale", "word_bonus")
    assert tuning.language_models == "word 3-gram, known words"
    tune_models([run_name], corpus / "dev.jsonl", options, trials=1)  # stored beside those of known words
    stored = {weights.language_models: weights for weights in read_stored_weights(run_name).values()}
    assert stored["word 3-gram, known words"].weights == tuning.trials[0].weights
    assert stored["word 3-gram"].weights == FusionWeights()
    with pytest.raises(InputError, match="--known-words"):
        open_decoder(run_name, load_model(run_name), DecodingOptions(known_words=True))
