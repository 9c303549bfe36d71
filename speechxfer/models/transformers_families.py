"""The families of the transformers library whose encoders can be loaded, adapted and exported: one entry per family.

A new family is added here only: its classes and settings, its parts, its front end, the layout of its checkpoints, and its
CTC model if it can be exported. Only where padding would change the outputs of the library's network does it need a forward
pass of its own in ``transformers_encoders.py``. Source: the configuration classes and weight names of transformers 5.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from speechxfer.errors import InputError


@dataclass(frozen=True)
class CheckpointLayout:
    """Where the weights are in a checkpoint of one `model_type` (the name in its ``config.json``)."""

    encoder_prefixes: tuple[str, ...]
    """Prefixes of the encoder's weights; the first one that occurs is the right one."""
    head: str = ""
    """Name of the CTC head; empty: there is none."""


@dataclass(frozen=True)
class CtcModel:
    """Names of the library's CTC model of a family and of what makes its processor; needed for export."""

    config_class: str
    network_class: str
    encoder: str
    head: str
    extractor_class: str
    processor_class: str


@dataclass(frozen=True)
class EncoderFamily:
    """One family of encoders: names of classes, settings and parts in the library, and the front end."""

    module: str
    """The library's package of this family."""
    config_class: str
    encoder_class: str
    width_setting: str
    """The setting for the width of the layers."""
    dropout_settings: tuple[str, ...]
    """The settings that are set to our one dropout."""
    fixed_settings: Mapping[str, object]
    """Settings that turn off further randomness in training."""
    parts_before: tuple[str, ...]
    """Parts below the layers, from the input upwards, by their dotted names; so are the next two."""
    layers: str
    parts_after: tuple[str, ...]
    has_uniform_layers: bool
    """Whether each layer ends in a norm, so that a head can read the outputs of all layers."""
    lora_modules: tuple[str, ...]
    strides: Callable[[Any], list[tuple[int, int, int]]]
    """Kernel, stride and padding of each convolution that subsamples in time, from the configuration."""
    preset: str
    """The feature preset that its extractor computes."""
    extractor_settings: Mapping[str, object]
    """Settings of ``preprocessor_config.json`` that the preset is made for; the number of mels is the model's."""
    checkpoints: Mapping[str, CheckpointLayout] = field(default_factory=dict)
    """By `model_type`; empty: no checkpoint of transformers has this encoder."""
    ctc_model: CtcModel | None = None
    """None: the library has no CTC model of this family."""


PARAKEET = EncoderFamily(
    module="parakeet",
    config_class="ParakeetEncoderConfig",
    encoder_class="ParakeetEncoder",
    width_setting="hidden_size",
    dropout_settings=("dropout", "activation_dropout", "attention_dropout"),
    fixed_settings={"layerdrop": 0.0, "dropout_positions": 0.0},
    parts_before=("subsampling", "encode_positions"),
    layers="layers",
    parts_after=(),
    has_uniform_layers=True,
    lora_modules=("q_proj", "k_proj", "v_proj", "o_proj", "linear1", "linear2"),
    strides=lambda config: (
        [
            (
                config.subsampling_conv_kernel_size,
                config.subsampling_conv_stride,
                config.subsampling_conv_kernel_size // 2,
            )
        ]
        * round(math.log2(config.subsampling_factor))
    ),
    preset="nemo-2025",
    extractor_settings={
        "sampling_rate": 16_000, "hop_length": 160, "n_fft": 512, "win_length": 400, "preemphasis": 0.97,
    },
    checkpoints={
        "parakeet_ctc": CheckpointLayout(("encoder.",), "ctc_head"),
        "parakeet_encoder": CheckpointLayout(("encoder.", "")),
    },
    ctc_model=CtcModel(
        "ParakeetCTCConfig", "ParakeetForCTC", "encoder", "ctc_head", "ParakeetFeatureExtractor", "ParakeetProcessor"
    ),
)  # fmt: skip
WAV2VEC2_BERT = EncoderFamily(
    module="wav2vec2_bert",
    config_class="Wav2Vec2BertConfig",
    encoder_class="Wav2Vec2BertModel",
    width_setting="hidden_size",
    dropout_settings=(
        "hidden_dropout", "attention_dropout", "activation_dropout", "feat_proj_dropout", "conformer_conv_dropout",
    ),
    fixed_settings={"layerdrop": 0.0, "mask_time_prob": 0.0, "mask_feature_prob": 0.0},
    parts_before=("feature_projection", "encoder.embed_positions"),
    layers="encoder.layers",
    parts_after=("intermediate_ffn", "adapter"),
    has_uniform_layers=True,
    lora_modules=("linear_q", "linear_k", "linear_v", "linear_out", "intermediate_dense", "output_dense"),
    strides=lambda config: (
        [(config.adapter_kernel_size, config.adapter_stride, config.adapter_stride // 2)]
        * (config.num_adapter_layers if config.add_adapter else 0)
    ),
    preset="seamless",
    extractor_settings={"sampling_rate": 16_000, "stride": 2, "num_mel_bins": 80},
    checkpoints={"wav2vec2-bert": CheckpointLayout(("wav2vec2_bert.", ""), "lm_head")},
    ctc_model=CtcModel(
        "Wav2Vec2BertConfig", "Wav2Vec2BertForCTC", "wav2vec2_bert", "lm_head", "SeamlessM4TFeatureExtractor",
        "Wav2Vec2BertProcessor",
    ),
)  # fmt: skip
WHISPER = EncoderFamily(
    module="whisper",
    config_class="WhisperConfig",
    encoder_class="WhisperEncoder",
    width_setting="d_model",
    dropout_settings=("dropout", "attention_dropout", "activation_dropout"),
    fixed_settings={"encoder_layerdrop": 0.0},
    parts_before=("conv1", "conv2", "embed_positions"),
    layers="layers",
    parts_after=("layer_norm",),
    has_uniform_layers=False,
    lora_modules=("q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"),
    strides=lambda config: [(3, 2, 1)],
    preset="whisper-filled",
    extractor_settings={"sampling_rate": 16_000, "hop_length": 160, "n_fft": 400},
    checkpoints={"whisper": CheckpointLayout(("model.encoder.", "encoder.", ""))},
)
SPEECH2TEXT = replace(  # the same layers and settings above another subsampling and front end
    WHISPER,
    module="speech_to_text",
    config_class="Speech2TextConfig",
    encoder_class="Speech2TextEncoder",
    parts_before=("conv", "embed_positions"),
    strides=lambda config: [(kernel, 2, kernel // 2) for kernel in config.conv_kernel_sizes],
    preset="speech2text",
    extractor_settings={
        "sampling_rate": 16_000, "num_mel_bins": 80, "do_ceptral_normalize": True, "normalize_means": True,
        "normalize_vars": True,
    },
    checkpoints={"speech_to_text": CheckpointLayout(("model.encoder.", "encoder.", ""))},
)  # fmt: skip
ENCODER_FAMILIES = {
    "parakeet": PARAKEET,
    # Archives of NeMo only: the same layers above another subsampling, see `StridedSubsampling`.
    "nemo-conformer": replace(PARAKEET, checkpoints={}, ctc_model=None),
    "wav2vec2-bert": WAV2VEC2_BERT,
    "whisper": WHISPER,
    "speech2text": SPEECH2TEXT,
}
CHECKPOINT_TYPES = {  # `model_type` of config.json: the encoder's name, and where the weights are
    model_type: (name, layout)
    for name, family in ENCODER_FAMILIES.items()
    for model_type, layout in family.checkpoints.items()
}


def import_transformers() -> Any:
    """The module `transformers`; InputError says how to install it."""
    try:
        import transformers as library
    except ImportError as error:
        raise InputError("this model needs the library transformers; pip install 'speechxfer[hf]'") from error
    return library
