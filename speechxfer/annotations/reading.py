"""Annotations from files, and tiers added to existing files; the format by the file's suffix."""

import os
from collections.abc import Sequence
from pathlib import Path

from speechxfer.annotations.elan import MIME_TYPES
from speechxfer.annotations.elan_reading import add_to_eaf, parse_eaf
from speechxfer.annotations.nist_reading import annotations_of_ctm, annotations_of_stm
from speechxfer.annotations.praat_reading import add_to_textgrid, parse_textgrid
from speechxfer.annotations.subtitle_reading import parse_labels, parse_subtitles
from speechxfer.annotations.tiers import Annotation, Tier, check_annotation
from speechxfer.errors import InputError
from speechxfer.runtime import read_bytes, write_atomically

READABLE = (".TextGrid", ".eaf", ".ctm", ".stm", ".srt", ".vtt", ".txt")
FIX = "give a file of annotations"


def read_annotations(path: Path | str, encoding: str | None = None) -> list[Annotation]:
    """The annotations in a file: TextGrid, ELAN, SubRip, WebVTT or Audacity's labels (.txt): one; CTM or STM: one per recording.

    Times are as the file has them: an interval may be empty, or end before it begins. The recording (`Annotation.media`) is the
    one linked in an ELAN document, else the sound file of the same name; it need not exist.

    Args:
        path: the file.
        encoding: of the file; None: UTF-8, or UTF-16 with a byte-order mark.

    Raises:
        InputError: the suffix is unknown, the file cannot be read, or its content is not of that format.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix == ".ctm":
        return annotations_of_ctm(path, encoding or "utf-8")
    if suffix == ".stm":
        return annotations_of_stm(path, encoding or "utf-8")
    if suffix not in {name.lower() for name in READABLE}:
        raise InputError(f"{path}: annotations of this kind cannot be read; expected one of {', '.join(READABLE)}")
    content = read_bytes(path, fix=FIX)
    if suffix == ".eaf":
        return [parse_eaf(content, path)]
    media = recording_beside(path)
    if suffix == ".textgrid":
        return [parse_textgrid(content, path, media, encoding)]
    text = _decode(content, path, encoding)
    return [parse_labels(text, path, media) if suffix == ".txt" else parse_subtitles(text, path, media)]


def add_tiers(
    path: Path | str, tiers: Sequence[Tier], out: Path | str | None = None, encoding: str | None = None
) -> None:
    """Add tiers to a TextGrid or an ELAN document; the other tiers stay as they are.

    Args:
        path: the file.
        tiers: what to add; their names must not be taken.
        out: where to write the result; None: in place of the file, which is replaced whole or not at all.
        encoding: of a TextGrid that is neither UTF-8 nor UTF-16 with a byte-order mark.

    Raises:
        InputError: the file is of another kind or damaged, or a tier does not fit it.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in (".textgrid", ".eaf"):
        raise InputError(f"{path}: tiers can be added to .TextGrid and .eaf only; write a new file instead")
    content = read_bytes(path, fix=FIX)
    duration_s = max([1.0, *(interval.end_s for tier in tiers for interval in tier.intervals)])
    check_annotation(Annotation(path, duration_s, tuple(tiers)))
    added = add_to_eaf(content, tiers, path) if suffix == ".eaf" else add_to_textgrid(content, tiers, path, encoding)
    write_atomically(Path(out) if out is not None else path, added)


def recording_beside(path: Path) -> Path:
    """The sound or video file of the same name in the same folder; where there is none, the name with the suffix .wav."""
    names = (path.with_suffix(suffix) for kind in MIME_TYPES for suffix in (kind, kind.upper()))
    return next((name for name in names if os.path.isfile(name)), path.with_suffix(".wav"))


def _decode(content: bytes, path: Path, encoding: str | None) -> str:
    name = encoding or ("utf-16" if content.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig")
    try:
        return content.decode(name)
    except (UnicodeDecodeError, LookupError) as error:
        raise InputError(f"{path}: is not {name} ({error}); name its encoding, or convert it to UTF-8") from error
