"""The description of a network, and the encoder that is built from it: where an encoder of our own is entered by name.

Descriptions come from files of unknown origin (``model.json``, configurations of transformers and NeMo) and from settings. The
sizes that they claim are bounded before anything is allocated or built, far above those of any published encoder of speech.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import torch

from speechxfer.errors import InputError
from speechxfer.models import cnn, conformer, dnn
from speechxfer.models.encoder import Encoder
from speechxfer.models.transformers_encoders import TransformersEncoder
from speechxfer.models.transformers_families import ENCODER_FAMILIES

MAX_INPUT_DIM = 8192
MAX_ADAPTER_DIM = 8192
MAX_EXTRA_LAYERS = 64
MAX_LORA_RANK = 1024
MAX_LAYERS = 512  # any setting with "layers" in its name, and the length of a list
MAX_SETTING = 1 << 21  # any other whole number, such as widths, positions and sizes of vocabularies
MAX_PARAMETERS = 4_000_000_000


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
        InputError: a value has the wrong type or is out of bounds.
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
        if isinstance(self.dropout, bool) or not isinstance(self.dropout, int | float) or not 0 <= self.dropout < 1:
            raise InputError(f"dropout is {_shorten(self.dropout)}; expected a number from 0 to below 1; correct it")

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
        _check_config(architecture.config, f"{where}: config")
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


def check_range(name: str, value: object, lowest: int, highest: int) -> None:
    """Raise InputError unless `value` is a whole number from `lowest` to `highest`."""
    if isinstance(value, bool) or not isinstance(value, int) or not lowest <= value <= highest:
        raise InputError(f"{name} is {_shorten(value)}; expected a whole number from {lowest} to {highest}; correct it")


def _check_config(config: Mapping[str, Any], where: str) -> None:
    """Raise InputError where a configuration of an encoder has a number beyond all bounds; `where` begins the names."""
    for key, value in config.items():
        name = f"{where}.{key}"
        if isinstance(value, Mapping):
            _check_config(value, name)
            continue
        values = value if isinstance(value, list | tuple) else [value]
        if len(values) > MAX_LAYERS:
            raise InputError(f"{name} is a list of {len(values)}; expected at most {MAX_LAYERS}; copy the model again")
        highest = MAX_LAYERS if "layers" in str(key) else MAX_SETTING
        for number in values:
            if isinstance(number, int) and not isinstance(number, bool):
                check_range(name, number, -1, highest)
            elif isinstance(number, float) and not math.isfinite(number):
                raise InputError(f"{name} is {number}; expected a finite number; copy the model again")


def _shorten(value: object) -> str:
    """A value as messages show it; a number of many digits by its number of digits."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 1 << 64:
        return f"a number of {round(value.bit_length() * math.log10(2))} digits"
    return repr(value)[:60]
