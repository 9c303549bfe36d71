"""Files that libsndfile does not read, decoded by FFmpeg through PyAV (extra ``media``): MP4, M4A, WebM, AAC, AMR, video.

Used by ``decoder.py`` only. Formats are recognised by their first bytes, never by their names, and FFmpeg gets an open file and
the name of one demuxer: playlists and references to other files or addresses are not followed.

Position 0 is the container's start time, where players begin: samples that an encoder added before it (priming; MP4 edit lists,
Matroska's CodecDelay) are dropped, and a track that begins later is preceded by silence. Raw AAC and MPEG-TS do not state their
priming, so the sound is some 23 ms late in them. Where timestamps skip more than `LARGEST_JITTER_S` (packets are missing, or
silence was not coded), silence is inserted and reported, so that times stay those of the player. The end is that of the last
packet, which MP4 states to the sample and Matroska to the millisecond.
"""

import re
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from speechxfer.data.containers import open_recording
from speechxfer.data.headers import AudioHeader, FileKey, Samples, UnreadableAudioError
from speechxfer.errors import InputError
from speechxfer.runtime import import_extra

NAMES = {
    "mov": "MP4",
    "matroska": "Matroska",
    "aac": "AAC",
    "amr": "AMR",
    "asf": "ASF",
    "avi": "AVI",
    "caf": "CAF",
    "flv": "FLV",
    "mpeg": "MPEG",
    "mpegts": "MPEG-TS",
    "ogg": "OGG",
}
MP4_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")
SIGNATURES = (
    (b"\x1a\x45\xdf\xa3", "matroska"),
    (b"#!AMR", "amr"),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "asf"),
    (b"caff", "caf"),
    (b"FLV\x01", "flv"),
    (b"\x00\x00\x01\xba", "mpeg"),
)
TS_PACKET_BYTES = 188
LARGEST_JITTER_S = 0.05  # timestamps may differ this much from the samples before them
LARGEST_JITTER_AT_START_S = 0.002  # Matroska's are rounded to milliseconds
IO_BYTES = 1 << 16
SILENCE_BLOCK_SAMPLES = 1 << 16
TRUNCATED_BY_S = 0.1  # a file whose packets end this much before its promised end is truncated


def media_format(path: Path | str) -> str:
    """FFmpeg's name of the demuxer for a file that libsndfile does not read; "" if the file is no such thing."""
    with open_recording(path) as file:
        head = file.read(3 * TS_PACKET_BYTES)
    for signature, name in SIGNATURES:
        if head.startswith(signature):
            return name
    if head[4:8] in MP4_BOXES:
        return "mov"
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return "avi"
    if head[:1] == b"\xff" and len(head) > 7 and head[1] & 0xF6 == 0xF0:
        return "aac"  # ADTS: twelve bits of synchronisation, then layer 0
    if head[::TS_PACKET_BYTES] == b"GGG":
        return "mpegts"
    first_page = head[:64]
    if head.startswith(b"OggS") and not any(name in first_page for name in (b"OpusHead", b"\x01vorbis", b"\x7fFLAC")):
        return "ogg"  # Speex, or video; the others are libsndfile's
    return ""


@lru_cache(maxsize=4096)
def media_header(key: FileKey) -> AudioHeader:
    """Rate, channels and length of the first audio track, from its packets, of which only the first are decoded.

    Raises:
        UnreadableAudioError: PyAV is not installed, no audio track, or nothing in it can be decoded.
    """
    path = key[0]
    with _open_track(path) as (container, track):
        first: Any = None
        end_s = gaps_s = usual_s = Fraction(0)
        for packet in _packets(path, container, track):
            if first is None:
                first = next(iter(_decode(path, packet, started=False)), None)
                end_s = _origin_s(container, first) if first is not None else end_s
            if packet.pts is not None:
                start_s, duration_s = packet.pts * packet.time_base, (packet.duration or 0) * packet.time_base
                usual_s = usual_s or duration_s
                skipped_s = max(start_s - end_s, duration_s - usual_s)  # MP4 lengthens the packet before a gap
                gaps_s += skipped_s if first is not None and skipped_s > LARGEST_JITTER_S else 0
                end_s = max(end_s, start_s + duration_s)
        if first is None:
            raise UnreadableAudioError(path, "not readable as audio (nothing in its audio track can be decoded)")
        rate_hz, subtype = int(first.sample_rate), str(track.codec_context.name).upper()
        samples = max(0, round((end_s - _origin_s(container, first)) * rate_hz))
        promised_s = _promised_s(container, track)
    missing = max(0, round(promised_s * rate_hz) - samples)
    name = media_format(path)
    truncated = missing > TRUNCATED_BY_S * rate_hz or (name == "matroska" and _ends_within_segment(path, key[2]))
    return AudioHeader(
        rate_hz=rate_hz,
        channels=int(first.layout.nb_channels),
        samples=samples,
        missing_samples=missing if truncated else 0,
        truncated=truncated,
        container=NAMES[name],
        subtype=subtype,
        by_ffmpeg=True,
        gaps_s=float(gaps_s),
    )


class MediaReader:
    """An open file whose audio track is decoded from its start, frame by frame (a `SampleReader`)."""

    def __init__(self, path: Path | str, header: AudioHeader) -> None:
        self._blocks = _decode_blocks(path, header)
        self._rest: Samples = np.zeros((0, header.channels), np.float32)

    def read(self, count: int) -> Samples:
        """The next `count` samples, float32 `[samples, channels]`; fewer only at the end."""
        parts, missing = [self._rest[:count]], count - len(self._rest)
        self._rest = self._rest[count:]
        while missing > 0:
            block = next(self._blocks, None)
            if block is None:
                break
            parts.append(block[:missing])
            self._rest = block[missing:]
            missing -= len(block)
        return np.concatenate(parts)

    def close(self) -> None:
        """Close the file."""
        self._blocks.close()


def _decode_blocks(path: Path | str, header: AudioHeader) -> Generator[Samples, None, None]:
    """The samples of the audio track from position 0 to the header's length, in blocks of any size."""
    position, origin_s = 0, None
    with _open_track(path) as (container, track):
        for packet in _packets(path, container, track):
            for frame in _decode(path, packet, started=origin_s is not None):
                if (frame.sample_rate, frame.layout.nb_channels) != (header.rate_hz, header.channels):
                    found = f"{frame.sample_rate} Hz and {frame.layout.nb_channels} channels"
                    at_s = position / header.rate_hz
                    raise UnreadableAudioError(path, f"its sound changes to {found} after {at_s:.1f} s")
                jitter_s = LARGEST_JITTER_AT_START_S if origin_s is None else LARGEST_JITTER_S
                origin_s = _origin_s(container, frame) if origin_s is None else origin_s
                if frame.pts is not None:
                    gap = round((frame.pts * frame.time_base - origin_s) * header.rate_hz) - position
                    gap = min(gap, header.samples - position) if gap > jitter_s * header.rate_hz else 0
                    position += max(0, gap)
                    while gap > 0:
                        silence = np.zeros((min(gap, SILENCE_BLOCK_SAMPLES), header.channels), np.float32)
                        gap -= len(silence)
                        yield silence
                samples = _as_float(frame)[: header.samples - position]
                position += len(samples)
                yield samples
                if position >= header.samples:
                    return


@contextmanager
def _open_track(path: Path | str) -> Iterator[tuple[Any, Any]]:
    """The container and its first audio track; the other tracks are not read from the disk."""
    name = media_format(path)
    av = _import_av(path, NAMES[name])
    with open_recording(path) as file:
        try:
            container = av.open(file, format=name, metadata_errors="replace", buffer_size=IO_BYTES)
        except (av.error.FFmpegError, ValueError, MemoryError) as error:
            reason = f"not readable as audio ({_cause(error)})"
            if name == "mov":
                reason += ", perhaps truncated: the index of an MP4 file is often at its end"
            raise UnreadableAudioError(path, reason, "copy the file again, or convert it to WAV or FLAC") from error
        with container:
            if not container.streams.audio:
                raise UnreadableAudioError(
                    path, f"its {NAMES[name]} container has no audio track", "give a recording with sound"
                )
            track = container.streams.audio[0]
            if track.codec_context is None:
                raise UnreadableAudioError(path, "not readable as audio (FFmpeg has no decoder for it)")
            for stream in container.streams:
                if stream is not track:
                    stream.discard = av.stream.Discard.all
            yield container, track


def _import_av(path: Path | str, name: str) -> Any:
    try:
        return import_extra("av", "media", name)
    except InputError as error:
        advice = "install it with: pip install 'speechxfer[media]', or convert the file to WAV or FLAC"
        raise UnreadableAudioError(path, f"reading {name} needs the package av", advice) from error


def _packets(path: Path | str, container: Any, track: Any) -> Iterator[Any]:
    """The complete packets of a track; the last one is empty, so that the decoder returns what it still has."""
    av = _import_av(path, "it")
    try:
        for packet in container.demux(track):
            if not packet.is_corrupt:  # as the last one of a truncated file is
                yield packet
    except av.error.FFmpegError as error:
        reason = f"it is truncated or damaged: its packets cannot be read ({_cause(error)})"
        raise UnreadableAudioError(path, reason, "copy the file again") from error


def _decode(path: Path | str, packet: Any, *, started: bool) -> list[Any]:
    """The frames of a packet. Before the first frame, packets may be damaged: a recorded broadcast begins within one."""
    av = _import_av(path, "it")
    try:
        return list(packet.decode())
    except av.error.FFmpegError as error:
        if not started and isinstance(error, av.error.InvalidDataError):
            return []
        at = f" after {float(packet.pts * packet.time_base):.1f} s" if packet.pts is not None else ""
        reason = f"it is truncated or damaged{at}: a packet cannot be decoded ({_cause(error)})"
        raise UnreadableAudioError(path, reason, "copy the file again, or convert the rest to WAV or FLAC") from error


def _cause(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error).strip().rstrip(".") or "its data cannot be decoded"


def _origin_s(container: Any, first_frame: Any) -> Fraction:
    """The timestamp of position 0, in seconds."""
    if container.start_time is not None:
        return Fraction(int(container.start_time), 1_000_000)
    return Fraction(first_frame.pts or 0) * Fraction(first_frame.time_base)


def _promised_s(container: Any, track: Any) -> Fraction:
    """Length of the track by the container's index or, in Matroska, by its tags; 0 where none is stated."""
    if container.format.name.startswith("mov") and track.duration:
        return Fraction(track.duration) * Fraction(track.time_base)
    if container.format.name.startswith("matroska"):
        tag = re.fullmatch(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)", track.metadata.get("DURATION", ""))
        if tag:
            return 3600 * int(tag[1]) + 60 * int(tag[2]) + Fraction(tag[3])
        if container.duration and len(container.streams) == 1:  # of several tracks it is the longest one's
            return Fraction(int(container.duration), 1_000_000)
    return Fraction(0)


def _ends_within_segment(path: Path | str, size_bytes: int) -> bool:
    """Whether a Matroska file ends before its segment does (RFC 8794, element IDs and sizes; RFC 9559)."""
    with open_recording(path) as file:
        head = file.read(IO_BYTES)
    header_bytes, start = _ebml_size(head, 4)
    position = start + (header_bytes or 0)
    if head[position : position + 4] != b"\x18\x53\x80\x67":
        return False
    segment_bytes, start = _ebml_size(head, position + 4)
    return segment_bytes is not None and start + segment_bytes > size_bytes


def _ebml_size(data: bytes, position: int) -> tuple[int | None, int]:
    """An element's size (None: unknown, as in live recordings) and the position after it."""
    length = 9 - data[position : position + 1].ljust(1, b"\1")[0].bit_length()
    field = int.from_bytes(data[position : position + length].ljust(length, b"\0"), "big")
    size = field & ((1 << 7 * length) - 1)
    return (None if size == (1 << 7 * length) - 1 else size), position + length


def _as_float(frame: Any) -> Samples:
    """Samples of a decoded frame, float32 `[samples, channels]` in [-1, 1]."""
    values = frame.to_ndarray()
    values = values.T if frame.format.is_planar else values.reshape(-1, frame.layout.nb_channels)
    if values.dtype.kind == "f":
        return np.ascontiguousarray(values, dtype=np.float32)
    full = float(1 << (8 * values.dtype.itemsize - 1))
    centred = values.astype(np.float64) - (full if values.dtype.kind == "u" else 0.0)
    return np.ascontiguousarray(centred / full, dtype=np.float32)
