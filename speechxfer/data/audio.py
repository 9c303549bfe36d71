"""Reading audio for training and inference: files or segments of files to float32 samples in [-1, 1] at the wanted rate.

Built on `decode_audio`; resampling by soxr. Anything that would change the signal silently is refused (another
rate, several channels, samples that are not finite) or reported (a truncated file, channels that cancel each other).
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

import numpy as np
import soxr

from speechxfer.data.decoder import DecodedAudio, decode_audio
from speechxfer.data.headers import MISSING_AT_MOST, Samples, UnreadableAudioError
from speechxfer.errors import InputError, first_names
from speechxfer.runtime import log_info

CANCELLED_POWER_RATIO = 0.01  # mixed to one channel, less than this share of the channels' power is left: they cancel

_Warnings = dict[str, dict[Path, float]]  # "truncated", "gaps" or "cancelled": missing seconds by file
_collected: ContextVar[_Warnings | None] = ContextVar("collected_audio_warnings", default=None)


def read_audio(
    path: Path | str,
    *,
    sample_rate_hz: int = 16_000,
    offset_s: float = 0.0,
    duration_s: float | None = None,
    resample: bool = False,
    mono: bool = False,
) -> Samples:
    """Samples of an audio file or of a segment of it: WAV, FLAC, MP3, OGG (whatever libsndfile reads), or M4A, MP4, WebM, AMR
    and video files (extra ``media``).

    A truncated WAV, AIFF, AU, OGG, MP4 or WebM file is read as far as it goes, with a warning that says how much is missing.

    Args:
        path: the file.
        sample_rate_hz: the rate wanted.
        offset_s: where the segment begins.
        duration_s: how long it is; None: to the end of the file.
        resample: convert another rate to `sample_rate_hz` (soxr, high quality) instead of refusing it.
        mono: average several channels instead of refusing them.

    Returns:
        float32 `[samples]` in [-1, 1].

    Raises:
        InputError: the file is missing, no audio or damaged; its rate or channels differ; the segment reaches past the end of
            the file; or samples are not finite.

    >>> import speechxfer as sx
    >>> sx.read_audio("new.wav", offset_s=0.25, duration_s=0.5).shape
    (8000,)
    """
    path = Path(path)
    decoded = decode_audio(path, offset_s=offset_s, duration_s=duration_s)
    header = decoded.header
    _check_segment(path, decoded)
    if header.channels > 1 and not mono:
        raise InputError(f"{path}: {header.channels} channels; expected one: pass --mono to average them")
    if header.rate_hz != sample_rate_hz and not resample:
        raise InputError(
            f"{path}: {header.rate_hz} Hz; the features need {sample_rate_hz} Hz: pass --resample to convert while reading"
        )
    mixed = decoded.samples.mean(axis=1) if header.channels > 1 else decoded.samples[:, 0]
    if not np.isfinite(mixed).all():
        raise InputError(f"{path}: some samples are NaN or infinite; convert it again from its source, or remove it")
    if header.truncated:
        _warn("truncated", path, max(decoded.missing_s, header.missing_samples / header.rate_hz))
    if header.gaps_s:
        _warn("gaps", path, header.gaps_s)
    if channels_cancel(decoded.samples):
        _warn("cancelled", path, 0.0)
    return resample_audio(mixed, header.rate_hz, sample_rate_hz)


def resample_audio(samples: Samples, from_hz: float, to_hz: float) -> Samples:
    """`[samples]` at another rate, rounded up in number, by soxr's high-quality filter: the values of ``librosa.resample``.

    Called directly, because importing librosa takes more than a second.
    """
    if from_hz == to_hz or samples.size == 0:
        return np.ascontiguousarray(samples, dtype=np.float32)
    count = math.ceil(samples.size * (to_hz / from_hz))
    resampled = soxr.resample(np.asarray(samples, dtype=np.float32), from_hz, to_hz, quality="HQ")[:count]
    return np.pad(resampled, (0, count - resampled.size))


def channels_cancel(samples: Samples) -> bool:
    """Whether the average of `[samples, channels]` is almost silent although the channels are not (one is inverted)."""
    if samples.shape[1] < 2 or not samples.size:
        return False
    power = float(np.mean(np.square(samples), dtype=np.float64))
    mixed_power = float(np.mean(np.square(samples.mean(axis=1)), dtype=np.float64))
    return power > 0 and mixed_power < CANCELLED_POWER_RATIO * power


@contextmanager
def collect_audio_warnings() -> Iterator[_Warnings]:
    """Report truncated files and cancelling channels once at the end, with five names and the count, not file by file."""
    outer = _collected.get()
    if outer is not None:
        yield outer
        return
    warnings: _Warnings = {}
    token = _collected.set(warnings)
    try:
        yield warnings
    finally:
        _collected.reset(token)
        for kind, files in warnings.items():
            _report(kind, files)


def _check_segment(path: Path, decoded: DecodedAudio) -> None:
    """InputError where the segment reaches past the end of the file, or too much of it is cut off."""
    header, end = decoded.header, decoded.start + decoded.asked
    limit = header.samples + header.missing_samples + 1  # one sample of rounding is forgiven
    if min(decoded.start, decoded.asked) < 0 or decoded.start > limit or (end > limit and header.length_is_known):
        raise InputError(
            f"{path}: seconds {decoded.start / header.rate_hz:g} to {end / header.rate_hz:g} were asked of a file of "
            f"{header.samples / header.rate_hz:g} s; correct 'offset' and 'duration' in the manifest"
        )
    missing = round(decoded.missing_s * header.rate_hz)
    if missing > MISSING_AT_MOST * decoded.asked:
        reason = f"it is truncated: {missing} of {decoded.asked} samples are missing"
        raise UnreadableAudioError(path, reason, "copy the file again, or remove the utterance")


def _warn(kind: str, path: Path, missing_s: float) -> None:
    with collect_audio_warnings() as warnings:
        files = warnings.setdefault(kind, {})
        files[path] = max(missing_s, files.get(path, 0.0))


def _report(kind: str, files: dict[Path, float]) -> None:
    names, several = first_names([str(path) for path in files]), len(files) > 1
    subject = f"{len(files)} recordings ({names})" if several else names
    if kind == "cancelled":
        log_info(
            f"warning: {subject}: the channels cancel each other when averaged, one is probably inverted; extract one channel"
        )
        return
    if kind == "gaps":
        log_info(
            f"warning: {subject}: sound is missing where the timestamps skip, {sum(files.values()):.1f} s altogether; silence is "
            "inserted there"
        )
        return
    missing_ms = [round(1000 * seconds) for seconds in files.values()]
    least, most = min(missing_ms), max(missing_ms)
    amount = f"{most} ms are" if least == most else f"{least} to {most} ms are"
    amount = amount if most else "an unknown part is"
    pronoun = "they are" if several else "it is"
    log_info(f"warning: {subject}: {amount} missing at the end; {pronoun} read as far as the data goes")
