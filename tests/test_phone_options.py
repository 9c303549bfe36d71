"""Phones weighted by how often recordings have them (``--phones auto``); expected values are worked out by hand."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor

from speechxfer.checkpoints.card import Card
from speechxfer.checkpoints.model_folders import save_model
from speechxfer.data.manifest import Utterance, write_manifest
from speechxfer.data.splits import sample_seconds
from speechxfer.decoding import phone_options
from speechxfer.decoding.evaluation import evaluate
from speechxfer.decoding.inventory import PhoneInventory
from speechxfer.decoding.phone_options import PhoneOptions, estimate_phones, weight_phones
from speechxfer.decoding.transcription import transcribe
from speechxfer.errors import InputError
from speechxfer.features import AudioOptions
from speechxfer.text.phones import AUTO_PHONES
from speechxfer.text.vocabulary import Vocabulary
from speechxfer.workflows import transcription_runs
from tests.small_models import source_model
from tests.test_inventory import phone_model, run
from tests.tone_corpus import write_tone_corpus

VOCABULARY = Vocabulary(("<blank>", "a", "b", "c"), "phones")


def frames(*rows: tuple[float, ...]) -> Tensor:
    """Log-probabilities of rows of probabilities."""
    return torch.tensor(rows).log()


SURE = {symbol: tuple(0.97 if n == symbol else 0.01 for n in range(4)) for symbol in range(4)}


def weights_of(*counts: float) -> list[float]:
    """Of blank and phones that occur so often: 0, and 0.8 times the log frequencies plus 3."""
    return [0.0, *(0.8 * math.log(count / sum(counts)) + 3 for count in counts)]


def test_weights_are_the_smoothed_log_frequencies_of_the_best_paths(capsys: pytest.CaptureFixture[str]) -> None:
    """a a - a b and a: three a, one b, no c; and 100 more in equal parts, since there are no letter tables."""
    log_probs = [frames(*(SURE[n] for n in (1, 1, 0, 1, 2))), frames(SURE[1])]
    weighted = weight_phones(log_probs, VOCABULARY)
    assert weighted.weights == pytest.approx(weights_of(3 + 100 / 3, 1 + 100 / 3, 100 / 3), abs=1e-6)
    assert (weighted.rows, weighted.vocabulary) == ((0, 1, 2, 3), VOCABULARY)
    shown, warning = capsys.readouterr().err.splitlines()
    assert shown == "phones auto: in % of 4 phones in a sample: a 75.0, b 25.0"
    assert warning.startswith("warning: --phones auto: 4 phones are too few to tell which phones the language has")
    weight_phones([frames(SURE[1])] * 100, VOCABULARY)
    assert capsys.readouterr().err == "phones auto: in % of 100 phones in a sample: a 100.0\n", "enough"


def test_few_phones_are_as_frequent_as_their_letters_in_the_tables() -> None:
    """Three letters stand for a, one for c, none for b; each has 0.2 more. 100 phones so distributed, and one b is counted."""
    letters = {"x": {"A": "a", "Á": "a"}, "y": {"A": "a", "C": "c", "Q": "unknown to the model"}}
    weighted = weight_phones([frames(SURE[2])], replace(VOCABULARY, letters=letters))
    share = 100 / (3.2 + 0.2 + 1.2)
    assert weighted.weights == pytest.approx(weights_of(3.2 * share, 0.2 * share + 1, 1.2 * share), abs=1e-5)


def test_the_first_transcripts_are_weighted_by_the_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    """c is a little more probable than a, which most letters stand for; in one round a is counted."""
    monkeypatch.setattr(phone_options, "ROUNDS", 1)
    vocabulary = replace(VOCABULARY, letters={"x": {"A": "a", "Á": "a", "À": "a"}})
    weighted = weight_phones([frames((0.02, 0.46, 0.01, 0.51))] * 50, vocabulary)
    share = 100 / (3.2 + 0.2 + 0.2)
    assert weighted.weights == pytest.approx(weights_of(3.2 * share + 50, 0.2 * share, 0.2 * share), abs=1e-5)


def test_phones_that_are_rare_by_mistake_become_frequent_ones() -> None:
    """c is more probable than a in one frame of many; a, which occurs often elsewhere, is written there as well."""
    close = frames((0.02, 0.46, 0.01, 0.51))
    weighted = weight_phones([frames(SURE[1])] * 200 + [frames(SURE[2])] * 5 + [close], VOCABULARY)
    assert int(close.argmax()) == 3
    assert int(weighted.restrict(close).argmax()) == 1
    assert int(weighted.restrict(frames(SURE[3])).argmax()) == 3, "one that the model is sure of stays"


def test_later_rounds_count_the_transcripts_of_earlier_ones() -> None:
    """c wins by itself in both frames of the second kind, and no longer once a has become frequent: then none is counted."""
    close = frames((0.02, 0.46, 0.01, 0.51))
    weighted = weight_phones([frames(SURE[1])] * 200 + [close] * 2, VOCABULARY)
    assert weighted.weights == pytest.approx(weights_of(202 + 100 / 3, 100 / 3, 100 / 3), abs=1e-5)


def test_nothing_but_blank_gives_all_phones_the_same_weight(capsys: pytest.CaptureFixture[str]) -> None:
    for log_probs in ([], [frames(SURE[0], SURE[0])]):
        weighted = weight_phones(log_probs, VOCABULARY)
        assert weighted.weights == pytest.approx(weights_of(1, 1, 1), abs=1e-6)
        assert capsys.readouterr().err.startswith("phones auto: in % of 0 phones in a sample: none\nwarning: ")


def test_weights_are_added_to_log_probabilities() -> None:
    """0.5, 0.25, 0.25 times 1, 2 and 4 are 0.5, 0.5 and 1: a quarter, a quarter and a half."""
    vocabulary = Vocabulary(("<blank>", "a", "b"), "phones")
    weighted = PhoneInventory((0, 1, 2), vocabulary, (0.0, math.log(2), math.log(4)))
    restricted = weighted.restrict(frames((0.5, 0.25, 0.25)))
    assert restricted.exp()[0].tolist() == pytest.approx([0.25, 0.25, 0.5])
    assert weighted.phones == (AUTO_PHONES,)


def test_a_sample_has_the_wanted_length_and_the_order_of_the_utterances(tmp_path: Path) -> None:
    utterances = write_tone_corpus(tmp_path / "dev.jsonl", 12, letters="ab", seed=2, words=(1, 3))
    assert sample_seconds(utterances, phone_options.SAMPLE_S) == utterances, "shorter than half an hour"
    sample = sample_seconds(utterances, 3.0)
    length_s = sum(u.duration for u in sample)
    assert 3.0 <= length_s < 3.0 + max(u.duration for u in utterances)
    assert sample == [u for u in utterances if u in sample] != utterances[: len(sample)]


def test_of_long_recordings_excerpts_are_counted() -> None:
    """Of 20 recordings of an hour two minutes each, half an hour of one alone; a short utterance stays whole."""
    hour = Utterance("a", Path("a.wav"), 3600.0, text="")
    parts = phone_options._excerpts([*[hour] * 20, replace(hour, duration=5.0, offset=7.0)])
    assert [part.duration for part in parts] == [*[120.0] * 20, 5.0] and parts[-1].offset == 7.0
    assert all(0.0 <= part.offset <= 3480.0 for part in parts) and len({part.offset for part in parts[:20]}) == 20
    [alone] = phone_options._excerpts([hour])
    assert alone.duration == 1800.0


def test_python_and_the_command_line_estimate_alike(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    utterances = write_tone_corpus(tmp_path / "dev.jsonl", 4, letters="abc", seed=2, words=(1, 3))
    model = phone_model("a", "b", "k", "t", "x")
    save_model(model, tmp_path / "phones", Card("phones"))
    weighted = estimate_phones(model, utterances, AudioOptions(model.spec))
    free, expected = transcribe(model, utterances), transcribe(model, utterances, phones=weighted)
    assert expected != free
    assert transcribe(model, utterances, phones=AUTO_PHONES) == expected
    capsys.readouterr()
    code, out, err = run(["transcribe", tmp_path / "phones", tmp_path / "dev.jsonl", "--phones", "auto"], capsys)
    assert code == 0 and [line.split(":")[0] for line in err] == ["phones auto", "warning"]
    assert out.splitlines() == [f"{id_}\t{one.text}" for id_, one in expected.items()]
    recordings = [utterance.audio_filepath for utterance in utterances]
    code, out, _ = run(["transcribe", tmp_path / "phones", *recordings, "--phones", "auto"], capsys)
    assert code == 0
    assert [line.split("\t")[1] for line in out.splitlines()] == [one.text for one in expected.values()]


def test_evaluate_states_that_phones_were_weighted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    utterances = write_tone_corpus(tmp_path / "dev.jsonl", 4, letters="ab", seed=2, words=(1, 3))
    model = phone_model("a", "b", "k", "t", "x")
    details = dict(train_hours=1.0, seed=1, steps=3, command="c", commit="c", date="d", hardware="h", wall_s=1.0)
    save_model(model, tmp_path / "phones", Card("phones", details=details))
    report = evaluate(model, utterances, phones=AUTO_PHONES)
    assert report.phones == (AUTO_PHONES,)
    results = tmp_path / "results.json"
    command = [
        "evaluate",
        tmp_path / "phones",
        "--on",
        tmp_path / "dev.jsonl",
        "--phones",
        "auto",
        "--results",
        results,
    ]
    code, out, _ = run(command, capsys)
    assert code == 0
    assert "output weighted by the phones of these recordings" in out.splitlines()
    assert f"WER {100 * report.wer:.1f} %" in out
    assert '"decoder": "greedy, phones auto"' in results.read_text("utf-8")


def test_a_recording_that_cannot_be_read_is_named_once_and_the_others_are_transcribed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    utterances = write_tone_corpus(tmp_path / "dev.jsonl", 2, letters="ab", seed=2, words=(1, 3))
    save_model(phone_model("a", "b", "k"), tmp_path / "phones", Card("phones"))
    broken = tmp_path / "broken.wav"
    broken.write_bytes(utterances[0].audio_filepath.read_bytes()[:44] + b"")
    good = utterances[1].audio_filepath
    code, out, err = run(["transcribe", tmp_path / "phones", broken, good, "--phones", "auto"], capsys)
    assert code == 2
    assert [line.split("\t")[0] for line in out.splitlines()] == [f"{good}@0.00"]
    assert sum(str(broken) in line for line in err if line.startswith("error: ")) == 1


def test_utterances_that_cannot_be_read_are_not_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One file is missing, one is no audio, one is too short for a frame; the others are counted as without them."""
    utterances = write_tone_corpus(tmp_path / "dev.jsonl", 5, letters="ab", seed=2, words=(1, 3))
    model = phone_model("a", "b", "k", "t", "x")
    save_model(model, tmp_path / "phones", Card("phones"))
    garbage = tmp_path / "garbage.wav"
    garbage.write_bytes(b"no audio")
    broken = [
        replace(utterances[0], id="missing", audio_filepath=tmp_path / "missing.wav"),
        replace(utterances[0], id="garbage", audio_filepath=garbage),
        replace(utterances[0], id="short", duration=0.004),
    ]
    audio = AudioOptions(model.spec)
    assert estimate_phones(model, [*broken, *utterances], audio) == estimate_phones(model, utterances, audio)
    write_manifest(tmp_path / "mixed.jsonl", [broken[0], *utterances, *broken[1:]])
    capsys.readouterr()
    code, out, err = run(["transcribe", tmp_path / "phones", tmp_path / "mixed.jsonl", "--phones", "auto"], capsys)
    assert code == 2 and len(out.splitlines()) == 5
    assert "3 not transcribed" in err[-1]


def test_audio_is_warned_of_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    utterances = write_tone_corpus(tmp_path / "dev.jsonl", 2, letters="ab", seed=2, words=(1, 3))
    save_model(phone_model("a", "b", "k"), tmp_path / "phones", Card("phones"))
    samples, rate = soundfile.read(utterances[0].audio_filepath)
    soundfile.write(tmp_path / "both.wav", np.stack([samples, -samples], axis=1), rate)
    code, _, err = run(["transcribe", tmp_path / "phones", tmp_path / "both.wav", "--phones", "auto"], capsys)
    assert code == 0 and sum("both.wav" in line and "cancel" in line for line in err) == 1


def test_a_report_page_is_of_weighted_phones(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    utterances = write_tone_corpus(tmp_path / "dev.jsonl", 4, letters="ab", seed=2, words=(1, 3))
    model = phone_model("a", "b", "k", "t", "x")
    save_model(model, tmp_path / "phones", Card("phones"))
    page = tmp_path / "page.html"
    on = ["--on", tmp_path / "dev.jsonl", "--out", page]
    code, _, err = run(["report", tmp_path / "phones", *on, "--phones", "auto"], capsys)
    assert code == 0 and sum(line.startswith("phones auto: in %") for line in err) == 1
    expected = evaluate(model, utterances, phones=AUTO_PHONES)
    assert expected.wer != evaluate(model, utterances).wer
    text = page.read_text("utf-8")
    assert f"{100 * expected.wer:.1f}" in text
    assert "weighted by how often these recordings have them" in text and "Restricted to" not in text


@pytest.mark.parametrize("option", [["--lm", "x.lm"], ["--boost", "x.txt"], ["--known-words"]])
def test_it_takes_no_language_model(option: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_tone_corpus(tmp_path / "dev.jsonl", 2, letters="ab", seed=2, words=(1, 3))
    save_model(phone_model("a", "b", "k"), tmp_path / "phones", Card("phones"))
    (tmp_path / "x.lm").touch()
    command = ["transcribe", tmp_path / "phones", tmp_path / "dev.jsonl", "--phones", "auto"]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        code, out, err = run([*command, *option], capsys)
    assert (code, out, len(err)) == (2, "", 1) and "in place of a language model; omit --lm" in err[0]


@pytest.mark.parametrize("written", ["Auto", " auto "])
def test_the_word_may_have_capitals_and_spaces(written: str) -> None:
    assert PhoneOptions(written).is_auto


def test_no_phones_can_be_given_beside_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_tone_corpus(tmp_path / "dev.jsonl", 2, letters="ab", seed=2, words=(1, 3))
    save_model(phone_model("a", "b", "k"), tmp_path / "phones", Card("phones"))
    code, out, err = run(["transcribe", tmp_path / "phones", tmp_path / "dev.jsonl", "--phones", "auto a"], capsys)
    assert (code, out, len(err)) == (2, "", 1) and "give 'auto' alone" in err[0]


def test_an_existing_file_is_refused_before_phones_are_estimated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    [utterance] = write_tone_corpus(tmp_path / "dev.jsonl", 1, letters="ab", seed=2, words=(1, 3))
    save_model(phone_model("a", "b", "k"), tmp_path / "phones", Card("phones"))
    monkeypatch.setattr(transcription_runs, "estimate_phones", lambda *_: pytest.fail("estimated"))
    (tmp_path / "out").mkdir()
    existing = tmp_path / "out" / f"{utterance.audio_filepath.stem}.json"
    existing.write_text("mine", encoding="utf-8")
    recording = utterance.audio_filepath
    command = ["transcribe", tmp_path / "phones", recording, "--phones", "auto", "--format", "json"]
    code, _, err = run([*command, "--out", tmp_path / "out"], capsys)
    assert code == 2 and "exists" in err[-1] and existing.read_text("utf-8") == "mine"


@pytest.mark.parametrize("verb", ["select", "find"])
def test_verbs_that_estimate_no_phones_say_so(verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_tone_corpus(tmp_path / "dev.jsonl", 2, letters="ab", seed=2, words=(1, 3))
    save_model(phone_model("a", "b", "k"), tmp_path / "phones", Card("phones"))
    on: dict[str, list[str | Path]] = {
        "select": ["select", tmp_path / "phones", "--on", tmp_path / "dev.jsonl", "--minutes", "1"],
        "find": ["find", tmp_path / "phones", "a b", tmp_path / "dev.jsonl"],
    }
    code, out, err = run([*on[verb], "--phones", "auto"], capsys)
    assert (code, out, len(err)) == (2, "", 1)
    assert "--phones auto: phones are estimated by `transcribe`, `evaluate` and `report`" in err[0]


def test_a_model_of_letters_has_no_phones_to_estimate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    utterances = write_tone_corpus(tmp_path / "dev.jsonl", 2, letters="ab", seed=2, words=(1, 3))
    model = source_model()
    with pytest.raises(InputError, match="writes characters, so its output cannot be restricted"):
        evaluate(model, utterances, phones=AUTO_PHONES)
    save_model(model, tmp_path / "letters", Card("letters"))
    code, out, err = run(["transcribe", tmp_path / "letters", tmp_path / "dev.jsonl", "--phones", "auto"], capsys)
    assert (code, out, len(err)) == (2, "", 1) and "letters writes characters" in err[0]
    assert PhoneOptions(AUTO_PHONES).is_auto and not PhoneOptions("a").is_auto
