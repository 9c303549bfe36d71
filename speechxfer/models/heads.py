"""Heads (output layers), and the pooling over time below a head that classifies words."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn

from speechxfer.features import padding_mask
from speechxfer.models.encoder import Encoder
from speechxfer.models.layers import MaskedBatchNorm
from speechxfer.text import Normalizer, Vocabulary

Task = Literal["ctc", "classify"]


@dataclass(frozen=True, eq=False)
class ParentHead:
    """The head of a model that another was adapted from, kept so that the source's task can still be scored."""

    name: str
    vocabulary: Vocabulary
    normalizer: Normalizer
    task: Task
    extra_layers: int
    """How many of the extra layers are below this head."""
    weight: Tensor
    """`[symbols, dim]`."""
    bias: Tensor
    """`[symbols]`."""
    pooling_state: dict[str, Tensor] = field(default_factory=dict)
    """State dictionary of the `Pooling` below the head; empty without one."""


def build_head(encoder: Encoder, task: Task, symbols: int) -> tuple["Pooling | None", nn.Linear]:
    """A head with random weights for this task on this encoder, and its pooling if it reads all layers."""
    dim, layers = encoder.output_dim, len(encoder.adapters) if encoder.has_uniform_layers else 1
    if task == "ctc" or layers == 1:
        return None, nn.Linear(dim, symbols)
    width = 2 * layers * dim
    return Pooling(width), nn.Linear(width, symbols)


class Pooling(nn.Module):
    """Mean and maximum over time of every layer, normalised over utterances by batch norm (arXiv:1502.03167), with dropout.

    A batch of one utterance is normalised by the running statistics in training, too.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = MaskedBatchNorm(width, affine=False, momentum=0.05)
        self.dropout = nn.Dropout(0.5)

    def forward(self, layers: Sequence[Tensor], lengths: Tensor) -> Tensor:
        """Normalised values `[batch, 1, 2 * layers * dim]`; arguments as for `pool`."""
        pooled = self.pool(layers, lengths)[:, None]
        normalized: Tensor = self.dropout(self.norm(pooled, torch.ones_like(pooled[..., 0], dtype=torch.bool)))
        return normalized

    def pool(self, layers: Sequence[Tensor], lengths: Tensor) -> Tensor:
        """`[batch, frames, dim]` of each layer and the utterances' own frames `[batch]` to `[batch, 2 * layers * dim]`."""
        means = [mean_frame(values, lengths)[:, 0] for values in layers]
        outside = ~padding_mask(lengths.clamp(min=1), layers[0].shape[1])[..., None]
        highest = [values.float().masked_fill(outside, -torch.inf).amax(dim=1) for values in layers]
        return torch.cat([*means, *highest], dim=-1)


def mean_frame(encoded: Tensor, lengths: Tensor) -> Tensor:
    """Average of the valid frames of `[batch, frames, dim]` as `[batch, 1, dim]`, in float32."""
    valid = padding_mask(lengths, encoded.shape[1])[..., None]
    return (encoded.float() * valid).sum(dim=1, keepdim=True) / lengths.clamp(min=1)[:, None, None]
