"""Paired tests of two systems on the same utterances."""

from dataclasses import dataclass

import numpy as np

from speechxfer.scoring.bootstrap import bootstrap_interval, resampled_sums, swapping_test, unit_table, units_with_words
from speechxfer.scoring.counts import Floats, Interval, Unit
from speechxfer.scoring.report import WerReport
from speechxfer.scoring.scorer import check_same_task

SIGNIFICANT = 0.05


@dataclass(frozen=True)
class Difference:
    """A's rate less B's, as a fraction (below 0: A is better), with what resampling says about it.

    Attributes:
        a: A's rate.
        b: B's rate.
        difference: ``a - b``.
        interval: its 95 % interval by paired bootstrap.
        probability_a_better: share of resamples in which A has fewer errors, ties by half (Bisani and Ney 2004).
        p_value: two-sided, by swapping A and B at random unit by unit (Noreen 1989): the chance of a difference this
            large if it did not matter which system is which. Unlike a bootstrap's, it stays honest with very few units.
    """

    a: float
    b: float
    difference: float
    interval: Interval
    probability_a_better: float
    p_value: float

    @property
    def significant(self) -> bool:
        """Whether `p_value` is below 0.05."""
        return self.p_value < SIGNIFICANT


@dataclass(frozen=True)
class Comparison:
    """Two systems on the same utterances; ``str`` says which is better, or that the data cannot show it."""

    wer: Difference
    cer: Difference
    resampling: Unit
    units: int
    names: tuple[str, str] = ("A", "B")

    def __str__(self) -> str:
        return "\n".join(
            [
                f"{self._verdict(self.wer)}: {difference_text(self.wer, 'WER', self.names)}",
                f"{self._verdict(self.cer)}: {difference_text(self.cer, 'CER', self.names)}",
                f"(difference: {' less '.join(self.names)}, in points; "
                f"{self.units:,} {self.resampling} resampled in pairs)",
            ]
        )

    def _verdict(self, difference: Difference) -> str:
        if not difference.significant:
            return "no difference that the data can show"
        better, worse = self.names if difference.difference < 0 else self.names[::-1]
        return f"{better} better than {worse}"


def compare(a: WerReport, b: WerReport, *, names: tuple[str, str] = ("A", "B")) -> Comparison:
    """Test whether two systems differ on the same utterances; see `Difference` for the test.

    Raises:
        InputError: the reports are not of the same utterances, references, speakers and normaliser.
    """
    check_same_task(a, b)
    of_a, of_b = (unit_table(report.utterances, a.resampling) for report in (a, b))  # [units, 6]
    wer, cer = (_paired_difference(of_a[:, column], of_b[:, column], of_a[:, column + 1], a.seed) for column in (0, 2))
    return Comparison(wer, cer, a.resampling, len(of_a), names)


def _paired_difference(errors_a: Floats, errors_b: Floats, lengths: Floats, seed: int) -> Difference:
    """Compare ``[units]`` errors of two systems whose references have ``[units]`` lengths."""
    rng = np.random.default_rng(seed)
    gaps, length = errors_a - errors_b, lengths.sum()
    sums = units_with_words(resampled_sums(np.column_stack([gaps, lengths]), rng), column=1)
    better = float(np.mean(sums[:, 0] < 0) + np.mean(sums[:, 0] == 0) / 2)
    a, b = float(errors_a.sum() / length), float(errors_b.sum() / length)
    difference = float(gaps.sum() / length)
    interval = bootstrap_interval(sums[:, 0] / sums[:, 1], difference, len(gaps), (-1.0, 1.0))
    return Difference(a, b, difference, interval, better, swapping_test(gaps, rng))


def difference_text(difference: Difference, name: str, systems: tuple[str, str]) -> str:
    low, high = (100 * bound for bound in difference.interval)
    probability = difference.probability_a_better
    better = systems[0] if probability >= 0.5 else systems[1]
    return (
        f"{name} {100 * difference.a:.1f} % against {100 * difference.b:.1f} %, "
        f"difference {100 * difference.difference:+.1f} [{low:+.1f}, {high:+.1f}], p = {difference.p_value:.4f}, "
        f"probability that {better} is better {max(probability, 1 - probability):.3f}"
    )
