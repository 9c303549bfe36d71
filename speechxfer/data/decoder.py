"""Decoding of audio files: samples, rate and channels of a file or of a segment, and what of it is missing.

The only place that opens audio files: by libsndfile (through soundfile) what it reads, the others by FFmpeg (``media.py``). Its
callers judge rate, channels and signal: `read_audio` for training and inference, `speechxfer check` for its report. A WAV, RF64,
W64, AIFF or AU whose header promises more samples than the file has, an OGG file without its last page (RFC 3533, section 6),
and an MP4 or WebM file that ends early are truncated: they are read as far as they go.
"""

import hashlib
import os
import re
import stat
from dataclasses import dataclass
from functools import cache
from io import BufferedIOBase
from pathlib import Path

import numpy as np
import soundfile

from speechxfer.data import decoded_files
from speechxfer.data.containers import archive_of, is_contained, open_recording, recording_key
from speechxfer.data.decoded_files import DecodedFiles, SampleReader, SequentialReaders
from speechxfer.data.headers import AudioHeader, Samples, UnreadableAudioError, check_promise
from speechxfer.data.media import MediaReader, media_format, media_header

LOSSY_SLACK_S = 0.1  # headers of lossy files may promise this much more than decodes
UNKNOWN_LENGTH = 2**40  # samples; libsndfile gives a number near 2**63 where it does not know
STREAMED_BYTES = 0x7F000000  # sizes from here on are placeholders in headers written to a pipe (SoX, FFmpeg)
LARGEST_OGG_PAGE_BYTES = 65_307
WITH_SIZES = ("WAV", "WAVEX", "RF64", "W64", "AIFF", "AU")  # whose sizes libsndfile compares with the file and logs
LOGGED_SIZES = re.compile(r"^\s*(?:data|SSND|Data Size|riff|Riff size)\s*:\s*(\d+) \(should be (\d+)\)", re.MULTILINE)
LOGGED_FRAMES = re.compile(r"^\s*Frames\s*:\s*(\d+)", re.MULTILINE)  # promised by the headers of AIFF and RF64


@dataclass(frozen=True)
class DecodedAudio:
    """Samples of a file or of a segment, as many as the file contains."""

    header: AudioHeader
    samples: Samples
    """float32 `[samples, channels]`"""
    start: int
    asked: int
    """Samples that were asked for, also beyond the end of the file."""

    @property
    def missing_s(self) -> float:
        """Seconds that were asked for and are cut off from a truncated file."""
        if not self.header.truncated:
            return 0.0
        promised = self.start + self.asked
        if self.header.length_is_known:
            promised = min(promised, self.header.samples + self.header.missing_samples)
        return max(0, promised - self.start - len(self.samples)) / self.header.rate_hz


def read_audio_header(path: Path | str) -> AudioHeader:
    """Rate, channels and length of a file, without decoding it; `UnreadableAudioError` as for `decode_audio`."""
    file = _open(path)
    if file is None:
        return _media_header(path)
    with file:
        return _header(path, file)


def read_duration_s(path: Path | str) -> float:
    """Seconds of a file by its header; `UnreadableAudioError` as for `decode_audio`, also where the header does not say."""
    header = read_audio_header(path)
    if header.samples > UNKNOWN_LENGTH:
        reason = "the file does not say how long it is"
        raise UnreadableAudioError(path, reason, "convert it to WAV, or write its FLAC anew")
    return header.samples / header.rate_hz


def decode_audio(path: Path | str, *, offset_s: float = 0.0, duration_s: float | None = None) -> DecodedAudio:
    """Decode a file or a segment of it: WAV, FLAC, MP3, OGG Vorbis or Opus (whatever libsndfile reads), or M4A, MP4, WebM, AMR
    and video files (extra ``media``).

    A segment that reaches past the end of the file is cut there; the caller compares `asked` with the number of
    samples.

    Raises:
        UnreadableAudioError: the file is missing, no regular file, no audio, of unknown length, damaged so that samples are
            lost, or more than half of it is missing; or its format needs the extra ``media``.
    """
    file = _open(path)
    if file is None:
        return _decoded(path, None, _media_header(path), offset_s, duration_s)
    with file:
        return _decoded(path, file, _header(path, file), offset_s, duration_s)


def _decoded(
    path: Path | str, file: soundfile.SoundFile | None, header: AudioHeader, offset_s: float, duration_s: float | None
) -> DecodedAudio:
    if duration_s is None and header.samples > UNKNOWN_LENGTH:
        reason = "the file does not say how long it is"
        raise UnreadableAudioError(path, reason, "convert it to WAV, or write its FLAC anew")
    start = round(offset_s * header.rate_hz)
    asked = header.samples - start if duration_s is None else round(duration_s * header.rate_hz)
    count = max(0, min(asked, header.samples - start)) if start >= 0 else 0
    try:
        samples = _read(path, file, header, start, count) if count else np.zeros((0, header.channels), np.float32)
    except (soundfile.LibsndfileError, OSError, MemoryError) as error:
        raise UnreadableAudioError(path, f"not readable as audio ({_cause(error)})") from error
    slack = LOSSY_SLACK_S * header.rate_hz if header.lossy else 0
    if len(samples) < count - slack:
        reason = (
            f"{len(samples)} samples could be decoded where its header promises {count}: it is truncated or damaged"
        )
        raise UnreadableAudioError(path, reason, "copy the file again, or remove the utterance")
    return DecodedAudio(header, samples, start, asked)


def hash_audio_file(path: Path | str) -> str:
    """SHA-256 of a file's bytes; computed once a process, unless the file changes.

    Raises:
        UnreadableAudioError: the file is missing or no regular file.
    """
    if is_contained(path):
        return _hash_contents(os.fspath(path), 0, 0, 0, 0)
    status = _check_regular(path)
    # Unlike the time of the last change of the contents, that of the last change of the entry (ctime) cannot be set.
    return _hash_contents(str(path), status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def existing_name(path: Path | str) -> str:
    """The name of a file without its folder; `UnreadableAudioError` if it is missing or no regular file.

    Of a member of an archive the archive is looked for; an address is not asked.
    """
    local = archive_of(path)
    if local:
        _check_regular(local)
    return os.fspath(path).rpartition("/")[2]


@cache
def _hash_contents(path: str, inode: int, size: int, changed_ns: int, entry_changed_ns: int) -> str:
    with open_recording(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check_regular(path: Path | str) -> os.stat_result:
    try:
        status = os.stat(path)
    except PermissionError as error:
        raise UnreadableAudioError(path, "not readable as audio (permission denied)", "allow reading it") from error
    except (OSError, ValueError) as error:  # also a name that no file can have: too long, or with a NUL byte
        advice = "correct the path, or 'audio_filepath' if a manifest names it"
        raise UnreadableAudioError(path, "the audio file is missing", advice) from error
    if not stat.S_ISREG(status.st_mode):
        kind = "a folder" if stat.S_ISDIR(status.st_mode) else "a pipe or device"
        raise UnreadableAudioError(path, f"not readable as audio (it is {kind})", "give the path of an audio file")
    return status


def _open(path: Path | str) -> soundfile.SoundFile | None:
    """The file, opened by libsndfile; None where FFmpeg reads it instead."""
    if not is_contained(path):
        _check_regular(path)
    try:
        return soundfile.SoundFile(_source(path))
    except TypeError as error:  # soundfile's answer to a name that ends in .raw
        raise UnreadableAudioError(path, "not readable as audio (it has no header, so its rate is unknown)") from error
    except (soundfile.LibsndfileError, OSError, MemoryError) as error:
        if _is_media(path):
            return None
        raise UnreadableAudioError(path, f"not readable as audio ({_cause(error)})") from error


def _source(path: Path | str) -> bytes | BufferedIOBase:
    """What soundfile opens: the name of a file, which need not be UTF-8, or contents."""
    return open_recording(path) if is_contained(path) else os.fsencode(path)


def _is_media(path: Path | str) -> bool:
    try:
        return bool(media_format(path))
    except OSError:
        return False  # which libsndfile's error says


def _media_header(path: Path | str) -> AudioHeader:
    key = recording_key(path)
    header = media_header(key)
    check_promise(path, header, key[2], UNKNOWN_LENGTH)
    return header


def _cause(error: Exception) -> str:
    return str(getattr(error, "error_string", error)).strip().rstrip(".") or "its data cannot be decoded"


def _header(path: Path | str, file: soundfile.SoundFile) -> AudioHeader:
    missing, truncated = 0, False
    if file.format in WITH_SIZES:
        missing = _missing_samples(file)
        truncated = missing > 0
    elif file.format == "OGG":
        truncated = not _has_last_ogg_page(path)
    header = AudioHeader(
        int(file.samplerate), int(file.channels), int(file.frames), missing, truncated, file.format, file.subtype
    )
    check_promise(path, header, recording_key(path)[2], UNKNOWN_LENGTH)
    return header


def _missing_samples(file: soundfile.SoundFile) -> int:
    """Samples that a header promises beyond those present, by libsndfile's log."""
    sizes = LOGGED_SIZES.search(file.extra_info)
    promised, present = (int(size) for size in sizes.groups()) if sizes else (0, 0)
    if not 0 < present < promised < STREAMED_BYTES:
        return 0
    frames = LOGGED_FRAMES.search(file.extra_info)
    if frames and int(frames[1]) > file.frames:
        return int(frames[1]) - int(file.frames)
    return round(int(file.frames) * (promised / present - 1))


def _has_last_ogg_page(path: Path | str) -> bool:
    """Whether the last page is complete and marked as the end of the stream (RFC 3533, section 6)."""
    with open_recording(path) as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - 2 * LARGEST_OGG_PAGE_BYTES))
        tail = file.read()
    start = tail.rfind(b"OggS")
    if start < 0:
        return True  # something else follows the stream: nothing can be said
    if len(tail) < start + 27:
        return False
    segments = tail[start + 26]
    size = 27 + segments + sum(tail[start + 27 : start + 27 + segments])
    return start + size <= len(tail) and bool(tail[start + 5] & 0x04)


def _read(path: Path | str, file: soundfile.SoundFile | None, header: AudioHeader, start: int, count: int) -> Samples:
    whole = start == 0 and count >= header.samples - 1
    if file is not None and (whole or not header.lossy):
        file.seek(start)  # also to 0: after a seek, an MP3 decodes to other rounding than before it
        return np.asarray(file.read(count, dtype="float32", always_2d=True), dtype=np.float32)
    key = recording_key(path)
    if 4 * header.samples * header.channels <= decoded_files.DECODED_CACHE_BYTES:
        return _decoded_files.get(key, lambda: _decode_whole(path, header))[start : start + count]
    return _sequential_readers.get(key, start, count, lambda: _open_reader(path, header))


def _decode_whole(path: Path | str, header: AudioHeader) -> Samples:
    if header.by_ffmpeg:
        reader = MediaReader(path, header)
        try:
            return reader.read(header.samples)
        finally:
            reader.close()
    decoded, _ = soundfile.read(_source(path), dtype="float32", always_2d=True)
    return np.asarray(decoded, dtype=np.float32)


def _open_reader(path: Path | str, header: AudioHeader) -> SampleReader:
    return MediaReader(path, header) if header.by_ffmpeg else _SoundFileReader(path)


class _SoundFileReader:
    """A file that libsndfile reads from its start (a `SampleReader`)."""

    def __init__(self, path: Path | str) -> None:
        self._file = soundfile.SoundFile(_source(path))
        self._file.seek(0)

    def read(self, count: int) -> Samples:
        return np.asarray(self._file.read(count, dtype="float32", always_2d=True), dtype=np.float32)

    def close(self) -> None:
        self._file.close()


_decoded_files = DecodedFiles()
_sequential_readers = SequentialReaders()
