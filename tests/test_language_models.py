"""Language models: ARPA files, queries as tensors; reference: KenLM, as flashlight-text bundles it."""

import gzip
import json
import math
import random
from pathlib import Path

import pytest
import torch

from speechxfer.errors import InputError
from speechxfer.language_models import (
    WORD_BOUNDARY,
    NgramModel,
    read_arpa,
    read_binary,
    read_language_model,
    write_binary,
)

# An incomplete trigram model, made by hand: suffixes are missing (b c a: no c a), as in pruned models, and <unk> has bigrams.
ARPA = """\
\\data\\
ngram 1=6
ngram 2=6
ngram 3=4

\\1-grams:
-1.5\t<unk>\t-0.1
-99\t<s>\t-0.4
-0.9\t</s>
-0.6\ta\t-0.3
-0.8\tb\t-0.2
-0.7\tc\t0.05

\\2-grams:
-0.3\t<s> a\t-0.25
-0.5\ta b\t-0.15
-0.2\tb c
-0.45\tb </s>
-0.65\t<unk> a\t-0.12
-0.75\ta <unk>

\\3-grams:
-0.1\t<s> a b
-0.35\ta b c
-0.22\tb c a
-0.31\t<unk> a b

\\end\\
"""


@pytest.fixture
def arpa(tmp_path: Path) -> Path:
    path = tmp_path / "model.arpa"
    path.write_text(ARPA, encoding="utf-8")
    return path


def kenlm_scores(path: Path, words: tuple[str, ...], sentence: list[int]) -> list[float]:
    """Natural log-probability of each word and of the end, by KenLM; the words are ids of `words`."""
    pytest.importorskip("flashlight", reason="flashlight-text has no wheels for this Python")
    from flashlight.lib.text.decoder.kenlm import KenLM
    from flashlight.lib.text.dictionary import Dictionary

    dictionary = Dictionary()
    for word in words:
        dictionary.add_entry(word)
    model = KenLM(str(path), dictionary)
    state, scores = model.start(False), []
    for word in sentence:
        state, score = model.score(state, word)
        scores.append(score * math.log(10))
    return [*scores, model.finish(state)[1] * math.log(10)]


def scores_of(model: NgramModel, sentence: list[int]) -> list[float]:
    states, scores = torch.tensor([model.start]), []
    for word in sentence:
        score, states = model.score(states, torch.tensor([word]))
        scores.append(score.item())
    return [*scores, model.finish(states).item()]


def test_scores_equal_those_of_kenlm(arpa: Path) -> None:
    model = read_language_model(arpa)
    assert model.words == ("<unk>", "<s>", "</s>", "a", "b", "c") and model.order == 3
    chooser = random.Random(1)
    for _ in range(40):
        sentence = [chooser.choice((0, 3, 4, 5)) for _ in range(8)]
        assert scores_of(model, sentence) == pytest.approx(kenlm_scores(arpa, model.words, sentence), abs=1e-5)


def test_a_score_by_hand(arpa: Path) -> None:
    """<s> a b c a: the trigrams <s> a b and a b c, then a after (b c); then nothing follows c a: p(c) after backoff of a."""
    model = read_language_model(arpa)
    sentence = [model.id_of(word) for word in "abcac"]
    log10 = [-0.3, -0.1, -0.35, -0.22, -0.3 - 0.7, 0.05 - 0.9]
    assert scores_of(model, sentence) == pytest.approx([value * math.log(10) for value in log10], abs=1e-5)


def test_advance_equals_score_for_every_state_and_word(arpa: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = read_language_model(arpa)
    states = torch.arange(1 + 6 + 6).repeat_interleave(6)
    words = torch.arange(6).repeat(13)
    scores, next_states = model.score(states, words)
    for values in (1 << 24, 5 * 6):  # the second: a table for five states
        monkeypatch.setattr("speechxfer.language_models.model.TABLE_VALUES", values)
        other = NgramModel(model.tables)
        for first in range(0, 13, 3):
            part = torch.arange(first, min(first + 3, 13))
            table, after = other.advance(part)
            assert torch.allclose(table.flatten(), scores.view(13, 6)[part].flatten(), atol=1e-6)
            assert torch.equal(after, next_states.view(13, 6)[part])


def test_compressed_files_and_unknown_words(arpa: Path, tmp_path: Path) -> None:
    packed = tmp_path / "model.arpa.gz"
    packed.write_bytes(gzip.compress(f"a comment\n\n{ARPA.replace('<unk>', '<UNK>')}".encode()))
    model, same = read_language_model(packed), read_language_model(arpa)
    assert model.words == same.words
    assert model.id_of("zebra") == model.id_of("<unk>") == 0
    assert torch.equal(model.advance(torch.arange(13))[0], same.advance(torch.arange(13))[0])


def test_damaged_compressed_files_are_one_error(tmp_path: Path) -> None:
    packed = tmp_path / "model.arpa.gz"
    content = gzip.compress(ARPA.encode())
    for damaged in (content[:-30], content[:40] + b"x" * 40 + content[80:], ARPA.encode(), b""):
        packed.write_bytes(damaged)
        with pytest.raises(InputError, match=r"model\.arpa\.gz"):
            read_language_model(packed)


def test_a_line_without_end_is_refused(arpa: Path) -> None:
    arpa.write_bytes(b"x" * (10 << 20))
    with pytest.raises(InputError, match="a line of more than"):
        read_language_model(arpa)


def test_a_character_model_is_recognised_and_has_a_space(tmp_path: Path) -> None:
    path = tmp_path / "characters.arpa"
    for boundary in ("|", WORD_BOUNDARY):
        path.write_text(ARPA.replace("\tc", f"\t{boundary}").replace(" c", f" {boundary}"), encoding="utf-8")
        model = read_language_model(path)
        assert model.unit == "character" and model.words[model.id_of(" ")] == WORD_BOUNDARY


def test_words_are_found_in_any_form_of_unicode(tmp_path: Path) -> None:
    path = tmp_path / "model.arpa"
    path.write_text(ARPA.replace("\ta", "\té").replace(" a", " é"), encoding="utf-8")  # composed
    model = read_language_model(path)
    assert model.id_of("e\u0301") == model.id_of("\u00e9") == 3


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("\\data\\", "data", "not an ARPA file"),
        ("ngram 2=6", "ngram 2=7", "expected an n-gram of order 2"),
        ("ngram 3=4", "ngram 3=5", "expected an n-gram of order 3"),
        ("\\end\\", "", "ends before"),
        ("-0.35\ta b c", "nan\ta b c", ":24: expected a log10 probability"),
        ("-0.35\ta b c", "0.35\ta b c", ":24: expected a log10 probability"),
        ("-0.35\ta b c", "x\ta b c", ":24: expected a log10 probability"),
        ("-0.35\ta b c", "-0.35\ta b z", "b'z' is not among the 1-grams"),
        ("-0.35\ta b c", "-0.35\ta c c", "its context"),
        ("-0.35\ta b c", "-0.35\t<s> a b", "occurs twice"),
        ("-0.7\tc\t", "-0.7\ta\t", "'a' occurs twice"),
        ("</s>", "end", "'</s>' is missing"),
    ],
)
def test_a_damaged_arpa_file_is_one_error(arpa: Path, old: str, new: str, message: str) -> None:
    assert old in ARPA
    arpa.write_text(ARPA.replace(old, new), encoding="utf-8")
    with pytest.raises(InputError, match=message.replace("\\", "\\\\")):
        read_language_model(arpa)


@pytest.fixture
def binary(arpa: Path, tmp_path: Path) -> Path:
    write_binary(read_arpa(arpa), tmp_path / "model.lm")
    return tmp_path / "model.lm"


def query_everything(model: NgramModel) -> tuple[torch.Tensor, torch.Tensor]:
    states = torch.arange(len(model.tables.backoffs))
    words = torch.arange(len(model.words))
    model.score(states.repeat_interleave(len(words)), words.repeat(len(states)))
    model.finish(states)
    return model.advance(states)


def test_a_compact_file_is_the_same_model(arpa: Path, binary: Path) -> None:
    first, second = read_language_model(arpa), read_language_model(binary)
    assert (first.words, first.unit, first.normalizer) == (second.words, second.unit, second.normalizer)
    for one, other in zip(query_everything(first), query_everything(second), strict=True):
        assert torch.equal(one, other)


def test_damaged_compact_files_are_refused_or_harmless(binary: Path) -> None:
    """Whatever bit is changed: one InputError, or a model whose queries stay within its arrays and are finite."""
    content = binary.read_bytes()
    chooser, refused = random.Random(0), 0
    places = chooser.sample(range(len(content)), 120)
    for place in places:
        damaged = bytearray(content)
        damaged[place] ^= 1 << chooser.randrange(8)
        binary.write_bytes(damaged)
        try:
            scores, states = query_everything(read_language_model(binary))
        except InputError as error:
            assert str(error).startswith(str(binary))
            refused += 1
        else:
            assert torch.isfinite(scores).all() and states.min() >= 0 and states.max() < 13
    assert refused > len(places) / 2  # the rest are bits of weights and words


@pytest.mark.parametrize("size", [0, 7, 8, 100, 128, 200, 500, -1])
def test_truncated_compact_files_are_refused(binary: Path, size: int) -> None:
    content = binary.read_bytes()
    binary.write_bytes(content[:size])
    with pytest.raises(InputError, match=r"model\.lm"):
        read_binary(binary)
    binary.write_bytes(content + b"\0")
    with pytest.raises(InputError, match="damaged"):
        read_binary(binary)


@pytest.mark.parametrize(
    ("offset", "value", "message"),
    [
        (8, 2, "version 2; this release reads version 1"),
        (12, 7, "damaged .header"),
        (12, 0, "damaged .header"),
        (16, 2, "damaged .header"),
        (16, 2**63, "damaged .header"),
        (24, 2**40, "damaged .header"),
        (64, 2**62, "damaged .header"),
        (72, 2**62, "damaged .header"),
    ],
)
def test_headers_that_promise_too_much_are_refused(binary: Path, offset: int, value: int, message: str) -> None:
    content = bytearray(binary.read_bytes())
    size = 4 if offset < 16 else 8
    content[offset : offset + size] = value.to_bytes(size, "little")
    binary.write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_binary(binary)


def test_metadata_are_checked(binary: Path) -> None:
    content = binary.read_bytes()
    metadata = json.dumps({"normalizer": None, "unit": "word"}, sort_keys=True).encode()
    for other in (
        {"normalizer": None, "unit": "worm"},
        {"normalizer": 1234, "unit": "word"},
        {"normalizer": 1, "units": "word"},
    ):
        changed = json.dumps(other, sort_keys=True).encode()
        assert metadata in content and len(changed) <= len(metadata)
        binary.write_bytes(content.replace(metadata, changed.ljust(len(metadata))))
        with pytest.raises(InputError, match=rf"^{binary}: .*(unit 'worm'|1234|metadata)"):
            read_binary(binary)
