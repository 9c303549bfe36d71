"""Evaluation: transcribe utterances and score the hypotheses against their texts."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from speechxfer.data import Utterance
from speechxfer.decoding.decoder import Decoder
from speechxfer.decoding.hypotheses import Hypothesis
from speechxfer.decoding.inventory import PhoneInventory
from speechxfer.decoding.phone_options import Phones, resolve_phones
from speechxfer.decoding.transcription import transcribe
from speechxfer.features import AudioOptions
from speechxfer.models import AcousticModel
from speechxfer.scoring import Calibration, WerReport, fit_calibration, judge_words, score, score_confidences


def evaluate(
    model: AcousticModel,
    utterances: Sequence[Utterance],
    *,
    resample: bool = False,
    mono: bool = False,
    phones: Phones | None = None,
    decoder: Decoder | None = None,
) -> WerReport:
    """Transcribe utterances and score the hypotheses against their texts; arguments and errors as for `transcribe`.

    Phones of the texts that are not among `phones` are errors; the report counts them as unknown symbols.

    >>> import speechxfer as sx
    >>> model = sx.load_model("english")
    >>> print(sx.evaluate(model, sx.read_manifest("data/test.jsonl")))  # WER, CER, their 95 % intervals, counts
    WER ...
    """
    inventory = resolve_phones(model, phones, utterances, AudioOptions(model.spec, resample, mono))
    hypotheses = transcribe(model, utterances, resample=resample, mono=mono, phones=inventory, decoder=decoder)
    return score_hypotheses(model, utterances, hypotheses, inventory)


def score_hypotheses(
    model: AcousticModel,
    utterances: Sequence[Utterance],
    hypotheses: Mapping[str, Hypothesis],
    inventory: PhoneInventory | None = None,
) -> WerReport:
    """Score hypotheses of `model`; the same scorer for training, evaluation and recipes.

    Characters are counted in composed form (NFC) whatever form the model's symbols have, so that models of both forms are
    comparable.
    """
    report = score(
        {utterance.id: utterance.text for utterance in utterances},
        {id_: hypothesis.text for id_, hypothesis in hypotheses.items()},
        speakers={utterance.id: utterance.speaker for utterance in utterances},
        normalizer=replace(model.normalizer, form="NFC"),
        vocabulary=inventory.vocabulary if inventory else model.vocabulary,
        symbol_normalizer=model.normalizer,
    )
    words = judge_words(report, word_confidences(model, hypotheses))
    confidence = score_confidences(
        words, calibrated=any(one.calibrated for one in hypotheses.values()), seed=report.seed
    )
    return replace(report, phones=inventory.phones if inventory else None, confidence=confidence)


def word_confidences(model: AcousticModel, hypotheses: Mapping[str, Hypothesis]) -> dict[str, list[float]]:
    """Of each hypothesis the confidence of each word of its normalised text; of a classifier that of its label."""
    normalizer = replace(model.normalizer, form="NFC")
    confidences: dict[str, list[float]] = {}
    for id_, hypothesis in hypotheses.items():
        count = len(normalizer(hypothesis.text).split())
        values = [word.confidence for word in hypothesis.words for _ in normalizer(word.text).split()]
        # a label has no words, and normalisation may join words: then each has the confidence of the utterance
        confidences[id_] = values if len(values) == count else [hypothesis.confidence] * count
    return confidences


def fit_confidences(
    model: AcousticModel, report: WerReport, hypotheses: Mapping[str, Hypothesis]
) -> Calibration | None:
    """A calibration for the words of a model from its raw hypotheses of dev and their scores; None with too few words."""
    words = judge_words(report, word_confidences(model, hypotheses))
    return fit_calibration(words.confidences, words.right)
