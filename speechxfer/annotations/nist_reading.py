"""NIST's line formats: reading CTM, STM and TRN.

Source: SCTK's documentation, "ctm", "stm" and "trn" formats. Lines that begin with ";;" are comments. Texts stay as they are;
their alternatives (``{ a / b }``) and optional words (``(a)``) are sclite's business and parsed where texts are scored.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from speechxfer.annotations.tiers import UTTERANCES, WORDS, Annotation, Interval, Tier, tier_name
from speechxfer.errors import InputError
from speechxfer.runtime import read_bytes

FIX = "give a UTF-8 file of NIST's format, or name its encoding"
_TRN = re.compile(r"(.*?)\(([^()\s]+)\)\s*", re.DOTALL)
_LABELS = re.compile(r"(<[^<>]*>)?\s*(.*)", re.DOTALL)


@dataclass(frozen=True)
class CtmWord:
    """A line of a CTM file; times are None in the lines that mark alternatives (``<ALT_BEGIN>``, ``<ALT>``, ``<ALT_END>``)."""

    recording: str
    channel: str
    start_s: float | None
    duration_s: float | None
    text: str
    score: float | None
    line: int


@dataclass(frozen=True)
class StmSegment:
    """A line of an STM file; `labels` such as ``<O,F1>``, or ""."""

    recording: str
    channel: str
    speaker: str
    start_s: float
    end_s: float
    labels: str
    text: str
    line: int


def read_trn(path: Path, encoding: str = "utf-8") -> dict[str, str]:
    """Texts of a TRN file by utterance id.

    Raises:
        InputError: a line without an id at its end, or an id that occurs twice.
    """
    texts: dict[str, str] = {}
    for number, line in _lines(path, encoding):
        found = _TRN.fullmatch(line.strip())
        if found is None:
            raise InputError(
                f"{path}:{number}: expected a text and an id in parentheses at its end, found {line[-60:]!r}"
            )
        if found[2] in texts:
            raise InputError(f"{path}:{number}: id {found[2]!r} occurs twice; ids must be unique: rename one")
        texts[found[2]] = found[1].strip()
    return texts


def read_ctm(path: Path, encoding: str = "utf-8") -> list[CtmWord]:
    """Lines of a CTM file: ``recording channel start duration word [score ...]``.

    Raises:
        InputError: a line has too few fields, or a time that is no number of seconds.
    """
    words = []
    for number, line in _lines(path, encoding):
        fields = line.split()
        if len(fields) < 5:
            raise InputError(
                f"{path}:{number}: expected recording, channel, start, duration and word, found {line.strip()[:80]!r}"
            )
        is_mark = fields[2] == fields[3] == "*"
        start_s, duration_s = (None, None) if is_mark else (_seconds(f, path, number) for f in fields[2:4])
        score = _score(fields[5], path, number) if len(fields) > 5 else None
        words.append(CtmWord(fields[0], fields[1], start_s, duration_s, fields[4], score, number))
    return words


def read_stm(path: Path, encoding: str = "utf-8") -> list[StmSegment]:
    """Lines of an STM file: ``recording channel speaker start end [<labels>] text``.

    Raises:
        InputError: a line has too few fields, a time that is no number of seconds, or an end before its start.
    """
    segments = []
    for number, line in _lines(path, encoding):
        fields = line.split(maxsplit=5)
        if len(fields) < 5:
            raise InputError(
                f"{path}:{number}: expected recording, channel, speaker, start, end and text, found {line.strip()[:80]!r}"
            )
        start_s, end_s = (_seconds(value, path, number) for value in fields[3:5])
        if end_s < start_s:
            raise InputError(
                f"{path}:{number}: ends at {end_s:g} s, before its start at {start_s:g} s; correct its times"
            )
        found = _LABELS.fullmatch(fields[5].strip() if len(fields) > 5 else "")
        labels, text = (found[1] or "", found[2]) if found else ("", "")
        segments.append(StmSegment(fields[0], fields[1], fields[2], start_s, end_s, labels, text, number))
    return segments


def annotations_of_ctm(path: Path, encoding: str = "utf-8") -> list[Annotation]:
    """One annotation per recording of a CTM file, its words by channel; of alternatives the first one.

    The file does not say where the recordings are; `Annotation.media` is the recording's name beside it.
    """
    recordings: dict[str, dict[str, list[Interval]]] = {}
    alternative = 0  # 0: outside, 1: the first one, 2: others
    for word in read_ctm(path, encoding):
        if word.start_s is None or word.duration_s is None:
            alternative = {"<ALT_BEGIN>": 1, "<ALT>": 2}.get(word.text, 0)
        elif alternative < 2 and word.text != "@":
            interval = Interval(word.start_s, word.start_s + word.duration_s, word.text, word.score)
            recordings.setdefault(word.recording, {}).setdefault(word.channel, []).append(interval)
    if not recordings:
        raise InputError(f"{path}: has no word; {FIX}")
    return [_annotation(path, name, WORDS, channels, {}) for name, channels in recordings.items()]


def annotations_of_stm(path: Path, encoding: str = "utf-8") -> list[Annotation]:
    """One annotation per recording of an STM file, its segments by speaker; `Annotation.media` as in `annotations_of_ctm`."""
    recordings: dict[str, dict[str, list[Interval]]] = {}
    for segment in read_stm(path, encoding):
        interval = Interval(segment.start_s, segment.end_s, segment.text)
        recordings.setdefault(segment.recording, {}).setdefault(segment.speaker, []).append(interval)
    if not recordings:
        raise InputError(f"{path}: has no segment; {FIX}")
    return [
        _annotation(path, name, UTTERANCES, speakers, {speaker: speaker for speaker in speakers})
        for name, speakers in recordings.items()
    ]


def _annotation(
    path: Path, name: str, kind: str, groups: dict[str, list[Interval]], speakers: dict[str, str]
) -> Annotation:
    tiers = tuple(
        Tier(
            tier_name(kind, group if len(groups) > 1 else ""),
            tuple(sorted(intervals, key=lambda interval: (interval.start_s, interval.end_s))),
            speakers.get(group, ""),
        )
        for group, intervals in groups.items()
    )
    duration_s = max(interval.end_s for tier in tiers for interval in tier.intervals)
    return Annotation(path.parent / name, duration_s, tiers)


def _lines(path: Path, encoding: str) -> Iterator[tuple[int, str]]:
    """Lines that are neither empty nor comments, with their numbers."""
    content = read_bytes(path, fix=FIX)
    try:
        text = content.decode("utf-8-sig" if encoding == "utf-8" else encoding)
    except (UnicodeDecodeError, LookupError) as error:
        raise InputError(f"{path}: is not {encoding} ({error}); {FIX}") from error
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), start=1):
        if line.strip() and not line.startswith(";;"):
            yield number, line


def _seconds(value: str, path: Path, number: int) -> float:
    try:
        seconds = float(value)
    except ValueError:
        seconds = math.nan
    if not 0.0 <= seconds < 1e9:
        raise InputError(f"{path}:{number}: {value[:40]!r} is no number of seconds; correct that line")
    return seconds


def _score(value: str, path: Path, number: int) -> float | None:
    """A confidence; "NA" and "-" stand for none."""
    if value.upper() in ("NA", "-", "*"):
        return None
    try:
        return float(value)
    except ValueError as error:
        raise InputError(f"{path}:{number}: the confidence {value[:40]!r} is no number; correct that line") from error
