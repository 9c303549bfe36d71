"""`finetune`: the training loop, for random and transferred weights alike, with exact resume.

Accelerate gives the device, the processes and bfloat16. On one CPU thread a run that was killed and resumed has
bit-identical weights to one that was not.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from speechxfer.adaptation import frozen_modules, set_frozen
from speechxfer.config import Config, DataConfig, FinetuneConfig
from speechxfer.data import Utterance
from speechxfer.features import Batch
from speechxfer.models import AcousticModel
from speechxfer.runtime import ProgressLog, console, keep_freed_memory, log_info, progress_bar, run_lock
from speechxfer.training.linear_probe import (
    fit_closed_form_head,
    starts_from_closed_form_head,
    trains_closed_form_head_only,
)
from speechxfer.training.loading import PlannedBatch, iterate_batches
from speechxfer.training.metrics import log_metrics
from speechxfer.training.preparation import broadcast_weights, check_built_as_set, prepare_run
from speechxfer.training.run import TrainingRun
from speechxfer.training.selection import evaluate_dev, select_weights
from speechxfer.training.state import Progress, resume_state, save_state
from speechxfer.training.step import StepResult, build_optimizer, read_losses, training_step

LOG_EVERY_STEPS = 10


@dataclass
class StepTimes:
    """Seconds of the steps since the last row of losses, without evaluations."""

    since: float
    """When the first of them began, by the monotonic clock."""
    wait_s: float = 0.0
    """Spent waiting for batches."""

    def read(self) -> dict[str, float]:
        """The values of a row; counting begins anew."""
        now = time.monotonic()
        values = {"wait_s": self.wait_s, "step_s": now - self.since}
        self.since, self.wait_s = now, 0.0
        return values


def finetune(
    model: AcousticModel,
    train: Sequence[Utterance],
    dev: Sequence[Utterance],
    config: Config | FinetuneConfig | None = None,
    *,
    out: Path | str,
    data: DataConfig | None = None,
    source_data: Sequence[Utterance] = (),
) -> AcousticModel:
    """Train `model` on `train` and select weights by `dev`; resume an earlier call with the same `out` that was stopped.

    >>> import speechxfer as sx
    >>> train, dev = (sx.read_manifest(f"data/{split}.jsonl") for split in ("train", "dev"))
    >>> vocabulary = sx.Vocabulary.from_texts(u.text for u in train)
    >>> model = sx.transfer(sx.load_model("multilingual-small"), vocabulary).model
    >>> config = sx.Config(finetune={"steps": 2, "select_by": "cer"})
    >>> model = sx.finetune(model, train, dev, config, out="exp/finetuned")

    Args:
        model: trained in place; the returned model is the same object. A model made by `transfer` is by default pulled
            towards its weights at the start, those of the source (``l2_sp``).
        train: training utterances.
        dev: utterances that are not trained on, only used to select among evaluations.
        config: all settings, of which [finetune] and [data] are used, or those of [finetune]; None: the defaults, which are
            those of the command line.
        out: folder of the run: metrics.jsonl, state (for resuming), best (weights of the best evaluations).
        data: how recordings are read; None: as `config` says.
        source_data: speech that the source model was trained on, for ``replay``.

    Returns:
        The model with the average of the best evaluations' weights (or the single best, if dev prefers it), in evaluation
        mode, on the CPU.

    Raises:
        InputError: no usable utterance, texts with unknown symbols or none at all, utterances that CTC cannot align or that
            are too long (named by id), settings that this model cannot follow, a loss that is not finite, a full disk, a
            different run in `out`, or another process that trains there.
    """
    if isinstance(config, Config):
        check_built_as_set(model, config.transfer)
        data, config = data or config.data, config.finetune
    config, data = config or FinetuneConfig(), data or DataConfig()
    run = prepare_run(model, train, dev, config, data, Path(out), source_data)
    keep_freed_memory()
    with run_lock(run.out):
        optimizer = build_optimizer(run)
        progress = resume_state(run, optimizer)
        if starts_from_closed_form_head(run.model) and not progress.best:
            started = time.monotonic()
            fit_closed_form_head(run)
            broadcast_weights(run.model, run.accelerator)
            evaluate_dev(run, progress)
            progress.wall_s += time.monotonic() - started
            save_state(run, optimizer, progress)
        if trains_closed_form_head_only(run.model, config):
            log_info("head-only training: using the closed-form solution, no gradient steps")
        else:
            _train(run, optimizer, progress)
        return select_weights(run, progress)


def _train(run: TrainingRun, optimizer: torch.optim.Optimizer, progress: Progress) -> None:
    config = run.config
    if config.patience and progress.since_best >= config.patience:
        return
    frozen_now: list[nn.Module] | None = None
    unread: list[StepResult] = []
    loss = 0.0
    started, log = time.monotonic(), ProgressLog("training: step", run.steps, progress.step)
    times = StepTimes(started)
    with progress_bar() as display:
        shown = display.add_task("training", total=run.steps, completed=progress.step)
        batches = iterate_batches(run, progress.step, progress.epoch, progress.position)
        for planned, batch in _measure_waits(batches, times):
            frozen = frozen_modules(run.model, config, progress.step)
            if frozen != frozen_now:
                frozen_now = frozen
                set_frozen(run.model, frozen, config)
            unread.append(training_step(run, optimizer, batch, progress.step))
            progress.step, progress.epoch, progress.position = progress.step + 1, planned.epoch, planned.position
            progress.valid_frames += int(batch.lengths.sum())
            progress.padded_frames += batch.features.shape[0] * batch.features.shape[1]
            evaluates = progress.step % run.evaluate_every_steps == 0 or progress.step == run.steps
            logs = progress.step % LOG_EVERY_STEPS == 0
            if run.accelerator.device.type == "cpu" or logs or evaluates:  # a GPU is waited for as seldom as this
                progress.loss_sum += sum(read_losses(run, unread))
                progress.loss_steps += len(unread)
                unread = []
                loss = progress.loss_sum / progress.loss_steps
                display.update(shown, completed=progress.step, description=f"loss {loss:.3f}")
                if not console.is_terminal:
                    log.update(progress.step, f", loss {loss:.3f}")
            if logs:
                rates = {"encoder_lr": optimizer.param_groups[-2]["lr"], "head_lr": optimizer.param_groups[-1]["lr"]}
                padding = 1 - progress.valid_frames / progress.padded_frames
                log_metrics(run, {"step": progress.step, "loss": loss, **rates, **times.read(), "padding": padding})
                progress.loss_sum, progress.loss_steps, progress.valid_frames, progress.padded_frames = 0.0, 0, 0, 0
            if evaluates:
                stopped = time.monotonic()
                evaluate_dev(run, progress)
                frozen_now = None
                progress.wall_s, started = progress.wall_s + time.monotonic() - started, time.monotonic()
                save_state(run, optimizer, progress)
                times.since += time.monotonic() - stopped
                if config.patience and progress.since_best >= config.patience:
                    log_info(f"no better dev score in {config.patience} evaluations: stopping at step {progress.step}")
                    break
    run.accelerator.wait_for_everyone()


def _measure_waits(
    batches: Iterator[tuple[PlannedBatch, Batch]], times: StepTimes
) -> Iterator[tuple[PlannedBatch, Batch]]:
    while True:
        asked = time.monotonic()
        batch = next(batches, None)
        if batch is None:
            return
        times.wait_s += time.monotonic() - asked
        yield batch
