"""The linear probe that a ranking trains on the outputs of a candidate's frozen encoder, and the evidence of these outputs."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
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
from speechxfer.decoding import GreedyDecoder, Hypothesis, encode_utterances, score_hypotheses
from speechxfer.errors import InputError
from speechxfer.features import AudioOptions, Batch, collate, plan_batches
from speechxfer.models import AcousticModel
from speechxfer.runtime import log_info
from speechxfer.scoring import WerReport
from speechxfer.training import encode_targets, frames_needed, utterance_losses
from speechxfer.workflows.logme import Floats, logme_score
from speechxfer.workflows.run_inputs import build_normalizer, build_vocabulary

PROBE_STEPS, PROBE_LR, PROBE_BATCH_S = 300, 1e-2, 60.0
JACKKNIFE_PARTS = 10


@dataclass(frozen=True)
class ProbeResult:
    """A candidate's linear probe: its report on dev, the symbol of each frame of train, and the seconds it took."""

    report: WerReport
    alignments: list[npt.NDArray[np.int64]]
    wall_s: float


def probe_candidate(
    name: str, train: Sequence[Utterance], dev: Sequence[Utterance], config: Config, frames_path: Path
) -> ProbeResult:
    """Train a linear probe on one candidate's encoder outputs for `train`, and write these to `frames_path`.

    Raises:
        InputError: as `load_model` and `encode_utterances`; or no utterance has as many frames as CTC needs for its text.
    """
    started = time.monotonic()
    source = load_model(name)
    normalizer, vocabulary = build_normalizer(config), build_vocabulary(config, train)
    audio = AudioOptions(source.spec, config.data.resample, config.data.mono)
    architecture = replace(source.architecture, extra_layers=0)
    precomputed = _PrecomputedEncoder(source.encoder.output_dim)
    probe = AcousticModel(architecture, vocabulary, source.spec, normalizer, config.text.task, encoder=precomputed)
    targets = encode_targets(probe, train, config.data)
    frames, held_out = (encode_utterances(source, part, audio) for part in (train, dev))
    feasible = [len(values) >= frames_needed(probe, target) for values, target in zip(frames, targets, strict=True)]
    if not all(feasible):
        short = f"{feasible.count(False)} of {len(feasible)} utterances are too short for their text at its frame rate"
        log_info(f"{name}: {short}, and are excluded")
    if not any(feasible):
        raise InputError(f"{name}: no utterance has as many frames as CTC needs for its text; remove this candidate")
    usable = list(compress(frames, feasible))
    precomputed.measure(np.concatenate(usable))
    _train_head(probe, usable, list(compress(targets, feasible)), total_duration_s(compress(train, feasible)))
    hypotheses: dict[str, Hypothesis] = {}
    decoder = GreedyDecoder.of_model(probe)
    for utterance, values in zip(dev, held_out, strict=True):
        with torch.inference_mode():
            log_probs, _ = probe(torch.from_numpy(values)[None], torch.tensor([len(values)]))
        [hypotheses[utterance.id]] = decoder.decode([log_probs[0]])
    report = score_hypotheses(probe, dev, hypotheses)
    alignments = [
        _align(probe, values, target) if is_feasible else np.zeros(len(values), dtype=np.int64)
        for values, target, is_feasible in zip(frames, targets, feasible, strict=True)
    ]
    np.savez(frames_path, lengths=[len(values) for values in frames], frames=np.concatenate(frames))
    return ProbeResult(report, alignments, time.monotonic() - started)


class _PrecomputedEncoder(nn.Module):
    """Stands for an encoder whose input is already encoded; normalises each dimension to mean 0 and deviation 1."""

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
        """The lengths as given."""
        return lengths

    def layer_groups(self) -> list[nn.Module]:
        """No groups: there is nothing to train or freeze."""
        return []

    def measure(self, frames: Samples) -> None:
        """Set mean and standard deviation to those of `[frames, dim]`."""
        self.get_buffer("mean").copy_(torch.from_numpy(frames.mean(axis=0)))
        self.get_buffer("deviation").copy_(torch.from_numpy(frames.std(axis=0)).clamp(min=1e-5))

    def forward(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Normalised frames `[batch, frames, dim]`, and the lengths as given."""
        return (features - self.get_buffer("mean")) / self.get_buffer("deviation"), lengths


def _train_head(
    probe: AcousticModel, frames: Sequence[Samples], targets: Sequence[Sequence[int]], speech_s: float
) -> None:
    """Train the output layer; a step has the same seconds of speech whatever the candidate's frame rate is."""
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
def _align(probe: AcousticModel, frames: Samples, target: Sequence[int]) -> npt.NDArray[np.int64]:
    """The symbol of each frame on the most probable CTC path of `target` (forced alignment)."""
    if probe.task == "classify":
        return np.full(len(frames), target[0], dtype=np.int64)
    log_probs, lengths = probe(torch.from_numpy(frames)[None], torch.tensor([len(frames)]))
    labels, _ = forced_align(log_probs, torch.tensor([target]), lengths)
    symbols: npt.NDArray[np.int64] = labels[0].numpy().astype(np.int64)
    return symbols


def symbol_means(
    frames_path: Path, alignments: Sequence[npt.NDArray[np.int64]]
) -> tuple[Floats, npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """One vector for each aligned symbol: the mean of its frames.

    The alignments are those of the best candidate, so that all candidates have the same number of vectors whatever their frame
    rates are; frames correspond by their relative position in the utterance.

    Returns:
        Vectors `[symbols, dim]`, the symbols `[symbols]` and the utterances' indices `[symbols]`.
    """
    with np.load(frames_path) as saved:
        lengths, frames = saved["lengths"], saved["frames"].astype(np.float64)
    vectors, labels, numbers = [], [], []
    for number, (values, aligned) in enumerate(zip(np.split(frames, np.cumsum(lengths)[:-1]), alignments, strict=True)):
        edges = np.flatnonzero(np.diff(aligned)) + 1
        for first, last in pairwise([0, *edges, len(aligned)]):
            if aligned[first]:
                begin = int(first / len(aligned) * len(values))
                vectors.append(values[begin : max(begin + 1, round(last / len(aligned) * len(values)))].mean(axis=0))
                labels.append(aligned[first])
                numbers.append(number)
    return np.array(vectors), np.array(labels), np.array(numbers)


def jackknife_evidence(
    frames: Floats, labels: npt.NDArray[np.int64], utterances: npt.NDArray[np.int64]
) -> tuple[float, tuple[float, ...]]:
    """LogME of all vectors, and without each tenth of the utterances (delete-a-group jackknife); empty for a single part."""
    part = np.unique(utterances, return_inverse=True)[1] % JACKKNIFE_PARTS
    others = [part != removed for removed in np.unique(part)]
    return logme_score(frames, labels), tuple(logme_score(frames[each], labels[each]) for each in others if each.any())
