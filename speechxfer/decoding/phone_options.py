"""What the output of a phone model is restricted to: listed phones, those of a language, or those that recordings seem to have.

Given a language that it was not trained on, a model of many languages writes phones that the language lacks. `AUTO` counts the
phones in the model's own transcripts of a sample of the recordings, adds to the log-probability of each phone its log frequency,
and repeats that with the new transcripts: prior probabilities that are re-estimated on data without labels (Saerens, Latinne and
Decaestecker, Neural Computation 2002), in the form of an adjustment of logits (Menon et al., ICLR 2021). At first, and
where few are counted, phones are as frequent as the letters that stand for them in the model's letter tables of all languages.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from speechxfer.data import Utterance
from speechxfer.decoding.inventory import AUTO, PhoneInventory, check_writes_phones, list_language_phones, match_phones
from speechxfer.decoding.log_probs import compute_log_probs
from speechxfer.decoding.segmentation import segment_utterances
from speechxfer.errors import InputError
from speechxfer.features import AudioOptions
from speechxfer.models import AcousticModel
from speechxfer.runtime import gather_items, log_info
from speechxfer.text import Vocabulary

FREQUENCY_WEIGHT = 0.8  # of a phone's log frequency; it and the bonus were chosen on Basque, Kannada and Turkish words
BONUS = 3.0  # for each phone, so that blank does not gain by the log frequencies, which are negative
PRIOR_PHONES = (
    100.0  # as many phones as these, distributed as in the letter tables, are added to those that are counted
)
LEAST_LETTERS = 0.2  # added to the letters that stand for a phone, so that none is impossible
ROUNDS = 3
SAMPLE_S = 1800.0  # of recordings, whose phones are counted
SHOWN_SHARE = 0.95  # of the phones in the sample, which stderr shows

Phones: TypeAlias = Sequence[str] | PhoneInventory


@dataclass(frozen=True)
class PhoneOptions:
    """What a user restricts the output to: listed phones, the phones of a language, those of the recordings, or nothing.

    Attributes:
        phones: as for `match_phones`, or `AUTO` (in any case, with spaces around it or not); None: not given.
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
        return isinstance(self.phones, str) and self.phones.strip().casefold() == AUTO

    def inventory(self, model: AcousticModel) -> PhoneInventory | None:
        """The inventory of this model, or None; errors as for `match_phones` and `list_language_phones`.

        Raises:
            InputError: the phones are to be estimated, for which `estimate_phones` needs recordings.
        """
        if self.is_auto:
            raise InputError(
                f"--phones {AUTO}: phones are estimated by `transcribe`, `evaluate` and `report`; here, list the phones, or name "
                "the language (--language)"
            )
        if self.language is not None:
            return match_phones(model, list_language_phones(model, self.language))
        return None if self.phones is None else match_phones(model, self.phones)

    def inventory_for(
        self, model: AcousticModel, utterances: Sequence[Utterance], audio: AudioOptions
    ) -> PhoneInventory | None:
        """The inventory of this model for utterances of one language; errors as for `inventory` and `estimate_phones`."""
        return estimate_phones(model, sample_utterances(utterances), audio) if self.is_auto else self.inventory(model)


def resolve_phones(
    model: AcousticModel, phones: Phones | None, utterances: Sequence[Utterance], audio: AudioOptions
) -> PhoneInventory | None:
    """The inventory that `transcribe` and `evaluate` were given in Python: `AUTO`, a list or an inventory; None: none."""
    if phones is None or isinstance(phones, PhoneInventory):
        return phones
    return PhoneOptions(phones).inventory_for(model, utterances, audio)


def sample_utterances(utterances: Sequence[Utterance], length_s: float = SAMPLE_S) -> list[Utterance]:
    """A random sample of about `length_s` seconds, in the order of the utterances: all of them if they are not longer."""
    total_s, chosen = 0.0, []
    for index in np.random.default_rng(0).permutation(len(utterances)):
        if total_s >= length_s:
            break
        chosen.append(int(index))
        total_s += utterances[index].duration
    return [utterances[index] for index in sorted(chosen)]


def estimate_phones(model: AcousticModel, utterances: Sequence[Utterance], audio: AudioOptions) -> PhoneInventory:
    """All phones of a model, weighted by how often its own transcripts of utterances have them; stderr shows the phones.

    Args:
        model: writes phones; its device is used.
        utterances: of one language; their texts are not read. Long ones are cut at pauses.
        audio: how they are read.

    Raises:
        InputError: the model writes no phones, or an utterance cannot be read.

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
    segments = segment_utterances(utterances, audio).segments
    log_probs = [one for _, one in gather_items(list(compute_log_probs(model, segments, audio)))]
    return weight_phones(log_probs, model.vocabulary)


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
    log_info(f"phones {AUTO}: in % of {int(counts.sum()):,} phones in a sample: {frequent or 'none'}")
    if counts.sum() < PRIOR_PHONES:
        log_info(
            f"warning: --phones {AUTO}: {int(counts.sum())} phones are too few to tell which phones the language has, so they "
            "are weighted mostly by the letter tables of all languages; give more recordings of it in one call"
        )
