"""Training targets (the symbols of each text) and their CTC feasibility.

CTC can align a text only if there are at least as many encoder frames as symbols and adjacent repeats (Graves et al., 2006).
"""

from collections import Counter
from collections.abc import Sequence

import torch

from speechxfer.checking import ctc_frames_needed
from speechxfer.config import DataConfig
from speechxfer.data import Utterance
from speechxfer.errors import InputError, first_names
from speechxfer.features import FeatureStore
from speechxfer.models import AcousticModel
from speechxfer.runtime import log_info


def encode_targets(model: AcousticModel, train: Sequence[Utterance], data: DataConfig) -> list[list[int]]:
    """The symbols of every training text.

    Raises:
        InputError: utterances without text or with unknown symbols, or, for `classify`, of several words; named by id.
    """
    targets = [
        model.vocabulary.encode(model.normalizer(u.text), utterance_id=u.id, unknown=data.unknown_symbols)
        for u in train
    ]
    empty = [u.id for u, target in zip(train, targets, strict=True) if not target]
    if empty:
        raise InputError(
            f"{len(empty)} training utterances have no text left after normalisation ({first_names(empty)}); write their text "
            "or remove them (`speechxfer check --fix` does)"
        )
    if data.unknown_symbols == "skip":
        unknown = sum((model.vocabulary.unknown(model.normalizer(u.text)) for u in train), start=Counter[str]())
        if unknown:
            log_info(f"skipped symbols of the training texts: {dict(unknown.most_common(20))}")
    several = [u.id for u, target in zip(train, targets, strict=True) if len(target) != 1]
    if model.task == "classify" and several:
        raise InputError(
            f"classify needs one label per utterance; {len(several)} have several ({first_names(several)})"
        )
    return targets


def find_feasible_speeds(
    model: AcousticModel,
    train: Sequence[Utterance],
    targets: Sequence[Sequence[int]],
    features: FeatureStore,
    speeds: Sequence[float],
) -> list[list[int]]:
    """Of each utterance, the indices of the speed factors at which it has enough frames for CTC.

    Raises:
        InputError: there is none for some utterances, named by id.
    """
    frames = torch.tensor(features.frames)
    encoded = model.output_lengths(frames) if model.task == "ctc" else frames
    needed = [frames_needed(model, target) for target in targets]
    feasible = [[s for s in range(len(speeds)) if encoded[s, i] >= needed[i]] for i in range(len(train))]
    infeasible = [
        f"{u.id} ({int(encoded[:, i].max())} frames for {needed[i]})" for i, u in enumerate(train) if not feasible[i]
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
