"""From a path through log-probabilities to units with times by CTC, flags, and the pieces whose boundaries are to be placed."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise
from typing import TypeVar

import numpy as np

from speechxfer.alignment.boundaries import Piece
from speechxfer.alignment.results import Flag
from speechxfer.alignment.transcripts import WILDCARD, Transcript
from speechxfer.alignment.trellis import Path, Scores
from speechxfer.features import FeatureSpec
from speechxfer.text import Vocabulary

MAX_PIECE_S = 20.0
MIN_PIECE_S = 5.0  # where a piece is cut because it is too long
MARGIN_S = 1.0  # of a piece before its first and after its last symbol, at most
EDGE_S = 0.1  # how far speech reaches beyond a symbol's CTC frames where a pause may follow


@dataclass(frozen=True)
class FoundUnit:
    """A unit with the frames in which CTC emits its symbols.

    Attributes:
        word: number of its word in the transcript.
        starts_word: whether it is the word's first one.
        start_s, end_s: of these frames; units that share symbols have the same ones.
        part, parts: as in `Unit`.
        score: geometric mean of the symbols' probabilities in these frames.
    """

    word: int
    text: str
    starts_word: bool
    start_s: float
    end_s: float
    part: int
    parts: int
    score: float


_Timed = TypeVar("_Timed", FoundUnit, Flag)


@dataclass(frozen=True)
class FoundUtterance:
    """The units and words of an utterance that were found, and what is flagged."""

    units: tuple[FoundUnit, ...]
    word_scores: dict[int, float]
    missing: tuple[Flag, ...]
    untranscribed: tuple[Flag, ...]


def read_path(
    path: Path, log_probs: Scores, transcript: Transcript, vocabulary: Vocabulary, frame_s: float
) -> FoundUtterance:
    """Units, scores and flags of a path."""
    units, word_scores = [], {}
    for number, word in enumerate(transcript.words):
        if path.spans[word.first] is None:
            continue
        word_scores[number] = _score(path, log_probs, transcript.ids, word.first, word.end)
        for place, unit in enumerate(word.units):
            spans = [span for span in path.spans[unit.first : unit.end] if span]
            score = _score(path, log_probs, transcript.ids, unit.first, unit.end)
            times = (spans[0][0] * frame_s, spans[-1][1] * frame_s)
            units.append(FoundUnit(number, unit.text, place == 0, *times, unit.part, unit.parts, score))
    untranscribed = _untranscribed(path, log_probs, vocabulary, frame_s)
    missing = _missing(transcript, units, len(log_probs) * frame_s)
    return FoundUtterance(tuple(units), word_scores, missing, untranscribed)


def place_found(found: FoundUtterance, spec: FeatureSpec, duration_s: float) -> FoundUtterance:
    """What was found, with its times in an utterance of `duration_s` (see `span_in_utterance`)."""

    def moved(part: _Timed) -> _Timed:
        start_s, end_s = spec.span_in_utterance(part.start_s, part.end_s, duration_s)
        return replace(part, start_s=start_s, end_s=end_s)

    return replace(
        found,
        units=tuple(map(moved, found.units)),
        missing=tuple(map(moved, found.missing)),
        untranscribed=tuple(map(moved, found.untranscribed)),
    )


def _score(path: Path, log_probs: Scores, ids: Sequence[int], first: int, end: int) -> float:
    """Geometric mean of the probabilities of symbols in their frames; a wildcard's is that of anything but blank."""
    logs = []
    for position in range(first, end):
        start, stop = path.spans[position] or (0, 0)
        if ids[position] == WILDCARD:
            logs.append(np.log(np.maximum(-np.expm1(log_probs[start:stop, 0]), 1e-10)))
        else:
            logs.append(log_probs[start:stop, ids[position]])
    return float(np.exp(np.concatenate(logs).mean()))


def _untranscribed(path: Path, log_probs: Scores, vocabulary: Vocabulary, frame_s: float) -> tuple[Flag, ...]:
    """Spans of garbage from the first to the last frame in which a symbol is recognised."""
    flags = []
    for start, end in path.garbage:
        best = log_probs[start:end].argmax(axis=1)
        spoken = np.flatnonzero(best)
        if len(spoken):
            text = vocabulary.decode(int(symbol) for symbol, _ in groupby(best.tolist()))
            flags.append(Flag(text, (start + spoken[0]) * frame_s, (start + spoken[-1] + 1) * frame_s))
    return tuple(flags)


def _missing(transcript: Transcript, units: Sequence[FoundUnit], end_s: float) -> tuple[Flag, ...]:
    """Runs of words that were not found, each between the units before and after it."""
    found = {unit.word for unit in units}
    last_end = {unit.word: unit.end_s for unit in units}
    first_start = {unit.word: unit.start_s for unit in reversed(units)}
    flags = []
    before_s = 0.0
    runs = groupby(range(len(transcript.words)), key=found.__contains__)
    for is_found, run in runs:
        numbers = list(run)
        if is_found:
            before_s = last_end[numbers[-1]]
        else:
            text = " ".join(transcript.words[number].text for number in numbers)
            flags.append(Flag(text, before_s, first_start.get(numbers[-1] + 1, end_s)))
    return tuple(flags)


# ------------------------------------------------------------------------------------------------------------ pieces
def cut_pieces(number: int, found: FoundUtterance, duration_s: float) -> list[Piece]:
    """The pieces of utterance `number`: between untranscribed speech, and of at most `MAX_PIECE_S` where words begin."""
    pieces = []
    walls = [(0.0, 0.0), *((flag.start_s, flag.end_s) for flag in found.untranscribed), (duration_s, duration_s)]
    rest = list(found.units)
    for (_, low_s), (high_s, wall_end_s) in pairwise(walls):
        is_last = wall_end_s >= duration_s  # the last encoder frame may end after the recording
        count = len(rest) if is_last else sum(unit.start_s < high_s for unit in rest)
        units, rest = rest[:count], rest[count:]
        while units:
            count = _piece_length(units)
            end_s = high_s if count == len(units) else (units[count - 1].end_s + units[count].start_s) / 2
            pieces.append(_piece(number, units[:count], low_s, end_s))
            units, low_s = units[count:], end_s
    return pieces


def _piece_length(units: Sequence[FoundUnit]) -> int:
    """How many of the units the next piece has: up to the longest gap between words within the allowed durations."""
    start_s = units[0].start_s
    if units[-1].end_s - start_s <= MAX_PIECE_S:
        return len(units)
    starts = [i for i in range(1, len(units)) if units[i].starts_word]
    allowed = [i for i in starts if MIN_PIECE_S <= units[i].start_s - start_s <= MAX_PIECE_S]
    if not allowed:
        return next((i for i in starts if units[i].start_s - start_s > MAX_PIECE_S), len(units))
    return max(allowed, key=lambda i: units[i].start_s - units[i - 1].end_s)


def _piece(number: int, units: Sequence[FoundUnit], low_s: float, high_s: float) -> Piece:
    start_s = max(low_s, units[0].start_s - MARGIN_S)
    end_s = min(high_s, units[-1].end_s + MARGIN_S)
    times = [(a - start_s, b - start_s) for a, b in ctc_times(units, start_s, end_s)]
    texts = tuple(unit.text for unit in units)
    return Piece(number, start_s, end_s - start_s, texts, tuple(unit.starts_word for unit in units), tuple(times))


def ctc_times(units: Sequence[FoundUnit], low_s: float, high_s: float) -> list[tuple[float, float]]:
    """Start and end of consecutive units between two times: boundaries in the middle between the CTC frames of two units.

    Where a pause may be, a unit does not reach farther than `EDGE_S` beyond its CTC frames.
    """
    edges = []
    for index, unit in enumerate(units):
        before, after = units[index - unit.part - 1 :][:1], units[index - unit.part + unit.parts :][:1]
        first = units[index - unit.part]
        start_s = (before[0].end_s + unit.start_s) / 2 if index > unit.part else low_s
        end_s = (unit.end_s + after[0].start_s) / 2 if after else high_s
        if first.starts_word:
            start_s = max(start_s, unit.start_s - EDGE_S)
        if not after or after[0].starts_word:
            end_s = min(end_s, unit.end_s + EDGE_S)
        edges.append((start_s, max(start_s, end_s)))
    return [
        (a + (b - a) * unit.part / unit.parts, a + (b - a) * (unit.part + 1) / unit.parts)
        for unit, (a, b) in zip(units, edges, strict=True)
    ]
