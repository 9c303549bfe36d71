"""Calibration of confidences: a confidence as the share of such words that are right.

A calibration is a logistic function of the logit of the raw confidence with two parameters, fitted by maximum likelihood with
Platt's smoothed targets, so that a few words suffice and separable ones do not give infinite parameters. On Yoruba and Mboshi it
had a lower cross entropy on test data than isotonic regression or a temperature (``recipes/mboshi/notes.md``).

Sources: Platt, 'Probabilistic outputs for support vector machines', 1999; Lin, Lin and Weng, Machine Learning 68, 2007 (Newton's
method).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from speechxfer.scoring.counts import Floats

MIN_WORDS = 20  # on dev; with fewer, a model stays without calibration
SMALLEST = 1e-6  # raw confidences are taken to be this far from 0 and from 1, at least
ITERATIONS = 100


@dataclass(frozen=True)
class Calibration:
    """A map from raw to calibrated confidences: ``1 / (1 + exp(-(slope * logit(raw) + intercept)))``.

    Attributes:
        slope, intercept: of the logit of a raw confidence.
        words: on how many it was fitted.

    >>> calibration = Calibration(slope=0.5, intercept=0.0, words=100)
    >>> [round(value, 2) for value in calibration([0.1, 0.5, 0.9])]
    [0.25, 0.5, 0.75]
    """

    slope: float
    intercept: float
    words: int

    def __call__(self, confidences: Sequence[float]) -> list[float]:
        """Calibrated confidences, in the order of the raw ones."""
        exponents = self.slope * _logits(confidences) + self.intercept
        return [float(value) for value in 1.0 / (1.0 + np.exp(-exponents))]


def fit_calibration(confidences: Sequence[float], right: Sequence[bool]) -> Calibration | None:
    """Fit a calibration to words' raw confidences and whether they are right; None with fewer than 20 words.

    >>> fit_calibration([0.9], [True]) is None
    True
    """
    if len(right) < MIN_WORDS:
        return None
    logits, labels = _logits(confidences), np.array(right, dtype=np.float64)
    positive, negative = labels.sum(), (1 - labels).sum()
    targets = np.where(labels == 1, (positive + 1) / (positive + 2), 1 / (negative + 2))
    inputs = np.stack([logits, np.ones_like(logits)], axis=1)
    weights = np.array([0.0, math.log((positive + 1) / (negative + 1))])
    loss = _loss(inputs @ weights, targets)
    for _ in range(ITERATIONS):
        values = 1.0 / (1.0 + np.exp(-inputs @ weights))
        gradient = inputs.T @ (values - targets)
        hessian = inputs.T @ (inputs * (values * (1 - values))[:, None]) + 1e-9 * np.eye(2)
        step, size = np.linalg.solve(hessian, gradient), 1.0
        while size > 1e-6 and _loss(inputs @ (weights - size * step), targets) > loss:
            size /= 2  # Newton's step is too long far from the minimum
        weights = weights - size * step
        smaller = _loss(inputs @ weights, targets)
        if loss - smaller < 1e-10 * len(labels):
            break
        loss = smaller
    if weights[0] < 0:  # more confident words were more often wrong: confidence says nothing
        return Calibration(0.0, math.log((positive + 1) / (negative + 1)), len(right))
    return Calibration(float(weights[0]), float(weights[1]), len(right))


def parse_calibration(stored: Any) -> Calibration | None:
    """The calibration that JSON has as an object; None for None, as in models of earlier versions.

    Raises:
        KeyError, TypeError, ValueError, OverflowError: it is no calibration.
    """
    if stored is None:
        return None
    calibration = Calibration(float(stored["slope"]), float(stored["intercept"]), int(stored["words"]))
    if not (math.isfinite(calibration.slope) and math.isfinite(calibration.intercept) and calibration.slope >= 0):
        raise ValueError(f"calibration {stored}")
    return calibration


def _loss(exponents: Floats, targets: Floats) -> float:
    """Cross entropy of the targets, in nats, summed."""
    return float((np.logaddexp(0.0, exponents) - targets * exponents).sum())


def _logits(confidences: Sequence[float]) -> Floats:
    clipped = np.clip(np.array(confidences, dtype=np.float64), SMALLEST, 1 - SMALLEST)
    logits: Floats = np.log(clipped / (1 - clipped))
    return logits
