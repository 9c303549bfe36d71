"""The description of a network, and the encoder that is built from it: where an encoder of our own is entered by name."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import torch

from speechxfer.errors import InputError
from speechxfer.models import cnn, conformer, dnn
from speechxfer.models.encoder import Encoder
from speechxfer.models.families import ENCODER_FAMILIES
from speechxfer.models.limits import (
    MAX_ADAPTER_DIM,
    MAX_EXTRA_LAYERS,
    MAX_INPUT_DIM,
    MAX_PARAMETERS,
    check_config,
    check_range,
    check_share,
)
from speechxfer.models.transformers_encoders import TransformersEncoder


@dataclass(frozen=True)
class EncoderKind:
    """One of our own encoders: its class, the options of each size, and the subsampling factors it can have."""

    build: Callable[..., Encoder]
    sizes: Mapping[str, Mapping[str, object]]
    subsampling: tuple[int, ...]


ENCODERS = {
    "conformer": EncoderKind(conformer.ConformerEncoder, conformer.SIZES, (4, 8)),
    "cnn": EncoderKind(cnn.CnnEncoder, cnn.SIZES, (4, 8)),
    "dnn": EncoderKind(dnn.DnnEncoder, dnn.SIZES, (1,)),
}


@dataclass(frozen=True)
class Architecture:
    """Everything needed to build a network again.

    Raises:
        InputError: a value has the wrong type or is out of bounds (see ``limits.py``).
    """

    encoder: str
    """One of `ENCODERS` or `ENCODER_FAMILIES`."""
    size: str = "small"
    """Of our own encoders."""
    subsampling: int = 4
    """Feature frames per encoded frame."""
    dropout: float = 0.1
    adapter_dim: int = 0
    """Width of the bottleneck adapter after each layer; 0: no adapters."""
    extra_layers: int = 0
    """Conformer layers between encoder and head."""
    config: dict[str, Any] = field(default_factory=dict, hash=False)
    """Of an encoder of the transformers library: its configuration, instead of a size."""

    def __post_init__(self) -> None:
        for name in ("encoder", "size"):
            if not isinstance(getattr(self, name), str):
                raise InputError(f"the architecture's {name} is no text; copy the model again")
        if not isinstance(self.config, dict):
            raise InputError("the architecture's config is no object; copy the model again")
        check_range("the architecture's subsampling", self.subsampling, 1, 1024)
        check_range("adapter_dim", self.adapter_dim, 0, MAX_ADAPTER_DIM)
        check_range("extra_layers", self.extra_layers, 0, MAX_EXTRA_LAYERS)
        check_share("dropout", self.dropout)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for a checkpoint's JSON."""
        return asdict(self)


def build_encoder(architecture: Architecture, input_dim: int) -> Encoder:
    """An encoder with random weights for features of `input_dim` values per frame.

    Raises:
        InputError: the encoder, size or subsampling does not exist, or a size is out of bounds; nothing has been allocated.
    """
    check_range("the number of values per frame (mels times stack)", input_dim, 1, MAX_INPUT_DIM)
    options: dict[str, Any] = {"dropout": architecture.dropout, "adapter_dim": architecture.adapter_dim}
    if architecture.encoder in ENCODER_FAMILIES:
        where = f"the configuration of this {architecture.encoder} encoder"
        check_config(architecture.config, f"{where}: config")
        with torch.device("meta"):  # tensors without memory
            skeleton = TransformersEncoder(architecture.encoder, architecture.config, **options)
        parameters = sum(tensor.numel() for tensor in skeleton.state_dict().values())
        if parameters > MAX_PARAMETERS:
            raise InputError(
                f"{where} asks for {parameters:,} parameters; expected at most {MAX_PARAMETERS:,}; copy the model again"
            )
        return TransformersEncoder(architecture.encoder, architecture.config, **options)
    if architecture.encoder not in ENCODERS:
        known = ", ".join([*ENCODERS, *ENCODER_FAMILIES])
        raise InputError(f"encoder {architecture.encoder!r} is unknown; expected one of {known}")
    kind = ENCODERS[architecture.encoder]
    if architecture.size not in kind.sizes:
        raise InputError(
            f"size {architecture.size!r} is unknown for {architecture.encoder}; expected one of {', '.join(kind.sizes)}"
        )
    if architecture.subsampling not in kind.subsampling:
        known = " or ".join(map(str, kind.subsampling))
        raise InputError(
            f"{architecture.encoder} cannot subsample by {architecture.subsampling}; set model.subsampling to {known}"
        )
    if kind.subsampling != (1,):
        options["subsampling"] = architecture.subsampling
    return kind.build(input_dim, **kind.sizes[architecture.size], **options)
