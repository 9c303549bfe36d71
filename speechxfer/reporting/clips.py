"""Clips: audio that browsers play, and filterbank pictures, of some utterances.

All browsers play FLAC, which is exact, and MP3, which needs a fifth of the space; Safari plays Ogg Opus since 2025 only. Where
the clips as FLAC would be larger than the page has room for, they are MP3; where even these are too large, there are fewer.
"""

import io
import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import soundfile
from numpy.typing import NDArray

from speechxfer.data import Samples, Utterance, collect_audio_warnings
from speechxfer.errors import InputError
from speechxfer.features import AudioOptions, feature_preset, filterbank, utterance_samples
from speechxfer.reporting.content import Clip
from speechxfer.runtime import track
from speechxfer.scoring import WerReport

PICTURE = "kaldi"  # one frame each 10 ms from the first sample on, neither normalised nor padded
RATE_HZ = 16_000
RANGE = 10.0  # of a picture: natural logarithms of power below its loudest values
GREYS = 32  # shades of a picture; more are not seen and need more bytes
FORMATS = (("audio/flac", "FLAC", "PCM_16"), ("audio/mpeg", "MP3", "MPEG_LAYER_III"))
BASE64 = 4 / 3


def choose_clips(report: WerReport, count: int) -> list[str]:
    """Ids of the utterances that get a clip: half of them those with the most errors, half spread over all error rates."""
    by_errors = sorted(report.utterances, key=lambda row: (-row.words.errors, -row.characters.errors, row.id))
    worst, others = by_errors[: (count + 1) // 2], by_errors[(count + 1) // 2 :]
    others.sort(key=lambda row: (-row.characters.rate, row.id))
    wanted = min(count - len(worst), len(others))
    spread = [others[round((number + 0.5) * len(others) / wanted - 0.5)] for number in range(wanted)]
    return [row.id for row in (*worst, *spread)]


@dataclass(frozen=True)
class Clips:
    """Clips by id of the utterance; how many were `omitted` for lack of room; why others are `unreadable`, a reason each."""

    clips: dict[str, Clip]
    omitted: int = 0
    unreadable: tuple[str, ...] = ()


def make_clips(utterances: Sequence[Utterance], max_bytes: int, *, audio: bool = True) -> Clips:
    """Clips that together have at most `max_bytes` in base64; if they are too large, the last ones are omitted.

    Recordings of any rate and number of channels become 16 kHz mono, to be played and looked at only.

    Args:
        audio: False: pictures only.
    """
    samples, unreadable = _read(utterances)
    pictures = {id_: draw_filterbank(one) for id_, one in samples.items()}
    clips: dict[str, Clip] = {}
    for media_type, container, coding in FORMATS:
        clips = {
            id_: Clip(
                len(one) / RATE_HZ,
                _encode(one, container, coding) if audio else b"",
                media_type if audio else "",
                pictures[id_],
            )
            for id_, one in samples.items()
        }
        if not audio or _size(clips) <= max_bytes:
            break
    made = len(clips)
    while _size(clips) > max_bytes:
        clips.popitem()
    return Clips(clips, made - len(clips), tuple(unreadable))


def _read(utterances: Sequence[Utterance]) -> tuple[dict[str, Samples], list[str]]:
    """Samples by id at `RATE_HZ`, and a reason for each utterance whose audio cannot be read."""
    options = AudioOptions(feature_preset(PICTURE), resample=True, mono=True)
    samples: dict[str, Samples] = {}
    unreadable = []
    with collect_audio_warnings():
        for utterance in track(utterances, "reading clips"):
            try:
                samples[utterance.id] = utterance_samples(utterance, options)
            except InputError as error:
                unreadable.append(str(error))
    return samples, unreadable


def _size(clips: Mapping[str, Clip]) -> float:
    return BASE64 * sum(len(clip.audio) + len(clip.picture) + 8 for clip in clips.values())


def _encode(samples: Samples, container: str, coding: str) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, np.clip(samples, -1.0, 1.0), RATE_HZ, format=container, subtype=coding)
    return buffer.getvalue()


def draw_filterbank(samples: Samples) -> bytes:
    """The filterbank of `[samples]` at 16 kHz as a grey PNG of 80 rows and a column each 10 ms; loud is dark."""
    values = filterbank(samples, feature_preset(PICTURE)).numpy()  # [frames, mels]
    if not len(values):
        values = np.zeros((1, 80), dtype=np.float32)
    top = float(np.quantile(values, 0.995))
    shades = np.clip((top - values) / RANGE, 0.0, 1.0)
    grey = np.round(shades * (GREYS - 1)) * (255 / (GREYS - 1))
    return write_png(np.round(grey).astype(np.uint8).T[::-1])


def write_png(grey: NDArray[np.uint8]) -> bytes:
    """An 8-bit grey image `[rows, columns]` as a PNG file (ISO/IEC 15948)."""
    rows, columns = grey.shape
    header = struct.pack(">IIBBBBB", columns, rows, 8, 0, 0, 0, 0)
    lines = np.hstack([np.zeros((rows, 1), dtype=np.uint8), grey])  # filter type 0 before each line
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(lines.tobytes(), 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
