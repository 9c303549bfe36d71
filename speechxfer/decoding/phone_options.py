"""What the output of a phone model is restricted to: listed phones, those of a language, or those that recordings seem to have.

Given a language that it was not trained on, a model of many languages writes phones that the language lacks. `AUTO_PHONES` counts
the phones in the model's own transcripts of a sample of the recordings, adds to the log-probability of each phone its log
frequency, and repeats that with the new transcripts: prior probabilities that are re-estimated on data without labels (Saerens,
Latinne and Decaestecker, Neural Computation 2002), in the form of an adjustment of logits (Menon et al., ICLR 2021). At first,
and where few are counted, phones are as frequent as letters that stand for them in the model's letter tables of all languages.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from speechxfer.data import Samples, Utterance, collect_audio_warnings, sample_seconds
from speechxfer.decoding.inventory import PhoneInventory, check_writes_phones, list_language_phones, match_phones
from speechxfer.decoding.log_probs import compute_log_probs, read_features
from speechxfer.decoding.segmentation import segment_recording
from speechxfer.errors import InputError
from speechxfer.features import AudioOptions, ComputedFeatures
from speechxfer.models import AcousticModel
from speechxfer.runtime import gather_items, log_info
from speechxfer.text import AUTO_PHONES, Vocabulary

FREQUENCY_WEIGHT = 0.8  # of a phone's log frequency; it and the bonus were chosen on Basque, Kannada and Turkish words
BONUS = 3.0  # for each phone, so that blank does not gain by the log frequencies, which are negative
PRIOR_PHONES = (
    100.0  # as many phones as these, distributed as in the letter tables, are added to those that are counted
)
LEAST_LETTERS = 0.2  # added to the letters that stand for a phone, so that none is impossible
ROUNDS = 3
SAMPLE_S = 1800.0  # of recordings, whose phones are counted
EXCERPT_S = 120.0  # of a long recording among many
SHOWN_SHARE = 0.95  # of the phones in the sample, which stderr shows

Phones: TypeAlias = Sequence[str] | PhoneInventory


@dataclass(frozen=True)
class PhoneOptions:
    """What a user restricts the output to: listed phones, the phones of a language, those of the recordings, or nothing.

    Attributes:
        phones: as for `match_phones`, or `AUTO_PHONES` (in any case, with spaces around it or not); None: not given.
        language: as for `list_language_phones`; None: not given.

    Raises:
        InputError: both are given.
    """

    phones: str | Sequence[str] | None = None
    language: str | None = None

    def __post_init__(self) -> None:
        if self.phones is not None and self.language is not None:
            raise InputError("--phones and --language both restrict the output; give one of them")

    def __bool__(self) -> bool:
        return self.phones is not None or self.language is not None

    @property
    def is_auto(self) -> bool:
        """Whether the phones are to be estimated from recordings."""
        return isinstance(self.phones, str) and self.phones.strip().casefold() == AUTO_PHONES

    def inventory(self, model: AcousticModel) -> PhoneInventory | None:
        """The inventory of this model, or None; errors as for `match_phones` and `list_language_phones`.

        Raises:
            InputError: the phones are to be estimated, for which recordings are needed.
        """
        if self.is_auto:
            raise InputError(
                "--phones auto: phones are estimated by `transcribe`, `evaluate` and `report`; here, list the phones, or name "
                "the language (--language)"
            )
        if self.language is not None:
            return match_phones(model, list_language_phones(model, self.language))
        return None if self.phones is None else match_phones(model, self.phones)

    def inventory_for(
        self, model: AcousticModel, utterances: Sequence[Utterance], audio: AudioOptions
    ) -> PhoneInventory | None:
        """The inventory of this model for utterances of one language; errors as for `inventory` and `estimate_phones`."""
        return estimate_phones(model, utterances, audio) if self.is_auto else self.inventory(model)


def resolve_phones(
    model: AcousticModel, phones: Phones | None, utterances: Sequence[Utterance], audio: AudioOptions
) -> PhoneInventory | None:
    """The inventory that `transcribe` and `evaluate` were given in Python: `AUTO_PHONES`, a list or an inventory; None: none."""
    if phones is None or isinstance(phones, PhoneInventory):
        return phones
    return PhoneOptions(phones).inventory_for(model, utterances, audio)


def estimate_phones(model: AcousticModel, utterances: Sequence[Utterance], audio: AudioOptions) -> PhoneInventory:
    """All phones of a model, weighted by how often its own transcripts of utterances have them; stderr shows the phones.

    They are counted in a random sample of about `SAMPLE_S`, of long recordings in excerpts. What cannot be read is not counted:
    whoever transcribes it reports that. Every process has to call it, and gets the same phones.

    Args:
        model: writes phones; its device is used.
        utterances: of one language, or whole recordings; their texts are not read.
        audio: how they are read.

    Raises:
        InputError: the model writes no phones.

    >>> import speechxfer as sx
    >>> from speechxfer.decoding import estimate_phones
    >>> from speechxfer.features import AudioOptions
    >>> model = sx.load_model("multilingual-small")
    >>> utterances = sx.read_manifest("data/test.jsonl")
    >>> weighted = estimate_phones(model, utterances, AudioOptions(model.spec, resample=True, mono=True))
    phones auto: ...
    >>> hypotheses = sx.transcribe(model, utterances, phones=weighted, resample=True, mono=True)
    """
    check_writes_phones(model)
    with collect_audio_warnings() as warnings:
        sample = sample_seconds(_excerpts(utterances), SAMPLE_S)
        read = [part for utterance in sample for part in _read_parts(model, utterance, audio)]
        store = ComputedFeatures([values for _, features in read for values in features])
        own = [log_probs for _, log_probs in compute_log_probs(model, [part for part, _ in read], audio, store=store)]
        warnings.clear()  # they are reported when everything is transcribed
    return weight_phones(gather_items(own), model.vocabulary)


def _excerpts(utterances: Sequence[Utterance]) -> list[Utterance]:
    """The utterances; of each long one a part at a random place, so that many recordings have a part in the sample."""
    longest_s = max(EXCERPT_S, SAMPLE_S / max(1, len(utterances)))
    rng = np.random.default_rng(0)
    excerpts = []
    for utterance in utterances:
        left_s = utterance.duration - longest_s
        if left_s > 0:
            start_s = float(rng.uniform(0.0, left_s))
            utterance = replace(utterance, offset=utterance.offset + start_s, duration=longest_s)
        excerpts.append(utterance)
    return excerpts


def _read_parts(
    model: AcousticModel, utterance: Utterance, audio: AudioOptions
) -> Iterator[tuple[Utterance, Sequence[Samples]]]:
    """The parts of an utterance in which somebody speaks, with the features of their windows; without unreadable ones."""
    with suppress(InputError):
        for part in segment_recording(utterance, audio):
            features = read_features(model, [part], audio).values
            if len(features[0]):  # else it is shorter than one frame
                yield part, features


def weight_phones(log_probs: Sequence[Tensor], vocabulary: Vocabulary) -> PhoneInventory:
    """All phones of a vocabulary, weighted by how often best paths through log-probabilities `[frames, symbols]` have them."""
    symbols = len(vocabulary.symbols)
    prior = PRIOR_PHONES * _letter_shares(vocabulary)
    counts, weights = torch.zeros(symbols), _weights(prior)
    for _ in range(ROUNDS):
        counts = torch.zeros(symbols)
        for path in _best_paths(log_probs, weights):
            counts += torch.bincount(path, minlength=symbols)
        weights = _weights(counts + prior)
    _show(counts, vocabulary)
    return PhoneInventory(tuple(range(symbols)), vocabulary, tuple(weights.tolist()))


def _letter_shares(vocabulary: Vocabulary) -> Tensor:
    """Of the letters in all letter tables, the share that stands for each symbol, ``[symbols]``; without tables all are equal."""
    letters = Counter(phone for table in vocabulary.letters.values() for phone in table.values())
    counts = torch.tensor([0.0, *(letters[symbol] + LEAST_LETTERS for symbol in vocabulary.symbols[1:])])
    return counts / counts.sum()


def _weights(counts: Tensor) -> Tensor:
    """Weights of symbols that occur so often, ``[symbols]``, of which the first is blank."""
    weights = FREQUENCY_WEIGHT * (counts / counts.sum()).log() + BONUS
    weights[0] = 0.0
    return weights


def _best_paths(log_probs: Sequence[Tensor], weights: Tensor) -> Iterator[Tensor]:
    """The phones of the best paths, repetitions merged and blanks removed."""
    for one in log_probs:
        path = (one + weights).argmax(dim=-1)
        begins = torch.ones(len(path), dtype=torch.bool)
        begins[1:] = path[1:] != path[:-1]
        yield path[begins & (path > 0)]


def _show(counts: Tensor, vocabulary: Vocabulary) -> None:
    order = counts.argsort(descending=True, stable=True)
    shares = counts[order] / counts.sum().clamp_min(1)
    needed = min(int((shares.cumsum(0) < SHOWN_SHARE).sum()) + 1, int((counts > 0).sum()))
    frequent = ", ".join(f"{vocabulary.symbols[int(order[n])]} {100 * float(shares[n]):.1f}" for n in range(needed))
    log_info(f"phones auto: in % of {int(counts.sum()):,} phones in a sample: {frequent or 'none'}")
    if counts.sum() < PRIOR_PHONES:
        log_info(
            f"warning: --phones auto: {int(counts.sum())} phones are too few to tell which phones the language has, so they "
            "are weighted mostly by the letter tables of all languages; give more recordings of it in one call"
        )
