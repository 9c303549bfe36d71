"""Rules about what several utterances share: recordings, sentences and speakers of different splits."""

from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Iterator, Sequence
from itertools import combinations
from pathlib import Path

from speechxfer.checking.audio_rules import SILENCE_PEAK
from speechxfer.checking.findings import (
    ADVICE,
    SHOWN_IDS,
    Entry,
    Finding,
    Key,
    Role,
    SplitSummary,
)
from speechxfer.errors import count_of, first_names

Placed = tuple[int, Entry]  # an entry with its place among all
KEPT_FIRST: tuple[Role, ...] = ("test", "dev", "train")  # the split whose copy of a shared recording is kept


def duplicate_findings(entries: Sequence[Entry], faulty: Container[Key]) -> Iterator[Finding]:
    """A finding for every copy but one; kept is the first of the copies that are not `faulty`, in the order of `KEPT_FIRST`.

    Copies have the same decoded samples (a WAV and a FLAC of one recording are copies, a lossy one is not), start at the
    same place of a file, or overlap in it across splits.
    """
    audible = [
        (place, entry) for place, entry in enumerate(entries) if entry.audio and entry.audio.peak >= SILENCE_PEAK
    ]
    removed: set[Key] = set()
    for group in [*_copies(audible), *_overlaps(audible)]:
        remaining = [ranked for ranked in group if ranked[1].key not in removed]
        remaining.sort(key=lambda ranked: (ranked[1].key in faulty, KEPT_FIRST.index(ranked[1].role), ranked[0]))
        for _, entry in remaining[1:]:
            removed.add(entry.key)
            kept = remaining[0][1]
            what = f"the recording of {kept.id!r} in {kept.split}, or most of it; expected every recording once"
            yield entry.finding("error", "duplicate audio", what)


def _copies(audible: Sequence[Placed]) -> Iterable[list[Placed]]:
    """Entries with the same samples, or with the same start in a file; most have none, so that only their hashes are kept."""
    times = Counter(hash(key) for _, entry in audible for key in _copy_keys(entry))
    copies: dict[object, list[Placed]] = defaultdict(list)
    for placed in audible:
        for key in _copy_keys(placed[1]):
            if times[hash(key)] > 1:
                copies[key].append(placed)
    return copies.values()


def _copy_keys(entry: Entry) -> Iterator[tuple[object, ...]]:
    if entry.audio:
        if entry.audio.is_decoded:
            yield "samples", entry.audio.rate_hz, entry.audio.digest
        yield "start", entry.path, entry.audio.start


def _overlaps(audible: Sequence[Placed]) -> Iterator[list[Placed]]:
    """Pairs of different splits that share more than half of the shorter one's segment of a file."""
    if len({entry.split for _, entry in audible}) == 1:
        return
    by_path: dict[Path, list[tuple[int, int, Placed]]] = defaultdict(list)
    for placed in audible:
        if audio := placed[1].audio:
            by_path[placed[1].path].append((audio.start, audio.start + audio.samples, placed))
    for segments in by_path.values():
        open_segments: list[tuple[int, int, Placed]] = []
        for start, end, placed in sorted(segments, key=lambda segment: segment[:2]):
            open_segments = [other for other in open_segments if other[1] > start]
            for other_start, other_end, other in open_segments:
                shorter = min(end - start, other_end - other_start)
                if other[1].split != placed[1].split and 2 * (min(end, other_end) - start) > shorter:
                    yield [other, placed]
            open_segments.append((start, end, placed))


def shared_sentence_findings(entries: Sequence[Entry]) -> Iterator[Finding]:
    """Warnings about utterances of dev and test whose text is in train."""
    held_out = {entry.text for entry in entries if entry.role != "train"}
    train_ids: dict[str, list[str]] = defaultdict(list)
    for entry in entries:
        if entry.role == "train" and entry.text and entry.text in held_out:
            train_ids[entry.text].append(entry.id)
    for entry in entries:
        if entry.role != "train" and entry.text in train_ids:
            ids = first_names(train_ids[entry.text], SHOWN_IDS)
            what = f"train has {entry.text[:60]!r} too ({ids}); expected a sentence of its own"
            yield entry.finding("warning", "shared sentence", what)


def shared_speaker_findings(splits: Sequence[SplitSummary], entries: Sequence[Entry]) -> Iterator[Finding]:
    """A warning for each pair of splits that share speakers."""
    counts: dict[str, Counter[str]] = {split.name: Counter() for split in splits}
    for entry in entries:
        if entry.utterance.speaker:
            counts[entry.split][entry.utterance.speaker] += 1
    for a, b in combinations(splits, 2):
        shared = sorted(counts[a.name].keys() & counts[b.name].keys())
        if shared and a.role != b.role:
            amount = sum(counts[b.name][speaker] for speaker in shared)
            speakers = count_of(len(counts[b.name]), "speaker")
            message = (
                f"{a.name} has {len(shared)} of {b.name}'s {speakers} too ({first_names(shared, SHOWN_IDS)}; "
                f"{count_of(amount, 'utterance')}); expected none; {ADVICE['shared speaker']}"
            )
            yield Finding("warning", "shared speaker", f"{a.name} + {b.name}", "", message)
