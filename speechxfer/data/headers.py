"""What is known of an audio file before it is decoded, and the error for a file of which nothing usable can be decoded."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from speechxfer.errors import InputError

Samples = npt.NDArray[np.float32]
FileKey = tuple[str, int, int, int]  # path, inode, size, time of the last change

UNSEEKABLE_FORMATS = ("OGG", "MP3")  # of libsndfile, which does not seek exactly in them
MISSING_AT_MOST = 0.5  # of the samples; a file of which more is missing is an error
RECORDING_SUFFIXES = (
    *(
        ".wav",
        ".wave",
        ".flac",
        ".mp3",
        ".ogg",
        ".oga",
        ".opus",
        ".aif",
        ".aiff",
        ".aifc",
        ".au",
        ".snd",
        ".caf",
        ".w64",
        ".rf64",
    ),
    *(".m4a", ".m4b", ".mp4", ".m4v", ".mov", ".3gp", ".3g2", ".aac", ".webm", ".mkv", ".mka", ".amr", ".spx"),
    *(".wma", ".wmv", ".asf", ".avi", ".flv", ".ts", ".mts", ".mpg", ".mpeg"),
)
SAMPLES_PER_BYTE = 4096  # no codec reaches this; a header that promises more is damaged


class UnreadableAudioError(InputError):
    """Nothing usable can be decoded; `reason` is the message without path and advice."""

    def __init__(self, path: Path | str, reason: str, advice: str = "convert it to WAV or FLAC") -> None:
        super().__init__(f"{path}: {reason}; {advice}")
        self.path, self.reason, self.advice = path, reason, advice

    def __reduce__(self) -> tuple[type["UnreadableAudioError"], tuple[Path | str, str, str]]:
        return type(self), (self.path, self.reason, self.advice)  # without it, unpickling in another process fails


@dataclass(frozen=True)
class AudioHeader:
    """The header of a file, checked against the size of the file; lengths in samples per channel at the file's rate."""

    rate_hz: int
    channels: int
    samples: int
    """Present in the file."""
    missing_samples: int
    """Promised by the header of a truncated file, beyond those present; 0 if unknown, as for an OGG file."""
    truncated: bool
    """The end of the file is missing."""
    container: str
    subtype: str
    by_ffmpeg: bool = False
    """Decoded by FFmpeg (PyAV), not by libsndfile."""
    gaps_s: float = 0.0
    """Silence inserted where the timestamps skip."""

    @property
    def lossy(self) -> bool:
        """Whether segments are cut from the decoded file, because seeking is not exact."""
        return self.by_ffmpeg or self.container in UNSEEKABLE_FORMATS

    @property
    def length_is_known(self) -> bool:
        """Whether the length of the whole recording is known, also where its end is missing."""
        return not self.truncated or self.missing_samples > 0


def file_key(path: Path | str) -> FileKey:
    """What tells the contents of a file from those of another, and from those that it had before."""
    status = os.stat(path)
    return str(path), status.st_ino, status.st_size, status.st_mtime_ns


def check_promise(path: Path | str, header: AudioHeader, size_bytes: int, unknown_length: int) -> None:
    """UnreadableAudioError where a header promises more than the file can contain, or most of the file is missing."""
    samples, missing = header.samples, header.missing_samples
    if samples <= unknown_length and samples > SAMPLES_PER_BYTE * size_bytes:
        hours = samples / header.rate_hz / 3600
        raise UnreadableAudioError(
            path, f"it is damaged: its header promises {hours:,.0f} h of sound", "copy the file again"
        )
    if header.truncated and not samples:
        raise UnreadableAudioError(path, "it is truncated: no sample of it can be decoded", "copy the file again")
    if missing > MISSING_AT_MOST * (samples + missing):
        reason = f"it is truncated: {missing} of {samples + missing} samples are missing"
        raise UnreadableAudioError(path, reason, "copy the file again, or remove the utterance")
