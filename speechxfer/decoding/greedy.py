"""Greedy CTC decoding (best path; Graves et al., ICML 2006), or the most probable word of a classifier."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from speechxfer.features import Batch
from speechxfer.models import AcousticModel


@dataclass(frozen=True)
class Hypothesis:
    """What the model heard in one utterance."""

    text: str
    frames: int
    blank_frames: int
    confidence: float
    """Geometric mean of the chosen symbols' probabilities over the frames that are not blank; 0 where all are. In pauses the
    model is sure of blank, and says nothing of how well it knows the speech."""


def collapse(ids: Sequence[int]) -> list[int]:
    """Drop repeats, then blanks (symbol 0): [0, 3, 3, 0, 3, 5] gives [3, 3, 5]."""
    return [symbol for previous, symbol in zip([0, *ids], ids, strict=False) if symbol not in (0, previous)]


@torch.inference_mode()
def decode_batch(model: AcousticModel, batch: Batch) -> list[Hypothesis]:
    """Hypotheses of a batch, in its order."""
    log_probs, lengths = model(batch.features, batch.lengths)
    best, symbols = log_probs.max(dim=-1)
    hypotheses = []
    for row, length in enumerate(lengths.tolist()):
        ids = symbols[row, :length].tolist()
        kept = ids if model.task == "classify" else collapse(ids)
        written = best[row, :length][symbols[row, :length] != 0]
        confidence = float(written.mean().exp()) if len(written) else 0.0
        hypotheses.append(Hypothesis(model.vocabulary.decode(kept), length, ids.count(0), confidence))
    return hypotheses
