"""Analysis windows and mel filters (Kaldi's mel-computations; Young et al., The HTK Book; Slaney, Auditory Toolbox, 1998)."""

from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from speechxfer.features.spec import FeatureSpec


def computation_dtype(spec: FeatureSpec) -> torch.dtype:
    """Precision in which the features of a spec are computed."""
    return torch.float64 if spec.precision == "double" else torch.float32


@lru_cache(maxsize=32)
def analysis_window(spec: FeatureSpec) -> Tensor:
    """The window that each frame is multiplied by, `[window_samples]`."""
    if spec.window == "povey":
        return torch.hann_window(spec.window_samples, periodic=False, dtype=computation_dtype(spec)) ** 0.85
    make = torch.hamming_window if spec.window.startswith("hamming") else torch.hann_window
    return make(spec.window_samples, periodic=spec.window.endswith("periodic"), dtype=computation_dtype(spec))


def _hz_to_mel(hz: npt.NDArray[np.float64], scale: str) -> npt.NDArray[np.float64]:
    if scale == "kaldi":
        return 1127.0 * np.log1p(hz / 700.0)
    if scale == "htk":
        return 2595.0 * np.log10(1.0 + hz / 700.0)
    above = 15.0 + np.log(np.maximum(hz, 1000.0) / 1000.0) * (27.0 / np.log(6.4))
    return np.where(hz < 1000.0, hz * 3.0 / 200.0, above)


def _mel_to_hz(mel: npt.NDArray[np.float64], scale: str) -> npt.NDArray[np.float64]:
    if scale == "kaldi":
        return 700.0 * np.expm1(mel / 1127.0)
    if scale == "htk":
        return 700.0 * (10.0 ** (mel / 2595.0) - 1.0)
    above = 1000.0 * np.exp((np.maximum(mel, 15.0) - 15.0) * (np.log(6.4) / 27.0))
    return np.where(mel < 15.0, mel * 200.0 / 3.0, above)


@lru_cache(maxsize=32)
def mel_filters(spec: FeatureSpec) -> Tensor:
    """Triangular filters as `[fft_size / 2 + 1, mels]`."""
    high_hz = spec.high_hz if spec.high_hz > 0 else spec.sample_rate_hz / 2 + spec.high_hz
    lowest, highest = _hz_to_mel(np.array([spec.low_hz, high_hz]), spec.mel_scale).tolist()
    mel_edges = np.linspace(lowest, highest, spec.mels + 2)
    bins_hz = np.linspace(0.0, spec.sample_rate_hz / 2, spec.fft_size // 2 + 1)
    edges_hz = _mel_to_hz(mel_edges, spec.mel_scale)
    in_mel = spec.mel_scale == "kaldi"
    at = (_hz_to_mel(bins_hz, spec.mel_scale) if in_mel else bins_hz)[:, None]
    edges = mel_edges if in_mel else edges_hz
    left, centre, right = edges[:-2], edges[1:-1], edges[2:]
    matrix = np.maximum(0.0, np.minimum((at - left) / (centre - left), (right - at) / (right - centre)))
    if in_mel:
        matrix[-1] = 0.0  # Kaldi ignores the bin at half the sampling rate
    if spec.mel_norm == "slaney":
        matrix = matrix * (2.0 / (edges_hz[2:] - edges_hz[:-2]))
    return torch.from_numpy(matrix).to(computation_dtype(spec))
