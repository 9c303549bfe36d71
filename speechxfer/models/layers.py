"""Layers that several encoders share: batch norm over valid frames, channel dropout, zero initialisation."""

import torch
from torch import Tensor, nn


class ChannelDropout(nn.Module):
    """Dropout on `[batch, frames, dim]` whose mask is the same for all frames of an utterance: cheap, and as strong."""

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = probability

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.probability == 0.0:
            return x
        return x * nn.functional.dropout(x.new_ones(x.shape[0], 1, x.shape[2]), self.probability)


class MaskedBatchNorm(nn.BatchNorm1d):
    """Batch norm on `[batch, frames, dim]` over the valid frames only; zero elsewhere. Computes in float32.

    A batch of a single frame has no variance: it is normed by the running statistics, and leaves them as they are.
    """

    def forward(self, x: Tensor, valid: Tensor | None = None) -> Tensor:
        if valid is None:
            raise TypeError("MaskedBatchNorm needs the mask of valid frames, [batch, frames]")
        fixed = (self.running_mean, self.running_var, self.weight, self.bias)
        if not self.training:  # no gathering of frames, whose number a graph would have to know
            normed = nn.functional.batch_norm(x.float().flatten(0, 1), *fixed, training=False, eps=self.eps)
            return normed.view_as(x) * valid[..., None]
        normed = torch.zeros_like(x, dtype=torch.float32)
        frames = x[valid].float()
        if len(frames) > 1:
            normed[valid] = super().forward(frames)
        else:
            normed[valid] = nn.functional.batch_norm(frames, *fixed, training=False, eps=self.eps)
        return normed


def zeroed(linear: nn.Linear) -> nn.Linear:
    """The same layer, starting at zero: the last projection of a module."""
    nn.init.zeros_(linear.weight)
    nn.init.zeros_(linear.bias)
    return linear
