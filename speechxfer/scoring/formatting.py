"""Rates, error counts and numbers as short texts."""

from collections.abc import Sequence

from speechxfer.scoring.counts import Counts, Interval


def format_rate(rate: float, interval: Interval) -> str:
    """A rate with its 95 % interval in per cent: ``31.2 % [29.6, 32.9]``."""
    return f"{100 * rate:.1f} % [{100 * interval[0]:.1f}, {100 * interval[1]:.1f}]"


def format_counts(counts: Counts) -> str:
    """Errors by kind, and the length of the reference: ``3 sub, 1 del, 0 ins of 20``."""
    return f"{counts.substitutions:,} sub, {counts.deletions:,} del, {counts.insertions:,} ins of {counts.total:,}"


def count_of(items: Sequence[object], noun: str) -> str:
    """How many, with the noun in singular or plural: ``1 utterance``, ``2 utterances``."""
    return f"{len(items):,} {noun}" + ("" if len(items) == 1 else "s")
