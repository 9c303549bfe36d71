"""Losses per utterance: CTC (Graves et al., 2006), cross-entropy, intermediate CTC (Lee and Watanabe, arXiv:2102.03216)."""

from collections.abc import Sequence

from torch import Tensor, nn

from speechxfer.errors import InputError
from speechxfer.features import Batch
from speechxfer.models import AcousticModel

DEFAULT_INTERMEDIATE_WEIGHT = 0.3


def utterance_losses(model: AcousticModel, log_probs: Tensor, lengths: Tensor, batch: Batch) -> Tensor:
    """Loss of each utterance in nats, `[batch]`: CTC over `[batch, frames, symbols]`, or cross-entropy of its word.

    A GPU computes CTC without waiting if `lengths`, the frames of each utterance, are on the CPU.
    """
    if model.task == "classify":
        return -log_probs[:, 0].gather(1, batch.targets[:, None])[:, 0]
    return nn.functional.ctc_loss(
        log_probs.transpose(0, 1), batch.targets, lengths, batch.target_lengths, reduction="none", zero_infinity=False
    )


def intermediate_weight(model: AcousticModel, weight: float | None) -> float:
    """The weight of the intermediate CTC loss: as set, or the default for this model."""
    usual = DEFAULT_INTERMEDIATE_WEIGHT if model.task == "ctc" and model.encoder.has_uniform_layers else 0.0
    return usual if weight is None else weight


def middle_layer(layers: Sequence[Tensor]) -> list[Tensor]:
    """Of the outputs of all layers (`AcousticModel.encode`), that of the middle one, as `AcousticModel.log_probs` takes it."""
    return [layers[len(layers) // 2 - 1]]


def check_intermediate_ctc(model: AcousticModel) -> None:
    """Raise InputError if the model's head cannot read the middle of the encoder."""
    if model.task != "ctc":
        raise InputError(f"finetune.intermediate_ctc is for task ctc, and the task is {model.task}; set it to 0")
    if not model.encoder.has_uniform_layers:
        raise InputError(
            "finetune.intermediate_ctc needs an encoder whose layers have equal width and end in a norm; set it to 0, or use "
            "another encoder"
        )
