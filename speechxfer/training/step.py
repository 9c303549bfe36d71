"""One training step: loss, gradients, clipping, update and proximal step.

The loss is in nats per symbol over the whole step, all processes together; each process divides by the symbols of all and the
gradients are summed. Nothing in a step waits for a GPU: its results stay there until `read_losses` asks for those of several.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import Tensor, nn

from speechxfer.errors import InputError, first_names
from speechxfer.features import Batch
from speechxfer.training.losses import intermediate_weight, middle_layer, utterance_losses
from speechxfer.training.regularizers import distillation_loss, proximal_step_, sample_replay_batch
from speechxfer.training.run import TrainingRun
from speechxfer.training.schedule import learning_rates

CLIP_NORM = 5.0  # gradients are scaled down to this norm


def build_optimizer(run: TrainingRun) -> torch.optim.Optimizer:
    """AdamW or SGD with one parameter group per layer group of the encoder, from the input up, then head and added layers.

    The learning rates are set at every step.
    """
    layers = [list(group.parameters()) for group in run.model.encoder.layer_groups()]
    placed = {parameter for group in layers for parameter in group}
    groups = [{"params": group} for group in (*layers, [p for p in run.model.parameters() if p not in placed])]
    if run.config.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=0.0, momentum=0.9, weight_decay=run.config.weight_decay)
    return torch.optim.AdamW(groups, lr=0.0, betas=(0.9, 0.98), weight_decay=run.config.weight_decay, fused=True)


@dataclass(frozen=True)
class StepResult:
    """What one update gave, on the run's device."""

    step: int
    """Number of steps done before."""
    ids: tuple[str, ...]
    """Of this process's utterances, those of the replay last."""
    losses: Tensor
    """Of these utterances, in nats, `[utterances]`."""
    norm: Tensor
    """Of the gradient before clipping, over all processes."""
    loss: Tensor
    """In nats per symbol, over all processes."""


def training_step(run: TrainingRun, optimizer: torch.optim.Optimizer, batch: Batch, step: int) -> StepResult:
    """One update.

    Args:
        batch: this process's utterances.
        step: number of steps done before.

    Raises:
        InputError: see `read_losses`; on a GPU, that is called later and raises it.
    """
    config, accelerator = run.config, run.accelerator
    entropy = [config.seed, step, accelerator.process_index]
    torch.manual_seed(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0].item())  # for dropout
    groups = len(optimizer.param_groups) - 1
    for group, rate in zip(
        optimizer.param_groups, learning_rates(config, run.peak_lrs, run.steps, step, groups), strict=True
    ):
        group["lr"] = rate
    generator = np.random.default_rng(entropy)
    replay = sample_replay_batch(run.regularizer, int(batch.lengths.sum()), generator) if run.regularizer else None
    batches = [each.to(accelerator.device) for each in (batch, replay) if each]
    with torch.autocast(accelerator.device.type, torch.bfloat16, enabled=run.bfloat16):
        losses, penalty = _losses(run, batches[0])
        if replay and run.regularizer and run.regularizer.source:
            source = run.regularizer.source
            outputs, _ = source.log_probs(*run.model.encode(batches[1].features, batches[1].lengths))
            lengths = run.model.encoder.output_lengths(batches[1].lengths)
            losses = torch.cat([losses, utterance_losses(source, outputs, lengths, batches[1])])
    symbols = torch.stack([each.target_lengths.sum() for each in batches]).sum()
    if accelerator.num_processes > 1:
        symbols = accelerator.reduce(symbols.to(accelerator.device), "sum")
    loss = losses.sum() / symbols + penalty / accelerator.num_processes
    torch.autograd.backward(loss)
    _sum_gradients(run.model, accelerator)
    trained = [parameter for parameter in run.model.parameters() if parameter.grad is not None]
    norm = nn.utils.get_total_norm([parameter.grad for parameter in trained if parameter.grad is not None])
    ids = tuple(name for each in batches for name in each.ids)
    result = StepResult(step, ids, losses.detach(), norm, accelerator.reduce(loss.detach(), "sum"))
    if not norm.is_cuda:
        read_losses(run, [result])  # before the weights change
    if norm.is_cuda or norm > CLIP_NORM:  # a GPU scales by 1 rather than wait for the comparison
        nn.utils.clip_grads_with_norm_(trained, CLIP_NORM, norm)
    optimizer.step()
    if run.regularizer:
        proximal_step_(run.regularizer, optimizer)
    optimizer.zero_grad(set_to_none=True)
    return result


def read_losses(run: TrainingRun, results: Sequence[StepResult]) -> list[float]:
    """The losses of some steps in nats per symbol.

    Raises:
        InputError: a loss or a gradient is not finite; names the utterances of the first such step.
    """
    values = torch.stack([torch.stack([result.loss.float(), result.norm.float()]) for result in results]).tolist()
    for result, (loss, norm) in zip(results, values, strict=True):
        if not (math.isfinite(loss) and math.isfinite(norm)):
            finite = result.losses.isfinite().tolist()
            _refuse_nonfinite(
                run, "loss", [i for i, fine in zip(result.ids, finite, strict=True) if not fine], result.step
            )
            _refuse_nonfinite(run, "gradient", list(result.ids), result.step)
    return [loss for loss, _ in values]


def _losses(run: TrainingRun, batch: Batch) -> tuple[Tensor, Tensor]:
    """Each utterance's loss in nats, `[batch]`, and the weighted distillation loss (0 without distillation)."""
    config, model = run.config, run.model
    weight = intermediate_weight(model, config.intermediate_ctc)
    layers, lengths = model.encode(batch.features, batch.lengths)
    frames = model.encoder.output_lengths(batch.lengths)
    losses = utterance_losses(model, model.log_probs(layers, lengths)[0], frames, batch)
    # With a frozen lower half this loss would only train the head on frames that it does not read in the end.
    if weight and middle_layer(layers)[0].requires_grad:
        middle = utterance_losses(model, model.log_probs(middle_layer(layers), lengths)[0], frames, batch)
        losses = (1 - weight) * losses + weight * middle
    if not (config.distillation and run.regularizer and run.regularizer.source):
        return losses, losses.new_zeros(())
    return losses, config.distillation * distillation_loss(run.regularizer.source, batch, layers, lengths)


def _refuse_nonfinite(run: TrainingRun, what: str, ids: list[str], step: int) -> None:
    """Stop if any process names an utterance whose loss (or whose batch's gradient) is not finite."""
    if run.accelerator.num_processes > 1:
        ids = gather_object(ids)
    if ids:
        raise InputError(
            f"the {what} is not finite at step {step + 1} for {first_names(ids)}; check these recordings, or lower "
            f"finetune.encoder_lr ({run.peak_lrs[0]:g}) and finetune.head_lr ({run.peak_lrs[1]:g})"
        )


def _sum_gradients(model: nn.Module, accelerator: Accelerator) -> None:
    """Sum the processes' gradients, each already divided by the symbols of all."""
    if accelerator.num_processes == 1:
        return
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    flat = accelerator.reduce(torch.cat([gradient.flatten() for gradient in gradients]), "sum")
    for gradient, part in zip(gradients, flat.split([gradient.numel() for gradient in gradients]), strict=True):
        gradient.copy_(part.view_as(gradient))
