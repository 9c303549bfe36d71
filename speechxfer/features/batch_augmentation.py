"""Recordings of a batch to augmented features on the device that trains: the augmentation of `augmentation.py` for a GPU.

What is drawn for each utterance has the same distributions as there, without the Opus codec, but all of a batch is computed at
once and nothing waits for the device. Speed is changed by torchaudio's resampling (windowed sinc) instead of soxr's.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torchaudio.functional import resample

from speechxfer.features import augmentation as draws
from speechxfer.features.batches import Batch, padding_mask
from speechxfer.features.log_mel import Filterbank
from speechxfer.features.store import SAMPLE_SCALE

NEAREST_HZ = 10


@dataclass(frozen=True)
class Augmentation:
    """How strongly the utterances of a batch are changed; 0: not at all."""

    distortion: float = 0.0
    """Share of the utterances that get a simulated room, microphone, line and background."""
    spec_augment: float = 0.0
    """Strength of the masks."""


def collate_samples(ids: Sequence[str], samples: Sequence[np.ndarray], targets: Sequence[Sequence[int]]) -> Batch:
    """Pad samples in [-1, 1] of several utterances and join their targets; stored as int16 `[batch, samples]`."""
    lengths = torch.tensor([len(values) for values in samples])
    padded = np.zeros((len(samples), int(lengths.max())), dtype=np.int16)
    for row, values in zip(padded, samples, strict=True):
        row[: len(values)] = np.round(values * SAMPLE_SCALE)
    joined = torch.tensor([symbol for target in targets for symbol in target], dtype=torch.long)
    counts = torch.tensor([len(target) for target in targets])
    return Batch(tuple(ids), torch.from_numpy(padded), lengths, joined, counts)


def augment_batch(
    batch: Batch,
    filterbank: Filterbank,
    speeds: Sequence[float],
    augmentation: Augmentation,
    generator: torch.Generator,
) -> Batch:
    """Features of a batch of samples.

    Args:
        batch: of `collate_samples`, on the device.
        filterbank: whose features are computed.
        speeds: how many times as fast each utterance is played.
        augmentation: what else is changed.
        generator: of the random choices, on the device.

    Returns:
        the batch with float32 `[batch, frames, mels]` and lengths in frames.
    """
    spec = filterbank.spec
    samples, lengths = _change_speeds(batch.features.float() / SAMPLE_SCALE, batch.lengths, speeds, spec.sample_rate_hz)
    on_device = lengths.to(samples.device, non_blocking=True)
    if augmentation.distortion:
        chosen = _draw(samples, generator) < augmentation.distortion
        distorted = distort_batch(samples, on_device, generator, spec.sample_rate_hz)
        samples = torch.where(chosen, distorted, samples)
    features, _ = filterbank(samples, on_device)
    frames = torch.tensor([spec.frames(length) for length in lengths.tolist()])
    if augmentation.spec_augment:
        mask_batch(
            features, frames.to(features.device, non_blocking=True), generator, spec.mels, augmentation.spec_augment
        )
    return Batch(batch.ids, features, frames, batch.targets, batch.target_lengths)


def _change_speeds(
    samples: Tensor, lengths: Tensor, speeds: Sequence[float], sample_rate_hz: int
) -> tuple[Tensor, Tensor]:
    """`[batch, samples]` each at its own speed, and their new lengths, on the CPU."""
    changed = torch.tensor(
        [
            math.ceil(n * (sample_rate_hz / (sample_rate_hz * speed)))
            for n, speed in zip(lengths.tolist(), speeds, strict=True)
        ]
    )
    if set(speeds) == {1.0}:
        return samples, changed
    result = samples.new_zeros(len(samples), int(changed.max()))
    for speed in sorted(set(speeds)):
        rows = [row for row, each in enumerate(speeds) if each == speed]
        places = torch.tensor(rows).to(samples.device, non_blocking=True)
        group = samples[places, : int(lengths[rows].max())]
        played = resample(group, _played_rate(sample_rate_hz, speed), sample_rate_hz) if speed != 1.0 else group
        width = min(played.shape[1], result.shape[1])
        result[places, :width] = played[:, :width]
    return result, changed


def _played_rate(sample_rate_hz: int, speed: float) -> int:
    """The rate that samples at this speed have, in Hz; near it where the filter for the exact ratio would take a gigabyte."""
    rate = round(sample_rate_hz * speed)
    return rate if math.gcd(rate, sample_rate_hz) >= NEAREST_HZ else NEAREST_HZ * round(rate / NEAREST_HZ)


def distort_batch(samples: Tensor, lengths: Tensor, generator: torch.Generator, sample_rate_hz: int) -> Tensor:
    """`[batch, samples]`, each distorted as by `distort`, without the codec; what follows an utterance becomes zero."""
    valid = padding_mask(lengths, samples.shape[1])
    samples = samples * valid
    room = _rooms(samples, generator, sample_rate_hz)
    length = -(-(samples.shape[1] + room.shape[1]) // draws.FFT_BLOCK) * draws.FFT_BLOCK
    hz = torch.arange(length // 2 + 1, device=samples.device) * (sample_rate_hz / length)
    response = torch.fft.rfft(room, length) * 10 ** (_equaliser_db(hz, samples, generator) / 20)
    low, high = (_draw(samples, generator, *limits) for limits in (draws.LOW_CUT_HZ, draws.HIGH_CUT_HZ))
    band = ((1 + (low / hz.clamp(min=1.0)) ** 8) * (1 + (hz / high) ** 24)).rsqrt()
    response = response * torch.where(_draw(samples, generator) < draws.BAND_SHARE, band, 1.0)
    changed = torch.fft.irfft(torch.fft.rfft(samples, length) * response, length)[:, : samples.shape[1]] * valid
    noisy = changed + _noise(changed, lengths, generator)
    changed = torch.where(_draw(samples, generator) < draws.NOISE_SHARE, noisy, changed)
    limit = changed.abs().amax(dim=1, keepdim=True) * _draw(samples, generator, *draws.CLIP_RATIO)
    clipped = _draw(samples, generator) < draws.CLIPPED_SHARE
    return torch.where(clipped, changed.clamp(-limit, limit), changed) * valid


def mask_batch(features: Tensor, frames: Tensor, generator: torch.Generator, mels: int, strength: float) -> None:
    """`spec_augment` of `[batch, frames, stack * mels]` in place; `frames` is `[batch]`, on the device."""
    valid = padding_mask(frames, features.shape[1])[..., None]
    count = (frames * features.shape[2]).clamp(min=1)
    mean = (features * valid).sum((1, 2)) / count
    widest = min(draws.WIDEST_MASK_MELS, round(draws.MASK_MELS * strength), mels)
    bands = torch.arange(features.shape[2], device=features.device)[None] % mels
    times = torch.arange(features.shape[1], device=features.device)[None]
    masked = torch.zeros_like(features, dtype=torch.bool)
    for _ in range(max(1, int(strength))):
        width = (_draw(features, generator) * (widest + 1)).floor()
        first = (_draw(features, generator) * (mels - width + 1)).floor()
        masked |= ((bands >= first) & (bands < first + width))[:, None]
    for _ in range(round(draws.TIME_MASKS * strength)):
        width = (_draw(features, generator) * ((frames[:, None] * draws.TIME_MASK_RATIO).floor() + 1)).floor()
        first = (_draw(features, generator) * (frames[:, None] - width + 1)).floor()
        masked |= ((times >= first) & (times < first + width))[..., None]
    torch.where(masked & valid, mean[:, None, None], features, out=features)


def _draw(like: Tensor, generator: torch.Generator, low: float = 0.0, high: float = 1.0) -> Tensor:
    """A number for each utterance, `[batch, 1]`."""
    return torch.empty(len(like), 1, device=like.device).uniform_(low, high, generator=generator)


def _rooms(samples: Tensor, generator: torch.Generator, sample_rate_hz: int) -> Tensor:
    """Impulse responses `[batch, samples]`; of some, the direct sound alone."""
    time_s = torch.arange(int(draws.REVERBERATION_S[1] * sample_rate_hz), device=samples.device) / sample_rate_hz
    seconds = _draw(samples, generator, *draws.REVERBERATION_S)
    noise = torch.empty(len(samples), len(time_s), device=samples.device).normal_(generator=generator)
    tail = noise * 10 ** (-3 * time_s / seconds) * ((time_s > 0) & (time_s < seconds))
    tail *= 10 ** (-_draw(samples, generator, *draws.DIRECT_DB) / 20) * tail.square().sum(1, keepdim=True).rsqrt()
    tail *= _draw(samples, generator) < draws.ROOM_SHARE
    tail[:, 0] = 1.0
    return tail


def _equaliser_db(hz: Tensor, samples: Tensor, generator: torch.Generator) -> Tensor:
    """Gains `[batch, frequencies]`; of some, zero."""
    octaves = torch.log2(hz.clamp(min=50.0) / 50.0)
    gain = _draw(samples, generator, *draws.TILT_DB) * (octaves / octaves[-1] - 0.5)
    for _ in range(3):
        centre = _draw(samples, generator) * octaves[-1]
        width = _draw(samples, generator, 0.3, 1.5)
        gain = gain + _draw(samples, generator, *draws.BUMP_DB) * torch.exp(-0.5 * ((octaves - centre) / width) ** 2)
    return gain * (_draw(samples, generator) < draws.EQUALISED_SHARE)


def _noise(samples: Tensor, lengths: Tensor, generator: torch.Generator) -> Tensor:
    """Noise `[batch, samples]` of random colours at random levels below the speech."""
    length = -(-samples.shape[1] // draws.FFT_BLOCK) * draws.FFT_BLOCK
    white = torch.empty(len(samples), length, device=samples.device).normal_(generator=generator)
    spectrum = torch.fft.rfft(white)
    places = torch.arange(spectrum.shape[1], device=samples.device).clamp(min=spectrum.shape[1] / 200)
    spectrum = spectrum * places ** (-_draw(samples, generator, *draws.COLOUR) / 2)
    noise = torch.fft.irfft(spectrum, length)[:, : samples.shape[1]]
    mean_square = samples.square().sum(1, keepdim=True) / lengths[:, None].clamp(min=1)
    wanted_rms = mean_square.sqrt() * 10 ** (-_draw(samples, generator, *draws.SNR_DB) / 20)
    scaled: Tensor = noise * (wanted_rms / noise.square().mean(1, keepdim=True).sqrt())
    return scaled
