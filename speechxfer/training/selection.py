"""Model selection on dev: scores, best evaluations, averaged weights."""

from collections.abc import Sequence

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from speechxfer.checkpoints import read_weights
from speechxfer.decoding import Hypothesis, score_hypotheses, transcribe_segments
from speechxfer.errors import first_names
from speechxfer.features import AudioOptions
from speechxfer.models import AcousticModel
from speechxfer.runtime import log_info
from speechxfer.training.preparation import Job
from speechxfer.training.state import Progress, best_weights_path, log_metrics, save_weights

SATURATED_WER = 0.9  # above it nearly every word is wrong, WER says little, and CER decides which model is better


def evaluate_dev(job: Job, progress: Progress) -> None:
    """Score dev, keep the weights if they are among the best, warn of a collapse to blanks."""
    _average_buffers(job.model, job.accelerator)
    hypotheses = _transcribe_dev(job)
    report = score_hypotheses(job.model, job.dev, hypotheses)
    blank = sum(h.blank_frames for h in hypotheses.values()) / max(1, sum(h.frames for h in hypotheses.values()))
    log_metrics(job, {"step": progress.step, "dev_wer": report.wer, "dev_cer": report.cer, "blank_ratio": blank})
    rates = f"dev WER {100 * report.wer:.2f} %, CER {100 * report.cer:.2f} %, blank {100 * blank:.0f} %"
    log_info(f"step {progress.step}/{job.steps}: {rates}")
    _warn_of_blanks(job, progress, hypotheses)
    key = (*selection_key(report.wer, report.cer, job.config.select_by), progress.step)
    progress.since_best = 0 if not progress.best or key[:2] < progress.best[0][:2] else progress.since_best + 1
    later_first = sorted([*progress.best, key], key=lambda entry: (*entry[:2], -entry[2]))
    progress.best = later_first[: job.config.average_best]
    if key in progress.best and job.accelerator.is_main_process:
        save_weights(job.model, best_weights_path(job, progress.step))


def _transcribe_dev(job: Job) -> dict[str, Hypothesis]:
    return transcribe_segments(job.model, job.dev_segments, AudioOptions(job.model.spec), job.dev_store)


def _average_buffers(model: nn.Module, accelerator: Accelerator) -> None:
    """Batch statistics gathered by each process on its own share become the same everywhere; frozen ones stay."""
    if accelerator.num_processes == 1:
        return
    for module in model.modules():
        for buffer in module.buffers(recurse=False) if module.training else ():
            if buffer.is_floating_point():
                buffer.copy_(accelerator.reduce(buffer, "mean"))


def selection_key(wer: float, cer: float, select_by: str) -> tuple[float, float]:
    """Smaller is better. By WER, but where nearly every word is wrong the CER decides: silence also scores 100 %."""
    if select_by == "cer":
        return cer, wer
    return min(wer, SATURATED_WER), cer


def _warn_of_blanks(job: Job, progress: Progress, hypotheses: dict[str, Hypothesis]) -> None:
    empty = [name for name, hypothesis in hypotheses.items() if not hypothesis.text]
    if (
        progress.warned_blank
        or job.model.task != "ctc"
        or len(empty) < len(hypotheses)
        or progress.step < job.steps // 3
    ):
        return
    progress.warned_blank = True
    log_info(
        f"warning: after {progress.step} steps the model answers nothing but blanks, for {first_names(empty, 3)}. "
        "Usual causes: too few steps, learning rate too high or too low, transcripts that do not belong to the audio"
    )


def select_weights(job: Job, progress: Progress) -> AcousticModel:
    """The average of the best evaluations' weights if dev prefers it to the single best, else that one."""
    paths = [best_weights_path(job, step) for _, _, step in progress.best]
    best = read_weights(paths[0])
    averaged = average([read_weights(path) for path in paths])
    job.model.load_state_dict(averaged)
    report = score_hypotheses(job.model, job.dev, _transcribe_dev(job))
    key = selection_key(report.wer, report.cer, job.config.select_by)
    better = key <= progress.best[0][:2]
    if not better:
        job.model.load_state_dict(best)
    steps = ", ".join(str(step) for _, _, step in sorted(progress.best, key=lambda entry: entry[2]))
    log_info(
        f"kept: average of steps {steps}"
        if better
        else f"kept: step {progress.best[0][2]} (better on dev than the average)"
    )
    return job.model.cpu().eval()


def average(weights: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Mean of several state dicts, exact where they are all equal; whole-number buffers are taken from the first."""
    return {
        name: value + torch.stack([w[name] - value for w in weights]).mean(dim=0)
        if value.is_floating_point()
        else value
        for name, value in weights[0].items()
    }
