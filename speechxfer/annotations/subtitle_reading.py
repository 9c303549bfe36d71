"""Subtitles (SubRip .srt, WebVTT .vtt) and Audacity's label tracks: reading.

Sources: the SubRip documentation; WebVTT, W3C Candidate Recommendation; Audacity manual, "Importing and Exporting Labels". Markup
is removed; a voice span of WebVTT gives the speaker.
"""

import html
import math
import re
from pathlib import Path

from speechxfer.annotations.tiers import UTTERANCES, Annotation, Interval, Tier, tier_name
from speechxfer.errors import InputError

_CLOCK = r"(?:(\d{1,4}):)?(\d{1,2}):(\d{1,2})[.,](\d{1,3})"
_CUE = re.compile(rf"\s*{_CLOCK}\s*-->\s*{_CLOCK}(?:\s.*)?")
_MARKUP = re.compile(r"</?(?:[a-zA-Z][^<>]*|\d[\d:.]*)>|\{\\[^{}]*\}")
_VOICE = re.compile(r"<v(?:\.[^\s<>]*)?\s+([^<>]*)>")


def parse_subtitles(text: str, path: Path, media: Path) -> Annotation:
    """The annotation in subtitles: one tier per speaker, one interval per cue.

    Raises:
        InputError: the file has no cue (a line ``00:00:01,000 --> 00:00:02,000``).
    """
    is_vtt = text.startswith("WEBVTT")
    speakers: dict[str, list[Interval]] = {}
    for block in re.split(r"\n[ \t]*\n", text.replace("\r\n", "\n").replace("\r", "\n")):
        lines = block.split("\n")
        index, times = next(((i, cue) for i, line in enumerate(lines) if (cue := _CUE.fullmatch(line))), (0, None))
        if times is None or lines[0].startswith(("NOTE", "STYLE", "REGION")):
            continue
        start_s, end_s = _seconds(times.groups()[:4]), _seconds(times.groups()[4:])
        body = "\n".join(lines[index + 1 :]).strip()
        voice = _VOICE.search(body)
        plain = _MARKUP.sub("", body)
        plain = html.unescape(plain) if is_vtt else plain
        speaker = html.unescape(voice[1]).strip() if voice else ""
        speakers.setdefault(speaker, []).append(Interval(start_s, end_s, " ".join(plain.split())))
    if not speakers:
        raise InputError(f"{path}: has no cue (00:00:01,000 --> 00:00:02,000); expected SubRip or WebVTT")
    return _annotation(speakers, media)


def parse_labels(text: str, path: Path, media: Path) -> Annotation:
    """The annotation in a label track of Audacity: start, end and text of each label, separated by tabs.

    Raises:
        InputError: a line does not begin with two numbers.
    """
    intervals = []
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), start=1):
        if not line.strip() or line.startswith("\\"):  # a line with a backslash has the frequencies of the label above
            continue
        fields = line.split("\t", maxsplit=2)
        try:
            start_s, end_s = (float(value.replace(",", ".")) for value in fields[:2])
        except ValueError:
            start_s = end_s = math.nan
        if not (math.isfinite(start_s) and math.isfinite(end_s)):
            raise InputError(
                f"{path}:{number}: expected start TAB end TAB text, found {line[:60]!r}; export the labels from Audacity again"
            )
        intervals.append(Interval(start_s, end_s, fields[2].strip() if len(fields) > 2 else ""))
    if not intervals:
        raise InputError(f"{path}: has no label; expected start TAB end TAB text in each line")
    return _annotation({"": intervals}, media)


def _annotation(speakers: dict[str, list[Interval]], media: Path) -> Annotation:
    tiers = tuple(
        Tier(
            tier_name(UTTERANCES, speaker),
            tuple(sorted(intervals, key=lambda interval: (interval.start_s, interval.end_s))),
            speaker,
        )
        for speaker, intervals in speakers.items()
    )
    return Annotation(media, max(interval.end_s for tier in tiers for interval in tier.intervals), tiers)


def _seconds(clock: tuple[str | None, ...]) -> float:
    hours, minutes, seconds, fraction = clock
    whole = int(hours or 0) * 3600 + int(minutes or 0) * 60 + int(seconds or 0)
    return whole + float(f"0.{fraction}")
