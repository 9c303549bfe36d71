"""Error counts, scored utterances and confusions: the data of a score report; rates and counts as short texts."""

import operator
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

CONFUSIONS_KEPT = 50
Unit = Literal["speakers", "utterances"]
Interval: TypeAlias = tuple[float, float]
Pair: TypeAlias = tuple[str | None, str | None]  # aligned (reference, hypothesis); None: insertion or deletion
Floats: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True)
class Counts:
    """Errors of an alignment, in words or in characters."""

    hits: int = 0
    substitutions: int = 0
    deletions: int = 0
    insertions: int = 0

    @property
    def total(self) -> int:
        """Length of the reference."""
        return self.hits + self.substitutions + self.deletions

    @property
    def errors(self) -> int:
        """Substitutions, deletions and insertions."""
        return self.substitutions + self.deletions + self.insertions

    @property
    def rate(self) -> float:
        """Errors by length of the reference; infinite if there are only insertions, 0 if both sides are empty."""
        return self.errors / self.total if self.total else float("inf") if self.errors else 0.0

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(*map(operator.add, vars(self).values(), vars(other).values()))


@dataclass(frozen=True)
class ScoredUtterance:
    """One utterance's texts, as given and as scored, and its counts."""

    id: str
    speaker: str
    reference: str
    hypothesis: str
    normalized_reference: str
    normalized_hypothesis: str
    words: Counts
    characters: Counts
    base_letters: Counts


@dataclass(frozen=True)
class SpeakerScore:
    """Error counts summed over one speaker's utterances."""

    speaker: str
    utterances: int
    words: Counts
    characters: Counts


@dataclass(frozen=True)
class Confusions:
    """Substitutions as (reference, hypothesis, count), deletions and insertions as (unit, count); the 50 most frequent first."""

    substitutions: tuple[tuple[str, str, int], ...] = ()
    deletions: tuple[tuple[str, int], ...] = ()
    insertions: tuple[tuple[str, int], ...] = ()


def format_rate(rate: float, interval: Interval) -> str:
    """A rate with its 95 % interval in per cent: ``31.2 % [29.6, 32.9]``."""
    return f"{100 * rate:.1f} % [{100 * interval[0]:.1f}, {100 * interval[1]:.1f}]"


def format_counts(counts: Counts) -> str:
    """Errors by kind, and the length of the reference: ``3 sub, 1 del, 0 ins of 20``."""
    return f"{counts.substitutions:,} sub, {counts.deletions:,} del, {counts.insertions:,} ins of {counts.total:,}"
