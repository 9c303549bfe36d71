"""Feed-forward network on single frames, for words: Linear 80-128, ReLU, Linear 128-64, ReLU; the head is 64-N.

It is that of the articles on transfer learning which ``recipes/commands`` repeats. The output of a frame depends on
that frame only. To classify words, the acoustic model averages the encoded frames before
the head.
"""

from torch import Tensor, nn

from speechxfer.models.layers import build_adapters

SIZES: dict[str, dict[str, object]] = {
    "tiny": {"widths": (128, 64)},
    "small": {"widths": (512, 512, 256)},
    "base": {"widths": (1024, 1024, 1024, 512)},
}


class DnnEncoder(nn.Module):
    """`[batch, frames, mels]` to `[batch, frames, output_dim]`; no subsampling."""

    def __init__(
        self, input_dim: int, *, widths: tuple[int, ...] = (128, 64), dropout: float = 0.0, adapter_dim: int = 0
    ) -> None:
        super().__init__()
        self.output_dim = widths[-1]
        self.lora_modules = tuple(f"layers.{number}.0" for number in range(len(widths)))  # each layer's linear part
        self.subsampling = 1
        self.has_uniform_layers = False
        inputs = (input_dim, *widths[:-1])
        self.layers = nn.ModuleList(
            nn.Sequential(nn.Linear(i, o), nn.ReLU(), nn.Dropout(dropout)) for i, o in zip(inputs, widths, strict=True)
        )
        self.adapters = build_adapters(widths, adapter_dim)

    def output_lengths(self, lengths: Tensor) -> Tensor:
        """The same lengths: there is no subsampling."""
        return lengths

    def layer_groups(self) -> list[nn.Module]:
        """The layers from the input upwards."""
        return list(self.layers)

    def forward(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Features `[batch, frames, mels]` and lengths `[batch]` to encoded frames and the same lengths."""
        for layer, adapter in zip(self.layers, self.adapters, strict=True):
            features = adapter(layer(features))
        return features, lengths
