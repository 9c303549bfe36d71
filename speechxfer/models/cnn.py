"""Convolutional encoder: residual one-dimensional convolutions over time with batch norm, as in Jasper.

Source: Li et al., 'Jasper' (arXiv:1904.03288), reduced. The batch statistics are taken over the utterances' own frames
only, and the padding is zero before each convolution, so an utterance's output does not depend on its batch.
"""

import torch
from torch import Tensor, nn

from speechxfer.features import padding_mask
from speechxfer.models.layers import MaskedBatchNorm, build_adapters

SIZES: dict[str, dict[str, object]] = {
    "tiny": {"dim": 96, "layers": 4, "kernel": 9},
    "small": {"dim": 256, "layers": 6, "kernel": 11},
    "base": {"dim": 384, "layers": 10, "kernel": 13},
}


class CnnEncoder(nn.Module):
    """`[batch, frames, mels]` to `[batch, ceil(frames / subsampling), output_dim]`; subsampling 4 or 8."""

    def __init__(
        self,
        input_dim: int,
        *,
        dim: int,
        layers: int,
        kernel: int,
        subsampling: int = 4,
        dropout: float = 0.1,
        adapter_dim: int = 0,
    ) -> None:
        super().__init__()
        self.output_dim = dim
        self.lora_modules = ("convolution",)
        self.subsampling = subsampling
        self.has_uniform_layers = True
        stages = subsampling.bit_length() - 1
        self.strided = nn.ModuleList(
            ConvolutionLayer(input_dim if stage == 0 else dim, dim, 5, stride=2, dropout=dropout)
            for stage in range(stages)
        )
        self.layers = nn.ModuleList(
            ConvolutionLayer(dim, dim, kernel, stride=1, dropout=dropout) for _ in range(layers)
        )
        self.adapters = build_adapters([dim] * layers, adapter_dim)

    def output_lengths(self, lengths: Tensor) -> Tensor:
        """Exact numbers of encoded frames for numbers of feature frames."""
        return (lengths + self.subsampling - 1) // self.subsampling

    def layer_groups(self) -> list[nn.Module]:
        """The strided layers as one group, then each layer from the input upwards."""
        return [self.strided, *self.layers]

    def forward(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Features `[batch, frames, mels]` and lengths `[batch]` in frames to encoded frames and their lengths."""
        x = features
        for layer in self.strided:
            x, lengths = layer(x, lengths)
        for layer, adapter in zip(self.layers, self.adapters, strict=True):
            y, _ = layer(x, lengths)
            x = adapter(x + y)
        return x, lengths


class ConvolutionLayer(nn.Module):
    """Convolution over time, batch norm over valid frames, ReLU, dropout on `[batch, frames, dim]`."""

    def __init__(self, input_dim: int, output_dim: int, kernel: int, *, stride: int, dropout: float) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(input_dim, output_dim, kernel, stride=stride, padding=kernel // 2, bias=False)
        self.norm = MaskedBatchNorm(output_dim)
        self.dropout = nn.Dropout(dropout)
        self.stride = stride

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        x = x * padding_mask(lengths, x.shape[1])[..., None]
        x = self.convolution(x.transpose(1, 2)).transpose(1, 2)
        lengths = (lengths + self.stride - 1) // self.stride
        normalized = self.norm(x, padding_mask(lengths, x.shape[1]))
        return self.dropout(torch.relu(normalized)), lengths
