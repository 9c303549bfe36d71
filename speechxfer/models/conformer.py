"""Conformer encoder: convolutional subsampling, then blocks of feed-forward, self-attention and convolution.

Source: Gulati et al., 'Conformer' (arXiv:2005.08100). Differences, each for small data and CPUs: rotary positions (Su et
al., arXiv:2104.09864) in place of relative ones, dropout of whole channels of an utterance (Gal & Ghahramani,
arXiv:1512.05287), a narrow subsampling (32 channels), and attention written as two products in the number format of the
network with the mask added in the first, which on a CPU trains faster than the fused kernel (docs/performance.md). The batch
norm of the convolution module uses valid frames only; with layer norm instead, CTC outputs only blanks for many more steps.
The last projection of every module starts at zero, so that a new layer is the identity up to its norm (De & Smith, 'Batch
normalization biases residual blocks towards the identity function', arXiv:2002.10444): trained from scratch on an hour of
speech, CTC then outputs symbols after a few hundred steps, without it not even after thousands. Every module masks the
padding, so an utterance's output does not depend on the rest of its batch.
"""

import math

import torch
from torch import Tensor, nn

from speechxfer.features import padding_mask
from speechxfer.models.layers import ChannelDropout, MaskedBatchNorm, build_adapters, zero_initialized

SIZES: dict[str, dict[str, object]] = {
    "tiny": {"dim": 96, "layers": 6, "heads": 4},
    "small": {"dim": 128, "layers": 8, "heads": 4},
    "base": {"dim": 256, "layers": 12, "heads": 4},
}
SUBSAMPLING_CHANNELS = 32
LOWEST_SCORE = -1e30  # of frames of the padding: their attention weight is exactly zero
EXTRA_HEADS, EXTRA_KERNEL = 4, 15  # of layers above any encoder


class ConformerEncoder(nn.Module):
    """`[batch, frames, mels]` to `[batch, ceil(frames / subsampling), output_dim]`; subsampling 4 or 8."""

    def __init__(
        self,
        input_dim: int,
        *,
        dim: int,
        layers: int,
        heads: int,
        subsampling: int = 4,
        kernel: int = 15,
        dropout: float = 0.1,
        adapter_dim: int = 0,
    ) -> None:
        super().__init__()
        self.output_dim = dim
        self.lora_modules = ("attention.inputs", "attention.output")
        self.head_dim = dim // heads
        self.subsampling = subsampling
        self.has_uniform_layers = True
        self.subsample = Subsampling(input_dim, dim, subsampling)
        self.dropout = ChannelDropout(dropout)
        self.layers = nn.ModuleList(ConformerLayer(dim, heads, kernel, dropout) for _ in range(layers))
        self.adapters = build_adapters([dim] * layers, adapter_dim)

    def output_lengths(self, lengths: Tensor) -> Tensor:
        """Exact numbers of encoded frames for numbers of feature frames; any integer tensor."""
        return (lengths + self.subsampling - 1) // self.subsampling

    def layer_groups(self) -> list[nn.Module]:
        """The subsampling, then each layer from the input upwards."""
        return [self.subsample, *self.layers]

    def forward(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Features `[batch, frames, mels]` and lengths `[batch]` in frames to encoded frames and their lengths."""
        x, lengths = self.subsample(features, lengths)
        x = self.dropout(x)
        valid = padding_mask(lengths, x.shape[1])
        rotation = rotary_angles(x.shape[1], self.head_dim, x.device)
        for layer, adapter in zip(self.layers, self.adapters, strict=True):
            x = adapter(layer(x, valid, rotation))
        return x, lengths


class Subsampling(nn.Module):
    """Strided 3 x 3 convolutions over time and frequency, then all bands of a frame to one vector."""

    def __init__(self, input_dim: int, dim: int, factor: int) -> None:
        super().__init__()
        stages = factor.bit_length() - 1
        self.convolutions = nn.ModuleList(
            nn.Conv2d(1 if stage == 0 else SUBSAMPLING_CHANNELS, SUBSAMPLING_CHANNELS, 3, stride=2, padding=1)
            for stage in range(stages)
        )
        self.output = nn.Linear(SUBSAMPLING_CHANNELS * math.ceil(input_dim / factor), dim)

    def forward(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        x = features[:, None] * padding_mask(lengths, features.shape[1])[:, None, :, None]
        for convolution in self.convolutions:
            x = convolution(x)
            lengths = (lengths + 1) // 2
            # Zeros before the ReLU, which has no gradient there: in place and unseen by autograd, since x is large.
            x.detach().mul_(padding_mask(lengths, x.shape[2])[:, None, :, None])
            x = torch.relu_(x)
        return self.output(x.transpose(1, 2).flatten(2)), lengths


class ConformerLayer(nn.Module):
    """Half-step feed-forwards around attention and convolution, `[batch, frames, dim]`; a new layer only applies layer norm."""

    def __init__(self, dim: int, heads: int, kernel: int, dropout: float) -> None:
        super().__init__()
        self.feed_forward1 = feed_forward(dim)
        self.attention = SelfAttention(dim, heads)
        self.convolution = ConvolutionModule(dim, kernel)
        self.feed_forward2 = feed_forward(dim)
        self.norm = nn.LayerNorm(dim)
        self.dropout = ChannelDropout(dropout)

    def forward(self, x: Tensor, valid: Tensor, rotation: Tensor) -> Tensor:
        x = self.dropout.add(x, self.feed_forward1(x), 0.5)
        x = self.dropout.add(x, self.attention(x, valid, rotation))
        x = self.dropout.add(x, self.convolution(x, valid))
        x = self.dropout.add(x, self.feed_forward2(x), 0.5)
        normalized: Tensor = self.norm(x)
        return normalized


def feed_forward(dim: int) -> nn.Sequential:
    """Layer norm, a hidden layer four times as wide, and back to `dim`."""
    return nn.Sequential(
        nn.LayerNorm(dim), nn.Linear(dim, 4 * dim), nn.SiLU(), zero_initialized(nn.Linear(4 * dim, dim))
    )


def rotary_angles(frames: int, head_dim: int, device: torch.device) -> Tensor:
    """Cosines and sines of the position angles, `[2, frames, head_dim]`."""
    rates = 10_000.0 ** (-torch.arange(0, head_dim, 2, device=device, dtype=torch.float32) / head_dim)
    angles = torch.arange(frames, device=device, dtype=torch.float32)[:, None] * rates
    angles = torch.cat([angles, angles], dim=-1)
    return torch.stack([angles.cos(), angles.sin()])


class SelfAttention(nn.Module):
    """Multi-head self-attention with rotary positions; frames of the padding are never attended to."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(dim)
        self.inputs = nn.Linear(dim, 3 * dim)
        self.output = zero_initialized(nn.Linear(dim, dim))

    def forward(self, x: Tensor, valid: Tensor, rotation: Tensor) -> Tensor:
        batch, frames, dim = x.shape
        width = dim // self.heads
        projected = self.inputs(self.norm(x)).view(batch, frames, 3, self.heads, width)
        query_key, value = projected.split([2, 1], dim=2)
        query, key, value = (
            part.transpose(1, 2).reshape(-1, frames, width)
            for part in (*rotate(query_key, rotation[:, :, None, None]).unbind(2), value[:, :, 0])
        )
        masked = torch.where(valid, 0.0, LOWEST_SCORE).to(query.dtype).repeat_interleave(self.heads, dim=0)[:, None]
        weights = torch.baddbmm(masked, query, key.transpose(1, 2), alpha=width**-0.5).softmax(dim=-1)
        attended = (weights @ value).view(batch, self.heads, frames, width)
        result: Tensor = self.output(attended.transpose(1, 2).reshape(batch, frames, dim))
        return result


def rotate(x: Tensor, rotation: Tensor) -> Tensor:
    """`[..., head_dim]` rotated by the angles of the positions, which broadcast with it."""
    cosines, sines = rotation[..., : x.shape[-1] // 2].to(x.dtype)  # both halves have the same angles
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cosines - second * sines, second * cosines + first * sines], dim=-1)


class ConvolutionModule(nn.Module):
    """Gated pointwise, depthwise over time, batch norm, pointwise; the padding is zero for the depthwise convolution."""

    def __init__(self, dim: int, kernel: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.pointwise1 = nn.Linear(dim, 2 * dim)
        self.depthwise = nn.Conv1d(dim, dim, kernel, padding=kernel // 2, groups=dim)
        self.depthwise_norm = MaskedBatchNorm(dim)
        self.pointwise2 = zero_initialized(nn.Linear(dim, dim))

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        x = nn.functional.glu(self.pointwise1(self.norm(x)), dim=-1)
        x = nn.functional.silu(self.depthwise_norm(self._over_time(x * valid[..., None]), valid))
        result: Tensor = self.pointwise2(x)
        return result

    def _over_time(self, x: Tensor) -> Tensor:
        """The depthwise convolution of `[batch, frames, dim]` as a two-dimensional one of width 1.

        `[batch, frames, dim]` is the channels-last layout, for which torch has a fast two-dimensional convolution on CPUs.
        """
        weight, bias, padding = self.depthwise.weight[..., None], self.depthwise.bias, (*self.depthwise.padding, 0)
        image = x.transpose(1, 2)[..., None]
        return nn.functional.conv2d(image, weight, bias, padding=padding, groups=len(weight))[..., 0].transpose(1, 2)


class ExtraLayers(nn.Module):
    """Conformer layers on top of any encoder, `[batch, frames, dim]` to the same; new ones only apply layer norm."""

    def __init__(self, dim: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.head_dim = dim // EXTRA_HEADS
        self.layers = nn.ModuleList(ConformerLayer(dim, EXTRA_HEADS, EXTRA_KERNEL, dropout) for _ in range(layers))

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Encoded frames `[batch, frames, dim]` and their lengths `[batch]` to frames of the same shape."""
        if self.layers:
            valid, rotation = padding_mask(lengths, x.shape[1]), rotary_angles(x.shape[1], self.head_dim, x.device)
            for layer in self.layers:
                x = layer(x, valid, rotation)
        return x
