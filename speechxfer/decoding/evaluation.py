"""Evaluation: transcribe utterances and score the hypotheses against their texts."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from speechxfer.data import Utterance
from speechxfer.decoding.decoder import Decoder
from speechxfer.decoding.hypotheses import Hypothesis
from speechxfer.decoding.inventory import PhoneInventory, match_phones
from speechxfer.decoding.transcription import Phones, transcribe
from speechxfer.models import AcousticModel
from speechxfer.scoring import WerReport, score


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
    inventory = phones if phones is None or isinstance(phones, PhoneInventory) else match_phones(model, phones)
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
    return replace(report, phones=inventory.vocabulary.symbols[1:]) if inventory else report
