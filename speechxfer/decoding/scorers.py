"""Scorers: what is added to the score of a text while the beam search writes it, such as a language model's log-probability.

A scorer keeps a state for each prefix, as tensors ``[prefixes]``, so that all prefixes of a batch are scored at once.
"""

from dataclasses import dataclass
from typing import Protocol, TypeAlias

import torch
from torch import Tensor

from speechxfer.language_models import NgramModel

States: TypeAlias = tuple[Tensor, ...]
TABLE_VALUES = 1 << 24  # scores of a language model in a table: 64 MiB, and 128 MiB for its states
TABLE_ROWS = 1 << 12  # computed at once


class Scorer(Protocol):
    """Adds scores to prefixes; its tensors are on the device of the log-probabilities."""

    def start(self, prefixes: int) -> States:
        """States of so many empty prefixes."""

    def extend(self, states: States, symbols: Tensor) -> Tensor:
        """What is added if each prefix is extended by each of its symbols ``[prefixes, chosen]``; minus infinity forbids it."""

    def follow(self, states: States, symbols: Tensor) -> States:
        """States of the prefixes that are extended by one symbol each, ``[prefixes]``; symbol 0 leaves a prefix as it is."""

    def finish(self, states: States) -> Tensor:
        """What is added at the end of the text, ``[prefixes]``."""


@dataclass(frozen=True)
class SymbolTable:
    """A weighted automaton over symbols, such as an n-gram model of characters or a list of phrases.

    Attributes:
        scores: of each symbol after each state, ``[states, symbols]``; 0 for blank.
        following: the states after them; after blank the same state.
        final: scores of the end of the text after each state.
        initial: the state of the empty prefix.
    """

    scores: Tensor
    following: Tensor
    final: Tensor
    initial: int


@dataclass(frozen=True)
class TableScorer:
    """Scores of a `SymbolTable`, multiplied by `weight`, and `bonus` for each symbol."""

    table: SymbolTable
    weight: float = 1.0
    bonus: float = 0.0

    def start(self, prefixes: int) -> States:
        """The initial state."""
        return (torch.full((prefixes,), self.table.initial, device=self.table.scores.device),)

    def extend(self, states: States, symbols: Tensor) -> Tensor:
        """The weighted scores of the symbols."""
        places = states[0][:, None] * self.table.scores.shape[1] + symbols
        return torch.take(self.table.scores, places) * self.weight + self.bonus

    def follow(self, states: States, symbols: Tensor) -> States:
        """The states after the symbols."""
        return (torch.take(self.table.following, states[0] * self.table.scores.shape[1] + symbols),)

    def finish(self, states: States) -> Tensor:
        """The weighted scores of the end."""
        return self.table.final[states[0]] * self.weight


@dataclass(frozen=True)
class SymbolModelScorer:
    """Scores of an n-gram model that is too large for a table; each symbol is one of its words.

    Attributes:
        model: of characters, or of the phones or words that are symbols.
        words: the id of each symbol, ``[symbols]``.
        weight, bonus: as in `TableScorer`.
    """

    model: NgramModel
    words: Tensor
    weight: float = 1.0
    bonus: float = 0.0

    def start(self, prefixes: int) -> States:
        """The state of the beginning of a sentence."""
        return (torch.full((prefixes,), self.model.start, device=self.words.device),)

    def extend(self, states: States, symbols: Tensor) -> Tensor:
        """The weighted log-probabilities of the symbols."""
        spread = states[0][:, None].expand_as(symbols)
        scores, _ = self.model.score(spread.flatten(), self.words[symbols].flatten())
        return scores.view_as(symbols) * self.weight + self.bonus

    def follow(self, states: States, symbols: Tensor) -> States:
        """The states after the symbols."""
        _, following = self.model.score(states[0], self.words[symbols])
        return (torch.where(symbols > 0, following, states[0]),)

    def finish(self, states: States) -> Tensor:
        """The weighted log-probability of the end of the sentence."""
        return self.model.finish(states[0]) * self.weight


def tabulate(model: NgramModel, words: Tensor) -> SymbolTable | None:
    """The table of a model of symbols, `words` being the id of each; None if it would be too large."""
    if model.states * len(words) > TABLE_VALUES:
        return None
    scores = torch.empty(model.states, len(words), device=words.device)
    following = torch.empty(model.states, len(words), dtype=torch.long, device=words.device)
    final = torch.empty(model.states, device=words.device)
    for part in torch.split(torch.arange(model.states, device=words.device), TABLE_ROWS):
        of_words, next_states = (
            values.view(len(part), -1)
            for values in model.score(part.repeat_interleave(len(words)), words.repeat(len(part)))
        )
        scores[part], following[part], final[part] = of_words, next_states, model.finish(part)
    scores[:, 0] = 0.0
    following[:, 0] = torch.arange(model.states, device=words.device)
    return SymbolTable(scores, following, final, model.start)
