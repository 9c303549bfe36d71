"""Segments of recordings as tables and corpora list them, and their exact lengths: what becomes utterances of a manifest.

Lengths come from the files' headers; no audio is decoded or checked (``speechxfer check`` does that).
"""

import codecs
import gzip
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from speechxfer.data.decoder import UNKNOWN_LENGTH, read_audio_header
from speechxfer.data.headers import AudioHeader, UnreadableAudioError
from speechxfer.data.importing import ROUNDING_S
from speechxfer.data.manifest import Utterance
from speechxfer.errors import InputError, first_names
from speechxfer.runtime import track

SPLIT_NAMES = {
    "train": "train", "training": "train",
    "dev": "dev", "val": "dev", "valid": "dev", "validation": "dev", "development": "dev",
    "test": "test", "testing": "test", "eval": "test",
}  # fmt: skip


@dataclass(frozen=True)
class Segment:
    """One utterance as a corpus lists it, before its audio is read.

    `start` and `frames` count samples at the file's own rate; `offset_s` and `duration_s` are seconds. Without a start the
    segment begins with the file, without a length it ends with it.
    """

    id: str
    path: Path
    text: str
    where: str  # for error messages: table:line or a file
    split: str = ""
    speaker: str = ""
    lang: str = ""
    start: int | None = None
    frames: int | None = None
    offset_s: float | None = None
    duration_s: float | None = None


@dataclass(frozen=True)
class Placed:
    """An utterance and the split that its corpus puts it in ("" where the corpus has no splits)."""

    utterance: Utterance
    split: str


def print_line(message: str) -> None:
    """Print one line to stdout."""
    print(message, flush=True)


def skip(utterance_id: str, reason: str) -> None:
    """Print that an utterance is excluded, and why."""
    print_line(f"excluded: {utterance_id}: {reason}")


def read_lines(path: Path) -> list[str]:
    """Lines of a UTF-8 text file (or UTF-16, if its byte-order mark says so), without line ends and byte-order mark.

    A file called ``.gz`` is unpacked first.

    Raises:
        InputError: the file is missing, a spreadsheet, or not UTF-8 (the message names the line).
    """
    try:
        data = path.read_bytes()
        data = gzip.decompress(data) if path.suffix == ".gz" else data
    except (OSError, EOFError, zlib.error) as error:
        why = getattr(error, "strerror", None) or error
        raise InputError(f"{path}: cannot be read ({why}); expected a text file: check the path") from error
    if data.startswith(b"PK\x03\x04"):
        raise InputError(
            f"{path}: a spreadsheet or another archive; expected a text file: save the table as CSV (UTF-8)"
        )
    wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = data.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"{path}:{line}: byte 0x{data[error.start]:02x} is not UTF-8; expected UTF-8 text: save the file as UTF-8"
        ) from error
    return text.replace("\r\n", "\n").replace("\r", "\n").removesuffix("\n").split("\n") if text else []


def one_space(text: str) -> str:
    """The text with every run of whitespace made one space, none at the ends."""
    return " ".join(text.split())


def check_unique(segments: Iterable[Segment]) -> None:
    """Raise InputError where two segments have the same id."""
    seen: dict[str, str] = {}
    for segment in segments:
        if segment.id in seen:
            raise InputError(
                f"{segment.where}: id {segment.id!r} was already used at {seen[segment.id]}; ids must be unique: "
                "rename one or delete it"
            )
        seen[segment.id] = segment.where


def measure_segments(
    segments: Sequence[Segment], *, partial: bool = False, max_unreadable: int = 0, untranscribed: bool = False
) -> list[Placed]:
    """Read the audio headers and turn segments into utterances whose seconds give back exact sample numbers.

    Excluded and printed are segments without a sample, without text, and those whose audio is missing or unreadable, as far as
    that is accepted.

    Args:
        segments: as the corpus lists them.
        partial: accept any number of segments whose audio is missing or unreadable.
        max_unreadable: number of such segments that is accepted without `partial`.
        untranscribed: accept segments without text.

    Raises:
        InputError: an id is used twice, more audio is missing or unreadable than accepted, or a segment reaches beyond its file.
    """
    check_unique(segments)
    headers = _read_headers(segments, None if partial else max_unreadable)
    placed = []
    for segment in segments:
        header = headers[segment.path]
        if isinstance(header, str):
            skip(segment.id, header)
        elif not (segment.text or untranscribed):
            skip(segment.id, "its text is empty")
        else:
            start, frames = _position(segment, header)
            if frames == 0:
                skip(segment.id, "it has no audio samples")
                continue
            placed.append(Placed(_utterance(segment, header, start, frames), segment.split))
    return placed


def _utterance(segment: Segment, header: AudioHeader, start: int, frames: int) -> Utterance:
    return Utterance(
        id=segment.id,
        audio_filepath=segment.path,
        duration=frames / header.rate_hz,
        text=segment.text,
        offset=start / header.rate_hz,
        speaker=segment.speaker,
        lang=segment.lang,
    )


def _read_headers(segments: Sequence[Segment], max_unreadable: int | None) -> dict[Path, AudioHeader | str]:
    """Header of every audio file, or the reason why it cannot be used; InputError for more unusable segments than accepted."""
    first_use: dict[Path, Segment] = {}
    for segment in segments:
        first_use.setdefault(segment.path, segment)
    headers: dict[Path, AudioHeader | str] = {}
    for path in track(list(first_use), "reading audio headers"):
        headers[path] = _read_header(path)
    truncated = [str(path) for path, header in headers.items() if isinstance(header, AudioHeader) and header.truncated]
    if truncated:
        print_line(f"note: truncated recordings, used as far as they go: {len(truncated)} ({first_names(truncated)})")
    unusable = [segment for segment in segments if isinstance(headers[segment.path], str)]
    if max_unreadable is not None and len(unusable) > max_unreadable:
        first = unusable[0]
        more = f" ({len(unusable) - 1} more like it)" if len(unusable) > 1 else ""
        raise InputError(
            f"{first.where}: utterance {first.id!r}: {headers[first.path]}{more}; expected readable audio for every utterance: "
            "correct the path, convert what is not readable (ffmpeg -i FILE FILE.wav), or exclude such utterances "
            "(--partial of data scripts)"
        )
    return headers


def _read_header(path: Path) -> AudioHeader | str:
    try:
        header = read_audio_header(path)
    except UnreadableAudioError as error:
        return f"its audio {path}: {error.reason}"
    if header.samples > UNKNOWN_LENGTH:
        return f"its audio {path} does not say how long it is"
    return header


def _position(segment: Segment, header: AudioHeader) -> tuple[int, int]:
    """First sample and number of samples of a segment, checked against the length of its file."""
    rate_hz = header.rate_hz
    start = segment.start if segment.start is not None else round((segment.offset_s or 0.0) * rate_hz)
    left = header.samples - start
    if segment.frames is not None:
        frames, spare = segment.frames, 0
    elif segment.duration_s is not None:
        frames, spare = round(segment.duration_s * rate_hz), round(ROUNDING_S * rate_hz)
    else:
        frames, spare = left, 0
    if start < 0 or left < 0 or frames < 0 or frames > left + spare:
        raise InputError(
            f"{segment.where}: utterance {segment.id!r} covers samples {start} to {start + frames}, but {segment.path} "
            f"has {header.samples} at {rate_hz} Hz; expected a segment inside the file: start and frames count samples, "
            "offset and duration seconds"
        )
    return start, min(frames, left)
