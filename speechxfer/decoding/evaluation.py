"""Evaluation: transcribe utterances and score the hypotheses against their texts."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from speechxfer.data import Utterance
from speechxfer.decoding.greedy import Hypothesis
from speechxfer.decoding.transcription import transcribe
from speechxfer.models import AcousticModel
from speechxfer.scoring import WerReport, score


def evaluate(
    model: AcousticModel, utterances: Sequence[Utterance], *, resample: bool = False, mono: bool = False
) -> WerReport:
    """Transcribe utterances and score the hypotheses against their texts; arguments and errors as for `transcribe`.

    >>> import speechxfer as sx
    >>> model = sx.load_model("english")
    >>> print(sx.evaluate(model, sx.read_manifest("data/test.jsonl")))  # WER, CER, their 95 % intervals, counts
    WER ...
    """
    return score_hypotheses(model, utterances, transcribe(model, utterances, resample=resample, mono=mono))


def score_hypotheses(
    model: AcousticModel, utterances: Sequence[Utterance], hypotheses: Mapping[str, Hypothesis]
) -> WerReport:
    """Score hypotheses of `model`; the same scorer for training, evaluation and recipes.

    Characters are counted in composed form (NFC) whatever form the model's symbols have, so that models of both forms are
    comparable.
    """
    return score(
        {utterance.id: utterance.text for utterance in utterances},
        {id_: hypothesis.text for id_, hypothesis in hypotheses.items()},
        speakers={utterance.id: utterance.speaker for utterance in utterances},
        normalizer=replace(model.normalizer, form="NFC"),
        vocabulary=model.vocabulary,
        symbol_normalizer=model.normalizer,
    )
