"""Praat TextGrid: reading (long and short text format), and adding tiers to an existing file without changing the rest of it.

Source: the Praat manual, "Text files (for programmers)": of a text file Praat reads the texts in quotation marks, the flags in
angle brackets and the numbers that stand between spaces; everything else is a comment. So both formats are read alike.
"""

import codecs
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from speechxfer.annotations.praat import fill_gaps, format_time, long_tier, quote
from speechxfer.annotations.tiers import POINT, Annotation, Interval, Tier, separate_overlaps
from speechxfer.errors import InputError

FIX = "open it in Praat and save it again as a text file"
CLIPPED_S = 0.1  # an added interval may end later than the TextGrid by as much, and then ends with it
_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_TOKEN = re.compile(r'"((?:[^"]|"")*)"|([^\s"]+)|(")')
_NUMBER = re.compile(r"[+-]?\d+\.?\d*(?:[eE][+-]?\d+)?")  # what follows, such as a unit, is a comment


@dataclass(frozen=True)
class Grid:
    """A parsed TextGrid and what is needed to add tiers to its text."""

    start_s: float
    end_s: float
    tiers: tuple[Tier, ...]
    text: str
    count_at: tuple[int, int]  # where the number of tiers stands in the text
    encoding: str
    mark: bytes  # byte-order mark

    @property
    def is_short(self) -> bool:
        """Whether the file is in the short format, which has no names of fields."""
        return "xmin" not in self.text[: self.count_at[0]]


def parse_textgrid(content: bytes, path: Path, media: Path, encoding: str | None = None) -> Annotation:
    """The annotation in a TextGrid: its tiers, without the empty intervals.

    Args:
        content: of the file; UTF-8, or UTF-16 with a byte-order mark.
        path: names the file in errors.
        media: the recording.
        encoding: of the file, if it is another one.

    Raises:
        InputError: the content is no TextGrid.
    """
    grid = parse_grid(content, path, encoding)
    spoken = (replace(t, intervals=tuple(i for i in t.intervals if i.text or t.type == POINT)) for t in grid.tiers)
    return Annotation(media, grid.end_s, tuple(spoken))


def add_to_textgrid(content: bytes, tiers: Sequence[Tier], path: Path, encoding: str | None = None) -> bytes:
    """The content of a TextGrid with tiers added behind the others, which stay as they are, byte for byte.

    Raises:
        InputError: the content is no TextGrid, a tier's name is taken, or an interval begins after its end.
    """
    grid = parse_grid(content, path, encoding)
    taken = {tier.name for tier in grid.tiers}
    rendered: list[str] = []
    added = separate_overlaps(tiers, shortest_s=0.001)
    for number, tier in enumerate(added, start=len(grid.tiers) + 1):
        if tier.name in taken:
            raise InputError(
                f"{path}: has a tier {tier.name!r}; give the new tier another name (--prefix) or delete that one"
            )
        taken.add(tier.name)
        within = replace(tier, intervals=_within(tier, grid, path))
        rendered += _short_tier(within, grid) if grid.is_short else long_tier(within, number, grid.start_s, grid.end_s)
    start, end = grid.count_at
    newline = "\r\n" if "\r\n" in grid.text else "\n"
    head = f"{grid.text[:start]}{len(grid.tiers) + len(added)}{grid.text[end:]}"
    separator = "" if head.endswith("\n") else newline
    text = head + separator + "".join(line + newline for line in rendered)
    return grid.mark + text.encode(grid.encoding)


def parse_grid(content: bytes, path: Path, encoding: str | None = None) -> Grid:
    """A TextGrid with all intervals, and its text."""
    mark, name = next(((mark, name) for mark, name in _BOMS if content.startswith(mark)), (b"", encoding or "utf-8"))
    if content.startswith(b"ooBinaryFile"):
        raise InputError(f"{path}: is a binary TextGrid; {FIX}")
    try:
        text = content[len(mark) :].decode(name)
    except (UnicodeDecodeError, LookupError) as error:
        where = f" at byte {error.start}" if isinstance(error, UnicodeDecodeError) else ""
        raise InputError(f"{path}: is not {name}{where}; name its encoding, or {FIX} in UTF-8") from error
    tokens = _Tokens(text, path)
    if tokens.text("the file type") not in ("ooTextFile", "ooTextFile short") or tokens.text("the class") != "TextGrid":
        raise InputError(f'{path}: is no TextGrid (expected the texts "ooTextFile" and "TextGrid" first); {FIX}')
    start_s, end_s = tokens.number("the start"), tokens.number("the end")
    tokens.flag("whether there are tiers")
    count = tokens.whole_number("the number of tiers")
    count_at = tokens.position
    tiers = tuple(_parse_tier(tokens) for _ in range(count))
    return Grid(start_s, end_s, tiers, text, count_at, name, mark)


def _parse_tier(tokens: "_Tokens") -> Tier:
    kind = tokens.text("the class of a tier")
    if kind not in ("IntervalTier", "TextTier"):
        raise tokens.error(f"a tier of class {kind!r}; expected IntervalTier or TextTier")
    name = tokens.text("the name of a tier")
    tokens.number("the start of a tier")
    tokens.number("the end of a tier")
    count = tokens.whole_number("the number of intervals or points")
    rows = []
    for _ in range(count):
        start_s = tokens.number("a time")
        end_s = tokens.number("the end of an interval") if kind == "IntervalTier" else start_s
        rows.append(Interval(start_s, end_s, tokens.text("the text of an interval or point")))
    return Tier(name, tuple(rows), type=POINT if kind == "TextTier" else "")


class _Tokens:
    """The texts, flags and numbers of a file, one after the other; `position`: of the last one in the file's text."""

    def __init__(self, text: str, path: Path):
        self.source, self.path = text, path
        self.position = (0, 0)
        self._found = self._iterate()

    def _iterate(self) -> Iterator[tuple[str, str, tuple[int, int]]]:
        at = 0
        while found := _TOKEN.search(self.source, at):
            at = found.end()
            quoted, word, unclosed = found.groups()
            if quoted is not None:
                yield "text", quoted.replace('""', '"'), found.span()
            elif unclosed:
                self.position = found.span()
                raise self.error("a quotation mark without its partner")
            elif word.startswith("!"):
                end = self.source.find("\n", found.start())
                at = end if end >= 0 else len(self.source)
            elif word.startswith("<") and word.endswith(">"):
                yield "flag", word, found.span()
            elif number := _NUMBER.match(word):
                if word[number.end() : number.end() + 1] in ("/", "%", "x"):
                    self.position = found.span()
                    raise self.error(f"{word[:40]!r}: fractions, per cent and hexadecimal numbers are not read")
                yield "number", number[0], (found.start(), found.start() + number.end())

    def _next(self, kind: str, meaning: str) -> str:
        found, value, self.position = next(self._found, ("the end of the file", "", (len(self.source),) * 2))
        if found != kind:
            shown = f"{found} {value[:40]!r}" if value else found
            raise self.error(f"expected {meaning} (a {kind}), found {shown}")
        return value

    def text(self, meaning: str) -> str:
        return self._next("text", meaning)

    def number(self, meaning: str) -> float:
        value = float(self._next("number", meaning))
        if not math.isfinite(value):
            raise self.error(f"{meaning} is not finite")
        return value

    def whole_number(self, meaning: str) -> int:
        value = self.number(meaning)
        if value != int(value) or value < 0:
            raise self.error(f"{meaning} is {value:g}")
        return int(value)

    def flag(self, meaning: str) -> None:
        value = self._next("flag", meaning)
        if value != "<exists>":
            raise self.error(f"has no tiers ({value})")

    def error(self, fault: str) -> InputError:
        line = self.source.count("\n", 0, self.position[0]) + 1
        return InputError(f"{self.path}:{line}: {fault}; {FIX}")


def _within(tier: Tier, grid: Grid, path: Path) -> tuple[Interval, ...]:
    """Intervals that end with the TextGrid; InputError where one begins or ends much later."""
    for interval in tier.intervals:
        if interval.start_s < grid.start_s or interval.end_s > grid.end_s + CLIPPED_S:
            raise InputError(
                f"{path}: is from {grid.start_s:g} to {grid.end_s:g} s, but the new tier {tier.name!r} has an interval from "
                f"{interval.start_s:g} to {interval.end_s:g} s; give the TextGrid of the same recording"
            )
    clipped = (replace(interval, end_s=min(interval.end_s, grid.end_s)) for interval in tier.intervals)
    return tuple(interval for interval in clipped if interval.end_s > interval.start_s or tier.type == POINT)


def _short_tier(tier: Tier, grid: Grid) -> list[str]:
    is_point = tier.type == POINT
    rows = list(tier.intervals) if is_point else fill_gaps(tier.intervals, grid.start_s, grid.end_s)
    lines = ['"TextTier"' if is_point else '"IntervalTier"', quote(tier.name)]
    lines += [format_time(grid.start_s), format_time(grid.end_s), str(len(rows))]
    for row in rows:
        lines += [format_time(row.start_s)] if is_point else [format_time(row.start_s), format_time(row.end_s)]
        lines.append(quote(row.text))
    return lines
