"""Boosting of phrases: a list of words and phrases whose spelling gets a bonus in the beam search (shallow fusion).

All phrases form one automaton over the model's symbols (Aho and Corasick, CACM 1975). Each symbol of a phrase earns its part of
the bonus at once, so that the beam keeps a phrase that is being written; if the phrase is not completed as whole words, all of
it is taken back. A text that completes no phrase ends without a bonus.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from speechxfer.decoding.scorers import SymbolTable
from speechxfer.errors import InputError
from speechxfer.runtime import read_text
from speechxfer.text import Normalizer, Vocabulary

FIX = "write one phrase a line, and if wanted a tab and its weight"
MAX_TABLE_VALUES = 1 << 27
PIECE_START = "\u2581"


@dataclass(frozen=True)
class Phrase:
    """A phrase to be boosted.

    Attributes:
        text: as the model writes it (normalised).
        weight: multiplies the bonus of each of its symbols; below 0 the phrase is suppressed.
    """

    text: str
    weight: float = 1.0


def read_phrases(path: Path, vocabulary: Vocabulary, normalizer: Normalizer) -> list[Phrase]:
    """The phrases of a file: one a line, with an optional weight after a tab; empty lines are skipped; there may be none.

    Raises:
        InputError: no such file, a weight that is no number, a phrase that is empty after normalisation or has symbols that the
            model cannot write; the message names the line.
    """
    phrases = []
    for number, line in enumerate(read_text(path, fix=FIX).splitlines(), start=1):
        if line.strip():
            text, _, weight = line.partition("\t")
            phrases.append(_check_phrase(normalizer(text), weight.strip(), vocabulary, f"{path}, line {number}"))
    return phrases


def _check_phrase(text: str, weight: str, vocabulary: Vocabulary, where: str) -> Phrase:
    if not text:
        raise InputError(f"{where}: the phrase is empty after normalisation; {FIX}")
    missing = vocabulary.unknown(text)
    if missing:
        raise InputError(
            f"{where}: {text!r} has {', '.join(map(repr, missing))}, which the model cannot write; correct or remove it"
        )
    try:
        value = float(weight) if weight else 1.0
    except ValueError as error:
        raise InputError(f"{where}: the weight {weight!r} is no number; {FIX}") from error
    if not math.isfinite(value):
        raise InputError(f"{where}: the weight is {weight}; expected a finite number; {FIX}")
    return Phrase(text, value)


@dataclass
class _Node:
    """A prefix of phrases: its credit (what has been given in advance), and the bonus of the phrase that ends there."""

    children: dict[int, int]
    depth: int
    credit: float = 0.0
    bonus: float = 0.0
    fallback: int = 0


def build_boosting(phrases: Sequence[Phrase], vocabulary: Vocabulary, device: torch.device) -> SymbolTable:
    """The automaton of phrases; the bonus of a phrase is its weight for each of its symbols.

    Raises:
        InputError: there are too many phrases for a table.
    """
    space = vocabulary.symbols.index(" ") if vocabulary.kind == "characters" and " " in vocabulary.symbols else None
    nodes = [_Node({}, 0)]
    for phrase in phrases:
        _insert(nodes, vocabulary.encode(phrase.text), phrase.weight, space)
    symbols = len(vocabulary.symbols)
    if len(nodes) * symbols > MAX_TABLE_VALUES:
        raise InputError(
            f"{len(phrases):,} phrases have {len(nodes):,} prefixes, too many for {symbols:,} symbols; give a shorter list"
        )
    following = _following(nodes, symbols)
    credit = torch.tensor([node.credit for node in nodes])
    bonus = torch.tensor([node.bonus for node in nodes])
    ends = torch.tensor(_word_ends(vocabulary))
    scores = credit[following] - credit[:, None] + torch.where(ends, bonus[:, None], 0.0)
    scores[:, 0] = 0.0
    following[:, 0] = torch.arange(len(nodes))
    initial = (
        nodes[0].children.get(space, 0) if space is not None else 0
    )  # the start of the text is the start of a word
    return SymbolTable(scores.to(device), following.to(device), (bonus - credit).to(device), initial)


def _insert(nodes: list[_Node], ids: Sequence[int], weight: float, space: int | None) -> None:
    """Add a phrase; of characters it begins with the space before it, which earns nothing."""
    place = 0
    for number, symbol in enumerate(ids if space is None else [space, *ids]):
        if symbol not in nodes[place].children:
            nodes[place].children[symbol] = len(nodes)
            nodes.append(_Node({}, nodes[place].depth + 1))
        place = nodes[place].children[symbol]
        earned = weight * (number + (space is None))
        node = nodes[place]
        if abs(earned) > abs(node.credit):
            node.credit = earned
    nodes[place].bonus = weight * len(ids)


def _following(nodes: list[_Node], symbols: int) -> torch.Tensor:
    """The state after each state and symbol: the longest prefix of a phrase at the end of the text.

    Sets the fallbacks of the nodes, and adds to each bonus those of the shorter phrases that end at the same place.
    """
    following = torch.zeros(len(nodes), symbols, dtype=torch.long)
    for place in sorted(range(len(nodes)), key=lambda place: nodes[place].depth):
        node = nodes[place]
        if place:
            following[place] = following[node.fallback]
            node.bonus += nodes[node.fallback].bonus
        for symbol, child in node.children.items():
            nodes[child].fallback = int(following[place, symbol]) if place else 0
            following[place, symbol] = child
    return following


def _word_ends(vocabulary: Vocabulary) -> list[bool]:
    """For each symbol whether a word ends before it; without a space or its like, before every symbol."""
    ends = [symbol.startswith((" ", PIECE_START)) for symbol in vocabulary.symbols]
    return ends if vocabulary.kind in ("characters", "bpe") and any(ends) else [row > 0 for row in range(len(ends))]
