"""The interface of an encoder: what the acoustic model, training, freezing and low-rank updates need of it.

An encoder is an `nn.Module` that maps features `[batch, frames, mels]` and lengths `[batch]` to encoded frames
`[batch, frames', output_dim]` and their lengths, such that the padding of an utterance does not change its output. To add
one: write the module with the members below, and enter it in ``architecture.py`` (own encoders) or in
``transformers_families.py`` (encoders of the transformers library).
"""

from collections.abc import Iterator, Mapping
from typing import Protocol

from torch import Tensor, nn


class Encoder(Protocol):
    """An `nn.Module` with these members besides those of every module."""

    @property
    def output_dim(self) -> int:
        """Width of the encoded frames."""

    @property
    def subsampling(self) -> int:
        """Feature frames per encoded frame."""

    @property
    def has_uniform_layers(self) -> bool:
        """Whether all layers have the width `output_dim` and end in a norm, so that a head can read each of them."""

    @property
    def adapters(self) -> nn.ModuleList:
        """One module for each layer that the layer's output passes through: a bottleneck adapter, or the identity."""

    @property
    def lora_modules(self) -> tuple[str, ...]:
        """Name endings of the modules that a low-rank update (LoRA) is applied to."""

    def output_lengths(self, lengths: Tensor) -> Tensor:
        """Exact numbers of encoded frames for numbers of feature frames; integer tensors of any shape."""

    def layer_groups(self) -> list[nn.Module]:
        """The parts from the input upwards, for freezing and layer-wise learning rates."""

    def forward(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Features `[batch, frames, mels]` and lengths `[batch]` to `[batch, frames', output_dim]` and lengths `[batch]`."""

    # The members of `nn.Module` that are used; a protocol cannot inherit from a class.

    def __call__(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]: ...

    def modules(self) -> Iterator[nn.Module]: ...

    def named_modules(self) -> Iterator[tuple[str, nn.Module]]: ...

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]: ...

    def state_dict(self) -> dict[str, Tensor]: ...

    def load_state_dict(self, state_dict: Mapping[str, Tensor], strict: bool = True) -> object: ...
