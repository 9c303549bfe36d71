"""Scores of whole words while a beam search writes them symbol by symbol: a word is scored when it ends.

A word is recognised by a 64-bit hash of its characters, which each symbol continues, so a prefix needs no list of symbols and
symbols of several characters (BPE) are handled like letters. Words that the language model does not know are permitted, at a
price, or forbidden; then each prefix of a word is looked up among the prefixes of the lexicon.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from speechxfer.decoding.scorers import States
from speechxfer.language_models import NgramModel
from speechxfer.text import Normalizer, Vocabulary

MULTIPLIER = -7046029254386353131  # 2**64 divided by the golden ratio, odd, as a signed integer
EMPTY = 0  # hash of no character
NO_WORDS = ("<unk>", "<s>", "</s>")
PIECE_START = "\u2581"  # opens the first piece of a word in sentencepiece's vocabularies


@dataclass(frozen=True)
class Spelling:
    """What each symbol does to the word that is being written, tensors ``[symbols]``.

    Attributes:
        ends: whether it ends the word before it.
        factor, summand: the hash of the word after it is ``hash * factor + summand``.
    """

    ends: Tensor
    factor: Tensor
    summand: Tensor

    @classmethod
    def of(cls, vocabulary: Vocabulary, device: torch.device) -> "Spelling":
        """The spelling of words by the symbols of a vocabulary of characters or BPE."""
        ends = [symbol.startswith((" ", PIECE_START)) for symbol in vocabulary.symbols]
        texts = ["", *(symbol.removeprefix(" ").removeprefix(PIECE_START) for symbol in vocabulary.symbols[1:])]
        factors = torch.tensor([_signed(MULTIPLIER ** len(text)) for text in texts], device=device)
        summands = torch.tensor([hash_word(text) for text in texts], device=device)
        return cls(torch.tensor(ends, device=device), factors, summands)


@dataclass(frozen=True)
class Lexicon:
    """The words of a language model, found by their hashes.

    Attributes:
        hashes: ascending, ``[words]``.
        words: their ids in the language model.
        prefixes: hashes of all their prefixes, ascending.
        unknown: the id of unknown words.
    """

    hashes: Tensor
    words: Tensor
    prefixes: Tensor
    unknown: int

    @classmethod
    def of(
        cls, model: NgramModel, normalizer: Normalizer, device: torch.device, *, writable: frozenset[str] | None = None
    ) -> "Lexicon":
        """The words of a model as `normalizer` writes them; a word that it empties or splits cannot be recognised.

        With `writable`, only words of these characters.
        """
        spelt = {number: normalizer(word) for number, word in enumerate(model.words) if word not in NO_WORDS}
        found: dict[int, int] = {}
        prefixes: set[int] = set()
        for number, text in spelt.items():
            if text and " " not in text and (writable is None or writable.issuperset(text)):
                hashes = [hash_word(text[:end]) for end in range(1, len(text) + 1)]
                found[hashes[-1]] = number
                prefixes.update(hashes)
        hashes = sorted(found)
        return cls(
            torch.tensor(hashes, dtype=torch.long, device=device),
            torch.tensor([found[value] for value in hashes], dtype=torch.long, device=device),
            torch.tensor(sorted(prefixes), dtype=torch.long, device=device),
            model.id_of("<unk>"),
        )

    def find(self, hashes: Tensor) -> Tensor:
        """The ids of words; of unknown ones `unknown`."""
        places = torch.searchsorted(self.hashes, hashes).clamp_(max=len(self.hashes) - 1)
        return torch.where(self.hashes[places] == hashes, self.words[places], self.unknown)

    def has_prefix(self, hashes: Tensor) -> Tensor:
        """Whether each is the hash of a prefix of a word."""
        places = torch.searchsorted(self.prefixes, hashes).clamp_(max=len(self.prefixes) - 1)
        return self.prefixes[places] == hashes


@dataclass(frozen=True)
class WordWeights:
    """Weights of a language model of words.

    Attributes:
        scale: multiplies its log-probabilities.
        bonus: for each word.
        unknown: for each word that it does not know, in addition; minus infinity forbids such words.
    """

    scale: float = 0.5
    bonus: float = 0.0
    unknown: float = -5.0


@dataclass(frozen=True)
class WordScorer:
    """Adds the log-probability of each word at its end.

    The state of a prefix is the state of the language model before the last word, the hash of that word, what its end adds, and
    the state of the language model after it.
    """

    model: NgramModel
    lexicon: Lexicon
    spelling: Spelling
    weights: WordWeights = WordWeights()

    def start(self, prefixes: int) -> States:
        """No word yet."""
        states = torch.full((prefixes,), self.model.start, device=self.lexicon.hashes.device)
        return states, torch.full_like(states, EMPTY), torch.zeros_like(states, dtype=torch.float32), states

    def extend(self, states: States, symbols: Tensor) -> Tensor:
        """The score of the last word for symbols that end it; minus infinity for spellings that are forbidden."""
        _, word, of_end, _ = states
        ends = self.spelling.ends[symbols]
        added = torch.where(ends, of_end[:, None], 0.0)
        if self.weights.unknown > -torch.inf:
            return added
        begun = torch.where(ends, EMPTY, word[:, None]) * self.spelling.factor[symbols] + self.spelling.summand[symbols]
        return added.masked_fill_(~(self.lexicon.has_prefix(begun) | (begun == EMPTY)), -torch.inf)

    def follow(self, states: States, symbols: Tensor) -> States:
        """The word continued, or ended and the next one begun."""
        before, word, _, after = states
        ends = self.spelling.ends[symbols]
        before = torch.where(ends, after, before)
        word = torch.where(ends, EMPTY, word) * self.spelling.factor[symbols] + self.spelling.summand[symbols]
        number = self.lexicon.find(word)
        log_prob, after = self.model.score(before, number)
        weights = self.weights
        of_end = torch.where(number == self.lexicon.unknown, weights.bonus + weights.unknown, weights.bonus)
        of_end = of_end + log_prob * weights.scale
        is_empty = word == EMPTY
        return before, word, of_end.masked_fill_(is_empty, 0.0), torch.where(is_empty, before, after)

    def finish(self, states: States) -> Tensor:
        """The score of the last word and of the end of the sentence."""
        return states[2] + self.model.finish(states[3]) * self.weights.scale


def hash_word(text: str) -> int:
    """The hash of a word, a signed integer of 64 bits: a polynomial of its code points."""
    value = EMPTY
    for character in text:
        value = _signed(value * MULTIPLIER + (ord(character) + 1) * (2**32 + 15))
    return value


def _signed(value: int) -> int:
    """The integer modulo 2**64, as tensors compute it."""
    return (value + 2**63) % 2**64 - 2**63
