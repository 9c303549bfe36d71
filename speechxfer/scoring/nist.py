"""Scoring of NIST's transcripts by the conventions of sclite: TRN texts by id, CTM words against STM segments by time.

Differences from `score`: the weights of the alignment (see `network_alignment`), alternatives and optional words, and the
characters, among which spaces are not. Texts are not normalised but for their case. The intervals are the same.

Source: SCTK's documentation, "sclite".
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from speechxfer.annotations import CtmWord, StmSegment
from speechxfer.errors import InputError, first_names
from speechxfer.scoring.alignment import count_confusions, count_errors, remove_marks
from speechxfer.scoring.bootstrap import choose_intervals
from speechxfer.scoring.counts import Counts, Pair, ScoredUtterance
from speechxfer.scoring.network_alignment import align_networks
from speechxfer.scoring.report import WerReport
from speechxfer.scoring.word_networks import (
    NULL,
    Alternatives,
    Item,
    NetWord,
    NistOptions,
    build_network,
    make_word,
    parse_transcript,
    to_characters,
)
from speechxfer.text import Normalizer

SCLITE = NistOptions()
IGNORED = ("ignore_time_segment_in_scoring", "ignoretimesegmentinscoring")


@dataclass(frozen=True)
class NistReport:
    """Scores by sclite's conventions.

    Attributes:
        report: as `score` gives it; the normalised texts are the words of the chosen alternatives.
        speakers: in order of their first hypothesis (TRN) or segment (STM).
        labels: counts of words of the segments with each label of an STM file, such as "F1".
        ignored_segments: segments that the STM file excludes.
        ignored_words: words of the CTM file in them.
    """

    report: WerReport
    speakers: tuple[str, ...]
    labels: Mapping[str, Counts]
    ignored_segments: int = 0
    ignored_words: int = 0


@dataclass(frozen=True)
class _Segment:
    id: str
    speaker: str
    text: str
    reference: tuple[Item, ...]
    hypothesis: tuple[Item, ...]
    labels: tuple[str, ...] = ()


def score_transcripts(
    references: Mapping[str, str], hypotheses: Mapping[str, str], options: NistOptions = SCLITE, seed: int = 0
) -> NistReport:
    """Score TRN texts by id.

    Args:
        references: id to text, with alternatives and optional words.
        hypotheses: likewise; the same ids, in capitals or not.
        options: how the texts are read.
        seed: of the bootstrap.

    Raises:
        InputError: an id is missing on one side, an id names no speaker, braces do not match, or there is no reference word.
    """
    sides = [{options.fold(name): text for name, text in side.items()} for side in (references, hypotheses)]
    for names, other, fault in ((sides[0], sides[1], "hypothesis"), (sides[1], sides[0], "reference")):
        missing = [name for name in names if name not in other]
        if missing:
            raise InputError(
                f"score: {len(missing)} ids have no {fault}: {first_names(missing)}; expected the same ids"
            )
    segments = [
        _Segment(
            name,
            _speaker_of(name, options),
            sides[0][name],
            parse_transcript(sides[0][name], options, f"reference {name}"),
            parse_transcript(text, options, f"hypothesis {name}"),
        )
        for name, text in sides[1].items()
    ]
    return _score(segments, options, seed)


def score_segments(
    segments: Sequence[StmSegment], words: Sequence[CtmWord], options: NistOptions = SCLITE, seed: int = 0
) -> NistReport:
    """Score the words of a CTM file against the segments of an STM file.

    A word belongs to the first segment of its recording and channel that ends after its middle, or to the last one. Segments
    with the text IGNORE_TIME_SEGMENT_IN_SCORING, and the words in them, do not count.

    Raises:
        InputError: words of a recording and channel without a segment, alternatives that do not end, or as `score_transcripts`.
    """
    by_channel: dict[tuple[str, str], list[StmSegment]] = {}
    for segment in segments:
        by_channel.setdefault((options.fold(segment.recording), options.fold(segment.channel)), []).append(segment)
    spoken = _items_by_channel(words, options)
    unknown = [f"{recording} {channel}" for recording, channel in spoken if (recording, channel) not in by_channel]
    if unknown:
        raise InputError(
            f"score: words of recordings and channels without a segment: {first_names(unknown)}; correct the STM"
        )
    scored: list[_Segment] = []
    ignored = ignored_words = 0
    counts: dict[str, int] = {}
    for key, group in by_channel.items():
        ordered = sorted(group, key=lambda segment: segment.start_s)
        for segment, items in zip(ordered, _divide(spoken.get(key, []), ordered), strict=True):
            if any(mark in segment.text.lower() for mark in IGNORED):
                ignored, ignored_words = ignored + 1, ignored_words + len(items)
                continue
            speaker = options.fold(segment.speaker)
            counts[speaker] = counts.get(speaker, -1) + 1
            where = f"line {segment.line} of the STM file"
            scored.append(
                _Segment(
                    f"{speaker}-{counts[speaker]:03d}",
                    speaker,
                    segment.text,
                    parse_transcript(segment.text, options, where),
                    tuple(item for _, item in items),
                    tuple(label for label in segment.labels.strip("<>").split(",") if label),
                )
            )
    report = _score(scored, options, seed)
    return NistReport(report.report, report.speakers, report.labels, ignored, ignored_words)


_TimedItem = tuple[float, Item]  # time of the middle


def _items_by_channel(words: Sequence[CtmWord], options: NistOptions) -> dict[tuple[str, str], list[_TimedItem]]:
    """Words and alternatives of each recording and channel, in order of time."""
    channels: dict[tuple[str, str], list[CtmWord]] = {}
    for word in words:
        channels.setdefault((options.fold(word.recording), options.fold(word.channel)), []).append(word)
    return {key: sorted(_items(rows, options), key=lambda item: item[0]) for key, rows in channels.items()}


def _items(rows: Iterable[CtmWord], options: NistOptions) -> list[_TimedItem]:
    items: list[_TimedItem] = []
    choices: list[list[Item]] | None = None
    middle = 0.0
    for row in rows:
        mark = row.text.upper() if row.start_s is None else ""
        if row.start_s is None or row.duration_s is None:
            if (choices is None) != (mark == "<ALT_BEGIN>") or mark not in ("<ALT_BEGIN>", "<ALT>", "<ALT_END>"):
                raise InputError(
                    f"line {row.line} of the CTM file: {row.text!r} is not expected here; correct the alternatives"
                )
            if mark == "<ALT_END>" and choices is not None:
                items.append(
                    (middle, Alternatives(tuple(tuple(choice) or (NetWord(NULL, NULL),) for choice in choices)))
                )
                choices = None
            else:
                choices, middle = ([[]], 0.0) if choices is None else ([*choices, []], middle)
            continue
        word, at = make_word(options.fold(row.text), options), row.start_s + row.duration_s / 2
        if choices is None:
            items.append((at, word))
        else:
            choices[-1].append(word)
            middle = max(middle, at)
    if choices is not None:
        raise InputError("the CTM file ends, or its recording does, before an <ALT_END>; correct the alternatives")
    return items


def _divide(items: Sequence[_TimedItem], segments: Sequence[StmSegment]) -> list[list[_TimedItem]]:
    """The items of each segment: those whose middle lies before its end and that no earlier one has; the last: the rest."""
    parts: list[list[_TimedItem]] = []
    position = 0
    for number, segment in enumerate(segments, start=1):
        begin = position
        while position < len(items) and (number == len(segments) or items[position][0] < segment.end_s):
            position += 1
        parts.append(list(items[begin:position]))
    return parts


def _speaker_of(name: str, options: NistOptions) -> str:
    """The speaker that an utterance id names."""
    if options.speaker_ids == "sp":
        return name
    if options.speaker_ids == "wsj":
        return name[:3]
    mark = "-" if "-" in name else "_"
    speaker = name.split(mark, maxsplit=1)[0]
    if mark not in name or not speaker:
        raise InputError(
            f"score: id {name!r} names no speaker (expected speaker-utterance); rename it, or pass --speaker-ids sp"
        )
    return speaker


def _score(segments: Sequence[_Segment], options: NistOptions, seed: int) -> NistReport:
    word_pairs: list[list[Pair]] = []
    character_pairs: list[list[Pair]] = []
    rows: list[ScoredUtterance] = []
    labels: dict[str, Counts] = {}
    for segment in segments:
        words = align_networks(build_network(segment.reference), build_network(segment.hypothesis))
        characters = _align_characters(segment, options, without_marks=False)
        has_marks = any(remove_marks(text) != text for text in (segment.text, _text_of(segment.hypothesis)))
        letters = _align_characters(segment, options, without_marks=True) if has_marks else characters
        counts = count_errors(words)
        for label in segment.labels:
            labels[label] = labels.get(label, Counts()) + counts
        rows.append(
            ScoredUtterance(
                id=segment.id,
                speaker=segment.speaker,
                reference=segment.text,
                hypothesis=_text_of(segment.hypothesis),
                normalized_reference=" ".join(word for word, _ in words if word is not None),
                normalized_hypothesis=" ".join(word for _, word in words if word is not None),
                words=counts,
                characters=count_errors(characters),
                base_letters=count_errors(letters),
            )
        )
        word_pairs.append(words)
        character_pairs.append(characters)
    if not any(row.words.total for row in rows):
        raise InputError(
            "score: the references have no word at all, so there is no error rate; give references with words"
        )
    ordered = tuple(sorted(rows, key=lambda row: row.id))
    report = WerReport(
        ordered,
        Normalizer(lowercase=not options.case_sensitive, punctuation="keep"),
        *choose_intervals(ordered, seed),
        count_confusions(word_pairs),
        count_confusions(character_pairs),
    )
    return NistReport(report, tuple(dict.fromkeys(row.speaker for row in rows)), labels)


def _align_characters(segment: _Segment, options: NistOptions, *, without_marks: bool) -> list[Pair]:
    sides = (
        to_characters(side, options, without_marks=without_marks) for side in (segment.reference, segment.hypothesis)
    )
    return align_networks(*map(build_network, sides))


def _text_of(items: Iterable[Item]) -> str:
    """A transcript as text again."""
    return " ".join(
        "{ " + " / ".join(_text_of(choice) for choice in item.choices) + " }"
        if isinstance(item, Alternatives)
        else item.shown
        for item in items
    )
