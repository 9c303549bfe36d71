"""Alignment of two networks of words with sclite's weights: substitutions cost 4, insertions and deletions 3.

So two substitutions (8) cost more than a deletion and an insertion with a correct word between them (6); under equal weights (as
jiwer has) they cost the same. The three kinds of errors, and sometimes their number, differ from those of other reports. Of
alignments of equal cost the same one is chosen as by sclite. An optional word that is missing or added costs 2, and then counts
as correct; ``@`` costs 0.001.

Source: SCTK's documentation, "sclite", "Alignment by dynamic programming".
"""

from collections.abc import Iterator
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from speechxfer.scoring.counts import Pair
from speechxfer.scoring.word_networks import NetWord, WordNetwork, words_match

SUBSTITUTION, GAP, OPTIONAL_GAP, TWO_NULLS, NULL_GAP = 4000, 3000, 2000, 1000, 1  # thousandths of sclite's weights
_Cell: TypeAlias = tuple[int, int, int]  # cost, and the cell before it
_Step: TypeAlias = tuple[NetWord | None, NetWord | None]


def align_networks(reference: WordNetwork, hypothesis: WordNetwork) -> list[Pair]:
    """Aligned words of the best paths, as (reference, hypothesis); a word that counts as correct is its reference on both sides.

    An optional word that is missing, or added, is correct: it is paired with itself.
    """
    align = _align_to_text if hypothesis.is_linear else _align_networks
    return [pair for step in align(reference, hypothesis) if (pair := _pair_of(*step)) is not None]


def _pair_of(reference: NetWord | None, hypothesis: NetWord | None) -> Pair | None:
    """What one step counts as; None for one that does not count."""
    if reference is None or hypothesis is None:
        word = reference or hypothesis
        if word is None or word.is_null:
            return None
        if word.is_optional:
            return word.text, word.text
        return (word.text, None) if hypothesis is None else (None, word.text)
    if reference.is_null and hypothesis.is_null:
        return None
    if words_match(reference, hypothesis):
        return reference.text, reference.text
    return reference.text, hypothesis.text


# ------------------------------------------------------------------------------------------------------------- text
def _align_to_text(reference: WordNetwork, hypothesis: WordNetwork) -> list[_Step]:
    """Alignment with a hypothesis without alternatives, one row of the table (one word of the reference) at a time."""
    spoken = [word for word in hypothesis.words if word]
    gaps = np.cumsum([0, *map(_gap_cost, spoken)], dtype=np.int64)
    costs: dict[NetWord, NDArray[np.int64]] = {}  # of each word of the reference with all of the hypothesis
    table = np.zeros((len(reference.words), len(spoken) + 1), dtype=np.int64)
    table[0] = gaps
    for row, word in enumerate(reference.words):
        if word is None:
            continue
        if word not in costs:
            costs[word] = np.array([_pair_cost(word, other) for other in spoken], dtype=np.int64)
        above = table[list(reference.before[row])].min(axis=0)
        current = above + _gap_cost(word)
        current[1:] = np.minimum(current[1:], above[:-1] + costs[word])
        table[row] = np.minimum.accumulate(current - gaps) + gaps
    return _trace(table, costs, reference, spoken)


def _trace(
    table: NDArray[np.int64], costs: dict[NetWord, NDArray[np.int64]], reference: WordNetwork, spoken: list[NetWord]
) -> list[_Step]:
    """The steps that lead to the end; of equal ones both words are preferred, then an insertion, as by sclite."""
    steps: list[_Step] = []
    row, column = min(reference.last, key=lambda index: table[index, -1]), len(spoken)
    while row or column:
        word, cost = reference.words[row], table[row, column]
        before = reference.before[row]
        if word and column:
            previous = min(before, key=lambda index: table[index, column - 1])
            if table[previous, column - 1] + costs[word][column - 1] == cost:
                row, column = previous, column - 1
                steps.append((word, spoken[column]))
                continue
        if column and table[row, column - 1] + _gap_cost(spoken[column - 1]) == cost:
            column -= 1
            steps.append((None, spoken[column]))
        else:
            row = min(before, key=lambda index: table[index, column])
            steps.append((word, None))
    return steps[::-1]


# --------------------------------------------------------------------------------------------------------- networks
def _align_networks(reference: WordNetwork, hypothesis: WordNetwork) -> list[_Step]:
    cells: list[list[_Cell]] = [[(0, -1, -1)] * len(hypothesis.words) for _ in reference.words]
    for a in range(len(reference.words)):
        for b in range(len(hypothesis.words)):
            if a or b:
                cells[a][b] = min(_ways(reference, hypothesis, cells, a, b), key=lambda way: way[0])
    _, a, b = min(((cells[a][b][0], a, b) for a in reference.last for b in hypothesis.last), key=lambda end: end[0])
    steps: list[_Step] = []
    while a or b:
        _, previous_a, previous_b = cells[a][b]
        steps.append(
            (
                None if previous_a == a else reference.words[a],
                None if previous_b == b else hypothesis.words[b],
            )
        )
        a, b = previous_a, previous_b
    return steps[::-1]


def _ways(reference: WordNetwork, hypothesis: WordNetwork, cells: list[list[_Cell]], a: int, b: int) -> Iterator[_Cell]:
    """Ways to a cell, the preferred ones of equal cost first: both words, insertion, deletion."""
    word_a, word_b = reference.words[a], hypothesis.words[b]
    if word_a and word_b:
        cost = _pair_cost(word_a, word_b)
        pairs = ((x, y) for x in reference.before[a] for y in hypothesis.before[b])
        yield min(((cells[x][y][0] + cost, x, y) for x, y in pairs), key=lambda way: way[0])
    if word_b:
        cost = _gap_cost(word_b)
        yield min(((cells[a][y][0] + cost, a, y) for y in hypothesis.before[b]), key=lambda way: way[0])
    if word_a:
        cost = _gap_cost(word_a)
        yield min(((cells[x][b][0] + cost, x, b) for x in reference.before[a]), key=lambda way: way[0])


def _gap_cost(word: NetWord) -> int:
    return NULL_GAP if word.is_null else OPTIONAL_GAP if word.is_optional else GAP


def _pair_cost(reference: NetWord, hypothesis: NetWord) -> int:
    if reference.is_null and hypothesis.is_null:
        return TWO_NULLS
    return 0 if words_match(reference, hypothesis) else SUBSTITUTION
