"""Line charts as geometry: positions of lines, points, intervals and ticks, from which the template writes SVG."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 420.0, 250.0
LEFT, RIGHT, TOP, BOTTOM = 48.0, 14.0, 14.0, 42.0
TICKS = 5


@dataclass(frozen=True)
class Point:
    """One value, in the units of the axes, with an interval where it has one; `label` is its tooltip."""

    x: float
    y: float
    low: float | None = None
    high: float | None = None
    label: str = ""


@dataclass(frozen=True)
class Series:
    """A line of a chart; `style` numbers its colour, dashes and marker; `hollow`: a forecast, from the last point
    measured to the one expected."""

    name: str
    points: tuple[Point, ...]
    style: int = 0
    markers: bool = True
    hollow: bool = False


@dataclass(frozen=True)
class Placed:
    """A point in the picture; `low` and `high` are the ends of its interval or None."""

    x: float
    y: float
    low: float | None
    high: float | None
    label: str


@dataclass(frozen=True)
class Line:
    """A series in the picture: a path of SVG and its points."""

    name: str
    path: str
    points: tuple[Placed, ...]
    style: int
    markers: bool
    hollow: bool


@dataclass(frozen=True)
class Tick:
    """A labelled position on an axis."""

    position: float
    label: str


@dataclass(frozen=True)
class Chart:
    """A chart in the units of its view box."""

    title: str
    x_label: str
    y_label: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    lines: tuple[Line, ...]
    width: float = WIDTH
    height: float = HEIGHT
    left: float = LEFT
    right: float = WIDTH - RIGHT
    top: float = TOP
    bottom: float = HEIGHT - BOTTOM


def line_chart(title: str, x_label: str, y_label: str, series: Sequence[Series], *, log_x: bool = False) -> Chart:
    """Place series of at least one point each on common axes; y starts at 0, x is logarithmic if asked for."""
    points = [point for one in series for point in one.points]
    xs = [math.log(point.x) if log_x else point.x for point in points]
    x_low, x_high = (min(xs), max(xs)) if log_x else (min(0.0, *xs), max(xs))
    if x_low == x_high:
        x_low, x_high = x_low - 0.5, x_high + 0.5
    margin = 0.04 * (x_high - x_low) if log_x else 0.0
    x_low, x_high = x_low - margin, x_high + margin
    steps = nice_ticks(max(max(point.y, point.high or 0.0) for point in points))
    y_high = steps[-1] or 1.0

    def place_x(x: float) -> float:
        value = math.log(x) if log_x else x
        return round(LEFT + (value - x_low) / (x_high - x_low) * (WIDTH - LEFT - RIGHT), 1)

    def place_y(y: float) -> float:
        return round(HEIGHT - BOTTOM - y / y_high * (HEIGHT - TOP - BOTTOM), 1)

    def place(point: Point) -> Placed:
        low, high = (None if end is None else place_y(end) for end in (point.low, point.high))
        return Placed(place_x(point.x), place_y(point.y), low, high, point.label)

    lines = []
    for one in series:
        placed = tuple(place(point) for point in one.points)
        path = "M" + "L".join(f"{point.x:g} {point.y:g}" for point in placed)
        lines.append(Line(one.name, path, placed, one.style, one.markers, one.hollow))
    marks = sorted({point.x for point in points}) if log_x else [x for x in nice_ticks(x_high) if x <= x_high]
    x_ticks = _without_collisions([Tick(place_x(x), f"{x:,.4g}") for x in marks])
    y_ticks = tuple(Tick(place_y(y), f"{y:,.4g}") for y in steps)
    return Chart(title, x_label, y_label, x_ticks, y_ticks, tuple(lines))


def nice_ticks(largest: float) -> list[float]:
    """From 0, in steps of 1, 2 or 5 times a power of ten, about `TICKS` numbers, the last not below `largest`."""
    if largest <= 0:
        return [0.0, 1.0]
    rough = largest / TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    return [round(number * step, 10) for number in range(math.ceil(largest / step - 1e-9) + 1)]


def _without_collisions(ticks: Sequence[Tick]) -> tuple[Tick, ...]:
    kept: list[Tick] = []
    for tick in ticks:
        if not kept or tick.position - kept[-1].position > 7.0 * max(len(tick.label), len(kept[-1].label)) / 2 + 12:
            kept.append(tick)
    return tuple(kept)
