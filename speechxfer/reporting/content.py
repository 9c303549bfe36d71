"""What a page shows: runs with their scores, clips of audio, learning curves; plain data, from which `page` renders."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from speechxfer.adaptation import HeadTable
from speechxfer.data import Utterance
from speechxfer.decoding import Hypothesis
from speechxfer.scoring import MeasuredRate, WerReport


@dataclass(frozen=True)
class Run:
    """One system on the page.

    Attributes:
        name: as the user named it.
        report: its scores.
        hypotheses: by id, with confidences and times of words; None: not known, only `report` is.
        metrics: rows of the run's ``metrics.jsonl``.
        head: how the rows of the output layer were initialised; None: not known.
        facts: what the model's card states, name and value.
        missing: what is not shown of this run, and how to get it.
    """

    name: str
    report: WerReport
    hypotheses: Mapping[str, Hypothesis] | None = None
    metrics: tuple[Mapping[str, Any], ...] = ()
    head: HeadTable | None = None
    facts: tuple[tuple[str, str], ...] = ()
    missing: tuple[str, ...] = ()


@dataclass(frozen=True)
class Clip:
    """Audio and picture of one utterance.

    Attributes:
        seconds: its length.
        audio: a file in a format that browsers play; empty: none.
        media_type: of `audio`, such as ``audio/flac``.
        picture: its filterbank as a PNG, time to the right, low frequencies at the bottom.
    """

    seconds: float
    audio: bytes
    media_type: str
    picture: bytes


@dataclass(frozen=True)
class Curve:
    """The learning curve of one kind of model: WER and CER by hours of training speech, smallest first."""

    name: str
    wer: tuple[MeasuredRate, ...]
    cer: tuple[MeasuredRate, ...]


@dataclass(frozen=True)
class Content:
    """All of a page.

    Attributes:
        title: heading of the page.
        runs: one or more, on the same utterances.
        utterances: of the manifest by id; empty: not given.
        clips: by id of the utterance; may be of some only.
        curves: learning curves, for the forecast.
        missing: what is not shown of any run, and how to get it.
    """

    title: str
    runs: tuple[Run, ...]
    utterances: Mapping[str, Utterance] = field(default_factory=dict)
    clips: Mapping[str, Clip] = field(default_factory=dict)
    curves: tuple[Curve, ...] = ()
    missing: tuple[str, ...] = ()
