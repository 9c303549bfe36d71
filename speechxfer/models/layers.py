"""Layers that several encoders share: batch norm over valid frames, channel dropout, zero initialisation, adapters."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn


class ChannelDropout(nn.Module):
    """Dropout on `[batch, frames, dim]` with one mask for all frames of an utterance, which is fast."""

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = probability

    def forward(self, x: Tensor) -> Tensor:
        mask = self._draw_mask(x)
        return x if mask is None else x * mask

    def add(self, x: Tensor, branch: Tensor, scale: float = 1.0) -> Tensor:
        """`x + scale * self(branch)` in one operation."""
        mask = self._draw_mask(branch)
        return torch.add(x, branch, alpha=scale) if mask is None else torch.addcmul(x, branch, mask, value=scale)

    def _draw_mask(self, x: Tensor) -> Tensor | None:
        if not self.training or self.probability == 0.0:
            return None
        return nn.functional.dropout(x.new_ones(x.shape[0], 1, x.shape[2]), self.probability)


class MaskedBatchNorm(nn.BatchNorm1d):
    """Batch norm on `[batch, frames, dim]` over the valid frames only; zero elsewhere. Computes in float32.

    A batch of a single frame has no variance: it is normalised by the running statistics and does not update them.
    """

    def forward(self, x: Tensor, valid: Tensor | None = None) -> Tensor:
        if valid is None:
            raise TypeError("MaskedBatchNorm needs the mask of valid frames, [batch, frames]")
        statistics = (self.running_mean, self.running_var, self.weight, self.bias)
        if not self.training:  # without boolean indexing, whose result has no fixed shape in an exported graph
            normalized = nn.functional.batch_norm(x.float().flatten(0, 1), *statistics, training=False, eps=self.eps)
            return normalized.view_as(x) * valid[..., None]
        if x.is_cuda:  # boolean indexing waits for a GPU
            return self.normalize_masked(x.float(), valid[..., None])
        normalized = torch.zeros_like(x, dtype=torch.float32)
        frames = x[valid].float()
        if len(frames) > 1:
            normalized[valid] = super().forward(frames)
        else:
            normalized[valid] = nn.functional.batch_norm(frames, *statistics, training=False, eps=self.eps)
        return normalized

    def normalize_masked(self, x: Tensor, valid: Tensor) -> Tensor:
        """`forward` in training of `[batch, frames, dim]` and `[batch, frames, 1]`, by sums over all frames."""
        if self.running_mean is None or self.running_var is None or self.momentum is None:
            raise TypeError("MaskedBatchNorm keeps running statistics with a fixed momentum")
        count = valid.sum()
        mean = (x * valid).sum((0, 1)) / count
        variance = ((x - mean).square() * valid).sum((0, 1)) / count
        several = count > 1
        with torch.no_grad():
            momentum = self.momentum * several
            unbiased = variance * count / (count - 1).clamp(min=1)
            self.running_mean.lerp_(mean, momentum)
            self.running_var.lerp_(unbiased, momentum)
            if self.num_batches_tracked is not None:
                self.num_batches_tracked += several
        mean = torch.where(several, mean, self.running_mean)
        scale = torch.where(several, variance, self.running_var).add(self.eps).rsqrt() * self.weight
        return ((x - mean) * scale + self.bias) * valid


def zero_initialized(linear: nn.Linear) -> nn.Linear:
    """The same layer with all weights set to zero, for the last projection of a residual branch."""
    nn.init.zeros_(linear.weight)
    nn.init.zeros_(linear.bias)
    return linear


class Adapter(nn.Module):
    """`[batch, frames, dim]` plus a correction from a bottleneck of `width`; trained while the layers of an encoder are frozen.

    The correction starts at zero, so an encoder with new adapters has the same outputs as without. Source: Houlsby et al.,
    'Parameter-efficient transfer learning for NLP' (arXiv:1902.00751), one adapter per layer.
    """

    def __init__(self, dim: int, width: int) -> None:
        super().__init__()
        self.correction = nn.Sequential(
            nn.LayerNorm(dim), nn.Linear(dim, width), nn.SiLU(), zero_initialized(nn.Linear(width, dim))
        )

    def forward(self, x: Tensor) -> Tensor:
        """Input plus correction; same shape."""
        corrected: Tensor = x + self.correction(x)
        return corrected


def build_adapters(dims: Iterable[int], width: int) -> nn.ModuleList:
    """One adapter for each layer's output dimension; the identity, which has no weights, if `width` is 0."""
    return nn.ModuleList(Adapter(dim, width) if width else nn.Identity() for dim in dims)
