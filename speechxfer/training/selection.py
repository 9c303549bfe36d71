"""Checkpoint selection on dev: scores of evaluations, the best of them, the average of their weights."""

from collections.abc import Sequence

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from speechxfer.checkpoints import read_weights, write_weights
from speechxfer.decoding import Hypothesis, decode_utterances, fit_confidences, score_hypotheses
from speechxfer.errors import first_names
from speechxfer.features import AudioOptions
from speechxfer.models import AcousticModel
from speechxfer.runtime import log_info
from speechxfer.scoring import WerReport
from speechxfer.training.metrics import log_metrics
from speechxfer.training.run import TrainingRun
from speechxfer.training.state import Progress, best_weights_path

SATURATED_WER = 0.9  # above it nearly every word is wrong, WER says little, and CER decides which model is better


def evaluate_dev(run: TrainingRun, progress: Progress) -> None:
    """Score dev, keep the weights if they are among the best, warn of output that is all blank."""
    _average_buffers(run.model, run.accelerator)
    report, hypotheses = _score_dev(run)
    blank = sum(h.blank_frames for h in hypotheses.values()) / max(1, sum(h.frames for h in hypotheses.values()))
    log_metrics(run, {"step": progress.step, "dev_wer": report.wer, "dev_cer": report.cer, "blank_ratio": blank})
    rates = f"dev WER {100 * report.wer:.2f} %, CER {100 * report.cer:.2f} %, blank {100 * blank:.0f} %"
    log_info(f"step {progress.step}/{run.steps}: {rates}")
    _warn_of_blanks(run, progress, hypotheses)
    key = (*selection_key(report.wer, report.cer, run.config.select_by), progress.step)
    progress.since_best = 0 if not progress.best or key[:2] < progress.best[0][:2] else progress.since_best + 1
    later_first = sorted([*progress.best, key], key=lambda entry: (*entry[:2], -entry[2]))
    progress.best = later_first[: run.config.average_best]
    if key in progress.best and run.accelerator.is_main_process:
        write_weights(run.model.state_dict(), best_weights_path(run.out, progress.step))


def _score_dev(run: TrainingRun) -> tuple[WerReport, dict[str, Hypothesis]]:
    dev = run.data.dev
    with torch.autocast(run.accelerator.device.type, torch.bfloat16, enabled=run.bfloat16):  # as in the steps
        hypotheses = decode_utterances(run.model, dev, AudioOptions(run.model.spec), store=run.data.dev_features)
    return score_hypotheses(run.model, dev.utterances, hypotheses), hypotheses


def _average_buffers(model: nn.Module, accelerator: Accelerator) -> None:
    """Average the batch statistics that the processes gathered on their own shares; frozen ones are equal anyway."""
    if accelerator.num_processes == 1:
        return
    for module in model.modules():
        for buffer in module.buffers(recurse=False) if module.training else ():
            if buffer.is_floating_point():
                buffer.copy_(accelerator.reduce(buffer, "mean"))


def selection_key(wer: float, cer: float, select_by: str) -> tuple[float, float]:
    """Smaller is better. By WER; where nearly every word is wrong the CER decides, as empty output also has WER 100 %."""
    if select_by == "cer":
        return cer, wer
    return min(wer, SATURATED_WER), cer


def _warn_of_blanks(run: TrainingRun, progress: Progress, hypotheses: dict[str, Hypothesis]) -> None:
    empty = [name for name, hypothesis in hypotheses.items() if not hypothesis.text]
    too_early = progress.step < run.steps // 3
    if progress.warned_blank or run.model.task != "ctc" or len(empty) < len(hypotheses) or too_early:
        return
    progress.warned_blank = True
    log_info(
        f"warning: after {progress.step} steps the model outputs only blanks, for {first_names(empty, 3)}. "
        "Usual causes: too few steps, learning rate too high or too low, transcripts that do not belong to the audio"
    )


def select_weights(run: TrainingRun, progress: Progress) -> AcousticModel:
    """The model with the average of the best evaluations' weights, or with the single best if dev prefers it.

    Its confidences are calibrated on dev.

    Returns:
        The run's model in evaluation mode, on the CPU.
    """
    paths = [best_weights_path(run.out, step) for _, _, step in progress.best]
    best = read_weights(paths[0])
    averaged = average([read_weights(path) for path in paths])
    run.model.load_state_dict(averaged)
    report, hypotheses = _score_dev(run)
    key = selection_key(report.wer, report.cer, run.config.select_by)
    if key <= progress.best[0][:2]:
        steps = ", ".join(str(step) for _, _, step in sorted(progress.best, key=lambda entry: entry[2]))
        log_info(f"selected: average of steps {steps}")
    else:
        run.model.load_state_dict(best)
        report, hypotheses = _score_dev(run)
        log_info(f"selected: step {progress.best[0][2]} (better on dev than the average)")
    run.model.calibration = fit_confidences(run.model, report, hypotheses)
    return run.model.cpu().eval()


def average(weights: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Mean of several state dicts, exact where they are all equal; whole-number buffers are taken from the first."""
    return {
        name: value + torch.stack([w[name] - value for w in weights]).mean(dim=0)
        if value.is_floating_point()
        else value
        for name, value in weights[0].items()
    }
