"""Findings of a check: kinds with their advice, and the utterances they concern."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from speechxfer.data import Utterance

Severity = Literal["error", "warning"]
Role = Literal["train", "dev", "test"]
Key = tuple[str, int]  # split and line number: one place in a manifest, also where ids are used twice
SHOWN_IDS = 5
ADVICE = {  # every kind of finding, in the order of the report
    "broken line": "mend the line, or let --fix drop it",
    "empty manifest": "prepare the data again",
    "duplicate id": "give every utterance an id of its own",
    "missing audio": "correct audio_filepath, or copy the recordings to where it points",
    "unreadable audio": "copy the file again or convert it to WAV or FLAC",
    "truncated audio": "copy the file again, if the original is longer; it is read as far as it goes",
    "wrong rate": "pass --resample to convert while reading, or convert the files",
    "several channels": "pass --mono to average them, or extract one channel",
    "cancelling channels": "one channel is probably inverted: extract one channel instead of averaging them",
    "zero length": "record it again or leave it out",
    "too short": "leave it out",
    "duration": "correct offset and duration in the manifest (seconds)",
    "not finite": "convert the file again from its source",
    "silence": "record it again or leave it out",
    "empty text": "write the transcript or leave it out",
    "unknown symbol": "correct the transcripts, or take the vocabulary from this training text",
    "single example": "record each label several times, or remove it",
    "ctc": "correct transcript or duration, use a smaller subsampling, or classify if every text is one word",
    "duplicate audio": "keep one copy; none of train's may be in dev or test",
    "digital zeros": "look for drop-outs and padding",
    "clipping": "listen; recorded too loud, it cannot be mended but still trains",
    "too long": "cut it at pauses (offset and duration in the table or manifest), or raise data.max_duration_s",
    "speaking rate": "compare text and recording: one of them is probably longer than the other",
    "remark": "take out what was not said; else its brackets are dropped and its words are learnt",
    "unseen symbol": "correct the transcripts, or add such text to train: what train lacks is never recognised",
    "shared sentence": "fine for commands and digits; else the score flatters: keep sentences apart",
    "shared speaker": "the score then says nothing about new speakers: split by speaker if you can",
}


@dataclass(frozen=True)
class Finding:
    """One thing wrong with one utterance, or with a manifest or pair of splits as a whole.

    Attributes:
        severity: "error" or "warning"; see the module's conventions.
        kind: a key of `ADVICE`.
        split: name of the split, or "train + dev" for what a pair shares.
        id: of the utterance; ``file:line`` where the line could not be read; empty for a pair of splits.
        message: what happened; what was expected; how to fix it.
        line: in the manifest, from 1; 0 for the whole.
        correct_duration_s: what `fix` writes instead of leaving the utterance out; None where it leaves it out.
    """

    severity: Severity
    kind: str
    split: str
    id: str
    message: str
    line: int = 0
    correct_duration_s: float | None = None


@dataclass(frozen=True)
class UnseenSymbol:
    """A symbol of a split that the vocabulary (train's, unless one was given) lacks: how often, and in which ids."""

    split: str
    symbol: str
    count: int
    ids: tuple[str, ...]


@dataclass(frozen=True)
class SplitSummary:
    """What a manifest holds; `seconds` as it says itself, `rates_hz` as its recordings have them."""

    name: str
    role: Role
    path: Path
    utterances: int
    seconds: float
    speakers: int
    symbols: int
    rates_hz: tuple[int, ...]


@dataclass(frozen=True)
class SplitManifest:
    name: str
    role: Role
    path: Path


@dataclass(frozen=True)
class MeasuredAudio:
    """What was measured on the stretch of a file that an utterance covers; samples are counted at the file's rate."""

    rate_hz: int
    channels: int
    file_samples: int
    start: int
    asked: int
    samples: int  # read: less than asked for where the file ends
    truncated: bool  # the end of the file is missing
    missing_s: float  # of what was asked for
    channels_cancel: bool  # averaged to one channel they are next to silence
    finite: bool
    peak: float
    zeros: float  # share of samples
    clipped: float  # share of samples
    digest: str

    @property
    def seconds(self) -> float:
        return self.samples / self.rate_hz

    @property
    def file_s(self) -> float:
        return self.file_samples / self.rate_hz


@dataclass(frozen=True)
class Entry:
    """An utterance, where it stands, and what was found out about it."""

    split: str
    role: Role
    line: int
    utterance: Utterance
    text: str  # normalised
    audio: MeasuredAudio | None = None

    @property
    def id(self) -> str:
        return self.utterance.id

    @property
    def path(self) -> Path:
        return self.utterance.audio_filepath

    @property
    def key(self) -> Key:
        return self.split, self.line

    def finding(self, severity: Severity, kind: str, what: str, advice: str = "", **more: Any) -> Finding:
        """`what` says what happened and what was expected."""
        return Finding(severity, kind, self.split, self.id, f"{what}; {advice or ADVICE[kind]}", self.line, **more)


def count_of(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
