"""Error counts and aligned utterances: the data that every score is made of."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

CONFUSIONS_KEPT = 50
Unit = Literal["speakers", "utterances"]
Interval: TypeAlias = tuple[float, float]
Pair: TypeAlias = tuple[str | None, str | None]  # an aligned (reference, hypothesis) unit; None: inserted or deleted
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
        """Errors by length of the reference; infinite where there are only insertions, 0 where there is nothing."""
        return self.errors / self.total if self.total else float("inf") if self.errors else 0.0

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            self.hits + other.hits,
            self.substitutions + other.substitutions,
            self.deletions + other.deletions,
            self.insertions + other.insertions,
        )


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
    """What one speaker's utterances add up to."""

    speaker: str
    utterances: int
    words: Counts
    characters: Counts


@dataclass(frozen=True)
class Confusions:
    """What was taken for what: (reference, hypothesis, count) or (unit, count), most frequent first, at most 50."""

    substitutions: tuple[tuple[str, str, int], ...] = ()
    deletions: tuple[tuple[str, int], ...] = ()
    insertions: tuple[tuple[str, int], ...] = ()
