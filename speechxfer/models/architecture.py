"""The description of a network, and the encoder built from it."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from speechxfer.errors import InputError
from speechxfer.models import cnn, conformer, dnn
from speechxfer.models.encoder import Encoder
from speechxfer.models.families import ENCODER_FAMILIES
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


def build_encoder(architecture: Architecture, input_dim: int) -> Encoder:
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
    options = dict(kind.sizes[architecture.size])
    if kind.subsampling != (1,):
        options["subsampling"] = architecture.subsampling
    return kind.build(input_dim, dropout=architecture.dropout, adapter_dim=architecture.adapter_dim, **options)
