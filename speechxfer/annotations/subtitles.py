"""Subtitles: SubRip (.srt) and WebVTT (.vtt): writing.

Sources: the SubRip documentation; WebVTT, W3C Candidate Recommendation. The utterances of all speakers are in order of time.
Where there are several speakers, their names stand before the texts (SubRip) or in voice spans (WebVTT).
"""

from speechxfer.annotations.tiers import (
    UTTERANCES,
    Annotation,
    Interval,
    Tier,
    check_annotation,
    one_line,
    spoken_intervals,
)


def render_srt(annotation: Annotation) -> str:
    """The utterances (tiers `UTTERANCES`) as SubRip."""
    rows = list(spoken_intervals(check_annotation(annotation), UTTERANCES))
    several = _has_several_speakers(rows)
    cues = []
    for number, (tier, interval) in enumerate(rows, start=1):
        text = one_line(interval.text)
        named = f"{one_line(tier.speaker)}: {text}" if several and tier.speaker else text
        cues.append(f"{number}\n{_cue_times(interval, ',')}\n{named}\n")
    return "\n".join(cues)


def render_vtt(annotation: Annotation) -> str:
    """The utterances (tiers `UTTERANCES`) as WebVTT."""
    rows = list(spoken_intervals(check_annotation(annotation), UTTERANCES))
    several = _has_several_speakers(rows)
    cues = ["WEBVTT\n"]
    for tier, interval in rows:
        text = _escape(one_line(interval.text))
        named = f"<v {_escape(one_line(tier.speaker))}>{text}</v>" if several and tier.speaker else text
        cues.append(f"{_cue_times(interval, '.')}\n{named}\n")
    return "\n".join(cues)


def _has_several_speakers(rows: list[tuple[Tier, Interval]]) -> bool:
    return len({tier.speaker for tier, _ in rows}) > 1


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _cue_times(interval: Interval, mark: str) -> str:
    start_ms = round(interval.start_s * 1000)
    end_ms = max(round(interval.end_s * 1000), start_ms + 1)
    return f"{_clock(start_ms, mark)} --> {_clock(end_ms, mark)}"


def _clock(milliseconds: int, mark: str) -> str:
    seconds, thousandths = divmod(milliseconds, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{seconds:02d}{mark}{thousandths:03d}"
