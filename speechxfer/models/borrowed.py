"""Encoders of the `transformers` library behind our interface: what other people's checkpoints are made of.

What it is: one class that builds the library's network from its own configuration, feeds it lengths in place of masks, and
answers what every encoder of ours answers (layer groups, adapters, output lengths). What it is not: a reader of files (see
``foreign.py``). `transformers` (extra ``hf``) is imported when a network is built. Sources: Rekesh et al., 'Fast Conformer'
(arXiv:2305.05084); Gulati et al., 'Conformer' (arXiv:2005.08100); Seamless Communication (arXiv:2312.05187, W2v-BERT 2.0);
Radford et al., 'Whisper' (arXiv:2212.04356); Wang et al., 'fairseq S2T' (arXiv:2010.05171).
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn

from speechxfer.errors import InputError
from speechxfer.models.adapters import adapters
from speechxfer.models.conformer import padding_mask

WHISPER_TAIL = 2  # frames of its features that reach into the silence after the signal
WHISPER_RANGE, WHISPER_LOWEST = 2.0, -1.5  # on the scale of its features: 8, and -10, in (log10 + 4) / 4


@dataclass(frozen=True)
class Kind:
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


PARAKEET = Kind(
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
KINDS = {
    "parakeet": PARAKEET,
    "nemo-conformer": PARAKEET,  # the same layers above another subsampling, see `Striding`
    "wav2vec2-bert": Kind(
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
    "whisper": Kind(
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
    "speech2text": Kind(
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


class BorrowedEncoder(nn.Module):
    """`[batch, frames, values]` to `[batch, frames', output_dim]` by a network of the transformers library."""

    def __init__(self, kind: str, config: Mapping[str, Any], *, dropout: float = 0.0, adapter_dim: int = 0) -> None:
        super().__init__()
        self.kind, self.parts = kind, KINDS[kind]
        transformers()
        from huggingface_hub.errors import StrictDataclassError  # what transformers checks its configurations with

        family = f"transformers.models.{self.parts.module}"
        settings, networks = (
            import_module(f"{family}.{part}_{self.parts.module}") for part in ("configuration", "modeling")
        )
        given = dict(config) | {name: dropout for name in self.parts.dropouts} | dict(self.parts.off)
        try:
            self.settings = getattr(settings, self.parts.config)(**given)
            network: Any = getattr(networks, self.parts.network)(self.settings)
        except (KeyError, TypeError, ValueError, StrictDataclassError) as error:
            raise InputError(
                f"transformers refuses the configuration of this {kind} encoder ({error}); copy the model again"
            ) from error
        if kind == "nemo-conformer":
            network.subsampling = Striding(self.settings)
        self.network = network
        self.subsampling = math.prod(stride for _, stride, _ in self.parts.strides(self.settings))
        width = int(getattr(self.settings, self.parts.width))
        self.output_dim = (
            int(self.settings.output_hidden_size) if getattr(self.settings, "add_adapter", False) else width
        )
        self.lora_modules = self.parts.lora_modules
        self.readable_inside = self.parts.normed and not getattr(self.settings, "add_adapter", False)
        layers = list(self._part(self.parts.layers).children())
        self.adapters = adapters([width] * len(layers), adapter_dim)
        for layer, adapter in zip(layers, self.adapters, strict=True):
            layer.register_forward_hook(partial(_adapted, adapter))  # a partial is copied together with the adapter

    def _part(self, name: str) -> nn.Module:
        part: nn.Module = self.network.get_submodule(name)
        return part

    def layer_groups(self) -> list[nn.Module]:
        """What lies before the layers, then the layers from the input upwards, the last one with what lies after it."""
        named = dict(self.network.named_modules())
        before, after = (
            [named[name] for name in names if named.get(name)] for names in (self.parts.before, self.parts.after)
        )
        *lower, last = self._part(self.parts.layers).children()
        return [nn.ModuleList(before), *lower, nn.ModuleList([last, *after])]

    def output_lengths(self, lengths: Tensor) -> Tensor:
        """Encoded frames for so many feature frames, by the arithmetic of the strided convolutions.

        None at all for more than the network's positions reach (Whisper), so that training leaves such speeds out.
        """
        if self.kind == "whisper":
            reach = 2 * self.settings.max_source_positions
            lengths = lengths.clamp(max=reach) * (lengths <= reach + WHISPER_TAIL)
        for convolution in self.parts.strides(self.settings):
            lengths = _shortened(lengths, *convolution)
        return lengths.clamp(min=0)

    def save_memory(self) -> None:
        """Compute each layer's values again in the backward pass in place of keeping them."""
        self.network.gradient_checkpointing_enable({"use_reentrant": False})

    def forward(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Features and their lengths `[batch]` to encoded frames and theirs; the padding changes nothing.

        Raises:
            InputError: an utterance is longer than the network's positions reach (Whisper: 30 s).
        """
        encoded_lengths = self.output_lengths(lengths)
        if self.kind == "whisper":
            encoded = self._of_whisper(features, lengths)[:, : int(encoded_lengths.max())]
        elif self.kind == "speech2text":
            encoded = self._of_speech2text(features, lengths)
        elif getattr(self.settings, "add_adapter", False):
            encoded = self._of_w2v_bert_with_adapter(features, lengths)
        else:
            mask = padding_mask(lengths, features.shape[1])
            encoded = self.network(features, attention_mask=mask.long()).last_hidden_state
        return encoded, encoded_lengths

    def _of_whisper(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Whisper attends to the silence that fills 30 s, as log-mels of zeros under its own scaling."""
        frames = 2 * self.settings.max_source_positions
        if features.shape[1] > frames + WHISPER_TAIL:
            raise InputError(
                f"an utterance has {features.shape[1]} frames, and this network hears {frames} at most; cut it into shorter ones"
            )
        features = features[:, :frames]
        padding = ~padding_mask(lengths, features.shape[1])[..., None]
        peak = features.masked_fill(padding, -math.inf).amax(dim=(1, 2), keepdim=True)
        silence = (peak - WHISPER_RANGE).clamp(min=WHISPER_LOWEST)
        filled = silence.repeat(1, frames, features.shape[2])
        filled[:, : features.shape[1]] = torch.where(padding, silence, features)
        encoded: Tensor = self.network(filled.transpose(1, 2)).last_hidden_state
        return encoded

    def _of_w2v_bert_with_adapter(self, features: Tensor, lengths: Tensor) -> Tensor:
        """W2v-BERT's convolutional adapter layer by layer: by itself it lets its convolutions hear the padding."""
        network: Any = self.network
        projected, _ = network.feature_projection(features)
        valid = padding_mask(lengths, features.shape[1])
        x: Tensor = network.encoder(projected, attention_mask=valid.long()).last_hidden_state
        if network.intermediate_ffn is not None:
            x = x + 0.5 * network.intermediate_ffn(x)
        if network.adapter.proj is not None:
            x = network.adapter.proj_layer_norm(network.adapter.proj(x))
        for layer, strided in zip(network.adapter.layers, self.parts.strides(self.settings), strict=True):
            heard = padding_mask(lengths, x.shape[1])[..., None]
            residual, inner = (
                layer.activation(convolution((norm(x) * heard).transpose(1, 2))).transpose(1, 2)
                for norm, convolution in (
                    (layer.residual_layer_norm, layer.residual_conv),
                    (layer.self_attn_layer_norm, layer.self_attn_conv),
                )
            )
            lengths = _shortened(lengths, *strided)
            inner, _ = layer.self_attn(
                inner, attention_mask=_unheard(padding_mask(lengths, inner.shape[1]), inner.dtype)
            )
            x = layer.self_attn_dropout(inner) + residual
            x = x + layer.ffn(layer.ffn_layer_norm(x))
        return x

    def _of_speech2text(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Speech2Text layer by layer: by itself it lets its convolutions hear the padding."""
        network: Any = self.network
        x = features
        for convolution, strided in zip(network.conv.conv_layers, self.parts.strides(self.settings), strict=True):
            x = nn.functional.glu(
                convolution((x * padding_mask(lengths, x.shape[1])[..., None]).transpose(1, 2)), dim=1
            )
            x, lengths = x.transpose(1, 2), _shortened(lengths, *strided)
        valid = padding_mask(lengths, x.shape[1])
        x = x * network.embed_scale + network.embed_positions((~valid).long())
        x = nn.functional.dropout(x, self.settings.dropout, self.training)
        for layer in network.layers:
            x = layer(x, _unheard(valid, x.dtype))
        encoded: Tensor = network.layer_norm(x)
        return encoded


def _shortened(lengths: Tensor, kernel: int, stride: int, padding: int) -> Tensor:
    """Frames that come out of a strided convolution."""
    return (lengths + 2 * padding - kernel) // stride + 1


def _unheard(valid: Tensor, dtype: torch.dtype) -> Tensor:
    """What attention adds to its scores `[batch, 1, frames, frames]` so that no frame hears the padding."""
    unheard = torch.zeros_like(valid, dtype=dtype).masked_fill(~valid, torch.finfo(dtype).min)
    return unheard[:, None, None, :].expand(-1, 1, valid.shape[1], -1)


def _adapted(adapter: nn.Module, layer: nn.Module, given: object, output: Any) -> Any:
    """A layer's forward hook: its output through the adapter, which is also where the middle of the encoder is heard."""
    return (adapter(output[0]), *output[1:]) if isinstance(output, tuple) else adapter(output)


class Striding(nn.Module):
    """NeMo's `striding` subsampling: full 3 x 3 convolutions, where Parakeet has depthwise ones."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        halvings, channels = round(math.log2(config.subsampling_factor)), config.subsampling_conv_channels
        self.layers = nn.ModuleList()
        for number in range(halvings):
            self.layers += [nn.Conv2d(channels if number else 1, channels, 3, stride=2, padding=1), nn.ReLU()]
        bands = config.num_mel_bins
        for _ in range(halvings):
            bands = (bands - 1) // 2 + 1
        self.linear = nn.Linear(channels * bands, config.hidden_size)

    def forward(self, features: Tensor, attention_mask: Tensor) -> Tensor:
        """`[batch, frames, mels]` and the mask of valid frames to `[batch, frames', dim]`."""
        x, lengths = features[:, None], attention_mask.sum(dim=-1)
        for layer in self.layers:
            x = layer(x)
            if isinstance(layer, nn.Conv2d):
                lengths = (lengths - 1) // 2 + 1
                x = x * padding_mask(lengths, x.shape[2])[:, None, :, None]
        encoded: Tensor = self.linear(x.transpose(1, 2).flatten(2))
        return encoded


def transformers() -> Any:
    """The library; InputError says how to install it."""
    try:
        import transformers as library
    except ImportError as error:
        raise InputError("this model needs the library transformers; pip install 'speechxfer[hf]'") from error
    return library
