"""Encoders, one a file, and the acoustic model that joins an encoder to a linear head.

An encoder is any module with `output_dim`, `subsampling`, `output_lengths`, `layer_groups`, `adapters` (one module after
each layer, the identity where there is none), `readable_inside` (whether the head can read what flows between the layers),
`lora_modules` (names of the layers that a low-rank update changes) and
``forward(features [batch, frames, mels], lengths [batch]) -> (encoded [batch, frames', output_dim], lengths')``.
"""

from speechxfer.models.acoustic import AcousticModel, Architecture, Parent, build_encoder

__all__ = ["AcousticModel", "Architecture", "Parent", "build_encoder"]
