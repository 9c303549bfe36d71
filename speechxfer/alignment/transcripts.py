"""Transcripts to align: the words of a normalised text, the model's symbols that they are made of, and their units.

A unit is what gets a start and an end: a phone, or a letter with its combining marks, whatever the model's symbols are. A symbol
of a BPE model has several units; a letter whose tone mark is a symbol of its own is one unit of two symbols.
"""

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from speechxfer.errors import InputError, first_names
from speechxfer.text import Vocabulary

Unknown = Literal["error", "wildcard"]
WILDCARD = -1  # id of a symbol that the vocabulary lacks: it stands for any one symbol


@dataclass(frozen=True)
class Unit:
    """A phone or letter: part number `part` of `parts` equal ones of the symbols `first` to `end` (exclusive)."""

    text: str
    first: int
    end: int
    part: int = 0
    parts: int = 1


@dataclass(frozen=True)
class TranscriptWord:
    """A word, with the positions of its symbols (`first` to `end`, exclusive); in a transcript of phones, one phone.

    Attributes:
        unknown: its characters or phones that the vocabulary lacks, which are aligned as wildcards.
    """

    text: str
    first: int
    end: int
    units: tuple[Unit, ...]
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True)
class Transcript:
    """The symbols of a transcript, without blanks, and its words. Symbols between words, the spaces, belong to no word."""

    ids: tuple[int, ...]
    words: tuple[TranscriptWord, ...]

    @property
    def junctions(self) -> tuple[int, ...]:
        """Positions of symbols where a word may be skipped: before each word with its space, and the end."""
        return (0, *(word.end for word in self.words[:-1]), len(self.ids))


def build_transcript(text: str, vocabulary: Vocabulary, *, unknown: Unknown, where: str) -> Transcript:
    """The transcript of a *normalised* text.

    Args:
        unknown: what happens to a character or phone that the vocabulary lacks: "error", or "wildcard", which stands for any
            one symbol.
        where: opens the message of an error, such as the id of the utterance.

    Raises:
        InputError: the text has no word, or a symbol is unknown.
    """
    words = text.split()
    if not words:
        raise InputError(f"{where}: the text has no word to align; give a transcript, or remove the utterance")
    missing = vocabulary.unknown(text)
    if missing and unknown == "error":
        names = first_names([f"{symbol!r} x{count}" for symbol, count in missing.most_common()])
        raise InputError(
            f"{where}: not in the vocabulary of {len(vocabulary.symbols)} symbols: {names}; correct the transcript, or "
            "align unknown symbols as wildcards (--unknown wildcard)"
        )
    id_of = {symbol: number for number, symbol in enumerate(vocabulary.symbols)}
    spaced = vocabulary.kind == "characters" and " " in id_of
    ids: list[int] = []
    built = []
    for word in words:
        if ids and spaced:
            ids.append(id_of[" "])
        first = len(ids)
        symbols = _symbols_of(word, vocabulary, id_of)
        ids += symbols
        lacking = tuple(symbol for symbol in _pieces(word, vocabulary) if symbol in missing)
        built.append(TranscriptWord(word, first, len(ids), tuple(_units_of(word, first, symbols, vocabulary)), lacking))
    return Transcript(tuple(ids), tuple(built))


def graphemes(word: str) -> list[str]:
    """Letters with their combining marks: ``é`` is one, composed or not."""
    clusters: list[str] = []
    for character in word:
        if clusters and unicodedata.category(character) in ("Mn", "Mc", "Me"):
            clusters[-1] += character
        else:
            clusters.append(character)
    return clusters


def _pieces(word: str, vocabulary: Vocabulary) -> list[str]:
    """What may be unknown: phones or words as a whole, else characters."""
    return [word] if vocabulary.kind in ("phones", "words") else list(word)


def _symbols_of(word: str, vocabulary: Vocabulary, id_of: dict[str, int]) -> list[int]:
    if vocabulary.kind == "bpe":
        if vocabulary.unknown(word):
            return [WILDCARD] * len(graphemes(word))
        return vocabulary.encode(word)
    return [id_of.get(piece, WILDCARD) for piece in _pieces(word, vocabulary)]


def _units_of(word: str, first: int, symbols: Sequence[int], vocabulary: Vocabulary) -> Iterator[Unit]:
    if vocabulary.kind == "phones":
        yield Unit(word, first, first + 1)
        return
    clusters = graphemes(word)
    if vocabulary.kind == "characters":
        for cluster in clusters:
            yield Unit(cluster, first, first + len(cluster))
            first += len(cluster)
        return
    for number, cluster in enumerate(clusters):  # of BPE and words: equal parts of the word's symbols
        yield Unit(cluster, first, first + len(symbols), number, len(clusters))
