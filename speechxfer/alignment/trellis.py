"""The best path of a transcript through log-probabilities: a CTC Viterbi search that can skip words and untranscribed speech.

Without `Costs` it is forced alignment (the path of `torchaudio.functional.forced_align`): every symbol gets frames. With `Costs`
there is beside blank a garbage state between words, whose score is that of whatever the model recognises less a cost, and a run
of words may be skipped at a cost. Related: the star token of Pratap et al. (arXiv:2305.13516) and skipping in CTC segmentation
(Kürzinger et al., arXiv:2007.09127).

Memory is linear. Scores are kept at the first frame of each block of `BLOCK` frames; the path is traced backwards block by block,
each computed again with its decisions. Of a long transcript only `WINDOW` symbols around the best state are searched, so the
search cannot correct more missing or additional text at one place than half of that.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from speechxfer.alignment.transcripts import WILDCARD, Transcript

BLOCK = 512  # frames
WINDOW = 20_000  # symbols, about 25 minutes of speech
IMPOSSIBLE = np.float32(-1e30)
STAY, BLANK, GARBAGE, PREVIOUS, SKIP = range(5)  # where a path came from: the same state, or another one

Scores = NDArray[np.float32]
Codes = NDArray[np.int8]
NEVER = np.array([IMPOSSIBLE])  # an origin that a state does not have


@dataclass(frozen=True)
class Costs:
    """Costs in natural logarithms, per event.

    Attributes:
        floor: lowest log-probability of a symbol or blank in a frame, so that no single frame decides.
        garbage: of entering the garbage state.
        garbage_symbol: of each frame in it in which the model recognises a symbol.
        skip: of skipping a run of words.
        skip_symbol: of each symbol of these words.
    """

    floor: float = -6.0
    garbage: float = 3.0
    garbage_symbol: float = 2.0
    skip: float = 8.0
    skip_symbol: float = 1.5


@dataclass(frozen=True)
class Path:
    """Where a transcript is in the frames.

    Attributes:
        spans: for each symbol its frames, start and end (exclusive), or None if its word was skipped.
        garbage: spans of frames in the garbage state.
        score: sum of the log-probabilities along the path, less costs.
    """

    spans: tuple[tuple[int, int] | None, ...]
    garbage: tuple[tuple[int, int], ...]
    score: float


def find_path(log_probs: Scores, transcript: Transcript, costs: Costs | None) -> Path | None:
    """The best path of a transcript.

    Args:
        log_probs: `[frames, symbols]`, blank first.
        costs: None: every symbol gets frames.

    Returns:
        the path; None where there is none, because the frames are too few for the symbols.
    """
    return _Search(log_probs, transcript, costs).run()


@dataclass(frozen=True)
class _State:
    """Scores after a frame of the positions from `low` on; position p is before symbol p.

    `symbols` is in symbol p, `blanks` and `garbage` before it. `offset` was subtracted from all.
    """

    low: int
    offset: float
    symbols: Scores
    blanks: Scores
    garbage: Scores


@dataclass(frozen=True)
class _Decisions:
    """For each position where the best path came from, in one frame; all four arrays are about the positions from `low` on.

    Attributes:
        offered: score of the path that has just done all symbols before the position, plus the cost of skipping these; a skip
            starts at the largest one before its end.
        done: where that path is.
        symbols, blanks, garbage: origin of the path that is there.
    """

    low: int
    offered: Scores
    done: Codes
    symbols: Codes
    blanks: Codes
    garbage: Codes


class _Search:
    def __init__(self, log_probs: Scores, transcript: Transcript, costs: Costs | None) -> None:
        ids = np.array(transcript.ids)
        self.log_probs, self.costs = log_probs, costs
        self.frames, self.count = len(log_probs), len(ids)
        self.width = min(self.count, WINDOW)
        self.ids = np.where(ids == WILDCARD, log_probs.shape[1], ids)
        repeats = np.zeros(self.count, dtype=bool)
        repeats[1:] = (ids[1:] == ids[:-1]) & (ids[1:] != WILDCARD)
        self.repeat_cost = np.where(repeats, IMPOSSIBLE, np.float32(0.0))
        self.junction_cost = np.full(self.count + 1, IMPOSSIBLE, dtype=np.float32)
        self.skip_cost = np.zeros(self.count + 1, dtype=np.float32)
        if costs:
            self.junction_cost[list(transcript.junctions)] = 0.0
            self.skip_cost = np.float32(costs.skip_symbol) * np.arange(self.count + 1, dtype=np.float32)

    def run(self) -> Path | None:
        """Forward over all blocks, keeping the state before each; then backward."""
        starts = range(0, self.frames, BLOCK)
        kept = [self._first_state()]
        for start in starts[:-1]:
            kept.append(self._moved(self._forward(kept[-1], start, None)))
        tracer: _Tracer | None = None
        for start, before in zip(reversed(starts), reversed(kept), strict=True):
            decisions: list[_Decisions] = []
            state = self._forward(before, start, decisions)
            if tracer is None:
                tracer = self._end(state)
                if tracer is None:
                    return None
            for frame in range(len(decisions) - 1, -1, -1):
                tracer.step(start + frame, decisions[frame])
        return tracer.path(self.count) if tracer else None

    def _first_state(self) -> _State:
        """Before the first frame: before the first symbol."""
        symbols, blanks, garbage = (np.full(self.width + n, IMPOSSIBLE, dtype=np.float32) for n in (0, 1, 1))
        blanks[0] = 0.0
        return _State(0, 0.0, symbols, blanks, garbage)

    def _moved(self, state: _State) -> _State:
        """The state with its window moved so that the best position is in the middle, and its best score subtracted."""
        best = np.maximum(np.maximum(state.blanks[:-1], state.garbage[:-1]), state.symbols)
        place = int(np.argmax(best))
        low = max(state.low, min(state.low + place - self.width // 2, self.count - self.width))
        shift = low - state.low
        moved = []
        for values in (state.symbols, state.blanks, state.garbage):
            rest = values[shift:] - best[place]
            moved.append(np.concatenate([rest, np.full(shift, IMPOSSIBLE, dtype=np.float32)]))
        return _State(low, state.offset + float(best[place]), *moved)

    def _emissions(self, start: int) -> tuple[Scores, Scores, Scores]:
        """Of the block's frames: scores of symbols `[frames, vocabulary + 1]` (wildcard last), of blank and of garbage."""
        values = self.log_probs[start : start + BLOCK]
        blank, best = values[:, 0], values[:, 1:].max(axis=1)
        wildcard = np.log(np.maximum(-np.expm1(np.minimum(blank, 0.0)), 1e-10))[:, None]
        scores = np.concatenate([values, wildcard], axis=1).astype(np.float32)
        if not self.costs:
            return scores, blank, np.full(len(values), IMPOSSIBLE, dtype=np.float32)
        floor = np.float32(self.costs.floor)
        garbage = np.maximum(blank, best - np.float32(self.costs.garbage_symbol))
        return np.maximum(scores, floor), np.maximum(blank, floor), garbage

    def _forward(self, state: _State, start: int, decisions: list[_Decisions] | None) -> _State:
        """The state after the block of frames that begins at `start`; appends each frame's decisions."""
        emitted, blank, garbage = self._emissions(start)
        entry = np.float32(self.costs.garbage if self.costs else 0.0)
        window = slice(state.low, state.low + self.width)
        ids, repeat_cost = self.ids[window], self.repeat_cost[window]
        junction_cost = self.junction_cost[state.low : state.low + self.width + 1]
        for frame in range(len(emitted)):
            previous = _previous(state)
            skipped, offered = self._skip(state, previous)
            symbols = (
                state.symbols,
                state.blanks[:-1],
                state.garbage[:-1],
                previous[:-1] + repeat_cost,
            )
            blanks = (state.blanks, NEVER, state.garbage, previous, skipped)
            garbages = (state.garbage, state.blanks - entry, NEVER, previous - entry, skipped - entry)
            best = [_largest(options) for options in (symbols, blanks, garbages)]
            if decisions is not None:
                codes = (_origin(options, top) for options, top in zip((symbols, blanks, garbages), best, strict=True))
                done = (NEVER, state.blanks, state.garbage, previous)
                decisions.append(_Decisions(state.low, offered, _origin(done, _largest(done)), *codes))
            state = _State(
                state.low,
                state.offset,
                best[0] + emitted[frame, ids],
                best[1] + blank[frame],
                best[2] + garbage[frame] + junction_cost,
            )
        return state

    def _skip(self, state: _State, previous: Scores) -> tuple[Scores, Scores]:
        """Scores of arriving at each position by skipping words, and what each position offers as the origin of a skip."""
        if not self.costs:
            nothing = np.full(self.width + 1, IMPOSSIBLE, dtype=np.float32)
            return nothing, nothing
        window = slice(state.low, state.low + self.width + 1)
        costs, junction_cost = self.skip_cost[window], self.junction_cost[window]
        done = np.maximum(np.maximum(state.blanks, state.garbage), previous)
        offered = done + junction_cost + costs
        arriving = np.full(self.width + 1, IMPOSSIBLE, dtype=np.float32)
        best = np.maximum.accumulate(offered)[:-1]
        arriving[1:] = best - costs[1:] + junction_cost[1:] - np.float32(self.costs.skip)
        return arriving, offered

    def _end(self, state: _State) -> "_Tracer | None":
        """Where the best path ends; None if there is none."""
        if state.low + self.width < self.count:
            return None
        previous = _previous(state)
        skipped, offered = self._skip(state, previous)
        scores = {
            BLANK: state.blanks[-1],
            GARBAGE: state.garbage[-1],
            PREVIOUS: previous[-1],
            SKIP: skipped[-1],
        }
        origin = max(scores, key=lambda name: float(scores[name]))
        if scores[origin] < IMPOSSIBLE / 2:
            return None
        tracer = _Tracer(BLANK, self.count, state.offset + float(scores[origin]))
        done = (NEVER, state.blanks, state.garbage, previous)
        nothing = np.zeros(0, dtype=np.int8)
        last = _Decisions(state.low, offered, _origin(done, _largest(done)), nothing, nothing, nothing)
        tracer.go_to(origin, last)
        return tracer


class _Tracer:
    """Follows a path backwards: `place` is the state (BLANK, GARBAGE, or PREVIOUS for a symbol), `position` that of the state."""

    def __init__(self, place: int, position: int, score: float) -> None:
        self.place, self.position, self.score = place, position, score
        self.symbols: dict[int, tuple[int, int]] = {}
        self.garbage: list[tuple[int, int]] = []

    def step(self, frame: int, decisions: _Decisions) -> None:
        """Record where the path is in this frame, and go to where it was in the frame before."""
        index = self.position - decisions.low
        if self.place == PREVIOUS:
            end = self.symbols.get(self.position, (0, frame + 1))[1]
            self.symbols[self.position] = (frame, end)
            origin = int(decisions.symbols[index])
        elif self.place == GARBAGE:
            if self.garbage and self.garbage[-1][0] == frame + 1:
                self.garbage[-1] = (frame, self.garbage[-1][1])
            else:
                self.garbage.append((frame, frame + 1))
            origin = int(decisions.garbage[index])
        else:
            origin = int(decisions.blanks[index])
        if origin != STAY:
            self.go_to(origin, decisions)

    def go_to(self, origin: int, decisions: _Decisions) -> None:
        """Move to the origin of the path in the frame before."""
        if origin == SKIP:
            index = int(np.argmax(decisions.offered[: self.position - decisions.low]))
            self.position = decisions.low + index
            origin = int(decisions.done[index])
        self.place = origin
        if origin == PREVIOUS:
            self.position -= 1

    def path(self, count: int) -> Path:
        """The whole path, once the first frame is done."""
        return Path(tuple(self.symbols.get(i) for i in range(count)), tuple(reversed(self.garbage)), self.score)


def _previous(state: _State) -> Scores:
    """At each position, the score of being in the symbol before it."""
    return np.concatenate([np.array([IMPOSSIBLE]), state.symbols])


def _largest(options: Sequence[Scores]) -> Scores:
    possible = [option for option in options if option is not NEVER]
    best = possible[0]
    for option in possible[1:]:
        best = np.maximum(best, option)
    return best


def _origin(options: Sequence[Scores], best: Scores) -> Codes:
    """The number of the first option that is the best."""
    code = np.zeros(len(best), dtype=np.int8)
    for number in range(len(options) - 1, -1, -1):
        if options[number] is not NEVER:
            code[options[number] == best] = number
    return code
