"""Posterior probabilities of the words of a hypothesis in CTC log-probabilities.

The sum over all alignments of a word's symbols within its frames and a few around them, times the probability that a space, or no
symbol at all, precedes and follows it: what `keyword_search` computes for all places, here for one. It separates right words
from wrong ones better than means, minima and products of frames' probabilities or entropies (Laptev and Ginsburg,
arXiv:2212.08703); ``recipes/yoruba/notes.md`` has figures.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from speechxfer.text import Vocabulary

Floats: TypeAlias = NDArray[np.float64]
MARGIN_S = 0.12  # a word may begin this much earlier, and end this much later, than in its most probable alignment


@dataclass(frozen=True)
class PlacedWord:
    """Symbols of a word, and the frames `start` to `end` (exclusive) of its most probable alignment."""

    symbols: tuple[int, ...]
    start: int
    end: int


def word_boundary(vocabulary: Vocabulary) -> int | None:
    """The symbol that separates words, if the vocabulary has one."""
    return vocabulary.symbols.index(" ") if vocabulary.kind == "characters" and " " in vocabulary.symbols else None


def word_posteriors(probs: Floats, words: Sequence[PlacedWord], space: int | None, margin: int) -> list[float]:
    """The posterior probability of each word, at most 1.

    Args:
        probs: `[frames, symbols]`.
        space: the symbol of word boundaries; None: words have no boundaries, as in a model of phones.
        margin: frames by which a word may begin earlier or end later.
    """
    if not words:
        return []
    states = 2 * max(len(word.symbols) for word in words) - 1
    symbols = np.zeros((len(words), states), dtype=np.int64)  # the symbol of each state; every other one is blank
    skips = np.zeros((len(words), states))  # 1 where a symbol can follow the one before it without a blank
    for row, word in enumerate(words):
        symbols[row, : 2 * len(word.symbols) : 2] = word.symbols
        skips[row, 2 : 2 * len(word.symbols) : 2] = np.diff(word.symbols) != 0
    rows, last = np.arange(len(words)), np.array([2 * len(word.symbols) - 2 for word in words])
    first_frames = np.array([max(0, word.start - margin) for word in words])
    ends = np.array([min(len(probs), word.end + margin) for word in words])
    first_symbols, last_symbols = symbols[:, 0], symbols[rows, last]
    before, after = space_contexts(probs[:, 0], probs[:, space]) if space is not None else (None, None)
    alphas, totals = np.zeros((len(words), states)), np.zeros(len(words))
    for step in range(int((ends - first_frames).max())):
        frames = np.minimum(first_frames + step, len(probs) - 1)
        arriving = alphas.copy()
        arriving[:, 1:] += alphas[:, :-1]
        arriving[:, 2:] += alphas[:, :-2] * skips[:, 2:]
        if before is None:  # what precedes is any other symbol
            arriving[:, 0] += 1.0 - np.where(frames > 0, probs[frames - 1, first_symbols], 0.0)
        else:
            arriving[:, 0] += before[frames]
        alphas = arriving * probs[frames[:, None], symbols]
        if after is None:
            following = np.minimum(frames + 1, len(probs) - 1)
            ended = 1.0 - np.where(frames + 1 < len(probs), probs[following, last_symbols], 0.0)
        else:
            ended = after[frames]
        totals += np.where(first_frames + step < ends, alphas[rows, last] * ended, 0.0)
    return [float(total) for total in np.minimum(totals, 1.0)]


def space_contexts(blank: Floats, space: Floats) -> tuple[Floats, Floats]:
    """For each frame the probability that the last symbol before it is a space, or that there is none; likewise after it.

    Args:
        blank, space: probabilities `[frames]` of these two symbols.
    """
    blanks, spaces = blank.tolist(), space.tolist()
    before = _last_is_space(blanks, spaces)
    after = _last_is_space(blanks[::-1], spaces[::-1])[::-1]
    return np.array(before), np.array(after)


def _last_is_space(blank: Sequence[float], space: Sequence[float]) -> list[float]:
    values, value = [], 1.0
    for of_blank, of_space in zip(blank, space, strict=True):
        values.append(value)
        value = of_space + of_blank * value
    return values
