"""Forecast of an error rate: the formula against a regression computed otherwise, its calibration, and measured curves."""

import json
import math
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from speechxfer.errors import InputError
from speechxfer.scoring import MeasuredRate, forecast_rate, forecasting

RESULTS = Path(__file__).resolve().parents[1] / "recipes"
CURVE = [
    MeasuredRate(0.25, 0.50, (0.47, 0.53)),
    MeasuredRate(1.0, 0.36, (0.34, 0.38)),
    MeasuredRate(4.0, 0.27, (0.255, 0.285)),
]


def test_a_constant_exponent_is_bayesian_linear_regression(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forecasting, "EXPONENT_CHANGE", 0.0)
    [found] = forecast_rate(CURVE, [9.0])
    # weights of a regression on [1, log hours] with a flat level and the exponent's prior: Bishop 2006, eq. 3.50 to 3.59
    x = np.array([[1.0, math.log(point.hours)] for point in CURVE])
    y = np.log([point.rate for point in CURVE])
    variances = np.array(
        [(math.log(p.interval[1] / p.interval[0]) / 2 / 1.959963984540054) ** 2 + 0.02**2 for p in CURVE]
    )
    precision = (x.T / variances) @ x + np.diag([0.0, 1 / 0.15**2])
    mean = np.linalg.solve(precision, (x.T / variances) @ y + np.array([0.0, -0.2 / 0.15**2]))
    new = np.array([1.0, math.log(9.0)])
    spread = math.sqrt(new @ np.linalg.solve(precision, new) + variances[-1])
    assert math.log(found.rate) == pytest.approx(new @ mean, abs=2e-4)  # the level's prior is wide, not flat
    assert math.log(found.interval[1] / found.rate) == pytest.approx(1.6448536 * spread, rel=1e-3)
    assert math.log(found.rate / found.interval[0]) == pytest.approx(1.6448536 * spread, rel=1e-3)


def test_the_interval_covers_nine_of_ten_curves_of_the_supposed_kind() -> None:
    generator = np.random.default_rng(3)
    grid = np.log(np.geomspace(0.25, 16.0, 1201))
    step = grid[1] - grid[0]
    at = [0, 400, 800, 1200]  # 0.25, 1, 4 and 16 hours
    covered = 0
    for _ in range(600):
        slope = -(generator.normal(0.2, 0.15) + 0.05 * math.sqrt(step) * np.cumsum(generator.normal(size=1201)))
        log_rate = math.log(0.5) + np.concatenate([[0.0], np.cumsum(slope[1:] * step)])
        measured = np.exp(log_rate[at] + 0.05 * generator.normal(size=4))
        half = 1.959963984540054 * math.sqrt(0.05**2 - 0.02**2)  # so that sampling and seeds together give 5 %
        points = [
            MeasuredRate(float(np.exp(grid[i])), rate, (rate * math.exp(-half), rate * math.exp(half)))
            for i, rate in zip(at, measured, strict=True)
        ]
        [forecast] = forecast_rate(points[:3], [16.0])
        covered += forecast.interval[0] <= points[3].rate <= forecast.interval[1]
    assert 0.87 < covered / 600 < 0.96  # the curve's own prior begins at its first point, the forecast's at its last


def test_the_measured_next_point_of_the_recipes_is_covered() -> None:
    curves: dict[tuple[str, ...], list[dict[str, float]]] = defaultdict(list)
    for path in sorted(RESULTS.glob("*/results.json")):
        for row in json.loads(path.read_text(encoding="utf-8")):
            curves[path.parent.name, row["name"], row["source"], row["split"], row["decoder"]].append(row)
    covered = []
    for rows in curves.values():
        rows.sort(key=lambda row: row["train_hours"])
        for rate in ("wer", "cer"):
            points = [
                MeasuredRate(row["train_hours"], row[rate], (row[f"{rate}_low"], row[f"{rate}_high"])) for row in rows
            ]
            for known in range(2, len(points)):
                [forecast] = forecast_rate(points[:known], [points[known].hours])
                covered.append(forecast.interval[0] <= points[known].rate <= forecast.interval[1])
    assert len(covered) >= 4
    assert sum(covered) >= 0.9 * len(covered)


def test_more_hours_are_less_certain() -> None:
    widths = [math.log(f.interval[1] / f.interval[0]) for f in forecast_rate(CURVE, [5.0, 10.0, 40.0])]
    assert widths == sorted(widths) and len(set(widths)) == 3


@pytest.mark.parametrize(
    ("points", "message"),
    [
        (CURVE[:1], "two or more sizes"),
        ([CURVE[0], CURVE[0]], "two or more sizes"),
        ([CURVE[0], MeasuredRate(2.0, 0.0, (0.0, 0.1))], "above zero"),
    ],
)
def test_unusable_points_are_refused(points: list[MeasuredRate], message: str) -> None:
    with pytest.raises(InputError, match=message):
        forecast_rate(points, [3.0])
