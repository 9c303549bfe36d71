"""Forecast of an error rate: a learning curve continued to more hours of training speech.

Error rates fall about as a power of the amount of training data: Hestness et al., 'Deep Learning Scaling is Predictable,
Empirically' (arXiv:1712.00409). In logarithms that is a straight line, whose slope is the exponent. Here the exponent has a
normal prior and may change slowly with the logarithm of the hours (an integrated random walk, the prior of a cubic smoothing
spline: Wahba, JRSS B 40(3), 1978), since rates near 100 % fall more slowly than later ones, and since no curve falls to zero.
Everything is normal, so the forecast and its interval are exact.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from speechxfer.errors import InputError
from speechxfer.scoring.counts import Floats, Interval

EXPONENT = 0.2  # prior mean: half the errors need 32 times the data
EXPONENT_SPREAD = 0.15  # prior standard deviation
EXPONENT_CHANGE = 0.05  # standard deviation of the exponent's change over a factor e of hours
SEED_SPREAD = 0.02  # relative standard deviation of a measured rate between seeds and between parts of the data
LEVEL = 10.0  # prior standard deviation of the logarithm of the rate at the last point: no information
Z90 = 1.6448536269514722  # 95 % quantile of the normal distribution
Z95 = 1.959963984540054


@dataclass(frozen=True)
class MeasuredRate:
    """One point of a learning curve: hours of training speech, error rate and its 95 % interval, as fractions."""

    hours: float
    rate: float
    interval: Interval


@dataclass(frozen=True)
class Forecast:
    """An error rate that is expected to be measured after training on `hours`, with its 90 % interval, as fractions."""

    hours: float
    rate: float
    interval: Interval


def forecast_rate(points: Sequence[MeasuredRate], hours: Sequence[float]) -> list[Forecast]:
    """What would be measured with these hours of training speech, on the same test data.

    Args:
        points: of one learning curve, at two or more different hours.
        hours: of the forecasts.

    Raises:
        InputError: fewer than two different hours, or hours or rates that are not above zero.

    >>> half_at_each_tenfold = [MeasuredRate(1.0, 0.40, (0.39, 0.41)), MeasuredRate(10.0, 0.20, (0.19, 0.21))]
    >>> [forecast] = forecast_rate(half_at_each_tenfold, [100.0])
    >>> print(f"{forecast.rate:.2f} [{forecast.interval[0]:.2f}, {forecast.interval[1]:.2f}]")
    0.11 [0.08, 0.15]
    """
    sizes = len({point.hours for point in points})
    if sizes < 2:
        raise InputError(f"a forecast needs two or more sizes of training data, found {sizes}; measure another one")
    values = [value for point in points for value in (point.hours, point.rate, *point.interval)] + [*hours]
    if not all(math.isfinite(value) and value > 0 for value in values):
        raise InputError("a forecast needs hours and error rates above zero; omit points without an error")
    ordered = sorted(points, key=lambda point: point.hours)
    measured = np.log([point.hours for point in ordered])
    rates = np.log([point.rate for point in ordered])
    wanted = np.log(np.asarray(hours, dtype=np.float64))
    noise = np.array([_variance(point) for point in ordered])
    last = measured[-1]
    covariance = _covariance(measured - last, measured - last) + np.diag(noise)
    across = _covariance(wanted - last, measured - last)
    weights = np.linalg.solve(covariance, across.T).T  # [wanted, measured]
    means = _prior_mean(wanted - last, rates[-1]) + weights @ (rates - _prior_mean(measured - last, rates[-1]))
    own = np.diag(_covariance(wanted - last, wanted - last)) + noise[-1]  # the new measurement is as noisy as the last
    spread = np.sqrt(own - np.sum(weights * across, axis=1))
    low, high = np.exp(means - Z90 * spread), np.exp(means + Z90 * spread)
    return [
        Forecast(hour, float(math.exp(mean)), (float(a), float(b)))
        for hour, mean, a, b in zip(hours, means, low, high, strict=True)
    ]


def _variance(point: MeasuredRate) -> float:
    """Variance of the logarithm of a measured rate."""
    low, high = point.interval
    sampling = (math.log(high) - math.log(low)) / (2 * Z95)
    return sampling**2 + SEED_SPREAD**2


def _prior_mean(x: Floats, level: float) -> Floats:
    return level - EXPONENT * x


def _covariance(a: Floats, b: Floats) -> Floats:
    """Prior covariance of log rates at `a` and `b`, logarithms of hours relative to the last point's: ``[a, b]``."""
    straight = LEVEL**2 + EXPONENT_SPREAD**2 * np.outer(a, b)
    least = np.minimum.outer(np.abs(a), np.abs(b))
    most = np.maximum.outer(np.abs(a), np.abs(b))
    same_side = np.greater.outer(a, 0.0) == np.greater.outer(b, 0.0)
    walk: Floats = np.where(same_side, least**2 * (3 * most - least) / 6, 0.0)
    return straight + EXPONENT_CHANGE**2 * walk
