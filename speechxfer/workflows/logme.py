"""LogME: log evidence of a Bayesian linear model of labels given frozen features (You et al., arXiv:2102.11005)."""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
RANK_TOLERANCE = 1e-10  # of squared singular values
LOGME_TOLERANCE, LOGME_ITERATIONS = 1e-4, 100


def logme_score(frames: Floats, labels: npt.NDArray[np.int64]) -> float:
    """Logarithm of the maximum evidence of a Bayesian linear model of each label given the frames, in nats per frame.

    The mean over the labels of ``max over alpha, beta of log N(y; 0, X X^T / alpha + I / beta) / n``, where y is 1 at the
    label's frames and 0 elsewhere, and X `[frames, dim]` is centred (You et al., arXiv:2102.11005, section 4).
    """
    centred = frames - frames.mean(axis=0)
    squares, directions = np.linalg.eigh(centred.T @ centred)
    nonzero = squares > max(1.0, squares[-1]) * RANK_TOLERANCE
    squares, directions = squares[nonzero], directions[:, nonzero]
    evidences = []
    for label in np.unique(labels):
        y = (labels == label).astype(float)
        evidences.append(_evidence((directions.T @ (centred.T @ y)) ** 2 / squares, squares, y))
    return float(np.mean(evidences))


def _evidence(projected: Floats, squares: Floats, y: Floats) -> float:
    """Fixed point of alpha and beta, then the evidence over n.

    `squares` are the squared singular values, `projected` those of `y` along the left singular vectors.
    """
    count = len(y)
    outside = max(float(y @ y - projected.sum()), 0.0)
    if not len(squares):  # all frames are equal and explain nothing: y is noise
        return float(-0.5 * (np.log(2 * np.pi * outside / count) + 1))
    alpha = beta = 1.0
    for _ in range(LOGME_ITERATIONS):
        shrinkage = squares / (squares + alpha / beta)
        gamma = shrinkage.sum()
        weights_square = float((projected * squares / (squares + alpha / beta) ** 2).sum())
        residual = float((projected * (1 - shrinkage) ** 2).sum()) + outside
        older = alpha / beta
        alpha, beta = gamma / max(weights_square, 1e-12), (count - gamma) / max(residual, 1e-12)
        if abs(alpha / beta - older) <= LOGME_TOLERANCE * older:
            break
    shrinkage = squares / (squares + alpha / beta)
    weights_square = float((projected * squares / (squares + alpha / beta) ** 2).sum())
    residual = float((projected * (1 - shrinkage) ** 2).sum()) + outside
    evidence = (
        len(squares) * np.log(alpha)
        + count * np.log(beta)
        - np.log(alpha + beta * squares).sum()
        - beta * residual
        - alpha * weights_square
        - count * np.log(2 * np.pi)
    )
    return float(evidence / (2 * count))
