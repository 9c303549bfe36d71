"""Several reports in one: of different utterances (`join`), or of several seeds on the same utterances (`pool`)."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from speechxfer.errors import InputError
from speechxfer.scoring.alignment import most_frequent, sum_confusions
from speechxfer.scoring.bootstrap import (
    bootstrap_interval,
    choose_intervals,
    resampled_sums,
    unit_table,
    units_with_words,
)
from speechxfer.scoring.comparison import check_same_task
from speechxfer.scoring.counts import Interval, Unit, format_rate
from speechxfer.scoring.report import WerReport


@dataclass(frozen=True)
class PooledScore:
    """Several seeds' scores on the same utterances: means of their rates, as fractions, with 95 % intervals.

    The bootstrap resamples utterances (or speakers) for all seeds together, and the seeds too. With n seeds, resampling seeds
    shows (n - 1) / n of the variance between them, so with very few seeds the interval is somewhat too narrow.
    """

    wer: float
    wer_interval: Interval
    cer: float
    cer_interval: Interval
    wers: tuple[float, ...]
    cers: tuple[float, ...]
    resampling: Unit
    words: int
    utterances: int

    def __str__(self) -> str:
        each = ", ".join(f"{100 * wer:.1f}" for wer in self.wers)
        return (
            f"WER {format_rate(self.wer, self.wer_interval)}, CER {format_rate(self.cer, self.cer_interval)} "
            f"(mean of {len(self.wers)} seeds, WER {each}; {self.words:,} words, {self.utterances:,} utterances; "
            f"bootstrap over {self.resampling} and seeds)"
        )


def join(reports: Sequence[WerReport]) -> WerReport:
    """One report of the utterances of several reports that share none; counts are kept, intervals computed over all.

    Raises:
        InputError: no report, an utterance is in two of them, or they were normalised differently.
    """
    rows = tuple(sorted((row for report in reports for row in report.utterances), key=lambda row: row.id))
    duplicates = [row.id for row, other in pairwise(rows) if row.id == other.id]
    if not rows or duplicates or len({report.normalizer for report in reports}) > 1:
        raise InputError(
            f"join: {len(reports)} reports, {len(duplicates)} utterances in two of them; expected reports on different "
            "utterances under one normaliser"
        )
    unknown: Counter[str] = Counter()
    for report in reports:
        unknown.update(dict(report.unknown_symbols or ()))
    return WerReport(
        rows,
        reports[0].normalizer,
        *choose_intervals(rows, reports[0].seed),
        sum_confusions([report.word_confusions for report in reports]),
        sum_confusions([report.character_confusions for report in reports]),
        None if reports[0].unknown_symbols is None else most_frequent(unknown),
    )


def pool(reports: Sequence[WerReport]) -> PooledScore:
    """Average the reports of several seeds of one system on the same utterances.

    Raises:
        InputError: no report, or they are not of the same utterances, references, speakers and normaliser.
    """
    if not reports:
        raise InputError("pool: no report; expected one per seed")
    first = reports[0]
    for other in reports[1:]:
        check_same_task(first, other)
    count = len(reports)
    table = np.hstack(
        [unit_table(report.utterances, first.resampling)[:, [0, 2]] for report in reports]
        + [unit_table(first.utterances, first.resampling)[:, [1, 3]]]
    )  # [units, word errors and character errors of each seed, words, characters]
    rng = np.random.default_rng(first.seed)
    sums = units_with_words(resampled_sums(table, rng), column=-2)
    sampled_seeds = rng.integers(0, count, size=(len(sums), count))  # [resamples, seeds]

    def interval_of_mean(rates: Sequence[float], offset: int) -> Interval:
        resampled = sums[:, offset : 2 * count : 2] / sums[:, [-2 + offset]]  # [resamples, seeds]
        values = np.take_along_axis(resampled, sampled_seeds, axis=1).mean(axis=1)
        mean = sum(rates) / count
        return bootstrap_interval(values, mean, len(table), (0.0, max(1.0, mean)))

    wers, cers = tuple(report.wer for report in reports), tuple(report.cer for report in reports)
    return PooledScore(
        wer=sum(wers) / count,
        wer_interval=interval_of_mean(wers, 0),
        cer=sum(cers) / count,
        cer_interval=interval_of_mean(cers, 1),
        wers=wers,
        cers=cers,
        resampling=first.resampling,
        words=first.words,
        utterances=len(first.utterances),
    )
