"""External checkpoints as acoustic models: checks of their settings, the network, and its weights.

Shared by the readers of transformers folders and NeMo archives. A checkpoint whose front end is not one of our presets is
refused, since its network would get other features than it was trained on.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

from torch import Tensor, nn

from speechxfer.checkpoints.weights import COPY_AGAIN, build_on_meta, check_finite, check_shapes
from speechxfer.errors import InputError
from speechxfer.features import FeatureSpec
from speechxfer.models import ENCODER_FAMILIES, AcousticModel, Architecture, TransformersEncoder
from speechxfer.text import Normalizer, Vocabulary

WORD_DELIMITER = "|"  # the space in Wav2Vec2's vocabularies
UNKNOWN, PRIVATE_USE = "\ufffd", 0xE000
NOT_OF_THE_ENCODER = (  # settings that build no part of the network
    "architectures", "transformers_version", "dtype", "torch_dtype", "model_type", "num_labels", "id2label", "label2id",
)  # fmt: skip
Settings = Mapping[str, Any]


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
    kind: str,
    config: Settings,
    weights: Mapping[str, Tensor],
    spec: FeatureSpec,
    vocabulary: Vocabulary,
    head: ExternalHead | None,
    where: str,
) -> AcousticModel:
    """The acoustic model of an external checkpoint.

    Args:
        kind: name of the family, as in `ENCODER_FAMILIES`.
        config: the network's configuration in the terms of transformers.
        weights: of the encoder, by the names of transformers.
        head: None: a random one.
        where: folder or archive, for messages.

    Raises:
        InputError: the library refuses the configuration, the weights do not fit it, or one is NaN or infinite.
    """
    kept = {k: v for k, v in config.items() if k not in NOT_OF_THE_ENCODER and not k.startswith("_")}
    architecture = Architecture(kind, "", 1, dropout=0.0, config=kept)
    skeleton = build_on_meta(lambda: AcousticModel(architecture, vocabulary, spec, Normalizer()), where)
    expected, layers = _network(skeleton).state_dict(), f"{ENCODER_FAMILIES[kind].layers}."
    found = {name: value.shape for name, value in weights.items() if name in expected or name.startswith(layers)}
    check_shapes(expected, found, where)
    if head:
        shape, fitting = list(head.weight.shape), [len(head.order), skeleton.head.in_features]
        is_convolution = shape == [*fitting, 1]  # of kernel 1, over single frames
        if not (shape == fitting or is_convolution) or list(head.bias.shape) != fitting[:1]:
            raise InputError(
                f"{where}: the head has shape {shape} where its vocabulary and encoder make {fitting}; {COPY_AGAIN}"
            )
    model = AcousticModel(architecture, vocabulary, spec, Normalizer())
    model.architecture = replace(architecture, subsampling=model.encoder.subsampling)
    for name, value in _network(model).state_dict().items():
        value.copy_(weights[name])  # in place, from any precision: no third copy of large weights
    if head:
        rows = head.weight.squeeze(-1) if head.weight.dim() == 3 else head.weight
        model.head.load_state_dict({"weight": rows[head.order].float(), "bias": head.bias[head.order].float()})
    check_finite(model.state_dict(), where, COPY_AGAIN)
    return model


def _network(model: AcousticModel) -> nn.Module:
    """The network of transformers in the model's encoder."""
    network: nn.Module = cast(TransformersEncoder, model.encoder).network
    return network
