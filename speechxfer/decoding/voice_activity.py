"""Voice activity: where somebody speaks in a recording, by the energy of frequency bands above their noise.

The rule, per frame of 10 ms: in each of `BANDS` mel bands from 100 to 5,000 Hz, the level above the band's noise floor, at most
`LARGEST_EXCESS_DB`; their mean is the activity. The floor follows the noise: the lowest level of the last and next
`FLOOR_REACH_S`, where the level of a second is the `FLOOR_SHARE` quantile of its frames. A band with a hum, an insect or wind has
a high floor of its own and does not hide the others. Speech is where the activity exceeds `ON_DB` for `SHORTEST_S` (a click is
shorter), as far as it exceeds `OFF_DB`, and `MARGIN_S` more on both sides.

Figures beside those of silero-vad and webrtcvad: ``benchmarks/RESULTS.md``.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch

from speechxfer.data import Samples, Utterance
from speechxfer.features import AudioOptions, utterance_samples

Levels = npt.NDArray[np.float32]

FRAMES_PER_S = 100
WINDOW_S = 0.025
BANDS = 16
LOWEST_HZ, HIGHEST_HZ = 100.0, 5_000.0
QUIETEST_DB = -90.0
SMOOTHED_FRAMES = 3
FLOOR_SHARE = 0.2
FLOOR_REACH_S = 8
FLOOR_BELOW_PEAK_DB = 45.0
LARGEST_EXCESS_DB = 30.0
ON_DB, OFF_DB = 6.0, 2.5
SHORTEST_S = 0.06
MARGIN_S = 0.2
BLOCK_S = 60.0


def detect_speech(recording: Utterance, audio: AudioOptions) -> list[tuple[float, float]]:
    """Start and end of each part with speech, in seconds from the start of the recording, which is read in blocks."""
    levels = [band_levels(samples, audio.spec.sample_rate_hz) for samples in _read_blocks(recording, audio)]
    return [
        (start, min(end, recording.duration))
        for start, end in find_speech(np.concatenate(levels))
        if start < recording.duration
    ]


def band_levels(samples: Samples, rate_hz: int) -> Levels:
    """Level of each band in dB of full scale, float32 `[frames, BANDS]`; a frame per 10 ms, the first centred at 5 ms."""
    hop, window = rate_hz // FRAMES_PER_S, round(WINDOW_S * rate_hz)
    count = -(-len(samples) // hop)
    if not count:
        return np.zeros((0, BANDS), np.float32)
    padded = np.pad(samples, ((window - hop) // 2, count * hop - len(samples) + window))
    frames = torch.from_numpy(padded).unfold(0, window, hop)[:count] * torch.hann_window(window)
    power = torch.fft.rfft(frames).abs().square() / (window * window)
    levels: Levels = (10 * (power @ _bands(rate_hz, window)).clamp(min=10 ** (QUIETEST_DB / 10)).log10()).numpy()
    return levels


def _bands(rate_hz: int, window: int) -> torch.Tensor:
    """Weights of frequencies in bands, `[bins, BANDS]`: each frequency belongs to one band of equal width in mel."""
    hz = np.fft.rfftfreq(window, 1 / rate_hz)
    mel = 1127 * np.log1p(hz / 700)
    lowest, highest = (1127 * np.log1p(value / 700) for value in (LOWEST_HZ, min(HIGHEST_HZ, rate_hz / 2)))
    band = np.floor((mel - lowest) / (highest - lowest) * BANDS)
    return torch.from_numpy((band[:, None] == np.arange(BANDS)[None]).astype(np.float32))


def find_speech(levels: Levels) -> list[tuple[float, float]]:
    """Start and end of each part with speech, in seconds, from band levels `[frames, BANDS]`."""
    if not len(levels):
        return []
    activity = np.clip(_smooth(levels) - noise_floor(levels), 0, LARGEST_EXCESS_DB).mean(axis=1)
    runs = _runs(activity > OFF_DB)
    shortest = round(SHORTEST_S * FRAMES_PER_S)
    kept = [(a, b) for a, b in runs if (activity[a:b] > ON_DB).sum() >= shortest]
    margin = round(MARGIN_S * FRAMES_PER_S)
    merged: list[tuple[int, int]] = []
    for a, b in kept:
        a, b = max(0, a - margin), min(len(levels), b + margin)
        if merged and a <= merged[-1][1]:
            merged[-1] = (merged[-1][0], b)
        else:
            merged.append((a, b))
    return [(a / FRAMES_PER_S, b / FRAMES_PER_S) for a, b in merged]


def noise_floor(levels: Levels) -> Levels:
    """Level of the noise in each band and frame."""
    seconds = max(1, len(levels) // FRAMES_PER_S)  # the last one takes what is left over
    parts = np.split(levels, np.arange(1, seconds) * FRAMES_PER_S)
    quiet = np.stack([np.quantile(part, FLOOR_SHARE, axis=0) for part in parts])
    lowest = np.stack([quiet[max(0, s - FLOOR_REACH_S) : s + FLOOR_REACH_S + 1].min(axis=0) for s in range(seconds)])
    floor = np.repeat(lowest, [len(part) for part in parts], axis=0)
    loudest = np.quantile(levels, 0.99, axis=0)
    result: Levels = np.maximum(floor, loudest - FLOOR_BELOW_PEAK_DB).astype(np.float32)
    return result


def _smooth(levels: Levels) -> Levels:
    """Mean of each frame and its neighbours."""
    sums = np.cumsum(np.pad(levels, ((SMOOTHED_FRAMES // 2 + 1, SMOOTHED_FRAMES // 2), (0, 0)), mode="edge"), axis=0)
    means: Levels = ((sums[SMOOTHED_FRAMES:] - sums[:-SMOOTHED_FRAMES]) / SMOOTHED_FRAMES).astype(np.float32)
    return means


def _runs(flags: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate(([0], flags.astype(np.int8), [0]))))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def _read_blocks(recording: Utterance, audio: AudioOptions) -> Iterator[Samples]:
    start = 0.0
    while start < recording.duration:
        duration = min(BLOCK_S, recording.duration - start)
        yield utterance_samples(replace(recording, offset=recording.offset + start, duration=duration), audio)
        start += duration
