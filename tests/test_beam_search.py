"""The beam search against sums over all alignments, and its scorers against language models computed from their definition."""

import itertools
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from speechxfer.decoding import SearchSettings, beam_search
from speechxfer.decoding.boosting import Phrase, build_boosting
from speechxfer.decoding.scorers import Scorer, SymbolModelScorer, TableScorer, tabulate
from speechxfer.decoding.word_scorer import Lexicon, Spelling, WordScorer, WordWeights
from speechxfer.language_models import NgramModel, read_language_model
from speechxfer.text import BLANK, Normalizer, Vocabulary

CPU = torch.device("cpu")
VOCABULARY = Vocabulary((BLANK, " ", "a", "b"))
EXHAUSTIVE = SearchSettings(beam=700, symbols=None, certain_blank=1.0)
WORDS = """\\data\\
ngram 1=6
ngram 2=5
ngram 3=2

\\1-grams:
-1.1\t<unk>
-99\t<s>\t-0.4
-0.9\t</s>
-0.7\ta\t-0.3
-0.8\tab\t-0.2
-1.3\tb\t-0.1

\\2-grams:
-0.3\t<s> a\t-0.15
-0.9\ta b\t-0.25
-0.4\tb a
-0.6\tab </s>
-0.5\ta </s>

\\3-grams:
-0.2\t<s> a b
-0.1\ta b a

\\end\\
"""
CHARACTERS = """\\data\\
ngram 1=6
ngram 2=4
ngram 3=2

\\1-grams:
-1.1\t<unk>
-99\t<s>\t-0.4
-0.9\t</s>
-0.7\ta\t-0.3
-1.3\tb\t-0.1
-0.6\t\u2581\t-0.35

\\2-grams:
-0.3\t<s> a\t-0.15
-0.9\ta b\t-0.25
-0.4\tb a
-0.5\ta </s>

\\3-grams:
-0.2\t<s> a b
-0.1\ta b a

\\end\\
"""


@pytest.fixture
def open_model(tmp_path: Path) -> Callable[[str], NgramModel]:
    """Write the text of an ARPA file and open it."""

    def write(text: str) -> NgramModel:
        path = tmp_path / "model.arpa"
        path.write_text(text, encoding="utf-8")
        return read_language_model(path)

    return write


def katz(arpa: str, context: list[str], word: str) -> float:
    """The natural log-probability of a word after its context, read from the text of an ARPA file by Katz's rule."""
    entries = {}
    for line in arpa.splitlines():
        if "\t" in line:
            value, words, *backoff = line.split("\t")
            entries[tuple(words.split(" "))] = (float(value), float(backoff[0]) if backoff else 0.0)
    known = [unit if (unit,) in entries else "<unk>" for unit in [*context, word]]
    context, word = known[-3:-1], known[-1]  # three words at most
    total = 0.0
    while (*context, word) not in entries:
        total += entries.get(tuple(context), (0.0, 0.0))[1]
        context = context[1:]
    return (total + entries[(*context, word)][0]) * math.log(10)


def sentence(arpa: str, units: list[str], *, end: bool = True) -> float:
    """The natural log-probability of a sentence."""
    units = ["<s>", *units, *(["</s>"] if end else [])]
    return sum(katz(arpa, units[:number], units[number]) for number in range(1, len(units)))


def sum_over_alignments(log_probs: Tensor) -> dict[tuple[int, ...], float]:
    """The log-probability of every sequence of symbols, over all paths: repeats are merged, then blanks removed."""
    masses: dict[tuple[int, ...], list[float]] = {}
    for path in itertools.product(range(log_probs.shape[1]), repeat=len(log_probs)):
        ids = tuple(symbol for symbol, _ in itertools.groupby(path) if symbol)
        masses.setdefault(ids, []).append(sum(float(log_probs[t, symbol]) for t, symbol in enumerate(path)))
    return {ids: math.log(math.fsum(map(math.exp, logs))) for ids, logs in masses.items()}


def random_log_probs(frames: int, symbols: int, seed: int) -> Tensor:
    """Log-probabilities of an utterance."""
    return (torch.randn(frames, symbols, generator=torch.Generator().manual_seed(seed)) * 2).log_softmax(dim=1)


def text_of(ids: tuple[int, ...]) -> str:
    """The text with all its spaces."""
    return "".join(VOCABULARY.symbols[i] for i in ids)


def check_against_sums(log_probs: Tensor, scorers: list[Scorer], expected: Callable[[str], float]) -> None:
    """The search finds every text, with the sum over its alignments plus what is expected of the scorers."""
    masses = sum_over_alignments(log_probs)
    scores = {ids: mass + expected(text_of(ids)) for ids, mass in masses.items()}
    found = beam_search([log_probs], scorers, EXHAUSTIVE, nbest=EXHAUSTIVE.beam)[0]
    permitted = {ids for ids, score in scores.items() if score > -math.inf}
    assert {candidate.ids for candidate in found} == permitted
    for candidate in found:
        assert candidate.acoustic == pytest.approx(masses[candidate.ids], abs=2e-5)
        assert candidate.score == pytest.approx(scores[candidate.ids], abs=5e-5)
    assert [c.score for c in found] == sorted((c.score for c in found), reverse=True)


@pytest.mark.parametrize("frames", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("symbols", [2, 3, 4])
def test_an_exhaustive_search_sums_over_all_alignments(frames: int, symbols: int) -> None:
    check_against_sums(random_log_probs(frames, symbols, seed=frames), [], lambda text: 0.0)


@pytest.mark.parametrize("is_table", [True, False])
def test_characters_get_the_scores_of_the_language_model(
    open_model: Callable[[str], NgramModel], is_table: bool
) -> None:
    model = open_model(CHARACTERS)
    words = torch.tensor([0, *(model.id_of(symbol) for symbol in VOCABULARY.symbols[1:])])
    table = tabulate(model, words)
    assert table is not None
    scorer = TableScorer(table, 0.6, 0.3) if is_table else SymbolModelScorer(model, words, 0.6, 0.3)
    check_against_sums(
        random_log_probs(5, 4, seed=1),
        [scorer],
        lambda text: 0.6 * sentence(CHARACTERS, list(text.replace(" ", "\u2581"))) + 0.3 * len(text),
    )


def word_scorer(model: NgramModel, weights: WordWeights, vocabulary: Vocabulary = VOCABULARY) -> WordScorer:
    """The scorer of a language model of words."""
    return WordScorer(model, Lexicon.of(model, Normalizer(), CPU), Spelling.of(vocabulary, CPU), weights)


@pytest.mark.parametrize("unknown", [-1.5, -math.inf])
def test_words_get_the_scores_of_the_language_model(open_model: Callable[[str], NgramModel], unknown: float) -> None:
    scorer = word_scorer(open_model(WORDS), WordWeights(0.7, 0.4, unknown))

    def expected(text: str) -> float:
        words = text.split()
        missing = sum(word not in ("a", "ab", "b") for word in words)
        return 0.7 * sentence(WORDS, words) + 0.4 * len(words) + (missing * unknown if missing else 0.0)

    def permitted(text: str) -> float:  # a word is forbidden as soon as no word of the lexicon begins so
        return expected(text)

    check_against_sums(random_log_probs(5, 4, seed=2), [scorer], permitted)


def test_words_of_several_character_symbols_are_the_same_words(open_model: Callable[[str], NgramModel]) -> None:
    pieces = Vocabulary((BLANK, "\u2581a", "b", "\u2581", "\u2581ab"), "bpe", b"{}")
    scorer = word_scorer(open_model(WORDS), WordWeights(0.7, 0.4, -1.5), pieces)
    log_probs = random_log_probs(4, 5, seed=3)
    for candidate in beam_search([log_probs], [scorer], EXHAUSTIVE, nbest=EXHAUSTIVE.beam)[0]:
        words = "".join(pieces.symbols[i] for i in candidate.ids).replace("\u2581", " ").split()
        missing = sum(word not in ("a", "ab", "b") for word in words)
        added = 0.7 * sentence(WORDS, words) + 0.4 * len(words) - 1.5 * missing
        assert candidate.score - candidate.acoustic == pytest.approx(added, abs=5e-5)


@pytest.mark.parametrize(
    ("phrases", "bonus_of"),
    [
        ({"ab": 1.0}, lambda words: 2.0 * words.count("ab")),
        ({"a": 0.5, "ab": 1.0}, lambda words: 2.0 * words.count("ab") + 0.5 * words.count("a")),
        ({"a b": 1.0}, lambda words: 3.0 * sum(pair == ("a", "b") for pair in itertools.pairwise(words))),
        (
            {"a b": 1.0, "b": 2.0},
            lambda words: 3.0 * sum(pair == ("a", "b") for pair in itertools.pairwise(words)) + 2.0 * words.count("b"),
        ),
        ({"aa": -1.0}, lambda words: -2.0 * words.count("aa")),
    ],
)
def test_a_boosted_phrase_earns_its_bonus_only_as_whole_words(
    phrases: dict[str, float], bonus_of: Callable[[list[str]], float]
) -> None:
    table = build_boosting([Phrase(text, weight) for text, weight in phrases.items()], VOCABULARY, CPU)
    check_against_sums(
        random_log_probs(5, 4, seed=4), [TableScorer(table, 0.8)], lambda text: 0.8 * bonus_of(_single(text))
    )


def _single(text: str) -> list[str]:
    """The words of a text; an empty one between two spaces, so that these words are no phrase."""
    return text.strip(" ").split(" ")


def test_scorers_add_up(open_model: Callable[[str], NgramModel]) -> None:
    table = build_boosting([Phrase("ab", 1.0)], VOCABULARY, CPU)
    scorers = [word_scorer(open_model(WORDS), WordWeights(0.7, 0.4, -1.5)), TableScorer(table, 0.8)]

    def expected(text: str) -> float:
        words = text.split()
        missing = sum(word not in ("a", "ab", "b") for word in words)
        return 0.7 * sentence(WORDS, words) + 0.4 * len(words) - 1.5 * missing + 1.6 * words.count("ab")

    check_against_sums(random_log_probs(5, 4, seed=5), scorers, expected)


def test_a_batch_gives_what_each_utterance_gives_alone(open_model: Callable[[str], NgramModel]) -> None:
    scorers = [word_scorer(open_model(WORDS), WordWeights(0.7, 0.4, -1.5))]
    utterances = [random_log_probs(frames, 4, seed=frames) for frames in (7, 0, 40, 1, 40, 23)]
    together = beam_search(utterances, scorers, SearchSettings(beam=8), nbest=3)
    alone = [beam_search([one], scorers, SearchSettings(beam=8), nbest=3)[0] for one in utterances]
    assert together == alone


def test_an_utterance_without_frames_has_the_empty_text_alone() -> None:
    (candidate,) = beam_search([torch.zeros(0, 4)], nbest=5)[0]
    assert (candidate.ids, candidate.frames, candidate.score) == ((), (), 0.0)


def test_no_utterances_give_no_texts() -> None:
    assert beam_search([]) == []


def test_frames_of_certain_blank_change_nothing_but_separate_equal_symbols() -> None:
    certain = torch.tensor([[1 - 3e-7, 1e-7, 1e-7, 1e-7]]).log()
    parts = [certain, random_log_probs(2, 4, seed=8), certain, certain, random_log_probs(1, 4, seed=9), certain]
    log_probs = torch.cat(parts)
    skipped = beam_search([log_probs], (), SearchSettings(400, None, 0.99999), nbest=30)[0]
    masses = sum_over_alignments(log_probs)
    for candidate in skipped:
        assert candidate.score == pytest.approx(masses[candidate.ids], abs=1e-3)
    best = sorted(masses, key=lambda ids: -masses[ids])[:5]
    assert [candidate.ids for candidate in skipped[:5]] == best
    assert all(frame in (1, 2, 5) for candidate in skipped for frame in candidate.frames)


def test_pruning_of_symbols_keeps_the_best_text() -> None:
    log_probs = [random_log_probs(30, 40, seed=seed) * 2 for seed in range(4)]
    log_probs = [one.log_softmax(dim=1) for one in log_probs]
    whole = beam_search(log_probs, (), SearchSettings(16, None, 1.0))
    pruned = beam_search(log_probs, (), SearchSettings(16, 20, 1.0))
    assert [one[0].ids for one in whole] == [one[0].ids for one in pruned]


def test_an_unfinished_word_is_written_where_the_beam_has_no_text_that_may_end(
    open_model: Callable[[str], NgramModel],
) -> None:
    unigrams = "\\data\\\nngram 1=4\n\n\\1-grams:\n-1\t<unk>\n-99\t<s>\n-1\t</s>\n-1\tbab\n\n\\end\\\n"
    scorer = word_scorer(open_model(unigrams), WordWeights(0.7, 0.4, -math.inf))
    log_probs = torch.full((2, 4), -30.0)
    log_probs[0, 3] = log_probs[1, 2] = 0.0  # "ba"
    (best,) = beam_search([log_probs], [scorer], SearchSettings(beam=1))[0]
    assert text_of(best.ids) == "ba"
    (best,) = beam_search([log_probs], [scorer], SearchSettings(beam=8))[0]
    assert text_of(best.ids).strip() == ""
