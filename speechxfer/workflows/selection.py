"""Which utterances to transcribe next: the least certain sequences of symbols of every group of the speech.

Three rules:

- Groups keep their shares. The next utterance comes from the group that has the smallest share of its own speech transcribed.
  Without this rule the choice goes to the speaker whom the model understands least, and the error rate of the others stays.
- Within a group it is the utterance that gains most per second. The gain is that of a function of coverage with diminishing
  returns: the sum over sequences of one to three symbols of the square root of their number in all that is transcribed or
  chosen, times the weight of the sequence. So what is frequent is needed, and less so each time (Wei et al., 'Unsupervised
  submodular subset selection for speech data', ICASSP 2014).
- The weight of a sequence is the mean probability that its symbols are wrong, by the model's own posteriors, over all its
  occurrences. An utterance that is uncertain because it is noisy gains nothing by that.

The symbols are those of the model's draft, so the rules need no transcript. Sequences in fewer than `LEAST_UTTERANCES` drafts
count nothing: they are mostly noise. Groups are speakers, or clusters of mean encoder outputs. ``recipes/active_learning`` has
figures.
"""

import heapq
import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from speechxfer.data import Samples, Utterance
from speechxfer.workflows.embeddings import cluster, principal_components

LONGEST_SEQUENCE = 3
LEAST_UTTERANCES = 3
CLUSTERS = 8
SHOWN_SEQUENCES = 3

Symbols = tuple[int, ...]  # of at most `LONGEST_SEQUENCE` symbols


@dataclass(frozen=True)
class Draft:
    """What a model makes of an utterance.

    Attributes:
        utterance: its `text` is the draft.
        symbols: of the most probable path.
        doubts: for each symbol 1 minus its probability.
        vector: mean output of the encoder, `[dim]`.
    """

    utterance: Utterance
    symbols: tuple[int, ...]
    doubts: tuple[float, ...]
    vector: Samples

    @property
    def uncertainty(self) -> float:
        """The expected share of wrong symbols, in [0, 1], whatever the length; 1 of an empty draft."""
        return sum(self.doubts) / len(self.doubts) if self.doubts else 1.0

    def sequences(self) -> Iterator[tuple[Symbols, float]]:
        """Each occurrence of a sequence of symbols, with the mean of their doubts."""
        for length in range(1, LONGEST_SEQUENCE + 1):
            for start in range(len(self.symbols) - length + 1):
                yield self.symbols[start : start + length], sum(self.doubts[start : start + length]) / length


@dataclass(frozen=True)
class Choice:
    """A chosen utterance.

    Attributes:
        draft: of the utterance.
        group: its speaker or cluster.
        sequences: those that contribute most to its gain.
    """

    draft: Draft
    group: str
    sequences: tuple[Symbols, ...]


def group_drafts(pool: Sequence[Draft], transcribed: Sequence[Draft]) -> list[str]:
    """The group of each draft, those of the pool first: its speaker, if all of the pool have one and there are several."""
    everything = [*pool, *transcribed]
    speakers = [draft.utterance.speaker for draft in everything]
    if all(speakers[: len(pool)]) and len(set(speakers[: len(pool)])) > 1:
        return [f"speaker {name}" for name in speakers]
    count = min(CLUSTERS, len(everything) // 4)
    if count < 2:
        return ["all"] * len(everything)
    clusters = cluster(principal_components(np.stack([draft.vector for draft in everything])), count)
    return [f"cluster {number + 1}" for number in clusters.tolist()]


def choose(pool: Sequence[Draft], transcribed: Sequence[Draft], groups: Sequence[str], budget_s: float) -> list[Choice]:
    """The utterances to transcribe, in their order; any first part of them keeps the groups' shares, too.

    Args:
        pool: what can be chosen.
        transcribed: what has been transcribed, as the model drafts it.
        groups: of both, as `group_drafts` returns them.
        budget_s: seconds of audio; an utterance that does not fit is not chosen.
    """
    coverage = _Coverage([*pool, *transcribed])
    total_s: defaultdict[str, float] = defaultdict(float)
    done_s: defaultdict[str, float] = defaultdict(float)
    queues: defaultdict[str, list[tuple[float, int]]] = defaultdict(list)
    for index, group in enumerate(groups):
        draft = pool[index] if index < len(pool) else transcribed[index - len(pool)]
        total_s[group] += draft.utterance.duration
        if index >= len(pool):
            done_s[group] += draft.utterance.duration
            coverage.add(index)
    for index in range(len(pool)):
        queues[groups[index]].append((-coverage.gain_per_s(index), index))
    for queue in queues.values():
        heapq.heapify(queue)
    chosen = []
    while queues:
        group = min(queues, key=lambda name: (done_s[name] / total_s[name], name))
        best = _pop_best(queues[group], coverage, budget_s)
        if best is None:
            del queues[group]
            continue
        chosen.append(Choice(pool[best], group, tuple(coverage.main_sequences(best))))
        coverage.add(best)
        done_s[group] += pool[best].utterance.duration
        budget_s -= pool[best].utterance.duration
    return chosen


def _pop_best(queue: list[tuple[float, int]], coverage: "_Coverage", limit_s: float) -> int | None:
    """The index with the largest gain of those that fit. Gains only shrink, so that the first that keeps its place is best."""
    while queue:
        _, index = heapq.heappop(queue)
        if coverage.durations_s[index] > limit_s:
            continue
        now = (-coverage.gain_per_s(index), index)
        if not queue or now <= queue[0]:
            return index
        heapq.heappush(queue, now)
    return None


class _Coverage:
    """How often the added utterances have each sequence."""

    def __init__(self, drafts: Sequence[Draft]) -> None:
        doubts: defaultdict[Symbols, float] = defaultdict(float)
        counts = []
        for draft in drafts:
            counts.append(Counter[Symbols]())
            for sequence, doubt in draft.sequences():
                doubts[sequence] += doubt
                counts[-1][sequence] += 1
        drafts_with = Counter(sequence for one in counts for sequence in one)
        total = Counter[Symbols]()
        for one in counts:
            total.update(one)
        self._weights = {
            sequence: doubts[sequence] / total[sequence]
            for sequence, number in drafts_with.items()
            if number >= LEAST_UTTERANCES
        }
        self._counts = counts
        self._covered = Counter[Symbols]()
        self.durations_s = [draft.utterance.duration for draft in drafts]

    def add(self, index: int) -> None:
        """Count an utterance as transcribed."""
        self._covered.update(self._counts[index])

    def gain_per_s(self, index: int) -> float:
        """What transcribing an utterance would gain per second of it."""
        return math.fsum(gain for gain, _ in self._gains(index)) / self.durations_s[index]

    def main_sequences(self, index: int) -> list[Symbols]:
        """The sequences of several symbols that contribute most."""
        gains = sorted(((-gain, one) for gain, one in self._gains(index) if len(one) > 1))
        return [sequence for _, sequence in gains[:SHOWN_SEQUENCES]]

    def _gains(self, index: int) -> Iterator[tuple[float, Symbols]]:
        for sequence, number in self._counts[index].items():
            if sequence in self._weights:
                covered = self._covered[sequence]
                yield self._weights[sequence] * (math.sqrt(covered + number) - math.sqrt(covered)), sequence
