"""Bottleneck adapters: small residual networks after an encoder's layers that learn while the layers rest.

Source: Houlsby et al., 'Parameter-efficient transfer learning for NLP' (arXiv:1902.00751), one adapter a layer. A fresh one
passes its input on, so an encoder with new adapters computes what it computed without.
"""

from collections.abc import Iterable

from torch import Tensor, nn

from speechxfer.models.layers import zeroed


class Adapter(nn.Module):
    """`[batch, frames, dim]` plus a correction from a bottleneck of `width`, which starts at zero."""

    def __init__(self, dim: int, width: int) -> None:
        super().__init__()
        self.correction = nn.Sequential(
            nn.LayerNorm(dim), nn.Linear(dim, width), nn.SiLU(), zeroed(nn.Linear(width, dim))
        )

    def forward(self, x: Tensor) -> Tensor:
        """The input, corrected; same shape."""
        corrected: Tensor = x + self.correction(x)
        return corrected


def adapters(dims: Iterable[int], width: int) -> nn.ModuleList:
    """One adapter for each layer's output dimension; with `width` 0 the identity, which has no weights."""
    return nn.ModuleList(Adapter(dim, width) if width else nn.Identity() for dim in dims)
