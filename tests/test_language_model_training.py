"""Training of language models: Kneser-Ney by hand and beside KenLM's lmplz, counting in blocks, and the verbs ``lm``."""

import errno
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from speechxfer.checkpoints import save_model
from speechxfer.errors import InputError
from speechxfer.language_models import (
    WORD_BOUNDARY,
    NgramModel,
    NgramSettings,
    measure_perplexity,
    read_arpa,
    read_language_model,
    scratch,
    train_ngrams,
    write_arpa,
)
from speechxfer.text import Normalizer, Vocabulary
from speechxfer.workflows import score_language_model, train_language_model
from tests.small_models import source_model
from tests.test_cli import Speechxfer, speechxfer  # noqa: F401
from tests.test_language_models import kenlm_scores

LICENCE = (Path(__file__).parents[1] / "LICENSE").read_text(encoding="utf-8").splitlines()  # the text of Apache 2.0
TRAINING, HELD_OUT = LICENCE[:150], LICENCE[150:]
AS_IS = NgramSettings(order=2, normalizer=None)


def trained(folder: Path, texts: list[str], settings: NgramSettings) -> NgramModel:
    train_ngrams(texts, folder / "model.lm", settings)
    return read_language_model(folder / "model.lm")


def probability(model: NgramModel, context: str, word: str) -> float:
    states = torch.tensor([model.start if context == "<s>" else 0])
    if context not in ("<s>", ""):
        states = model.score(states, torch.tensor([model.id_of(context)]))[1]
    return math.exp(model.score(states, torch.tensor([model.id_of(word)]))[0].item())


# ------------------------------------------------------------------------------------------------------ Kneser-Ney
def test_a_bigram_model_by_hand(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Sentences: a b, a b, a c.

    Words count by what occurs before them: a 1 (<s>), b 1, c 1 (a), </s> 2 (b, c). No word counts 3, so the discounts are 0.5, 1
    and 1.5, and 3 * 0.5 + 1 of 5 is distributed over a, b, c, </s> and <unk>: half of it, 0.1 each.
    Pairs: <s> a 3, a b 2, b </s> 2, a c 1, c </s> 1: two count 1, two count 2, one counts 3. Y = 2 / (2 + 2 * 2) = 1/3,
    D1 = 1 - 2/3 * 2/2 = 1/3, D2 = 2 - 3/3 * 1/2 = 3/2, D3 = 3 - 4/3 * 0/1 = 3.
    """
    model = trained(tmp_path, ["a b", "a b", "a c"], AS_IS)
    one_word = {word: probability(model, "", word) for word in ("a", "b", "c", "</s>", "<unk>")}
    assert one_word == pytest.approx({"a": 0.2, "b": 0.2, "c": 0.2, "</s>": 0.3, "<unk>": 0.1}, abs=1e-6)
    weight = (3 / 2 + 1 / 3) / 3
    expected = {
        ("<s>", "a"): 0 + 1 * 0.2,
        ("a", "b"): (2 - 3 / 2) / 3 + weight * 0.2,
        ("a", "c"): (1 - 1 / 3) / 3 + weight * 0.2,
        ("a", "</s>"): weight * 0.3,
        ("a", "zebra"): weight * 0.1,
        ("b", "</s>"): (2 - 3 / 2) / 2 + 3 / 4 * 0.3,
        ("c", "</s>"): (1 - 1 / 3) / 1 + 1 / 3 * 0.3,
    }
    assert {pair: probability(model, *pair) for pair in expected} == pytest.approx(expected, abs=1e-6)
    said = capsys.readouterr().err
    assert "order 1: discounts 0.5, 1.0, 1.5 instead" in said and "order 2: discounts" not in said


# Printed by `lmplz --discount_fallback -o ORDER [--prune ...]` and `query -v summary` of KenLM at 4cb443e (March 2025), trained
# on the lines of TRAINING and applied to those of HELD_OUT: normalised, without empty lines, characters separated by spaces.
LMPLZ = [
    ("word", 2, (), (354, 913), 120.76087, 50.29776),
    ("word", 3, (), (354, 913, 1037), 112.20793, 46.09925),
    ("word", 4, (0, 0, 1), (354, 913, 103, 56), 118.44363, 50.00226),
    ("character", 5, (), (40, 380, 1329, 2323, 3097), 4.942192, 4.921018),
    ("character", 4, (0, 1, 2), (40, 313, 594, 662), 6.311127, 6.286339),
]


@pytest.mark.parametrize(("unit", "order", "prune", "counts", "perplexity", "of_known"), LMPLZ)
def test_perplexity_is_that_of_lmplz(
    unit: str,
    order: int,
    prune: tuple[int, ...],
    counts: tuple[int, ...],
    perplexity: float,
    of_known: float,
    tmp_path: Path,
) -> None:
    model = trained(tmp_path, TRAINING, NgramSettings(order, unit, prune))
    assert model.tables.counts == counts
    report = measure_perplexity(model, HELD_OUT, model.normalizer)
    assert (report.perplexity, report.perplexity_of_known) == pytest.approx((perplexity, of_known), rel=1e-3)
    assert (report.unknown, report.words + report.sentences) == ((116, 456) if unit == "word" else (2, 2532))


def test_values_of_the_arpa_file_are_those_of_lmplz(tmp_path: Path) -> None:
    train_ngrams(TRAINING, tmp_path / "model.arpa", NgramSettings(order=3))
    lines = (tmp_path / "model.arpa").read_text(encoding="utf-8").splitlines()
    values = {words: [float(value) for value in (log_prob, *rest)] for log_prob, words, *rest in
              (line.split("\t") for line in lines if "\t" in line)}  # fmt: skip
    expected = {  # of the same lmplz
        "license": [-2.0030153, -0.1256169],
        "the license": [-1.3768609, -0.098752856],
        "<s> the": [-1.1859977, -0.08489484],
        "</s>": [-1.0850227, 0],
        "<unk>": [-3.0404706, 0],
    }
    assert values["<s>"][0] == pytest.approx(-99, abs=1e-4)  # SRILM's value for what is never predicted; lmplz writes 0
    for words, value in expected.items():
        assert values[words] == pytest.approx(value, abs=2e-4), words


@pytest.mark.parametrize(
    "settings", [NgramSettings(4, "character"), NgramSettings(5, "character", (0, 1, 1, 2)), NgramSettings(3)]
)
def test_probabilities_sum_to_1_after_every_context(settings: NgramSettings, tmp_path: Path) -> None:
    model = trained(tmp_path, TRAINING, settings)
    contexts = torch.arange(len(model.tables.backoffs))
    scores, _ = model.advance(contexts)
    scores[:, 1] = -math.inf  # <s> is never predicted
    assert torch.allclose(scores.exp().sum(1), torch.ones(len(contexts)), atol=1e-5)
    assert torch.isfinite(scores[:, 0]).all()


@pytest.mark.parametrize("prune", [(), (0, 1, 1)])
def test_all_states_and_words_score_as_in_kenlm(prune: tuple[int, ...], tmp_path: Path) -> None:
    pytest.importorskip("flashlight", reason="flashlight-text has no wheels for this Python")
    from flashlight.lib.text.decoder.kenlm import KenLM
    from flashlight.lib.text.dictionary import Dictionary

    arpa = tmp_path / "model.arpa"
    train_ngrams(TRAINING[:60], arpa, NgramSettings(3, "character", prune))
    model = read_language_model(arpa)
    assert model.unit == "character"
    dictionary = Dictionary()
    for word in model.words:
        dictionary.add_entry(word)
    reference = KenLM(str(arpa), dictionary)
    table, _ = model.advance(torch.arange(len(model.tables.backoffs)))
    ends = model.finish(torch.arange(len(model.tables.backoffs)))
    keys, words = model.tables.keys, len(model.words)
    for context in range(len(table)):
        row, ngram = context, []
        while row:
            row, last = divmod(int(keys[row]), words)
            ngram.insert(0, last)
        if 2 in ngram:  # nothing follows the end
            continue
        state = reference.start(ngram[:1] != [1])
        for word in ngram[ngram[:1] == [1] :]:
            state, _ = reference.score(state, word)
        expected = [reference.score(state, word)[1] * math.log(10) for word in range(words)]
        assert table[context, [0, *range(3, words)]].tolist() == pytest.approx([expected[0], *expected[3:]], abs=1e-4)
        assert ends[context].item() == pytest.approx(reference.finish(state)[1] * math.log(10), abs=1e-4)


# --------------------------------------------------------------------------------------------------------- counting
def test_counting_in_blocks_gives_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for settings in (NgramSettings(6, "character", (0, 0, 1)), NgramSettings(3)):
        files = []
        for block in (1 << 22, 700):
            monkeypatch.setattr(scratch, "BLOCK", block)
            train_ngrams(TRAINING, tmp_path / f"{block}.lm", settings)
            files.append((tmp_path / f"{block}.lm").read_bytes())
        assert files[0] == files[1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["4194304.lm", "700.lm"]  # no temporary file is left


def test_short_sentences_give_a_model_of_lower_order(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = trained(tmp_path, ["yes", "no", " ", "no"], NgramSettings(order=6))
    assert model.order == 3 and model.tables.counts == (5, 4, 2)  # <s> no </s> is the longest
    said = capsys.readouterr().err
    assert "the model is of order 3" in said and "1 text without a word" in said


def test_an_order_of_which_all_is_pruned_is_dropped(tmp_path: Path) -> None:
    model = trained(tmp_path, ["a b c d", "d c b a"], NgramSettings(order=3, prune=(0, 0, 5)))
    assert model.tables.counts == (7, 10)
    scores, _ = model.advance(torch.arange(8))
    assert torch.allclose(scores[:, [0, *range(2, 7)]].exp().sum(1), torch.ones(8), atol=1e-5)


def test_the_normalizer_is_applied_and_stored(tmp_path: Path) -> None:
    model = trained(tmp_path, ["Ọ̀RẸ́ mi!"], NgramSettings(2, "character", normalizer=Normalizer(form="NFD")))
    assert model.words[3:] == ("o", "\u0323", "\u0300", "r", "e", "\u0301", WORD_BOUNDARY, "m", "i")
    assert model.normalizer == Normalizer(form="NFD")


def test_an_arpa_file_is_the_same_model_and_the_same_bytes(tmp_path: Path) -> None:
    model = trained(tmp_path, TRAINING, NgramSettings(order=4))
    for name in ("one.arpa.gz", "two.arpa.gz"):
        write_arpa(model.tables, tmp_path / name)
    assert (tmp_path / "one.arpa.gz").read_bytes() == (tmp_path / "two.arpa.gz").read_bytes()
    same = read_arpa(tmp_path / "one.arpa.gz")
    assert same.words == model.words and same.counts == model.tables.counts
    for name in ("keys", "links", "log_probs", "backoffs"):
        np.testing.assert_allclose(getattr(same, name), getattr(model.tables, name), atol=2e-5)
    sentence = [model.id_of(word) for word in ["the", "license", "of", "zebras"]]
    expected = kenlm_scores(tmp_path / "one.arpa.gz", model.words, sentence)
    states, scores = torch.tensor([model.start]), []
    for word in sentence:
        score, states = model.score(states, torch.tensor([word]))
        scores.append(score.item())
    assert [*scores, model.finish(states).item()] == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(
    ("texts", "settings", "message"),
    [
        (["...", ""], {}, "no text to train on"),
        (["a <s> b"], {"normalizer": None}, "'<s>', which has a meaning"),
        ([f"a{WORD_BOUNDARY}b"], {"unit": "character", "normalizer": None}, "the word boundary"),
        (["a"], {"order": 7}, "order 7"),
        (["a"], {"prune": (0, 2, 1)}, "prune '0 2 1'"),
        (["a"], {"prune": (1,)}, "prune '1'"),
        (["a"], {"unit": "phone"}, "unit 'phone'"),
    ],
)
def test_bad_texts_and_settings_are_one_error(
    texts: list[str], settings: dict[str, object], message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        train_ngrams(texts, tmp_path / "model.lm", NgramSettings(**settings))
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_one_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(scratch, "write_zeros", fail)
    with pytest.raises(InputError, match=r"model\.lm: no space left"):
        train_ngrams(TRAINING, tmp_path / "model.lm")
    assert list(tmp_path.iterdir()) == []


# ------------------------------------------------------------------------------------------------------------ verbs
def write_inputs(folder: Path) -> None:
    (folder / "text.txt").write_text("\n".join(TRAINING), encoding="utf-8")
    row = {"audio_filepath": "x.wav", "duration": 1.0}
    lines = [json.dumps({**row, "id": str(i), "text": text}) for i, text in enumerate(HELD_OUT)]
    (folder / "dev.jsonl").write_text("\n".join(lines), encoding="utf-8")


def test_lm_train_and_lm_score(speechxfer: Speechxfer, tmp_path: Path) -> None:  # noqa: F811
    write_inputs(tmp_path)
    for name in ("words.lm", "words.arpa.gz"):
        outcome = speechxfer("lm", "train", tmp_path / "text.txt", "--out", tmp_path / name, "--order", "3")
        assert outcome.code == 0 and "126 sentences, 1,183 tokens" in outcome.err and outcome.out == ""
        outcome = speechxfer("lm", "score", tmp_path / name, tmp_path / "dev.jsonl")
        assert outcome.code == 0
        assert outcome.out == (
            "43 sentences, 413 words, 116 of them out of vocabulary (28.09 %)\n"
            "perplexity 112.21; without those out of vocabulary 46.10\n"
            "most frequent out of vocabulary: 'liability' 5, 'damages' 5, 'accepting' 3, 'redistributing' 2, 'no' 2, "
            "'obligations' 2, 'apply' 2, 'enclosed' 2, 'brackets' 2, 'appropriateness' 1\n"
        )
    outcome = speechxfer(
        "lm", "train", tmp_path / "dev.jsonl", "--out", tmp_path / "x.lm", "--prune", "0,0,1", "--arpa"
    )
    assert outcome.code == 0 and (tmp_path / "x.lm").read_bytes().startswith(b"\\data\\\nngram 1=")


def test_texts_are_normalised_as_those_of_an_acoustic_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    acoustic = source_model(vocabulary=Vocabulary.from_texts(["abc e\u0301"], normalizer=Normalizer(form="NFD")))
    acoustic.normalizer = Normalizer(form="NFD")
    save_model(acoustic, tmp_path / "model")
    (tmp_path / "text.txt").write_text("\ufeffABÉ cab\nz\n", encoding="utf-8")
    out = tmp_path / "letters.lm"
    train_language_model([tmp_path / "text.txt"], out, unit="character", model=str(tmp_path / "model"))
    assert read_language_model(out).words[3:] == ("a", "b", "e", "\u0301", WORD_BOUNDARY, "c", "z")
    assert "cannot output: 'z'" in capsys.readouterr().err
    assert score_language_model(out, [tmp_path / "text.txt"]).unknown == 0
    assert score_language_model(out, [tmp_path / "text.txt"], as_is=True).unknown == 3  # A, B, É


def test_a_model_of_phones_has_no_characters(tmp_path: Path) -> None:
    save_model(source_model(vocabulary=Vocabulary.from_texts(["a bc"], "phones")), tmp_path / "model")
    (tmp_path / "text.txt").write_text("a bc\n", encoding="utf-8")
    with pytest.raises(InputError, match="in which phones are words"):
        train_language_model([tmp_path / "text.txt"], tmp_path / "x", unit="character", model=str(tmp_path / "model"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "missing.txt", "--out", "x.lm"], "missing.txt: cannot be read"),
        (["train", ".", "--out", "x.lm"], "is not a file"),
        (["train", "latin1.txt", "--out", "x.lm"], "latin1.txt:2: not UTF-8"),
        (["train", "text.txt", "--out", "x.lm", "--prune", "0 x"], "prune '0 x'"),
        (["train", "text.txt", "--out", "x.lm", "--model", "nowhere"], "nowhere: no model there"),
        (["train", "text.txt", "--out", "x.lm", "--model", "english", "--as-is"], "one of the two options"),
        (["train", "text.txt", "--out", "text.txt/x.lm"], "text.txt"),
        (["train", "text.txt", "--out", "./text.txt"], "text.txt: is an input"),
        (["score", "text.txt", "text.txt"], "not an ARPA file"),
        (["score", "missing.lm", "text.txt"], "missing.lm: cannot be read"),
    ],
)
def test_mistakes_are_one_line(
    arguments: list[str],
    message: str,
    speechxfer: Speechxfer,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write_inputs(tmp_path)
    (tmp_path / "latin1.txt").write_bytes(b"good\nn\xe9\n")
    monkeypatch.chdir(tmp_path)
    outcome = speechxfer("lm", *arguments)
    assert outcome.code == 2 and message in outcome.err and outcome.err.count("\n") == 1, outcome
    assert not (tmp_path / "x.lm").exists()
