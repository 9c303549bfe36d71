"""Confidence intervals by bootstrap, and the swapping test for paired differences.

Intervals are 95 % percentile intervals of 2,000 seeded resamples. Speakers are resampled if at least 10 of them have words, else
utterances: utterances of one speaker are not independent, but with few clusters a bootstrap over clusters is unreliable. If all
units have the same rate (no errors at all, for example), resampling shows no spread; `bootstrap_interval` then bounds how often
units of another kind can have been missed.

Sources: bootstrap: Bisani and Ney, ICASSP 2004. Few clusters: Cameron, Gelbach and Miller, Review of Economics and Statistics
90(3), 2008. Swapping test: Noreen, Computer-Intensive Methods for Testing Hypotheses, 1989. Bound for events that were
never observed: Clopper and Pearson, Biometrika 26, 1934.
"""

from collections.abc import Sequence

import numpy as np

from speechxfer.scoring.counts import Floats, Interval, ScoredUtterance, Unit

RESAMPLES = 2000
TAIL = 0.025  # probability outside each end of an interval
MIN_SPEAKERS = 10


def choose_unit(rows: Sequence[ScoredUtterance]) -> tuple[Unit, str]:
    """The unit that the bootstrap resamples, and the reason."""
    without_speaker = sum(not row.speaker for row in rows)
    if without_speaker == len(rows):
        return "utterances", "the speakers are not given"
    if without_speaker:
        return "utterances", f"{without_speaker:,} of {len(rows):,} utterances have no speaker"
    count = len({row.speaker for row in rows if row.words.total})
    if count < MIN_SPEAKERS:
        return "utterances", (
            f"with fewer than {MIN_SPEAKERS} speakers (here {count}) a bootstrap over speakers is unreliable "
            "(Cameron, Gelbach and Miller 2008); other speakers may differ more than the interval says"
        )
    return "speakers", f"utterances of one speaker are not independent (there are {count:,} speakers)"


def unit_table(rows: Sequence[ScoredUtterance], unit: Unit) -> Floats:
    """Counts per unit, ``[units, 6]``: errors and length in words, in characters, in base letters; whole numbers."""
    sums: dict[str, list[int]] = {}
    for row in rows:
        counts = [n for part in (row.words, row.characters, row.base_letters) for n in (part.errors, part.total)]
        key = row.speaker if unit == "speakers" else row.id
        sums[key] = [x + y for x, y in zip(sums.get(key, [0] * 6), counts, strict=True)]
    return np.array([sums[key] for key in sorted(sums)], dtype=np.float64)


def resampled_sums(table: Floats, rng: np.random.Generator) -> Floats:
    """Column sums of ``[units, columns]`` over units sampled with replacement: ``[resamples, columns]``, exact."""
    units = len(table)
    step = max(1, 2_000_000 // units)  # resamples at a time, to bound memory
    parts = []
    for start in range(0, RESAMPLES, step):
        count = min(step, RESAMPLES - start)
        sampled = rng.integers(0, units, size=(count, units)) + units * np.arange(count)[:, None]
        times = np.bincount(sampled.ravel(), minlength=count * units).reshape(count, units)
        parts.append(times.astype(np.float64) @ table)
    return np.vstack(parts)


def units_with_words(sums: Floats, column: int) -> Floats:
    """Resamples whose references are not all empty (lengths in `column`); others have no rate."""
    return sums[sums[:, column] > 0]


def choose_intervals(rows: Sequence[ScoredUtterance], seed: int) -> tuple[Interval, Interval, Interval, Unit, str, int]:
    """95 % intervals of WER, CER and base-letter CER, as fractions; what they resample, why, and with which seed."""
    unit, reason = choose_unit(rows)
    table = unit_table(rows, unit)
    sums = resampled_sums(table, np.random.default_rng(seed))
    wer, cer, base = (_rate_interval(table[:, start : start + 2], sums[:, start : start + 2]) for start in (0, 2, 4))
    return wer, cer, base, unit, reason, seed


def _rate_interval(counts: Floats, sums: Floats) -> Interval:
    """Interval of errors by length from ``[units, 2]`` counts and their ``[resamples, 2]`` sums."""
    sums = units_with_words(sums, column=1)
    errors, length = counts.sum(axis=0)
    if not length:
        return 0.0, 0.0  # a text of marks alone has no base letters
    rate = float(errors / length)
    return bootstrap_interval(sums[:, 0] / sums[:, 1], rate, len(counts), (0.0, max(1.0, rate)))


def bootstrap_interval(values: Floats, estimate: float, units: int, extremes: Interval) -> Interval:
    """95 % percentile interval of resampled `values`.

    If all values are equal, all units were alike. Units of another kind, at the `extremes`, may still make up a share of
    ``1 - 0.025 ** (1 / units)``: a sample of `units` misses any smaller share with a probability above 2.5 %.
    """
    if np.ptp(values) > 0:
        low, high = np.quantile(values, (TAIL, 1 - TAIL))
        return float(low), float(high)
    seen = TAIL ** (1 / units)
    return seen * estimate + (1 - seen) * extremes[0], seen * estimate + (1 - seen) * extremes[1]


def swapping_test(differences: Floats, rng: np.random.Generator) -> float:
    """Two-sided p value of the sum of ``[units]`` differences under random signs."""
    step = max(1, 2_000_000 // len(differences))
    as_large = 0
    for start in range(0, RESAMPLES, step):
        signs = 1.0 - 2.0 * rng.integers(0, 2, size=(min(step, RESAMPLES - start), len(differences)))
        as_large += int(np.count_nonzero(np.abs(signs @ differences) >= abs(differences.sum())))
    return (1 + as_large) / (1 + RESAMPLES)
