"""Voice activity: missed speech and false alarms of our rule beside webrtcvad and silero-vad, where these are installed.

Utterances of manifests are placed in pauses of 0.5 to 15 s; noise is added to the whole. Missed speech: frames of an utterance
within 25 dB of its loudest that are not found. False alarms: frames of pauses, 0.3 s and more from an utterance, that are found.
All methods get the margins of ours. Noise: white, pink, wind (below 800 Hz, in gusts), insects (a modulated tone at 4.2 kHz).

    pip install webrtcvad-wheels silero-vad
    python -m benchmarks.voice_activity train.jsonl ...
"""

import argparse
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from benchmarks.page import table, write_section
from speechxfer.data import Samples, read_audio, read_manifest
from speechxfer.decoding import band_levels, find_speech
from speechxfer.runtime import import_extra

Array = npt.NDArray[np.float64]
Method = Callable[[Samples], list[tuple[float, float]]]
RATE, HOP = 16_000, 160
UTTERANCES = 10  # of each manifest
MARGIN_S = 0.2
SNRS_DB = (20, 5)


def white(count: int, generator: np.random.Generator) -> Array:
    """White noise."""
    return generator.standard_normal(count)


def pink(count: int, generator: np.random.Generator) -> Array:
    """Noise whose power falls by 3 dB an octave."""
    spectrum = np.fft.rfft(generator.standard_normal(count))
    return np.fft.irfft(spectrum / np.sqrt(np.maximum(np.arange(len(spectrum)), 1)), count)


def wind(count: int, generator: np.random.Generator) -> Array:
    """Low noise in gusts."""
    spectrum, hz = np.fft.rfft(generator.standard_normal(count)), np.fft.rfftfreq(count, 1 / RATE)
    spectrum[hz > 800] *= 0.05
    knots = np.arange(0, count + RATE, RATE // 2)
    gusts = np.interp(np.arange(count), knots, generator.uniform(0.1, 1, len(knots)))
    wave: Array = np.fft.irfft(spectrum / np.maximum(hz, 20), count) * gusts
    return wave


def insects(count: int, generator: np.random.Generator) -> Array:
    """A trembling high tone that comes and goes, above faint pink noise."""
    time_s = np.arange(count) / RATE
    tone = np.sin(2 * np.pi * 4200 * time_s + 3 * np.sin(2 * np.pi * 3 * time_s))
    background = pink(count, generator)
    wave: Array = tone * (0.5 + 0.5 * np.sign(np.sin(2 * np.pi * 1.3 * time_s))) + 0.2 * background / background.std()
    return wave


NOISES = {"white": white, "pink": pink, "wind": wind, "insects": insects}


def place(utterances: Sequence[Samples], generator: np.random.Generator) -> tuple[Array, Array, npt.NDArray[np.bool_]]:
    """Utterances in silence: samples, and for each frame whether it is speech, and whether it is in a pause."""
    parts, inside = [], []
    for samples in utterances:
        silence = round(RATE * generator.uniform(0.5, 6.0 if generator.random() < 0.7 else 15.0))
        level = 0.05 * 10 ** (generator.uniform(-6, 6) / 20) / max(1e-6, float(samples.std()))
        parts += [np.zeros(silence), samples * level]
        inside += [np.zeros(silence, bool), np.ones(len(samples), bool)]
    wave, within = np.concatenate(parts), np.concatenate(inside)
    frames = len(wave) // HOP
    power = np.square(wave[: frames * HOP]).reshape(frames, HOP).mean(axis=1)
    within = within[: frames * HOP].reshape(frames, HOP).mean(axis=1) > 0.5
    speech = np.zeros(frames, bool)
    edges = np.flatnonzero(np.diff(np.concatenate(([0], within.astype(int), [0]))))
    for first, end in zip(edges[::2], edges[1::2], strict=True):
        speech[first:end] = power[first:end] > np.quantile(power[first:end], 0.98) * 10**-2.5
    near = np.convolve(within, np.ones(61), "same") > 0
    return wave, speech, ~near


def add_noise(wave: Array, speech: Array, noise: Array, snr_db: float) -> Samples:
    """The sum, at this ratio of the power of speech to that of noise; the peak is below full scale."""
    power = np.square(wave[: len(speech) * HOP]).reshape(len(speech), HOP).mean(axis=1)[speech.astype(bool)].mean()
    mixed = wave + noise / noise.std() * np.sqrt(power / 10 ** (snr_db / 10))
    scaled: Samples = (mixed / max(1.0, np.abs(mixed).max() / 0.99)).astype(np.float32)
    return scaled


def with_margins(flags: npt.NDArray[np.bool_], frame_s: float) -> list[tuple[float, float]]:
    """Runs of frames as parts with margins."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], flags.astype(int), [0]))))
    runs = zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)
    return [(a * frame_s - MARGIN_S, b * frame_s + MARGIN_S) for a, b in runs if (b - a) * frame_s >= 0.06]


def webrtc(samples: Samples) -> list[tuple[float, float]]:
    """webrtcvad at its most selective, in frames of 20 ms."""
    detector = import_extra("webrtcvad", "test", "the comparison").Vad(3)
    pcm = (samples * 32767).astype(np.int16)
    flags = [detector.is_speech(pcm[i : i + 320].tobytes(), RATE) for i in range(0, len(pcm) - 319, 320)]
    return with_margins(np.array(flags), 0.02)


def silero() -> Method:
    """silero-vad with its default threshold."""
    library = import_extra("silero_vad", "test", "the comparison")
    model = library.load_silero_vad()

    def detect(samples: Samples) -> list[tuple[float, float]]:
        settings: dict[str, Any] = {
            "sampling_rate": RATE,
            "speech_pad_ms": 1000 * MARGIN_S,
            "min_speech_duration_ms": 60,
        }
        parts = library.get_speech_timestamps(torch.from_numpy(samples), model, **settings)
        return [(part["start"] / RATE, part["end"] / RATE) for part in parts]

    return detect


def main() -> None:
    """Measure and write the section of the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifests", type=Path, nargs="+")
    manifests = parser.parse_args().manifests
    torch.set_num_threads(1)
    methods: dict[str, Method] = {"speechxfer": lambda samples: find_speech(band_levels(samples, RATE))}
    if find_spec("webrtcvad"):
        methods["webrtcvad"] = webrtc
    if find_spec("silero_vad"):
        methods["silero-vad"] = silero()
    placed = []
    for number, manifest in enumerate(manifests):
        generator = np.random.default_rng(number)
        chosen = generator.permutation(np.array(read_manifest(manifest), dtype=object))[:UTTERANCES]
        samples = [
            read_audio(one.audio_filepath, offset_s=one.offset, duration_s=one.duration, resample=True, mono=True)
            for one in chosen
        ]
        placed.append((*place(samples, generator), generator))
    rows, seconds = [], dict.fromkeys(methods, 0.0)
    conditions: list[tuple[str, float]] = [("none", 0.0), *((name, snr) for name in NOISES for snr in SNRS_DB)]
    for noise, snr_db in conditions:
        counts = {name: np.zeros(4) for name in methods}
        for wave, speech, pause, generator in placed:
            sound = wave.astype(np.float32)
            if noise != "none":
                sound = add_noise(wave, speech, NOISES[noise](len(wave), generator), snr_db)
            for name, method in methods.items():
                started = time.process_time()
                parts = method(sound)
                seconds[name] += time.process_time() - started
                found = np.zeros(len(speech), bool)
                for start_s, end_s in parts:
                    found[max(0, round(start_s * RATE / HOP)) : round(end_s * RATE / HOP)] = True
                counts[name] += [(speech & ~found).sum(), speech.sum(), (pause & found).sum(), pause.sum()]
        shares = [f"{100 * a / b:.1f} / {100 * c / d:.1f}" for a, b, c, d in counts.values()]
        rows.append((noise if noise == "none" else f"{noise}, {snr_db:.0f} dB", *shares))
        print(*rows[-1], flush=True)
    sound_s = sum(len(wave) for wave, *_ in placed) / RATE * len(conditions)
    rows.append(("x real time", *(f"{sound_s / value:.0f}" for value in seconds.values())))
    packages = {"webrtcvad": "webrtcvad-wheels", "silero-vad": "silero-vad"}
    lines = ["Missed speech / false alarms, in percent of the frames.", "", *table(("noise", *methods), rows)]
    write_section(
        "Voice activity", lines, ["numpy", "torch", *(packages[name] for name in methods if name in packages)]
    )


if __name__ == "__main__":
    main()
