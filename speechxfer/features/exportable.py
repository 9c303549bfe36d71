"""Samples in, log-probabilities out: a model and its front end as one module of plain tensor operations, for ONNX.

`filterbank` serves training; it is written here a second time in operations that every runtime has (gathers and matrix
products in place of strides and FFTs) and with lengths, so that a padded batch gives each utterance what it would get alone.
What it is not: for training, or another definition of any feature: both must agree, which tests hold them to.
"""

import math

import torch
from torch import Tensor, nn

from speechxfer.features.log_mel import surround_gain, white_noise
from speechxfer.features.mel_filters import analysis_window, mel_filters
from speechxfer.features.padding import padding_mask
from speechxfer.features.spec import FeatureSpec


class ExportableFrontEnd(nn.Module):
    """The filterbank of a `FeatureSpec` on a padded batch: `[batch, frames, values]`, zero after each utterance's frames."""

    def __init__(self, spec: FeatureSpec) -> None:
        super().__init__()
        self.spec = spec
        self.size = spec.window_samples if spec.framing in ("snip", "kaldi_center") else spec.fft_size
        window = analysis_window(spec)
        missing = self.size - len(window)
        window = nn.functional.pad(window, (missing // 2, missing - missing // 2)).double()
        angles = (
            2
            * math.pi
            / spec.fft_size
            * torch.arange(self.size).double()[:, None]
            * torch.arange(spec.fft_size // 2 + 1)
        )
        self.register_buffer("cosines", (window[:, None] * angles.cos()).float())
        self.register_buffer("sines", (window[:, None] * angles.sin()).float())
        self.register_buffer("mels", mel_filters(spec).float() * spec.mel_gain)
        if spec.shortest_samples:
            self.register_buffer("noise", white_noise(spec.shortest_samples).float() * surround_gain(spec))
        if spec.normalize == "fixed":
            self.register_buffer("band_mean", torch.tensor(spec.band_mean))
            self.register_buffer("band_scale", torch.tensor(spec.band_scale))

    def forward(self, samples: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Samples in [-1, 1] and their numbers to features and theirs."""
        spec = self.spec
        signal = samples * padding_mask(lengths, samples.shape[1]) * spec.scale
        counts = self._counts(lengths)
        if spec.shortest_samples:
            counts = self._counts(lengths.clamp(min=spec.shortest_samples)) * (counts > 0)
            signal, lengths = self._surrounded(signal, lengths)
        if spec.preemphasis and spec.preemphasis_on == "signal":
            signal = torch.cat([signal[:, :1], signal[:, 1:] - spec.preemphasis * signal[:, :-1]], dim=1)
        frames = self._frames(signal, lengths)
        if spec.remove_dc:
            frames = frames - frames.mean(dim=-1, keepdim=True)
        if spec.preemphasis and spec.preemphasis_on == "frame":
            frames = frames - spec.preemphasis * torch.cat([frames[..., :1], frames[..., :-1]], dim=-1)
        spectrum = (frames @ self.get_buffer("cosines")) ** 2 + (frames @ self.get_buffer("sines")) ** 2
        if spec.power != 2.0:
            spectrum = spectrum ** (spec.power / 2)
        bands = spectrum @ self.get_buffer("mels")
        values = self._normalized(self._logarithm(bands, counts), counts)
        return self._stacked(values, counts)

    def _surrounded(self, signal: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Utterances that are too short in the middle of faint noise, and the lengths after that."""
        noise, shortest = self.get_buffer("noise"), self.spec.shortest_samples
        missing = (shortest - lengths).clamp(min=0)[:, None]
        number = torch.arange(signal.shape[1] + shortest, device=signal.device)[None]
        place = number - missing // 2
        heard = signal.gather(1, place.clamp(min=0).minimum(lengths[:, None] - 1))
        heard = heard * ((place >= 0) & (place < lengths[:, None]))
        level = signal.abs().amax(dim=1, keepdim=True) * missing
        return heard + level * nn.functional.pad(noise, (0, signal.shape[1])), lengths.clamp(min=shortest)

    def _counts(self, lengths: Tensor) -> Tensor:
        """Frames before stacking; the arithmetic of `FeatureSpec.frames` on tensors."""
        spec = self.spec
        if spec.framing == "snip":
            counts = (lengths - spec.window_samples) // spec.hop_samples + 1
        elif spec.framing == "kaldi_center":
            counts = (lengths + spec.hop_samples // 2) // spec.hop_samples
        elif spec.framing == "center_filled":
            counts = (lengths + spec.fft_size // 2 + spec.hop_samples - 1) // spec.hop_samples
        else:
            counts = (lengths - spec.fft_size % 2) // spec.hop_samples + 1
        return (counts - int(spec.drop_last_frame)).clamp(min=0)

    def _frames(self, signal: Tensor, lengths: Tensor) -> Tensor:
        """`[batch, frames, window]`, each utterance mirrored or filled up at its own end."""
        spec = self.spec
        number = torch.arange((signal.shape[1] + self.size) // spec.hop_samples + 1, device=signal.device)
        left = {"snip": 0, "kaldi_center": spec.window_samples // 2 - spec.hop_samples // 2}.get(
            spec.framing, spec.fft_size // 2
        )
        place = number[:, None] * spec.hop_samples - left + torch.arange(self.size, device=signal.device)
        ends = lengths[:, None, None]
        place = place[None].expand(signal.shape[0], -1, -1)
        if spec.framing == "center_filled":
            place = place.abs()
        inside = (place >= 0) & (place < ends)
        if spec.framing == "kaldi_center":
            place = torch.remainder(place, 2 * ends)
            place = torch.where(place < ends, place, 2 * ends - 1 - place)
        elif spec.framing == "center_reflect":
            place = place.abs()
            place = torch.where(place < ends, place, 2 * (ends - 1) - place)
        heard = signal.gather(1, place.clamp(min=0).minimum(ends - 1).flatten(1)).view(place.shape)
        return heard * inside if spec.framing in ("snip", "center_constant", "center_filled") else heard

    def _logarithm(self, bands: Tensor, counts: Tensor) -> Tensor:
        spec = self.spec
        bands = bands + spec.floor if spec.floor_mode == "add" else bands.clamp(min=spec.floor)
        if spec.log == "ln_linear":
            values = torch.where(bands > math.e, bands.clamp(min=1e-30).log(), bands)
            values = torch.where(values > math.e, values, values / math.e)
        else:
            values = bands.log() * {"ln": 1.0, "log10": 1 / math.log(10), "db": 10 / math.log(10)}[spec.log]
        if spec.dynamic_range:
            valid = padding_mask(counts, values.shape[1])[..., None]
            peak = torch.where(valid, values, values.new_tensor(-1e30)).amax(dim=(1, 2), keepdim=True)
            values = values.maximum(peak - spec.dynamic_range)
        return (values + spec.offset) * spec.gain

    def _normalized(self, values: Tensor, counts: Tensor) -> Tensor:
        spec = self.spec
        valid = padding_mask(counts, values.shape[1])[..., None]
        if spec.normalize == "none":
            return values * valid
        if spec.normalize == "fixed":
            return (values - self.get_buffer("band_mean")) * self.get_buffer("band_scale") * valid
        frames = counts[:, None, None].clamp(min=1)
        moved = (values - values[:, :1]) * valid  # so that a band that never changes is 0 and not what rounding leaves
        centred = (moved - moved.sum(dim=1, keepdim=True) / frames) * valid
        variance = centred.square().sum(dim=1, keepdim=True) / (frames - spec.normalize_ddof).clamp(min=1)
        if spec.normalize_epsilon_on == "variance":
            return centred / (variance + spec.normalize_epsilon).sqrt()
        if spec.normalize_epsilon == 0:  # a band that never changes is zero, not 0 / 0
            constant = ((values == values[:, :1]) | ~valid).all(dim=1, keepdim=True)
            return centred.masked_fill(constant, 0.0) / variance.sqrt().masked_fill(constant, 1.0)
        return centred / (variance.sqrt() + spec.normalize_epsilon)

    def _stacked(self, values: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
        stack = self.spec.stack
        if stack == 1:
            return values, counts
        whole = values[:, : values.shape[1] // stack * stack]
        joined = whole.reshape(whole.shape[0], -1, self.spec.dim)
        return joined * padding_mask(counts // stack, joined.shape[1])[..., None], counts // stack
