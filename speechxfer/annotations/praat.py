"""Praat TextGrid: writing (long text format, UTF-8).

Source: the Praat manual, "TextGrid file formats". An interval tier covers the whole time without gaps or overlaps: gaps become
empty intervals, overlapping intervals go to an added tier. A quotation mark in a text is doubled.
"""

from collections.abc import Sequence
from decimal import Decimal

from speechxfer.annotations.tiers import (
    POINT,
    Annotation,
    Interval,
    Tier,
    check_annotation,
    separate_overlaps,
    without_control_characters,
)

SHORTEST_S = 0.001


def render_textgrid(annotation: Annotation) -> str:
    """The annotation as a TextGrid; scores and speakers are not stored.

    Raises:
        InputError: see `check_annotation`.
    """
    tiers = separate_overlaps(check_annotation(annotation).tiers, SHORTEST_S)
    end_s = max([annotation.end_s, *(interval.end_s for tier in tiers for interval in tier.intervals)])
    lines = [
        'File type = "ooTextFile"',
        'Object class = "TextGrid"',
        "",
        "xmin = 0",
        f"xmax = {format_time(end_s)}",
        "tiers? <exists>",
        f"size = {len(tiers)}",
        "item []:",
    ]
    for number, tier in enumerate(tiers, start=1):
        lines += long_tier(tier, number, 0.0, end_s)
    return "\n".join(lines) + "\n"


def long_tier(tier: Tier, number: int, start_s: float, end_s: float) -> list[str]:
    """Lines of one tier in the long format."""
    is_point = tier.type == POINT
    rows = list(tier.intervals) if is_point else fill_gaps(tier.intervals, start_s, end_s)
    kind, class_name = ("points", "TextTier") if is_point else ("intervals", "IntervalTier")
    lines = [
        f"    item [{number}]:",
        f'        class = "{class_name}"',
        f"        name = {quote(tier.name)}",
        f"        xmin = {format_time(start_s)}",
        f"        xmax = {format_time(end_s)}",
        f"        {kind}: size = {len(rows)}",
    ]
    for index, row in enumerate(rows, start=1):
        lines.append(f"        {kind} [{index}]:")
        if is_point:
            lines += [f"            number = {format_time(row.start_s)}", f"            mark = {quote(row.text)}"]
        else:
            lines += [
                f"            xmin = {format_time(row.start_s)}",
                f"            xmax = {format_time(row.end_s)}",
                f"            text = {quote(row.text)}",
            ]
    return lines


def fill_gaps(intervals: Sequence[Interval], start_s: float, end_s: float) -> list[Interval]:
    """Intervals without overlaps, with empty ones in the gaps, from `start_s` to `end_s`."""
    filled: list[Interval] = []
    position = start_s
    for interval in intervals:
        if interval.start_s > position:
            filled.append(Interval(position, interval.start_s, ""))
        filled.append(interval)
        position = interval.end_s
    if position < end_s or not filled:
        filled.append(Interval(position, end_s, ""))
    return filled


def format_time(seconds: float) -> str:
    """A time exactly as it is, without exponent."""
    return format(Decimal(repr(float(seconds))), "f").removesuffix(".0")


def quote(text: str) -> str:
    """A text in quotation marks, those in it doubled."""
    doubled = without_control_characters(text).replace('"', '""')
    return f'"{doubled}"'
