"""Losses per utterance: CTC (Graves et al., 2006), cross-entropy, intermediate CTC (Lee and Watanabe, arXiv:2102.03216)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from speechxfer.errors import InputError
from speechxfer.features import Batch
from speechxfer.models import AcousticModel

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


def intermediate_share(model: AcousticModel, asked: float) -> float:
    """The share of the loss that comes from the middle of the encoder: as asked, or what is usual (see ``config.py``)."""
    usual = MIDDLE_SHARE if model.task == "ctc" and model.encoder.has_uniform_layers else 0.0
    return asked if asked >= 0 else usual


def intermediate_layer(layers: Sequence[Tensor]) -> list[Tensor]:
    """Of what flows out of the layers (`AcousticModel.encode`) that after half of them, as `log_probs` takes it."""
    return [layers[len(layers) // 2 - 1]]


def check_intermediate_ctc(model: AcousticModel) -> None:
    """Raises InputError where a head has nothing to read in the middle of the encoder."""
    if model.task != "ctc":
        raise InputError(f"finetune.intermediate_ctc is for transcribing, and the task is {model.task}; set it to 0")
    if not model.encoder.has_uniform_layers:
        raise InputError(
            "finetune.intermediate_ctc needs an encoder whose layers are equally wide and normed; set it to 0, or take "
            "another encoder"
        )
