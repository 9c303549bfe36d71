"""Transcription and encoding of utterances in batches of bounded size.

Long utterances are cut at pauses first (``segmentation.py``). Batches are planned from durations alone and distributed over
the processes, so that one and several processes compute the same numbers.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import overload

import numpy as np
import torch
from accelerate.utils import gather_object

from speechxfer.data import Samples, Utterance, collect_audio_warnings, read_audio_header
from speechxfer.decoding.greedy import Hypothesis, decode_batch, join_hypotheses
from speechxfer.decoding.inventory import PhoneInventory, match_phones
from speechxfer.decoding.segmentation import SegmentedUtterances, segment_utterances
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
Phones = Sequence[str] | PhoneInventory


@overload
def transcribe(
    model: AcousticModel,
    inputs: Sequence[Utterance],
    *,
    resample: bool = ...,
    mono: bool = ...,
    phones: Phones | None = ...,
) -> dict[str, Hypothesis]: ...


@overload
def transcribe(
    model: AcousticModel, inputs: Path | str, *, resample: bool = ..., mono: bool = ..., phones: Phones | None = ...
) -> Hypothesis: ...


def transcribe(
    model: AcousticModel,
    inputs: Sequence[Utterance] | Path | str,
    *,
    resample: bool = False,
    mono: bool = False,
    phones: Phones | None = None,
) -> dict[str, Hypothesis] | Hypothesis:
    """Transcribe utterances or one recording, on the model's device, in evaluation mode and float32.

    Of several processes each gets all hypotheses.

    Args:
        model: its device is used; its mode (training or evaluation) is restored.
        inputs: utterances, or the path of a recording.
        resample, mono: permissions as in `read_audio`.
        phones: of a phone model, the phones that it may write, as for `match_phones` (package ``decoding``), or what that
            returned; None: all of them.

    Returns:
        For utterances, one hypothesis each, by id and in their order; for a recording, its hypothesis.

    Raises:
        InputError: an id that occurs twice, unreadable audio, or an utterance too short for one frame; the message names it.
            Or the model is an encoder without an output layer, or `phones` do not suit it.

    >>> import speechxfer as sx
    >>> model = sx.load_model("english")
    >>> hypothesis = sx.transcribe(model, "new.wav")
    >>> print(f"{hypothesis.text!r}, confidence {hypothesis.confidence:.2f}")
    '...', confidence 0...
    >>> hypotheses = sx.transcribe(model, sx.read_manifest("data/test.jsonl"))
    >>> len(hypotheses)
    8
    """
    audio = AudioOptions(model.spec, resample, mono)
    inventory = phones if phones is None or isinstance(phones, PhoneInventory) else match_phones(model, phones)
    if isinstance(inputs, Path | str):
        recording = recording_utterance(inputs)
        return transcribe(model, [recording], resample=resample, mono=mono, phones=inventory)[recording.id]
    repeated = [id_ for id_, count in Counter(u.id for u in inputs).items() if count > 1]
    if repeated:
        raise InputError(
            f"id {repeated[0]!r} occurs twice among the utterances; ids must be unique: rename or remove one"
        )
    if rank_and_world_size()[0] == 0:
        report_resampling(inputs, audio)
    with collect_audio_warnings():
        return transcribe_segments(model, segment_utterances(inputs, audio), audio, inventory=inventory)


def recording_utterance(path: Path | str) -> Utterance:
    """A whole recording as one utterance; its id is the path. InputError if it is no audio file."""
    header = read_audio_header(path)
    return Utterance(str(path), Path(path), header.samples / header.rate_hz)


def transcribe_segments(
    model: AcousticModel,
    segmented: SegmentedUtterances,
    audio: AudioOptions,
    store: FeatureStore | None = None,
    inventory: PhoneInventory | None = None,
) -> dict[str, Hypothesis]:
    """Hypotheses of segmented utterances, as `transcribe` returns them.

    Args:
        store: features of ``segmented.segments`` that were computed before; audio is not read then.
        inventory: the phones that the model may write; None: all its symbols.
    """
    if len(model.vocabulary.symbols) == 1:
        raise InputError("the model has no output layer, so it cannot transcribe; adapt it first")
    device = model.head.weight.device
    training = model.training
    model.eval()
    own: list[tuple[int, Hypothesis]] = []
    rank, processes = rank_and_world_size()
    for indices in track(decode_plan(segmented.segments, model)[rank::processes], "decoding"):
        batch = _batch(segmented.segments, indices, audio, store).to(device)
        with torch.backends.cudnn.flags(enabled=torch.backends.cudnn.enabled, allow_tf32=False):
            own += zip(indices, decode_batch(model, batch, inventory), strict=True)
    model.train(training)
    by_index = dict(gather_object(own) if processes > 1 else own)
    return {
        utterance.id: join_hypotheses([by_index[index] for index in indices])
        for utterance, indices in segmented.ranges()
    }


@torch.inference_mode()
def encode_utterances(model: AcousticModel, utterances: Sequence[Utterance], audio: AudioOptions) -> list[Samples]:
    """Encoder outputs of each utterance, float32 `[frames, dim]`, in the order of `utterances`.

    Raises:
        InputError: unreadable audio, or an utterance too short for one frame; the message names it.
    """
    segmented = segment_utterances(utterances, audio)
    outputs: dict[int, Samples] = {}
    device = model.head.weight.device
    for indices in track(decode_plan(segmented.segments, model), "encoding"):
        batch = _batch(segmented.segments, indices, audio).to(device)
        encoded, lengths = model.encoder(batch.features, batch.lengths)
        for row, index in enumerate(indices):
            outputs[index] = encoded[row, : int(lengths[row])].float().cpu().numpy()
    return [
        outputs[indices[0]] if len(indices) == 1 else np.concatenate([outputs[index] for index in indices])
        for _, indices in segmented.ranges()
    ]


def _batch(
    utterances: Sequence[Utterance], indices: Sequence[int], audio: AudioOptions, store: FeatureStore | None = None
) -> Batch:
    """Features of the chosen utterances, from the store if there is one; InputError names an utterance without a frame."""
    features = [store.get(i) if store else utterance_features(utterances[i], audio) for i in indices]
    for index, values in zip(indices, features, strict=True):
        if len(values) == 0:
            utterance = utterances[index]
            raise InputError(
                f"{utterance.id}: {utterance.duration:g} s is shorter than one analysis window; remove it "
                "(`speechxfer check --fix` does)"
            )
    return collate([utterances[i].id for i in indices], features, [[] for _ in indices])


def decode_plan(utterances: Sequence[Utterance], model: AcousticModel) -> list[list[int]]:
    """Batches of utterances' indices for one forward pass each, of about a minute of speech, planned by duration alone."""
    frames = [int(utterance.duration * model.spec.frames_per_s) + 1 for utterance in utterances]
    if not frames:
        return []
    steps = plan_batches(frames, DECODE_FRAMES, np.random.default_rng(0))
    return [batch for step in steps for batch in step]
