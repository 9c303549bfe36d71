"""Keyword search against sums over all paths of small cases, its errors, and its hits on tones."""

import itertools
import math
import re

import numpy as np
import pytest
import torch
from torch import Tensor

from speechxfer.decoding import keyword_search
from speechxfer.decoding.keyword_search import KeywordOptions, KeywordSearch, prepare_search
from speechxfer.errors import InputError
from speechxfer.text import BLANK, Normalizer, Vocabulary

FRAME_S = 0.04
LETTERS = Vocabulary((BLANK, " ", "a", "b"))


def random_log_probs(frames: int, symbols: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(frames, symbols, generator=generator, dtype=torch.float64).mul(2).log_softmax(dim=-1)


def occurrences(text: str, keyword: str, whole_words: bool) -> int:
    """How often a keyword occurs in a text, overlapping occurrences included."""
    found = re.findall(f"(?={re.escape(keyword)})", text)
    if not whole_words:
        return len(found)
    return len(re.findall(rf"(?<![^ ])(?={re.escape(keyword)}(?![^ ]))", text))


def brute_force(log_probs: Tensor, vocabulary: Vocabulary, keyword: str, whole_words: bool) -> float:
    """Expected number of occurrences: over every path of symbols, its probability times the count in its text."""
    total, probs = 0.0, log_probs.double().exp().tolist()
    for path in itertools.product(range(len(vocabulary.symbols)), repeat=len(probs)):
        ids = [s for previous, s in zip((None, *path), path, strict=False) if s not in (previous, 0)]
        text = re.sub(" +", " ", "".join(vocabulary.symbols[i] for i in ids))  # as `Vocabulary.decode` does
        total += occurrences(text, keyword, whole_words) * math.prod(row[s] for row, s in zip(probs, path, strict=True))
    return total


def search(vocabulary: Vocabulary, *keywords: str, **options: object) -> KeywordSearch:
    return prepare_search(vocabulary, Normalizer(), keywords, FRAME_S, KeywordOptions(**options))


def expected_count(log_probs: Tensor, vocabulary: Vocabulary, keyword: str, **options: object) -> float:
    """The sum of all ends' probabilities, before any are grouped."""
    prepared = search(vocabulary, keyword, **options)
    recursion = keyword_search._Occurrences(prepared.symbols, prepared.space, prepared.whole_words)
    tables = recursion.search([prepared._class_probs(log_probs)], FRAME_S, at_least=1e-300)
    return sum(float(ends[:, 2].sum()) for _, _, ends in tables)


@pytest.mark.parametrize("keyword", ["a", "ab", "aa", "aba", "b a"])
@pytest.mark.parametrize("within_words", [False, True])
def test_the_expected_number_of_occurrences_is_the_sum_over_all_paths(keyword: str, within_words: bool) -> None:
    log_probs = random_log_probs(6, 4, seed=len(keyword))
    expected = brute_force(log_probs, LETTERS, keyword, whole_words=not within_words)
    assert expected > 1e-4
    assert expected_count(log_probs, LETTERS, keyword, within_words=within_words) == pytest.approx(expected, rel=1e-9)


def test_several_keywords_and_utterances_at_once_have_the_scores_of_each_alone() -> None:
    utterances = [random_log_probs(frames, 4, seed=frames) for frames in (9, 4, 30)]
    together = search(LETTERS, "b", "abab", "ba", threshold=1e-6)
    found = together.find(utterances)
    for utterance, hits in zip(utterances, found, strict=True):
        for keyword in together.keywords:
            alone = search(LETTERS, keyword, threshold=1e-6).find([utterance])[0]
            assert [hit for hit in hits if hit.keyword == keyword] == pytest.approx(alone)


def written(text: str, vocabulary: Vocabulary, sure: float = 0.9, frames_each: int = 3) -> Tensor:
    """Log-probabilities of a model that is nearly sure of a text: each symbol for some frames, then one blank."""
    ids = [i for symbol in vocabulary.encode(text) for i in [symbol] * frames_each + [0]]
    probs = torch.full((len(ids), len(vocabulary.symbols)), (1 - sure) / (len(vocabulary.symbols) - 1))
    probs[torch.arange(len(ids)), ids] = sure
    return probs.log()


def test_a_hit_has_the_times_of_its_letters() -> None:
    hits = search(LETTERS, "ba", threshold=0.2).find([written("ab ba ab", LETTERS)])[0]
    assert [hit.keyword for hit in hits] == ["ba"]
    assert hits[0].start_s == pytest.approx(12 * FRAME_S, abs=0.6 * FRAME_S)  # three symbols of four frames before it
    assert hits[0].end_s == pytest.approx(20 * FRAME_S, abs=1.1 * FRAME_S)  # the last one ends before or with its blank
    assert 0.2 < hits[0].score < 1


def test_overlapping_occurrences_are_one_hit_and_separate_ones_two() -> None:
    hits = search(LETTERS, "ab", threshold=0.2).find([written("ab a ab", LETTERS)])[0]
    assert len(hits) == 2
    first, second = sorted(hits, key=lambda hit: hit.start_s)
    assert first.end_s <= second.start_s
    assert hits[0].score >= hits[1].score


def test_a_long_recording_has_the_hits_of_its_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    long = torch.cat([random_log_probs(700, 4, seed=1), written(" ab ", LETTERS), random_log_probs(700, 4, seed=2)])
    keywords = search(LETTERS, "ab", "bab", threshold=0.05)
    monkeypatch.setattr(keyword_search, "WINDOW_S", 1000.0)
    whole = keywords.find([long])[0]
    monkeypatch.setattr(keyword_search, "WINDOW_S", 4.0)
    parts = keywords.find([long])[0]
    assert len(whole) > 20
    values = ([(hit.start_s, hit.end_s, hit.score) for hit in hits] for hits in (whole, parts))
    assert np.allclose(*values, rtol=0, atol=1e-6)


def test_marks_of_tone_are_ignored_on_request() -> None:
    vocabulary = Vocabulary((BLANK, " ", "a", "b", "à", "á"))
    speech = written("bá", vocabulary)
    exact, ignoring = search(vocabulary, "bà"), search(vocabulary, "bà", ignore_tones=True)
    assert not [hit for hit in exact.find([speech])[0] if hit.score > 0.1]
    assert [hit.keyword for hit in ignoring.find([speech])[0] if hit.score > 0.5] == ["bà"]


def test_a_tone_mark_that_is_a_symbol_of_its_own_is_ignored_too() -> None:
    vocabulary = Vocabulary((BLANK, " ", "a", "b", "\u0301"))
    decomposing = Normalizer(form="NFD")
    prepared = prepare_search(vocabulary, decomposing, ["bá"], FRAME_S, KeywordOptions(ignore_tones=True))
    assert prepared.columns == (0, 1, 2, 3, 4)
    assert prepared.classes == (0, 1, 2, 3, 0)  # the mark is a blank
    assert max(hit.score for hit in prepared.find([written("ba", vocabulary)])[0]) > 0.5


def test_phones_have_no_word_boundaries() -> None:
    phones = Vocabulary((BLANK, "a", "k", "tʃ"), "phones")
    prepared = prepare_search(phones, Normalizer(), ["k a"], FRAME_S)
    assert prepared.space is None
    assert [hit.score > 0.5 for hit in prepared.find([written("tʃ k a tʃ a", phones)])[0]] == [True, False]


def test_keywords_that_cannot_be_searched_are_refused() -> None:
    with pytest.raises(InputError, match="no keyword"):
        search(LETTERS)
    with pytest.raises(InputError, match=r"'\?!' is empty"):
        search(LETTERS, "ab", "?!")
    with pytest.raises(InputError, match="'AB' is the same as 'ab'"):
        search(LETTERS, "ab", "AB")
    with pytest.raises(InputError, match=r"'abc' \('c' \(U\+0063 LATIN SMALL LETTER C\)\), 'qa' \('q'"):
        search(LETTERS, "abc", "a", "qa")
    with pytest.raises(InputError, match="phones, separated by spaces"):
        prepare_search(Vocabulary((BLANK, "a"), "phones"), Normalizer(), ["a b"], FRAME_S)
    with pytest.raises(InputError, match="classifies"):
        prepare_search(Vocabulary((BLANK, "yes"), "labels"), Normalizer(), ["yes"], FRAME_S)
    with pytest.raises(InputError, match="threshold is 0"):
        KeywordOptions(threshold=0)
