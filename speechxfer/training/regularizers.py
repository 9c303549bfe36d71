"""The objective L + lambda R: what is minimised on the target's speech, and what draws the model back to its source.

L: CTC (Graves et al., 2006) or cross-entropy, with label smoothing and intermediate CTC (Lee & Watanabe,
arXiv:2102.03216). R: L2-SP (Li et al., arXiv:1802.01483), elastic weight consolidation (Kirkpatrick et al.,
arXiv:1612.00796), distillation from the source (Li & Hoiem, 'Learning without forgetting', arXiv:1606.09282), and the
source's own speech under the source's head (replay). What it is not: the loop, or the optimiser.

L2-SP and EWC are applied as a proximal step after each update (Parikh & Boyd, 'Proximal algorithms', 2014): adaptive
optimisers divide a penalty's gradient by its own size, so as a term of the loss its weight would hardly matter. In this
form weight 0 changes nothing and a growing weight ends at the source's values.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from speechxfer.config import TransferConfig
from speechxfer.errors import InputError
from speechxfer.features import Batch, FeatureStore, collate
from speechxfer.models import AcousticModel
from speechxfer.runtime import track
from speechxfer.training.losses import utterance_losses

FISHER_UTTERANCES = 400


@dataclass(frozen=True)
class L2Anchor:
    """What draws one parameter back: its value in the source, and how strongly (a number, or one for each element)."""

    anchor: Tensor
    strength: Tensor


@dataclass(frozen=True)
class ReplayData:
    """The source's own speech: features and targets under the source's vocabulary."""

    ids: Sequence[str]
    store: FeatureStore
    targets: Sequence[Sequence[int]]


@dataclass(frozen=True)
class SourceRegularizer:
    """R: all that holds on to the source during a run.

    The source is in evaluation mode, where the model is; where nothing but L2-SP holds on, it is as it was given.
    """

    settings: TransferConfig
    source: AcousticModel
    pulls: Mapping[nn.Parameter, L2Anchor]
    replayed: ReplayData | None


def build_regularizer(
    model: AcousticModel, source: AcousticModel, settings: TransferConfig, replayed: ReplayData | None
) -> SourceRegularizer | None:
    """What `settings` ask to be held on to; None if nothing.

    Args:
        model: about to be trained, on its device.
        source: what it was made from; stays untouched.
        replayed: needed for `ewc` and `replay`.
    """
    if not (settings.l2_sp_strength or settings.ewc or settings.distillation or settings.replay):
        return None
    device = model.head.weight.device
    strengths: dict[str, Tensor] = {}
    if settings.ewc or settings.distillation or settings.replay:  # L2-SP alone needs no more than the values
        source = copy.deepcopy(source).to(device).eval()
        if settings.ewc and replayed:
            strengths = {name: settings.ewc * value for name, value in fisher(source, replayed).items()}
        source.requires_grad_(False)
    anchors = {name: value.detach().to(device) for name, value in source.encoder.named_parameters()}
    pulls = {}
    for name, parameter in model.encoder.named_parameters():
        if name in anchors and (settings.l2_sp_strength or name in strengths):
            strength = strengths.get(name, torch.zeros(())) + settings.l2_sp_strength
            pulls[parameter] = L2Anchor(anchors[name], strength.to(parameter.device))
    return SourceRegularizer(settings, source, pulls, replayed)


@torch.no_grad()
def proximal_step_(retention: SourceRegularizer, optimizer: torch.optim.Optimizer) -> None:
    """The proximal step of L2-SP and EWC, after the optimiser's: what did not learn in this step stays as it is."""
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            pull = retention.pulls.get(parameter)
            if pull and parameter.grad is not None:
                parameter.sub_(pull.anchor).div_(1 + group["lr"] * pull.strength).add_(pull.anchor)


def fisher(source: AcousticModel, replayed: ReplayData, most: int = FISHER_UTTERANCES) -> dict[str, Tensor]:
    """Diagonal of the empirical Fisher information of the encoder's parameters, scaled to 1 on average.

    It is the mean over utterances of the squared gradient of each one's loss, under the source's own head; over `most`
    utterances, evenly spread, if there are more.
    """
    source.requires_grad_(True)
    squares = {name: torch.zeros_like(value) for name, value in source.encoder.named_parameters()}
    device = source.head.weight.device
    chosen = np.unique(np.linspace(0, len(replayed.ids) - 1, min(most, len(replayed.ids))).round().astype(int))
    for index in track(chosen.tolist(), "Fisher information of the source"):
        batch = replayed_batch(replayed, [index]).to(device)
        source.zero_grad(set_to_none=True)
        log_probs, lengths = source(batch.features, batch.lengths)
        torch.autograd.backward(utterance_losses(source, log_probs, lengths, batch).sum())
        for name, value in source.encoder.named_parameters():
            if value.grad is not None:
                squares[name] += value.grad.square()
    source.zero_grad(set_to_none=True)
    elements = sum(value.numel() for value in squares.values())
    mean = sum(float(value.sum()) for value in squares.values()) / elements
    if not np.isfinite(mean) or mean == 0:
        raise InputError(
            f"the Fisher information of the source is {mean:g} on transfer.source_manifests; give speech that it knows"
        )
    return {name: value / mean for name, value in squares.items()}


def replayed_batch(replayed: ReplayData, indices: Sequence[int]) -> Batch:
    """These utterances of the source as a batch."""
    return collate(
        [replayed.ids[i] for i in indices],
        [replayed.store.get(i) for i in indices],
        [replayed.targets[i] for i in indices],
    )


def sample_replay_batch(retention: SourceRegularizer, frames: int, generator: np.random.Generator) -> Batch | None:
    """Source utterances for one step: so many that `replay` of all its frames are theirs; None without replay."""
    replayed, share = retention.replayed, retention.settings.replay
    if not share or replayed is None:
        return None
    wanted, have = frames * share / (1 - share), 0
    chosen: list[int] = []
    for index in generator.permutation(len(replayed.ids)):
        if chosen and have + replayed.store.frames[0][index] > wanted:
            break
        chosen.append(int(index))
        have += replayed.store.frames[0][index]
    return replayed_batch(replayed, chosen)


def distance(retention: SourceRegularizer, batch: Batch, layers: Sequence[Tensor], lengths: Tensor) -> Tensor:
    """How far what flows out of the layers (`AcousticModel.encode`) is from what the source makes of the same batch.

    `logits`: Kullback-Leibler divergence of the source head's distributions on the model's frames from those on the
    source's own, in nats per frame; `features`: mean squared difference of the encoded frames.
    """
    source = retention.source
    with torch.no_grad():
        expected, _ = source.encode(batch.features, batch.lengths)
    valid = torch.arange(layers[-1].shape[1], device=lengths.device)[None] < lengths[:, None]
    if retention.settings.distilled == "features":
        apart: Tensor = (layers[-1].float() - expected[-1].float())[valid]
        return apart.square().mean()
    with torch.no_grad():
        wanted, kept = source.log_probs(expected, lengths)
    found, _ = source.log_probs(layers, lengths)
    if source.task == "classify":
        valid, wanted, found = kept[:, None] > 0, wanted[..., 1:], found[..., 1:]
    divergence: Tensor = nn.functional.kl_div(found[valid], wanted[valid], reduction="batchmean", log_target=True)
    return divergence
