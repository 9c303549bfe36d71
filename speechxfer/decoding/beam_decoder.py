"""The beam search as a decoder: hypotheses with words and their times, and the n best texts."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torchaudio
from torch import Tensor

from speechxfer.decoding.beam_search import Candidate, SearchSettings, beam_search
from speechxfer.decoding.hypotheses import Hypothesis, find_symbol_spans, words_of_spans
from speechxfer.decoding.scorers import Scorer
from speechxfer.text import Vocabulary


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
class BeamDecoder:
    """A `Decoder` that searches for the best texts.

    Attributes:
        vocabulary: of the log-probabilities: the model's, or that of an inventory of phones.
        frame_s: seconds per encoder frame.
        scorers: language models and boosted phrases.
        settings: of the search.
        name: how rows of results and reports name the decoder.
    """

    vocabulary: Vocabulary
    frame_s: float
    scorers: tuple[Scorer, ...] = ()
    settings: SearchSettings = SearchSettings()
    name: str = "beam"

    def decode(self, log_probs: Sequence[Tensor]) -> list[Hypothesis]:
        """Hypotheses of utterances from their log-probabilities, `[frames, symbols]` each; times are those of the best alignment."""
        found = beam_search(log_probs, self.scorers, self.settings)
        return [self._hypothesis(best[0], one) for best, one in zip(found, log_probs, strict=True)]

    def decode_texts(self, log_probs: Sequence[Tensor]) -> list[str]:
        """Only the best texts, without times, which is faster."""
        return [self.vocabulary.decode(best[0].ids) for best in beam_search(log_probs, self.scorers, self.settings)]

    def nbest(self, log_probs: Sequence[Tensor], count: int) -> list[list[ScoredText]]:
        """The best texts of each utterance, all different, best first; fewer than `count` if the beam holds fewer."""
        found = beam_search(log_probs, self.scorers, self.settings, nbest=self.settings.beam)
        return [self._different_texts(candidates)[:count] for candidates in found]

    def _different_texts(self, candidates: Sequence[Candidate]) -> list[ScoredText]:
        texts: dict[str, ScoredText] = {}
        for candidate in candidates:
            text = self.vocabulary.decode(candidate.ids)
            texts.setdefault(text, ScoredText(text, candidate.score, candidate.acoustic))
        return list(texts.values())

    def _hypothesis(self, candidate: Candidate, log_probs: Tensor) -> Hypothesis:
        path = align(log_probs, candidate.ids)
        spans = find_symbol_spans(path)
        chosen = [log_probs[span.start : span.end, span.symbol] for span in spans]
        confidence = float(torch.cat(chosen).mean().exp()) if chosen else 0.0
        blank_frames = int((log_probs.argmax(dim=1) == 0).sum()) if len(log_probs) else 0
        words = words_of_spans(spans, log_probs, self.vocabulary, self.frame_s)
        return Hypothesis(self.vocabulary.decode(candidate.ids), len(log_probs), blank_frames, confidence, words)


def align(log_probs: Tensor, ids: Sequence[int]) -> list[int]:
    """The most probable path of a sequence of symbols, one id a frame."""
    if not ids:
        return [0] * len(log_probs)
    targets = torch.tensor([ids], dtype=torch.int32, device=log_probs.device)
    path, _ = torchaudio.functional.forced_align(log_probs[None].float(), targets)
    return [int(symbol) for symbol in path[0]]
