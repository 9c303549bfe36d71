"""Targets: the symbols of every training text, and the frames that they need."""

from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
import numpy.typing as npt
import torch

from speechxfer.checking import ctc_frames_needed
from speechxfer.config import DataConfig
from speechxfer.data import Utterance
from speechxfer.errors import InputError, first_names
from speechxfer.features import Flags, FrameCounts
from speechxfer.models import AcousticModel
from speechxfer.runtime import log_info


@dataclass(frozen=True)
class Targets(Sequence[list[int]]):
    """Symbols of utterances, one after the other: a tenth of the memory of a list for each."""

    symbols: "array[int]"
    ends: "array[int]"
    """Of each utterance, where its symbols end."""

    def __len__(self) -> int:
        return len(self.ends)

    @overload
    def __getitem__(self, index: int) -> list[int]: ...

    @overload
    def __getitem__(self, index: slice) -> list[list[int]]: ...

    def __getitem__(self, index: int | slice) -> list[int] | list[list[int]]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        index = range(len(self))[index]
        return self.symbols[self.ends[index - 1] if index else 0 : self.ends[index]].tolist()

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """int64 `[utterances]`."""
        ends = np.array(self.ends, dtype=np.int64)
        ends[1:] -= ends[:-1].copy()
        return ends


def encode_targets(model: AcousticModel, train: Sequence[Utterance], data: DataConfig) -> Targets:
    """The symbols of every training text.

    Raises:
        InputError: utterances without text or with unknown symbols, or, for `classify`, of several words; named by id.
    """
    vocabulary, normalizer = model.vocabulary, model.normalizer
    targets = Targets(array("H" if len(vocabulary.symbols) < 1 << 16 else "i"), array("q"))
    skipped: Counter[str] = Counter()
    for utterance in train:
        text = normalizer(utterance.text)
        targets.symbols.extend(vocabulary.encode(text, utterance_id=utterance.id, unknown=data.unknown_symbols))
        targets.ends.append(len(targets.symbols))
        if data.unknown_symbols == "skip":
            skipped.update(vocabulary.unknown(text))
    empty = [train[i].id for i in np.flatnonzero(targets.lengths == 0).tolist()]
    if empty:
        raise InputError(
            f"{len(empty)} training utterances have no text left after normalisation ({first_names(empty)}); write their text "
            "or remove them (`speechxfer check --fix` does)"
        )
    if skipped:
        log_info(f"skipped symbols of the training texts: {dict(skipped.most_common(20))}")
    several = [train[i].id for i in np.flatnonzero(targets.lengths != 1).tolist()] if model.task == "classify" else []
    if several:
        raise InputError(
            f"classify needs one label per utterance; {len(several)} have several ({first_names(several)})"
        )
    return targets


def find_feasible_speeds(
    model: AcousticModel, train: Sequence[Utterance], targets: Targets, frames: FrameCounts
) -> Flags:
    """At which speed factors each utterance has enough frames for CTC, `[speeds, utterances]`.

    Args:
        frames: of the features, `[speeds, utterances]`.

    Raises:
        InputError: there is none for some utterances, named by id.
    """
    lengths = torch.from_numpy(frames)
    encoded = (model.encoder.output_lengths(lengths) if model.task == "ctc" else lengths).numpy()
    needed = np.fromiter((frames_needed(model, target) for target in targets), np.int64, len(targets))
    feasible: Flags = encoded >= needed
    infeasible = [
        f"{train[i].id} ({encoded[:, i].max()} frames for {needed[i]})"
        for i in np.flatnonzero(~feasible.any(axis=0)).tolist()
    ]
    if infeasible:
        raise InputError(
            f"{len(infeasible)} training utterances have fewer encoder frames than CTC needs for their text "
            f"({first_names(infeasible)}); check their transcripts, remove them (`speechxfer check --fix` does), or use a "
            "smaller subsampling"
        )
    return feasible


def frames_needed(model: AcousticModel, target: Sequence[int]) -> int:
    """The fewest encoder frames (of a classifier: feature frames) with which an utterance can be trained on."""
    return max(1, ctc_frames_needed(target)) if model.task == "ctc" else 1
