"""Annotations to utterances: which tiers, whose speech, which recording; what is no utterance is reported with its reason."""

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path

from speechxfer.annotations import UTTERANCES, Annotation, Interval, Tier
from speechxfer.data.decoder import read_audio_header
from speechxfer.data.manifest import Utterance
from speechxfer.errors import InputError, count_of

ROUNDING_S = 0.05  # an interval may end later than its recording by as much; it is shortened without a report
NO_TEXT = "without text"
NO_DURATION = "without duration"
AFTER_THE_END = "after the end of the recording"
SHORTENED = "shortened to the end of the recording"
SOUND_SUFFIXES = (".wav", ".flac", ".mp3", ".ogg", ".opus", ".m4a", ".mp4", ".webm")


@dataclass(frozen=True)
class TierChoice:
    """The tiers to import: those whose name or linguistic type fits one of the patterns (``tx@*``); none: the only one."""

    names: tuple[str, ...] = ()
    types: tuple[str, ...] = ()

    def fits(self, tier: Tier) -> bool:
        """Whether a tier is among them."""
        by_name = any(fnmatchcase(tier.name, pattern) for pattern in self.names)
        return by_name or any(fnmatchcase(tier.type, pattern) for pattern in self.types)

    def unused(self, tiers: Iterable[tuple[str, str]]) -> list[str]:
        """Options whose pattern fits none of the tiers, given by name and type: ``--tier 'tz@*'``."""
        named = list(tiers)
        options = (("--tier", self.names, 0), ("--type", self.types, 1))
        return [
            f"{option} {pattern!r}"
            for option, patterns, part in options
            for pattern in patterns
            if not any(fnmatchcase(tier[part], pattern) for tier in named)
        ]


EVERY_TIER = TierChoice()


@dataclass
class ImportedSpeech:
    """Utterances, and what did not become one, or not as it was: places by reason; and the tiers that there were."""

    utterances: list[Utterance] = field(default_factory=list)
    skipped: dict[str, list[str]] = field(default_factory=dict)
    changed: dict[str, list[str]] = field(default_factory=dict)
    ids: set[str] = field(default_factory=set)
    tiers: dict[tuple[str, str], None] = field(default_factory=dict)  # name and type of all tiers, chosen or not

    def append(self, utterance: Utterance) -> None:
        """Add an utterance, with a number behind its id if that is taken."""
        name, number = utterance.id, 2
        while name in self.ids:
            name, number = f"{utterance.id}-{number}", number + 1
        self.ids.add(name)
        self.utterances.append(replace(utterance, id=name))

    def add(self, other: "ImportedSpeech") -> None:
        """Add what another file has."""
        self.tiers |= other.tiers
        for utterance in other.utterances:
            self.append(utterance)
        for mine, others in ((self.skipped, other.skipped), (self.changed, other.changed)):
            for reason, places in others.items():
                mine.setdefault(reason, []).extend(places)


def import_annotation(
    annotation: Annotation,
    path: Path,
    choice: TierChoice = EVERY_TIER,
    audio_dir: Path | None = None,
    language: str = "",
) -> ImportedSpeech:
    """The utterances of an annotation: one per interval with a text, of the chosen tiers, in order of time.

    A tier's speaker is ELAN's participant, else what follows an @ in its name, else, of several tiers, its name.

    Args:
        annotation: what to import.
        path: its file, for messages and ids.
        choice: of tiers.
        audio_dir: where the recording is, if not where the annotation says.
        language: code of the language of all utterances.

    Raises:
        InputError: the choice fits no tier or is missing where there are several, or the recording is missing or unreadable.
    """
    tiers = choose_tiers(annotation, choice, path)
    media = find_recording(annotation, path, audio_dir)
    header = read_audio_header(media)
    end_s = header.samples / header.rate_hz
    imported = ImportedSpeech(tiers={(tier.name, tier.type): None for tier in annotation.tiers})
    rows = [(interval, tier) for tier in tiers for interval in tier.intervals]
    for interval, tier in sorted(rows, key=lambda row: (row[0].start_s, row[0].end_s)):
        place = f"{path.name} {tier.name!r} {interval.start_s:g} s"
        reason = _reason_to_skip(interval, end_s)
        if reason:
            imported.skipped.setdefault(reason, []).append(place)
            continue
        if interval.end_s > end_s + ROUNDING_S:
            imported.changed.setdefault(SHORTENED, []).append(place)
        imported.append(_utterance(interval, tier, media, end_s, len(tiers) > 1, language))
    return imported


def choose_tiers(annotation: Annotation, choice: TierChoice, path: Path) -> list[Tier]:
    """The tiers to import; InputError names those that there are."""
    with_text = [tier for tier in annotation.tiers if any(interval.text.strip() for interval in tier.intervals)]
    if choice.names or choice.types:
        chosen = [tier for tier in annotation.tiers if choice.fits(tier)]
        fault = "no tier fits"
    else:
        ours = [tier for tier in with_text if tier.name.split("@")[0] == UTTERANCES]
        chosen = ours or (with_text if len(with_text) == 1 else [])
        fault = "has several tiers with text" if with_text else "has no text"
    if not chosen:
        known = "; ".join(map(_describe, annotation.tiers)) or "none"
        raise InputError(f"{path}: {fault}; choose with --tier NAME or --type TYPE; its tiers: {known}")
    return chosen


def find_recording(annotation: Annotation, path: Path, audio_dir: Path | None) -> Path:
    """The recording of an annotation: in `audio_dir` by its name, else where it is said to be, with any suffix of sound."""
    folders = [folder for folder in (audio_dir, annotation.media.parent, path.parent) if folder is not None]
    names = [annotation.media.name, *(annotation.media.stem + suffix for suffix in SOUND_SUFFIXES)]
    names += [annotation.media.name + suffix for suffix in SOUND_SUFFIXES]  # names of CTM and STM have no suffix
    candidates = (folder / name for folder in folders for name in names)
    found = next((candidate for candidate in candidates if os.path.isfile(candidate)), None)
    if found is None:
        raise InputError(f"{path}: its recording {annotation.media} is missing; put it there, or pass --audio FOLDER")
    return found


def describe_places(reasons: Mapping[str, Sequence[str]], names_shown: int = 3) -> str:
    """``12 without text (a.eaf 'tx' 0.5 s, ...), 1 without duration (...)``."""
    parts = []
    for reason, places in reasons.items():
        more = f" and {len(places) - names_shown:,} more" if len(places) > names_shown else ""
        parts.append(f"{len(places):,} {reason} ({', '.join(places[:names_shown])}{more})")
    return ", ".join(parts)


def slug(*parts: str) -> str:
    """Parts of a name joined by hyphens, without spaces and control characters."""
    words: Iterable[str] = (re.sub(r"[\s\x00-\x1f\x7f-\x9f\u2028\u2029]+", "_", part.strip()) for part in parts)
    return "-".join(word for word in words if word)


def _reason_to_skip(interval: Interval, end_s: float) -> str:
    if not interval.text.strip():
        return NO_TEXT
    if interval.start_s < 0 or interval.end_s <= interval.start_s:
        return NO_DURATION
    return AFTER_THE_END if interval.start_s >= end_s else ""


def _utterance(
    interval: Interval, tier: Tier, media: Path, end_s: float, is_one_of_several: bool, language: str
) -> Utterance:
    speaker = tier.speaker.strip() or tier.name.partition("@")[2] or (tier.name if is_one_of_several else "")
    stop_s = min(interval.end_s, end_s)
    times = f"{round(interval.start_s * 1000):08d}", f"{round(stop_s * 1000):08d}"
    return Utterance(
        id=slug(media.stem, speaker if is_one_of_several else "", *times),
        audio_filepath=media,
        duration=round(stop_s - interval.start_s, 6),
        text=interval.text,
        offset=round(interval.start_s, 6),
        speaker=speaker,
        lang=language,
    )


def _describe(tier: Tier) -> str:
    spoken = [interval.text for interval in tier.intervals if interval.text.strip()]
    kind = f"type {tier.type}, " if tier.type else ""
    example = f", such as {' '.join(spoken[0].split())[:30]!r}" if spoken else ""
    return f"{tier.name!r} ({kind}{count_of(len(spoken), 'text')}{example})"
