"""The beam search beside that of flashlight-text, which queries KenLM: the same log-probabilities, file and weights."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from speechxfer.decoding import SearchSettings, beam_search
from speechxfer.decoding.scorers import TableScorer, tabulate
from speechxfer.decoding.word_scorer import Lexicon, Spelling, WordScorer, WordWeights
from speechxfer.language_models import read_language_model
from speechxfer.text import BLANK, Normalizer, Vocabulary

pytest.importorskip("flashlight.lib.text.decoder", reason="flashlight-text has wheels for Python 3.11 and 3.12 only")

LN10 = math.log(10)  # KenLM's scores are logarithms to base 10
VOCABULARY = Vocabulary((BLANK, " ", "a", "b", "c"))
UNLIMITED = 10**4
EXHAUSTIVE = 1_500  # as many as five frames of five symbols have
CHARACTERS = """\\data\\
ngram 1=7
ngram 2=6
ngram 3=3

\\1-grams:
-1.4\t<unk>
-99\t<s>\t-0.3
-0.9\t</s>
-0.6\t\u2581\t-0.35
-0.7\ta\t-0.3
-0.9\tb\t-0.2
-1.1\tc\t-0.15

\\2-grams:
-0.4\t<s> a\t-0.1
-0.5\ta b\t-0.2
-0.6\tb a\t-0.15
-0.3\tb \u2581\t-0.25
-0.5\t\u2581 c
-0.2\tc </s>

\\3-grams:
-0.2\t<s> a b
-0.1\ta b a
-0.3\tb \u2581 c

\\end\\
"""
WORDS = """\\data\\
ngram 1=7
ngram 2=5
ngram 3=2

\\1-grams:
-1.1\t<unk>
-99\t<s>\t-0.4
-0.9\t</s>
-0.7\tab\t-0.3
-0.8\tcab\t-0.2
-1.3\tb\t-0.1
-1.0\tbac\t-0.2

\\2-grams:
-0.3\t<s> ab\t-0.15
-0.9\tab cab\t-0.25
-0.4\tcab b
-0.6\tcab </s>
-0.5\tab bac

\\3-grams:
-0.2\t<s> ab cab
-0.1\tab cab b

\\end\\
"""
SPELLING = ("ab", "cab", "b", "bac")


def texts_of_flashlight(decoder: Any, log_probs: Tensor) -> list[tuple[str, float]]:
    """Texts (with their spaces) and scores of a decoder, best first."""
    values = log_probs.contiguous()
    found = []
    for result in decoder.decode(values.data_ptr(), *values.shape):
        path = [token for token in result.tokens if 0 <= token < len(VOCABULARY.symbols)]
        ids = [token for before, token in zip([-1, *path], path, strict=False) if token not in (0, before)]
        found.append(("".join(VOCABULARY.symbols[i] for i in ids), result.score))
    return found


def test_scores_with_a_character_model_equal_those_of_flashlight(tmp_path: Path) -> None:
    from flashlight.lib.text.decoder import CriterionType, LexiconFreeDecoder, LexiconFreeDecoderOptions
    from flashlight.lib.text.decoder.kenlm import KenLM
    from flashlight.lib.text.dictionary import Dictionary

    path = tmp_path / "characters.arpa"
    path.write_text(CHARACTERS, encoding="utf-8")
    tokens = Dictionary(["<unk>", "\u2581", "a", "b", "c"])  # in the place of blank, which it never scores
    options = LexiconFreeDecoderOptions(
        UNLIMITED, len(VOCABULARY.symbols), 1e9, 0.7 * LN10, 0.0, True, CriterionType.CTC
    )
    no_silence = len(VOCABULARY.symbols)
    decoder = LexiconFreeDecoder(options, KenLM(str(path), tokens), no_silence, 0, [])
    model = read_language_model(path)
    table = tabulate(model, torch.tensor([0, *(model.id_of(symbol) for symbol in VOCABULARY.symbols[1:])]))
    assert table is not None
    settings = SearchSettings(EXHAUSTIVE, None, 1.0)
    for seed in range(3):
        log_probs = (torch.randn(5, 5, generator=torch.Generator().manual_seed(seed)) * 2).log_softmax(dim=1)
        expected = dict(reversed(texts_of_flashlight(decoder, log_probs)))
        found = beam_search([log_probs], [TableScorer(table, 0.7)], settings, nbest=50)[0]
        for candidate in found:
            text = "".join(VOCABULARY.symbols[i] for i in candidate.ids)
            assert candidate.score == pytest.approx(expected[text], abs=1e-3)
        best = max(expected, key=lambda text: expected[text])
        assert "".join(VOCABULARY.symbols[i] for i in found[0].ids) == best


def test_texts_with_a_lexicon_equal_those_of_flashlight(tmp_path: Path) -> None:
    from flashlight.lib.text.decoder import CriterionType, LexiconDecoder, LexiconDecoderOptions, SmearingMode, Trie
    from flashlight.lib.text.decoder.kenlm import KenLM
    from flashlight.lib.text.dictionary import Dictionary

    path = tmp_path / "words.arpa"
    path.write_text(WORDS, encoding="utf-8")
    oracle = KenLM(str(path), Dictionary([*SPELLING, "<unk>"]))
    trie = Trie(len(VOCABULARY.symbols), 1)
    for number, word in enumerate(SPELLING):
        score = oracle.score(oracle.start(False), number)[1]
        trie.insert([*VOCABULARY.encode(word), 1], number, score)  # its words end with a space
    trie.smear(SmearingMode.MAX)
    weights = WordWeights(scale=0.8, bonus=0.5, unknown=-math.inf)
    options = LexiconDecoderOptions(
        500, len(VOCABULARY.symbols), 1e9, weights.scale * LN10, weights.bonus, -math.inf, 0.0, True, CriterionType.CTC
    )
    decoder = LexiconDecoder(options, trie, oracle, 1, 0, len(SPELLING), [], False)
    model = read_language_model(path)
    lexicon = Lexicon.of(model, Normalizer(), torch.device("cpu"))
    scorer = WordScorer(model, lexicon, Spelling.of(VOCABULARY, torch.device("cpu")), weights)
    compared = 0
    for seed in range(20):
        log_probs = spoken(["ab cab b ", "bac ab ", "cab cab ab "][seed % 3], seed)
        (best_of_flashlight, score), *_ = texts_of_flashlight(decoder, log_probs)
        best = beam_search([log_probs], [scorer], SearchSettings(200, None, 1.0))[0][0]
        assert "".join(VOCABULARY.symbols[i] for i in best.ids).split() == best_of_flashlight.split()
        assert best.score == pytest.approx(score, abs=0.05)  # flashlight also sums over spaces between words
        compared += len(best_of_flashlight) > 0
    assert compared == 20


def spoken(text: str, seed: int) -> Tensor:
    """Noisy log-probabilities of a text, each symbol in a frame and blank in the next."""
    noise = torch.randn(2 * len(text), len(VOCABULARY.symbols), generator=torch.Generator().manual_seed(seed))
    for number, symbol in enumerate(VOCABULARY.encode(text)):
        noise[2 * number, symbol] += 4.0
        noise[2 * number + 1, 0] += 7.0
    noise[:, 1] -= 3.0
    noise[[2 * i for i, character in enumerate(text) if character == " "], 1] += 6.0
    return noise.log_softmax(dim=1)
