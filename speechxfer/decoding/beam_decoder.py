"""The beam search as a decoder: hypotheses with words and their times, and the n best texts."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
import torchaudio
from torch import Tensor

from speechxfer.decoding.beam_search import Candidate, SearchSettings, beam_search
from speechxfer.decoding.hypotheses import Hypothesis, ScoredText, find_symbol_spans, words_of_spans
from speechxfer.decoding.scorers import Scorer
from speechxfer.scoring import Calibration
from speechxfer.text import Vocabulary


@dataclass(frozen=True)
class BeamDecoder:
    """A `Decoder` that searches for the best texts.

    Attributes:
        vocabulary: of the log-probabilities: the model's, or that of an inventory of phones.
        frame_s: seconds per encoder frame.
        scorers: language models and boosted phrases.
        settings: of the search.
        name: how rows of results and reports name the decoder.
        device: where the search runs; that of the scorers.
        nbest: how many alternatives a hypothesis has, all of them different; fewer if the beam holds fewer.
        calibration: of the confidences of words, fitted when the weights were tuned; None: they stay raw.
    """

    vocabulary: Vocabulary
    frame_s: float
    scorers: tuple[Scorer, ...] = ()
    settings: SearchSettings = field(default_factory=SearchSettings)
    name: str = "beam"
    device: torch.device | str = "cpu"
    nbest: int = 0
    calibration: Calibration | None = None

    def decode(self, log_probs: Sequence[Tensor]) -> list[Hypothesis]:
        """Hypotheses from log-probabilities, `[frames, symbols]` each; times are those of a text's most probable alignment."""
        found = self._search(log_probs, self.settings.beam if self.nbest else 1)
        return [self._hypothesis(candidates, one) for candidates, one in zip(found, log_probs, strict=True)]

    def decode_texts(self, log_probs: Sequence[Tensor]) -> list[str]:
        """Only the best texts, without times, which is faster."""
        return [self.vocabulary.decode(best[0].ids) for best in self._search(log_probs, 1)]

    @torch.inference_mode()
    def _search(self, log_probs: Sequence[Tensor], nbest: int) -> list[list[Candidate]]:
        return beam_search([one.to(self.device) for one in log_probs], self.scorers, self.settings, nbest=nbest)

    def _hypothesis(self, candidates: Sequence[Candidate], log_probs: Tensor) -> Hypothesis:
        ids = candidates[0].ids
        spans = find_symbol_spans(align(log_probs, ids))
        chosen = [log_probs[span.start : span.end, span.symbol] for span in spans]
        return Hypothesis(
            text=self.vocabulary.decode(ids),
            frames=len(log_probs),
            blank_frames=int((log_probs.argmax(dim=1) == 0).sum()) if len(log_probs) else 0,
            confidence=float(torch.cat(chosen).mean().exp()) if chosen else 0.0,
            words=words_of_spans(spans, log_probs, self.vocabulary, self.frame_s),
            alternatives=self._different_texts(candidates)[: self.nbest],
        )

    def _different_texts(self, candidates: Sequence[Candidate]) -> tuple[ScoredText, ...]:
        texts: dict[str, ScoredText] = {}
        for candidate in candidates:
            text = self.vocabulary.decode(candidate.ids)
            texts.setdefault(text, ScoredText(text, candidate.score, candidate.acoustic))
        return tuple(texts.values())


def align(log_probs: Tensor, ids: Sequence[int]) -> list[int]:
    """The most probable path of a sequence of symbols, one id a frame."""
    if not ids:
        return [0] * len(log_probs)
    targets = torch.tensor([ids], dtype=torch.int32, device=log_probs.device)
    path, _ = torchaudio.functional.forced_align(log_probs[None].float(), targets)
    return [int(symbol) for symbol in path[0]]
