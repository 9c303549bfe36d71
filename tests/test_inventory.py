"""Restriction to an inventory of phones: log-probabilities by hand, matching by panphon's distances, languages, command line."""

import json
import math
import sys
from dataclasses import replace
from pathlib import Path

import panphon.distance
import pytest
import torch

from speechxfer import cli
from speechxfer.checkpoints.card import Card
from speechxfer.checkpoints.loading import load_model
from speechxfer.checkpoints.model_folders import save_model
from speechxfer.decoding import inventory as inventories
from speechxfer.decoding.evaluation import evaluate
from speechxfer.decoding.greedy import GreedyDecoder
from speechxfer.decoding.inventory import PhoneInventory, list_language_phones, match_phones
from speechxfer.decoding.log_probs import compute_log_probs
from speechxfer.decoding.phone_options import PhoneOptions
from speechxfer.decoding.transcription import transcribe
from speechxfer.errors import InputError
from speechxfer.features.extraction import AudioOptions, utterance_features
from speechxfer.models.acoustic_model import AcousticModel
from speechxfer.scoring.report import WerReport
from speechxfer.text.phones import nearest_phone
from speechxfer.text.vocabulary import Vocabulary
from speechxfer.workflows.results import read_rows
from tests.small_models import source_model
from tests.tone_corpus import write_tone_corpus

LETTERS = {"el-monoton": {"α": "a", "β": "b", "κ": "k", "χ": "x"}, "sw": {"a": "a", "t": "t"}}


def phone_model(*phones: str, letters: dict[str, dict[str, str]] = LETTERS) -> AcousticModel:
    """Random weights; its phones."""
    return source_model(vocabulary=Vocabulary(("<blank>", *phones), "phones", letters=letters))


@pytest.fixture
def notes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is reported on stderr."""
    lines: list[str] = []
    monkeypatch.setattr(inventories, "log_info", lines.append)
    return lines


def written(model: AcousticModel, phones: str) -> dict[str, str]:
    """How each remaining symbol of the model is written."""
    inventory = match_phones(model, phones)
    symbols = [model.vocabulary.symbols[row] for row in inventory.rows]
    assert symbols[0] == inventory.vocabulary.symbols[0] == "<blank>"
    return dict(zip(symbols[1:], inventory.vocabulary.symbols[1:], strict=True))


# Log-probabilities ---------------------------------------------------------------------------------------------------


ALL = Vocabulary(("<blank>", "a", "b", "c"), "phones")
FRAMES = torch.tensor(  # blank, a, b, c
    [
        [0.30, 0.40, 0.20, 0.10],
        [0.60, 0.30, 0.05, 0.05],
        [0.20, 0.10, 0.30, 0.40],
    ]
)
B_AND_C = PhoneInventory((0, 2, 3), Vocabulary(("<blank>", "β", "c"), "phones"))


def test_the_probability_of_masked_phones_goes_to_the_others_and_not_to_blank() -> None:
    """First frame: 0.7 is not blank; b and c share it two to one. With all phones it is a, of 0.4."""
    expected = [[0.3, 0.7 * 2 / 3, 0.7 / 3], [0.6, 0.2, 0.2], [0.2, 0.8 * 3 / 7, 0.8 * 4 / 7]]
    assert torch.allclose(B_AND_C.restrict(FRAMES.log()).exp(), torch.tensor(expected))


def test_a_mask_changes_the_text_and_the_confidence_is_of_the_restricted_distribution() -> None:
    [free] = GreedyDecoder(ALL, 0.1).decode([FRAMES.log()])
    assert (free.text, free.blank_frames) == ("a c", 1)
    assert free.confidence == pytest.approx(math.sqrt(0.4 * 0.4))
    [restricted] = GreedyDecoder(B_AND_C.vocabulary, 0.1).decode([B_AND_C.restrict(FRAMES.log())])
    assert (restricted.text, restricted.frames, restricted.blank_frames) == ("β c", 3, 1)
    assert restricted.confidence == pytest.approx(math.sqrt(0.7 * 2 / 3 * 0.8 * 4 / 7))


def test_the_softmax_is_over_logits_however_small() -> None:
    """Phones that are e**-80 times as likely as the masked one are compared with each other."""
    log_probs = torch.tensor([[-math.log(2.0) - 60, 0.0, -80.0, -80.0 - math.log(3.0)]]).log_softmax(-1)
    assert B_AND_C.restrict(log_probs)[0, 1:].exp().tolist() == pytest.approx([0.75, 0.25], rel=1e-5)


# Matching ------------------------------------------------------------------------------------------------------------


def test_phones_of_the_model_are_themselves(notes: list[str]) -> None:
    assert written(phone_model("a", "b", "t", "ʃ"), "ʃ b a") == {"a": "a", "b": "b", "ʃ": "ʃ"}
    assert notes == []


def test_another_phone_is_the_nearest_of_the_model_by_articulatory_features(notes: list[str]) -> None:
    symbols = ("a", "b", "f", "i", "k", "n", "s", "t")
    distance = panphon.distance.Distance()
    expected = {
        min(symbols, key=lambda symbol: distance.weighted_feature_edit_distance(alias, symbol)): alias
        for alias in "cɓɴɸ"
    }
    assert len(expected) == 4 and set(expected) >= {"b", "f", "n"}
    assert written(phone_model(*symbols), "c ɓ ɴ ɸ") == expected
    assert notes == [f"phones: {alias} is recognised as {symbol}" for symbol, alias in expected.items()]


def test_the_users_symbol_is_written(notes: list[str]) -> None:
    """Look-alikes, too: g for ɡ."""
    assert written(phone_model("a", "k", "ɡ"), "aː kʰ g") == {"a": "aː", "k": "kʰ", "ɡ": "g"}
    assert notes == [
        "phones: aː is recognised as a",
        "phones: kʰ is recognised as k",
        "phones: g is recognised as ɡ",
    ]


def test_affricates_and_diphthongs_become_two_phones(notes: list[str]) -> None:
    assert written(phone_model("a", "t", "ɪ", "ʃ"), "t͡ʃ aɪ") == {"a": "a", "t": "t", "ɪ": "ɪ", "ʃ": "ʃ"}
    assert notes == ["phones: written as their parts: t͡ʃ as t ʃ, aɪ as a ɪ"]


@pytest.mark.parametrize(
    ("phones", "chosen"),
    [
        ("tʰ t", "t"),  # the symbol itself
        ("ɗ dʱ", "dʱ"),  # the symbol's letter before another one
        ("dʱ d̥", "dʱ"),  # the first
        ("d̥ dʱ ɗ", "d̥"),
        ("t͡s tʰ", "t"),  # a part that is the symbol itself
    ],
)
def test_one_of_several_phones_for_a_symbol_is_written(phones: str, chosen: str, notes: list[str]) -> None:
    both = written(phone_model("d", "s", "t"), phones)
    assert both.get(chosen[0]) == chosen
    rivals = phones.replace("t͡s", "t").split()
    count = "both" if len(rivals) == 2 else "all"
    assert notes[-1] == f"phones: {', '.join(rivals)} are {count} recognised as {chosen[0]}; {chosen} is written"
    assert sum("recognised" in note for note in notes) == 1


def test_a_symbol_of_several_letters_is_not_split(notes: list[str]) -> None:
    """A model that was trained on other phones, such as affricates in one piece or long vowels."""
    model = phone_model("a", "aː", "t", "t͡ʃ", "ʃ", letters={})
    assert written(model, "t͡ʃ aː") == {"aː": "aː", "t͡ʃ": "t͡ʃ"}
    assert notes == []
    for given in ("\u00e3", "a\u0303"):
        assert written(phone_model("a", "a\u0303"), given) == {"a\u0303": "\u00e3"}, "decomposed or composed"
    assert notes == []


@pytest.mark.parametrize("phones", ["a Q", "a ˥", "a ʰ", "a,b", "a 1", "a <blank>", "b'", ["a", ""], ["a b"]])
def test_what_is_no_phone_is_refused(phones: str | list[str]) -> None:
    wrong = phones.split()[-1] if isinstance(phones, str) else phones[-1]
    with pytest.raises(InputError) as error:
        match_phones(phone_model("a", "b"), phones)
    assert str(error.value).startswith(f"phones: {wrong!r} is no phone of the IPA; give phones")


def test_an_empty_inventory_is_refused() -> None:
    for phones in ("", "  ", []):
        with pytest.raises(InputError, match="inventory is empty"):
            match_phones(phone_model("a", "b"), phones)


def test_a_phone_that_panphon_does_not_know_is_refused() -> None:
    """Its distance to all phones would be the same."""
    with pytest.raises(InputError, match="'ʜ': panphon does not know 'ʜ'"):
        match_phones(phone_model("a", "h"), "a ʜ")


def test_without_panphon_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    nearest_phone.cache_clear()
    monkeypatch.setitem(sys.modules, "panphon.distance", None)
    with pytest.raises(InputError, match=r"speechxfer\[letters\]"):
        match_phones(phone_model("a", "k"), "a c")
    assert match_phones(phone_model("a", "k"), "a kʰ").rows == (0, 1, 2), "not needed for marks"


@pytest.mark.parametrize(
    "model", [source_model(), source_model(vocabulary=Vocabulary(("<blank>", "no"), "labels"), task="classify")]
)
def test_a_model_that_writes_no_phones_is_refused(model: AcousticModel) -> None:
    for restrict in (lambda: match_phones(model, "a"), lambda: list_language_phones(model, "sw")):
        with pytest.raises(InputError, match=rf"writes {model.vocabulary.kind}, so its output cannot be restricted"):
            restrict()


# Languages -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", ["el", "ell", "el-GR", "el-monoton"])
def test_a_language_has_the_phones_of_its_letter_table(language: str, notes: list[str]) -> None:
    model = phone_model("a", "b", "k", "t", "x")
    assert list_language_phones(model, language) == ("a", "b", "k", "x")
    assert notes == ["phones of el-monoton: a b k x"]
    inventory = PhoneOptions(language=language).inventory(model)
    assert inventory and inventory.vocabulary.symbols == ("<blank>", "a", "b", "k", "x")


@pytest.mark.parametrize("language", ["tlh", "", "no such"])
def test_an_unknown_language_is_refused(language: str) -> None:
    with pytest.raises(
        InputError, match=rf"language '{language}': .* expected one of el-monoton sw; or list its phones"
    ):
        list_language_phones(phone_model("a"), language)
    with pytest.raises(InputError, match="expected a model that was made with letter tables"):
        list_language_phones(phone_model("a", letters={}), language)


def test_two_restrictions_are_refused() -> None:
    for phones in ("a", ""):
        with pytest.raises(InputError, match="give one of them"):
            PhoneOptions(phones, "sw")
    assert not PhoneOptions() and PhoneOptions().inventory(phone_model("a")) is None
    assert PhoneOptions("") and PhoneOptions(language=""), "an empty option is an error, not no option"


# Utterances ----------------------------------------------------------------------------------------------------------


def test_utterances_recordings_and_segments_are_restricted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    utterances = write_tone_corpus(tmp_path / "dev.jsonl", 3, letters="abc", seed=2, words=(1, 3))
    model = phone_model("a", "b", "k", "t", "x")
    free = transcribe(model, utterances)
    assert {symbol for one in free.values() for symbol in one.text.split()} - {"b", "k"}, "the model writes others"
    restricted = transcribe(model, utterances, phones=["kʰ", "b"])
    assert {symbol for one in restricted.values() for symbol in one.text.split()} == {"kʰ", "b"}
    assert [one.frames for one in restricted.values()] == [one.frames for one in free.values()]
    first = utterances[0]
    assert transcribe(model, first.audio_filepath, phones="kʰ b") == transcribe(model, [first], phones="b kʰ")[first.id]
    monkeypatch.setattr("speechxfer.decoding.windows.MAX_WHOLE_S", 0.5)
    monkeypatch.setattr("speechxfer.decoding.windows.WINDOW_S", 0.4)
    monkeypatch.setattr("speechxfer.decoding.windows.CONTEXT_S", 0.1)
    parts = transcribe(model, utterances, phones=["kʰ", "b"])
    assert parts != restricted
    assert {symbol for one in parts.values() for symbol in one.text.split()} <= {"kʰ", "b"}


def test_without_a_restriction_the_models_own_output_is_decoded(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The log-probabilities are not touched: they equal the model's own."""
    utterances = write_tone_corpus(tmp_path / "dev.jsonl", 3, letters="abc", seed=2, words=(1, 3))
    model = phone_model("a", "b", "k")
    monkeypatch.setattr(PhoneInventory, "restrict", lambda *_: pytest.fail("called"))
    audio = AudioOptions(model.spec)
    [(_, log_probs)] = compute_log_probs(model.eval(), utterances[:1], audio)
    features = torch.from_numpy(utterance_features(utterances[0], audio))
    expected, _ = model(features[None], torch.tensor([len(features)]))
    assert torch.allclose(log_probs, expected[0], atol=1e-5)


def test_a_report_states_the_phones_and_counts_those_outside(tmp_path: Path) -> None:
    utterances = write_tone_corpus(tmp_path / "dev.jsonl", 2, letters="ab", seed=2, words=(1, 3))
    spoken = [replace(utterances[0], text="a b t t"), replace(utterances[1], text="kʰ")]
    model = phone_model("a", "b", "k", "t", "x")
    report = evaluate(model, spoken, phones=["kʰ", "b"])
    assert report.phones == ("b", "kʰ")
    assert report.unknown_symbols == (("t", 2), ("a", 1))
    assert "output restricted to 2 phones: b kʰ" in str(report).splitlines()
    assert "symbols of the references that are not among these phones: 't' " in str(report)
    assert WerReport.from_json(report.to_json()) == report
    free = evaluate(model, spoken)
    assert free.phones is None and "phones" not in free.to_json() and "restricted" not in str(free)
    assert WerReport.from_json(free.to_json()) == free


# Command line --------------------------------------------------------------------------------------------------------


def run(arguments: list[str | Path], capsys: pytest.CaptureFixture[str]) -> tuple[int, str, list[str]]:
    """Exit code, stdout and the lines of stderr."""
    capsys.readouterr()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["speechxfer", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            cli.main()
    out, err = capsys.readouterr()
    return int(end.value.code or 0), out, err.splitlines()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Manifest dev.jsonl, a model of phones 'phones' and one of letters 'letters'."""
    folder = tmp_path_factory.mktemp("phones")
    write_tone_corpus(folder / "dev.jsonl", 3, letters="ab", seed=2, words=(1, 3))
    save_model(phone_model("a", "b", "k", "t", "x"), folder / "phones", Card("phones"))
    save_model(source_model(), folder / "letters", Card("letters"))
    return folder


def test_manifests_and_recordings_are_transcribed_with_an_inventory(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wav = folder / "dev" / "dev001.wav"
    command: list[str | Path] = ["transcribe", folder / "phones", folder / "dev.jsonl", wav]
    code, out, err = run([*command, "--phones", "kʰ b"], capsys)
    assert code == 0 and err == ["phones: kʰ is recognised as k"], "reported once, not with each batch"
    texts = dict(line.split("\t") for line in out.splitlines())
    assert list(texts) == ["dev000", "dev001", "dev002", f"{wav}@0.00"]
    assert {symbol for text in texts.values() for symbol in text.split()} == {"kʰ", "b"}
    assert texts[f"{wav}@0.00"] == texts["dev001"]
    code, out, err = run([*command, "--language", "swh"], capsys)
    assert code == 0 and err == ["phones of sw: a t"]
    assert {symbol for line in out.splitlines() for symbol in line.split("\t")[1].split()} <= {"a", "t"}


@pytest.mark.parametrize(
    ("model", "options", "mentions"),
    [
        ("phones", ["--phones", ""], "inventory is empty"),
        ("phones", ["--phones", "a Q"], "'Q' is no phone"),
        ("phones", ["--language", "tlh"], "language 'tlh': phones has no letter table"),
        ("phones", ["--language", ""], "language ''"),
        ("phones", ["--language", "sw", "--phones", "a"], "give one of them"),
        ("letters", ["--language", "sw"], "letters writes characters"),
        ("letters", ["--phones", "a"], "letters writes characters"),
    ],
)
def test_a_wrong_restriction_is_one_line(
    folder: Path, tmp_path: Path, model: str, options: list[str], mentions: str, capsys: pytest.CaptureFixture[str]
) -> None:
    on: list[str | Path] = ["--on", folder / "dev.jsonl", "--out", tmp_path / "scores"]
    for command in (["transcribe", folder / model, folder / "dev.jsonl"], ["evaluate", folder / model, *on]):
        code, out, err = run([*command, *options], capsys)
        assert (code, out, len(err)) == (2, "", 1)
        assert err[0].startswith("speechxfer: ") and mentions in err[0]
    assert not (tmp_path / "scores").exists()


def test_evaluate_records_the_phones(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command: list[str | Path] = ["evaluate", folder / "phones", "--on", folder / "dev.jsonl", "--out", tmp_path / "s"]
    code, out, _ = run([*command, "--phones", "b kʰ"], capsys)
    assert code == 0 and "output restricted to 2 phones: b kʰ" in out
    report = WerReport.from_json((tmp_path / "s" / "report.json").read_text("utf-8"))
    assert report.phones == ("b", "kʰ")
    assert "output restricted to 2 phones: b kʰ" in (tmp_path / "s" / "report.txt").read_text("utf-8")
    details = dict(train_hours=1.0, seed=1, steps=3, command="c", commit="c", date="d", hardware="h", wall_s=1.0)
    save_model(load_model(folder / "phones"), tmp_path / "trained", Card("trained", details=details))
    recorded = ["evaluate", tmp_path / "trained", *command[2:], "--results", tmp_path / "results.json"]
    assert run([*recorded, "--phones", "b kʰ"], capsys)[0] == run(recorded, capsys)[0] == 0
    assert {row.decoder for row in read_rows(tmp_path / "results.json")} == {"greedy", "greedy, phones b kʰ"}
    assert run(command, capsys)[0] == 0
    assert "phones" not in json.loads((tmp_path / "s" / "report.json").read_text("utf-8"))
    code, _, err = run([*command, "--as-parent", "--language", "sw"], capsys)
    assert code == 2 and "--as-parent" in err[-1]
