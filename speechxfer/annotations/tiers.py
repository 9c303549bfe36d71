"""Texts with times: intervals, tiers of intervals, and the annotation of one recording.

The nouns are those of ELAN and Praat. Names of tiers that this package writes: `UTTERANCES`, `WORDS` and `SYMBOLS`, with
``@SPEAKER`` behind them where a recording has several speakers, as is usual in ELAN (``words@ana``).
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from speechxfer.errors import InputError

UTTERANCES = "utterances"
WORDS = "words"
SYMBOLS = "symbols"
POINT = "point"


@dataclass(frozen=True)
class Interval:
    """A text from `start_s` to `end_s`, in seconds from the start of the recording; `score`: how certain it is, if known."""

    start_s: float
    end_s: float
    text: str
    score: float | None = None


@dataclass(frozen=True)
class Tier:
    """Intervals of one kind, such as the words of one speaker.

    Attributes:
        name: unique in its annotation.
        intervals: in order of time.
        speaker: "" where unknown; ELAN's participant.
        type: ELAN's linguistic type; `POINT` for a tier of points, whose intervals have no duration; "" otherwise.
        parent: name of the tier that this one depends on in ELAN; "" for an independent tier.
    """

    name: str
    intervals: tuple[Interval, ...]
    speaker: str = ""
    type: str = ""
    parent: str = ""


@dataclass(frozen=True)
class Annotation:
    """The tiers of one recording, `media`, which is `duration_s` long.

    >>> from pathlib import Path
    >>> words = Tier("words", (Interval(0.1, 0.4, "good"), Interval(0.4, 0.9, "day")))
    >>> Annotation(Path("new.wav"), 1.0, (words,)).end_s
    1.0
    """

    media: Path
    duration_s: float
    tiers: tuple[Tier, ...]

    @property
    def end_s(self) -> float:
        """The duration, or the end of the last interval if that is later."""
        return max([self.duration_s, *(interval.end_s for tier in self.tiers for interval in tier.intervals)])


def tier_name(kind: str, speaker: str = "") -> str:
    """Name of the tier of a kind (`WORDS` ...) and speaker: ``words``, ``words@ana``."""
    return f"{kind}@{speaker}" if speaker else kind


def tiers_of(annotation: Annotation, kind: str) -> list[Tier]:
    """The tiers of a kind: those named ``KIND`` or ``KIND@SPEAKER``, or the only tier, whatever its name.

    Raises:
        InputError: there are several tiers, and none is of that kind.
    """
    found = [tier for tier in annotation.tiers if tier.name == kind or tier.name.startswith(f"{kind}@")]
    if found or not annotation.tiers:
        return found
    if len(annotation.tiers) == 1:
        return list(annotation.tiers)
    names = ", ".join(repr(tier.name) for tier in annotation.tiers)
    raise InputError(f"{annotation.media}: no tier is named {kind!r} (there are {names}); name one so")


def spoken_intervals(annotation: Annotation, kind: str) -> Iterator[tuple[Tier, Interval]]:
    """The intervals of all tiers of a kind that have a text, in order of time, with their tiers."""
    pairs = [(tier, interval) for tier in tiers_of(annotation, kind) for interval in tier.intervals]
    spoken = [(tier, interval) for tier, interval in pairs if interval.text.strip()]
    yield from sorted(spoken, key=lambda pair: (pair[1].start_s, pair[1].end_s))


def check_annotation(annotation: Annotation) -> Annotation:
    """The annotation itself, if a file can hold it.

    Raises:
        InputError: a time is negative or not finite, an interval ends before it starts, the duration is not positive, or a
            name of a tier is empty or occurs twice.
    """
    where = annotation.media
    if not (math.isfinite(annotation.duration_s) and annotation.duration_s > 0):
        raise InputError(f"{where}: a duration of {annotation.duration_s} s; expected more than 0")
    names: set[str] = set()
    for tier in annotation.tiers:
        if not tier.name.strip() or tier.name in names:
            fault = f"two tiers are named {tier.name!r}" if tier.name in names else "a tier has no name"
            raise InputError(f"{where}: {fault}; give each tier a name of its own")
        names.add(tier.name)
        for interval in tier.intervals:
            if not 0.0 <= interval.start_s <= interval.end_s < math.inf:
                raise InputError(
                    f"{where}: tier {tier.name!r}: an interval from {interval.start_s} to {interval.end_s} s "
                    f"({interval.text[:40]!r}); expected 0 <= start <= end; correct its times"
                )
    return annotation


def separate_overlaps(tiers: Iterable[Tier], shortest_s: float) -> list[Tier]:
    """Tiers without overlaps, as Praat and ELAN need them: an overlapping interval goes to an added tier ``NAME 2`` and so on.

    Intervals shorter than `shortest_s`, which the format cannot hold, are extended to it. Tiers of points stay as they are.
    """
    tiers = list(tiers)
    names = {tier.name for tier in tiers}
    separated: list[Tier] = []
    for tier in tiers:
        if tier.type == POINT:
            separated.append(tier)
            continue
        for number, layer in enumerate(_layers(tier.intervals, shortest_s), start=1):
            name = tier.name
            while number > 1 and name in names:
                name = f"{tier.name} {number}"
                number += 1
            names.add(name)
            separated.append(replace(tier, name=name, intervals=tuple(layer)))
    return separated


def _layers(intervals: Sequence[Interval], shortest_s: float) -> list[list[Interval]]:
    layers: list[list[Interval]] = [[]]
    for given in sorted(intervals, key=lambda interval: (interval.start_s, interval.end_s)):
        interval = replace(given, end_s=max(given.end_s, given.start_s + shortest_s))
        free = next((layer for layer in layers if not layer or layer[-1].end_s <= interval.start_s), None)
        if free is None:
            free = []
            layers.append(free)
        free.append(interval)
    return layers


def one_line(text: str) -> str:
    """A text for a format of lines: control characters, line breaks and runs of spaces become single spaces."""
    return " ".join("".join(" " if _is_control(c) else c for c in text).split())


def without_control_characters(text: str) -> str:
    """The text with control characters, which XML and Praat cannot hold, replaced by U+FFFD; tabs and line breaks stay."""
    return "".join("\ufffd" if _is_control(c) and c not in "\t\n" else c for c in text.replace("\r\n", "\n"))


def _is_control(character: str) -> bool:
    code = ord(character)
    return code < 0x20 or 0x7F <= code < 0xA0 or code in (0x2028, 0x2029, 0xFFFE, 0xFFFF) or 0xD800 <= code < 0xE000
