"""Each feature preset against the library that it is named after, on the same samples: real speech and what is not speech.

Where a library divides by almost nothing, it shows the last bits of its sums; `tolerance` says what that allows. Pure tones
are excluded for this reason: their bands do not vary.
"""

import csv
import math
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import lhotse
import librosa
import numpy as np
import pytest
import soundfile
import torch
import torchaudio
import transformers
from torch import Tensor

from speechxfer.data.audio import read_audio, resample_audio
from speechxfer.data.decoder import read_audio_header
from speechxfer.features.log_mel import filterbank
from speechxfer.features.presets import PRESETS
from speechxfer.features.spec import FeatureSpec

RATE = 16_000
FLOAT32_STEP = 2.0**-19  # between neighbouring float32 values of 16 to 32, the size of a log band


# --- The libraries ------------------------------------------------------------------------------------------------------


def by_torchaudio(samples: np.ndarray) -> Tensor:
    return torchaudio.compliance.kaldi.fbank(torch.from_numpy(samples)[None], num_mel_bins=80, dither=0.0)


@cache
def lhotse_fbank() -> Any:
    return lhotse.Fbank()


def by_lhotse(samples: np.ndarray) -> Tensor:
    return torch.from_numpy(lhotse_fbank().extract(samples, RATE))


@cache
def extractor(name: str) -> Any:
    return getattr(transformers, f"{name}FeatureExtractor")()


def by_transformers(name: str, samples: np.ndarray, **options: Any) -> Tensor:
    """What the extractor calls valid: without the frames that it adds to fill up a batch."""
    made = extractor(name)(samples, sampling_rate=RATE, return_tensors="pt", return_attention_mask=True, **options)
    return made["input_features"][0][made["attention_mask"][0].bool()]


def by_whisper(samples: np.ndarray) -> Tensor:
    made = extractor("Whisper")(samples, sampling_rate=RATE, return_tensors="pt", padding=False, truncation=False)
    return made["input_features"][0].T


def nemos_formula(samples: np.ndarray, pad_mode: str, frames: int) -> Tensor:
    """FilterbankFeatures of nemo/collections/asr/parts/preprocessing/features.py, in torch.stft and librosa's filters."""
    signal = torch.from_numpy(np.concatenate([samples[:1], samples[1:] - np.float32(0.97) * samples[:-1]]))
    window = torch.hann_window(400, periodic=False)
    power = torch.stft(signal, 512, 160, 400, window, pad_mode=pad_mode, return_complex=True).abs() ** 2
    mel = torch.from_numpy(librosa.filters.mel(sr=RATE, n_fft=512, n_mels=80))
    values = (mel @ power + 2.0**-24).log()[:, :frames]
    centred = values - values.sum(dim=1, keepdim=True) / frames
    deviation = (centred.square().sum(dim=1, keepdim=True) / (frames - 1)).sqrt()
    return (centred / (deviation + 1e-5)).T


LIBRARIES: dict[str, Callable[[np.ndarray], Tensor]] = {
    "kaldi": by_torchaudio,
    "icefall": by_lhotse,
    "nemo-2024": lambda samples: nemos_formula(samples, "reflect", 1 + len(samples) // 160),
    "nemo-2025": lambda samples: by_transformers("Parakeet", samples),
    "seamless": lambda samples: by_transformers("SeamlessM4T", samples),
    "speech2text": lambda samples: by_transformers("Speech2Text", samples, padding=True),
    "whisper": by_whisper,
}
# The fewest samples that give a frame: a window, half a hop, half an FFT that is mirrored, a hop, or two windows.
SHORTEST = {"kaldi": 400, "icefall": 80, "nemo-2024": 257, "nemo-2025": 160, "seamless": 560, "speech2text": 400}
SHORTEST |= {"whisper": 201}
ONE_FRAME = SHORTEST | {"icefall": 140}  # of fewer samples lhotse mirrors more than there are, and fails


def tolerance(samples: np.ndarray, spec: FeatureSpec) -> Tensor:
    """How far each value may lie from the library's: 1e-3, and more only where the library's value is no better defined."""
    plain = filterbank(samples, replace(spec, normalize="none", stack=1))
    allowed = torch.full_like(plain, 1e-3)
    if spec.normalize == "mean_std" and len(plain) > 1:
        # Two steps of rounding in the mean, as the division enlarges them.
        variance = plain.var(dim=0, correction=spec.normalize_ddof)
        on_variance = spec.normalize_epsilon_on == "variance"
        added = math.sqrt(spec.normalize_epsilon) if on_variance else spec.normalize_epsilon
        allowed = allowed.maximum(2 * FLOAT32_STEP / (variance.sqrt() + added))
    return allowed[: len(plain) // spec.stack * spec.stack].reshape(-1, spec.dim)


def assert_equal_to_the_library(name: str, samples: np.ndarray) -> None:
    spec = PRESETS[name]
    ours, theirs = filterbank(samples, spec), LIBRARIES[name](samples)
    assert ours.shape == theirs.shape == (spec.frames(len(samples)), spec.dim)
    assert ours.isfinite().all()
    defined = theirs.isfinite()  # 0 / 0 where a band never changes and nothing is added to its deviation: zero, we say
    assert (ours[~defined] == 0).all()
    excess = ((ours - theirs).abs() - tolerance(samples, spec))[defined].clamp(min=0)
    if name == "icefall":
        # A band with little but a loud bin at its edge: lhotse's float32 triangles differ there from torchaudio's, too.
        assert (excess > 0).sum() <= excess.numel() / 10_000
        assert not excess.numel() or excess.max() < 1e-3
    else:
        assert (excess == 0).all()


# --- Signals ------------------------------------------------------------------------------------------------------------


def noise(samples: int, level: float = 0.1) -> np.ndarray:
    return (level * np.random.default_rng(5).standard_normal(samples)).astype(np.float32)


def voice(samples: int, rate: int = RATE) -> np.ndarray:
    """A buzz whose pitch wanders, with breath and a pause."""
    time_s = np.arange(samples) / rate
    phase = 2 * np.pi * np.cumsum(120 + 30 * np.sin(3 * time_s)) / rate
    buzz = sum(np.sin(k * phase) / k for k in range(1, 25)) * (0.2 + 0.2 * np.sin(9 * time_s))
    return np.where(time_s % 1 < 0.8, 0.3 * buzz, 0).astype(np.float32) + noise(samples, 1e-3)


SIGNALS: dict[str, Callable[[], np.ndarray]] = {
    "noise": lambda: noise(RATE),
    "voice": lambda: voice(2 * RATE),
    "voice from 8 kHz": lambda: resample_audio(voice(8000, 8000), 8000, RATE),
    "voice from 48 kHz": lambda: resample_audio(voice(48_000, 48_000), 48_000, RATE),
    "silence": lambda: np.zeros(RATE, np.float32),
    "then silence": lambda: np.concatenate([noise(8000), np.zeros(8000, np.float32)]),
    "clipped noise": lambda: np.clip(noise(RATE, level=3.0), -1, 1),
    "clipped voice": lambda: np.clip(8 * voice(RATE), -1, 1),
    "30 s": lambda: voice(30 * RATE),
}


@pytest.mark.parametrize("signal", SIGNALS)
@pytest.mark.parametrize("name", LIBRARIES)
def test_a_preset_equals_its_library_in_every_bin(name: str, signal: str) -> None:
    assert_equal_to_the_library(name, SIGNALS[signal]())


@pytest.mark.parametrize("name", LIBRARIES)
def test_a_preset_equals_its_library_on_one_frame_and_at_the_edges(name: str) -> None:
    assert PRESETS[name].frames(SHORTEST[name] - 1) == 0
    assert PRESETS[name].frames(SHORTEST[name]) == (2 if name == "nemo-2024" else 1)  # mirroring needs two
    for samples in (ONE_FRAME[name], *range(1600, 1600 + 320, 37), 1759, 1760, 1761):
        assert_equal_to_the_library(name, noise(samples))


CORPORA = {"fsdd": 8000, "mboshi": RATE, "yoruba": RATE}


@cache
def recordings(folder: Path) -> list[np.ndarray]:
    """Five utterances from all over a corpus, brought to 16 kHz."""
    with (folder / "transcripts.tsv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    found = []
    for row in rows[7 :: len(rows) // 5][:5]:
        rate = read_audio_header(folder / row["path"]).rate_hz
        assert rate == CORPORA[folder.name]
        segment = {"offset_s": int(row["start"]) / rate, "duration_s": int(row["frames"]) / rate}
        found.append(read_audio(folder / row["path"], resample=True, mono=True, **segment))
    return found


@pytest.mark.parametrize("corpus", CORPORA)
@pytest.mark.parametrize("name", LIBRARIES)
def test_a_preset_equals_its_library_on_real_speech(shared_data: Path, name: str, corpus: str) -> None:
    for samples in recordings(shared_data / corpus):
        assert_equal_to_the_library(name, samples)


@pytest.mark.parametrize("name", LIBRARIES)
def test_a_preset_equals_its_library_on_real_speech_of_48_khz(shared_data: Path, name: str, tmp_path: Path) -> None:
    studio = shared_data / "refvectors" / "whisper" / "jfk.flac"  # 44.1 kHz in stereo; no recording at hand has 48 kHz
    soundfile.write(tmp_path / "48.wav", read_audio(studio, sample_rate_hz=48_000, resample=True, mono=True), 48_000)
    assert_equal_to_the_library(name, read_audio(tmp_path / "48.wav", resample=True))


# --- What one library alone has -----------------------------------------------------------------------------------------


def test_whisper_equals_its_extractor_when_the_samples_are_filled_up_to_30_s() -> None:
    theirs = extractor("Whisper")(voice(RATE), sampling_rate=RATE, return_tensors="pt")["input_features"][0].T
    ours = filterbank(np.pad(voice(RATE), (0, 29 * RATE)), PRESETS["whisper"])
    assert ours.shape == theirs.shape == (3000, 80)
    assert (ours - theirs).abs().max() < 1e-3


def test_parakeet_and_nemos_own_formula_agree() -> None:
    formula = nemos_formula(voice(RATE), "constant", 100)
    assert (filterbank(voice(RATE), PRESETS["nemo-2025"]) - formula).abs().max() < 1e-3


@pytest.mark.parametrize("samples_at_8_khz", range(8000, 8000 + 8 * 80, 80))
@pytest.mark.parametrize("name", ["nemo-2024", "nemo-2025"])
def test_nemos_sums_are_rounded_as_in_nemo(name: str, samples_at_8_khz: int) -> None:
    # So quiet that NeMo's guard hides the upper bands, and the division by their deviation shows how the mean was rounded.
    samples = resample_audio(voice(samples_at_8_khz, 8000) * np.float32(0.002), 8000, RATE)
    assert (filterbank(samples, PRESETS[name]) - LIBRARIES[name](samples)).abs().max() < 3e-4
