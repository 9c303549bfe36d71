"""Interpolated modified Kneser-Ney smoothing: from counts to probabilities and backoff weights.

Below the highest order an n-gram counts once for each word that occurs before it, except those that begin a sentence, which
nothing precedes and which keep their counts. Each order has three discounts, for n-grams that count 1, 2, and 3 or more. What
they take away is distributed in proportion to the order below; single words are interpolated with the uniform distribution over
the vocabulary and ``<unk>``.

A small text may lack n-grams that count 1, 2 or 3, or give a discount that is not above 0 or larger than the count; such an order
gets the discounts 0.5, 1 and 1.5, with a line on stderr (as KenLM's lmplz with ``--discount_fallback``).

Pruned are n-grams that occur at most as often as their order's threshold; their whole count is distributed by the order below.

Sources: Chen and Goodman 1998, "An empirical study of smoothing techniques for language modeling", section 3 and equation 26;
Heafield et al., ACL 2013, "Scalable modified Kneser-Ney language model estimation" (``<s>``, ``<unk>``, pruning).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from speechxfer.language_models.counting import OrderCounts
from speechxfer.language_models.scratch import Scratch, blocks
from speechxfer.language_models.tables import BEGIN_ID, Floats, Ints
from speechxfer.runtime import log_info

Discounts = tuple[float, float, float]  # of n-grams that count 1, 2, 3 and more
Doubles = NDArray[np.float64]
FALLBACK: Discounts = (0.5, 1.0, 1.5)


@dataclass(frozen=True)
class OrderModel:
    """The smoothed n-grams of one order, pruned ones included.

    Attributes:
        probs: float32 ``[ngrams]``; of pruned n-grams undefined.
        weights: float64 ``[contexts]``: after each n-gram of the order below, the share of that order; 1 where nothing follows.
        is_kept: bool ``[ngrams]``: not pruned.
    """

    probs: Floats
    weights: Doubles
    is_kept: NDArray[np.bool_]


def smooth(orders: Sequence[OrderCounts], thresholds: Sequence[int], scratch: Scratch) -> list[OrderModel]:
    """Estimate the model of counted n-grams.

    Args:
        orders: the counts of orders 1, 2 and so on.
        thresholds: n-grams of each order that occur at most so often are pruned; ascending, the first is 0.
        scratch: for files.
    """
    words = orders[0].words
    beginnings = slice(BEGIN_ID, BEGIN_ID + 1)
    lower: NDArray[np.floating] = np.full(1, 1 / (words - 1))  # uniform over all but <s>
    models: list[OrderModel] = []
    for order, ngrams in enumerate(orders, start=1):
        if order > 1:  # the n-grams that begin with <s> are those whose contexts do
            first, last = np.searchsorted(ngrams.keys, [beginnings.start * words, beginnings.stop * words])
            beginnings = slice(int(first), int(last))
        counts = adjust_counts(ngrams, orders[order] if order < len(orders) else None, beginnings, scratch)
        if order == 1:
            counts[BEGIN_ID] = 0
        taken = np.array([0.0, *_choose_discounts(counts, order)])
        is_kept = scratch.array(np.bool_, len(counts))
        for block in blocks(len(counts)):
            is_kept[block] = (ngrams.counts[block] > thresholds[order - 1]) | (order == 1)
        models.append(_interpolate(ngrams, counts, is_kept, taken, lower, scratch))
        lower = models[-1].probs
    return models


def adjust_counts(ngrams: OrderCounts, above: OrderCounts | None, beginnings: slice, scratch: Scratch) -> Ints:
    """How many different words occur before each n-gram; plain counts in the highest order and after ``<s>``."""
    adjusted: Ints = scratch.array(np.int64, len(ngrams.keys))
    if above is None:
        for block in blocks(len(adjusted)):
            adjusted[block] = ngrams.counts[block]
        return adjusted
    for block in blocks(len(above.links)):
        numbers, times = np.unique(above.links[block], return_counts=True)
        adjusted[numbers] += times
    adjusted[beginnings] = ngrams.counts[beginnings]
    return adjusted


def estimate_discounts(once: int, twice: int, thrice: int, four_times: int) -> Discounts | None:
    """The discounts that follow from the numbers of n-grams that count 1, 2, 3 and 4; None if they are not in range."""
    if not (once and twice and thrice):
        return None
    share = once / (once + 2 * twice)
    found = (1 - 2 * share * twice / once, 2 - 3 * share * thrice / twice, 3 - 4 * share * four_times / thrice)
    return found if all(0 < discount <= count for count, discount in enumerate(found, start=1)) else None


def _choose_discounts(counts: Ints, order: int) -> Discounts:
    """The discounts of one order by equation 26 of Chen and Goodman, or `FALLBACK` with a line on stderr."""
    times = np.zeros(6, dtype=np.int64)
    for block in blocks(len(counts)):
        times += np.bincount(np.minimum(counts[block], 5), minlength=6)
    once, twice, thrice, four_times = times[1:5].tolist()
    found = estimate_discounts(once, twice, thrice, four_times)
    if found is None:
        log_info(
            f"order {order}: discounts {', '.join(map(str, FALLBACK))} instead of estimated ones, as none in range "
            f"follow from the counts: of the n-grams {once:,} count 1, {twice:,} count 2, {thrice:,} count 3, "
            f"{four_times:,} count 4"
        )
    return found or FALLBACK


def _interpolate(
    ngrams: OrderCounts,
    counts: Ints,
    is_kept: NDArray[np.bool_],
    taken: Doubles,
    lower: NDArray[np.floating],
    scratch: Scratch,
) -> OrderModel:
    """The probabilities of one order; `taken`: the discounts of counts 0 to 3, `lower`: the probabilities of the order below."""
    words, contexts = ngrams.words, len(lower)
    sums, weights = scratch.array(np.float64, contexts), scratch.array(np.float64, contexts)
    for block in blocks(len(counts)):
        context, count = ngrams.keys[block] // words, counts[block]
        lost = np.where(is_kept[block], taken[np.minimum(count, 3)], count)
        first, last = int(context[0]), int(context[-1]) + 1
        sums[first:last] += np.bincount(context - first, weights=count)
        weights[first:last] += np.bincount(context - first, weights=lost)
    for block in blocks(contexts):
        weights[block] = np.where(sums[block] > 0, weights[block] / np.maximum(sums[block], 1), 1)
    probs = scratch.array(np.float32, len(counts))
    for block in blocks(len(counts)):
        context, count = ngrams.keys[block] // words, counts[block]
        share = (count - taken[np.minimum(count, 3)]) / sums[context]
        probs[block] = share + weights[context] * lower[ngrams.links[block]]
    return OrderModel(probs, weights, is_kept)
