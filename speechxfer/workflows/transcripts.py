"""Transcripts of recordings as files and as lines: text, TSV, CTM, JSON, subtitles, TextGrid, ELAN.

The utterances of a transcript are the segments that were decoded. Subtitles (SRT, VTT) have shorter cues, cut at the longest
pauses between words; their limits are those usual for subtitles in films.
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Literal

from speechxfer.annotations import (
    SUFFIXES,
    UTTERANCES,
    WORDS,
    Annotation,
    Interval,
    Tier,
    annotation_to_dict,
    render_annotation,
    render_ctm,
    render_tsv,
    tier_name,
)
from speechxfer.data import Utterance
from speechxfer.decoding import Hypothesis
from speechxfer.errors import InputError
from speechxfer.runtime import write_atomically

TranscriptFormat = Literal["text", "tsv", "json", "srt", "vtt", "textgrid", "eaf", "ctm"]
STREAMED = ("text", "tsv", "ctm", "json")  # of which several recordings follow one another on stdout
MAX_CUE_CHARACTERS = 84  # two lines
MAX_CUE_S = 7.0
MAX_CUE_PAUSE_S = 1.0
MIN_CUE_S = 1.0
CUE_TAIL_S = 0.3  # that a cue stays after its last word, if there is room


@dataclass(frozen=True)
class Transcript:
    """The hypotheses of one recording.

    Attributes:
        media: the recording.
        duration_s: its length; of a manifest, the end of its last utterance.
        segments: utterances with their hypotheses, in order of time; offsets are from the start of the recording.
    """

    media: Path
    duration_s: float
    segments: tuple[tuple[Utterance, Hypothesis], ...]

    def annotation(self, *, cues: bool = False) -> Annotation:
        """Tiers of utterances and words, of each speaker; with `cues`, the utterances are cut into subtitles."""
        tiers = []
        for speaker in sorted({utterance.speaker for utterance, _ in self.segments}):
            own = [segment for segment in self.segments if segment[0].speaker == speaker]
            utterances = [_interval(utterance, hypothesis) for utterance, hypothesis in own if hypothesis.text]
            words = [word for utterance, hypothesis in own for word in _words(utterance, hypothesis)]
            if cues:
                utterances = [cue for segment in own for cue in _cues(*segment)]
                utterances = _lengthen(utterances, self.duration_s)
            tiers.append(Tier(tier_name(UTTERANCES, speaker), tuple(utterances), speaker))
            if words and not cues:
                tiers.append(Tier(tier_name(WORDS, speaker), tuple(words), speaker))
        return Annotation(self.media, self.duration_s, tuple(tiers))


def group_by_recording(results: Sequence[tuple[Utterance, Hypothesis]]) -> list[Transcript]:
    """The transcripts of the recordings that the utterances of a manifest are in, in the order of their first utterances."""
    by_media: dict[Path, list[tuple[Utterance, Hypothesis]]] = defaultdict(list)
    for utterance, hypothesis in results:
        by_media[utterance.audio_filepath].append((utterance, hypothesis))
    return [
        Transcript(
            media,
            max(utterance.offset + utterance.duration for utterance, _ in segments),
            tuple(sorted(segments, key=lambda segment: segment[0].offset)),
        )
        for media, segments in by_media.items()
    ]


def render_transcript(transcript: Transcript, format: TranscriptFormat, folder: Path = Path()) -> str:
    """The content of a file: of text, a line per utterance."""
    if format == "text":
        return "".join(f"{hypothesis.text}\n" for _, hypothesis in transcript.segments)
    return render_annotation(transcript.annotation(cues=format in ("srt", "vtt")), format, folder)


def print_transcripts(transcripts: Sequence[Transcript], format: TranscriptFormat, *, first: bool) -> str:
    """What stdout gets of some recordings: rows of TSV (a header if they are the first) or CTM, an object of JSON a line."""
    annotations = [transcript.annotation(cues=format in ("srt", "vtt")) for transcript in transcripts]
    match format:
        case "tsv":
            header, rows = render_tsv(annotations).split("\n", 1)
            return f"{header}\n{rows}" if first else rows
        case "ctm":
            return render_ctm(annotations)
        case "json":
            objects = (json.dumps(annotation_to_dict(annotation), ensure_ascii=False) for annotation in annotations)
            return "".join(f"{one}\n" for one in objects)
    return "".join(render_transcript(transcript, format) for transcript in transcripts)


def plan_files(media: Sequence[Path], format: TranscriptFormat, folder: Path) -> dict[Path, Path]:
    """The file in `folder` for each recording, ``STEM.SUFFIX``.

    Raises:
        InputError: two recordings would have one file.
    """
    suffix = ".txt" if format == "text" else SUFFIXES[format]
    files: dict[Path, Path] = {}
    users: dict[str, list[Path]] = defaultdict(list)
    for path in dict.fromkeys(media):
        files[path] = folder / f"{path.stem}{suffix}"
        users[f"{path.stem}{suffix}".casefold()].append(path)  # some file systems ignore case
    shared = [paths for paths in users.values() if len(paths) > 1]
    if shared:
        names = " and ".join(str(path) for path in shared[0][:2])
        raise InputError(
            f"{names}: both would be written to {files[shared[0][0]]}; rename one, or transcribe them into folders of their own"
        )
    return files


def check_names(media: Sequence[Path], format: TranscriptFormat) -> None:
    """InputError if a table of several recordings would name two of them alike: by file name (TSV), without suffix (CTM)."""
    if format not in ("tsv", "ctm"):
        return
    named: dict[str, Path] = {}
    for path in dict.fromkeys(media):
        name = "_".join((path.stem if format == "ctm" else path.name).split())
        if name in named:
            raise InputError(
                f"--format {format}: {named[name]} and {path}: both would be called {name} in the table; "
                "transcribe them one by one, or into JSON, which has whole paths"
            )
        named[name] = path


def write_transcript(transcript: Transcript, format: TranscriptFormat, file: Path) -> None:
    """Write one file, whole or not at all; bytes of file names that are not UTF-8 as on stdout: ``\\udcff``, which JSON reads."""
    content = render_transcript(transcript, format, file.parent)
    write_atomically(file, content.encode("utf-8", "backslashreplace"))


def _interval(utterance: Utterance, hypothesis: Hypothesis) -> Interval:
    end_s = utterance.offset + utterance.duration
    return Interval(utterance.offset, end_s, hypothesis.text, hypothesis.confidence)


def _words(utterance: Utterance, hypothesis: Hypothesis) -> Iterator[Interval]:
    for word in hypothesis.words:
        start_s, end_s = utterance.offset + word.start_s, utterance.offset + word.end_s
        yield Interval(start_s, end_s, word.text, word.confidence)


def _cues(utterance: Utterance, hypothesis: Hypothesis) -> list[Interval]:
    """The cues of an utterance; one without words, of a classifier, is a cue."""
    words = list(_words(utterance, hypothesis))
    if not words:
        return [_interval(utterance, hypothesis)] if hypothesis.text else []
    return [
        Interval(part[0].start_s, part[-1].end_s, " ".join(word.text for word in part)) for part in split_words(words)
    ]


def split_words(words: Sequence[Interval]) -> list[Sequence[Interval]]:
    """Cut words at their pauses, until each part is at most `MAX_CUE_S` and `MAX_CUE_CHARACTERS` long and has no long pause.

    Of the pauses, the one that is longest counts, less so the nearer it is to the ends.
    """
    characters = sum(len(word.text) + 1 for word in words) - 1
    pauses = [after.start_s - before.end_s for before, after in pairwise(words)]
    short = characters <= MAX_CUE_CHARACTERS and words[-1].end_s - words[0].start_s <= MAX_CUE_S
    if len(words) == 1 or (short and max(pauses) <= MAX_CUE_PAUSE_S):
        return [words]
    if short:
        cut = max(range(len(pauses)), key=lambda i: pauses[i]) + 1
    else:
        middle = len(words) / 2
        cut = max(range(len(pauses)), key=lambda i: (pauses[i] + 0.1) * (1 - abs(i + 1 - middle) / (middle + 1))) + 1
    return [*split_words(words[:cut]), *split_words(words[cut:])]


def _lengthen(cues: Sequence[Interval], duration_s: float) -> list[Interval]:
    """Cues that stay `CUE_TAIL_S` longer, and at least `MIN_CUE_S`, but never into the next one."""
    starts = [*(cue.start_s for cue in cues[1:]), max([duration_s, *(cue.end_s for cue in cues)])]
    return [
        replace(cue, end_s=max(cue.end_s, min(following, max(cue.end_s + CUE_TAIL_S, cue.start_s + MIN_CUE_S))))
        for cue, following in zip(cues, starts, strict=True)
    ]
