"""The interface of a decoder: log-probabilities of utterances to hypotheses."""

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor

from speechxfer.decoding.hypotheses import Hypothesis
from speechxfer.scoring import Calibration


class Decoder(Protocol):
    """Greedy decoding or a search; `transcribe` and `evaluate` take one."""

    @property
    def calibration(self) -> Calibration | None:
        """That of its confidences, which `transcribe` applies; None: they stay raw."""

    def decode(self, log_probs: Sequence[Tensor]) -> list[Hypothesis]:
        """Hypotheses of utterances from their log-probabilities, float32 `[frames, symbols]` each, in their order."""
