"""The linear head that a ranking trains on a candidate's frozen encoder."""

import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import compress, pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torchaudio.functional import forced_align

from speechxfer.checkpoints import load_model
from speechxfer.config import Config
from speechxfer.data import Samples, Utterance, total_duration_s
from speechxfer.decoding import Hypothesis, decode_batch, encode_utterances, score_hypotheses
from speechxfer.errors import InputError
from speechxfer.features import AudioOptions, Batch, collate, plan_batches
from speechxfer.models import AcousticModel
from speechxfer.runtime import log_info
from speechxfer.scoring import WerReport
from speechxfer.training import encode_targets, frames_needed, utterance_losses
from speechxfer.workflows.logme import Floats, logme
from speechxfer.workflows.text_settings import build_normalizer, build_vocabulary

PROBE_STEPS, PROBE_LR, PROBE_BATCH_S = 300, 1e-2, 60.0
GROUPS = 10  # parts of the jackknife
Probed = tuple[WerReport, list[npt.NDArray[np.int64]], float]


def probe_candidate(
    name: str, train: Sequence[Utterance], dev: Sequence[Utterance], config: Config, place: Path
) -> Probed:
    """Report of a linear head on one candidate's frames, the head's alignment of `train`, and the seconds it took.

    The frames of `train` are left at `place`.
    """
    began = time.monotonic()
    source = load_model(name)
    normalizer, vocabulary = build_normalizer(config), build_vocabulary(config, train)
    reading = AudioOptions(source.spec, config.data.resample, config.data.mono)
    architecture = replace(source.architecture, extra_layers=0)
    given = _PrecomputedEncoder(source.encoder.output_dim)
    probe = AcousticModel(architecture, vocabulary, source.spec, normalizer, config.text.task, encoder=given)
    targets = encode_targets(probe, train, config.data)
    frames, held_out = (encode_utterances(source, part, reading) for part in (train, dev))
    fit = [len(values) >= frames_needed(probe, target) for values, target in zip(frames, targets, strict=True)]
    if not all(fit):
        short = f"{fit.count(False)} of {len(fit)} utterances are too short for their text at its frame rate"
        log_info(f"{name}: {short}, and are not learned from")
    if not any(fit):
        raise InputError(f"{name}: no utterance has as many frames as CTC needs for its text; leave this candidate out")
    usable = list(compress(frames, fit))
    given.measure(np.concatenate(usable))
    _train_head(probe, usable, list(compress(targets, fit)), total_duration_s(compress(train, fit)))
    hypotheses: dict[str, Hypothesis] = {}
    for utterance, values in zip(dev, held_out, strict=True):
        hypotheses[utterance.id] = decode_batch(probe, collate([utterance.id], [values], [[]]))[0]
    report = score_hypotheses(probe, dev, hypotheses)
    aligned = [
        _alignment(probe, values, target) if fits else np.zeros(len(values), dtype=np.int64)
        for values, target, fits in zip(frames, targets, fit, strict=True)
    ]
    np.savez(place, lengths=[len(values) for values in frames], frames=np.concatenate(frames))
    return report, aligned, time.monotonic() - began


class _PrecomputedEncoder(nn.Module):
    """An encoder that hands on frames which were encoded before, each dimension brought to mean 0 and deviation 1."""

    subsampling = 1
    has_uniform_layers = False
    lora_modules = ()

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.output_dim = dim
        self.adapters = nn.ModuleList()
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("deviation", torch.ones(dim))

    def output_lengths(self, lengths: Tensor) -> Tensor:
        """As many frames as came in."""
        return lengths

    def layer_groups(self) -> list[nn.Module]:
        """None: there is nothing to train or freeze."""
        return []

    def measure(self, frames: Samples) -> None:
        """Take mean and deviation from `[frames, dim]`."""
        self.get_buffer("mean").copy_(torch.from_numpy(frames.mean(axis=0)))
        self.get_buffer("deviation").copy_(torch.from_numpy(frames.std(axis=0)).clamp(min=1e-5))

    def forward(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Frames `[batch, frames, dim]` and their lengths to the same."""
        return (features - self.get_buffer("mean")) / self.get_buffer("deviation"), lengths


def _train_head(
    probe: AcousticModel, frames: Sequence[Samples], targets: Sequence[Sequence[int]], speech_s: float
) -> None:
    """Train the head alone, on steps of equally many seconds whatever the candidate's frame rate is."""
    nn.init.zeros_(probe.head.weight)
    nn.init.zeros_(probe.head.bias)
    optimizer = torch.optim.AdamW(probe.head.parameters(), lr=PROBE_LR)
    generator, done = np.random.default_rng(0), 0
    lengths = [len(values) for values in frames]
    step_frames = max(1, round(PROBE_BATCH_S * sum(lengths) / speech_s))
    while done < PROBE_STEPS:
        for [indices] in plan_batches(lengths, step_frames, generator):
            batch = collate([str(i) for i in indices], [frames[i] for i in indices], [targets[i] for i in indices])
            _update(probe, optimizer, batch, rate=PROBE_LR * (1 - done / PROBE_STEPS))
            done += 1
            if done == PROBE_STEPS:
                break
    probe.eval()


def _update(probe: AcousticModel, optimizer: torch.optim.Optimizer, batch: Batch, rate: float) -> None:
    log_probs, lengths = probe(batch.features, batch.lengths)
    losses = utterance_losses(probe, log_probs, lengths, batch)
    torch.autograd.backward(losses.sum() / batch.target_lengths.sum())
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


@torch.inference_mode()
def _alignment(probe: AcousticModel, frames: Samples, target: Sequence[int]) -> npt.NDArray[np.int64]:
    """The symbol of each frame on the likeliest path that reads as `target`."""
    if probe.task == "classify":
        return np.full(len(frames), target[0], dtype=np.int64)
    log_probs, lengths = probe(torch.from_numpy(frames)[None], torch.tensor([len(frames)]))
    labels, _ = forced_align(log_probs, torch.tensor([target]), lengths)
    symbols: npt.NDArray[np.int64] = labels[0].numpy().astype(np.int64)
    return symbols


def symbol_means(
    place: Path, alignment: Sequence[npt.NDArray[np.int64]]
) -> tuple[Floats, npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Of each symbol on the best head's alignment the mean of the frames at `place` that it falls on, the symbol, and the
    utterance's number.

    So every candidate has as many vectors, whatever its frame rate is; its frames are found by their share of the utterance.
    """
    with np.load(place) as saved:
        lengths, frames = saved["lengths"], saved["frames"].astype(np.float64)
    heard, labels, numbers = [], [], []
    for number, (values, aligned) in enumerate(zip(np.split(frames, np.cumsum(lengths)[:-1]), alignment, strict=True)):
        edges = np.flatnonzero(np.diff(aligned)) + 1
        for first, last in pairwise([0, *edges, len(aligned)]):
            if aligned[first]:
                begin = int(first / len(aligned) * len(values))
                heard.append(values[begin : max(begin + 1, round(last / len(aligned) * len(values)))].mean(axis=0))
                labels.append(aligned[first])
                numbers.append(number)
    return np.array(heard), np.array(labels), np.array(numbers)


def jackknife_evidence(
    frames: Floats, labels: npt.NDArray[np.int64], utterances: npt.NDArray[np.int64]
) -> tuple[float, tuple[float, ...]]:
    """LogME of all, and without each part of the utterances; nothing is left out where one part is all."""
    part = np.unique(utterances, return_inverse=True)[1] % GROUPS
    rests = [part != left_out for left_out in np.unique(part)]
    return logme(frames, labels), tuple(logme(frames[rest], labels[rest]) for rest in rests if rest.any())
