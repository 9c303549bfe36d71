"""Fusion: language models and boosted phrases, prepared for the symbols of one model, and their weights.

Shallow fusion adds the weighted scores of the language models to that of the acoustic model (Chorowski and Jaitly, Interspeech
2017). A model of characters scores each symbol, a model of words each word at its end; both together are a log-linear mixture.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from speechxfer.decoding.boosting import Phrase, build_boosting
from speechxfer.decoding.scorers import Scorer, SymbolModelScorer, SymbolTable, TableScorer, tabulate
from speechxfer.decoding.word_scorer import Lexicon, Spelling, WordScorer, WordWeights
from speechxfer.errors import InputError, first_names
from speechxfer.language_models import SPECIAL, WORD_BOUNDARY, NgramModel
from speechxfer.runtime import log_info
from speechxfer.text import Normalizer, Vocabulary


@dataclass(frozen=True)
class FusionWeights:
    """Weights of language models and boosting; those of a part that is not used have no effect.

    Attributes:
        symbol_scale: multiplies log-probabilities of a language model whose words are symbols (characters, or phones of a model
            of phones).
        symbol_bonus: for each symbol, against the preference for short texts.
        word_scale: multiplies log-probabilities of a language model of words.
        word_bonus: for each word.
        unknown_word: for each word that the language model does not know, in addition to the log-probability of ``<unk>``.
        boost: for each symbol of a boosted phrase.
    """

    symbol_scale: float = 0.8
    symbol_bonus: float = 0.6
    word_scale: float = 0.3
    word_bonus: float = 0.0
    unknown_word: float = -4.0
    boost: float = 1.0


@dataclass(frozen=True)
class Fusion:
    """Language models and phrases in the symbols of one model.

    Attributes:
        symbols: a language model whose words are symbols.
        words: a language model of words.
        phrases: the automaton of the boosted phrases.
        known_words: forbid words that the language model of words does not know.
        name: what it consists of, such as "word 4-gram, character 6-gram".
    """

    symbols: TableScorer | SymbolModelScorer | None = None
    words: WordScorer | None = None
    phrases: SymbolTable | None = None
    known_words: bool = False
    name: str = ""

    def __bool__(self) -> bool:
        return any(part is not None for part in (self.symbols, self.words, self.phrases))

    def scorers(self, weights: FusionWeights) -> tuple[Scorer, ...]:
        """The scorers with these weights."""
        scorers: list[Scorer] = []
        if self.symbols is not None:
            scorers.append(replace(self.symbols, weight=weights.symbol_scale, bonus=weights.symbol_bonus))
        if self.words is not None:
            unknown = -math.inf if self.known_words else weights.unknown_word
            of_words = WordWeights(weights.word_scale, weights.word_bonus, unknown)
            scorers.append(replace(self.words, weights=of_words))
        if self.phrases is not None:
            scorers.append(TableScorer(self.phrases, weights.boost))
        return tuple(scorers)

    def used_weights(self) -> tuple[str, ...]:
        """The names of the weights that have an effect."""
        names: list[str] = []
        if self.symbols is not None:
            names += ["symbol_scale", "symbol_bonus"]
        if self.words is not None:
            names += ["word_scale", "word_bonus", *([] if self.known_words else ["unknown_word"])]
        return (*names, *(["boost"] if self.phrases is not None else []))


def prepare_fusion(
    vocabulary: Vocabulary,
    normalizer: Normalizer,
    language_models: Sequence[NgramModel] = (),
    phrases: Sequence[Phrase] = (),
    *,
    known_words: bool = False,
    device: torch.device | str = "cpu",
) -> Fusion:
    """Prepare language models and phrases for a model's symbols.

    Args:
        vocabulary: of the log-probabilities: the model's, or that of an inventory of phones.
        normalizer: the model's.
        language_models: at most one of words and one of characters.
        phrases: as for `build_boosting`.
        known_words: forbid words that the language model of words does not know.
        device: where the search will run.

    Raises:
        InputError: the language models do not suit the vocabulary, there are two of a kind, or none of words for `known_words`.
    """
    symbols: TableScorer | SymbolModelScorer | None = None
    words: WordScorer | None = None
    names = []
    device = torch.device(device)
    if vocabulary.kind == "labels" and (language_models or phrases):
        raise InputError(
            "a classifier chooses among whole texts, so it takes no language model and no phrases; omit them"
        )
    for model in language_models:
        names.append(f"{model.unit} {model.order}-gram")
        if model.unit == "character" or vocabulary.kind in ("phones", "words"):
            _check_single(symbols, names[-1])
            symbols = _prepare_symbols(model, vocabulary, device)
        else:
            _check_single(words, names[-1])
            words = _prepare_words(model, vocabulary, normalizer, device)
    if known_words and words is None:
        raise InputError(
            "--known-words: there is no language model of words that says which words are known; give it with --lm"
        )
    table = build_boosting(phrases, vocabulary, device) if phrases else None
    name = ", ".join([*sorted(names, reverse=True), *(["known words"] if known_words else [])])
    return Fusion(symbols, words, table, known_words, name)


def _check_single(earlier: object, name: str) -> None:
    if earlier is not None:
        raise InputError(
            f"--lm: two language models of one kind ({name}); give at most one of words and one of characters, or train one on "
            "both texts"
        )


def _prepare_symbols(
    model: NgramModel, vocabulary: Vocabulary, device: torch.device
) -> TableScorer | SymbolModelScorer:
    """The scorer of a language model that has one word for each symbol."""
    if model.unit == "character" and vocabulary.kind != "characters":
        raise InputError(
            f"--lm: a character {model.order}-gram suits a model of characters, but this one writes {vocabulary.kind}; "
            "give a language model of words (`speechxfer lm train --unit word`)"
        )
    model = model.to(device)
    ids = [model.id_of(symbol) for symbol in vocabulary.symbols]
    unknown = model.id_of("<unk>")
    missing = [symbol for symbol, number in zip(vocabulary.symbols[1:], ids[1:], strict=True) if number == unknown]
    if len(missing) == len(ids) - 1:
        raise InputError(
            f"--lm: the {model.unit} {model.order}-gram knows none of the model's symbols ({first_names(missing)}); give one "
            "that was trained on texts in the model's spelling"
        )
    own = set(model.words) - {*SPECIAL, WORD_BOUNDARY}
    if 2 * len(missing) > len(ids) - 1 and 2 * len(own.difference(vocabulary.symbols)) > len(own):
        raise InputError(
            f"--lm: the {model.unit} {model.order}-gram does not know most of the model's symbols ({first_names(missing)}), and "
            "most of its own are none of them; give one that was trained on texts in the model's spelling"
        )
    if missing:
        log_info(f"language model: does not know {first_names(missing)}, which count as unknown")
    words = torch.tensor(ids, device=device)
    table = tabulate(model, words)
    return SymbolModelScorer(model, words) if table is None else TableScorer(table)


def _prepare_words(
    model: NgramModel, vocabulary: Vocabulary, normalizer: Normalizer, device: torch.device
) -> WordScorer:
    if vocabulary.kind == "characters" and " " not in vocabulary.symbols:
        raise InputError(
            f"--lm: a word {model.order}-gram needs words, but the model writes no space; give a language model of characters "
            "(`speechxfer lm train --unit character`)"
        )
    lexicon = Lexicon.of(model, normalizer, device, writable=_characters(vocabulary))
    if not len(lexicon.hashes):
        raise InputError(
            f"--lm: the model can spell none of the {len(model.words):,} words of the word {model.order}-gram; give one that was "
            "trained on texts in the model's spelling"
        )
    return WordScorer(model.to(device), lexicon, Spelling.of(vocabulary, device))


def _characters(vocabulary: Vocabulary) -> frozenset[str]:
    """The characters that the symbols consist of."""
    return frozenset("".join(vocabulary.symbols[1:]))
