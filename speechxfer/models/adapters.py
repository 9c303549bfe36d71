"""Bottleneck adapters: small residual networks after the layers of an encoder, trained while the layers are frozen.

Source: Houlsby et al., 'Parameter-efficient transfer learning for NLP' (arXiv:1902.00751), one adapter per layer. A new
adapter is the identity, so an encoder with new adapters has the same outputs as without.
"""

from collections.abc import Iterable

from torch import Tensor, nn

from speechxfer.models.layers import zero_initialized


class Adapter(nn.Module):
    """`[batch, frames, dim]` plus a correction from a bottleneck of `width`, which starts at zero."""

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
