"""Greedy CTC decoding (best path; Graves et al., ICML 2006), or the most probable word of a classifier."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from speechxfer.decoding.hypotheses import Hypothesis, find_symbol_spans, words_of_spans
from speechxfer.decoding.log_probs import frame_duration_s
from speechxfer.models import AcousticModel, Task
from speechxfer.scoring import Calibration
from speechxfer.text import Vocabulary


@dataclass(frozen=True)
class GreedyDecoder:
    """A `Decoder` that chooses the most probable symbol of every frame.

    Attributes:
        vocabulary: of the log-probabilities: the model's, or that of an inventory of phones.
        frame_s: seconds per encoder frame.
        task: of the model; a classifier has one distribution instead of frames.
        calibration: of the confidences of words; None: they stay raw.
    """

    vocabulary: Vocabulary
    frame_s: float
    task: Task = "ctc"
    calibration: Calibration | None = None

    @classmethod
    def of_model(cls, model: AcousticModel, vocabulary: Vocabulary | None = None) -> "GreedyDecoder":
        """The greedy decoder of a model's outputs; with another vocabulary, of an inventory, it is not calibrated."""
        calibration = None if vocabulary else model.calibration
        return cls(vocabulary or model.vocabulary, frame_duration_s(model), model.task, calibration)

    def decode(self, log_probs: Sequence[Tensor]) -> list[Hypothesis]:
        """Hypotheses of utterances from their log-probabilities, `[frames, symbols]` each."""
        return [self._decode_one(one) for one in log_probs]

    def _decode_one(self, log_probs: Tensor) -> Hypothesis:
        best, symbols = log_probs.max(dim=-1)
        path = symbols.tolist()
        nonblank = best[symbols != 0]
        confidence = float(nonblank.mean().exp()) if len(nonblank) else 0.0
        if self.task == "classify":
            return Hypothesis(self.vocabulary.decode(path), len(path), 0, confidence)
        spans = find_symbol_spans(path)
        text = self.vocabulary.decode([span.symbol for span in spans])
        words = words_of_spans(spans, log_probs, self.vocabulary, self.frame_s)
        return Hypothesis(text, len(path), path.count(0), confidence, words)
