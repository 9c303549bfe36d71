"""The front end against other implementations: torchaudio, librosa, Kaldi, HTK, and the numbers published for other toolkits."""

import json
import math
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import librosa
import numpy as np
import pytest
import torch
import torchaudio
from torch._subclasses.fake_tensor import FakeTensorMode

from speechxfer.data.audio import read_audio
from speechxfer.errors import InputError
from speechxfer.features.log_mel import Filterbank, feature_fingerprint, filterbank
from speechxfer.features.mel_filters import mel_filters
from speechxfer.features.presets import PRESETS, feature_preset
from speechxfer.features.spec import FeatureSpec

RATE = 16_000
KALDI = PRESETS["kaldi"]
WHISPER = PRESETS["whisper"]
NEMO = PRESETS["nemo-2024"]


def noise(samples: int, seed: int = 0, level: float = 0.1) -> np.ndarray:
    return (level * np.random.default_rng(seed).standard_normal(samples)).astype(np.float32)


def tone(hz: float, samples: int = 2 * RATE, rate: int = RATE) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * hz * np.arange(samples) / rate)).astype(np.float32)


def torchaudio_kaldi(samples: np.ndarray, **options: Any) -> torch.Tensor:
    return torchaudio.compliance.kaldi.fbank(
        torch.from_numpy(samples)[None], **({"num_mel_bins": 80, "dither": 0.0} | options)
    )


def largest_difference(ours: torch.Tensor, theirs: Any) -> float:
    theirs = torch.as_tensor(np.asarray(theirs))
    assert ours.shape == theirs.shape
    return float((ours - theirs).abs().max())


SIGNALS: dict[str, Callable[[], np.ndarray]] = {
    "noise": lambda: noise(2 * RATE),
    "low sine": lambda: tone(440),
    "sine on a bin": lambda: tone(1000),
    "two sines": lambda: tone(1000) + 0.6 * tone(3000),
    "silence": lambda: np.zeros(RATE, np.float32),
    "constant": lambda: np.full(RATE, 0.3, np.float32),
    "clipped": lambda: np.clip(noise(RATE, level=3.0), -1, 1),
    "square wave": lambda: np.sign(tone(100)),
    "impulse": lambda: np.eye(1, RATE, 5000, dtype=np.float32)[0],
    "one window": lambda: noise(400),
    "30 s": lambda: noise(30 * RATE, level=0.05),
}


# --- Kaldi ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [1.0, 32768.0])
@pytest.mark.parametrize("name", SIGNALS)
def test_kaldi_preset_equals_torchaudio_in_every_bin(name: str, scale: float) -> None:
    samples = SIGNALS[name]()
    ours = filterbank(samples, replace(KALDI, scale=scale))
    assert largest_difference(ours, torchaudio_kaldi(samples * np.float32(scale))) < 1e-3


@pytest.mark.parametrize("samples", [400, 479, 480, 559, 560, 1000, 16_000, 16_079, 16_080])
def test_kaldi_without_snipping_equals_torchaudio_at_many_lengths(samples: int) -> None:
    ours = filterbank(noise(samples), replace(KALDI, framing="kaldi_center"))
    assert largest_difference(ours, torchaudio_kaldi(noise(samples), snip_edges=False)) < 1e-3


@pytest.mark.parametrize(
    ("settings", "options"),
    [
        ({"window": "hamming_symmetric"}, {"window_type": "hamming"}),
        ({"window": "hann_symmetric"}, {"window_type": "hanning"}),
        (
            {"mels": 40, "low_hz": 100.0, "high_hz": -400.0},
            {"num_mel_bins": 40, "low_freq": 100.0, "high_freq": -400.0},
        ),
        ({"remove_dc": False, "preemphasis": 0.0}, {"remove_dc_offset": False, "preemphasis_coefficient": 0.0}),
        ({"power": 1.0}, {"use_power": False}),
        (
            {"sample_rate_hz": 8000, "window_samples": 200, "hop_samples": 80, "fft_size": 256},
            {"sample_frequency": 8000.0},
        ),
    ],
)
def test_single_parameters_equal_torchaudio(settings: dict[str, Any], options: dict[str, Any]) -> None:
    samples = noise(RATE) + np.float32(0.05)
    assert (
        largest_difference(filterbank(samples, replace(KALDI, **settings)), torchaudio_kaldi(samples, **options)) < 1e-3
    )


@pytest.mark.parametrize(("snip_edges", "framing"), [(0, "kaldi_center"), (1, "snip")])
@pytest.mark.parametrize(
    ("name", "audio", "tolerance"),
    [
        ("kaldi_test", "kaldi_htk/test.wav", 1e-3),
        # Four bins of this file come from nearly cancelling spectra; torchaudio itself is 2.3e-3 off in them.
        ("libri_1272-128104-0000", "librispeech/1272-128104-0000.flac", 2.6e-3),
    ],
)
def test_kaldi_equals_the_stored_values_of_kaldi_native_fbank(
    shared_data: Path, name: str, audio: str, tolerance: float, snip_edges: int, framing: Any
) -> None:
    stored = np.load(shared_data / "refvectors" / "fbank80_derived" / f"{name}.snip{snip_edges}.npy")
    ours = filterbank(read_audio(shared_data / "refvectors" / audio), replace(KALDI, scale=32768.0, framing=framing))
    difference = np.abs(ours.numpy() - stored)
    assert ours.shape == stored.shape
    assert difference.max() < tolerance
    assert (difference > 1e-3).sum() <= 4
    assert difference.mean() < 1e-5


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("test.txt", {"mels": 23}),
        ("test-40.txt", {"mels": 40}),
        ("test-40-no-snip-edges.txt", {"mels": 40, "framing": "kaldi_center"}),
    ],
)
def test_kaldi_equals_what_kaldis_own_binary_printed(shared_data: Path, name: str, settings: dict[str, Any]) -> None:
    folder = shared_data / "refvectors" / "kaldifeat"
    rows = (folder / name).read_text().replace("]", "").split("[")[1].strip().split("\n")
    theirs = np.array([[float(value) for value in row.split()] for row in rows])
    ours = filterbank(read_audio(folder / "test.wav"), replace(KALDI, scale=32768.0, **settings)).numpy()
    assert ours.shape == theirs.shape
    # A clean sweep: bands far from it hold rounding noise only. Kaldi's binary is 0.029 from a float64 computation there.
    assert np.abs(ours - theirs).max() < 0.04
    assert np.abs(ours - theirs).mean() < 5e-4


def test_filterbank_equals_htk(shared_data: Path) -> None:
    folder = shared_data / "refvectors" / "kaldi_htk"
    for number, low_hz, first_band in ((1, 0.0, 0), (2, 25.0, 1)):  # HTK cuts its lowest band at 25 Hz in its own way
        data = (folder / f"test.wav.fbank_htk.{number}").read_bytes()
        frames, _, frame_bytes, _ = struct.unpack(">iihh", data[:12])
        theirs = np.frombuffer(data[12:], ">f4").reshape(frames, frame_bytes // 4).astype(np.float32)
        spec = replace(
            KALDI, scale=32768.0, mels=23, window="hamming_symmetric", preemphasis=0.0, remove_dc=False, low_hz=low_hz
        )
        ours = filterbank(read_audio(folder / "test.wav"), spec)
        assert largest_difference(ours[:, first_band:], theirs[:, first_band:]) < 1e-3


# --- Other toolkits' front ends, which the parameters must be able to say -----------------------------------------------


def mel_matrix(spec: FeatureSpec) -> torch.Tensor:
    return mel_filters(spec).T


@pytest.mark.parametrize(
    ("settings", "options"),
    [
        ({}, {}),
        ({"mels": 128}, {"n_mels": 128}),
        ({"fft_size": 512, "low_hz": 50.0, "high_hz": 7600.0}, {"n_fft": 512, "fmin": 50.0, "fmax": 7600.0}),
        ({"mel_norm": "none"}, {"norm": None}),
        ({"mel_scale": "htk", "mel_norm": "none"}, {"htk": True, "norm": None}),
        ({"mel_scale": "htk"}, {"htk": True}),
        (
            {"sample_rate_hz": 8000, "window_samples": 200, "fft_size": 256, "mels": 40},
            {"sr": 8000, "n_fft": 256, "n_mels": 40},
        ),
    ],
)
def test_mel_filters_equal_librosa(settings: dict[str, Any], options: dict[str, Any]) -> None:
    theirs = librosa.filters.mel(**({"sr": RATE, "n_fft": 400, "n_mels": 80} | options))
    assert largest_difference(mel_matrix(replace(WHISPER, **settings)), theirs) < 1e-7


@pytest.mark.parametrize("mels", [80, 128])
def test_mel_filters_equal_those_shipped_with_whisper(shared_data: Path, mels: int) -> None:
    theirs = np.load(shared_data / "refvectors" / "whisper" / "mel_filters.npz")[f"mel_{mels}"]
    assert largest_difference(mel_matrix(replace(WHISPER, mels=mels)), theirs) < 1e-7


def whisper_by_librosa(samples: np.ndarray) -> np.ndarray:
    power = np.abs(librosa.stft(samples, n_fft=400, hop_length=160, window="hann", pad_mode="reflect"))[:, :-1] ** 2
    values = np.log10(np.maximum(librosa.filters.mel(sr=RATE, n_fft=400, n_mels=80) @ power, 1e-10))
    return ((np.maximum(values, values.max() - 8.0) + 4.0) / 4.0).T.astype(np.float32)


@pytest.mark.parametrize(
    "samples", [noise(RATE), tone(440), np.concatenate([noise(5000), np.zeros(20_000, np.float32)])]
)
def test_whispers_front_end_equals_librosa(samples: np.ndarray) -> None:
    assert largest_difference(filterbank(samples, WHISPER), whisper_by_librosa(samples)) < 1e-4


def test_whispers_front_end_equals_the_published_numbers(shared_data: Path) -> None:
    # The 30 values that the tests of Hugging Face transformers expect of WhisperFeatureExtractor for this utterance.
    published = [
        *(0.1193, -0.0946, -0.1098, -0.0196, 0.0225, -0.0690, -0.1736, 0.0951, 0.0971, -0.0817),
        *(-0.0702, 0.0162, 0.0260, 0.0017, -0.0192, -0.1678, 0.0709, -0.1867, -0.0655, -0.0274),
        *(-0.0234, -0.1884, -0.0516, -0.0554, -0.0274, -0.1425, -0.1423, 0.0837, 0.0377, -0.0854),
    ]
    samples = read_audio(shared_data / "refvectors" / "librispeech" / "1272-128104-0000.flac")
    ours = filterbank(np.pad(samples, (0, 30 * RATE - len(samples))), WHISPER)
    assert ours.shape == (3000, 80)
    assert np.allclose(ours[:30, 0], published, atol=1e-4)


def test_speech2texts_front_end_equals_the_published_numbers(shared_data: Path) -> None:
    # The values that the tests of Hugging Face transformers expect of Speech2TextFeatureExtractor, first frame.
    published = [
        *(-1.5745, -1.7713, -1.7020, -1.6069, -1.2250, -1.1105, -0.9072, -0.8241, -1.2310, -0.8098, -0.3320, -0.4101),
        *(-0.7985, -0.4996, -0.8213, -0.9128, -1.0420, -1.1286, -1.0440, -0.7999, -0.8405, -1.2275, -1.5443, -1.4625),
    ]
    samples = read_audio(shared_data / "refvectors" / "librispeech" / "1272-128104-0000.flac")
    ours = filterbank(samples, replace(PRESETS["speech2text"], mels=24))
    assert ours.shape == (584, 24)
    assert np.allclose(ours[0], published, atol=1e-4)


def test_normalisation_by_variance_and_stacking_equal_numpy() -> None:
    plain = filterbank(noise(RATE), replace(KALDI, scale=32768.0)).numpy().astype(np.float64)
    spec = replace(
        KALDI,
        scale=32768.0,
        stack=2,
        normalize="mean_std",
        normalize_ddof=1,
        normalize_epsilon=0.5,
        normalize_epsilon_on="variance",
    )
    normal = (plain - plain.mean(axis=0)) / np.sqrt(plain.var(axis=0, ddof=1) + 0.5)
    expected = np.stack([np.concatenate([normal[i], normal[i + 1]]) for i in range(0, 98, 2)])
    ours = filterbank(noise(RATE), spec)
    assert ours.shape == (49, 160) == (spec.frames(RATE), spec.dim)
    assert np.abs(ours.numpy() - expected).max() < 1e-4
    assert spec.frames_per_s == 50.0


# --- Shapes, batches, devices -------------------------------------------------------------------------------------------

SPECS = PRESETS | {
    "kaldi_center": replace(KALDI, framing="kaldi_center"),
    "kaldi_center, last dropped": replace(KALDI, framing="kaldi_center", drop_last_frame=True),
    "kaldi_center, stacked": replace(KALDI, framing="kaldi_center", stack=3),
    "stacked": replace(KALDI, stack=2),
    "odd FFT": replace(NEMO, framing="center_constant", fft_size=401),
    "fixed": replace(KALDI, normalize="fixed", band_mean=(1.0,) * 80, band_scale=(0.5,) * 80),
}


@pytest.mark.parametrize("name", SPECS)
def test_frames_tells_how_many_come_out(name: str) -> None:
    spec = SPECS[name]
    for samples in [*range(0, 3), *range(75, 1300, 5), *range(395, 405), *range(555, 565), 16_000, 16_079]:
        values = filterbank(noise(samples), spec)
        assert values.shape == (spec.frames(samples), spec.dim), samples
        assert values.dtype == torch.float32
        assert values.isfinite().all()


def test_frames_of_known_lengths() -> None:
    # Kaldi: 1 + (n - 400) // 160 windows, or round(n / 160) of them; Whisper: 3000 in 30 s; NeMo: 1 + n // 160, later n // 160.
    assert [KALDI.frames(n) for n in (0, 399, 400, 559, 560, 16_000)] == [0, 0, 1, 1, 2, 98]
    assert [SPECS["kaldi_center"].frames(n) for n in (0, 79, 80, 239, 240, 16_000)] == [0, 0, 1, 1, 2, 100]
    assert WHISPER.frames(480_000) == 3000
    assert [NEMO.frames(n) for n in (0, 256, 257, 16_000)] == [0, 0, 2, 101]
    assert [PRESETS["nemo-2025"].frames(n) for n in (0, 159, 160, 16_000)] == [0, 0, 1, 100]


@pytest.mark.parametrize("name", SPECS)
def test_a_batch_equals_its_utterances_one_by_one(name: str) -> None:
    signals = [noise(8000, seed, level) for seed, level in ((1, 0.1), (2, 1e-5), (3, 0.9))]
    together = filterbank(torch.from_numpy(np.stack(signals)), SPECS[name])
    for i, signal in enumerate(signals):
        assert largest_difference(together[i], filterbank(signal, SPECS[name])) < 1e-4


@pytest.mark.parametrize("exportable", [False, True])
@pytest.mark.parametrize("name", SPECS)
def test_an_utterance_has_the_same_features_in_a_padded_batch(name: str, exportable: bool) -> None:
    spec = SPECS[name]
    signals = [noise(16_000, 1), noise(480, 2), noise(30_000, 3, 0.9), noise(90, 4), noise(5000, 5, 1e-3), noise(0)]
    lengths = torch.tensor([len(signal) for signal in signals])
    padded = torch.full((len(signals), 30_000), 0.7)
    for row, signal in enumerate(signals):
        padded[row, : len(signal)] = torch.from_numpy(signal)
    values, counts = Filterbank(spec, exportable=exportable)(padded, lengths)
    assert counts.tolist() == [spec.frames(len(signal)) for signal in signals]
    for row, signal in enumerate(signals):
        assert largest_difference(values[row, : counts[row]], filterbank(signal, spec)) < 2e-3 if counts[row] else True
        assert not values[row, counts[row] :].any()


@pytest.mark.parametrize("name", SPECS)
def test_everything_stays_on_the_samples_device(name: str) -> None:
    filterbank(noise(800), SPECS[name])  # constant tensors are made here, outside the make-believe
    with FakeTensorMode(allow_non_fake_inputs=True):  # a GPU without values, which refuses to mix with the CPU
        values = filterbank(torch.empty(2, 8000, device="cuda"), SPECS[name])
    assert values.device.type == "cuda"
    assert values.shape == (2, SPECS[name].frames(8000), SPECS[name].dim)


def test_samples_of_a_wrong_shape_are_refused() -> None:
    with pytest.raises(InputError, match=r"\[1, 1, 400\]"):
        filterbank(torch.zeros(1, 1, 400), KALDI)


# --- Short utterances -----------------------------------------------------------------------------------------------------


def test_a_word_is_set_in_the_middle_of_faint_noise() -> None:
    spec, word = PRESETS["kaldi-mvn-78db-1.5s"], 0.5 * torch.sin(torch.arange(8000) * 0.3)
    surrounded, lengths = Filterbank(spec)._surround_with_noise(word[None], torch.tensor([8000]))
    surrounded = surrounded[0]
    assert lengths.tolist() == [24_000]
    added = surrounded - torch.nn.functional.pad(word, (8000, 8000))
    # Two thirds of the samples are missing: noise of two thirds of what is 30 dB below the peak, 0.5 * 0.031623 * 2 / 3.
    assert float(added.square().mean().sqrt()) == pytest.approx(0.010541, rel=0.02)
    spectrum = torch.fft.rfft(added).abs().square()
    thirds = torch.stack([part.mean() for part in spectrum[1:12_001].split(4000)])
    assert float(thirds.max() / thirds.min()) < 1.2  # white
    expected = filterbank(surrounded, PRESETS["kaldi-mvn-78db"])
    assert torch.equal(filterbank(word, spec), expected)
    assert len(expected) == spec.frames(8000) == spec.frames(24_000) == 148


def test_only_what_is_short_is_set_in_noise() -> None:
    spec, plain = PRESETS["kaldi-mvn-78db-1.5s"], PRESETS["kaldi-mvn-78db"]
    speech = torch.from_numpy(noise(24_001))
    for samples in (24_000, 24_001):
        assert torch.equal(filterbank(speech[:samples], spec), filterbank(speech[:samples], plain))
    nearly = filterbank(speech[:23_999], spec) - filterbank(speech[:24_000], plain)
    assert float(nearly.abs().mean()) < 0.01  # it fades in
    assert filterbank(torch.zeros(8000), spec).abs().max() == 0  # silence stays silent
    assert [spec.frames(samples) for samples in (0, 399, 400)] == [0, 0, 148]
    assert filterbank(speech[:399], spec).shape == (0, 80)


# --- Specs --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SPECS)
def test_a_spec_survives_its_dictionary(name: str) -> None:
    values = SPECS[name].to_dict()
    assert json.loads(json.dumps(values)) == values
    assert FeatureSpec.from_dict(values) == SPECS[name]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"warp": 1.0}, "'warp' is unknown"),
        ({"window": "hann"}, "window is 'hann'; expected 'povey', 'hann_symmetric'"),
        ({"framing": "center"}, "framing is 'center'"),
        ({"mel_scale": "mel"}, "mel_scale is 'mel'"),
        ({"mels": "80"}, "mels is '80'; expected a value of type int"),
        ({"mels": 0}, "mels is 0; expected 1 to 1024"),
        ({"mels": 10**9}, "mels is 1000000000; expected 1 to 1024"),
        ({"fft_size": 2**40}, "fft_size is 1099511627776; expected 1 to 65536"),
        ({"window_samples": 2**40, "fft_size": 2**40}, "expected 1 to 65536"),
        ({"sample_rate_hz": 10**12}, "sample_rate_hz is 1000000000000; expected 100 to 768000"),
        ({"shortest_samples": 10**12}, "shortest_samples is 1000000000000; expected 0 to 160000"),
        ({"stack": 10**6}, "stack is 1000000; expected 1 to 64"),
        ({"floor": math.nan}, "contain NaN or infinity"),
        ({"fft_size": 256}, "fft_size is 256; expected at least window_samples, 400"),
        ({"band_mean": [1.0]}, "band_mean and band_scale have 1 and 0 values; expected 0 each"),
        ({"normalize": "fixed", "band_mean": [1.0] * 80}, "have 80 and 0 values; expected 80 each"),
        ({"band_scale": ["a"]}, "band_scale is ('a',); expected a list of numbers"),
        ({"band_scale": 1.0}, "band_scale is 1.0; expected a list of numbers"),
    ],
)
def test_a_setting_that_means_nothing_is_refused_and_not_guessed(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        FeatureSpec.from_dict(KALDI.to_dict() | settings)
    assert message in str(caught.value)


def test_presets_go_by_name() -> None:
    assert feature_preset("kaldi") is KALDI
    with pytest.raises(InputError, match="'mfcc' is unknown; expected one of kaldi"):
        feature_preset("mfcc")


def test_own_preset_is_kaldi_on_16_bit_amplitudes_normalised_per_band() -> None:
    plain = torchaudio_kaldi(noise(RATE) * np.float32(32768)).numpy().astype(np.float64)
    expected = (plain - plain.mean(axis=0)) / (plain.std(axis=0) + 0.01)
    assert np.abs(filterbank(noise(RATE), PRESETS["kaldi-mvn"]).numpy() - expected).max() < 1e-3


def test_fingerprints_repeat_and_tell_presets_apart() -> None:
    prints = {name: feature_fingerprint(spec) for name, spec in PRESETS.items()}
    assert prints == {name: feature_fingerprint(replace(spec)) for name, spec in PRESETS.items()}
    for name, values in prints.items():
        assert {part: len(found) for part, found in values.items()} == {
            **dict.fromkeys(("first", "middle", "last"), PRESETS[name].dim),
            "means": PRESETS[name].frames(8800),
        }
        assert all(math.isfinite(value) for part in values.values() for value in part)
        assert sum(values == other for other in prints.values()) == 1


def test_a_fingerprint_hardly_depends_on_rounding() -> None:
    for spec in PRESETS.values():  # in single and in double precision: more than two machines would ever differ
        single, double = (feature_fingerprint(replace(spec, precision=precision)) for precision in ("single", "double"))
        assert all(single[part] == pytest.approx(double[part], abs=5e-4) for part in single)


def test_features_too_short_for_a_frame_have_an_empty_fingerprint() -> None:
    values = feature_fingerprint(replace(KALDI, window_samples=10_000, fft_size=16_384))
    assert values == {"first": [], "middle": [], "last": [], "means": []}


def test_times_in_a_short_utterance_are_inside_it_and_in_order() -> None:
    """Of 0.5 s in the middle of 1.5 s: 0.5 s of noise are before it. Spans of noise alone have a millisecond at its ends."""
    spec = replace(PRESETS["kaldi-mvn"], shortest_samples=24_000)
    assert spec.span_in_utterance(0.6, 0.8, 0.5) == pytest.approx((0.1, 0.3))
    assert spec.span_in_utterance(0.4, 0.8, 0.5) == pytest.approx((0.0, 0.3))
    assert spec.span_in_utterance(0.1, 0.4, 0.5) == pytest.approx((0.0, 0.001))
    assert spec.span_in_utterance(1.2, 1.4, 0.5) == pytest.approx((0.499, 0.5))
    assert spec.span_in_utterance(1.9, 2.04, 2.0) == (1.9, 2.0)  # the last frame of an utterance that is long enough
