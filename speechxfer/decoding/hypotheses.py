"""Hypotheses: what a decoder returns for an utterance, with the times and confidences of its words."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from speechxfer.text import Vocabulary


@dataclass(frozen=True)
class Word:
    """One word of a hypothesis; of a model of phones, one phone.

    Attributes:
        text: as in the hypothesis.
        start_s, end_s: from the start of the utterance, in seconds; where the symbols' frames begin and end, which CTC places
            early or late.
        confidence: geometric mean of the symbols' probabilities over the word's frames, without blank, in [0, 1].
    """

    text: str
    start_s: float
    end_s: float
    confidence: float


@dataclass(frozen=True)
class Hypothesis:
    """The decoded text of one utterance; ``str()`` gives text and confidence.

    Attributes:
        text: symbols as text.
        frames: encoder frames.
        blank_frames: those in which blank is the most probable symbol.
        confidence: geometric mean of the chosen symbols' probabilities over the frames that are not blank; 0 where all are
            blank. Blank frames are excluded: in pauses the model is certain of blank, which says nothing about the speech.
        words: the words of `text`, in order; none of a classifier, which gives no times.
    """

    text: str
    frames: int
    blank_frames: int
    confidence: float
    words: tuple[Word, ...] = ()

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
    words = []
    for text, first, last in vocabulary.split_words([span.symbol for span in spans]):
        chosen = [log_probs[span.start : span.end, span.symbol] for span in spans[first : last + 1]]
        confidence = float(torch.cat(chosen).mean().exp())
        words.append(Word(text, spans[first].start * frame_s, spans[last].end * frame_s, confidence))
    return tuple(words)
