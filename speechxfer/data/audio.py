"""Reading audio: files or segments of files to float32 samples in [-1, 1] (libsndfile through soundfile; resampling by soxr through librosa)."""

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile

from speechxfer.errors import InputError

Samples = npt.NDArray[np.float32]
UNREADABLE = (soundfile.LibsndfileError, OSError, TypeError, MemoryError)  # headerless .raw; a length that is a lie
# libsndfile seeks these to the nearest page or frame only; segments of them are cut from the whole decoded file.
INEXACT_SEEK_FORMATS = {"OGG", "MP3"}
LOSSY_SLACK_S = 0.1  # their headers may promise this much more than there is; `speechxfer check` allows the same
UNKNOWN_LENGTH = 2**40  # samples; libsndfile gives a number near 2**63 for a FLAC file that does not tell its length


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
