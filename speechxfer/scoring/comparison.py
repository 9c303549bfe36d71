"""Paired tests of two systems on the same utterances.

Sources: Bisani and Ney, ICASSP 2004 (paired bootstrap, probability of improvement); Noreen 1989 (swapping test).
"""

from dataclasses import dataclass

import numpy as np

from speechxfer.errors import InputError, first_names
from speechxfer.scoring.bootstrap import bootstrap_interval, resampled_sums, swapping_test, unit_table, units_with_words
from speechxfer.scoring.counts import Floats, Interval, Unit
from speechxfer.scoring.report import WerReport

SIGNIFICANT = 0.05


@dataclass(frozen=True)
class Difference:
    """A's rate minus B's, as a fraction (below 0: A is better), with its interval and tests.

    Attributes:
        a: A's rate.
        b: B's rate.
        difference: ``a - b``.
        interval: its 95 % interval by paired bootstrap.
        probability_a_better: share of resamples in which A has fewer errors; ties count half (Bisani and Ney 2004).
        p_value: two-sided, by swapping A and B at random unit by unit (Noreen 1989): the probability of a difference this
            large if both systems were equally good. Unlike a bootstrap's, it is valid with very few units.
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
    """Two systems on the same utterances; ``str`` says which is better, or that the difference is not significant."""

    wer: Difference
    cer: Difference
    resampling: Unit
    units: int
    names: tuple[str, str] = ("A", "B")

    def __str__(self) -> str:
        return "\n".join(
            [
                f"{self._verdict(self.wer)}: {_format_difference(self.wer, 'WER', self.names)}",
                f"{self._verdict(self.cer)}: {_format_difference(self.cer, 'CER', self.names)}",
                f"(difference: {' minus '.join(self.names)}, in percentage points; "
                f"paired resampling of {self.units:,} {self.resampling})",
            ]
        )

    def _verdict(self, difference: Difference) -> str:
        if not difference.significant:
            return "no significant difference"
        better, worse = self.names if difference.difference < 0 else self.names[::-1]
        return f"{better} better than {worse}"


def compare(a: WerReport, b: WerReport, *, names: tuple[str, str] = ("A", "B")) -> Comparison:
    """Test whether two systems differ on the same utterances; see `Difference` for the test.

    Raises:
        InputError: the reports are not of the same utterances, references, speakers and normaliser.

    >>> import speechxfer as sx
    >>> references = {f"u{i}": "yes" for i in range(20)}
    >>> perfect = sx.score(references, references)
    >>> poor = sx.score(references, dict.fromkeys(references, "no"))
    >>> print(sx.compare(perfect, poor, names=("new", "old")))  # doctest: +ELLIPSIS
    new better than old: WER 0.0 % against 100.0 %, difference -100.0 [...], p = 0.0005, ...
    """
    check_same_task(a, b)
    of_a, of_b = (unit_table(report.utterances, a.resampling) for report in (a, b))  # [units, 6]
    wer, cer = (_paired_difference(of_a[:, column], of_b[:, column], of_a[:, column + 1], a.seed) for column in (0, 2))
    return Comparison(wer, cer, a.resampling, len(of_a), names)


def check_same_task(a: WerReport, b: WerReport) -> None:
    """Refuse two reports that differ in anything but the hypotheses.

    Raises:
        InputError: other utterances, normalisers, references, speakers or units of counting.
    """
    only_a, only_b = ({row.id for row in x.utterances} - {row.id for row in y.utterances} for x, y in ((a, b), (b, a)))
    if only_a or only_b:
        raise InputError(
            "compare: the reports are of different utterances; "
            f"only in the first: {first_names(sorted(only_a)) or 'none'}; "
            f"only in the second: {first_names(sorted(only_b)) or 'none'}; "
            "expected the same; score both against the same manifest"
        )
    if a.normalizer != b.normalizer:
        raise InputError(
            f"compare: the reports were normalised differently ({a.normalizer} and {b.normalizer}); "
            "expected one normaliser; score both with the same"
        )
    for name in ("reference", "speaker"):
        differing = [
            x.id for x, y in zip(a.utterances, b.utterances, strict=True) if getattr(x, name) != getattr(y, name)
        ]
        if differing:
            raise InputError(
                f"compare: {len(differing)} utterances have another {name} in the second report: {first_names(differing)}; "
                "expected the same; score both against the same manifest"
            )
    lengths = [[(row.words.total, row.characters.total) for row in report.utterances] for report in (a, b)]
    if lengths[0] != lengths[1]:
        raise InputError(
            "compare: the reports count the same references differently (one of phones, one of letters); score both with models "
            "of one kind of vocabulary"
        )


def _paired_difference(errors_a: Floats, errors_b: Floats, lengths: Floats, seed: int) -> Difference:
    """Compare ``[units]`` errors of two systems whose references have ``[units]`` lengths."""
    rng = np.random.default_rng(seed)
    differences, length = errors_a - errors_b, lengths.sum()
    sums = units_with_words(resampled_sums(np.column_stack([differences, lengths]), rng), column=1)
    better = float(np.mean(sums[:, 0] < 0) + np.mean(sums[:, 0] == 0) / 2)
    a, b = float(errors_a.sum() / length), float(errors_b.sum() / length)
    difference = float(differences.sum() / length)
    interval = bootstrap_interval(sums[:, 0] / sums[:, 1], difference, len(differences), (-1.0, 1.0))
    return Difference(a, b, difference, interval, better, swapping_test(differences, rng))


def _format_difference(difference: Difference, name: str, systems: tuple[str, str]) -> str:
    low, high = (100 * bound for bound in difference.interval)
    probability = difference.probability_a_better
    better = systems[0] if probability >= 0.5 else systems[1]
    return (
        f"{name} {100 * difference.a:.1f} % against {100 * difference.b:.1f} %, "
        f"difference {100 * difference.difference:+.1f} [{low:+.1f}, {high:+.1f}], p = {difference.p_value:.4f}, "
        f"probability that {better} is better {max(probability, 1 - probability):.3f}"
    )
