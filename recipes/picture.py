"""Pictures of results as SVG: in README.md, character error rate against hours of training speech; of a recipe, each row's.

Written directly as SVG, so that the same results give the same bytes on every machine and no plotting library is needed.
Intervals are error bars; the axis of hours is logarithmic.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 720, 400
LEFT, RIGHT, TOP, BOTTOM = 60, 20, 44, 52  # margins
COLOURS = ("#777777", "#d95f02", "#1b6ca8")
TEXT = 'font-family="sans-serif" fill="#222222"'
BAR_CAP = 4  # half of the width of an error bar's ends
LABEL_GAP = 9
ROW_HEIGHT, NAMES_WIDTH = 22, 400  # of the picture with a row for each rate


@dataclass(frozen=True)
class Point:
    """One measured rate in percent with its 95 % interval."""

    hours: float
    rate: float
    low: float
    high: float


@dataclass(frozen=True)
class Series:
    """The points of one kind of model."""

    name: str
    points: tuple[Point, ...]


@dataclass(frozen=True)
class _Axes:
    """From hours and percent to pixels."""

    least_hours: float
    most_hours: float
    most_rate: float

    def x(self, hours: float) -> float:
        """Position on the logarithmic axis of hours."""
        share = math.log(hours / self.least_hours) / math.log(self.most_hours / self.least_hours)
        return round(LEFT + share * (WIDTH - LEFT - RIGHT), 1)

    def y(self, rate: float) -> float:
        """Position on the axis of rates."""
        return round(HEIGHT - BOTTOM - rate / self.most_rate * (HEIGHT - TOP - BOTTOM), 1)


def draw_rates(title: str, series: Sequence[Series]) -> str:
    """The SVG document: one line per series, an error bar per point.

    Args:
        title: what is drawn, above the axes.
        series: at least one, with at least one point each.
    """
    title = escape(title)
    points = [point for each in series for point in each.points]
    axes = _Axes(
        min(point.hours for point in points) / 1.3,
        max(point.hours for point in points) * 1.3,
        10 * math.ceil(max(point.high for point in points) / 10),
    )
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}">',
        f"<title>{title}</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        f'<text x="{LEFT}" y="24" font-size="16" {TEXT}>{title}</text>',
        *_grid(axes, sorted({point.hours for point in points})),
    ]
    for colour, each in zip(COLOURS, series, strict=False):
        parts += _line(axes, each, colour)
    parts += [
        _legend(position, each.name, colour)
        for position, (each, colour) in enumerate(zip(series, COLOURS, strict=False))
    ]
    return "\n".join([*parts, "</svg>"]) + "\n"


def draw_rows(title: str, rows: Sequence[tuple[str, Point]]) -> str:
    """The SVG document: a line per rate with its name, its interval as a bar.

    Args:
        title: what is drawn, above the rows.
        rows: at least one.
    """
    title, width, height = escape(title), WIDTH + 80, TOP + ROW_HEIGHT * len(rows) + 30
    most = 10 * math.ceil(max(point.high for _, point in rows) / 10)

    def x(rate: float) -> float:
        return round(NAMES_WIDTH + rate / most * (width - RIGHT - NAMES_WIDTH), 1)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">',
        f"<title>{title}</title>",
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        f'<text x="{BAR_CAP}" y="24" font-size="16" {TEXT}>{title}</text>',
    ]
    for rate in range(0, most + 1, 10):
        parts.append(f'<line x1="{x(rate)}" y1="{TOP - 6}" x2="{x(rate)}" y2="{height - 24}" stroke="#dddddd"/>')
        parts.append(f'<text x="{x(rate)}" y="{height - 8}" font-size="12" text-anchor="middle" {TEXT}>{rate} %</text>')
    for number, (name, point) in enumerate(rows):
        y = TOP + ROW_HEIGHT * number + ROW_HEIGHT // 2
        end = f'x="{NAMES_WIDTH - LABEL_GAP}" y="{y + 4}" font-size="12" text-anchor="end"'
        parts.append(f"<text {end} {TEXT}>{escape(name)}</text>")
        caps = "".join(f"M{x(rate)},{y - BAR_CAP}V{y + BAR_CAP}" for rate in (point.low, point.high))
        parts.append(f'<path d="M{x(point.low)},{y}H{x(point.high)}{caps}" stroke="{COLOURS[-1]}" fill="none"/>')
        parts.append(f'<circle cx="{x(point.rate)}" cy="{y}" r="4" fill="{COLOURS[-1]}"/>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def _grid(axes: _Axes, hours: Iterable[float]) -> Iterable[str]:
    for rate in range(0, round(axes.most_rate) + 1, 10):
        y = axes.y(rate)
        yield f'<line x1="{LEFT}" y1="{y}" x2="{WIDTH - RIGHT}" y2="{y}" stroke="#dddddd"/>'
        yield f'<text x="{LEFT - 8}" y="{y + 4}" font-size="12" text-anchor="end" {TEXT}>{rate} %</text>'
    for amount in hours:
        name = f"{round(60 * amount)} min" if amount < 1 else f"{amount:g} h"
        yield f'<text x="{axes.x(amount)}" y="{HEIGHT - BOTTOM + 18}" font-size="12" text-anchor="middle" {TEXT}>{name}</text>'
    middle = (LEFT + WIDTH - RIGHT) / 2
    yield f'<text x="{middle}" y="{HEIGHT - 12}" font-size="13" text-anchor="middle" {TEXT}>training speech</text>'


def _line(axes: _Axes, series: Series, colour: str) -> Iterable[str]:
    places = " ".join(f"{axes.x(point.hours)},{axes.y(point.rate)}" for point in series.points)
    yield f'<polyline points="{places}" fill="none" stroke="{colour}" stroke-width="2"/>'
    for point in series.points:
        x, low, high = axes.x(point.hours), axes.y(point.low), axes.y(point.high)
        caps = "".join(f"M{x - BAR_CAP:g},{y}H{x + BAR_CAP:g}" for y in (low, high))
        yield f'<path d="M{x},{low}V{high}{caps}" stroke="{colour}" fill="none"/>'
        yield f'<circle cx="{x}" cy="{axes.y(point.rate)}" r="4" fill="{colour}"/>'
        label = f'x="{x + LABEL_GAP:g}" y="{axes.y(point.rate) - 6:g}" font-size="12" font-family="sans-serif" fill="{colour}"'
        yield f"<text {label}>{point.rate:.1f}</text>"


def _legend(position: int, name: str, colour: str) -> str:
    y = TOP + 10 + 20 * position
    x = WIDTH - RIGHT - 250
    mark = f'<line x1="{x}" y1="{y}" x2="{x + 24}" y2="{y}" stroke="{colour}" stroke-width="3"/>'
    return f'{mark}<text x="{x + 32}" y="{y + 4}" font-size="13" {TEXT}>{escape(name)}</text>'
