"""Log-mel filterbanks: samples to `[frames, mels]` as a `FeatureSpec` says."""

import math
from functools import lru_cache

import torch
from torch import Tensor

from speechxfer.data import Samples
from speechxfer.errors import InputError
from speechxfer.features.mel_filters import analysis_window, computation_dtype, mel_filters
from speechxfer.features.spec import FeatureSpec, count_windows


def filterbank(samples: Tensor | Samples, spec: FeatureSpec) -> Tensor:
    """Log-mel filterbank of samples in [-1, 1].

    Args:
        samples: `[samples]` or, for several stretches of one length, `[batch, samples]`; on any device.
        spec: what to compute.

    Returns:
        float32 `[frames, spec.dim]` or `[batch, frames, spec.dim]` on the same device; no frame where the input is
        too short for the framing (snip: shorter than one window; center_reflect: too short to be mirrored).
    """
    signal = torch.as_tensor(samples, dtype=computation_dtype(spec)) * spec.scale
    if signal.dim() not in (1, 2):
        raise InputError(f"expected samples of shape [samples] or [batch, samples], found {list(signal.shape)}")
    if spec.frames(signal.shape[-1]) == 0:
        return signal.new_zeros(*signal.shape[:-1], 0, spec.dim, dtype=torch.float32)
    frames = _frames(_emphasised_signal(_surrounded(signal, spec), spec), spec)
    if spec.remove_dc:
        frames = frames - frames.mean(dim=-1, keepdim=True)
    if spec.preemphasis and spec.preemphasis_on == "frame":
        previous = torch.cat([frames[..., :1], frames[..., :-1]], dim=-1)
        frames = frames - spec.preemphasis * previous
    spectrum = torch.fft.rfft(_windowed(frames, spec), n=spec.fft_size).abs()
    if spec.power != 1.0:
        spectrum = spectrum**spec.power
    bands = spectrum @ mel_filters(spec).to(spectrum.device)
    return _stacked(_normalized(_logarithm(bands, spec), spec), spec).float()


def _surrounded(signal: Tensor, spec: FeatureSpec) -> Tensor:
    """`[..., samples]`, where there are fewer than the shortest an utterance may be: in the middle of faint noise."""
    missing = spec.shortest_samples - signal.shape[-1]
    if missing <= 0:
        return signal
    level = signal.abs().amax(dim=-1, keepdim=True) * surround_gain(spec) * missing
    padded = torch.nn.functional.pad(signal, (missing // 2, missing - missing // 2))
    return padded + level * white_noise(spec.shortest_samples).to(signal)


def surround_gain(spec: FeatureSpec) -> float:
    """Of the noise around a short utterance, over its peak, for each sample that is missing."""
    return 10 ** (-spec.surround_db / 20) / max(1, spec.shortest_samples)


@lru_cache(maxsize=32)
def white_noise(samples: int) -> Tensor:
    """Noise of deviation 1, `[samples]`: from whole numbers, so that it is the same everywhere."""
    number = torch.arange(samples)
    return ((number * number % 65_521) * number % 65_521).double() / 32_760 * math.sqrt(3) - math.sqrt(3)


def _emphasised_signal(signal: Tensor, spec: FeatureSpec) -> Tensor:
    if not spec.preemphasis or spec.preemphasis_on == "frame":
        return signal
    return torch.cat([signal[..., :1], signal[..., 1:] - spec.preemphasis * signal[..., :-1]], dim=-1)


def _frames(signal: Tensor, spec: FeatureSpec) -> Tensor:
    """`[..., samples]` to `[..., frames, window or FFT samples]`, before windowing."""
    size = spec.window_samples
    if spec.framing == "kaldi_center":
        signal = _mirrored(signal, spec)
    elif spec.framing == "center_filled":
        size = spec.fft_size
        filled = torch.nn.functional.pad(signal, (0, size))
        begun = (count_windows(signal.shape[-1], spec) - 1) * spec.hop_samples + size
        signal = torch.cat([filled[..., 1 : size // 2 + 1].flip(-1), filled], dim=-1)[..., :begun]
    elif spec.framing != "snip":
        size = spec.fft_size
        mode = "reflect" if spec.framing == "center_reflect" else "constant"
        padded = torch.nn.functional.pad(signal.reshape(-1, signal.shape[-1]), (size // 2, size // 2), mode=mode)
        signal = padded.reshape(*signal.shape[:-1], -1)
    frames = signal.unfold(-1, size, spec.hop_samples)
    return frames[..., :-1, :] if spec.drop_last_frame else frames


def _mirrored(signal: Tensor, spec: FeatureSpec) -> Tensor:
    """Kaldi's edges without snipping: the signal mirrored with its edge sample repeated, frames centred on their hop."""
    count = count_windows(signal.shape[-1], spec)
    left = spec.window_samples // 2 - spec.hop_samples // 2
    right = (count - 1) * spec.hop_samples + spec.window_samples - left - signal.shape[-1]
    positions = torch.arange(-left, signal.shape[-1] + right, device=signal.device)
    period = 2 * signal.shape[-1]
    positions = positions % period
    return signal[..., torch.where(positions < signal.shape[-1], positions, period - 1 - positions)]


def _windowed(frames: Tensor, spec: FeatureSpec) -> Tensor:
    window = analysis_window(spec).to(frames.device)
    missing = frames.shape[-1] - window.shape[-1]
    return frames * torch.nn.functional.pad(window, (missing // 2, missing - missing // 2))


def _logarithm(bands: Tensor, spec: FeatureSpec) -> Tensor:
    bands = bands * spec.mel_gain if spec.mel_gain != 1.0 else bands
    bands = bands + spec.floor if spec.floor_mode == "add" else bands.clamp(min=spec.floor)
    if spec.log == "ln_linear":
        values = torch.where(bands > math.e, bands.log(), bands)
        values = torch.where(values > math.e, values, values / math.e)
    else:
        values = bands.log() if spec.log == "ln" else bands.log10() * (10.0 if spec.log == "db" else 1.0)
    if spec.dynamic_range:
        values = values.maximum(values.amax(dim=(-2, -1), keepdim=True) - spec.dynamic_range)
    return (values + spec.offset) * spec.gain


def _normalized(values: Tensor, spec: FeatureSpec) -> Tensor:
    if spec.normalize == "none":
        return values
    if spec.normalize == "fixed":
        mean, scale = (values.new_tensor(given) for given in (spec.band_mean, spec.band_scale))
        return (values - mean) * scale
    count = values.shape[-2]
    centred = values - _over_frames(values, spec) / count
    variance = _over_frames(centred.square(), spec) / max(1, count - spec.normalize_ddof)
    if spec.normalize_epsilon_on == "variance":
        return centred / (variance + spec.normalize_epsilon).sqrt()
    if spec.normalize_epsilon == 0:  # a band that never changes is zero, not 0 / 0
        constant = (values == values[..., :1, :]).all(dim=-2, keepdim=True)
        return centred.masked_fill(constant, 0.0) / variance.sqrt().masked_fill(constant, 1.0)
    return centred / (variance.sqrt() + spec.normalize_epsilon)


def _over_frames(values: Tensor, spec: FeatureSpec) -> Tensor:
    """Sums over frames, `[..., 1, mels]`, rounded as in the toolkits: in a band that hardly varies the last bit shows.

    Those that divide by N - 1 have a band's frames side by side, and a zero where the last frame was dropped.
    """
    if not spec.normalize_ddof:
        return values.sum(dim=-2, keepdim=True)
    bands = torch.nn.functional.pad(values.transpose(-1, -2), (0, int(spec.drop_last_frame))).contiguous()
    return bands.sum(dim=-1, keepdim=True).transpose(-1, -2)


def _stacked(values: Tensor, spec: FeatureSpec) -> Tensor:
    if spec.stack == 1:
        return values
    count = values.shape[-2] // spec.stack
    return values[..., : count * spec.stack, :].reshape(*values.shape[:-2], count, spec.dim)
