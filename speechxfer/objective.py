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
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from speechxfer.batches import Batch, FeatureStore, collate
from speechxfer.config import TransferConfig
from speechxfer.errors import InputError
from speechxfer.models import AcousticModel
from speechxfer.progress import track

FISHER_UTTERANCES = 400
MIDDLE_SHARE = 0.3


def utterance_losses(
    model: AcousticModel, log_probs: Tensor, lengths: Tensor, batch: Batch, smoothing: float = 0.0
) -> Tensor:
    """Loss of each utterance in nats, `[batch]`: CTC over `[batch, frames, symbols]`, or cross-entropy of its word.

    With `smoothing`, that share of the loss is the distance of each frame's distribution from the uniform one.
    """
    if model.task == "classify":
        losses = -log_probs[:, 0].gather(1, batch.targets[:, None])[:, 0]
        spread = -log_probs[:, 0, 1:].mean(dim=-1)
    else:
        losses = nn.functional.ctc_loss(
            log_probs.transpose(0, 1),
            batch.targets,
            lengths,
            batch.target_lengths,
            reduction="none",
            zero_infinity=False,
        )
        valid = torch.arange(log_probs.shape[1], device=lengths.device)[None] < lengths[:, None]
        spread = -(log_probs.mean(dim=-1) * valid).sum(dim=1)
    return (1 - smoothing) * losses + smoothing * spread if smoothing else losses


# ----------------------------------------------------------------------------------------------- the middle of the encoder
def middle_share(model: AcousticModel, asked: float) -> float:
    """The share of the loss that comes from the middle of the encoder: as asked, or what is usual (see ``config.py``)."""
    encoder: Any = model.encoder
    usual = MIDDLE_SHARE if model.task == "ctc" and encoder.readable_inside else 0.0
    return asked if asked >= 0 else usual


def middle_of(layers: Sequence[Tensor]) -> list[Tensor]:
    """Of what flows out of the layers (`AcousticModel.encode`) that after half of them, as `log_probs` takes it."""
    return [layers[len(layers) // 2 - 1]]


def check_middle(model: AcousticModel) -> None:
    """Raises InputError where a head has nothing to read in the middle of the encoder."""
    encoder: Any = model.encoder
    if model.task != "ctc":
        raise InputError(f"finetune.intermediate_ctc is for transcribing, and the task is {model.task}; set it to 0")
    if not encoder.readable_inside:
        raise InputError(
            "finetune.intermediate_ctc needs an encoder whose layers are equally wide and normed; set it to 0, or take "
            "another encoder"
        )


# ------------------------------------------------------------------------------------------------------ back to the source
@dataclass(frozen=True)
class Pull:
    """What draws one parameter back: its value in the source, and how strongly (a number, or one for each element)."""

    anchor: Tensor
    strength: Tensor


@dataclass(frozen=True)
class Replayed:
    """The source's own speech: features and targets under the source's vocabulary."""

    ids: Sequence[str]
    store: FeatureStore
    targets: Sequence[Sequence[int]]


@dataclass(frozen=True)
class Retention:
    """R: all that holds on to the source during a run.

    The source is in evaluation mode, where the model is; where nothing but L2-SP holds on, it is as it was given.
    """

    settings: TransferConfig
    source: AcousticModel
    pulls: Mapping[nn.Parameter, Pull]
    replayed: Replayed | None


def hold_on(
    model: AcousticModel, source: AcousticModel, settings: TransferConfig, replayed: Replayed | None
) -> Retention | None:
    """What `settings` ask to be held on to; None if nothing.

    Args:
        model: about to be trained, on its device.
        source: what it was made from; stays untouched.
        replayed: needed for `ewc` and `replay`.
    """
    if not (settings.drawn_back or settings.ewc or settings.distillation or settings.replay):
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
        if name in anchors and (settings.drawn_back or name in strengths):
            strength = strengths.get(name, torch.zeros(())) + settings.drawn_back
            pulls[parameter] = Pull(anchors[name], strength.to(parameter.device))
    return Retention(settings, source, pulls, replayed)


@torch.no_grad()
def pull_back(retention: Retention, optimizer: torch.optim.Optimizer) -> None:
    """The proximal step of L2-SP and EWC, after the optimiser's: what did not learn in this step stays as it is."""
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            pull = retention.pulls.get(parameter)
            if pull and parameter.grad is not None:
                parameter.sub_(pull.anchor).div_(1 + group["lr"] * pull.strength).add_(pull.anchor)


def fisher(source: AcousticModel, replayed: Replayed, most: int = FISHER_UTTERANCES) -> dict[str, Tensor]:
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


def replayed_batch(replayed: Replayed, indices: Sequence[int]) -> Batch:
    """These utterances of the source as a batch."""
    return collate(
        [replayed.ids[i] for i in indices],
        [replayed.store.get(i) for i in indices],
        [replayed.targets[i] for i in indices],
    )


def draw_replay(retention: Retention, frames: int, generator: np.random.Generator) -> Batch | None:
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


def distance(retention: Retention, batch: Batch, layers: Sequence[Tensor], lengths: Tensor) -> Tensor:
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
