"""Evaluation: transcribe and score against the manifest's own texts."""

from collections.abc import Sequence
from dataclasses import replace

from speechxfer.data import Utterance
from speechxfer.decoding.greedy import Hypothesis
from speechxfer.decoding.transcription import transcribe
from speechxfer.features import FeatureStore
from speechxfer.models import AcousticModel
from speechxfer.scoring import WerReport, score


def evaluate(
    model: AcousticModel,
    utterances: Sequence[Utterance],
    *,
    resample: bool = False,
    mono: bool = False,
    store: FeatureStore | None = None,
) -> WerReport:
    """Transcribe and score against the manifest's own texts; arguments and errors as for `transcribe`."""
    return score_hypotheses(model, utterances, transcribe(model, utterances, resample=resample, mono=mono, store=store))


def score_hypotheses(
    model: AcousticModel, utterances: Sequence[Utterance], hypotheses: dict[str, Hypothesis]
) -> WerReport:
    """The one scorer on the one kind of hypotheses, for training, evaluation and recipes alike.

    Characters are counted composed (NFC) whatever form the model spells in, so that models of both forms compare.
    """
    return score(
        {utterance.id: utterance.text for utterance in utterances},
        {name: hypothesis.text for name, hypothesis in hypotheses.items()},
        speakers={utterance.id: utterance.speaker for utterance in utterances},
        normalizer=replace(model.normalizer, form="NFC"),
        vocabulary=model.vocabulary,
        symbol_normalizer=model.normalizer,
    )
