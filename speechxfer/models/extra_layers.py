"""Conformer layers between any encoder and its head."""

from torch import Tensor, nn

from speechxfer.features import padding_mask
from speechxfer.models.conformer import ConformerLayer, rotary_angles

EXTRA_HEADS, EXTRA_KERNEL = 4, 15


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
