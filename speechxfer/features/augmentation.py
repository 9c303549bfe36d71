"""Augmentation of training speech: speed, SpecAugment, and simulated rooms, microphones, lines and noise.

Sources: speed: Ko et al., Interspeech 2015. SpecAugment (without time warping, the utterance's mean as the masking value):
Park et al., arXiv:1904.08779. Rooms: Polack's model (E. Habets, Single- and Multi-Microphone Speech Dereverberation, 2007,
chapter 2).
"""

import io

import numpy as np
import soundfile

from speechxfer.data import Samples, resample_audio

MASK_MELS = 10
WIDEST_MASK_MELS = 27  # as in the paper
TIME_MASKS = 2
TIME_MASK_RATIO = 0.05
ROOM_SHARE, EQUALISED_SHARE, BAND_SHARE, NOISE_SHARE, CLIPPED_SHARE, CODEC_SHARE = 0.5, 0.5, 0.3, 0.8, 0.1, 0.05
REVERBERATION_S = (0.1, 0.7)  # time in which the room's sound falls by 60 dB
DIRECT_DB = (-3.0, 15.0)  # level of the direct sound relative to the reverberation
TILT_DB = (-12.0, 12.0)  # from the lowest to the highest frequency
BUMP_DB = (-9.0, 9.0)
LOW_CUT_HZ = (50.0, 350.0)
HIGH_CUT_HZ = (3000.0, 7000.0)
SNR_DB = (0.0, 30.0)
COLOUR = (0.0, 2.0)  # exponent of the noise's fall with frequency: 0 white, 1 pink, 2 brown
CLIP_RATIO = (0.1, 0.7)  # of the peak
OPUS_RATES_HZ = (8_000, 12_000, 16_000, 24_000, 48_000)  # RFC 6716, section 2
FFT_BLOCK = 4096  # FFT lengths are multiples of this, for speed


def change_speed(samples: Samples, factor: float, sample_rate_hz: int) -> Samples:
    """`[samples]` played `factor` times as fast: tempo and pitch change together, `ceil(samples / factor)` remain."""
    return resample_audio(samples, sample_rate_hz * factor, sample_rate_hz)


def spec_augment(
    features: Samples, generator: np.random.Generator, *, mels: int = 80, strength: float = 1.0
) -> Samples:
    """Replace some mel bands and time segments by the utterance's mean value.

    Strength 1 masks one band of up to 10 mels and two segments of up to 5 % of the frames. The width of the band (up to 27)
    and the number of segments grow in proportion to the strength; from 2 on, a band is added for each whole number.

    Args:
        features: `[frames, stack * mels]`; a band is masked in all frames that are stacked.
        generator: of the random positions and widths.
        mels: mel bands of one frame.
        strength: 0 or more; 0 masks nothing.

    Returns:
        a copy of the features.
    """
    frequency_masks = max(1, int(strength)) if strength else 0
    frequency_mask_mels = min(WIDEST_MASK_MELS, round(MASK_MELS * strength), mels)
    time_masks = round(TIME_MASKS * strength)
    masked = features.copy()
    frames = len(features)
    stacked = masked.reshape(frames, features.shape[1] // mels, mels)  # a view
    mean = features.mean() if features.size else 0.0
    for _ in range(frequency_masks):
        width = int(generator.integers(0, frequency_mask_mels + 1))
        first = int(generator.integers(0, mels - width + 1))
        stacked[..., first : first + width] = mean
    for _ in range(time_masks):
        width = int(generator.integers(0, int(frames * TIME_MASK_RATIO) + 1))
        first = int(generator.integers(0, frames - width + 1))
        masked[first : first + width] = mean
    return masked


def distort(samples: Samples, generator: np.random.Generator, sample_rate_hz: int) -> Samples:
    """`[samples]` with a randomly simulated room, microphone, line and background; their number is unchanged.

    Each with its own probability: a room's reverberation (exponentially decaying noise), equalisation (a tilt and three
    bumps), a limited band (such as the telephone's), coloured noise, clipping, and, at sampling rates that it supports,
    the Opus codec. Silence stays as it is.
    """
    if not samples.any():
        return samples
    changed = _filtered(samples, generator, sample_rate_hz)
    if generator.random() < NOISE_SHARE:
        changed = changed + _noise(changed, generator)
    if generator.random() < CLIPPED_SHARE:
        limit = np.abs(changed).max() * generator.uniform(*CLIP_RATIO)
        changed = changed.clip(-limit, limit)
    if generator.random() < CODEC_SHARE and sample_rate_hz in OPUS_RATES_HZ:
        changed = _through_opus(changed, sample_rate_hz)
    return changed.astype(np.float32)


def _filtered(samples: Samples, generator: np.random.Generator, sample_rate_hz: int) -> Samples:
    """Room, equaliser and band limit in one multiplication of spectra."""
    room = _room(generator, sample_rate_hz) if generator.random() < ROOM_SHARE else np.ones(1, dtype=np.float32)
    length = -(-(len(samples) + len(room)) // FFT_BLOCK) * FFT_BLOCK
    hz = np.fft.rfftfreq(length, 1 / sample_rate_hz)
    response = np.fft.rfft(room, length)
    if generator.random() < EQUALISED_SHARE:
        response = response * 10 ** (_equaliser_db(hz, generator) / 20)
    if generator.random() < BAND_SHARE:
        low, high = generator.uniform(*LOW_CUT_HZ), generator.uniform(*HIGH_CUT_HZ)
        response = response / np.sqrt((1 + (low / np.maximum(hz, 1.0)) ** 8) * (1 + (hz / high) ** 24))
    filtered: Samples = np.fft.irfft(np.fft.rfft(samples, length) * response, length)[: len(samples)].astype(np.float32)
    return filtered


def _room(generator: np.random.Generator, sample_rate_hz: int) -> Samples:
    """Impulse response: the direct sound, then noise that falls by 60 dB within the reverberation time."""
    seconds = generator.uniform(*REVERBERATION_S)
    time_s = np.arange(1, int(seconds * sample_rate_hz)) / sample_rate_hz
    tail = generator.standard_normal(len(time_s)) * 10 ** (-3 * time_s / seconds)
    tail *= 10 ** (-generator.uniform(*DIRECT_DB) / 20) / np.sqrt(np.sum(tail**2))
    response: Samples = np.concatenate([[1.0], tail]).astype(np.float32)
    return response


def _equaliser_db(hz: Samples, generator: np.random.Generator) -> Samples:
    """Gain over frequency: a straight tilt plus three bumps an octave or so wide."""
    octaves = np.log2(np.maximum(hz, 50.0) / 50.0)
    gain = generator.uniform(*TILT_DB) * (octaves / octaves[-1] - 0.5)
    for _ in range(3):
        centre, width = generator.uniform(0, octaves[-1]), generator.uniform(0.3, 1.5)
        gain += generator.uniform(*BUMP_DB) * np.exp(-0.5 * ((octaves - centre) / width) ** 2)
    shaped: Samples = gain
    return shaped


def _noise(samples: Samples, generator: np.random.Generator) -> Samples:
    """Noise of a random colour at a random level below the speech."""
    length = -(-len(samples) // FFT_BLOCK) * FFT_BLOCK
    spectrum = np.fft.rfft(generator.standard_normal(length, dtype=np.float32))
    spectrum *= np.maximum(np.arange(len(spectrum)), len(spectrum) / 200) ** (-generator.uniform(*COLOUR) / 2)
    noise: Samples = np.fft.irfft(spectrum, length)[: len(samples)].astype(np.float32)
    wanted_rms = np.sqrt(np.mean(samples**2)) * 10 ** (-generator.uniform(*SNR_DB) / 20)
    scaled: Samples = noise * (wanted_rms / np.sqrt(np.mean(noise**2)))
    return scaled


def _through_opus(samples: Samples, sample_rate_hz: int) -> Samples:
    """Encoded with Opus and decoded; scaled to full scale for the codec and back afterwards."""
    scale = np.abs(samples).max() / 0.9
    buffer = io.BytesIO()
    soundfile.write(buffer, samples / scale, sample_rate_hz, format="OGG", subtype="OPUS")
    buffer.seek(0)
    decoded, _ = soundfile.read(buffer, dtype="float32")
    fitted: Samples = np.zeros(len(samples), dtype=np.float32)
    fitted[: min(len(samples), len(decoded))] = decoded[: len(samples)] * scale
    return fitted
