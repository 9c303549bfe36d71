"""Rules about recordings: format, length, place in the file, signal, duplicates."""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from speechxfer.checking.feasibility import resampled_count
from speechxfer.checking.findings import Entry, Finding, Key, MeasuredAudio, Role
from speechxfer.data import MISSING_AT_MOST

KEPT_FIRST: tuple[Role, ...] = ("test", "dev", "train")  # whose copy of a shared recording stays
SILENCE_PEAK = 10 ** (-60 / 20)
MOSTLY_ZEROS = 0.5  # share of samples that are exactly zero
CLIPPED_SHARE = 0.001  # of the samples, in runs at full scale
ROUNDING_S = 0.05  # a duration that overshoots its file by this much was rounded: `fix` corrects it
UNUSED_S = 0.1  # more than this left over at the end of a file that nobody else uses is worth a look


@dataclass(frozen=True)
class AudioRequirements:
    """What the recordings are held against."""

    sample_rate_hz: int
    frames_of_samples: Callable[[int], int]
    encoder_frames: Callable[[int], int]
    resample: bool
    mono: bool
    speed: float
    max_duration_s: float
    classify: bool

    def frames(self, audio: MeasuredAudio) -> int:
        """Feature frames that training makes of it."""
        samples = resampled_count(audio.samples, audio.rate_hz, self.sample_rate_hz)
        return self.frames_of_samples(resampled_count(samples, self.sample_rate_hz * self.speed, self.sample_rate_hz))


def audio_findings(entries: Sequence[Entry], rules: AudioRequirements) -> Iterator[Finding]:
    users = Counter(entry.path for entry in entries)
    for entry in entries:
        if entry.audio:
            yield from _format_findings(entry, entry.audio, rules)
            yield from _place_findings(entry, entry.audio, alone=users[entry.path] == 1)
            if entry.audio.samples:
                yield from _length_findings(entry, entry.audio, rules)
                yield from _signal_findings(entry, entry.audio)


def _format_findings(entry: Entry, audio: MeasuredAudio, rules: AudioRequirements) -> Iterator[Finding]:
    if audio.rate_hz != rules.sample_rate_hz and not rules.resample:
        what = f"{entry.path}: {audio.rate_hz} Hz; expected {rules.sample_rate_hz} Hz"
        yield entry.finding("error", "wrong rate", what)
    if audio.channels > 1 and not rules.mono:
        yield entry.finding("error", "several channels", f"{entry.path}: {audio.channels} channels; expected one")
    elif audio.channels_cancel:
        what = f"{entry.path}: the average of its {audio.channels} channels is next to silence; expected speech"
        yield entry.finding("warning", "cancelling channels", what)
    yield from _truncation_findings(entry, audio)


def _truncation_findings(entry: Entry, audio: MeasuredAudio) -> Iterator[Finding]:
    if not audio.truncated:
        return
    missing = round(audio.missing_s * audio.rate_hz)
    if missing > MISSING_AT_MOST * audio.asked:
        what = f"{entry.path}: truncated, {missing} of {audio.asked} samples are missing; expected all of them"
        yield entry.finding("error", "unreadable audio", what)
    elif missing or audio.start + audio.asked + 1 >= audio.file_samples:
        amount = f"{1000 * audio.missing_s:.0f} ms are missing" if missing else "its end is missing"
        yield entry.finding("warning", "truncated audio", f"{entry.path}: {amount}; expected the whole recording")


def _place_findings(entry: Entry, audio: MeasuredAudio, *, alone: bool) -> Iterator[Finding]:
    """Whether offset and duration fit the file; `alone`: no other utterance uses it."""
    utterance = entry.utterance
    what = f"{utterance.offset:g} s to {utterance.offset + utterance.duration:g} s of {entry.path}, which has {audio.file_s:g} s"
    if not audio.file_samples:
        yield entry.finding("error", "zero length", f"{entry.path} holds no sample; expected speech")
    elif not audio.asked:
        yield entry.finding("error", "zero length", "the manifest says 0 s; expected speech")
    elif audio.start + audio.asked > audio.file_samples + 1:  # one sample is what reading forgives
        overshoot_s = (audio.start + audio.asked - audio.file_samples) / audio.rate_hz
        if overshoot_s <= ROUNDING_S and audio.samples:
            what += "; expected a stretch inside it"
            advice = "--fix ends the utterance with the file"
            yield entry.finding("error", "duration", what, advice, correct_duration_s=audio.seconds)
        else:
            yield entry.finding("error", "duration", f"{what}; expected a stretch inside it")
    elif alone and not audio.start and (audio.file_samples - audio.asked) / audio.rate_hz > UNUSED_S:
        yield entry.finding("warning", "duration", f"{what}; expected all of it")


def _length_findings(entry: Entry, audio: MeasuredAudio, rules: AudioRequirements) -> Iterator[Finding]:
    if rules.frames(audio) < 1:
        yield entry.finding("error", "too short", f"{audio.samples} samples; expected enough for one frame")
    if audio.seconds > rules.max_duration_s:
        what = f"{audio.seconds:.1f} s; expected at most {rules.max_duration_s:g} s"
        yield entry.finding("error" if entry.role == "train" else "warning", "too long", what)


def _signal_findings(entry: Entry, audio: MeasuredAudio) -> Iterator[Finding]:
    if not audio.finite:
        yield entry.finding("error", "not finite", "some samples are NaN, infinite or huge; expected -1 to 1")
    if audio.peak < SILENCE_PEAK:
        level = f"a peak of {20 * math.log10(audio.peak):.0f} dB" if audio.peak else "no sound at all"
        yield entry.finding("error", "silence", f"{level}; expected speech, above -60 dB of full scale")
    elif audio.zeros > MOSTLY_ZEROS:
        what = f"{audio.zeros:.0%} of the samples are exactly zero; expected at most {MOSTLY_ZEROS:.0%}"
        yield entry.finding("warning", "digital zeros", what)
    if audio.clipped > CLIPPED_SHARE:
        what = f"{audio.clipped:.1%} of the samples are clipped; expected at most {CLIPPED_SHARE:.1%}"
        yield entry.finding("warning", "clipping", what)


def duplicate_findings(entries: Sequence[Entry], faulty: Container[Key]) -> Iterator[Finding]:
    """Every copy but the one that stays: a sound copy before a faulty one, then test's, dev's, train's, then the first."""
    rank = {entry.key: (entry.key in faulty, KEPT_FIRST.index(entry.role), i) for i, entry in enumerate(entries)}
    heard = [(entry, entry.audio) for entry in entries if entry.audio and entry.audio.peak >= SILENCE_PEAK]
    same: dict[object, list[Entry]] = defaultdict(list)
    for entry, audio in heard:
        same["samples", audio.rate_hz, audio.digest].append(entry)
        same["start", entry.path, audio.start].append(entry)
    lost: set[Key] = set()
    for group in [*same.values(), *_overlaps(heard)]:
        left = sorted((entry for entry in group if entry.key not in lost), key=lambda entry: rank[entry.key])
        for entry in left[1:]:
            lost.add(entry.key)
            what = f"the recording of {left[0].id!r} in {left[0].split}, or most of it; expected every recording once"
            yield entry.finding("error", "duplicate audio", what)


def _overlaps(heard: Sequence[tuple[Entry, MeasuredAudio]]) -> Iterator[list[Entry]]:
    """Pairs of different splits that share more than half of the shorter one's stretch of a file."""
    by_path: dict[Path, list[tuple[int, int, Entry]]] = defaultdict(list)
    for entry, audio in heard:
        by_path[entry.path].append((audio.start, audio.start + audio.samples, entry))
    for stretches in by_path.values():
        running: list[tuple[int, int, Entry]] = []
        for start, end, entry in sorted(stretches, key=lambda stretch: stretch[:2]):
            running = [other for other in running if other[1] > start]
            for other_start, other_end, other in running:
                shorter = min(end - start, other_end - other_start)
                if other.split != entry.split and 2 * (min(end, other_end) - start) > shorter:
                    yield [other, entry]
            running.append((start, end, entry))
