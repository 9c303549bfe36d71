"""Which source? Candidate models ranked for a target in minutes, without fine-tuning any of them.

Each candidate gets two scores on a few minutes of the target: LogME (You et al., arXiv:2102.11005), the evidence of a linear
model of the symbols given its frozen encoder's frames, in closed form, which decides the places, with a paired test against
its neighbour; and the error rate of a linear head that is trained briefly on the same frames, with an interval. LogME agrees
better with the order after fine-tuning (``recipes/ranking``). What it is not: the truth, which is each candidate's error rate
after fine-tuning; the ranking says which ones are worth that.
"""

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import compress, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torchaudio.functional import forced_align

from speechxfer.batches import Batch, Reading, collate, plan_batches
from speechxfer.checkpoint import load_model
from speechxfer.config import Config
from speechxfer.decode import Hypothesis, decode_batch, encoded_frames, score_hypotheses
from speechxfer.errors import InputError
from speechxfer.features import Samples
from speechxfer.finetune import encode_targets, frames_needed
from speechxfer.manifest import Utterance, read_together
from speechxfer.models import AcousticModel
from speechxfer.objective import utterance_losses
from speechxfer.progress import say, track
from speechxfer.runs import normalizer_of, vocabulary_of
from speechxfer.scoring import WerReport, check_same_task, read_report
from speechxfer.splits import hold_out, take_seconds, total_s
from speechxfer.studies import side_by_side

Floats = npt.NDArray[np.float64]
MINUTES = 12.0
PROBE_STEPS, PROBE_LR, PROBE_BATCH_S = 300, 1e-2, 60.0
RANK_TOLERANCE = 1e-10  # of squared singular values
LOGME_TOLERANCE, LOGME_ITERATIONS = 1e-4, 100
GROUPS = 10  # parts of the jackknife


@dataclass(frozen=True)
class Candidate:
    """One source model's scores for the target."""

    name: str
    report: WerReport
    """Of a linear head on the frozen encoder, on utterances that it was not trained on."""
    logme: float
    """Nats per symbol; the higher the better. Comparable between the candidates of one ranking only."""
    logme_without: tuple[float, ...]
    """The same without one part of the utterances, for each part: every tenth of them, the ones after these, and so on. None
    where one part is all."""
    seconds: float
    finetuned: WerReport | None = None
    """What came of fine-tuning it, where that has been done: the truth that the ranking guesses at."""


@dataclass(frozen=True)
class Ranking:
    """Candidates from the best to the worst, by LogME."""

    candidates: tuple[Candidate, ...]
    places: tuple[str, ...]
    """Such as 1, 2-3, 2-3: candidates whose neighbours the data cannot tell apart share a place."""

    def __str__(self) -> str:
        known = any(one.finetuned for one in self.candidates)
        truth = "\tCER % after fine-tuning\t95 %" if known else ""
        lines = [f"place\tsource\tLogME\tCER % of a linear head\t95 %\tseconds{truth}"]
        for place, one in zip(self.places, self.candidates, strict=True):
            after = f"\t{_rate(one.finetuned)}" if one.finetuned else ""
            lines.append(f"{place}\t{one.name}\t{one.logme:.3f}\t{_rate(one.report)}\t{one.seconds:.0f}{after}")
        if known:
            by_logme, by_head = self.agreement()
            lines.append(
                f"# Kendall's tau with the order after fine-tuning: {by_logme:.2f} by LogME, {by_head:.2f} by head"
            )
        return "\n".join(lines)

    def agreement(self) -> tuple[float, float]:
        """Kendall's tau-b of LogME, and of the heads' error rates, with the error rates after fine-tuning; 1: the same order."""
        from scipy.stats import kendalltau

        pairs = [(one, one.finetuned.cer) for one in self.candidates if one.finetuned]
        truth = [cer for _, cer in pairs]
        evidence, heads = [-one.logme for one, _ in pairs], [one.report.cer for one, _ in pairs]
        return float(kendalltau(evidence, truth).statistic), float(kendalltau(heads, truth).statistic)


def _rate(report: WerReport) -> str:
    low, high = (100 * end for end in report.cer_interval)
    return f"{100 * report.cer:.1f}\t[{low:.1f}, {high:.1f}]"


def rank_sources(
    manifests: Sequence[Path],
    models: Sequence[str],
    *,
    config: Config | None = None,
    minutes: float = MINUTES,
    finetuned: Sequence[Path] = (),
    jobs: int = 0,
) -> Ranking:
    """Rank source models for the speech of a target.

    Args:
        manifests: transcribed speech of the target; `minutes` of it are used, a tenth of them for scoring.
        models: names as for `load_model`.
        config: [text] says what is written, [data] how audio is read.
        finetuned: report.json of each model after fine-tuning, in the order of `models`, to hold the ranking against.
        jobs: candidates side by side, each in a process of one thread; 0: one a core.

    Raises:
        InputError: fewer than two candidates, one named twice, too little speech, or reports for only some of them.
    """
    if len(set(models)) < 2 or len(set(models)) < len(models):
        raise InputError(f"rank-sources compares models: {len(models)} given; name two or more, each once")
    if finetuned and len(finetuned) != len(models):
        raise InputError(
            f"{len(finetuned)} reports after fine-tuning for {len(models)} models; give one for each, in order"
        )
    truth: list[WerReport | None] = [read_report(path) for path in finetuned] if finetuned else [None] * len(models)
    for after in truth[1:]:
        if truth[0] and after:
            check_same_task(truth[0], after)
    config = config or Config()
    train, dev = hold_out(take_seconds(read_together(manifests), 60 * minutes, "rank"), "rank")
    with tempfile.TemporaryDirectory() as folder:
        places = [Path(folder) / f"{number}.npz" for number in range(len(models))]
        tasks = [(name, train, dev, config, place) for name, place in zip(models, places, strict=True)]
        probed: list[Probed] = side_by_side(_probe, tasks, jobs, "probing")
        best = min(probed, key=lambda one: (one[0].cer, one[0].wer))
        evidence = [_evidences(*_symbols_heard(place, best[1])) for place in track(places, "weighing")]
    found = [
        Candidate(name, report, score, without, seconds, after)
        for name, (report, _, seconds), (score, without), after in zip(models, probed, evidence, truth, strict=True)
    ]
    ordered = tuple(sorted(found, key=lambda one: (-one.logme, one.report.cer, one.report.wer)))
    return Ranking(ordered, _places(ordered))


def _places(ordered: Sequence[Candidate]) -> tuple[str, ...]:
    """Numbers from 1; a run of candidates, each not to be told from the one before it, shares the numbers it spans."""
    runs: list[list[int]] = []
    for number, one in enumerate(ordered):
        tied = number > 0 and not _better(ordered[number - 1], one)
        if tied:
            runs[-1].append(number + 1)
        else:
            runs.append([number + 1])
    return tuple(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs for _ in run)


def _better(one: Candidate, other: Candidate) -> bool:
    """Whether `one`'s LogME is the higher at 5 %, by a jackknife over parts of the same utterances.

    The standard error of the difference is that of the delete-a-group jackknife (Kott, 'The delete-a-group jackknife',
    Journal of Official Statistics 17(4), 2001).
    """
    from scipy.stats import t

    apart = np.subtract(one.logme_without, other.logme_without)
    if len(apart) < 2:
        return False
    error = np.sqrt((len(apart) - 1) * np.mean((apart - apart.mean()) ** 2))
    return bool(one.logme - other.logme > t.ppf(0.975, len(apart) - 1) * error)


Probed = tuple[WerReport, list[npt.NDArray[np.int64]], float]


def _probe(name: str, train: Sequence[Utterance], dev: Sequence[Utterance], config: Config, place: Path) -> Probed:
    """Report of a linear head on one candidate's frames, the head's alignment of `train`, and the seconds it took.

    The frames of `train` are left at `place`.
    """
    began = time.monotonic()
    source = load_model(name)
    normalizer, vocabulary = normalizer_of(config), vocabulary_of(config, train)
    reading = Reading(source.spec, config.data.resample, config.data.mono)
    architecture = replace(source.architecture, extra_layers=0)
    encoder: Any = source.encoder
    given = _Given(encoder.output_dim)
    probe = AcousticModel(architecture, vocabulary, source.spec, normalizer, config.text.task, encoder=given)
    targets = encode_targets(probe, train, config.data)
    frames, held_out = (encoded_frames(source, part, reading) for part in (train, dev))
    fit = [len(values) >= frames_needed(probe, target) for values, target in zip(frames, targets, strict=True)]
    if not all(fit):
        short = f"{fit.count(False)} of {len(fit)} utterances are too short for their text at its frame rate"
        say(f"{name}: {short}, and are not learned from")
    if not any(fit):
        raise InputError(f"{name}: no utterance has as many frames as CTC needs for its text; leave this candidate out")
    usable = list(compress(frames, fit))
    given.measure(np.concatenate(usable))
    _train_head(probe, usable, list(compress(targets, fit)), total_s(compress(train, fit)))
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


class _Given(nn.Module):
    """An encoder that hands on frames which were encoded before, each dimension brought to mean 0 and deviation 1."""

    readable_inside = False

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.output_dim = dim
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("deviation", torch.ones(dim))

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


def _symbols_heard(
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


def _evidences(
    frames: Floats, labels: npt.NDArray[np.int64], utterances: npt.NDArray[np.int64]
) -> tuple[float, tuple[float, ...]]:
    """LogME of all, and without each part of the utterances; nothing is left out where one part is all."""
    part = np.unique(utterances, return_inverse=True)[1] % GROUPS
    rests = [part != left_out for left_out in np.unique(part)]
    return logme(frames, labels), tuple(logme(frames[rest], labels[rest]) for rest in rests if rest.any())


def logme(frames: Floats, labels: npt.NDArray[np.int64]) -> float:
    """Logarithm of the maximum evidence of a Bayesian linear model of each label given the frames, in nats per frame.

    The mean over the labels of ``max over alpha, beta of log N(y; 0, X X^T / alpha + I / beta) / n``, where y is 1 at the
    label's frames and 0 elsewhere, and X `[frames, dim]` is centred (You et al., arXiv:2102.11005, section 4).
    """
    centred = frames - frames.mean(axis=0)
    squares, directions = np.linalg.eigh(centred.T @ centred)
    alive = squares > max(1.0, squares[-1]) * RANK_TOLERANCE
    squares, directions = squares[alive], directions[:, alive]
    each = []
    for label in np.unique(labels):
        y = (labels == label).astype(float)
        each.append(_evidence((directions.T @ (centred.T @ y)) ** 2 / squares, squares, y))
    return float(np.mean(each))


def _evidence(projected: Floats, squares: Floats, y: Floats) -> float:
    """Fixed point of alpha and beta, then the evidence over n.

    `squares` are the squared singular values, `projected` those of `y` along the left singular vectors.
    """
    count = len(y)
    outside = max(float(y @ y - projected.sum()), 0.0)
    if not len(squares):  # frames that are all alike tell nothing: y is noise
        return float(-0.5 * (np.log(2 * np.pi * outside / count) + 1))
    alpha = beta = 1.0
    for _ in range(LOGME_ITERATIONS):
        shrunk = squares / (squares + alpha / beta)
        gamma = shrunk.sum()
        weights_square = float((projected * squares / (squares + alpha / beta) ** 2).sum())
        residual = float((projected * (1 - shrunk) ** 2).sum()) + outside
        older = alpha / beta
        alpha, beta = gamma / max(weights_square, 1e-12), (count - gamma) / max(residual, 1e-12)
        if abs(alpha / beta - older) <= LOGME_TOLERANCE * older:
            break
    shrunk = squares / (squares + alpha / beta)
    weights_square = float((projected * squares / (squares + alpha / beta) ** 2).sum())
    residual = float((projected * (1 - shrunk) ** 2).sum()) + outside
    evidence = (
        len(squares) * np.log(alpha)
        + count * np.log(beta)
        - np.log(alpha + beta * squares).sum()
        - beta * residual
        - alpha * weights_square
        - count * np.log(2 * np.pi)
    )
    return float(evidence / (2 * count))
