"""Training of n-gram models: texts in, a compact file or an ARPA file out."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from speechxfer.errors import InputError, count_of
from speechxfer.language_models.arpa import write_arpa
from speechxfer.language_models.binary import create_binary
from speechxfer.language_models.corpus import write_corpus
from speechxfer.language_models.counting import OrderCounts, count_ngrams
from speechxfer.language_models.kneser_ney import OrderModel, smooth
from speechxfer.language_models.scratch import Scratch, blocks, scratch_folder
from speechxfer.language_models.tables import BEGIN_ID, MAX_ORDER, NgramTables, Unit
from speechxfer.runtime import log_info, track
from speechxfer.text import Normalizer

BEGIN_LOG_PROB = -99 * np.log(10)  # of <s>, which is never predicted, as in SRILM


@dataclass(frozen=True)
class NgramSettings:
    """How an n-gram model is trained.

    Attributes:
        order: number of words, or characters, in the longest n-grams.
        unit: "word" or "character".
        prune: for orders 1, 2 and so on: n-grams that occur at most so often are removed; ascending, the first is 0, the last
            one is for all further orders. Empty: nothing is removed.
        normalizer: applied to the texts and stored with the model; None: words are separated by spaces, and nothing is changed.

    Raises:
        InputError: a value is not one of these.
    """

    order: int = 4
    unit: Unit = "word"
    prune: tuple[int, ...] = ()
    normalizer: Normalizer | None = Normalizer()

    def __post_init__(self) -> None:
        if not 1 <= self.order <= MAX_ORDER:
            raise InputError(f"language model: order {self.order}; expected 1 to {MAX_ORDER}")
        if self.unit not in get_args(Unit):
            raise InputError(f"language model: unit {self.unit!r}; expected {' or '.join(get_args(Unit))}")
        if len(self.prune) > self.order or list(self.prune) != sorted(self.prune) or (self.prune and self.prune[0]):
            shown = " ".join(map(str, self.prune))
            raise InputError(
                f"language model: prune {shown!r}; expected at most {self.order} ascending counts, the first of them 0, "
                "such as 0 0 1 (single words are not removed)"
            )

    @property
    def thresholds(self) -> tuple[int, ...]:
        """The pruning count of every order."""
        given = self.prune or (0,)
        return (*given, *(given[-1] for _ in range(self.order - len(given))))


@dataclass(frozen=True)
class TrainedNgrams:
    """What was trained on, and the vocabulary and number of n-grams of each order that came of it."""

    words: tuple[str, ...]
    sentences: int
    tokens: int
    counts: tuple[int, ...]

    def __str__(self) -> str:
        orders = ", ".join(f"{order}: {count:,}" for order, count in enumerate(self.counts, start=1))
        return f"{count_of(self.sentences, 'sentence')}, {count_of(self.tokens, 'token')}; n-grams of order {orders}"


def train_ngrams(
    texts: Iterable[str], out: Path | str, settings: NgramSettings = NgramSettings(), *, arpa: bool = False
) -> TrainedNgrams:
    """Train a model with interpolated modified Kneser-Ney smoothing; memory is bounded, files beside `out` take the rest.

    Args:
        texts: one sentence each; those without a word are reported and are no sentences.
        out: the file.
        settings: order, unit, pruning, normaliser.
        arpa: whether to write an ARPA file, compressed if its name ends in ``.gz``, or a compact file. Names that end in
            ``.arpa`` or ``.arpa.gz`` are always ARPA files.

    Raises:
        InputError: there is no text, a text contains a reserved word, or the place cannot be written.
    """
    out = Path(out)
    arpa = arpa or out.name.endswith((".arpa", ".arpa.gz"))
    with scratch_folder(out) as scratch:
        corpus = write_corpus(track(texts, "sentences"), scratch, settings.unit, settings.normalizer)
        if corpus.empty:
            log_info(f"{count_of(corpus.empty, 'text')} without a word: not among the {corpus.sentences:,} sentences")
        orders = [ngrams for ngrams in count_ngrams(corpus, settings.order, scratch) if len(ngrams.keys)]
        models = smooth(orders, settings.thresholds, scratch)
        kept = [int(np.count_nonzero(model.is_kept)) for model in models]
        while not kept[-1]:
            kept.pop()
        if len(kept) < settings.order:
            log_info(f"there are no n-grams of order {len(kept) + 1}, so the model is of order {len(kept)}")
        file = scratch.path() if arpa else out
        with create_binary(file, corpus.words, tuple(kept), settings.unit, settings.normalizer) as tables:
            _fill(tables, orders, models, scratch)
            if arpa:
                write_arpa(tables, out)
    trained = TrainedNgrams(corpus.words, corpus.sentences, len(corpus.tokens) - 2 * corpus.sentences, tuple(kept))
    log_info(f"{out}: {trained}")
    return trained


def _fill(tables: NgramTables, orders: Sequence[OrderCounts], models: Sequence[OrderModel], scratch: Scratch) -> None:
    """Write the n-grams that were not pruned; their numbers within an order become rows of the model."""
    words = len(tables.words)
    below: NDArray[np.int32] = np.zeros(
        1, dtype=np.int32
    )  # the row of each n-gram of the order below; of order 0, row 0
    is_kept_below = np.ones(1, dtype=np.bool_)
    for order in range(1, tables.order + 1):
        ngrams, model = orders[order - 1], models[order - 1]
        rows: NDArray[np.int32] = scratch.array(np.int32, len(ngrams.keys))
        end = tables.rows_of(order).start
        for block in blocks(len(rows)):
            is_kept = model.is_kept[block]
            rows[block] = end + np.cumsum(is_kept) - 1
            new = slice(end, end + int(np.count_nonzero(is_kept)))
            context, last = np.divmod(ngrams.keys[block][is_kept], words)
            tables.keys[new] = below[context].astype(np.int64) * words + last
            tables.links[new] = below[ngrams.links[block][is_kept]]
            tables.log_probs[new] = np.minimum(np.log(model.probs[block][is_kept]), 0)
            end = new.stop
        for block in blocks(len(below) if order > 1 else 0):
            contexts = is_kept_below[block]
            tables.backoffs[below[block][contexts]] = np.log(model.weights[block][contexts])
        below, is_kept_below = rows, model.is_kept
    tables.log_probs[1 + BEGIN_ID] = BEGIN_LOG_PROB
