"""Rules about single recordings: format, truncation, place in the file, length and signal."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence

from speechxfer.checking.findings import Entry, Finding, MeasuredAudio
from speechxfer.checking.settings import CheckSettings
from speechxfer.data import MISSING_AT_MOST

SILENCE_PEAK = 10 ** (-60 / 20)
MOSTLY_ZEROS = 0.5  # share of samples that are exactly zero
CLIPPED_SHARE = 0.001  # of the samples, in runs at full scale
ROUNDING_S = 0.05  # a duration that exceeds the file by at most this was rounded: `repair` corrects it
UNUSED_S = 0.1  # a longer unused end of a file that no other utterance uses is a warning


def audio_findings(entries: Sequence[Entry], settings: CheckSettings) -> Iterator[Finding]:
    """Findings about each recording that could be read."""
    users = Counter(entry.path for entry in entries)
    for entry in entries:
        if entry.audio:
            yield from _format_findings(entry, entry.audio, settings)
            yield from _place_findings(entry, entry.audio, only_user=users[entry.path] == 1)
            if entry.audio.samples:
                yield from _length_findings(entry, entry.audio, settings)
                yield from _signal_findings(entry, entry.audio)


def _format_findings(entry: Entry, audio: MeasuredAudio, settings: CheckSettings) -> Iterator[Finding]:
    if audio.rate_hz != settings.sample_rate_hz and not settings.resample:
        what = f"{entry.path}: {audio.rate_hz} Hz; expected {settings.sample_rate_hz} Hz"
        yield entry.finding("error", "wrong rate", what)
    if audio.channels > 1 and not settings.mono:
        yield entry.finding("error", "several channels", f"{entry.path}: {audio.channels} channels; expected one")
    elif audio.channels_cancel:
        what = f"{entry.path}: the average of its {audio.channels} channels is almost silent; expected speech"
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


def _place_findings(entry: Entry, audio: MeasuredAudio, *, only_user: bool) -> Iterator[Finding]:
    """Whether offset and duration are inside the file; `only_user`: no other utterance uses the file."""
    utterance = entry.utterance
    end_s = utterance.offset + utterance.duration
    what = f"{utterance.offset:g} s to {end_s:g} s of {entry.path}, which has {audio.file_samples / audio.rate_hz:g} s"
    if not audio.file_samples:
        yield entry.finding("error", "zero length", f"{entry.path} has no samples; expected speech")
    elif not audio.asked:
        yield entry.finding("error", "zero length", "the manifest says 0 s; expected speech")
    elif audio.start + audio.asked > audio.file_samples + 1:  # reading tolerates one sample
        excess_s = (audio.start + audio.asked - audio.file_samples) / audio.rate_hz
        what += "; expected a segment inside it"
        if excess_s <= ROUNDING_S and audio.samples:
            advice = "--fix sets the duration to the end of the file"
            yield entry.finding("error", "duration", what, advice, correct_duration_s=audio.seconds)
        else:
            yield entry.finding("error", "duration", what)
    elif only_user and not audio.start and (audio.file_samples - audio.asked) / audio.rate_hz > UNUSED_S:
        yield entry.finding("warning", "duration", f"{what}; expected all of it")


def _length_findings(entry: Entry, audio: MeasuredAudio, settings: CheckSettings) -> Iterator[Finding]:
    if settings.count_frames(audio) < 1:
        yield entry.finding("error", "too short", f"{audio.samples} samples; expected enough for one frame")
    if audio.seconds > settings.max_duration_s:
        what = f"{audio.seconds:.1f} s; expected at most {settings.max_duration_s:g} s"
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
