"""Queries of an n-gram model as tensors, for a beam search: batches of states and words, on the CPU or a GPU.

A state is the longest suffix of the words so far that the model has as a context, as a row of `NgramTables`. Backoff is resolved
for a whole batch at once: all suffixes of a state are looked up in one binary search, and the longest that is found counts. For
small vocabularies `advance` reads rows of a table that is computed once (or, in large models, when a state is first met); compare
NeMo's NGPU-LM (Bataev et al. 2025, arXiv:2505.22857), which keeps states and arcs as tensors.
"""

import unicodedata
from functools import cached_property

import torch
from torch import Tensor

from speechxfer.language_models.tables import (
    BEGIN_ID,
    END_ID,
    UNKNOWN_ID,
    WORD_BOUNDARY,
    NgramTables,
    Unit,
    count_contexts,
)
from speechxfer.text import Normalizer

TABLE_VALUES = 1 << 24  # values in the table of `advance`: 128 MiB


class NgramModel:
    """An n-gram language model; `read_language_model` opens one.

    Args:
        tables: the n-grams.
        device: where states and scores are.

    >>> model = read_language_model("words.arpa.gz")
    >>> states = torch.tensor([model.start, model.start])
    >>> words = torch.tensor([model.id_of("good"), model.id_of("day")])
    >>> scores, states = model.score(states, words)
    >>> scores + model.finish(states)
    tensor([...])
    """

    def __init__(self, tables: NgramTables, device: torch.device | str = "cpu") -> None:
        self.tables = tables
        self.order = tables.order
        self.unit: Unit = tables.unit
        self.normalizer: Normalizer | None = tables.normalizer
        self.words = tables.words
        self.start = 0 if self.order == 1 else 1 + BEGIN_ID
        self.device = torch.device(device)
        self._contexts = count_contexts(tables.counts)
        self._keys = torch.from_numpy(tables.keys).to(device)
        self._log_probs = torch.from_numpy(tables.log_probs).to(device)
        self._backoffs = torch.from_numpy(tables.backoffs).to(device)
        self._links = torch.from_numpy(tables.links).to(device)
        self._rows: _Rows | None = None

    @property
    def states(self) -> int:
        """How many states there are: 0 to ``states - 1``."""
        return self._contexts

    def to(self, device: torch.device | str) -> "NgramModel":
        """The model on a device."""
        return self if torch.device(device) == self.device else NgramModel(self.tables, device)

    def id_of(self, word: str) -> int:
        """The id of a word, in whichever form of Unicode it is written; that of ``<unk>`` if it is unknown.

        In a character model the space is the word boundary.
        """
        if word == " " and self.unit == "character":
            word = WORD_BOUNDARY
        for form in (word, unicodedata.normalize("NFC", word), unicodedata.normalize("NFD", word)):
            if form in self._ids:
                return self._ids[form]
        return UNKNOWN_ID

    def score(self, states: Tensor, words: Tensor) -> tuple[Tensor, Tensor]:
        """Log-probability (natural) of each word after its state, float32 `[batch]`, and the next states, int64 `[batch]`.

        Args:
            states: int64 `[batch]`.
            words: int64 `[batch]`, ids.
        """
        suffixes, costs = [states], [torch.zeros_like(states, dtype=torch.float32)]
        for _ in range(self.order - 1):
            costs.append(costs[-1] + self._backoffs[suffixes[-1]])
            suffixes.append(self._links[suffixes[-1]].long())
        row = words + 1  # of the word alone, after the empty suffix
        cost = costs[-1]
        if self.order > 1:
            wanted = torch.stack(suffixes[:-1]).mul_(len(self.words)).add_(words)
            rows = torch.searchsorted(self._keys, wanted).clamp_(max=len(self._keys) - 1)
            is_found = self._keys[rows] == wanted
            for suffix in range(self.order - 2, -1, -1):  # the longest one last
                row = torch.where(is_found[suffix], rows[suffix], row)
                cost = torch.where(is_found[suffix], costs[suffix], cost)
        return self._log_probs[row] + cost, self._state_of(row)

    def finish(self, states: Tensor) -> Tensor:
        """Log-probability (natural) of the end of the sentence after each state, float32 `[batch]`."""
        return self.score(states, torch.full_like(states, END_ID))[0]

    def advance(self, states: Tensor) -> tuple[Tensor, Tensor]:
        """Log-probabilities of all words after each state, float32 `[batch, words]`, and the next states, int64 `[batch, words]`.

        For small vocabularies, such as characters; with many words use `score`.
        """
        if self._rows is None:
            self._rows = _Rows(self._contexts, len(self.words), self.device)
        rows = self._rows
        if rows.capacity == self._contexts:
            if not rows.used:
                self._fill(rows)
            found = states
        elif self.device.type == "cpu" and rows.capacity >= len(states):
            found = self._look_up(rows, states)
        else:  # on a GPU, waiting for the number of missing rows would cost more than computing all
            return self._compute(states)
        return rows.scores[found], rows.states[found].long()

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {word: i for i, word in enumerate(self.words)}

    def _state_of(self, rows: Tensor) -> Tensor:
        """The state after an n-gram: itself, or, if nothing can follow it, its link."""
        return torch.where(rows < self._contexts, rows, self._links[rows].long())

    def _compute(self, states: Tensor) -> tuple[Tensor, Tensor]:
        words = torch.arange(len(self.words), device=states.device)
        scores, next_states = self.score(states.repeat_interleave(len(words)), words.repeat(len(states)))
        return scores.view(len(states), -1), next_states.view(len(states), -1)

    def _look_up(self, rows: "_Rows", states: Tensor) -> Tensor:
        """Places of states in the table; those met for the first time are computed."""
        found = rows.places[states]
        if bool((found < 0).any()):
            missing = torch.unique(states[found < 0])
            if rows.used + len(missing) > rows.capacity:
                rows.clear()
                missing = torch.unique(states)
            new = slice(rows.used, rows.used + len(missing))
            rows.scores[new], rows.states[new] = self._compute(missing)
            rows.places[missing] = torch.arange(new.start, new.stop, dtype=torch.int32)
            rows.used = new.stop
            found = rows.places[states]
        return found

    def _fill(self, rows: "_Rows") -> None:
        """Compute the whole table, order by order: a context's row is its link's, except for the words that follow it."""
        for order in range(self.order):
            contexts, followers = self.tables.rows_of(order), self.tables.rows_of(order + 1)
            here = slice(contexts.start, contexts.stop)
            if order:
                links = self._links[here]
                rows.scores[here] = rows.scores[links] + self._backoffs[here, None]
                rows.states[here] = rows.states[links]
            keys = self._keys[followers.start : followers.stop]
            context, word = keys // len(self.words), keys % len(self.words)
            rows.scores[context, word] = self._log_probs[followers.start : followers.stop]
            after = torch.arange(followers.start, followers.stop, device=self.device)
            rows.states[context, word] = self._state_of(after).int()
        rows.used = rows.capacity


class _Rows:
    """The table of `advance`: scores and next states after contexts; of all of them if they fit into `TABLE_VALUES`."""

    def __init__(self, contexts: int, words: int, device: torch.device) -> None:
        self.capacity = min(contexts, TABLE_VALUES // words)
        self.used = 0
        is_partial = self.capacity < contexts
        rows = 0 if is_partial and device.type != "cpu" else self.capacity
        self.scores = torch.empty((rows, words), device=device)
        self.states = torch.empty((rows, words), dtype=torch.int32, device=device)
        self.places = torch.full((contexts if is_partial else 0,), -1, dtype=torch.int32)

    def clear(self) -> None:
        """Forget all rows."""
        self.used = 0
        self.places.fill_(-1)
