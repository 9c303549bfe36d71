"""Letter tables (``text.letters``): the phone of each letter, estimated from words that are spelt and transcribed.

Sources: alignment by IBM model 1 (Brown et al., 1993) with a diagonal prior (Dyer, Chahuneau and Smith, 2013).
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

ITERATIONS = 8  # of expectation maximisation
DIAGONAL = 8.0  # how strongly letters and phones at the same relative position are preferred


def estimate_letter_phones(words: Iterable[tuple[str, Sequence[str], int]]) -> dict[str, str]:
    """For every letter the phone that it is aligned with most often: a letter table.

    Args:
        words: each with its letters (composed and in lower case), its phones, and how often it occurs.
    """
    pairs = [(word, tuple(phones), count) for word, phones, count in words if word and phones]
    probability: dict[tuple[str, str], float] = defaultdict(lambda: 1.0)
    expected: dict[str, dict[str, float]] = {}
    for _ in range(ITERATIONS):
        expected = _expected_counts(pairs, probability)
        probability = defaultdict(float)
        for letter, phones_of in expected.items():
            total = sum(phones_of.values())
            for phone, value in phones_of.items():
                probability[letter, phone] = value / total
    return {letter: max(sorted(phones), key=phones.__getitem__) for letter, phones in sorted(expected.items())}


def _expected_counts(
    pairs: Sequence[tuple[str, tuple[str, ...], int]], probability: Mapping[tuple[str, str], float]
) -> dict[str, dict[str, float]]:
    """Expected number of times that each letter produced each phone; every phone of a word comes from one of its letters."""
    expected: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for word, phones, count in pairs:
        for place, phone in enumerate(phones):
            weights = [
                probability[letter, phone]
                * math.exp(-DIAGONAL * abs((i + 0.5) / len(word) - (place + 0.5) / len(phones)))
                for i, letter in enumerate(word)
            ]
            total = sum(weights)
            for letter, weight in zip(word, weights, strict=True) if total > 0 else ():
                expected[letter][phone] += count * weight / total
    return expected
