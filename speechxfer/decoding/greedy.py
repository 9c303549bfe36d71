"""Greedy CTC decoding (best path; Graves et al., ICML 2006), or the most probable word of a classifier."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from speechxfer.decoding.inventory import PhoneInventory
from speechxfer.features import Batch
from speechxfer.models import AcousticModel


@dataclass(frozen=True)
class Hypothesis:
    """The decoded text of one utterance; ``str()`` gives text and confidence.

    Attributes:
        text: symbols as text.
        frames: encoder frames.
        blank_frames: those in which blank is the most probable symbol.
        confidence: geometric mean of the chosen symbols' probabilities over the frames that are not blank; 0 where all are
            blank. Blank frames are excluded: in pauses the model is certain of blank, which says nothing about the speech.
    """

    text: str
    frames: int
    blank_frames: int
    confidence: float

    def __str__(self) -> str:
        return f"{self.text} (confidence {self.confidence:.2f})"


def collapse(ids: Sequence[int]) -> list[int]:
    """Remove repeats, then blanks (symbol 0): [0, 3, 3, 0, 3, 5] gives [3, 3, 5]."""
    return [symbol for previous, symbol in zip([0, *ids], ids, strict=False) if symbol not in (0, previous)]


@torch.inference_mode()
def decode_batch(model: AcousticModel, batch: Batch, inventory: PhoneInventory | None = None) -> list[Hypothesis]:
    """Hypotheses of a batch, in its order; with an inventory, of its phones alone."""
    log_probs, lengths = model(batch.features, batch.lengths)
    vocabulary = model.vocabulary
    if inventory:
        log_probs, vocabulary = inventory.restrict(log_probs), inventory.vocabulary
    best, symbols = log_probs.max(dim=-1)
    hypotheses = []
    for row, length in enumerate(lengths.tolist()):
        ids = symbols[row, :length].tolist()
        decoded = ids if model.task == "classify" else collapse(ids)
        nonblank = best[row, :length][symbols[row, :length] != 0]
        confidence = float(nonblank.mean().exp()) if len(nonblank) else 0.0
        hypotheses.append(Hypothesis(vocabulary.decode(decoded), length, ids.count(0), confidence))
    return hypotheses


def join_hypotheses(parts: Sequence[Hypothesis]) -> Hypothesis:
    """The hypothesis of an utterance from those of its segments: texts joined by spaces, frames added up."""
    if len(parts) == 1:
        return parts[0]
    weights = [part.frames - part.blank_frames for part in parts]
    logs = sum(weight * math.log(part.confidence) for weight, part in zip(weights, parts, strict=True) if weight)
    return Hypothesis(
        " ".join(part.text for part in parts if part.text),
        sum(part.frames for part in parts),
        sum(part.blank_frames for part in parts),
        math.exp(logs / sum(weights)) if any(weights) else 0.0,
    )
