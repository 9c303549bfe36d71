"""From features to text: greedy CTC decoding, or the likeliest word for `classify`; evaluation with the one scorer.

Batches are planned from the utterances alone and dealt out to the processes, so that one and several processes compute
the same numbers and write the same report. What it is not: a beam search (no language model here).
Source: Graves et al., 'Connectionist temporal classification' (ICML 2006), best-path decoding.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import torch
from accelerate.utils import gather_object

from speechxfer.data import Samples, Utterance
from speechxfer.decoding.greedy import Hypothesis, decode_batch
from speechxfer.errors import InputError
from speechxfer.features import (
    AudioOptions,
    Batch,
    FeatureStore,
    collate,
    plan_batches,
    report_resampling,
    utterance_features,
)
from speechxfer.models import AcousticModel
from speechxfer.runtime import rank_and_world_size, track

DECODE_FRAMES = 6_000  # padded feature frames in a batch: a minute of speech


def transcribe(
    model: AcousticModel,
    utterances: Sequence[Utterance],
    *,
    resample: bool = False,
    mono: bool = False,
    store: FeatureStore | None = None,
) -> dict[str, Hypothesis]:
    """Decode utterances with the model where it is, in evaluation mode and float32; all processes get all hypotheses.

    Args:
        resample, mono: permissions as in `read_audio`.
        store: features that were computed before (then audio is not read).

    Returns:
        One hypothesis per utterance, by id and in the order of `utterances`.

    Raises:
        InputError: an id that occurs twice, unreadable audio, or an utterance too short for one frame; the message
            names it. Or the model is an encoder without a head.
    """
    twice = [name for name, count in Counter(u.id for u in utterances).items() if count > 1]
    if twice:
        raise InputError(f"id {twice[0]!r} occurs twice among the utterances; ids must be unique: rename or drop one")
    if len(model.vocabulary.symbols) == 1:
        raise InputError("the model came without a head, so it has no symbols to write with; adapt it first")
    reading = AudioOptions(model.spec, resample, mono)
    device = model.head.weight.device
    training = model.training
    model.eval()
    mine: list[tuple[str, Hypothesis]] = []
    rank, processes = rank_and_world_size()
    if store is None and rank == 0:
        report_resampling(utterances, reading)
    for indices in track(decode_plan(utterances, model)[rank::processes], "decoding"):
        batch = _batch(utterances, indices, reading, store).to(device)
        with torch.backends.cudnn.flags(enabled=torch.backends.cudnn.enabled, allow_tf32=False):
            mine += zip(batch.ids, decode_batch(model, batch), strict=True)
    model.train(training)
    found = dict(gather_object(mine) if processes > 1 else mine)
    return {utterance.id: found[utterance.id] for utterance in utterances}


@torch.inference_mode()
def encode_utterances(model: AcousticModel, utterances: Sequence[Utterance], reading: AudioOptions) -> list[Samples]:
    """What the encoder makes of each utterance, float32 `[frames', dim]`, in the order of `utterances`.

    Raises:
        InputError: unreadable audio, or an utterance too short for one frame; the message names it.
    """
    found: dict[int, Samples] = {}
    device = model.head.weight.device
    for indices in track(decode_plan(utterances, model), "encoding"):
        batch = _batch(utterances, indices, reading).to(device)
        encoded, lengths = model.encoder(batch.features, batch.lengths)
        for row, index in enumerate(indices):
            found[index] = encoded[row, : int(lengths[row])].float().cpu().numpy()
    return [found[index] for index in range(len(utterances))]


def _batch(
    utterances: Sequence[Utterance], indices: Sequence[int], reading: AudioOptions, store: FeatureStore | None = None
) -> Batch:
    """The features of the chosen utterances, read from the store if there is one; InputError names one that has none."""
    features = [store.get(i) if store else utterance_features(utterances[i], reading) for i in indices]
    for index, values in zip(indices, features, strict=True):
        if len(values) == 0:
            utterance = utterances[index]
            raise InputError(
                f"{utterance.id}: {utterance.duration:g} s is shorter than one analysis window; remove it "
                "(`speechxfer check --fix` does)"
            )
    return collate([utterances[i].id for i in indices], features, [[] for _ in indices])


def decode_plan(utterances: Sequence[Utterance], model: AcousticModel) -> list[list[int]]:
    """Batches of utterances' indices for one forward pass each, of about a minute of speech; a function of durations alone."""
    frames = [int(utterance.duration * model.spec.frames_per_s) + 1 for utterance in utterances]
    if not frames:
        return []
    steps = plan_batches(frames, DECODE_FRAMES, np.random.default_rng(0))
    return [batch for step in steps for batch in step]
