"""Front end: audio files to samples, samples to 80-dimensional log-mel filterbanks.

Toolkits mean different things by '80-dim filterbank'. Here everything that can differ is a field of `FeatureSpec`, a
preset is a name plus a version, and the one implementation below follows the fields. A checkpoint stores its spec and
the `feature_fingerprint` of a fixed test signal, so that other features are refused instead of being guessed.

What it is not: an audio converter. A file of another sampling rate or with several channels is refused unless the
caller asks for resampling or mixing. Sources: Kaldi's ``feature-fbank`` and ``mel-computations`` (the 'kaldi' scale and
framing), S. Young et al., The HTK Book (the 'htk' scale), M. Slaney, Auditory Toolbox (1998; the 'slaney' scale and norm).
"""

import math
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import numpy as np
import numpy.typing as npt
import soundfile
import torch
from torch import Tensor

from speechxfer.errors import InputError

Samples = npt.NDArray[np.float32]

UNREADABLE = (soundfile.LibsndfileError, OSError, TypeError, MemoryError)  # headerless .raw; a length that is a lie
# libsndfile seeks these to the nearest page or frame only; segments of them are cut from the whole decoded file.
INEXACT_SEEK_FORMATS = {"OGG", "MP3"}
LOSSY_SLACK_S = 0.1  # their headers may promise this much more than there is; `speechxfer check` allows the same
UNKNOWN_LENGTH = 2**40  # samples; libsndfile gives a number near 2**63 for a FLAC file that does not tell its length

LATER_FIELDS = {
    "mel_sides",
    "mel_gain",
    "band_mean",
    "band_scale",
    "precision",
    "shortest_samples",
    "surround_db",
}  # that a FeatureSpec did not have at first


def _all_numbers(values: object) -> bool:
    return isinstance(values, tuple) and all(isinstance(value, int | float) for value in values)


@dataclass(frozen=True)
class FeatureSpec:
    """Everything that defines a filterbank; lengths in samples, frequencies in hertz."""

    name: str
    version: int = 1
    sample_rate_hz: int = 16_000
    mels: int = 80
    scale: float = 1.0
    """The samples in [-1, 1] are multiplied by this first (32768 where a toolkit works on 16-bit integers)."""
    window_samples: int = 400
    hop_samples: int = 160
    fft_size: int = 512
    window: Literal["povey", "hann_symmetric", "hann_periodic", "hamming_symmetric", "hamming_periodic"] = "povey"
    framing: Literal["snip", "kaldi_center", "center_reflect", "center_constant", "center_filled"] = "snip"
    """snip: whole windows only; kaldi_center: Kaldi's snip_edges=false; center_*: padded by half an FFT on each side, mirrored,
    with zeros, or (filled) mirrored before a signal that zeros follow, one frame for each that reaches into it."""
    drop_last_frame: bool = False
    remove_dc: bool = True
    preemphasis: float = 0.97
    preemphasis_on: Literal["frame", "signal"] = "frame"
    power: float = 2.0
    mel_scale: Literal["kaldi", "htk", "slaney"] = "kaldi"
    """kaldi: triangles that are straight in mel; htk, slaney: triangles that are straight in hertz."""
    mel_sides: Literal["neighbours", "even"] = "neighbours"
    """neighbours: a triangle ends at both neighbours' centres; even: it starts at the left one's and falls as it rose."""
    mel_norm: Literal["none", "slaney"] = "none"
    low_hz: float = 20.0
    high_hz: float = 0.0
    """Zero or less: counted from half the sampling rate."""
    log: Literal["ln", "log10", "db", "ln_linear"] = "ln"
    """ln_linear: ln above e, the rest as it is, and then whatever is at most e, logarithms too, divided by e."""
    mel_gain: float = 1.0
    """Before the log: a scale of the power, where a toolkit does not scale the samples."""
    floor: float = 1.1920928955078125e-07
    floor_mode: Literal["clamp", "add"] = "clamp"
    dynamic_range: float = 0.0
    """Log values further than this below the utterance's maximum are raised to it; zero: off."""
    offset: float = 0.0
    """After the log: (value + offset) * gain."""
    gain: float = 1.0
    normalize: Literal["none", "mean_std", "fixed"] = "none"
    """mean_std: per utterance and mel band; fixed: (value - band_mean) * band_scale."""
    normalize_ddof: int = 0
    normalize_epsilon: float = 0.0
    normalize_epsilon_on: Literal["std", "variance"] = "std"
    band_mean: tuple[float, ...] = ()
    band_scale: tuple[float, ...] = ()
    stack: int = 1
    """Neighbouring frames joined to one of `stack` times as many values; a rest that does not fill one is dropped."""
    precision: Literal["single", "double"] = "single"
    """Of the computation; its result is float32 either way."""
    shortest_samples: int = 0
    """A shorter utterance is set in the middle of so many samples, in white noise. Zero: off."""
    surround_db: float = 30.0
    """How far below the peak of a very short utterance that noise is; it fades with the samples that are missing."""

    def __post_init__(self) -> None:
        for name, hint in get_type_hints(type(self)).items():
            value = getattr(self, name)
            if get_origin(hint) is tuple:
                fits, expected = _all_numbers(value), "a list of numbers"
            elif choices := get_args(hint):
                fits, expected = value in choices, ", ".join(map(repr, choices))
            else:
                fits = isinstance(value, int | float if hint is float else hint)
                expected = f"a value of type {hint.__name__}"
            if not fits:
                raise InputError(f"feature setting {name} is {value!r}; expected {expected}; correct it")
        if min(self.sample_rate_hz, self.mels, self.window_samples, self.hop_samples, self.stack) < 1:
            raise InputError("feature settings: rate, mels, window, hop and stack are at least 1; correct them")
        if self.fft_size < self.window_samples:
            raise InputError(
                f"feature setting fft_size is {self.fft_size}; expected at least window_samples, {self.window_samples}"
            )
        given = self.mels if self.normalize == "fixed" else 0
        if {len(self.band_mean), len(self.band_scale)} != {given}:
            raise InputError(
                f"feature settings band_mean and band_scale have {len(self.band_mean)} and {len(self.band_scale)} values; "
                f"expected {given} each where normalize is {self.normalize!r} and mels {self.mels}; correct them"
            )

    @property
    def dim(self) -> int:
        """Values per frame that the encoder sees."""
        return self.mels * self.stack

    @property
    def frames_per_s(self) -> float:
        """Frames per second that the encoder sees."""
        return self.sample_rate_hz / (self.hop_samples * self.stack)

    def frames(self, samples: int) -> int:
        """Number of frames that `filterbank` makes of so many samples."""
        if not _window_count(samples, self):
            return 0
        heard = max(samples, self.shortest_samples)
        return max(0, _window_count(heard, self) - int(self.drop_last_frame)) // self.stack

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; a field of `LATER_FIELDS` only where it is set, so that older runs are known again."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        unset = {field.name for field in fields(self) if values[field.name] == field.default} & LATER_FIELDS
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in values.items()
            if name not in unset
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "FeatureSpec":
        """The inverse of `to_dict`; a field this version does not know is an InputError, since it would change the values."""
        unknown = sorted(set(values) - {field.name for field in fields(cls)})
        if unknown:
            raise InputError(
                f"feature setting {unknown[0]!r} is unknown to this version of speechxfer; upgrade it to load this model"
            )
        lists: dict[str, Any] = {name: tuple(value) for name, value in values.items() if isinstance(value, list)}
        return cls(**values | lists)


_KALDI_MVN_78DB = FeatureSpec(
    "kaldi-mvn-78db", scale=32768.0, dynamic_range=18.0, normalize="mean_std", normalize_epsilon=1e-2
)

_NEMO_2024 = FeatureSpec(
    "nemo-2024",
    window="hann_symmetric",
    framing="center_reflect",
    remove_dc=False,
    preemphasis_on="signal",
    mel_scale="slaney",
    mel_norm="slaney",
    low_hz=0.0,
    floor=2.0**-24,
    floor_mode="add",
    normalize="mean_std",
    normalize_ddof=1,
    normalize_epsilon=1e-5,
)

_WHISPER = FeatureSpec(
    "whisper",
    fft_size=400,
    window="hann_periodic",
    framing="center_reflect",
    drop_last_frame=True,
    remove_dc=False,
    preemphasis=0.0,
    mel_scale="slaney",
    mel_norm="slaney",
    low_hz=0.0,
    log="log10",
    floor=1e-10,
    dynamic_range=8.0,
    offset=4.0,
    gain=0.25,
)

# What each library computes in inference, without dither, for one utterance of any length. A library's padding of batches
# and of frames is left out: there are as many frames here as it calls valid.
PRESETS = {
    # torchaudio 2.11, compliance.kaldi.fbank(num_mel_bins=80, dither=0) on the samples as they are.
    "kaldi": FeatureSpec("kaldi"),
    # The same on 16-bit amplitudes, each band brought to mean 0 and deviation 1 per utterance: what our own encoders hear.
    "kaldi-mvn": FeatureSpec("kaldi-mvn", scale=32768.0, normalize="mean_std", normalize_epsilon=1e-2),
    # The same, values more than 78 dB (18 nepers of power) below the loudest raised to that: a band that a recording lacks,
    # because it was sampled at 8 kHz or coded, is flat and therefore zero, not rounding noise blown up to deviation 1.
    "kaldi-mvn-78db": _KALDI_MVN_78DB,
    # The same, an utterance of less than 1.5 s in the middle of faint noise: the mean of a single word is its vowel, and
    # taking it away leaves little to tell words by.
    "kaldi-mvn-78db-1.5s": replace(_KALDI_MVN_78DB, name="kaldi-mvn-78db-1.5s", shortest_samples=24_000),
    # lhotse 1.33, Fbank(): what icefall's recipes train on. Kaldi's frames without snipping, bands up to 7600 Hz. Its
    # `energy_floor` does nothing here; the floor is float32's epsilon, as in Kaldi.
    "icefall": FeatureSpec("icefall", framing="kaldi_center", high_hz=-400.0),
    # NeMo before July 2025, AudioToMelSpectrogramPreprocessor of its Conformer, FastConformer and Citrinet models: as many
    # frames as whole hops and one.
    "nemo-2024": _NEMO_2024,
    # NeMo since July 2025 (pull request 13827), equal to transformers 5, ParakeetFeatureExtractor: zeros instead of mirrored
    # samples at the edges, and the frame beyond the last whole hop is no longer valid.
    "nemo-2025": replace(_NEMO_2024, name="nemo-2025", framing="center_constant", drop_last_frame=True),
    # transformers 5, SeamlessM4TFeatureExtractor, with which Wav2Vec2-BERT hears: numpy, so in double precision.
    "seamless": FeatureSpec(
        "seamless",
        scale=32768.0,
        normalize="mean_std",
        normalize_ddof=1,
        normalize_epsilon=1e-7,
        normalize_epsilon_on="variance",
        stack=2,
        precision="double",
    ),
    # transformers 5, Speech2TextFeatureExtractor with torchaudio. Where a band never changes, it has 0 / 0 and we have 0.
    "speech2text": FeatureSpec("speech2text", scale=32768.0, normalize="mean_std"),
    # openai-whisper and transformers 5, WhisperFeatureExtractor, before v3, without filling up to 30 s.
    "whisper": _WHISPER,
    # The same as its networks hear it: zeros follow, of which no frame is kept here (``models/borrowed.py`` puts them back).
    "whisper-filled": replace(_WHISPER, name="whisper-filled", framing="center_filled", drop_last_frame=False),
    # SpeechBrain 1.1, lobes.features.Fbank(n_mels=80). Its recipes differ in FFT and window, and what follows in them
    # (InputNormalization, with statistics of their own) belongs to the model.
    "speechbrain": FeatureSpec(
        "speechbrain",
        fft_size=400,
        window="hamming_periodic",
        framing="center_constant",
        remove_dc=False,
        preemphasis=0.0,
        mel_scale="htk",
        mel_sides="even",
        low_hz=0.0,
        log="db",
        floor=1e-10,
        dynamic_range=80.0,
    ),
    # torchaudio 2.11, pipelines.EMFORMER_RNNT_BASE_LIBRISPEECH's feature extractor, without the four empty frames that it
    # appends for the encoder's look-ahead and without LibriSpeech's statistics, which are downloaded like the weights: say
    # replace(spec, normalize="fixed", band_mean=tuple(mean), band_scale=tuple(invstddev)) with those of its JSON file.
    "emformer": FeatureSpec(
        "emformer",
        fft_size=400,
        window="hann_periodic",
        framing="center_reflect",
        remove_dc=False,
        preemphasis=0.0,
        mel_scale="htk",
        low_hz=0.0,
        mel_gain=32767.0**2,
        floor=0.0,
        log="ln_linear",
    ),
}


def feature_preset(name: str) -> FeatureSpec:
    """The spec of that name; InputError lists the known ones."""
    if name not in PRESETS:
        raise InputError(f"feature preset {name!r} is unknown; expected one of {', '.join(PRESETS)}")
    return PRESETS[name]


def filterbank(samples: Tensor | Samples, spec: FeatureSpec) -> Tensor:
    """Log-mel filterbank of samples in [-1, 1].

    Args:
        samples: `[samples]` or, for several stretches of one length, `[batch, samples]`; on any device.
        spec: what to compute.

    Returns:
        float32 `[frames, spec.dim]` or `[batch, frames, spec.dim]` on the same device; no frame where the input is
        too short for the framing (snip: shorter than one window; center_reflect: too short to be mirrored).
    """
    signal = torch.as_tensor(samples, dtype=_dtype(spec)) * spec.scale
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


def feature_fingerprint(spec: FeatureSpec) -> dict[str, list[float]]:
    """What this machine computes for `spec` of a fixed test signal; stored with every model.

    Values instead of a hash of them, because two machines may differ in the last bits: compare with a tolerance.

    Returns:
        the first, middle and last frame in full, and the mean of every frame, which also tells how many there are.
    """
    values = filterbank(_test_signal(spec.sample_rate_hz), spec)
    middle = len(values) // 2
    parts = {"first": values[:1], "middle": values[middle : middle + 1], "last": values[-1:]}
    stored = {name: part.flatten() for name, part in parts.items()} | {"means": values.mean(dim=1)}
    return {name: [round(value, 4) for value in part.tolist()] for name, part in stored.items()}


def middle_frame(spec: FeatureSpec) -> list[float]:
    """The fingerprint that older models carry: the middle frame of a sweep and a tone, equally loud throughout."""
    time_s = torch.arange(spec.sample_rate_hz, dtype=torch.float64) / spec.sample_rate_hz
    sweep = 0.4 * torch.sin(2 * math.pi * (100.0 + 1500.0 * time_s) * time_s)
    tone = 0.1 * torch.sin(2 * math.pi * 440.0 * time_s)
    values = filterbank((sweep + tone).float(), spec)
    return [round(value, 3) for value in values[len(values) // 2].tolist()]


def _test_signal(rate_hz: int) -> Tensor:
    """0.55 s of noise from whole numbers, the same everywhere: loud, silent, fading by 140 dB, loud; loud parts off centre."""
    noise = white_noise(round(0.55 * rate_hz)) / math.sqrt(3)
    time_s = torch.arange(len(noise)) / rate_hz
    loud = (time_s < 0.1) | (time_s >= 0.45)
    faded = torch.where(time_s < 0.2, 0.0, 10.0 ** (-7.0 * (time_s - 0.2) / 0.25))
    return torch.where(loud, 0.1 + 0.5 * noise, 0.5 * faded * noise).float()


def _dtype(spec: FeatureSpec) -> torch.dtype:
    return torch.float64 if spec.precision == "double" else torch.float32


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


def _window_count(samples: int, spec: FeatureSpec) -> int:
    """Windows that the framing cuts out of so many samples, before any is dropped or stacked."""
    if spec.framing == "snip":
        return 0 if samples < spec.window_samples else 1 + (samples - spec.window_samples) // spec.hop_samples
    if spec.framing == "kaldi_center":
        return (samples + spec.hop_samples // 2) // spec.hop_samples
    if spec.framing == "center_filled":
        return -(-(samples + spec.fft_size // 2) // spec.hop_samples) if samples else 0
    shortest = spec.fft_size // 2 + 1 if spec.framing == "center_reflect" else 1
    return 0 if samples < shortest else 1 + (samples - spec.fft_size % 2) // spec.hop_samples


def _frames(signal: Tensor, spec: FeatureSpec) -> Tensor:
    """`[..., samples]` to `[..., frames, window or FFT samples]`, before windowing."""
    size = spec.window_samples
    if spec.framing == "kaldi_center":
        signal = _mirrored(signal, spec)
    elif spec.framing == "center_filled":
        size = spec.fft_size
        filled = torch.nn.functional.pad(signal, (0, size))
        begun = (_window_count(signal.shape[-1], spec) - 1) * spec.hop_samples + size
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
    count = _window_count(signal.shape[-1], spec)
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


@lru_cache(maxsize=32)
def analysis_window(spec: FeatureSpec) -> Tensor:
    """The window that each frame is multiplied by, `[window_samples]`."""
    if spec.window == "povey":
        return torch.hann_window(spec.window_samples, periodic=False, dtype=_dtype(spec)) ** 0.85
    make = torch.hamming_window if spec.window.startswith("hamming") else torch.hann_window
    return make(spec.window_samples, periodic=spec.window.endswith("periodic"), dtype=_dtype(spec))


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
    if spec.mel_sides == "even":
        right = 2 * centre - left
    matrix = np.maximum(0.0, np.minimum((at - left) / (centre - left), (right - at) / (right - centre)))
    if in_mel:
        matrix[-1] = 0.0  # Kaldi leaves out the bin at half the sampling rate
    if spec.mel_norm == "slaney":
        matrix = matrix * (2.0 / (edges_hz[2:] - edges_hz[:-2]))
    return torch.from_numpy(matrix).to(_dtype(spec))


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


def read_audio(
    path: Path | str,
    *,
    sample_rate_hz: int = 16_000,
    offset_s: float = 0.0,
    duration_s: float | None = None,
    resample: bool = False,
    mono: bool = False,
) -> Samples:
    """Samples of a file (WAV, FLAC, MP3, OGG Vorbis or Opus: whatever libsndfile reads) or of a stretch of it.

    Args:
        path: the file.
        sample_rate_hz: the rate wanted.
        offset_s, duration_s: the stretch in seconds; None: to the end.
        resample: bring another rate to `sample_rate_hz` (soxr's high quality, by librosa) instead of refusing it.
        mono: average several channels instead of refusing them.

    Returns:
        float32 `[samples]` in [-1, 1].

    Raises:
        InputError: missing, unreadable, damaged so that samples are lost, other rate, several channels, or the stretch
            reaches past the file's ends, or samples that are not finite.
    """
    path = Path(path)
    try:
        info = soundfile.info(str(path))
        samples = _read_segment(path, info, offset_s, duration_s)
    except UNREADABLE as error:
        raise _unreadable(path, error) from error
    if samples.shape[1] > 1 and not mono:
        raise InputError(f"{path}: {samples.shape[1]} channels where one was expected; pass --mono to average them")
    if info.samplerate != sample_rate_hz and not resample:
        raise InputError(
            f"{path}: {info.samplerate} Hz where the features need {sample_rate_hz} Hz; pass --resample to convert while reading"
        )
    mixed = samples.mean(axis=1) if samples.shape[1] > 1 else samples[:, 0]
    if not np.isfinite(mixed).all():
        raise InputError(
            f"{path}: some samples are no numbers or infinite; convert it again from its source, or leave it out"
        )
    return resampled(mixed, info.samplerate, sample_rate_hz)


def resampled(samples: Samples, from_hz: float, to_hz: float) -> Samples:
    """`[samples]` at another rate, by soxr's high-quality filter."""
    if from_hz == to_hz or samples.size == 0:
        return np.ascontiguousarray(samples, dtype=np.float32)
    import librosa  # half a second to import, and seldom needed

    return np.asarray(librosa.resample(samples, orig_sr=from_hz, target_sr=to_hz, res_type="soxr_hq"), dtype=np.float32)


def audio_rate_hz(path: Path | str) -> int:
    """Sampling rate that the file states; InputError as for `read_audio`."""
    try:
        return int(soundfile.info(str(path)).samplerate)
    except UNREADABLE as error:
        raise _unreadable(Path(path), error) from error


def _unreadable(path: Path, error: Exception) -> InputError:
    if not path.exists():
        return InputError(
            f"{path}: the audio file is missing; correct the path, or 'audio_filepath' if a manifest names it"
        )
    return InputError(f"{path}: not readable as audio ({error}); convert it to WAV or FLAC")


def _read_segment(path: Path, info: Any, offset_s: float, duration_s: float | None) -> Samples:
    start = round(offset_s * info.samplerate)
    if duration_s is None and info.frames > UNKNOWN_LENGTH:
        raise InputError(f"{path}: the file does not say how long it is; convert it to WAV, or write its FLAC anew")
    count = info.frames - start if duration_s is None else round(duration_s * info.samplerate)
    if start < 0 or count < 0 or start + count > info.frames + 1:
        raise InputError(
            f"{path}: seconds {offset_s:g} to {(start + count) / info.samplerate:g} were asked of a file of "
            f"{info.frames / info.samplerate:g} s; correct 'offset' and 'duration' in the manifest"
        )
    whole = start == 0 and count >= info.frames - 1
    if not whole and info.format in INEXACT_SEEK_FORMATS:
        status = path.stat()
        samples = _decoded(str(path), status.st_size, status.st_mtime_ns)[start : start + count]
    else:
        samples, _ = soundfile.read(str(path), start=start, frames=count, dtype="float32", always_2d=True)
    promised = min(count, info.frames - start)
    slack = LOSSY_SLACK_S * info.samplerate if info.format in INEXACT_SEEK_FORMATS else 0
    if len(samples) < promised - slack:
        raise InputError(
            f"{path}: {len(samples)} samples could be decoded where its header promises {promised}; "
            "the file is truncated or damaged: copy it again, or leave the utterance out"
        )
    return np.asarray(samples, dtype=np.float32)


@lru_cache(maxsize=2)
def _decoded(path: str, size: int, changed_ns: int) -> Samples:
    """A whole lossy file, kept while its segments are cut (neighbours in a manifest share a file)."""
    samples, _ = soundfile.read(path, dtype="float32", always_2d=True)
    return np.asarray(samples, dtype=np.float32)
