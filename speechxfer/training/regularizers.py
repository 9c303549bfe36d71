"""Regularisers that keep a model near its source: L2-SP, distillation and replay of source data.

L2-SP (Li et al., arXiv:1802.01483) pulls encoder weights towards the source's. Distillation ('Learning without forgetting',
Li and Hoiem, arXiv:1606.09282) penalises the divergence of the source head's outputs from those of the source model. Replay
trains on the source's own data, with the source's head.

L2-SP is applied as a proximal step after each update (Parikh and Boyd, 'Proximal algorithms', 2014): adaptive optimisers
divide a penalty's gradient by its own size, so as a term of the loss its weight would hardly matter. As a proximal step,
lambda 0 changes nothing and a growing lambda ends at the source's weights.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from speechxfer.config import FinetuneConfig
from speechxfer.errors import InputError
from speechxfer.features import Batch, FeatureStore, collate
from speechxfer.models import AcousticModel


@dataclass(frozen=True)
class ReplayData:
    """Source data: ids, features, and targets under the source's vocabulary."""

    ids: Sequence[str]
    store: FeatureStore
    targets: Sequence[Sequence[int]]


@dataclass(frozen=True)
class SourceRegularizer:
    """The regularisation of one run."""

    config: FinetuneConfig
    anchors: Mapping[nn.Parameter, Tensor]
    """For L2-SP: the source's value of each parameter."""
    source: AcousticModel | None
    """For distillation and replay: the source model, frozen, in evaluation mode, where the model is."""
    replay: ReplayData | None


def check_regularization(config: FinetuneConfig, model: AcousticModel) -> None:
    """Raise InputError where the settings need a source that the model lacks."""
    names = config.regularizers
    if names and not model.parents:
        raise InputError(
            f"finetune.{names[0]} refers to a source model, and this model was not made by a transfer; use `adapt`, or set it "
            "to 0"
        )
    using_head = [name for name in names if name != "l2_sp"]
    if using_head and len(model.parents[0].vocabulary.symbols) == 1:
        raise InputError(
            f"finetune.{using_head[0]} needs the source's output layer, and the source has none; use l2_sp, or set it to 0"
        )


def copy_source_model(model: AcousticModel) -> AcousticModel:
    """A frozen copy of the source of a transferred model that is not trained yet: its encoder with the source's head."""
    return copy.deepcopy(model.as_parent()).eval().requires_grad_(False)


def build_regularizer(
    model: AcousticModel, config: FinetuneConfig, source: AcousticModel | None = None, replay: ReplayData | None = None
) -> SourceRegularizer | None:
    """The regularisation that the settings ask for; None if there is none.

    Args:
        model: on its device, with the weights that the transfer gave it; L2-SP pulls towards these.
        source: for distillation and replay, see `copy_source_model`.
        replay: for replay.
    """
    if not config.regularizers:
        return None
    anchors = {}
    if config.l2_sp:
        added = {parameter for adapter in model.encoder.adapters for parameter in adapter.parameters()}
        anchors = {p: p.detach().clone() for _, p in model.encoder.named_parameters() if p not in added}
    return SourceRegularizer(config, anchors, source, replay)


@torch.no_grad()
def proximal_step_(regularizer: SourceRegularizer, optimizer: torch.optim.Optimizer) -> None:
    """The proximal step of L2-SP, after the optimiser's; a parameter that has no gradient in this step stays as it is."""
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            anchor = regularizer.anchors.get(parameter)
            if anchor is not None and parameter.grad is not None:
                parameter.sub_(anchor).div_(1 + group["lr"] * torch.tensor(regularizer.config.l2_sp)).add_(anchor)


def sample_replay_batch(regularizer: SourceRegularizer, frames: int, generator: np.random.Generator) -> Batch | None:
    """Source utterances for one step, so many that their share of all frames is `finetune.replay`; None without replay."""
    replay, share = regularizer.replay, regularizer.config.replay
    if not share or replay is None:
        return None
    wanted, chosen_frames = frames * share / (1 - share), 0
    chosen: list[int] = []
    for index in generator.permutation(len(replay.ids)):
        if chosen and chosen_frames + replay.store.frames[0][index] > wanted:
            break
        chosen.append(int(index))
        chosen_frames += replay.store.frames[0][index]
    return collate(
        [replay.ids[i] for i in chosen], [replay.store.get(i) for i in chosen], [replay.targets[i] for i in chosen]
    )


def distillation_loss(source: AcousticModel, batch: Batch, layers: Sequence[Tensor], lengths: Tensor) -> Tensor:
    """Kullback-Leibler divergence of the source head's distributions from those of the source model, in nats per frame.

    Args:
        layers, lengths: the trained model's `AcousticModel.encode` of the batch.
    """
    with torch.no_grad():
        source_layers, _ = source.encode(batch.features, batch.lengths)
        expected, output_lengths = source.log_probs(source_layers, lengths)
    valid = torch.arange(layers[-1].shape[1], device=lengths.device)[None] < lengths[:, None]
    found, _ = source.log_probs(layers, lengths)
    if source.task == "classify":
        valid, expected, found = output_lengths[:, None] > 0, expected[..., 1:], found[..., 1:]
    divergence: Tensor = nn.functional.kl_div(found[valid], expected[valid], reduction="batchmean", log_target=True)
    return divergence
