"""The search for weights of language models and boosted phrases on development data.

Weights are tried: first at random within ranges, then from the best ones with one weight changed at a time, by steps that become
smaller (pattern search; Hooke and Jeeves, JACM 1961). The sum of word and character error rate is minimised, since on little data
the word error rate alone has many equal values.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice, product

import numpy as np
from torch import Tensor

from speechxfer.data import Utterance
from speechxfer.decoding import (
    Fusion,
    FusionWeights,
    GreedyDecoder,
    PhoneInventory,
    fit_confidences,
    score_hypotheses,
)
from speechxfer.models import AcousticModel
from speechxfer.runtime import track
from speechxfer.scoring import Calibration, error_rates
from speechxfer.workflows.decoders import StoredWeights, build_beam_decoder

TRIALS = 100
RANDOM_TRIALS = 30
RANGES = {  # in which weights are tried at random; the pattern search may leave them
    "symbol_scale": (0.2, 1.2),
    "symbol_bonus": (0.0, 1.2),
    "word_scale": (0.1, 0.8),
    "word_bonus": (-1.0, 2.0),
    "unknown_word": (-8.0, 2.0),
    "boost": (0.5, 3.0),
}


@dataclass(frozen=True)
class Trial:
    """Weights that were tried, and the error rates that they gave, as fractions."""

    weights: FusionWeights
    wer: float
    cer: float

    @property
    def cost(self) -> float:
        """What is minimised."""
        return self.wer + self.cer


@dataclass(frozen=True)
class WeightSearch:
    """Development data with its log-probabilities, and the parts of the search whose weights are tuned."""

    model: AcousticModel
    utterances: Sequence[Utterance]
    log_probs: Sequence[Tensor]
    fusion: Fusion
    inventory: PhoneInventory | None

    def search(self, beam: int, trials: int) -> list[Trial]:
        """Try weights; the trials, best first."""
        tried: dict[FusionWeights, Trial] = {}
        proposals = islice(propose_weights(self.fusion.used_weights(), tried), trials)
        for weights in track(proposals, "tuning", total=trials):
            decoder = build_beam_decoder(self.model, self.fusion, weights, beam, self.inventory)
            tried[weights] = Trial(weights, *self._rates(decoder.decode_texts(self.log_probs)))
        return sorted(tried.values(), key=lambda trial: trial.cost)

    def greedy_rates(self) -> tuple[float, float]:
        """Word and character error rate of greedy decoding."""
        vocabulary = self.inventory.vocabulary if self.inventory else None
        greedy = GreedyDecoder.of_model(self.model, vocabulary)
        return self._rates([hypothesis.text for hypothesis in greedy.decode(self.log_probs)])

    def stored(self, best: Trial, beam: int, dev: str, phrases: str = "") -> StoredWeights:
        """The best weights as they are stored with a model: with a calibration, and where they were tuned.

        Args:
            dev: name of the development data.
            phrases: the list of boosted phrases, as `describe_phrases` returns it.
        """
        calibration = self._calibrate(best.weights, beam)
        rates = (100 * best.wer, 100 * best.cer)
        return StoredWeights(beam, best.weights, self.fusion.name, dev, *rates, calibration, phrases)

    def _calibrate(self, weights: FusionWeights, beam: int) -> Calibration | None:
        """A calibration of the confidences of the words that are found with these weights."""
        decoder = build_beam_decoder(self.model, self.fusion, weights, beam, self.inventory)
        hypotheses = {u.id: one for u, one in zip(self.utterances, decoder.decode(self.log_probs), strict=True)}
        report = score_hypotheses(self.model, self.utterances, hypotheses, self.inventory)
        return fit_confidences(self.model, report, hypotheses)

    def _rates(self, texts: Sequence[str]) -> tuple[float, float]:
        normalizer = replace(self.model.normalizer, form="NFC")
        pairs = [(utterance.text, text) for utterance, text in zip(self.utterances, texts, strict=True)]
        return error_rates(pairs, normalizer, self.model.vocabulary)


def propose_weights(names: Sequence[str], tried: Mapping[FusionWeights, Trial]) -> Iterator[FusionWeights]:
    """Weights to try next, given the trials so far, which have to hold each proposal before the next one is asked for.

    The defaults, then random ones, then steps from the best ones, until the steps are small.
    """
    yield FusionWeights()
    rng = np.random.default_rng(0)
    for _ in range(RANDOM_TRIALS):
        yield replace(FusionWeights(), **{name: round(float(rng.uniform(*RANGES[name])), 3) for name in names})
    step = 1 / 4  # of a range
    while step >= 1 / 32:
        cost = min(trial.cost for trial in tried.values())
        for name, sign in product(names, (1, -1)):
            best = min(tried.values(), key=lambda trial: trial.cost).weights
            low, high = RANGES[name]
            value = round(getattr(best, name) + sign * step * (high - low), 3)
            weights = replace(best, **{name: value if low < 0 else max(0.0, value)})
            if weights not in tried:
                yield weights
        if min(trial.cost for trial in tried.values()) == cost:
            step /= 2
