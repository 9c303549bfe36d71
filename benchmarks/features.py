"""Speed of filterbanks on one core: ours beside those of torchaudio, lhotse, kaldi-native-fbank, librosa and transformers.

60 clips of noise of 2 to 15 s, one by one; the methods alternate in several rounds of one run. What is not installed is left
out. Stated are the medians of the rounds, and the ratio to torchaudio's Kaldi filterbank within a round.

    pip install lhotse kaldi-native-fbank
    python -m benchmarks.features
"""

import time
from collections.abc import Callable
from importlib.metadata import version
from importlib.util import find_spec
from statistics import median
from typing import Any

import numpy as np
import torch
import torchaudio

from benchmarks.page import table, write_section
from speechxfer.data import Samples
from speechxfer.features import feature_preset, filterbank
from speechxfer.runtime import import_extra

CLIPS, RATE_HZ, ROUNDS = 60, 16_000, 7
PRESETS = ("kaldi", "kaldi-mvn-78db-1.5s", "nemo-2025", "whisper")
TOLERANCE = 1e-3
REFERENCE = "torchaudio: kaldi.fbank"
Method = Callable[[Samples], Any]


def torchaudio_fbank(samples: Samples) -> Any:
    """Kaldi's filterbank by torchaudio, without dither."""
    features: torch.Tensor = torchaudio.compliance.kaldi.fbank(
        torch.from_numpy(samples)[None], num_mel_bins=80, dither=0.0
    )
    return features


def bare_spectrum(samples: Samples) -> Any:
    """No filterbank: only frames and their FFT, the least that any needs."""
    spectrum: torch.Tensor = torch.fft.rfft(torch.from_numpy(samples).unfold(0, 400, 160), n=512)
    return spectrum


def ours(preset: str) -> Method:
    """Our filterbank of that preset."""
    spec = feature_preset(preset)
    return lambda samples: filterbank(samples, spec)


def lhotse() -> Method:
    """lhotse's Kaldi filterbank."""
    extractor = import_extra("lhotse", "test", "the comparison").Fbank()
    return lambda samples: extractor.extract(samples, RATE_HZ)


def kaldi_native_fbank() -> Method:
    """The one of sherpa."""
    library = import_extra("kaldi_native_fbank", "test", "the comparison")
    options = library.FbankOptions()
    options.frame_opts.dither, options.mel_opts.num_bins = 0.0, 80

    def compute(samples: Samples) -> Any:
        online = library.OnlineFbank(options)
        online.accept_waveform(RATE_HZ, samples.tolist())
        online.input_finished()
        return np.stack([online.get_frame(i) for i in range(online.num_frames_ready)])

    return compute


def librosa() -> Method:
    """librosa's mel spectrogram and logarithm."""
    feature = import_extra("librosa", "test", "the comparison").feature

    def compute(samples: Samples) -> Any:
        power = feature.melspectrogram(y=samples, sr=RATE_HZ, n_fft=512, hop_length=160, win_length=400, n_mels=80)
        return np.log(np.maximum(power, 1e-10))

    return compute


def transformers(name: str) -> Method:
    """A feature extractor of transformers with its default settings."""
    extractor = getattr(import_extra("transformers", "hf", "the comparison"), name)()
    return lambda samples: extractor(samples, sampling_rate=RATE_HZ, return_tensors="pt")


def main() -> None:
    """Measure and write the section of the page."""
    torch.set_num_threads(1)
    generator = np.random.default_rng(1)
    clips = [
        generator.normal(0, 0.1, round(RATE_HZ * generator.uniform(2, 15))).astype(np.float32) for _ in range(CLIPS)
    ]
    difference = max(float((torchaudio_fbank(clip) - ours("kaldi")(clip)).abs().max()) for clip in clips[:10])
    if difference > TOLERANCE:
        raise SystemExit(f"our values differ from torchaudio's by {difference:g}")
    methods: dict[str, Method] = {f"speechxfer: {preset}": ours(preset) for preset in PRESETS}
    methods |= {"frames and FFT only": bare_spectrum, REFERENCE: torchaudio_fbank}
    optional: dict[str, Callable[[], Method]] = {
        "lhotse": lhotse,
        "kaldi_native_fbank": kaldi_native_fbank,
        "librosa": librosa,
    }
    methods |= {name: make() for name, make in optional.items() if find_spec(name)}
    if find_spec("transformers"):
        names = ("ParakeetFeatureExtractor", "SeamlessM4TFeatureExtractor")
        methods |= {f"transformers: {name}": transformers(name) for name in names}
    seconds: dict[str, list[float]] = {name: [] for name in methods}
    for number in range(1 + ROUNDS):
        for name, method in methods.items():
            started = time.process_time()
            for clip in clips:
                method(clip)
            if number:  # the first round fills caches
                seconds[name].append(time.process_time() - started)
    sound_s = sum(map(len, clips)) / RATE_HZ
    rows = []
    for name, own in seconds.items():
        ratios = [other / mine for other, mine in zip(seconds[REFERENCE], own, strict=True)]
        spread = f"{median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        rows.append((name, f"{sound_s / median(own):.0f}", spread))
        print(*rows[-1], flush=True)
    lines = [f"Values of `kaldi` differ from torchaudio's by {difference:.1g} at most.", ""]
    lines += table(("filterbank", "x real time", "speed over torchaudio's"), rows)
    packages = {"kaldi_native_fbank": "kaldi-native-fbank"}
    peers = [packages.get(name, name) for name in (*optional, "transformers") if find_spec(name)]
    write_section("Features", lines, [name for name in ("torch", "torchaudio", "numpy", *peers) if version(name)])


if __name__ == "__main__":
    main()
