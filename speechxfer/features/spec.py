"""Feature specifications: everything in which the 80-dimensional filterbanks of different toolkits differ.

A preset (``presets.py``) is a specification with a name and a version; ``log_mel.py`` computes it. A checkpoint stores
its specification and the `feature_fingerprint` of a fixed test signal, so that other features are refused. Sources: Kaldi's
``feature-fbank`` and ``mel-computations`` (the 'kaldi' scale and framing), S. Young et al., The HTK Book (the 'htk' scale),
M. Slaney, Auditory Toolbox (1998; the 'slaney' scale and norm).
"""

import math
from dataclasses import dataclass, fields
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from torch import Tensor

from speechxfer.errors import InputError

MOST_MELS = 1024
LARGEST_FFT = 65_536
MOST_STACKED = 64
RATES_HZ = (100, 768_000)
LONGEST_NOISE_S = 10  # of `shortest_samples`
SHORTEST_SPAN_S = 0.001


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
    mel_norm: Literal["none", "slaney"] = "none"
    low_hz: float = 20.0
    high_hz: float = 0.0
    """Zero or less: counted from half the sampling rate."""
    log: Literal["ln", "log10"] = "ln"
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
    """Number of neighbouring frames joined into one; a rest of fewer frames at the end is dropped."""
    precision: Literal["single", "double"] = "single"
    """Precision of the computation; its result is float32 either way."""
    shortest_samples: int = 0
    """An utterance of fewer samples is placed in the middle of this many samples of white noise. Zero: off."""
    surround_db: float = 30.0
    """How far below the peak of a very short utterance that noise is; it fades with the samples that are missing."""

    def __post_init__(self) -> None:
        for name, hint in get_type_hints(type(self)).items():
            value = getattr(self, name)
            if get_origin(hint) is tuple:
                fits = isinstance(value, tuple) and all(isinstance(item, int | float) for item in value)
                expected = "a list of numbers"
            elif choices := get_args(hint):
                fits, expected = value in choices, ", ".join(map(repr, choices))
            else:
                fits = isinstance(value, int | float if hint is float else hint)
                expected = f"a value of type {hint.__name__}"
            if not fits:
                raise InputError(f"feature setting {name} is {value!r}; expected {expected}; correct it")
        self._check_sizes()
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

    def _check_sizes(self) -> None:
        """Refuse sizes that would need an excessive amount of memory or time."""
        ranges = {
            "sample_rate_hz": RATES_HZ,
            "mels": (1, MOST_MELS),
            "stack": (1, MOST_STACKED),
            "fft_size": (1, LARGEST_FFT),
            "window_samples": (1, LARGEST_FFT),
            "hop_samples": (1, LARGEST_FFT),
            "shortest_samples": (0, LONGEST_NOISE_S * self.sample_rate_hz),
        }
        for name, (least, most) in ranges.items():
            if not least <= getattr(self, name) <= most:
                raise InputError(
                    f"feature setting {name} is {getattr(self, name)}; expected {least} to {most}; correct it"
                )
        numbers = [value for value in vars(self).values() if isinstance(value, float)]
        if not all(map(math.isfinite, [*numbers, *self.band_mean, *self.band_scale])):
            raise InputError("feature settings contain NaN or infinity; correct them")

    @property
    def dim(self) -> int:
        """Values per frame that the encoder sees."""
        return self.mels * self.stack

    @property
    def frames_per_s(self) -> float:
        """Frames per second that the encoder sees."""
        return self.sample_rate_hz / (self.hop_samples * self.stack)

    def frames(self, samples: int) -> int:
        """Number of frames that `filterbank` computes from this number of samples."""
        if not count_windows(samples, self):
            return 0
        windows = count_windows(max(samples, self.shortest_samples), self)
        return max(0, windows - int(self.drop_last_frame)) // self.stack

    def span_in_utterance(self, start_s: float, end_s: float, duration_s: float) -> tuple[float, float]:
        """Times in an utterance of what its features show from `start_s` to `end_s`.

        The noise before an utterance shorter than `shortest_samples` is subtracted; times are in [0, `duration_s`], the start at
        least `SHORTEST_SPAN_S` before the end.
        """
        missing = self.shortest_samples - round(duration_s * self.sample_rate_hz)
        before_s, least_s = max(0, missing // 2) / self.sample_rate_hz, min(SHORTEST_SPAN_S, duration_s)
        start_s = min(max(0.0, start_s - before_s), duration_s - least_s)
        return start_s, max(start_s + least_s, min(end_s - before_s, duration_s))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}

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


Count = TypeVar("Count", int, Tensor)


def count_windows(samples: Count, spec: FeatureSpec) -> Count:
    """Number of windows in this many samples (a number or an integer tensor), before any is dropped or stacked."""
    hop, half_fft = spec.hop_samples, spec.fft_size // 2
    if spec.framing == "snip":
        windows, shortest = (samples - spec.window_samples) // hop + 1, spec.window_samples
    elif spec.framing == "kaldi_center":
        windows, shortest = (samples + hop // 2) // hop, 0
    elif spec.framing == "center_filled":
        windows, shortest = (samples + half_fft + hop - 1) // hop, 1
    else:
        windows = (samples - spec.fft_size % 2) // hop + 1
        shortest = half_fft + 1 if spec.framing == "center_reflect" else 1
    if isinstance(samples, Tensor):
        return windows * (samples >= shortest)
    return windows if samples >= shortest else 0
