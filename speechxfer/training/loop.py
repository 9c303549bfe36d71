"""The one training loop, for random weights and transferred ones alike, with exact resume.

Accelerate gives the device, the processes and bfloat16. Everything drawn at random comes from (seed, epoch, step), the
learning rate from the step; so the saved state is weights, optimiser, position and best scores, and on one CPU thread a
run that was killed and started again ends with the same bits. What it is not: the choice of what to train (``runs.py``).

Losses are in nats per symbol over the whole step, all processes together (see ``objective.py``).
"""

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import Tensor, nn

from speechxfer.adaptation import frozen_modules, set_frozen
from speechxfer.config import DataConfig, FinetuneConfig
from speechxfer.data import Samples, Utterance
from speechxfer.errors import InputError, first_names
from speechxfer.features import Batch
from speechxfer.models import AcousticModel
from speechxfer.runtime import log_info, progress_bar, run_lock, uses_bfloat16
from speechxfer.training.linear_probe import fit_words
from speechxfer.training.loading import iterate_batches, load_features
from speechxfer.training.losses import intermediate_layer, intermediate_share, utterance_losses
from speechxfer.training.preparation import (
    Job,
    broadcast_weights,
    prepare_job,
    starts_from_closed_form_head,
    trains_closed_form_head_only,
)
from speechxfer.training.regularizers import distillation_loss, proximal_step_, sample_replay_batch
from speechxfer.training.schedule import learning_rates
from speechxfer.training.selection import evaluate_dev, select_weights
from speechxfer.training.state import Progress, log_metrics, resume_state, save_state

LOG_EVERY_STEPS = 10
CLIP_NORM = 5.0  # gradients are scaled down to this norm


def finetune(
    model: AcousticModel,
    train: Sequence[Utterance],
    dev: Sequence[Utterance],
    config: FinetuneConfig | None = None,
    *,
    out: Path | str,
    data: DataConfig | None = None,
    source_data: Sequence[Utterance] = (),
) -> AcousticModel:
    """Train `model` on `train`, choosing by `dev`; go on where an earlier call with the same `out` was stopped.

    Args:
        model: trained in place (the returned model is the same object, with the chosen weights).
        train, dev: utterances; nothing of `dev` is learned from, it only chooses among evaluations.
        config: the loop's settings.
        out: folder of the run: metrics.jsonl, state (for resuming), best (weights of the best evaluations).
        data: how recordings are read.
        source_data: speech that the source model was trained on, for `config.replay`.

    Returns:
        The model with averaged best weights (or the single best, if dev prefers it), in evaluation mode, on the CPU.

    Raises:
        InputError: no usable utterance, texts with unknown symbols or none at all, utterances CTC cannot align or that
            are too long (all listed by id), a loss that is not finite (utterances named), or another process trains in
            `out`.
    """
    config, data = config or FinetuneConfig(), data or DataConfig()
    job = prepare_job(model, train, dev, config, data, Path(out), source_data)
    with run_lock(job.out):
        optimizer = _optimizer(job)
        progress = resume_state(job, optimizer)
        if starts_from_closed_form_head(job.model) and not progress.best:
            started = time.monotonic()
            _fit_closed_form_head(job)
            broadcast_weights(job.model, job.accelerator)
            evaluate_dev(job, progress)
            progress.wall_s += time.monotonic() - started
            save_state(job, optimizer, progress)
        if trains_closed_form_head_only(job.model, config):
            log_info("head-only training: using the closed-form solution, no gradient steps")
        else:
            _loop(job, optimizer, progress)
        return select_weights(job, progress)


def _fit_closed_form_head(job: Job) -> None:
    """The computed head: each utterance is heard at every usable speed, a share of these distorted as in training."""

    def heard(index: int, speed: int) -> Samples:
        return load_features(job, index, speed, np.random.default_rng([job.config.seed, index, speed]))

    fit_words(job.model, job.store.frames, heard, job.usable_speeds, [target[0] for target in job.targets])


def _optimizer(job: Job) -> torch.optim.Optimizer:
    """One group per layer group of the encoder, upwards, then what is new; the learning rates are set at every step."""
    layers = [list(group.parameters()) for group in job.model.encoder.layer_groups()]
    placed = {parameter for group in layers for parameter in group}
    groups = [{"params": group} for group in (*layers, [p for p in job.model.parameters() if p not in placed])]
    if job.config.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=0.0, momentum=0.9, weight_decay=job.config.weight_decay)
    return torch.optim.AdamW(groups, lr=0.0, betas=(0.9, 0.98), weight_decay=job.config.weight_decay, fused=True)


def _loop(job: Job, optimizer: torch.optim.Optimizer, progress: Progress) -> None:
    config, accelerator = job.config, job.accelerator
    every = config.evaluate_every_steps or max(1, job.steps // 20)
    frozen_now: list[nn.Module] | None = None
    started = time.monotonic()
    with progress_bar() as display:
        shown = display.add_task("training", total=job.steps, completed=progress.step)
        for batch in iterate_batches(job, progress):
            frozen = frozen_modules(job.model, config, progress.step)
            if frozen != frozen_now:
                frozen_now = frozen
                set_frozen(job.model, frozen, config)
            progress.loss_sum += _step(job, optimizer, batch, progress.step)
            progress.loss_steps += 1
            progress.step += 1
            progress.position += 1
            display.update(
                shown, completed=progress.step, description=f"loss {progress.loss_sum / progress.loss_steps:.3f}"
            )
            if progress.step % LOG_EVERY_STEPS == 0:
                log_metrics(
                    job, {"step": progress.step, "loss": progress.loss_sum / progress.loss_steps, **_rates(optimizer)}
                )
                progress.loss_sum, progress.loss_steps = 0.0, 0
            if progress.step % every == 0 or progress.step == job.steps:
                evaluate_dev(job, progress)
                frozen_now = None
                progress.wall_s, started = progress.wall_s + time.monotonic() - started, time.monotonic()
                save_state(job, optimizer, progress)
                if config.patience and progress.since_best >= config.patience:
                    log_info(f"no better dev score in {config.patience} evaluations: stopping at step {progress.step}")
                    break
    accelerator.wait_for_everyone()


def _step(job: Job, optimizer: torch.optim.Optimizer, batch: Batch, step: int) -> float:
    """One update; returns the loss in nats per symbol, over all processes."""
    config, accelerator = job.config, job.accelerator
    torch.manual_seed(
        np.random.SeedSequence([config.seed, step, accelerator.process_index]).generate_state(1, np.uint64)[0].item()
    )
    layers = len(optimizer.param_groups) - 1
    for group, rate in zip(optimizer.param_groups, learning_rates(config, job.steps, step, layers), strict=True):
        group["lr"] = rate
    generator = np.random.default_rng([config.seed, step, accelerator.process_index])
    replay = sample_replay_batch(job.regularizer, int(batch.lengths.sum()), generator) if job.regularizer else None
    batches = [each.to(accelerator.device) for each in (batch, replay) if each]
    with torch.autocast(
        accelerator.device.type, torch.bfloat16, enabled=uses_bfloat16(config.precision, accelerator.device)
    ):
        losses, penalty = _losses(job, batches[0])
        if replay and job.regularizer and job.regularizer.source:
            source = job.regularizer.source
            under_source = source.log_probs(*job.model.encode(batches[1].features, batches[1].lengths))
            losses = torch.cat([losses, utterance_losses(source, *under_source, batches[1])])
    finite = losses.detach().isfinite().tolist()
    ids = [name for each in batches for name in each.ids]
    _refuse("loss", [name for name, fine in zip(ids, finite, strict=True) if not fine], step, accelerator)
    symbols = accelerator.reduce(torch.stack([each.target_lengths.sum() for each in batches]).sum(), "sum")
    loss = losses.sum() / symbols + penalty / accelerator.num_processes
    torch.autograd.backward(loss)
    _sum_gradients(job.model, accelerator)
    norm = nn.utils.clip_grad_norm_([p for p in job.model.parameters() if p.grad is not None], CLIP_NORM)
    if not norm.isfinite():
        _refuse("gradient", list(batch.ids), step, accelerator)
    optimizer.step()
    if job.regularizer:
        proximal_step_(job.regularizer, optimizer)
    optimizer.zero_grad(set_to_none=True)
    return float(accelerator.reduce(loss.detach(), "sum"))


def _losses(job: Job, batch: Batch) -> tuple[Tensor, Tensor]:
    """Each utterance's loss in nats, `[batch]`, and the weighted distillation loss (0 without distillation)."""
    config, model = job.config, job.model
    share = intermediate_share(model, config.intermediate_ctc)
    layers, lengths = model.encode(batch.features, batch.lengths)
    losses = utterance_losses(model, *model.log_probs(layers, lengths), batch)
    # With a frozen lower half this loss would only train the head on frames that it does not read in the end.
    if share and intermediate_layer(layers)[0].requires_grad:
        middle = utterance_losses(model, *model.log_probs(intermediate_layer(layers), lengths), batch)
        losses = (1 - share) * losses + share * middle
    if not (config.distillation and job.regularizer and job.regularizer.source):
        return losses, losses.new_zeros(())
    return losses, config.distillation * distillation_loss(job.regularizer.source, batch, layers, lengths)


def _refuse(what: str, bad: list[str], step: int, accelerator: Accelerator) -> None:
    """Stop if any process names an utterance whose loss (or whose batch's gradient) is not finite."""
    if accelerator.num_processes > 1:
        bad = gather_object(bad)
    if bad:
        raise InputError(
            f"the {what} is not finite at step {step + 1} for {first_names(bad)}; listen to these utterances, or lower "
            "finetune.encoder_lr and finetune.head_lr"
        )


def _sum_gradients(model: nn.Module, accelerator: Accelerator) -> None:
    """Add up the processes' gradients (each already divided by the symbols of all): frozen ones have none anywhere."""
    if accelerator.num_processes == 1:
        return
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    flat = accelerator.reduce(torch.cat([gradient.flatten() for gradient in gradients]), "sum")
    for gradient, part in zip(gradients, flat.split([gradient.numel() for gradient in gradients]), strict=True):
        gradient.copy_(part.view_as(gradient))


def _rates(optimizer: torch.optim.Optimizer) -> dict[str, float]:
    *layers, new = optimizer.param_groups
    return {"encoder_lr": layers[-1]["lr"], "head_lr": new["lr"]}
