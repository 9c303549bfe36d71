"""Output layers, and the pooling over time below an output layer of words."""

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
class Parent:
    """The head of a model that another was made from, kept so that the source's task can still be scored."""

    name: str
    vocabulary: Vocabulary
    normalizer: Normalizer
    task: Task
    extra_layers: int
    """As many of the extra layers lay below this head."""
    weight: Tensor
    """`[symbols, dim]`."""
    bias: Tensor
    """`[symbols]`."""
    statistics: dict[str, Tensor] = field(default_factory=dict)
    """Of the pooling below a head of words, see `Pooling`."""


def build_head(encoder: Encoder, task: Task, symbols: int) -> tuple["Pooling | None", nn.Linear]:
    """A fresh head for this task on this encoder, and what gathers a recording for it where it reads all layers."""
    dim, layers = encoder.output_dim, len(encoder.adapters) if encoder.has_uniform_layers else 1
    if task == "ctc" or layers == 1:
        return None, nn.Linear(dim, symbols)
    width = 2 * layers * dim
    return Pooling(width), nn.Linear(width, symbols)


class Pooling(nn.Module):
    """What tells words apart: mean and maximum over time of every layer, brought to one scale over utterances.

    In training each value is normed by the batch and half of them are dropped, otherwise it is normed by the running
    statistics, as a batch norm does (Ioffe & Szegedy, arXiv:1502.03167); a batch of one utterance by these, too.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = MaskedBatchNorm(width, affine=False, momentum=0.05)
        self.dropout = nn.Dropout(0.5)

    def forward(self, layers: Sequence[Tensor], lengths: Tensor) -> Tensor:
        """What is gathered, `[batch, 1, 2 * layers * dim]`, on one scale; arguments as for `gather`."""
        gathered = self.gather(layers, lengths)[:, None]
        scaled: Tensor = self.dropout(self.norm(gathered, torch.ones_like(gathered[..., 0], dtype=torch.bool)))
        return scaled

    def gather(self, layers: Sequence[Tensor], lengths: Tensor) -> Tensor:
        """`[batch, frames, dim]` of each layer and the utterances' own frames `[batch]` to `[batch, 2 * layers * dim]`."""
        means = [mean_frame(values, lengths)[:, 0] for values in layers]
        outside = ~padding_mask(lengths.clamp(min=1), layers[0].shape[1])[..., None]
        highest = [values.float().masked_fill(outside, -torch.inf).amax(dim=1) for values in layers]
        return torch.cat([*means, *highest], dim=-1)


def mean_frame(encoded: Tensor, lengths: Tensor) -> Tensor:
    """Average of the valid frames of `[batch, frames, dim]` as `[batch, 1, dim]`, in float32."""
    valid = padding_mask(lengths, encoded.shape[1])[..., None]
    return (encoded.float() * valid).sum(dim=1, keepdim=True) / lengths.clamp(min=1)[:, None, None]
