"""Counts of n-grams of all orders, by sorting in files: memory is bounded by blocks, whatever the size of the text.

The n-grams of one order are numbered in the order of their keys, ``number of the context * words + last word``. A pass over the
text sorts and counts the keys of one block after the other; the sorted blocks are merged, a range of keys at a time; another pass
gives every place in the text the number of the n-gram that begins there, from which come the keys of the next order. This is
counting by external sorting, as in Heafield et al. (ACL 2013, section 3.1).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from speechxfer.language_models import scratch as files
from speechxfer.language_models.corpus import Corpus
from speechxfer.language_models.scratch import Scratch, blocks
from speechxfer.language_models.tables import END_ID, Ints

SAMPLES_PER_BLOCK = 256  # of keys, to divide the merge into ranges


@dataclass(frozen=True)
class OrderCounts:
    """The n-grams of one order, in the order of their keys; arrays may be in files.

    Attributes:
        words: number of words in the vocabulary.
        keys: int64 ``[ngrams]``, ascending: number of the context in the order below (0 for order 1) * words + last word.
        counts: int64 ``[ngrams]``, how often each occurs.
        links: int32 ``[ngrams]``, the number, in the order below, of the n-gram without its first word (0 for order 1).
    """

    words: int
    keys: Ints
    counts: Ints
    links: NDArray[np.int32]


def count_ngrams(corpus: Corpus, order: int, scratch: Scratch) -> list[OrderCounts]:
    """Count the n-grams of orders 1 to `order`."""
    words, length = len(corpus.words), len(corpus.tokens)
    counts = np.zeros(words, dtype=np.int64)
    numbers = scratch.array(np.int32, length)  # of the n-gram that begins at each place; -1 for none
    for block in blocks(length):
        numbers[block] = corpus.tokens[block]
        counts += np.bincount(numbers[block], minlength=words)
    orders = [OrderCounts(words, np.arange(words, dtype=np.int64), counts, np.zeros(words, dtype=np.int32))]
    for size in range(2, order + 1):
        runs = []
        for block in blocks(length):
            found, times = _sum_equal(np.sort(_keys_of(corpus, numbers, block, size)[1]))
            runs.append((scratch.store(found), scratch.store(times)))
        keys, sums = _merge(runs, scratch)
        orders.append(OrderCounts(words, keys, sums, _find_links(keys, orders, words, scratch)))
        if size < order:
            _number(corpus, numbers, keys, size)
    return orders


def _keys_of(corpus: Corpus, numbers: NDArray[np.int32], block: slice, size: int) -> tuple[Ints, Ints]:
    """The places in a block at which n-grams of a size begin, none of them over the end of a sentence, and their keys."""
    tokens = corpus.tokens[block.start : block.stop + size - 1].astype(np.int64)
    inside = max(0, len(tokens) - size + 1)
    contexts = numbers[block][:inside]
    before, last = tokens[size - 2 : size - 2 + inside], tokens[size - 1 :]
    places = np.flatnonzero((contexts >= 0) & (before != END_ID))
    return places, contexts[places] * np.int64(len(corpus.words)) + last[places]


def _sum_equal(keys: Ints, counts: Ints | None = None) -> tuple[Ints, Ints]:
    """The different keys of a sorted array, and how often each is in it, or the sums of their counts."""
    if not len(keys):
        return keys, np.zeros(0, dtype=np.int64)
    first = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
    sums = np.diff(first, append=len(keys)) if counts is None else np.add.reduceat(counts, first)
    return keys[first], sums


def _merge(runs: Sequence[tuple[Ints, Ints]], scratch: Scratch) -> tuple[Ints, Ints]:
    """Merge sorted runs of keys and counts, one range of keys that fits into memory after the other."""
    if len(runs) == 1:
        return runs[0]
    step = max(1, files.BLOCK // SAMPLES_PER_BLOCK)
    samples = np.sort(np.concatenate([keys[::step] for keys, _ in runs]))
    parts = -(-sum(len(keys) for keys, _ in runs) // files.BLOCK)
    bounds = samples[[len(samples) * part // parts for part in range(1, parts)]]
    edges = [np.concatenate([[0], np.searchsorted(keys, bounds), [len(keys)]]) for keys, _ in runs]
    with scratch.growing(np.int64) as all_keys, scratch.growing(np.int64) as all_counts:
        for part in range(parts):
            cuts = [slice(edge[part], edge[part + 1]) for edge in edges]
            keys = np.concatenate([run[0][cut] for run, cut in zip(runs, cuts, strict=True)])
            counts = np.concatenate([run[1][cut] for run, cut in zip(runs, cuts, strict=True)])
            order = np.argsort(keys)
            keys, counts = _sum_equal(keys[order], counts[order])
            all_keys.append(keys)
            all_counts.append(counts)
        return all_keys.finish(), all_counts.finish()


def _number(corpus: Corpus, numbers: NDArray[np.int32], keys: Ints, size: int) -> None:
    """Replace the number at each place by that of the n-gram of a size that begins there."""
    for block in blocks(len(numbers)):
        places, wanted = _keys_of(corpus, numbers, block, size)
        new = np.full(block.stop - block.start, -1, dtype=np.int32)
        new[places] = _look_up(keys, wanted)
        numbers[block] = new


def _look_up(keys: Ints, wanted: Ints) -> Ints:
    """The places of keys that are all there; searched in ascending order, which reads a file from front to back."""
    order = np.argsort(wanted)
    places = np.empty(len(wanted), dtype=np.int64)
    places[order] = np.searchsorted(keys, wanted[order])
    return places


def _find_links(keys: Ints, below: Sequence[OrderCounts], words: int, scratch: Scratch) -> NDArray[np.int32]:
    """The number of each n-gram without its first word, in the order below: the context's link is its context."""
    links: NDArray[np.int32] = scratch.array(np.int32, len(keys))
    for block in blocks(len(keys)):
        contexts, last = np.divmod(keys[block], words)
        if len(below) == 1:
            links[block] = last
        else:
            links[block] = _look_up(below[-1].keys, below[-1].links[contexts].astype(np.int64) * words + last)
    return links
