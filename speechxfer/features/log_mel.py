"""Log-mel filterbanks: samples to `[frames, mels]` as a `FeatureSpec` says, for training, inference and ONNX graphs.

One implementation works on padded batches with lengths, so that an utterance has the same values in a batch and alone. An
exported graph differs in two steps only, because its runtimes lack strided views and complex numbers: frames are cut by
indexing, and the spectrum is computed by two matrix products. The order of operations follows Kaldi's ``feature-fbank``,
whose rounding is visible in bands far below the loudest. The fingerprint at the end is stored with every model, so that
other features are refused.
"""

import hashlib
import json
import math
from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from speechxfer.data import Samples
from speechxfer.errors import InputError
from speechxfer.features.batches import padding_mask
from speechxfer.features.mel_filters import analysis_window, computation_dtype, mel_filters
from speechxfer.features.spec import FeatureSpec, count_windows

FRAMES_AT_ONCE = 512
MEL_GROUPS = 4
CODE_VERSION = 1  # of reading and features; raise it with a change of the code that the test signal does not show


def filterbank(samples: Tensor | Samples, spec: FeatureSpec) -> Tensor:
    """Log-mel filterbank of samples in [-1, 1].

    Args:
        samples: `[samples]`, or `[batch, samples]` of segments of one length; on any device.
        spec: what to compute.

    Returns:
        float32 `[frames, spec.dim]` or `[batch, frames, spec.dim]` on the same device; no frame where the input is
        too short for the framing (snip: shorter than one window; center_reflect: too short to be mirrored).

    Raises:
        InputError: samples of another shape.

    >>> import speechxfer as sx
    >>> from speechxfer.features import feature_preset
    >>> samples = sx.read_audio("new.wav", duration_s=0.5)
    >>> sx.filterbank(samples, feature_preset("kaldi-mvn")).shape
    torch.Size([48, 80])
    """
    signal = torch.as_tensor(samples)
    if signal.dim() not in (1, 2):
        raise InputError(f"expected samples of shape [samples] or [batch, samples], found {list(signal.shape)}")
    count = signal.shape[-1]
    if spec.frames(count) == 0:
        return signal.new_zeros(*signal.shape[:-1], 0, spec.dim, dtype=torch.float32)
    batch = signal.reshape(-1, count)
    lengths = torch.full((len(batch),), count, device=batch.device)
    features, _ = _cached_filterbank(spec).forward(batch, lengths, whole=True)
    return features.reshape(*signal.shape[:-1], -1, spec.dim)


class Filterbank(nn.Module):
    """The filterbank of a `FeatureSpec` for padded batches.

    Args:
        spec: what to compute.
        exportable: use operations that ONNX graphs have, in single precision.
    """

    def __init__(self, spec: FeatureSpec, *, exportable: bool = False) -> None:
        super().__init__()
        self.spec = spec
        self.exportable = exportable
        self.dtype = torch.float32 if exportable else computation_dtype(spec)
        self.size = spec.window_samples if spec.framing in ("snip", "kaldi_center") else spec.fft_size
        missing = self.size - spec.window_samples
        window = pad(analysis_window(spec), (missing // 2, missing - missing // 2))
        self.register_buffer("window", window.to(self.dtype))
        self.register_buffer("mels", mel_filters(spec).to(self.dtype))
        self.register_buffer("noise", white_noise(spec.shortest_samples).to(self.dtype))
        self.register_buffer("band_mean", torch.tensor(spec.band_mean, dtype=self.dtype))
        self.register_buffer("band_scale", torch.tensor(spec.band_scale, dtype=self.dtype))
        self.mel_groups = _group_filters(self.get_buffer("mels"))
        if exportable:
            angles = 2 * math.pi / spec.fft_size * torch.arange(spec.fft_size).double()
            self.register_buffer("cosines", angles.cos().to(self.dtype))
            self.register_buffer("sines", angles.sin().to(self.dtype))

    def forward(self, samples: Tensor, lengths: Tensor, *, whole: bool = False) -> tuple[Tensor, Tensor]:
        """Features of padded utterances.

        Args:
            samples: `[batch, samples]` in [-1, 1]; what follows an utterance does not matter.
            lengths: int64 `[batch]`, in samples.
            whole: no utterance has padding, so that none is masked.

        Returns:
            float32 `[batch, frames, spec.dim]`, zero after each utterance, and its numbers of frames, int64 `[batch]`.
        """
        spec = self.spec
        signal = samples.to(self.dtype)
        if spec.scale != 1.0:
            signal = signal * spec.scale
        if not whole:
            signal = torch.where(padding_mask(lengths, samples.shape[1]), signal, 0.0)
        counts = count_windows(lengths, spec)
        if spec.shortest_samples and not (whole and samples.shape[1] >= spec.shortest_samples):
            counts = count_windows(lengths.clamp(min=spec.shortest_samples), spec) * (counts > 0)
            signal, lengths = self._surround_with_noise(signal, lengths)
        if spec.preemphasis and spec.preemphasis_on == "signal":
            emphasised = torch.cat([signal[:, :1], signal[:, 1:] - spec.preemphasis * signal[:, :-1]], dim=1)
            signal = torch.where(padding_mask(lengths, signal.shape[1]), emphasised, 0.0)
        extended = self._extend(signal, lengths)
        if self.exportable:
            bands = self._multiply_spectrum(
                self._index_frames(extended, count_windows(signal.shape[1], spec)), counts
            ) @ self.get_buffer("mels")
        else:
            bands = self._compute_bands(extended)
        if spec.drop_last_frame:
            bands, counts = bands[:, :-1], (counts - 1).clamp(min=0)
        valid = padding_mask(counts, bands.shape[1])[..., None] if not whole else None
        values = self._normalize(self._take_logarithm(bands, valid), counts, valid)
        return self._stack(values, counts)

    def _table(self, name: str, like: Tensor) -> Tensor:
        return self.get_buffer(name).to(like.device)

    def _surround_with_noise(self, signal: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Set utterances that are shorter than `shortest_samples` in the middle of faint noise."""
        spec, shortest = self.spec, self.spec.shortest_samples
        total: int = torch.sym_max(signal.shape[1], shortest)  # type: ignore[no-untyped-call]  # may be symbolic
        signal = pad(signal, (0, total - signal.shape[1]))
        head, rest = signal[:, :shortest], signal[:, shortest:]
        missing = (shortest - lengths).clamp(min=0)[:, None]
        positions = torch.arange(total, device=signal.device)[:shortest] - missing // 2
        inside = (positions >= 0) & (positions < lengths[:, None])
        centred = torch.where(inside, head.gather(1, positions.clamp(min=0)), 0.0)
        gain = 10 ** (-spec.surround_db / 20) / shortest  # relative to the peak, for each sample that is missing
        level = head.abs().amax(dim=-1, keepdim=True) * gain * missing
        head = centred + level * self._table("noise", signal)
        return torch.cat([head, rest], dim=1), lengths.clamp(min=shortest)

    def _extend(self, signal: Tensor, lengths: Tensor) -> Tensor:
        """`[batch, samples]` of all frames, each utterance mirrored or filled up at its own ends."""
        spec, samples = self.spec, signal.shape[1]
        frames = count_windows(samples, spec)
        extent = (frames - 1) * spec.hop_samples + self.size
        if spec.framing == "snip":
            return signal[:, :extent]
        kaldi = spec.framing == "kaldi_center"
        left = spec.window_samples // 2 - spec.hop_samples // 2 if kaldi else spec.fft_size // 2
        positions = torch.arange(extent, device=signal.device)[None] - left
        ends = lengths[:, None].clamp(min=1)
        inside = (positions >= 0) & (positions < ends)
        if kaldi:  # mirrored with the edge sample repeated
            positions = torch.remainder(positions, 2 * ends)
            positions = torch.where(positions < ends, positions, 2 * ends - 1 - positions)
        elif spec.framing != "center_constant":
            positions = positions.abs()
            inside = positions < ends
            if spec.framing == "center_reflect":
                positions = torch.where(inside, positions, 2 * (ends - 1) - positions)
        extended = signal.gather(1, positions.clamp(min=0).minimum(ends - 1))
        if spec.framing in ("center_constant", "center_filled"):
            extended = torch.where(inside, extended, 0.0)
        return extended

    def _index_frames(self, extended: Tensor, frames: int) -> Tensor:
        """`[batch, frames, window or FFT samples]`: cut, without mean, emphasised and windowed, step by step."""
        spec = self.spec
        starts = spec.hop_samples * torch.arange(frames, device=extended.device)
        cut = extended[:, starts[:, None] + torch.arange(self.size, device=extended.device)]
        if spec.remove_dc:
            cut = cut - cut.mean(dim=-1, keepdim=True)
        if spec.preemphasis and spec.preemphasis_on == "frame":
            cut = cut - spec.preemphasis * torch.cat([cut[..., :1], cut[..., :-1]], dim=-1)
        return cut * self.get_buffer("window")

    def _compute_bands(self, extended: Tensor) -> Tensor:
        """`[batch, frames, mels]`, some frames at a time, which stay in the processor's cache."""
        mels, hop = self._table("mels", extended), self.spec.hop_samples
        frames = (extended.shape[1] - self.size) // hop + 1
        bands = extended.new_empty(len(extended), frames, mels.shape[1])
        at_once = frames if extended.is_cuda else max(1, FRAMES_AT_ONCE // len(extended))
        for first in range(0, frames, at_once):
            powers = self._spectrum(
                self._window_frames(extended[:, first * hop : (first + at_once - 1) * hop + self.size])
            )
            part = powers.new_empty(powers.shape[0] * powers.shape[1], mels.shape[1])
            for columns, bins in self.mel_groups:
                torch.mm(powers.flatten(0, 1)[:, bins], mels[bins, columns], out=part[:, columns])
            bands[:, first : first + at_once] = part.view(*powers.shape[:2], -1)
        return bands

    def _window_frames(self, extended: Tensor) -> Tensor:
        """The same frames with the same bits, `[batch, frames, FFT samples]`, with zeros up to the length of the FFT."""
        spec = self.spec
        cut = extended.unfold(1, self.size, spec.hop_samples)
        if spec.remove_dc:
            cut = cut - cut.mean(dim=-1, keepdim=True)
        frames = extended.new_zeros(*cut.shape[:2], spec.fft_size)
        inner, window = frames[..., : self.size], self._table("window", extended)
        if not (spec.preemphasis and spec.preemphasis_on == "frame"):
            torch.mul(cut, window, out=inner)
            return frames
        torch.mul(cut[..., :1], spec.preemphasis, out=inner[..., :1])
        torch.mul(cut[..., :-1], spec.preemphasis, out=inner[..., 1:])
        torch.sub(cut, inner, out=inner)
        inner.mul_(window)
        return frames

    def _spectrum(self, frames: Tensor) -> Tensor:
        """`[batch, frames, bins]`: magnitudes to the power of the spec."""
        real, imaginary = torch.view_as_real(torch.fft.rfft(frames)).unbind(-1)
        return self._raise_to_power(real.square() + imaginary.square())

    def _multiply_spectrum(self, frames: Tensor, counts: Tensor) -> Tensor:
        """The same by two matrix products."""
        size = self.spec.fft_size
        rows = torch.arange(self.size) + 0 * counts[0]  # not constant, or the graph would store the matrices, 0.8 MB
        angles = rows[:, None] * torch.arange(size // 2 + 1) % size
        real, imaginary = (frames @ self.get_buffer(name)[angles] for name in ("cosines", "sines"))
        return self._raise_to_power(real**2 + imaginary**2)

    def _raise_to_power(self, squares: Tensor) -> Tensor:
        power = self.spec.power
        return squares if power == 2.0 else squares ** (power / 2)

    def _take_logarithm(self, bands: Tensor, valid: Tensor | None) -> Tensor:
        spec = self.spec
        bands = bands.add_(spec.floor) if spec.floor_mode == "add" else bands.clamp_(min=spec.floor)
        values = bands.log_() if spec.log == "ln" else bands.log10_()
        if spec.dynamic_range:
            loudest = _fill_padding(values, valid, -torch.inf).amax(dim=(-2, -1), keepdim=True)
            values = values.maximum(loudest - spec.dynamic_range)
        return values if (spec.offset, spec.gain) == (0.0, 1.0) else (values + spec.offset) * spec.gain

    def _normalize(self, values: Tensor, counts: Tensor, valid: Tensor | None) -> Tensor:
        spec = self.spec
        if spec.normalize == "none":
            return _fill_padding(values, valid)
        if spec.normalize == "fixed":
            scaled = (values - self._table("band_mean", values)) * self._table("band_scale", values)
            return _fill_padding(scaled, valid)
        count = counts[:, None, None]
        values = _fill_padding(values, valid)
        centred = _fill_padding(values - self._sum_over_frames(values) / count.clamp(min=1), valid)
        variance = self._sum_over_frames(centred.square()) / (count - spec.normalize_ddof).clamp(min=1)
        if spec.normalize_epsilon_on == "variance":
            return centred / (variance + spec.normalize_epsilon).sqrt()
        if spec.normalize_epsilon == 0:  # a band that never changes is zero, not 0 / 0
            unchanged = values == values[:, :1]
            constant = (unchanged if valid is None else unchanged | ~valid).all(dim=1, keepdim=True)
            return centred.masked_fill(constant, 0.0) / variance.sqrt().masked_fill(constant, 1.0)
        return centred / (variance.sqrt() + spec.normalize_epsilon)

    def _sum_over_frames(self, values: Tensor) -> Tensor:
        """`[batch, 1, mels]`, rounded as in the toolkits: in a band that hardly varies the last bit is visible.

        Those that divide by N - 1 store the frames of a band next to each other, with a zero for a dropped last frame.
        """
        if not self.spec.normalize_ddof:
            return values.sum(dim=-2, keepdim=True)
        bands = pad(values.transpose(-1, -2), (0, int(self.spec.drop_last_frame))).contiguous()
        return bands.sum(dim=-1, keepdim=True).transpose(-1, -2)

    def _stack(self, values: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
        stack = self.spec.stack
        if stack > 1:
            counts = counts // stack
            frames = values.shape[1] // stack
            values = values[:, : frames * stack].reshape(values.shape[0], frames, self.spec.dim)
            values = torch.where(padding_mask(counts, frames)[..., None], values, 0.0)
        return values.float(), counts


def _fill_padding(values: Tensor, valid: Tensor | None, filling: float = 0.0) -> Tensor:
    """The values where `valid` is true, or all where there is no padding (None)."""
    return values if valid is None else torch.where(valid, values, filling)


def _group_filters(mels: Tensor) -> list[tuple[slice, slice]]:
    """Some neighbouring filters each with the bins from the first to the last that they use: `[bins, mels]` is mostly zero."""
    groups = []
    size = -(-mels.shape[1] // MEL_GROUPS)
    for first in range(0, mels.shape[1], size):
        columns = slice(first, min(first + size, mels.shape[1]))
        used = mels[:, columns].any(dim=1).nonzero().flatten().tolist() or [0]
        groups.append((columns, slice(used[0], used[-1] + 1)))
    return groups


@lru_cache(maxsize=32)
def _cached_filterbank(spec: FeatureSpec) -> Filterbank:
    return Filterbank(spec)


@lru_cache(maxsize=32)
def white_noise(samples: int) -> Tensor:
    """Noise of deviation 1, `[samples]`, made from integers so that it is the same on every machine."""
    number = torch.arange(samples)
    return ((number * number % 65_521) * number % 65_521).double() / 32_760 * math.sqrt(3) - math.sqrt(3)


def feature_fingerprint(spec: FeatureSpec) -> dict[str, list[float]]:
    """Feature values that this machine computes for a fixed test signal; stored with every model.

    Values instead of a hash of them, because two machines may differ in the last bits: compare with a tolerance.

    Returns:
        the first, middle and last frame in full, and the mean of every frame, which also gives the number of frames.
    """
    values = filterbank(_test_signal(spec.sample_rate_hz), spec)
    middle = len(values) // 2
    parts = {"first": values[:1], "middle": values[middle : middle + 1], "last": values[-1:]}
    stored = {name: part.flatten() for name, part in parts.items()} | {"means": values.mean(dim=1)}
    return {name: [round(value, 4) for value in part.tolist()] for name, part in stored.items()}


def front_end_version(spec: FeatureSpec) -> str:
    """Hash of code version and feature fingerprint; part of the names of stored features and of run fingerprints."""
    return hashlib.sha256(json.dumps([CODE_VERSION, feature_fingerprint(spec)]).encode()).hexdigest()[:16]


def _test_signal(rate_hz: int) -> Tensor:
    """0.55 s of noise from whole numbers, the same everywhere: loud, silent, fading by 140 dB, loud; loud parts off centre."""
    noise = white_noise(round(0.55 * rate_hz)) / math.sqrt(3)
    time_s = torch.arange(len(noise)) / rate_hz
    loud = (time_s < 0.1) | (time_s >= 0.45)
    faded = torch.where(time_s < 0.2, 0.0, 10.0 ** (-7.0 * (time_s - 0.2) / 0.25))
    return torch.where(loud, 0.1 + 0.5 * noise, 0.5 * faded * noise).float()
