"""The description of a network, and the encoder built from it."""

from dataclasses import asdict, dataclass, field
from typing import Any

from torch import nn

from speechxfer.errors import InputError
from speechxfer.models import cnn, conformer, dnn
from speechxfer.models.families import ENCODER_FAMILIES
from speechxfer.models.transformers_encoders import TransformersEncoder

ENCODERS: dict[str, tuple[Any, Any, tuple[int, ...]]] = {  # kind: (class, options by size, subsampling factors)
    "conformer": (conformer.ConformerEncoder, conformer.SIZES, (4, 8)),
    "cnn": (cnn.CnnEncoder, cnn.SIZES, (4, 8)),
    "dnn": (dnn.DnnEncoder, dnn.SIZES, (1,)),
}


@dataclass(frozen=True)
class Architecture:
    """What rebuilds a network: its kind, size, time reduction, the dropout it trains with, and what transfers added."""

    encoder: str
    size: str = "small"
    subsampling: int = 4
    dropout: float = 0.1
    adapter_dim: int = 0
    """Width of the bottleneck after each layer; 0: none."""
    extra_layers: int = 0
    """Conformer layers between encoder and head."""
    config: dict[str, Any] = field(default_factory=dict, hash=False)
    """Of a network of the transformers library: its own configuration, in place of the size."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for a checkpoint's JSON."""
        return asdict(self)


def build_encoder(architecture: Architecture, input_dim: int) -> nn.Module:
    """A fresh encoder with random weights; InputError for a kind, size or subsampling that does not exist."""
    if architecture.encoder in ENCODER_FAMILIES:
        return TransformersEncoder(
            architecture.encoder,
            architecture.config,
            dropout=architecture.dropout,
            adapter_dim=architecture.adapter_dim,
        )
    if architecture.encoder not in ENCODERS:
        known = ", ".join([*ENCODERS, *ENCODER_FAMILIES])
        raise InputError(f"encoder {architecture.encoder!r} is unknown; expected one of {known}")
    kind, sizes, factors = ENCODERS[architecture.encoder]
    if architecture.size not in sizes:
        raise InputError(
            f"size {architecture.size!r} is unknown for {architecture.encoder}; expected one of {', '.join(sizes)}"
        )
    if architecture.subsampling not in factors:
        known = " or ".join(map(str, factors))
        raise InputError(
            f"{architecture.encoder} cannot subsample by {architecture.subsampling}; set model.subsampling to {known}"
        )
    options = dict(sizes[architecture.size])
    if factors != (1,):
        options["subsampling"] = architecture.subsampling
    encoder: nn.Module = kind(input_dim, dropout=architecture.dropout, adapter_dim=architecture.adapter_dim, **options)
    return encoder
