"""Boundaries on frames of 10 ms: a classifier of frames, trained in seconds on the very speech that is aligned.

CTC emits a symbol somewhere within it, often late, on frames of 40 ms or more. Its alignment shows well enough which frames are
those of which unit to estimate from them a Gaussian for each of three states per unit, and one for silence, with one covariance
for all (a linear discriminant), on cepstra with their first and second differences. A Viterbi search then moves the boundaries,
and both steps are repeated: a hidden Markov model trained by Viterbi re-estimation, as in the aligners of HTK and Kaldi, without
their pronunciation dictionary. Nothing but texts and speech is used.

Sources: Young et al., The HTK Book, 2009 (Viterbi re-estimation); Davis and Mermelstein, 1980 (cepstra); Furui, 1986
(differences).
"""

import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from speechxfer.data import Samples
from speechxfer.runtime import track

FRAME_S = 0.01
FIRST_BOUNDARY_S = 0.0075  # between two windows of 25 ms: half a window less half a step
CEPSTRA = 20
DIFFERENCE_FRAMES = 2  # on each side
STATES = 3  # of a unit, so a unit lasts at least 30 ms
SILENCE_STATES = 4  # a pause lasts at least 40 ms
SILENCE = ""  # name of its class
BLOCK_STATES = SILENCE_STATES + STATES
SILENCE_COST = 20.0
MAX_CELLS = 4_000_000  # states times frames of pieces that are searched together
REACH_S = 0.5  # how far from its CTC times a unit may be
PIECES_AT_ONCE = 64  # whose scores are in memory
PRIOR_FRAMES = 10.0  # how many frames the mean that a state's mean is drawn towards weighs
RARE = 20  # a letter with marks that occurs less often shares the class of its base letter
ITERATIONS = 10
SETTLED = 0.003  # share of frames whose state changed, below which training ends
MAX_TRAINING_S = 900.0
NEVER = -1e30

Values = NDArray[np.float32]
Times = list[tuple[float, float]]


@dataclass(frozen=True)
class Piece:
    """A part of an utterance without untranscribed speech.

    Attributes:
        utterance: its number.
        start_s, duration_s: from the start of the utterance.
        units: texts of its units.
        pauses: whether there may be a pause before each unit.
        times: start and end of each unit from the start of the piece, by CTC.
    """

    utterance: int
    start_s: float
    duration_s: float
    units: tuple[str, ...]
    pauses: tuple[bool, ...]
    times: tuple[tuple[float, float], ...]


Load = Callable[[Piece], Samples]  # features `[frames, mels]` of a piece


@dataclass(frozen=True)
class FrameClassifier:
    """Scores of the states of all classes for frames.

    Attributes:
        classes: number of each class by its name; its states are rows `STATES * number` and the next ones.
        whitening: `[dim, dim]`; frames times it have unit covariance within a state.
        means: `[states, dim]` of whitened frames.
    """

    classes: dict[str, int]
    whitening: Values
    means: Values

    def states_of(self, unit: str) -> range:
        """Rows of a unit's states; those of its base letter, or of no class (the last rows), if it has none of its own."""
        known = (name for name in (unit, base_letter(unit)) if name in self.classes)
        first = STATES * self.classes.get(next(known, ""), 0)
        return range(first, first + STATES)

    def score(self, frames: Values) -> Values:
        """Log-likelihoods `[frames, states]`, less what is the same for all states."""
        whitened = frames @ self.whitening
        scores: Values = whitened @ self.means.T - 0.5 * np.square(self.means).sum(axis=1)
        return scores


def base_letter(unit: str) -> str:
    """A letter without its marks; a unit of several letters stays as it is."""
    bases = [character for character in unicodedata.normalize("NFD", unit) if unicodedata.category(character)[0] != "M"]
    return "".join(bases) or unit


def cepstra(features: Samples) -> Values:
    """Log-mel features `[frames, mels]` to `[frames, 3 * CEPSTRA]`: cepstra, their differences, and the differences of these."""
    mels = features.shape[1]
    cosines = np.cos(np.pi / mels * (np.arange(mels)[:, None] + 0.5) * np.arange(CEPSTRA)) * np.sqrt(2 / mels)
    values = features @ cosines
    first = _differences(values)
    return np.concatenate([values, first, _differences(first)], axis=1).astype(np.float32)


def _differences(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Slope of a line through the neighbours of each frame."""
    reach = DIFFERENCE_FRAMES
    padded = np.pad(values, ((reach, reach), (0, 0)), mode="edge")
    size = len(values)
    steps = range(1, reach + 1)
    total = sum(step * (padded[reach + step :][:size] - padded[reach - step :][:size]) for step in steps)
    slopes: NDArray[np.float64] = np.asarray(total) / (2 * sum(step * step for step in steps))
    return slopes


# ---------------------------------------------------------------------------------------------------------- training
def train_classifier(pieces: Sequence[Piece], load: Load) -> FrameClassifier:
    """Train on at most `MAX_TRAINING_S` of the pieces, evenly distributed over them."""
    seconds = sum(piece.duration_s for piece in pieces)
    step = max(1.0, seconds / MAX_TRAINING_S)
    chosen = [pieces[int(number * step)] for number in range(int(len(pieces) / step) or 1)]
    frames = [cepstra(load(piece)) for piece in track(chosen, "reading speech to place boundaries")]
    counts = Counter(unit for piece in chosen for unit in piece.units)
    names = {base_letter(unit) if count < RARE else unit for unit, count in counts.items()}
    classes = {name: number for number, name in enumerate([SILENCE, *sorted(names)])}
    states = [initial_states(piece, len(values), classes) for piece, values in zip(chosen, frames, strict=True)]
    stacked = np.concatenate(frames)
    classifier = estimate(stacked, np.concatenate(states), classes)
    for _ in track(range(ITERATIONS), "training the frame classifier"):
        moved = 0
        for number, path in enumerate(_find_all(chosen, frames, classifier)):
            if path is not None:
                rows = path.rows[path.indices]
                moved += int((rows != states[number]).sum())
                states[number] = rows
        classifier = estimate(stacked, np.concatenate(states), classes)
        if moved < SETTLED * len(stacked):
            break
    return classifier


def initial_states(piece: Piece, frames: int, classes: dict[str, int]) -> NDArray[np.int64]:
    """The state of each frame by the times of CTC: a unit's states have equal shares of its time; silence elsewhere."""
    states = np.full(frames, STATES * classes[SILENCE])
    for unit, (start_s, end_s) in zip(piece.units, piece.times, strict=True):
        start, end = (min(max(0, round((time_s - FIRST_BOUNDARY_S) / FRAME_S)), frames) for time_s in (start_s, end_s))
        name = unit if unit in classes else base_letter(unit)
        states[start:end] = STATES * classes[name] + np.arange(end - start) * STATES // max(1, end - start)
    return states


def estimate(frames: Values, states: NDArray[np.int64], classes: dict[str, int]) -> FrameClassifier:
    """Means of all states, each drawn towards that of its class, and this towards that of all; one covariance of all."""
    rows, dim = STATES * len(classes), frames.shape[1]
    counts = np.bincount(states, minlength=rows).astype(np.float64)
    sums = np.zeros((rows, dim))
    order = np.argsort(states, kind="stable")
    present, firsts = np.unique(states[order], return_index=True)
    sums[present] = np.add.reduceat(frames[order].astype(np.float64), firsts, axis=0)
    overall = sums.sum(axis=0) / counts.sum()
    class_counts = counts.reshape(-1, STATES).sum(axis=1)
    class_sums = sums.reshape(-1, STATES, dim).sum(axis=1)
    class_means = (class_sums + PRIOR_FRAMES * overall) / (class_counts + PRIOR_FRAMES)[:, None]
    means = (sums + PRIOR_FRAMES * class_means.repeat(STATES, axis=0)) / (counts + PRIOR_FRAMES)[:, None]
    rest = frames - means[states]
    covariance = rest.T @ rest / len(frames)
    covariance += np.eye(dim) * (1e-3 * np.trace(covariance) / dim + 1e-9)
    whitening = np.linalg.inv(np.linalg.cholesky(covariance)).T
    return FrameClassifier(classes, whitening.astype(np.float32), (means @ whitening).astype(np.float32))


# ------------------------------------------------------------------------------------------------------------ search
@dataclass(frozen=True)
class StatePath:
    """The best sequence of states of a piece: for each frame an index of `rows`, the classifier's rows of the piece's states."""

    rows: NDArray[np.int64]
    indices: NDArray[np.int64]


def place_boundaries(pieces: Sequence[Piece], load: Load, classifier: FrameClassifier) -> Iterator[Times | None]:
    """Start and end of each unit of each piece, from the start of the piece; None if a piece has too few frames for its units."""
    paths = _find_all(pieces, (cepstra(load(piece)) for piece in pieces), classifier)
    yield from (_times(piece, path) if path else None for piece, path in zip(pieces, paths, strict=True))


def _find_all(
    pieces: Sequence[Piece], frames: Iterable[Values], classifier: FrameClassifier
) -> Iterator[StatePath | None]:
    """The paths of all pieces; the scores of a few of them are in memory."""
    rest = iter(frames)
    for start in range(0, len(pieces), PIECES_AT_ONCE):
        some = pieces[start : start + PIECES_AT_ONCE]
        yield from find_states(some, [classifier.score(next(rest)) for _ in some], classifier)


def _times(piece: Piece, path: StatePath) -> Times:
    unit = np.where(path.indices % BLOCK_STATES >= SILENCE_STATES, path.indices // BLOCK_STATES, -1)
    times = []
    for number in range(len(piece.units)):
        own = np.flatnonzero(unit == number)
        start_s, end_s = (FIRST_BOUNDARY_S + FRAME_S * frame for frame in (own[0], own[-1] + 1))
        times.append((float(start_s) if own[0] else 0.0, min(float(end_s), piece.duration_s)))
    return times


def find_states(
    pieces: Sequence[Piece], scores: Sequence[Values], classifier: FrameClassifier
) -> list[StatePath | None]:
    """Viterbi search for the states of pieces; pieces of similar length are searched together.

    Before each unit, and at the end, there may be a pause of at least `SILENCE_STATES` frames.

    Args:
        scores: for each piece `[frames, states]` of the classifier.

    Returns:
        None for a piece with fewer frames than states.
    """
    paths: list[StatePath | None] = [None] * len(pieces)
    possible = [i for i, piece in enumerate(pieces) if len(scores[i]) >= max(1, STATES * len(piece.units))]
    group: list[int] = []
    for index in sorted(possible, key=lambda i: len(scores[i])):
        units = max(len(pieces[i].units) for i in [*group, index])
        if group and (len(group) + 1) * len(scores[index]) * units * BLOCK_STATES > MAX_CELLS:
            _search(group, pieces, scores, classifier, paths)
            group = []
        group.append(index)
    if group:
        _search(group, pieces, scores, classifier, paths)
    return paths


def _search(
    group: Sequence[int],
    pieces: Sequence[Piece],
    scores: Sequence[Values],
    classifier: FrameClassifier,
    paths: list[StatePath | None],
) -> None:
    """Search some pieces together, and enter their paths. The states: for each unit a pause, then its own; a pause at the end."""
    rows = [_rows_of(pieces[index], classifier) for index in group]
    lengths = [len(scores[index]) for index in group]
    width, frames = max(map(len, rows)), max(lengths)
    emitted = np.full((frames, len(group), width), NEVER, dtype=np.float32)
    entry = np.full((len(group), width), NEVER, dtype=np.float32)  # of moving on from the state before
    for number, index in enumerate(group):
        emitted[: lengths[number], number, : len(rows[number])] = scores[index][:, rows[number]]
        for place, (start_s, end_s) in enumerate(pieces[index].times):
            own = slice(place * BLOCK_STATES + SILENCE_STATES, (place + 1) * BLOCK_STATES)
            emitted[: max(0, round((start_s - REACH_S) / FRAME_S)), number, own] = NEVER
            emitted[max(0, round((end_s + REACH_S) / FRAME_S)) :, number, own] = NEVER
        entry[number, : len(rows[number])] = 0.0
        pauses = [*pieces[index].pauses, True]
        entry[number, : len(rows[number]) : BLOCK_STATES] = np.where(pauses, -SILENCE_COST, NEVER)
    column = np.arange(width) % BLOCK_STATES
    stay = np.where(column >= SILENCE_STATES - 1, np.float32(0.0), np.float32(NEVER))
    best = np.full((len(group), width), NEVER, dtype=np.float32)
    best[:, [0, SILENCE_STATES]] = emitted[0][:, [0, SILENCE_STATES]]
    origins = np.zeros(emitted.shape, dtype=np.int8)
    ends = {length: best for length in lengths if length == 1}
    for frame in range(1, frames):
        moved = np.full_like(best, NEVER)
        moved[:, 1:] = best[:, :-1] + entry[:, 1:]
        jumped = best[:, BLOCK_STATES - 1 : -SILENCE_STATES : BLOCK_STATES]  # from a unit to the next, without a pause
        stayed = best + stay
        origins[frame] = moved > stayed
        best = np.maximum(stayed, moved)
        target = best[:, BLOCK_STATES + SILENCE_STATES :: BLOCK_STATES]
        jumped = jumped[:, : target.shape[1]]
        origins[frame][:, BLOCK_STATES + SILENCE_STATES :: BLOCK_STATES][jumped > target] = 2
        best[:, BLOCK_STATES + SILENCE_STATES :: BLOCK_STATES] = np.maximum(target, jumped)
        best += emitted[frame]
        if frame + 1 in lengths:
            ends[frame + 1] = best
    for number, index in enumerate(group):
        length = lengths[number]
        paths[index] = _trace(rows[number], ends[length][number], origins[:length, number])


def _rows_of(piece: Piece, classifier: FrameClassifier) -> NDArray[np.int64]:
    """The classifier's row of each state of a piece."""
    silence = STATES * classifier.classes[SILENCE]
    rows = np.full(len(piece.units) * BLOCK_STATES + SILENCE_STATES, silence)
    for number, unit in enumerate(piece.units):
        rows[number * BLOCK_STATES + SILENCE_STATES : (number + 1) * BLOCK_STATES] = classifier.states_of(unit)
    return rows


def _trace(rows: NDArray[np.int64], best: Values, origins: NDArray[np.int8]) -> StatePath | None:
    """The best path backwards: it ends in the last pause or the last state of the last unit."""
    last = len(rows) - 1
    index = last if best[last] > best[last - SILENCE_STATES] else last - SILENCE_STATES
    if best[index] < NEVER / 2:
        return None
    steps = (0, 1, SILENCE_STATES + 1)
    indices = np.empty(len(origins), dtype=np.int64)
    for frame in range(len(origins) - 1, -1, -1):
        indices[frame] = index
        index -= steps[origins[frame, index]]
    return StatePath(rows, indices)
