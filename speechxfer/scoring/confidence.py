"""How well the confidences of words predict whether they are right: expected calibration error and normalised cross entropy.

Sources: expected calibration error: Naeini, Cooper and Hauskrecht, AAAI 2015, with bins of equal mass (Nguyen and O'Connor, EMNLP
2015); normalised cross entropy: Siu, Gish and Richardson, Eurospeech 1997, as NIST reports it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from speechxfer.scoring.alignment import align, edit_operation
from speechxfer.scoring.bootstrap import TAIL, resampled_sums
from speechxfer.scoring.counts import Floats, Interval, format_rate

if TYPE_CHECKING:
    from speechxfer.scoring.report import WerReport

BINS = 15
SMALLEST = 1e-6  # confidences are taken to be this far from 0 and 1 in logarithms


@dataclass(frozen=True)
class ConfidenceBin:
    """Words of similar confidence: how many, their mean confidence, and the share of them that is right."""

    words: int
    confidence: float
    right: float


@dataclass(frozen=True)
class ConfidenceScore:
    """How well confidences predict which words of the hypotheses are right (aligned with an equal word of the reference).

    Attributes:
        ece: expected calibration error: the words, ordered by confidence, are divided into 15 bins of equally many words; the
            mean over the words of the difference, in each bin, between the mean confidence and the share of right words.
        interval: its 95 % interval by bootstrap of the units that the report resamples, with the bins kept, reflected at the
            estimate, since the differences' absolute values make resampled errors too large.
        nce: normalised cross entropy: by which share the confidences reduce the uncertainty, in bits, about which words are
            right, compared with giving each word the share of right ones. 1: certain and right; 0: no information; below 0: worse
            than that. 0 if all words are right or all are wrong.
        words: of the hypotheses.
        right: the share of them that is right.
        calibrated: whether the model's calibration was applied, or the confidences are raw.
        bins: from the least confident words to the most.
    """

    ece: float
    interval: Interval
    nce: float
    words: int
    right: float
    calibrated: bool
    bins: tuple[ConfidenceBin, ...]

    def __str__(self) -> str:
        kind = "calibrated" if self.calibrated else "raw"
        return (
            f"confidence of words ({kind}): expected calibration error {format_rate(self.ece, self.interval)}, "
            f"normalised cross entropy {self.nce:.2f}"
        )


@dataclass(frozen=True)
class JudgedWords:
    """Words of hypotheses: the confidence of each, whether it is right, and its speaker or utterance."""

    confidences: tuple[float, ...]
    right: tuple[bool, ...]
    units: tuple[str, ...]


def judge_words(report: "WerReport", confidences: Mapping[str, Sequence[float]]) -> JudgedWords:
    """The words of the report's hypotheses with their confidences; right are those aligned with an equal word.

    Args:
        confidences: of each utterance's id, one value for each word of its normalised hypothesis.
    """
    pairs = [(row.normalized_reference, row.normalized_hypothesis) for row in report.utterances]
    values: list[float] = []
    right: list[bool] = []
    units: list[str] = []
    for row, aligned in zip(report.utterances, align(pairs, words=True), strict=True):
        written = [edit_operation(pair) == "=" for pair in aligned if pair[1] is not None]
        for value, is_right in zip(confidences[row.id], written, strict=True):
            values.append(value)
            right.append(is_right)
            units.append(row.speaker if report.resampling == "speakers" else row.id)
    return JudgedWords(tuple(values), tuple(right), tuple(units))


def score_confidences(words: JudgedWords, *, calibrated: bool, seed: int = 0) -> ConfidenceScore | None:
    """Score the confidences of all words of a set; None without a word.

    Args:
        calibrated: see `ConfidenceScore`.
        seed: of the bootstrap.

    >>> words = JudgedWords((0.9, 0.9, 0.1), (True, True, False), ("a", "a", "b"))
    >>> print(score_confidences(words, calibrated=True))  # doctest: +ELLIPSIS
    confidence of words (calibrated): expected calibration error 10.0 % [...], normalised cross entropy 0.83
    """
    if not words.right:
        return None
    values, labels = np.array(words.confidences, dtype=np.float64), np.array(words.right, dtype=np.float64)
    order = np.argsort(values, kind="stable")
    bin_of = np.empty(len(values), dtype=np.int64)
    parts = np.array_split(order, min(BINS, len(values)))
    for number, part in enumerate(parts):
        bin_of[part] = number
    names = sorted(set(words.units))
    row_of = {name: row for row, name in enumerate(names)}
    table = np.zeros(
        (len(names), len(parts))
    )  # per unit and bin, the sum of confidences minus the number of right words
    counts = np.zeros(len(names))
    rows = np.array([row_of[unit] for unit in words.units])
    np.add.at(table, (rows, bin_of), values - labels)
    np.add.at(counts, rows, 1.0)
    sums = resampled_sums(np.hstack([table, counts[:, None]]), np.random.default_rng(seed))
    ece = float(np.abs(table.sum(axis=0)).sum() / len(values))
    resampled = np.abs(sums[:, :-1]).sum(axis=1) / sums[:, -1]
    low, high = (max(0.0, 2 * ece - float(np.quantile(resampled, share))) for share in (1 - TAIL, TAIL))
    bins = tuple(ConfidenceBin(len(part), float(values[part].mean()), float(labels[part].mean())) for part in parts)
    return ConfidenceScore(
        ece, (low, high), _normalized_cross_entropy(values, labels), len(values), float(labels.mean()), calibrated, bins
    )


def _normalized_cross_entropy(confidences: Floats, labels: Floats) -> float:
    share = float(labels.mean())
    if share in (0.0, 1.0):
        return 0.0
    entropy = -(share * np.log2(share) + (1 - share) * np.log2(1 - share))
    clipped = np.clip(confidences, SMALLEST, 1 - SMALLEST)
    cross_entropy = -np.where(labels == 1, np.log2(clipped), np.log2(1 - clipped)).mean()
    return float((entropy - cross_entropy) / entropy)
