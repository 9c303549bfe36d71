"""External checkpoints as acoustic models: checks of their settings, the network, and its weights.

Shared by the readers of transformers folders and NeMo archives. A checkpoint whose front end is not one of our presets is
refused, since its network would get other features than it was trained on.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from speechxfer.checkpoints.size_checks import build_on_meta
from speechxfer.checkpoints.weights import COPY_AGAIN, check_finite
from speechxfer.errors import InputError
from speechxfer.features import FeatureSpec
from speechxfer.models import AcousticModel, Architecture, TransformersEncoder
from speechxfer.text import Normalizer, Vocabulary

WORD_DELIMITER = "|"  # the space in Wav2Vec2's vocabularies
UNKNOWN, PRIVATE_USE = "\ufffd", 0xE000
NOT_OF_THE_ENCODER = (  # settings that build no part of the network
    "architectures", "transformers_version", "dtype", "torch_dtype", "model_type", "num_labels", "id2label", "label2id",
)  # fmt: skip
Settings = Mapping[str, Any]


@dataclass(frozen=True)
class ExternalEncoder:
    """Parts of an external checkpoint from which its encoder is built.

    Attributes:
        kind: name of the family, as in `ENCODER_FAMILIES`.
        config: the network's configuration in the terms of transformers.
        weights: by the names of transformers.
        place: folder or archive, for messages.
    """

    kind: str
    config: Settings
    weights: Mapping[str, Tensor]
    place: Path


@dataclass(frozen=True)
class ExternalHead:
    """A CTC head: `weight` `[symbols, dim]` or `[symbols, dim, 1]`, `bias` `[symbols]`; symbol i has row `order[i]`."""

    weight: Tensor
    bias: Tensor
    order: list[int]


def compare_settings(stated: Settings, expected: Settings, where: str) -> None:
    """Raise InputError if a setting differs from what the family needs; absent ones have that value by default."""
    for key, value in expected.items():
        if key in stated and stated[key] != value:
            raise InputError(
                f"{where} has {key} = {stated[key]!r} where {value!r} is expected, so the network would get other features than "
                "it was trained on; such a checkpoint is refused"
            )


def single_characters(symbols: list[str]) -> Iterator[str]:
    """One character per symbol: special ones, which no transcript contains, become private-use code points."""
    taken: set[str] = set()
    special = 0
    for symbol in symbols:
        character = {WORD_DELIMITER: " ", "[UNK]": UNKNOWN, "<unk>": UNKNOWN}.get(symbol, symbol)
        if len(character) != 1 or character in taken:
            character = chr(PRIVATE_USE + special)
            special += 1
        taken.add(character)
        yield character


def build_external(
    encoder: ExternalEncoder, spec: FeatureSpec, vocabulary: Vocabulary, head: ExternalHead | None
) -> AcousticModel:
    """The acoustic model of an external checkpoint; without a head of its own, a random one.

    Raises:
        InputError: the library refuses the configuration, the weights do not fit it, or one is NaN or infinite.
    """
    where = str(encoder.place)
    kept = {k: v for k, v in encoder.config.items() if k not in NOT_OF_THE_ENCODER and not k.startswith("_")}
    architecture = Architecture(encoder.kind, "", 1, dropout=0.0, config=kept)
    skeleton = build_on_meta(lambda: AcousticModel(architecture, vocabulary, spec, Normalizer()), where)
    _check_encoder(_transformers_encoder(skeleton), encoder)
    if head:
        _check_head(head, skeleton.head.in_features, where)
    model = AcousticModel(architecture, vocabulary, spec, Normalizer())
    model.architecture = replace(architecture, subsampling=model.encoder.subsampling)
    for name, value in _transformers_encoder(model).network.state_dict().items():
        value.copy_(encoder.weights[name])  # in place, from any precision: no third copy of large weights
    if head:
        rows = head.weight.squeeze(-1) if head.weight.dim() == 3 else head.weight
        model.head.load_state_dict({"weight": rows[head.order].float(), "bias": head.bias[head.order].float()})
    check_finite(model.state_dict(), where, COPY_AGAIN)
    return model


def _transformers_encoder(model: AcousticModel) -> TransformersEncoder:
    if not isinstance(model.encoder, TransformersEncoder):
        raise TypeError(f"{type(model.encoder).__name__} is no encoder of transformers")
    return model.encoder


def _check_encoder(skeleton: TransformersEncoder, encoder: ExternalEncoder) -> None:
    expected, weights = skeleton.network.state_dict(), encoder.weights
    layers = f"{skeleton.family.layers}."
    unexpected = [name for name in weights if name.startswith(layers) and name not in expected]
    missing = [name for name in expected if name not in weights]
    misshapen = [name for name in expected if name in weights and weights[name].shape != expected[name].shape]
    for names, reason in (
        (unexpected, "is not part of it"),
        (misshapen, "has another shape"),
        (missing, "is missing"),
    ):
        if names:
            raise InputError(
                f"{encoder.place}: the weights do not fit the architecture that its settings state ({names[0]} {reason}); "
                f"{COPY_AGAIN}"
            )


def _check_head(head: ExternalHead, dim: int, where: str) -> None:
    """A head over single frames may be a convolution of kernel 1."""
    shape, rows = list(head.weight.shape), len(head.order)
    if shape not in ([rows, dim], [rows, dim, 1]) or list(head.bias.shape) != [rows]:
        raise InputError(
            f"{where}: the head has shape {shape} where its vocabulary and encoder make {[rows, dim]}; {COPY_AGAIN}"
        )
