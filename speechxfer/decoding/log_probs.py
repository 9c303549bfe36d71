"""Encoder outputs and log-probabilities of utterances, in batches of bounded size.

Long utterances are encoded in overlapping windows (``windows.py``). Batches are planned from durations alone and distributed over
the processes, so that one and several processes compute the same numbers.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from speechxfer.data import Samples, Utterance
from speechxfer.decoding.inventory import PhoneInventory
from speechxfer.decoding.windows import Window, window_utterances
from speechxfer.errors import InputError
from speechxfer.features import (
    AudioOptions,
    Batch,
    ComputedFeatures,
    FeatureSource,
    collate,
    plan_batches,
    utterance_features,
)
from speechxfer.models import AcousticModel
from speechxfer.runtime import rank_and_world_size, track

DECODE_FRAMES = 6_000  # padded feature frames in a batch: a minute of speech

_Forward = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]  # features and lengths to outputs and lengths


def frame_duration_s(model: AcousticModel) -> float:
    """Seconds between two encoder frames, such as 0.04."""
    return model.encoder.subsampling / model.spec.frames_per_s


def compute_log_probs(
    model: AcousticModel,
    utterances: Sequence[Utterance],
    audio: AudioOptions,
    *,
    store: FeatureSource | None = None,
    inventory: PhoneInventory | None = None,
) -> Iterator[tuple[int, Tensor]]:
    """Log-probabilities of utterances, in evaluation mode and float32, each as soon as it is computed.

    Of several processes each computes its own part.

    Args:
        model: its device is used; its mode (training or evaluation) is restored at the end.
        audio: the model's features, and permissions to convert audio.
        store: features of the utterances' windows (`window_utterances`) that were computed before; audio is not read then.
        inventory: the phones that the model may write; None: all its symbols.

    Yields:
        The index of an utterance and its log-probabilities `[frames, symbols]`, on the CPU; of a classifier, a row per window.

    Raises:
        InputError: unreadable audio, an utterance too short for one frame (the message names it), or a model without head.
    """
    _check_has_head(model)

    def forward(features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        log_probs, frames = model(features, lengths)
        return inventory.restrict(log_probs) if inventory else log_probs, frames

    yield from _evaluate(model, forward, utterances, audio, store)


def compute_outputs(
    model: AcousticModel,
    utterances: Sequence[Utterance],
    audio: AudioOptions,
    *,
    inventory: PhoneInventory | None = None,
) -> Iterator[tuple[int, Tensor, Tensor]]:
    """Log-probabilities as from `compute_log_probs`, of a CTC model, and outputs of the encoder `[frames, dim]`, in one pass."""
    _check_has_head(model)
    symbols = len(inventory.rows) if inventory else len(model.vocabulary.symbols)

    def forward(features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        encoded, frames = model.encoder(features, lengths.to(features.device))
        log_probs, frames = model.log_probs([encoded], frames)
        log_probs = inventory.restrict(log_probs) if inventory else log_probs
        return torch.cat([log_probs, encoded.float()], dim=-1), frames

    for index, values in _evaluate(model, forward, utterances, audio, None):
        yield index, values[:, :symbols], values[:, symbols:]


def _check_has_head(model: AcousticModel) -> None:
    if len(model.vocabulary.symbols) == 1:
        raise InputError("the model has no output layer, so it cannot transcribe; adapt it first")


def _evaluate(
    model: AcousticModel,
    forward: _Forward,
    utterances: Sequence[Utterance],
    audio: AudioOptions,
    store: FeatureSource | None,
) -> Iterator[tuple[int, Tensor]]:
    """The outputs of this process's utterances, in evaluation mode."""
    windows = window_utterances(utterances, frame_duration_s(model))
    rank, processes = rank_and_world_size()
    groups = _plan(windows, model)[rank::processes]
    training = model.training
    model.eval()
    try:
        yield from _run(model, forward, windows, groups, audio, store, "decoding")
    finally:
        model.train(training)


def read_features(model: AcousticModel, utterances: Sequence[Utterance], audio: AudioOptions) -> ComputedFeatures:
    """Features of the utterances' windows, for `compute_log_probs`, read in the order of the utterances.

    Batches have another order. In compressed files, which cannot be seeked exactly, reading in order of time is faster.
    """
    windows = window_utterances(utterances, frame_duration_s(model))
    return ComputedFeatures([utterance_features(window.utterance, audio) for window in windows])


def encode_utterances(model: AcousticModel, utterances: Sequence[Utterance], audio: AudioOptions) -> list[Samples]:
    """Encoder outputs of each utterance, float32 `[frames, dim]`, in the order of `utterances`.

    Raises:
        InputError: unreadable audio, or an utterance too short for one frame; the message names it.
    """
    windows = window_utterances(utterances, frame_duration_s(model))
    outputs = dict(_run(model, model.encoder, windows, _plan(windows, model), audio, None, "encoding"))
    return [outputs[index].numpy() for index in range(len(utterances))]


def _run(
    model: AcousticModel,
    forward: _Forward,
    windows: Sequence[Window],
    groups: Sequence[Sequence[Sequence[int]]],
    audio: AudioOptions,
    store: FeatureSource | None,
    title: str,
) -> Iterator[tuple[int, Tensor]]:
    """The outputs of each utterance whose windows are in the groups: `[frames, width]`, its windows' kept frames."""
    device = model.head.weight.device
    pieces: dict[int, list[Tensor]] = {}
    last = {window.parent: index for index, window in enumerate(windows)}
    stitched = model.task == "ctc"  # a classifier has one row a window instead of frames
    for indices in track([batch for group in groups for batch in group], title):
        # Outside of inference mode: tables of the filterbank are made at its first use, and kept for training too.
        batch = _batch(windows, indices, audio, store).to(device)
        exact = torch.backends.cudnn.flags(enabled=torch.backends.cudnn.enabled, allow_tf32=False)
        with torch.inference_mode(), exact:
            outputs, lengths = forward(batch.features, batch.lengths)
            outputs = outputs.float().cpu()
        for index, values, length in zip(indices, outputs, lengths.tolist(), strict=True):
            parent, keep = windows[index].parent, windows[index].keep
            values = values[:length]
            pieces.setdefault(parent, []).append(values[keep] if stitched else values)
            if index == last[parent]:
                parts = pieces.pop(parent)
                yield parent, parts[0] if len(parts) == 1 else torch.cat(parts)


def _batch(
    windows: Sequence[Window], indices: Sequence[int], audio: AudioOptions, store: FeatureSource | None
) -> Batch:
    """Features of the chosen windows, from the store if there is one; InputError names an utterance without a frame."""
    features = [store.get(i) if store else utterance_features(windows[i].utterance, audio) for i in indices]
    for index, values in zip(indices, features, strict=True):
        if len(values) == 0:
            utterance = windows[index].utterance
            raise InputError(
                f"{utterance.id}: {utterance.duration:g} s is shorter than one analysis window; remove it "
                "(`speechxfer check --fix` does)"
            )
    return collate([windows[i].utterance.id for i in indices], features, [[] for _ in indices])


def _plan(windows: Sequence[Window], model: AcousticModel) -> list[list[list[int]]]:
    """Groups of batches of windows' indices, planned by duration alone; the windows of one utterance are in one group."""
    by_parent: dict[int, list[int]] = {}
    for index, window in enumerate(windows):
        by_parent.setdefault(window.parent, []).append(index)
    whole = [indices[0] for indices in by_parent.values() if len(indices) == 1]
    groups = [[[whole[i] for i in batch]] for batch in _plan_whole([windows[i] for i in whole], model)]
    for indices in by_parent.values():
        if len(indices) > 1:
            size = max(1, DECODE_FRAMES // max(_frames(windows[i], model) for i in indices))
            groups.append([indices[i : i + size] for i in range(0, len(indices), size)])
    return groups


def _plan_whole(windows: Sequence[Window], model: AcousticModel) -> list[list[int]]:
    """Batches of about a minute of speech from utterances that are encoded whole."""
    if not windows:
        return []
    steps = plan_batches([_frames(window, model) for window in windows], DECODE_FRAMES, np.random.default_rng(0))
    return [batch for step in steps for batch in step]


def _frames(window: Window, model: AcousticModel) -> int:
    return int(window.utterance.duration * model.spec.frames_per_s) + 1
