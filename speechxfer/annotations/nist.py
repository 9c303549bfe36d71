"""NIST's line formats of transcripts, as sclite reads them: CTM (words with times), STM (segments with times), TRN (texts).

Source: SCTK's documentation, "ctm", "stm" and "trn" formats. A file may hold several recordings. Fields are separated by spaces,
so spaces in names become "_". Texts are written as they are: ``{ a / b }``, ``(a)`` and ``@`` have their meaning for sclite.
"""

from collections.abc import Iterable

from speechxfer.annotations.tiers import UTTERANCES, WORDS, Annotation, check_annotation, one_line, spoken_intervals
from speechxfer.errors import InputError

CHANNEL = "A"


def render_ctm(annotations: Iterable[Annotation], channel: str = CHANNEL) -> str:
    """Words (tiers `WORDS`) as CTM: ``recording channel start duration word [score]``, one a line.

    Raises:
        InputError: an interval holds several words, or see `check_annotation` and `tiers_of`.
    """
    lines = []
    for annotation in annotations:
        recording = field(annotation.media.stem)
        for tier, interval in spoken_intervals(check_annotation(annotation), WORDS):
            word = one_line(interval.text)
            if " " in word:
                raise InputError(
                    f"{annotation.media}: tier {tier.name!r}: {word[:60]!r} at {interval.start_s:g} s has several words; "
                    "CTM has one word a line; give a tier of words"
                )
            score = "" if interval.score is None else f" {interval.score:.4f}"
            duration_s = interval.end_s - interval.start_s
            lines.append(f"{recording} {channel} {interval.start_s:.3f} {duration_s:.3f} {word}{score}\n")
    return "".join(lines)


def render_stm(annotations: Iterable[Annotation], channel: str = CHANNEL) -> str:
    """Utterances (tiers `UTTERANCES`) as STM: ``recording channel speaker start end text``; speaker "": the recording."""
    lines = []
    for annotation in annotations:
        recording = field(annotation.media.stem)
        for tier, interval in spoken_intervals(check_annotation(annotation), UTTERANCES):
            speaker = field(tier.speaker) if tier.speaker.strip() else recording
            times = f"{interval.start_s:.3f} {interval.end_s:.3f}"
            lines.append(f"{recording} {channel} {speaker} {times} {one_line(interval.text)}\n")
    return "".join(lines)


def render_trn(texts: Iterable[tuple[str, str]]) -> str:
    """Pairs of id and text as TRN: ``text (id)``, one a line. For scores by speaker the ids are ``speaker-utterance``."""
    lines = []
    for name, text in texts:
        line = f"{one_line(text)} ({field(name).replace('(', '_').replace(')', '_')})".lstrip()
        lines.append(f" {line}\n" if line.startswith(";;") else f"{line}\n")  # a line that begins with ;; is a comment
    return "".join(lines)


def trn_of(annotations: Iterable[Annotation]) -> str:
    """The utterances of annotations as TRN, with ids ``speaker-recording_start_end`` in milliseconds."""
    pairs = []
    for annotation in annotations:
        for tier, interval in spoken_intervals(check_annotation(annotation), UTTERANCES):
            recording = field(annotation.media.stem)
            times = f"{round(interval.start_s * 1000):08d}_{round(interval.end_s * 1000):08d}"
            pairs.append((f"{field(tier.speaker or recording)}-{recording}_{times}", interval.text))
    return render_trn(pairs)


def field(name: str) -> str:
    """A name without spaces, for a field of a line."""
    joined = "_".join(one_line(name).split())
    if not joined:
        raise InputError(f"{name!r}: is no name for a field of a NIST file; name the recording or speaker with letters")
    return joined
