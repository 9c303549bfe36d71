"""Confidence intervals by bootstrap (Bisani and Ney, ICASSP 2004; few clusters: Cameron, Gelbach and Miller 2008; Clopper and Pearson 1934) and the swapping test (Noreen 1989)."""

from collections.abc import Sequence

import numpy as np

from speechxfer.scoring.counts import Floats, Interval, ScoredUtterance, Unit

RESAMPLES = 2000
TAIL = 0.025  # left out at each end of an interval
FEWEST_SPEAKERS = 10


def choose_unit(rows: Sequence[ScoredUtterance]) -> tuple[Unit, str]:
    """What the bootstrap draws, and why."""
    nameless = sum(not row.speaker for row in rows)
    if nameless == len(rows):
        return "utterances", "the speakers are not given"
    if nameless:
        return "utterances", f"{nameless:,} of {len(rows):,} utterances have no speaker"
    count = len({row.speaker for row in rows if row.words.total})
    if count < FEWEST_SPEAKERS:
        return "utterances", (
            f"with fewer than {FEWEST_SPEAKERS} speakers (here {count}) a bootstrap over speakers is unreliable "
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
    """Column sums of ``[units, columns]`` over units drawn with replacement: ``[resamples, columns]``, exact."""
    units = len(table)
    step = max(1, 2_000_000 // units)  # resamples at a time, to bound memory
    parts = []
    for start in range(0, RESAMPLES, step):
        count = min(step, RESAMPLES - start)
        drawn = rng.integers(0, units, size=(count, units)) + units * np.arange(count)[:, None]
        times = np.bincount(drawn.ravel(), minlength=count * units).reshape(count, units)
        parts.append(times.astype(np.float64) @ table)
    return np.vstack(parts)


def units_with_words(sums: Floats, column: int) -> Floats:
    """Only resamples whose references are not all empty (lengths in `column`): others have no rate."""
    return sums[sums[:, column] > 0]


def rate_intervals(rows: Sequence[ScoredUtterance], unit: Unit, seed: int) -> tuple[Interval, Interval, Interval]:
    table = unit_table(rows, unit)
    sums = resampled_sums(table, np.random.default_rng(seed))
    wer, cer, base = (_rate_interval(table[:, start : start + 2], sums[:, start : start + 2]) for start in (0, 2, 4))
    return wer, cer, base


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

    If all are the same, no unit differed from another. Units of another kind, at the `extremes`, may still make up a
    share ``1 - 0.025 ** (1 / units)``: any smaller share escapes `units` draws with a probability above 2.5 %.
    """
    if np.ptp(values) > 0:
        low, high = np.quantile(values, (TAIL, 1 - TAIL))
        return float(low), float(high)
    seen = TAIL ** (1 / units)
    return seen * estimate + (1 - seen) * extremes[0], seen * estimate + (1 - seen) * extremes[1]


def swapping_test(gaps: Floats, rng: np.random.Generator) -> float:
    """Two-sided p of the summed ``[units]`` gaps when each unit's sign is tossed."""
    step = max(1, 2_000_000 // len(gaps))
    as_large = 0
    for start in range(0, RESAMPLES, step):
        signs = 1.0 - 2.0 * rng.integers(0, 2, size=(min(step, RESAMPLES - start), len(gaps)))
        as_large += int(np.count_nonzero(np.abs(signs @ gaps) >= abs(gaps.sum())))
    return (1 + as_large) / (1 + RESAMPLES)
