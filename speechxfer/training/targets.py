"""Training targets and their CTC feasibility."""

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
    """Symbols of every training text; InputError names utterances without text or with unknown symbols."""
    targets = [
        model.vocabulary.encode(model.normalizer(u.text), utterance_id=u.id, unknown=data.unknown_symbols)
        for u in train
    ]
    empty = [u.id for u, target in zip(train, targets, strict=True) if not target]
    if empty:
        raise InputError(
            f"{len(empty)} training utterances have no text left after normalisation ({first_names(empty)}); write their text or "
            "remove them (`speechxfer check --fix` does)"
        )
    if data.unknown_symbols == "skip":
        unknown = sum((model.vocabulary.unknown(model.normalizer(u.text)) for u in train), start=Counter[str]())
        if unknown:
            log_info(f"left out of the training texts, as asked: {dict(unknown.most_common(20))}")
    several = [u.id for u, target in zip(train, targets, strict=True) if len(target) != 1]
    if model.task == "classify" and several:
        raise InputError(f"classify needs one word per utterance; {len(several)} have several ({first_names(several)})")
    return targets


def usable_speeds(
    model: AcousticModel,
    train: Sequence[Utterance],
    targets: Sequence[Sequence[int]],
    store: FeatureStore,
    speeds: Sequence[float],
) -> list[list[int]]:
    """Per utterance the speeds at which its frames suffice for CTC; InputError lists utterances for which none does."""
    frames = torch.tensor(store.frames)
    encoded = model.output_lengths(frames) if model.task == "ctc" else frames
    needed = [frames_needed(model, target) for target in targets]
    usable = [[s for s in range(len(speeds)) if encoded[s, i] >= needed[i]] for i in range(len(train))]
    hopeless = [
        f"{u.id} ({int(encoded[:, i].max())} frames for {needed[i]})" for i, u in enumerate(train) if not usable[i]
    ]
    if hopeless:
        raise InputError(
            f"{len(hopeless)} training utterances have fewer encoder frames than CTC needs for their text ({first_names(hopeless)}); "
            "check their transcripts, remove them (`speechxfer check --fix` does), or use a smaller subsampling"
        )
    return usable


def frames_needed(model: AcousticModel, target: Sequence[int]) -> int:
    """Encoder frames (of a classifier: feature frames) below which nothing can be learned from an utterance."""
    return max(1, ctc_frames_needed(target)) if model.task == "ctc" else 1
