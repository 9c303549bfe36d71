"""From features to text: greedy CTC decoding, or the likeliest word for `classify`; evaluation with the one scorer.

Batches are planned from the utterances alone and dealt out to the processes, so that one and several processes compute
the same numbers and write the same report. What it is not: a beam search (no language model here).
Source: Graves et al., 'Connectionist temporal classification' (ICML 2006), best-path decoding.
"""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from accelerate import PartialState
from accelerate.utils import gather_object

from speechxfer.batches import (
    Batch,
    FeatureStore,
    Reading,
    collate,
    plan_batches,
    say_what_is_resampled,
    utterance_features,
)
from speechxfer.errors import InputError
from speechxfer.features import Samples
from speechxfer.manifest import Utterance
from speechxfer.models import AcousticModel
from speechxfer.progress import track
from speechxfer.scoring import WerReport, score

DECODE_FRAMES = 6_000  # padded feature frames in a batch: a minute of speech
SPEECH_PIECE_S = 20.0
SHORTEST_PIECE_S = 1.0


@dataclass(frozen=True)
class Hypothesis:
    """What the model heard in one utterance."""

    text: str
    frames: int
    blank_frames: int
    confidence: float
    """Geometric mean of the chosen symbols' probabilities over the frames that are not blank; 0 where all are. In pauses the
    model is sure of blank, and says nothing of how well it knows the speech."""


def collapse(ids: Sequence[int]) -> list[int]:
    """Drop repeats, then blanks (symbol 0): [0, 3, 3, 0, 3, 5] gives [3, 3, 5]."""
    return [symbol for previous, symbol in zip([0, *ids], ids, strict=False) if symbol not in (0, previous)]


@torch.inference_mode()
def decode_batch(model: AcousticModel, batch: Batch) -> list[Hypothesis]:
    """Hypotheses of a batch, in its order."""
    log_probs, lengths = model(batch.features, batch.lengths)
    best, symbols = log_probs.max(dim=-1)
    hypotheses = []
    for row, length in enumerate(lengths.tolist()):
        ids = symbols[row, :length].tolist()
        kept = ids if model.task == "classify" else collapse(ids)
        written = best[row, :length][symbols[row, :length] != 0]
        confidence = float(written.mean().exp()) if len(written) else 0.0
        hypotheses.append(Hypothesis(model.vocabulary.decode(kept), length, ids.count(0), confidence))
    return hypotheses


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
    reading = Reading(model.spec, resample, mono)
    device = model.head.weight.device
    training = model.training
    model.eval()
    mine: list[tuple[str, Hypothesis]] = []
    rank, processes = _rank_and_processes()
    if store is None and rank == 0:
        say_what_is_resampled(utterances, reading)
    for indices in track(decode_plan(utterances, model)[rank::processes], "decoding"):
        batch = _batch(utterances, indices, reading, store).to(device)
        with torch.backends.cudnn.flags(enabled=torch.backends.cudnn.enabled, allow_tf32=False):
            mine += zip(batch.ids, decode_batch(model, batch), strict=True)
    model.train(training)
    found = dict(gather_object(mine) if processes > 1 else mine)
    return {utterance.id: found[utterance.id] for utterance in utterances}


@torch.inference_mode()
def encoded_frames(model: AcousticModel, utterances: Sequence[Utterance], reading: Reading) -> list[Samples]:
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
    utterances: Sequence[Utterance], indices: Sequence[int], reading: Reading, store: FeatureStore | None = None
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


def own_device() -> torch.device:
    """Where this process computes: its GPU, if there is one."""
    device: torch.device = PartialState(cpu=several_without_gpu()).device
    return device


def several_without_gpu() -> bool:
    """Whether Accelerate has to be told ``cpu=True``: without it, processes on CPUs would each work for themselves."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1 and not torch.cuda.is_available()


def _rank_and_processes() -> tuple[int, int]:
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return 0, 1
    state = PartialState(cpu=several_without_gpu())
    return state.process_index, state.num_processes


def decode_plan(utterances: Sequence[Utterance], model: AcousticModel) -> list[list[int]]:
    """Batches of utterances' indices for one forward pass each, of about a minute of speech; a function of durations alone."""
    frames = [int(utterance.duration * model.spec.frames_per_s) + 1 for utterance in utterances]
    if not frames:
        return []
    steps = plan_batches(frames, DECODE_FRAMES, np.random.default_rng(0))
    return [batch for step in steps for batch in step]


def evaluate(
    model: AcousticModel,
    utterances: Sequence[Utterance],
    *,
    resample: bool = False,
    mono: bool = False,
    store: FeatureStore | None = None,
) -> WerReport:
    """Transcribe and score against the manifest's own texts; arguments and errors as for `transcribe`."""
    return score_hypotheses(model, utterances, transcribe(model, utterances, resample=resample, mono=mono, store=store))


def score_hypotheses(
    model: AcousticModel, utterances: Sequence[Utterance], hypotheses: dict[str, Hypothesis]
) -> WerReport:
    """The one scorer on the one kind of hypotheses, for training, evaluation and recipes alike.

    Characters are counted composed (NFC) whatever form the model spells in, so that models of both forms compare.
    """
    return score(
        {utterance.id: utterance.text for utterance in utterances},
        {name: hypothesis.text for name, hypothesis in hypotheses.items()},
        speakers={utterance.id: utterance.speaker for utterance in utterances},
        normalizer=replace(model.normalizer, form="NFC"),
        vocabulary=model.vocabulary,
        spelling=model.normalizer,
    )


def file_as_utterances(path: Path, *, duration_s: float, pauses_s: Sequence[tuple[float, float]]) -> list[Utterance]:
    """Cut a recording into pieces of at most `SPEECH_PIECE_S` at its pauses (start, end in seconds).

    The pieces cover it whole; none is shorter than `SHORTEST_PIECE_S` unless the recording is.
    """
    pieces, start = [], 0.0
    while duration_s - start > SPEECH_PIECE_S:
        first, last = start + SHORTEST_PIECE_S, min(start + SPEECH_PIECE_S, duration_s - SHORTEST_PIECE_S)
        inside = [(a + b) / 2 for a, b in pauses_s if first <= (a + b) / 2 <= last]
        end = inside[-1] if inside else last
        pieces.append((start, end))
        start = end
    pieces.append((start, duration_s))
    return [Utterance(f"{path}@{a:.2f}", path, b - a, offset=a) for a, b in pieces]
