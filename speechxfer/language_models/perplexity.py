"""Perplexity of a text and the share of its words that a model does not know."""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch

from speechxfer.errors import InputError, count_of
from speechxfer.language_models.corpus import split_texts
from speechxfer.language_models.model import NgramModel
from speechxfer.language_models.tables import END_ID, UNKNOWN_ID, Unit
from speechxfer.text import Normalizer

SENTENCES_AT_ONCE = 1024
FREQUENT = 10  # unknown words that a report names


@dataclass(frozen=True)
class PerplexityReport:
    """How well a model predicts a text; every sentence has an end besides its words, which is predicted too.

    Attributes:
        unit: what is counted as a word: a word, or a character (word boundaries included).
        sentences: number of sentences.
        words: number of words in them, without ends.
        unknown: how many of the words are not in the model's vocabulary.
        frequent_unknown: the most frequent of these, with how often each occurs.
        log_prob: of the text (natural).
        log_prob_unknown: the part of it that is due to unknown words.
    """

    unit: Unit
    sentences: int
    words: int
    unknown: int
    frequent_unknown: tuple[tuple[str, int], ...]
    log_prob: float
    log_prob_unknown: float

    @property
    def perplexity(self) -> float:
        """Of all words and ends; unknown ones have the probability of ``<unk>``, which is that of each of them."""
        return math.exp(-self.log_prob / (self.words + self.sentences))

    @property
    def perplexity_of_known(self) -> float:
        """Of the words in the vocabulary and of ends, as SRILM's ``ppl`` and KenLM's "excluding OOVs"."""
        known = self.words - self.unknown + self.sentences
        return math.exp((self.log_prob_unknown - self.log_prob) / known)

    @property
    def unknown_rate(self) -> float:
        """The share of unknown words, the out-of-vocabulary rate."""
        return self.unknown / self.words

    def __str__(self) -> str:
        names = ", ".join(f"{word!r} {count:,}" for word, count in self.frequent_unknown)
        return (
            f"{count_of(self.sentences, 'sentence')}, {count_of(self.words, self.unit)}, "
            f"{self.unknown:,} of them out of vocabulary ({100 * self.unknown_rate:.2f} %)\n"
            f"perplexity {self.perplexity:.2f}; without those out of vocabulary {self.perplexity_of_known:.2f}"
            + (f"\nmost frequent out of vocabulary: {names}" if names else "")
        )


def measure_perplexity(model: NgramModel, texts: Iterable[str], normalizer: Normalizer | None) -> PerplexityReport:
    """The perplexity of some texts, one sentence each; those without a word are no sentences.

    Raises:
        InputError: there is no sentence, or a text contains a reserved word.
    """
    sentences = words = 0
    unknown: Counter[str] = Counter()
    log_prob = log_prob_unknown = 0.0
    for batch in _batches(model, split_texts(texts, model.unit, normalizer), unknown):
        lengths = torch.tensor([len(ids) for ids in batch])
        padded = torch.nn.utils.rnn.pad_sequence([torch.tensor(ids) for ids in batch], batch_first=True)
        states = torch.full((len(batch),), model.start)
        for place in range(padded.shape[1]):
            inside = lengths > place
            ids = padded[inside, place]
            scores, states[inside] = model.score(states[inside], ids)
            log_prob += float(scores.double().sum())
            log_prob_unknown += float(scores[ids == UNKNOWN_ID].double().sum())
        sentences += len(batch)
        words += int(lengths.sum()) - len(batch)
    if not sentences:
        raise InputError("there is no text to measure (none given, or only punctuation); give sentences")
    frequent = tuple(unknown.most_common(FREQUENT))
    return PerplexityReport(model.unit, sentences, words, unknown.total(), frequent, log_prob, log_prob_unknown)


def _batches(model: NgramModel, texts: Iterable[Sequence[str]], unknown: "Counter[str]") -> Iterator[list[list[int]]]:
    """The sentences as ids with their ends, many at a time; counts the words that the model lacks in `unknown`."""
    known: dict[str, int] = {}
    batch = []
    for words in texts:
        if words:
            known.update((word, model.id_of(word)) for word in words if word not in known)
            unknown.update(word for word in words if known[word] == UNKNOWN_ID)
            batch.append([*(known[word] for word in words), END_ID])
        if len(batch) == SENTENCES_AT_ONCE:
            yield batch
            batch = []
    if batch:
        yield batch
