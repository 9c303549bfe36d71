"""Hypotheses: what a decoder returns for an utterance, with the times and confidences of its words."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from speechxfer.decoding.posteriors import MARGIN_S, PlacedWord, word_boundary, word_posteriors
from speechxfer.features import FeatureSpec
from speechxfer.scoring import Calibration
from speechxfer.text import Vocabulary

TINY = 1e-10  # probability below which nothing is distinguished


@dataclass(frozen=True)
class Word:
    """One word of a hypothesis; of a model of phones, one phone.

    Attributes:
        text: as in the hypothesis.
        start_s, end_s: from the start of the utterance, in seconds; where the symbols' frames begin and end, which CTC places
            early or late.
        confidence: of a calibrated model the share of such words that are right; else the word's posterior probability
            (``posteriors.py``), in [0, 1].
    """

    text: str
    start_s: float
    end_s: float
    confidence: float


@dataclass(frozen=True)
class ScoredText:
    """One of the n best texts of an utterance.

    Attributes:
        text: symbols as text.
        score: by which texts are ranked: the acoustic score and what language models and boosting add.
        acoustic: log-probability of all alignments of the text.
    """

    text: str
    score: float
    acoustic: float


@dataclass(frozen=True)
class Hypothesis:
    """The decoded text of one utterance; ``str()`` gives text and confidence.

    Attributes:
        text: symbols as text.
        frames: encoder frames.
        blank_frames: those in which blank is the most probable symbol.
        confidence: of a calibrated model the expected share of right words; else the geometric mean of the chosen symbols'
            probabilities over the frames that are not blank, and 0 where all are blank. (In pauses the model is certain of
            blank, which says nothing about the speech.)
        words: the words of `text`, in order; none of a classifier, which gives no times.
        alternatives: the n best texts, best first, if the decoder was asked for them.
        calibrated: whether the confidences are calibrated.
    """

    text: str
    frames: int
    blank_frames: int
    confidence: float
    words: tuple[Word, ...] = ()
    alternatives: tuple[ScoredText, ...] = ()
    calibrated: bool = False

    def __str__(self) -> str:
        return f"{self.text} (confidence {self.confidence:.2f})"


@dataclass(frozen=True)
class SymbolSpan:
    """A symbol of a decoded sequence and the encoder frames `start` to `end` (exclusive) in which it is emitted."""

    symbol: int
    start: int
    end: int


def find_symbol_spans(path: Sequence[int]) -> list[SymbolSpan]:
    """The symbols of a CTC path, one id per frame: runs of equal ids, without those of blank (symbol 0)."""
    starts = [i for i, symbol in enumerate(path) if i == 0 or symbol != path[i - 1]]
    ends = [*starts[1:], len(path)]
    return [SymbolSpan(path[a], a, b) for a, b in zip(starts, ends, strict=False) if path[a] != 0]


def words_of_spans(
    spans: Sequence[SymbolSpan], log_probs: Tensor, vocabulary: Vocabulary, frame_s: float
) -> tuple[Word, ...]:
    """The words that symbols with their frames make.

    Args:
        spans: in order of time.
        log_probs: `[frames, symbols]`.
        frame_s: seconds per encoder frame.
    """
    if not spans:
        return ()
    split = vocabulary.split_words([span.symbol for span in spans])
    placed = [
        PlacedWord(tuple(span.symbol for span in spans[first : last + 1]), spans[first].start, spans[last].end)
        for _, first, last in split
    ]
    probs = log_probs.double().exp().cpu().numpy()
    confidences = word_posteriors(probs, placed, word_boundary(vocabulary), round(MARGIN_S / frame_s))
    return tuple(
        Word(text, word.start * frame_s, word.end * frame_s, confidence)
        for (text, _, _), word, confidence in zip(split, placed, confidences, strict=True)
    )


def calibrate(hypothesis: Hypothesis, calibration: Calibration | None) -> Hypothesis:
    """The hypothesis with calibrated confidences; that of the utterance is the expected share of its words that are right."""
    if calibration is None or not hypothesis.words:
        return hypothesis
    values = calibration([word.confidence for word in hypothesis.words])
    words = tuple(replace(word, confidence=value) for word, value in zip(hypothesis.words, values, strict=True))
    return replace(hypothesis, words=words, confidence=sum(values) / len(values), calibrated=True)


def join_hypotheses(parts: Sequence[Hypothesis], starts_s: Sequence[float]) -> Hypothesis:
    """The hypothesis of an utterance from those of its segments, which start at these seconds of it.

    Texts are joined by spaces. Of n best texts the first one remains, with the sums of its scores.
    """
    if len(parts) == 1:
        return parts[0]
    weights = [part.frames - part.blank_frames for part in parts]
    logs = sum(
        weight * math.log(max(part.confidence, TINY)) for weight, part in zip(weights, parts, strict=True) if weight
    )
    words = [
        replace(word, start_s=start_s + word.start_s, end_s=start_s + word.end_s)
        for part, start_s in zip(parts, starts_s, strict=True)
        for word in part.words
    ]
    text = " ".join(part.text for part in parts if part.text)
    best = [part.alternatives[0] for part in parts if part.alternatives]
    score = ScoredText(text, sum(one.score for one in best), sum(one.acoustic for one in best))
    return Hypothesis(
        text,
        sum(part.frames for part in parts),
        sum(part.blank_frames for part in parts),
        math.exp(logs / sum(weights)) if any(weights) else 0.0,
        tuple(words),
        (score,) if len(best) == len(parts) else (),
    )


def place_words(hypothesis: Hypothesis, spec: FeatureSpec, duration_s: float) -> Hypothesis:
    """The hypothesis with the times of its words in an utterance of `duration_s` (see `span_in_utterance`)."""
    spans = [spec.span_in_utterance(word.start_s, word.end_s, duration_s) for word in hypothesis.words]
    moved = [replace(word, start_s=a, end_s=b) for word, (a, b) in zip(hypothesis.words, spans, strict=True)]
    return replace(hypothesis, words=tuple(moved))
