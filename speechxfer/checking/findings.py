"""Findings of a check: their kinds with advice, and the utterances that they are about."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from speechxfer.data import Utterance

Severity = Literal["error", "warning"]
Role = Literal["train", "dev", "test"]
Key = tuple[str, int]  # split and line number: one place in a manifest, also where an id is used twice
SHOWN_IDS = 5
ADVICE = {  # every kind of finding, in the order of the report
    "broken line": "correct the line, or let --fix remove it",
    "empty manifest": "prepare the data again",
    "duplicate id": "give every utterance an id of its own",
    "missing audio": "correct audio_filepath, or copy the recordings to that place",
    "unreadable audio": "copy the file again or convert it to WAV or FLAC",
    "truncated audio": "copy the file again, if the original is longer; the samples that are present are used",
    "wrong rate": "pass --resample to convert while reading, or convert the files",
    "several channels": "pass --mono to average them, or extract one channel",
    "cancelling channels": "one channel is probably inverted: extract one channel instead of averaging them",
    "zero length": "record it again or remove it",
    "too short": "remove it",
    "duration": "correct offset and duration in the manifest (seconds)",
    "not finite": "convert the file again from its source",
    "silence": "record it again or remove it",
    "empty text": "write the transcript or remove the utterance",
    "single example": "record each label several times, or remove it",
    "too few frames": "correct transcript or duration, use a smaller subsampling, or classify if few texts recur",
    "duplicate audio": "keep one copy; no recording of train may be in dev or test",
    "digital zeros": "look for drop-outs and padding",
    "clipping": "it was recorded too loud, which cannot be undone; it can still be used for training",
    "too long": "cut it at pauses (offset and duration in the table or manifest), or raise data.max_duration_s",
    "speaking rate": "compare text and recording: one of them is probably longer than the other",
    "remark": "remove what was not said; otherwise the brackets are removed and the words become training text",
    "unseen symbol": "correct the transcripts, or add such text to train: a symbol that train lacks is never recognised",
    "shared sentence": "fine for commands and digits; otherwise the score is too good: give each sentence to one split",
    "shared speaker": "the score then does not hold for new speakers: split by speaker if you can",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault of one utterance, of a manifest, or of a pair of splits.

    Attributes:
        severity: "error" (it stops training, harms it, or invalidates a score) or "warning".
        kind: a key of `ADVICE`.
        split: name of the split, or "train + dev" for what a pair shares.
        id: of the utterance; ``file:line`` if the line could not be read; empty for a pair of splits.
        message: what was found; what was expected; how to fix it.
        line: in the manifest, from 1; 0 for a whole manifest.
        correct_duration_s: the duration that `repair` writes; None: `repair` removes the utterance.
    """

    severity: Severity
    kind: str
    split: str
    id: str
    message: str
    line: int = 0
    correct_duration_s: float | None = None

    @property
    def removes_utterance(self) -> bool:
        """Whether `repair` removes the utterance."""
        return self.severity == "error" and self.correct_duration_s is None


@dataclass(frozen=True)
class UnseenSymbol:
    """A symbol of a split that is not in the vocabulary: its count, and the ids it occurs in."""

    split: str
    symbol: str
    count: int
    ids: tuple[str, ...]


@dataclass(frozen=True)
class SplitSummary:
    """A manifest with the name and role of its split and, once it is read, its contents.

    `seconds` are those of the manifest, `rates_hz` of the recordings.
    """

    name: str
    role: Role
    path: Path
    utterances: int = 0
    seconds: float = 0.0
    speakers: int = 0
    symbols: int = 0
    rates_hz: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class MeasuredAudio:
    """Measurements of the segment of a file that an utterance covers; samples are counted at the file's rate.

    In a quick check nothing is decoded: `is_decoded` is false, and what only samples can tell has a value without fault.
    """

    rate_hz: int
    channels: int
    file_samples: int
    start: int
    asked: int
    samples: int  # read: fewer than asked for if the file ends earlier
    truncated: bool  # the end of the file is missing
    missing_s: float  # of what was asked for
    channels_cancel: bool  # their average is almost silent
    finite: bool
    peak: float  # without the mean (DC)
    zeros: float  # share of samples
    clipped: float  # share of samples
    digest: str
    is_decoded: bool = True
    has_header: bool = True  # false: a quick check took the lengths from the manifest

    @property
    def seconds(self) -> float:
        """Duration of the samples that were read."""
        return self.samples / self.rate_hz


@dataclass(frozen=True, slots=True)
class Entry:
    """An utterance, its place in a manifest, and the measurements of its audio (None: it could not be read)."""

    split: str
    role: Role
    line: int
    utterance: Utterance
    text: str  # normalised
    audio: MeasuredAudio | None = None

    @property
    def id(self) -> str:
        """Of the utterance."""
        return self.utterance.id

    @property
    def path(self) -> Path:
        """Of the recording."""
        return self.utterance.audio_filepath

    @property
    def key(self) -> Key:
        """Split and line."""
        return self.split, self.line

    def finding(
        self, severity: Severity, kind: str, what: str, advice: str = "", *, correct_duration_s: float | None = None
    ) -> Finding:
        """A finding about this utterance; `what` says what was found and what was expected."""
        message = f"{what}; {advice or ADVICE[kind]}"
        return Finding(severity, kind, self.split, self.id, message, self.line, correct_duration_s)
