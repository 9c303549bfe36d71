"""Families of encoders of the transformers library: the names of their classes, settings and parts."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from speechxfer.errors import InputError


@dataclass(frozen=True)
class EncoderFamily:
    """One family of networks: how the library names its classes, settings and parts."""

    module: str
    """The library's package of this family."""
    config: str
    network: str
    width: str
    """The setting that is the layers' width."""
    dropouts: tuple[str, ...]
    """Settings that our one dropout goes into."""
    off: Mapping[str, object]
    """What the library would do at random in training beside our own settings."""
    before: tuple[str, ...]
    layers: str
    after: tuple[str, ...]
    """Parts of the network from the input upwards, by their dotted names."""
    normed: bool
    """Whether each layer ends in a norm, so that the head can read what flows between them."""
    lora_modules: tuple[str, ...]
    strides: Callable[[Any], list[tuple[int, int, int]]]
    """Kernel, stride and padding of each convolution that shortens time, from the configuration."""


PARAKEET = EncoderFamily(
    "parakeet",
    "ParakeetEncoderConfig",
    "ParakeetEncoder",
    "hidden_size",
    ("dropout", "activation_dropout", "attention_dropout"),
    {"layerdrop": 0.0, "dropout_positions": 0.0},
    ("subsampling", "encode_positions"),
    "layers",
    (),
    True,
    ("q_proj", "k_proj", "v_proj", "o_proj", "linear1", "linear2"),
    lambda config: (
        [
            (
                config.subsampling_conv_kernel_size,
                config.subsampling_conv_stride,
                config.subsampling_conv_kernel_size // 2,
            )
        ]
        * round(math.log2(config.subsampling_factor))
    ),
)
ENCODER_FAMILIES = {
    "parakeet": PARAKEET,
    "nemo-conformer": PARAKEET,  # the same layers above another subsampling, see `Striding`
    "wav2vec2-bert": EncoderFamily(
        "wav2vec2_bert",
        "Wav2Vec2BertConfig",
        "Wav2Vec2BertModel",
        "hidden_size",
        ("hidden_dropout", "attention_dropout", "activation_dropout", "feat_proj_dropout", "conformer_conv_dropout"),
        {"layerdrop": 0.0, "mask_time_prob": 0.0, "mask_feature_prob": 0.0},
        ("feature_projection", "encoder.embed_positions"),
        "encoder.layers",
        ("intermediate_ffn", "adapter"),
        True,
        ("linear_q", "linear_k", "linear_v", "linear_out", "intermediate_dense", "output_dense"),
        lambda config: (
            [(config.adapter_kernel_size, config.adapter_stride, config.adapter_stride // 2)]
            * (config.num_adapter_layers if config.add_adapter else 0)
        ),
    ),
    "whisper": EncoderFamily(
        "whisper",
        "WhisperConfig",
        "WhisperEncoder",
        "d_model",
        ("dropout", "attention_dropout", "activation_dropout"),
        {"encoder_layerdrop": 0.0},
        ("conv1", "conv2", "embed_positions"),
        "layers",
        ("layer_norm",),
        False,
        ("q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"),
        lambda config: [(3, 2, 1)],
    ),
    "speech2text": EncoderFamily(
        "speech_to_text",
        "Speech2TextConfig",
        "Speech2TextEncoder",
        "d_model",
        ("dropout", "attention_dropout", "activation_dropout"),
        {"encoder_layerdrop": 0.0},
        ("conv", "embed_positions"),
        "layers",
        ("layer_norm",),
        False,
        ("q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"),
        lambda config: [(kernel, 2, kernel // 2) for kernel in config.conv_kernel_sizes],
    ),
}


def import_transformers() -> Any:
    """The library; InputError says how to install it."""
    try:
        import transformers as library
    except ImportError as error:
        raise InputError("this model needs the library transformers; pip install 'speechxfer[hf]'") from error
    return library
