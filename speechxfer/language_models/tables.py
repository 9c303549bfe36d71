"""N-grams as a trie in arrays: one row per n-gram, of all orders, looked up by binary search without a loop over n-grams.

Row 0 is the empty n-gram. Rows are ordered by the number of words, then by the row of their context (all words but the last),
then by the last word, so ``keys = context_row * words + last_word`` ascends through all orders, and one search finds an n-gram
of any order. A row's link is the longest proper suffix that the model has. A context is a state of a search: a word that does not
follow it costs the backoff weight of the context and is looked up after its link (Katz 1987).
"""

from collections import Counter
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from speechxfer.errors import InputError
from speechxfer.text import Normalizer

Unit = Literal["word", "character"]
Ints = NDArray[np.int64]
Floats = NDArray[np.float32]
UNKNOWN, BEGIN, END = "<unk>", "<s>", "</s>"
SPECIAL = (UNKNOWN, BEGIN, END)  # words 0, 1 and 2 of every model
UNKNOWN_ID, BEGIN_ID, END_ID = 0, 1, 2
WORD_BOUNDARY = "\u2581"  # the space of a character model, as in sentencepiece
MAX_ORDER = 6
MAX_NGRAMS = 2**31 - 2  # links are 32-bit
MISSING_LOG10 = -100.0  # probability of unknown words in a file that has none (KenLM's)


@dataclass(frozen=True)
class NgramTables:
    """An n-gram model in arrays; see the module for the order of rows.

    Attributes:
        words: the vocabulary; the first three are `SPECIAL`.
        counts: number of n-grams of each order, from 1.
        keys: int64 ``[rows]``, ascending; -1 for row 0.
        log_probs: float32 ``[rows]``, natural logarithms; 0 for row 0.
        backoffs: float32 ``[contexts]``, natural logarithms, of the rows below the highest order.
        links: int32 ``[rows]``, each smaller than its row and a context; 0 for row 0.
        unit: "word", or "character": words are characters and `WORD_BOUNDARY`.
        normalizer: of the training text; None if unknown.
    """

    words: tuple[str, ...]
    counts: tuple[int, ...]
    keys: Ints
    log_probs: Floats
    backoffs: Floats
    links: NDArray[np.int32]
    unit: Unit = "word"
    normalizer: Normalizer | None = None

    @property
    def order(self) -> int:
        """Number of words in the longest n-grams."""
        return len(self.counts)

    def rows_of(self, order: int) -> range:
        """The rows of the n-grams of one order; of order 0, row 0."""
        first = 0 if order == 0 else 1 + sum(self.counts[: order - 1])
        return range(first, 1 + sum(self.counts[:order]))


def count_contexts(counts: tuple[int, ...]) -> int:
    """Number of rows below the highest order, row 0 included: the states of a search."""
    return 1 + sum(counts[:-1])


def find_rows(keys: Ints, wanted: Ints) -> Ints:
    """The row of each key; -1 where there is none."""
    rows = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[rows] == wanted, rows, -1)


def find_links(keys: Ints, links: NDArray[np.int32], new: Ints, words: int) -> NDArray[np.int32]:
    """The links of n-grams of two or more words (keys `new`) that follow on rows `keys` with `links`."""
    contexts, last = np.divmod(new, words)
    found = np.full(len(new), -1, dtype=np.int64)
    pending = np.arange(len(new))
    while len(pending):  # ends, as the single words are there
        contexts[pending] = links[contexts[pending]]
        found[pending] = find_rows(keys, contexts[pending] * words + last[pending])
        pending = pending[found[pending] < 0]
    return found.astype(np.int32)


def check_words(words: list[str], where: str) -> None:
    """Refuse a vocabulary with a word twice."""
    if len(set(words)) < len(words):
        twice = next(word for word, count in Counter(words).items() if count > 1)
        raise InputError(f"{where}: the word {twice!r} occurs twice; write every word once")
