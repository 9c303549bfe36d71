"""Encoders of the `transformers` library behind the `Encoder` interface.

One class builds the library's network from its own configuration, turns lengths into masks, and adds adapters. Checkpoint
files are read in ``checkpoints``. `transformers` (extra ``hf``) is imported when a network is built. Where the library lets
padding change an utterance's output, the forward pass is written out here. Sources: Rekesh et al., 'Fast Conformer'
(arXiv:2305.05084); Gulati et al., 'Conformer' (arXiv:2005.08100); Seamless Communication (arXiv:2312.05187, W2v-BERT 2.0);
Radford et al., 'Whisper' (arXiv:2212.04356); Wang et al., 'fairseq S2T' (arXiv:2010.05171).
"""

import math
from collections.abc import Mapping
from functools import partial
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn

from speechxfer.errors import InputError
from speechxfer.features import padding_mask
from speechxfer.models.layers import build_adapters
from speechxfer.models.transformers_families import ENCODER_FAMILIES, import_transformers

WHISPER_TAIL = 2  # frames of its features that overlap the silence after the signal
WHISPER_DYNAMIC_RANGE, WHISPER_LOWEST = 2.0, -1.5  # on the scale of its features, (log10 + 4) / 4: 8 and -10


class TransformersEncoder(nn.Module):
    """`[batch, frames, values]` to `[batch, frames', output_dim]` by a network of the transformers library."""

    def __init__(self, kind: str, config: Mapping[str, Any], *, dropout: float = 0.0, adapter_dim: int = 0) -> None:
        super().__init__()
        self.kind, self.family = kind, ENCODER_FAMILIES[kind]
        import_transformers()
        from huggingface_hub.errors import StrictDataclassError  # what transformers checks its configurations with

        package = f"transformers.models.{self.family.module}"
        configurations, networks = (
            import_module(f"{package}.{part}_{self.family.module}") for part in ("configuration", "modeling")
        )
        values = dict(config) | dict.fromkeys(self.family.dropout_settings, dropout) | dict(self.family.fixed_settings)
        try:
            self.config = getattr(configurations, self.family.config_class)(**values)
            network: Any = getattr(networks, self.family.encoder_class)(self.config)
            self.subsampling = math.prod(stride for _, stride, _ in self.family.strides(self.config))
        except (KeyError, TypeError, ValueError, ZeroDivisionError, RuntimeError, StrictDataclassError) as error:
            raise InputError(
                f"transformers refuses the configuration of this {kind} encoder ({error}); copy the model again"
            ) from error
        if kind == "nemo-conformer":
            network.subsampling = StridedSubsampling(self.config)
        self.network = network
        width = int(getattr(self.config, self.family.width_setting))
        has_output_adapter = getattr(self.config, "add_adapter", False)  # W2v-BERT's own, of convolutions
        self.output_dim = int(self.config.output_hidden_size) if has_output_adapter else width
        self.lora_modules = self.family.lora_modules
        self.has_uniform_layers = self.family.has_uniform_layers and not has_output_adapter
        layers = list(network.get_submodule(self.family.layers).children())
        self.adapters = build_adapters([width] * len(layers), adapter_dim)
        for layer, adapter in zip(layers, self.adapters, strict=True):
            layer.register_forward_hook(partial(_apply_adapter, adapter))  # deepcopy copies the adapter of a partial

    def layer_groups(self) -> list[nn.Module]:
        """The parts before the layers, then each layer from the input upwards, the last one with the parts after it."""
        named = dict(self.network.named_modules())
        before, after = (
            [named[name] for name in names if named.get(name)]
            for names in (self.family.parts_before, self.family.parts_after)
        )
        *lower, last = self.network.get_submodule(self.family.layers).children()
        return [nn.ModuleList(before), *lower, nn.ModuleList([last, *after])]

    def output_lengths(self, lengths: Tensor) -> Tensor:
        """Numbers of encoded frames for numbers of feature frames, by the arithmetic of the strided convolutions.

        Zero for more frames than the network has positions for (Whisper), so that training excludes such speeds.
        """
        if self.kind == "whisper":
            longest = 2 * self.config.max_source_positions
            lengths = lengths.clamp(max=longest) * (lengths <= longest + WHISPER_TAIL)
        for convolution in self.family.strides(self.config):
            lengths = _strided_length(lengths, *convolution)
        return lengths.clamp(min=0)

    def enable_gradient_checkpointing(self) -> None:
        """Recompute each layer's activations in the backward pass instead of storing them."""
        self.network.gradient_checkpointing_enable({"use_reentrant": False})

    def forward(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Features and their lengths `[batch]` to encoded frames and theirs; padding changes no output.

        Raises:
            InputError: an utterance has more frames than the network has positions for (Whisper: 30 s).
        """
        encoded_lengths = self.output_lengths(lengths)
        if self.kind == "whisper":
            encoded = self._forward_whisper(features, lengths)
        elif self.kind == "speech2text":
            encoded = self._forward_speech2text(features, lengths)
        elif getattr(self.config, "add_adapter", False):
            encoded = self._forward_wav2vec2_bert_with_adapter(features, lengths)
        else:
            mask = padding_mask(lengths, features.shape[1])
            encoded = self.network(features, attention_mask=mask.long()).last_hidden_state
        return encoded, encoded_lengths

    def _forward_whisper(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Whisper attends to the silence that fills 30 s: log-mels of zeros in the scaling of its features."""
        frames = 2 * self.config.max_source_positions
        if features.shape[1] > frames + WHISPER_TAIL:
            raise InputError(
                f"an utterance has {features.shape[1]} frames, and this network takes {frames} at most; cut it into shorter ones"
            )
        count = torch.sym_min(features.shape[1], frames)  # type: ignore[no-untyped-call]  # symbolic in conversions
        filled = nn.functional.pad(features, (0, 0, 0, frames))[:, :frames]
        padding = ~padding_mask(lengths, frames)[..., None]
        peak = filled.masked_fill(padding, -math.inf).amax(dim=(1, 2), keepdim=True)
        silence = (peak - WHISPER_DYNAMIC_RANGE).clamp(min=WHISPER_LOWEST)
        filled = torch.where(padding, silence, filled)
        encoded: Tensor = self.network(filled.transpose(1, 2)).last_hidden_state
        return encoded[:, : (count + 1) // 2]

    def _forward_wav2vec2_bert_with_adapter(self, features: Tensor, lengths: Tensor) -> Tensor:
        """W2v-BERT's convolutional adapter layer by layer, with the padding masked, which the library's forward does not do."""
        network: Any = self.network
        projected, _ = network.feature_projection(features)
        valid = padding_mask(lengths, features.shape[1])
        x: Tensor = network.encoder(projected, attention_mask=valid.long()).last_hidden_state
        if network.intermediate_ffn is not None:
            x = x + 0.5 * network.intermediate_ffn(x)
        if network.adapter.proj is not None:
            x = network.adapter.proj_layer_norm(network.adapter.proj(x))
        for layer, strided in zip(network.adapter.layers, self.family.strides(self.config), strict=True):
            valid = padding_mask(lengths, x.shape[1])[..., None]
            residual, inner = (
                layer.activation(convolution((norm(x) * valid).transpose(1, 2))).transpose(1, 2)
                for norm, convolution in (
                    (layer.residual_layer_norm, layer.residual_conv),
                    (layer.self_attn_layer_norm, layer.self_attn_conv),
                )
            )
            lengths = _strided_length(lengths, *strided)
            inner, _ = layer.self_attn(
                inner, attention_mask=_attention_mask(padding_mask(lengths, inner.shape[1]), inner.dtype)
            )
            x = layer.self_attn_dropout(inner) + residual
            x = x + layer.ffn(layer.ffn_layer_norm(x))
        return x

    def _forward_speech2text(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Speech2Text layer by layer, with the padding masked, which the library's forward does not do."""
        network: Any = self.network
        x = features
        for convolution, strided in zip(network.conv.conv_layers, self.family.strides(self.config), strict=True):
            x = nn.functional.glu(
                convolution((x * padding_mask(lengths, x.shape[1])[..., None]).transpose(1, 2)), dim=1
            )
            x, lengths = x.transpose(1, 2), _strided_length(lengths, *strided)
        valid = padding_mask(lengths, x.shape[1])
        x = x * network.embed_scale + network.embed_positions((~valid).long())
        x = nn.functional.dropout(x, self.config.dropout, self.training)
        for layer in network.layers:
            x = layer(x, _attention_mask(valid, x.dtype))
        encoded: Tensor = network.layer_norm(x)
        return encoded


def _strided_length(lengths: Tensor, kernel: int, stride: int, padding: int) -> Tensor:
    """Frames that come out of a strided convolution."""
    return (lengths + 2 * padding - kernel) // stride + 1


def _attention_mask(valid: Tensor, dtype: torch.dtype) -> Tensor:
    """Added to the attention scores `[batch, 1, frames, frames]`, so that no frame attends to padding."""
    mask = torch.zeros_like(valid, dtype=dtype).masked_fill(~valid, torch.finfo(dtype).min)
    return mask[:, None, None, :].expand(-1, 1, valid.shape[1], -1)


def _apply_adapter(adapter: nn.Module, layer: nn.Module, inputs: object, output: Any) -> Any:
    """A layer's forward hook: its output through the adapter, whose own output `AcousticModel.encode` captures."""
    return (adapter(output[0]), *output[1:]) if isinstance(output, tuple) else adapter(output)


class StridedSubsampling(nn.Module):
    """NeMo's `striding` subsampling of full 3 x 3 convolutions; Parakeet's are depthwise."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        stages, channels = round(math.log2(config.subsampling_factor)), config.subsampling_conv_channels
        self.layers = nn.ModuleList()
        for stage in range(stages):
            self.layers += [nn.Conv2d(channels if stage else 1, channels, 3, stride=2, padding=1), nn.ReLU()]
        self.linear = nn.Linear(channels * math.ceil(config.num_mel_bins / 2**stages), config.hidden_size)

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
