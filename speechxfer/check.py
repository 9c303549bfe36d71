"""Checking manifests before any training: everything that would stop it, spoil it or flatter its score, by utterance.

What it is: `check_manifests`, which reads manifests leniently, decodes every recording once and reports all it finds in
one go; `fix`, which writes manifests without what is broken. What it is not: a converter of audio, an editor of texts,
or a judge of how well a text fits its recording (a wrong transcript of the right length passes).

Conventions:
    * An *error* stops training, poisons it, or makes a score untrue; a *warning* is worth a look and stays in.
    * Of two copies of a recording the one in test stays, then dev, then train; within a split the first. Copies are
      recognised by their decoded samples (so WAV and FLAC of one recording are the same, a lossy copy is another one)
      and by their place in a common file.
    * That an utterance has too few frames for CTC is an error in train; in dev and test it merely costs accuracy.
    * Silence is a peak below -60 dB of full scale; clipping is counted in runs of three or more samples at full scale.

Sources: Graves et al., 'Connectionist temporal classification' (ICML 2006) for the frames CTC needs; Kaldi's
``feature-window.cc`` (snip-edges) for the number of frames; the outlier rule by median and median absolute deviation:
Iglewicz and Hoaglin, 'How to detect and handle outliers' (1993).
"""

import codecs
import hashlib
import json
import math
import os
import re
import shlex
from collections import Counter, defaultdict
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import soundfile

from speechxfer.errors import InputError
from speechxfer.manifest import Utterance, parse_line, write_manifest, write_whole
from speechxfer.progress import track
from speechxfer.text import Kind, Normalizer, Vocabulary, describe_symbol

Severity = Literal["error", "warning"]
Role = Literal["train", "dev", "test"]
Samples = npt.NDArray[np.float32]
Key = tuple[str, int]  # split and line number: one place in a manifest, also where ids are used twice

FORMAT = "speechxfer-check-1"
ROLE_WORDS: dict[str, Role] = {
    "test": "test", "testing": "test", "eval": "test", "evaluation": "test",
    "dev": "dev", "val": "dev", "valid": "dev", "validation": "dev", "development": "dev",
    "train": "train", "training": "train",
}  # fmt: skip
KEPT_FIRST: tuple[Role, ...] = ("test", "dev", "train")  # whose copy of a shared recording stays

LARGEST_SAMPLE = 1e6  # some float files hold 16-bit numbers; beyond this it is garbage
SILENCE_PEAK = 10 ** (-60 / 20)
MOSTLY_ZEROS = 0.5  # share of samples that are exactly zero
CLIPPED_SHARE = 0.001  # of the samples, in runs at full scale
CLIPPED_RUN_SAMPLES = 3
ROUNDING_S = 0.05  # a duration that overshoots its file by this much was rounded: `fix` corrects it
UNUSED_S = 0.1  # more than this left over at the end of a file that nobody else uses is worth a look
LOSSY_SLACK_S = 0.1  # headers of lossy files may promise this much more than decodes
LONGEST_FILE_S = 1e9
UNKNOWN_LENGTH = 2**40  # frames; libsndfile gives a number near 2**63 where it does not know
STREAMED_BYTES = 0x7FF00000  # sizes from here on stand in WAV headers written to a pipe, and mean nothing
RATE_DEVIATIONS = 6.0  # robust standard deviations of the log speaking rate
RATE_LEAST_SPREAD = 0.1  # of the log rate, so that a corpus of nearly one rate has no outliers by rounding
RATE_LEAST_UTTERANCES = 20
SHOWN_IDS = 5
SHOWN_SYMBOLS = 20
SHOWN_INVENTORY = 100
REMARK = re.compile(r"\([^()]+\)|\[[^][]+\]|\{[^{}]+\}|<[^<>]+>|\*[^*]+\*|（[^（）]+）|【[^【】]+】")
LITTLE_SPEECH_S = 300.0
RARE = 5  # occurrences of a symbol in train
SHOWN_LEFT_OUT = 50
FEW_LEFT = 0.75  # of a split; with less of it a person should know before training

LOSSY_FORMATS = {"OGG", "MP3"}  # seeking in them is not sample-exact: decoded whole, then sliced
FULL_SCALE = {"PCM_U8": 127 / 128, "PCM_S8": 127 / 128, "ULAW": 32124 / 32768, "ALAW": 32256 / 32768}
MISSING = "the file does not exist"
CUT_WAV = re.compile(r"^\s*data\s*:\s*(\d+) \(should be (\d+)\)", re.MULTILINE)

ADVICE = {  # every kind of finding, in the order of the report
    "broken line": "mend the line, or let --fix drop it",
    "empty manifest": "prepare the data again",
    "duplicate id": "give every utterance an id of its own",
    "missing audio": "correct audio_filepath, or copy the recordings to where it points",
    "unreadable audio": "copy the file again or convert it to WAV or FLAC",
    "wrong rate": "pass --resample to convert while reading, or convert the files",
    "several channels": "pass --mono to average them, or extract one channel",
    "zero length": "record it again or leave it out",
    "too short": "leave it out",
    "duration": "correct offset and duration in the manifest (seconds)",
    "not finite": "convert the file again from its source",
    "silence": "record it again or leave it out",
    "empty text": "write the transcript or leave it out",
    "unknown symbol": "correct the transcripts, or take the vocabulary from this training text",
    "several words": "write the one word, or leave it out",
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
class CheckReport:
    """All findings; ``str`` gives the summary a person can act on, `to_json` everything."""

    splits: tuple[SplitSummary, ...]
    findings: tuple[Finding, ...]
    unseen_symbols: tuple[UnseenSymbol, ...]
    settings: dict[str, Any]
    entries: "tuple[_Entry, ...]" = field(repr=False)

    @property
    def errors(self) -> tuple[Finding, ...]:
        """What would stop or spoil training."""
        return tuple(finding for finding in self.findings if finding.severity == "error")

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """What is worth a look."""
        return tuple(finding for finding in self.findings if finding.severity == "warning")

    def to_json(self) -> str:
        """The whole report as JSON text: splits, findings, unseen symbols, settings and thresholds."""
        data = {
            "format": FORMAT,
            "errors": len(self.errors),
            "warnings": len(self.warnings),
            "splits": [asdict(split) | {"path": str(split.path)} for split in self.splits],
            "findings": [asdict(finding) for finding in self.findings],
            "unseen_symbols": [asdict(symbol) for symbol in self.unseen_symbols],
            "settings": self.settings,
        }
        return json.dumps(data, ensure_ascii=False, indent=1) + "\n"

    def __str__(self) -> str:
        parts = [_table(self)]
        parts += _section("errors (training would stop, or learn or score what is not so):", self.errors)
        parts += _section("warnings (worth a look; they stay in):", self.warnings)
        parts += _unseen_lines(self.unseen_symbols)
        parts += _inventory_lines(self)
        parts += _little_speech_lines(self)
        return "\n".join([*parts, *_next_steps(self), _verdict(self)])


@dataclass(frozen=True)
class _Split:
    name: str
    role: Role
    path: Path


@dataclass(frozen=True)
class _Audio:
    """What was measured on the stretch of a file that an utterance covers; samples are counted at the file's rate."""

    rate_hz: int
    channels: int
    file_samples: int
    start: int
    asked: int
    samples: int  # read: less than asked for where the file ends
    cut_off: str  # how the file shows that its end is missing; empty: it does not
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
class _Entry:
    """An utterance, where it stands, and what was found out about it."""

    split: str
    role: Role
    line: int
    utterance: Utterance
    text: str  # normalised
    audio: _Audio | None = None

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


@dataclass(frozen=True)
class _Rules:
    """What the recordings are held against."""

    sample_rate_hz: int
    frames_of_samples: Callable[[int], int]
    encoder_frames: Callable[[int], int]
    resample: bool
    mono: bool
    speed: float
    max_duration_s: float
    classify: bool

    def frames(self, audio: _Audio) -> int:
        """Feature frames that training makes of it."""
        samples = resampled_count(audio.samples, audio.rate_hz, self.sample_rate_hz)
        return self.frames_of_samples(resampled_count(samples, self.sample_rate_hz * self.speed, self.sample_rate_hz))


# --------------------------------------------------------------------------------------------------------- the rules
def ctc_frames_needed(symbols: Sequence[int]) -> int:
    """Fewest frames with which CTC can align these symbols: one each, and a blank between equal neighbours.

    Source: Graves et al., 'Connectionist temporal classification' (ICML 2006), the definition of the alignment map.
    """
    return len(symbols) + sum(a == b for a, b in pairwise(symbols))


def kaldi_frames(samples: int, sample_rate_hz: int = 16_000) -> int:
    """Frames of 25 ms every 10 ms that fit wholly into so many samples (Kaldi's snip-edges)."""
    window, hop = sample_rate_hz * 25 // 1000, sample_rate_hz // 100
    return 0 if samples < window else 1 + (samples - window) // hop


def subsampled_frames(frames: int, factor: int) -> int:
    """Frames that `factor` (1, 2, 4, 8, ...) leaves: each stage keeps every second frame, beginning with the first."""
    while factor > 1:
        frames, factor = (frames + 1) // 2, factor // 2
    return frames


def resampled_count(samples: int, from_hz: float, to_hz: float) -> int:
    """Samples after resampling, rounded up in the very arithmetic of ``librosa.resample``."""
    return samples if from_hz == to_hz else math.ceil(samples * (to_hz / from_hz))


def check_manifests(  # noqa: PLR0913  the caller's whole situation, all of it optional
    paths: Mapping[str, Path] | Sequence[Path],
    *,
    sample_rate_hz: int = 16_000,
    subsampling: int = 4,
    frames_of_samples: Callable[[int], int] | None = None,
    encoder_frames: Callable[[int], int] | None = None,
    normalizer: Normalizer = Normalizer(),
    vocabulary_kind: Kind = "characters",
    vocabulary: Vocabulary | None = None,
    resample: bool = False,
    mono: bool = False,
    speed: float = 1.0,
    max_duration_s: float = 30.0,
    classify: bool = False,
    bpe_size: int = 500,
    flags: Sequence[str] = (),
) -> CheckReport:
    """Check manifests, alone and against each other; every recording is decoded once.

    Args:
        paths: manifests, by split name or in a row. The role of each (train, dev or test) comes from the words of its
            name; where they do not say, the first is train (if no other is) and the others are test.
        sample_rate_hz: what the features need.
        subsampling: feature frames per encoder frame, a power of two; used unless `encoder_frames` is given.
        frames_of_samples: feature frames of so many samples at `sample_rate_hz`; default: Kaldi's 25 ms every 10 ms.
        encoder_frames: encoder frames of so many feature frames; default: half of them, rounded up, per factor of two.
        normalizer: the model's.
        vocabulary_kind: what a symbol is, where the vocabulary is to come from train.
        vocabulary: a fixed one; default: what train's texts hold (without train: all texts).
        resample: another sampling rate is fine (it will be converted while reading).
        mono: several channels are fine (they will be averaged).
        speed: utterances are played so many times as fast (speed perturbation), which leaves fewer frames.
        max_duration_s: the longest utterance that training takes; in dev and test a longer one is a warning only.
        classify: one word an utterance is to be told, which CTC has no part in.
        bpe_size: symbols of a bpe vocabulary that is to come from train.
        flags: further options of the command line, which the commands that are suggested repeat.

    Raises:
        InputError: a manifest cannot be opened, none is given, two have one name, or a setting is out of range. What
            is wrong *inside* a manifest is a finding, never raised.
    """
    if encoder_frames is None and (subsampling < 1 or subsampling & (subsampling - 1)):
        raise InputError(f"check: subsampling is {subsampling}; expected a power of two; else give encoder_frames")
    if speed <= 0 or sample_rate_hz < 100:
        raise InputError(
            f"check: speed {speed:g} at {sample_rate_hz} Hz; expected above 0, at least 100 Hz; correct it"
        )
    rules = _Rules(
        sample_rate_hz,
        frames_of_samples or (lambda samples: kaldi_frames(samples, sample_rate_hz)),
        encoder_frames or (lambda frames: subsampled_frames(frames, subsampling)),
        resample,
        mono,
        speed,
        max_duration_s,
        classify,
    )
    splits = _splits(paths)
    entries, findings = _read_leniently(splits, normalizer)
    entries, unheard = _listen(entries)
    kind = vocabulary.kind if vocabulary else vocabulary_kind
    learnt = vocabulary or _train_vocabulary(entries, kind, normalizer, bpe_size)
    findings += [*unheard, *_audio_findings(entries, rules), *_text_findings(entries, rules, learnt)]
    findings += [*_rate_outliers(entries), *_shared_sentences(entries), *_shared_speakers(splits, entries)]
    findings += _duplicate_audio(entries, {(f.split, f.line) for f in findings if _leaves(f)})
    settings = {
        "sample_rate_hz": sample_rate_hz,
        "subsampling": None if encoder_frames else subsampling,
        "normalizer": normalizer.to_dict(),
        "vocabulary_kind": kind,
        "vocabulary_given": vocabulary is not None,
        "resample": resample,
        "mono": mono,
        "speed": speed,
        "classify": classify,
        "flags": list(flags),
    }
    summaries = tuple(_summary(split, entries, kind) for split in splits)
    return CheckReport(
        summaries, _in_order(findings, splits), _unseen_symbols(entries, learnt), settings, tuple(entries)
    )


def _in_order(findings: Iterable[Finding], splits: Sequence[_Split]) -> tuple[Finding, ...]:
    """Errors first, then by kind as in `ADVICE`, by split as given, by line."""
    kinds = {kind: i for i, kind in enumerate(ADVICE)}
    places = {split.name: i for i, split in enumerate(splits)}
    return tuple(sorted(findings, key=lambda f: (f.severity, kinds[f.kind], places.get(f.split, len(places)), f.line)))


# ------------------------------------------------------------------------------------------------- reading manifests
def _splits(paths: Mapping[str, Path] | Sequence[Path]) -> list[_Split]:
    """Names, roles and paths; a name is the key or the file's, or the whole path where two files are called alike."""
    if isinstance(paths, Mapping):
        named = [(name, Path(path)) for name, path in paths.items()]
    else:
        stems = Counter(Path(path).stem for path in paths)
        named = [(Path(path).stem if stems[Path(path).stem] == 1 else str(path), Path(path)) for path in paths]
    if not named:
        raise InputError("check: no manifest was given; expected one or more .jsonl files, train first; name them")
    twice = [name for name, count in Counter(name for name, _ in named).items() if count > 1]
    if twice:
        raise InputError(f"check: {twice[0]} was given twice; expected every manifest once; name it once")
    roles = [(_role(name) if isinstance(paths, Mapping) else None) or _role(path.stem) for name, path in named]
    unsaid: list[Role] = ["test" if i or "train" in roles else "train" for i in range(len(named))]
    return [
        _Split(name, role or unsaid[i], path) for i, ((name, path), role) in enumerate(zip(named, roles, strict=True))
    ]


def _role(name: str) -> Role | None:
    """The role that the words of a name say; held-out ones win, so that Kaldi's ``train_dev`` is dev."""
    words = re.findall(r"[a-z]+", name.lower())
    return next((role for word, role in ROLE_WORDS.items() if word in words), None)


def _read_leniently(splits: Sequence[_Split], normalizer: Normalizer) -> tuple[list[_Entry], list[Finding]]:
    entries: list[_Entry] = []
    findings: list[Finding] = []
    used: dict[str, _Entry] = {}
    for split in splits:
        before = len(entries)
        for number, data in _numbered_lines(split.path):
            utterance = _read_line(data, f"{split.path}:{number}", split.path.parent)
            if isinstance(utterance, str):
                name = f"{split.path.name}:{number}"
                findings.append(Finding("error", "broken line", split.name, name, utterance, number))
                continue
            entry = _Entry(split.name, split.role, number, utterance, normalizer(utterance.text))
            if entry.id in used:
                findings.append(_duplicate_id(entry, used[entry.id]))
            if entry.id not in used or used[entry.id].split != entry.split:
                used[entry.id] = entry
            entries.append(entry)
        if len(entries) == before:
            message = (
                f"{split.path}: it holds no utterance; expected one JSON object a line; {ADVICE['empty manifest']}"
            )
            findings.append(Finding("error", "empty manifest", split.name, split.path.name, message))
    return entries, findings


def _numbered_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: it cannot be read ({error.strerror}); expected a manifest; give its path") from error
    lines = data.removeprefix(codecs.BOM_UTF8).split(b"\n")
    return ((number, line) for number, line in enumerate(lines, start=1) if line.strip())


def _read_line(data: bytes, where: str, folder: Path) -> Utterance | str:
    """The utterance, or why there is none."""
    try:
        utterance = parse_line(data.decode("utf-8"), where, folder)
    except InputError as error:
        return str(error)
    except (ValueError, OverflowError, RecursionError) as error:  # bytes, numbers or nesting beyond any sense
        return f"{where}: not a manifest line ({error}); expected a JSON object in UTF-8; correct it"
    if utterance.offset + utterance.duration > LONGEST_FILE_S:
        return f"{where}: offset and duration exceed 30 years; expected seconds; correct them"
    return utterance


def _duplicate_id(entry: _Entry, other: _Entry) -> Finding:
    """Within a manifest an error, since it could not be read; across manifests it may be a mere habit of naming."""
    what = (
        f"line {entry.line}: id {entry.id!r} was already used on line {other.line} of {other.split}; ids must be unique"
    )
    if entry.split == other.split:
        return entry.finding("error", "duplicate id", what)
    return entry.finding("warning", "duplicate id", what, "harmless if the recordings differ")


# ----------------------------------------------------------------------------------------------------- reading audio
def _listen(entries: Sequence[_Entry]) -> tuple[list[_Entry], list[Finding]]:
    """The entries with their audio measured; file after file, so no more than one is in memory."""
    by_path: dict[Path, list[_Entry]] = defaultdict(list)
    for entry in entries:
        by_path[entry.path].append(entry)
    heard: dict[Key, _Audio] = {}
    findings = []
    for path, users in track(list(by_path.items()), "listening"):
        for entry, result in zip(users, _hear_file(path, users), strict=True):
            if isinstance(result, _Audio):
                heard[entry.key] = result
            else:
                kind = "missing audio" if result == MISSING else "unreadable audio"
                findings.append(entry.finding("error", kind, f"{path}: {result}; expected a recording"))
    return [replace(entry, audio=heard.get(entry.key)) for entry in entries], findings


def _hear_file(path: Path, entries: Sequence[_Entry]) -> list[_Audio | str]:
    """What each entry covers, measured, or why it cannot be."""
    if not os.path.exists(path):  # unlike Path.exists, false for names that no file can have
        return [MISSING] * len(entries)
    whole: Samples | None = None
    try:
        with soundfile.SoundFile(str(path)) as file:
            if file.format in LOSSY_FORMATS:
                whole = file.read(dtype="float32", always_2d=True)
    except TypeError:  # soundfile's answer to a name that ends in .raw
        return ["it has no header, so its rate is not known"] * len(entries)
    except (soundfile.SoundFileError, OSError, MemoryError) as error:
        return [_reason(error)] * len(entries)
    results: list[_Audio | str] = []
    for entry in entries:
        try:
            with soundfile.SoundFile(str(path)) as file:
                results.append(_hear(file, entry.utterance, whole))
        except (soundfile.SoundFileError, OSError, MemoryError) as error:  # it may be broken in one place only
            results.append(_reason(error))
    return results


def _reason(error: Exception) -> str:
    return f"not readable as audio ({str(getattr(error, 'error_string', error)).strip().rstrip('.')})"


def _hear(file: Any, utterance: Utterance, whole: Samples | None) -> _Audio | str:
    """Measure a stretch of an open file; `whole` is the decoded file where seeking is not exact."""
    rate_hz = file.samplerate
    file_samples = file.frames if whole is None else len(whole)
    if file_samples > UNKNOWN_LENGTH:
        return "it does not say how long it is"
    start, asked = round(utterance.offset * rate_hz), round(utterance.duration * rate_hz)
    end = max(start, min(start + asked, file_samples))
    if whole is not None:
        samples = whole[start:end]
    elif start < end:
        file.seek(start)
        samples = file.read(end - start, dtype="float32", always_2d=True)
    else:
        samples = np.zeros((0, file.channels), dtype=np.float32)
    missing = _cut_off(file, file_samples) if start + asked >= file_samples - 1 else ""
    if whole is None and len(samples) < end - start:
        missing = f"{(end - start - len(samples)) / rate_hz:.2f} s"
    return _Audio(
        rate_hz,
        file.channels,
        file_samples,
        start,
        asked,
        len(samples),
        missing,
        **_measure(samples, FULL_SCALE.get(file.subtype, 32767 / 32768)),
    )


def _measure(samples: Samples, full_scale: float) -> dict[str, Any]:
    """Of `[samples, channels]`: whether all are finite, peak (without DC), shares of zeros and clipping, and a hash."""
    if not samples.size:
        return {"finite": True, "peak": 0.0, "zeros": 0.0, "clipped": 0.0, "digest": ""}
    finite = bool((np.abs(samples) <= LARGEST_SAMPLE).all())  # false for NaN too
    if not finite:
        samples = np.clip(np.nan_to_num(samples), -LARGEST_SAMPLE, LARGEST_SAMPLE)
    mixed = samples.mean(axis=1)
    full = np.max(np.abs(samples), axis=1) >= full_scale - 1e-6
    return {
        "finite": finite,
        "peak": float(np.abs(mixed - mixed.mean(dtype=np.float64)).max()),
        "zeros": float((mixed == 0).mean()),
        "clipped": _share_in_runs(full, CLIPPED_RUN_SAMPLES),
        "digest": hashlib.blake2b(np.ascontiguousarray(mixed).tobytes(), digest_size=16).hexdigest(),
    }


def _share_in_runs(flags: npt.NDArray[np.bool_], shortest: int) -> float:
    """Share of `[samples]` that is set in runs of at least `shortest`."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], flags.astype(np.int8), [0]))))
    lengths = edges[1::2] - edges[::2]
    return float(lengths[lengths >= shortest].sum() / flags.size)


def _cut_off(file: Any, file_samples: int) -> str:
    """How much less there is than the header promises: a copy that was interrupted; empty where it agrees."""
    if file.format in LOSSY_FORMATS:
        missing_s = (file.frames - file_samples) / file.samplerate
        return f"{missing_s:.2f} s" if missing_s > LOSSY_SLACK_S else ""
    sizes = CUT_WAV.search(file.extra_info) if file.format in ("WAV", "WAVEX") else None
    promised, present = (int(size) for size in sizes.groups()) if sizes else (0, 0)
    return f"{promised - present:,} bytes" if present + 8 < promised < STREAMED_BYTES else ""


# --------------------------------------------------------------------------------------------------- findings: audio
def _audio_findings(entries: Sequence[_Entry], rules: _Rules) -> Iterator[Finding]:
    users = Counter(entry.path for entry in entries)
    for entry in entries:
        if entry.audio:
            yield from _format_findings(entry, entry.audio, rules)
            yield from _place_findings(entry, entry.audio, alone=users[entry.path] == 1)
            if entry.audio.samples:
                yield from _length_findings(entry, entry.audio, rules)
                yield from _signal_findings(entry, entry.audio)


def _format_findings(entry: _Entry, audio: _Audio, rules: _Rules) -> Iterator[Finding]:
    if audio.rate_hz != rules.sample_rate_hz and not rules.resample:
        what = f"{entry.path}: {audio.rate_hz} Hz; expected {rules.sample_rate_hz} Hz"
        yield entry.finding("error", "wrong rate", what)
    if audio.channels > 1 and not rules.mono:
        yield entry.finding("error", "several channels", f"{entry.path}: {audio.channels} channels; expected one")
    if audio.cut_off:
        what = f"{entry.path}: cut off, {audio.cut_off} are missing; expected as much as its header says"
        yield entry.finding("error", "unreadable audio", what)


def _place_findings(entry: _Entry, audio: _Audio, *, alone: bool) -> Iterator[Finding]:
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


def _length_findings(entry: _Entry, audio: _Audio, rules: _Rules) -> Iterator[Finding]:
    if rules.frames(audio) < 1:
        yield entry.finding("error", "too short", f"{audio.samples} samples; expected enough for one frame")
    if audio.seconds > rules.max_duration_s:
        what = f"{audio.seconds:.1f} s; expected at most {rules.max_duration_s:g} s"
        yield entry.finding("error" if entry.role == "train" else "warning", "too long", what)


def _signal_findings(entry: _Entry, audio: _Audio) -> Iterator[Finding]:
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


def _duplicate_audio(entries: Sequence[_Entry], faulty: Container[Key]) -> Iterator[Finding]:
    """Every copy but the one that stays: a sound copy before a faulty one, then test's, dev's, train's, then the first."""
    rank = {entry.key: (entry.key in faulty, KEPT_FIRST.index(entry.role), i) for i, entry in enumerate(entries)}
    heard = [(entry, entry.audio) for entry in entries if entry.audio and entry.audio.peak >= SILENCE_PEAK]
    same: dict[object, list[_Entry]] = defaultdict(list)
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


def _overlaps(heard: Sequence[tuple[_Entry, _Audio]]) -> Iterator[list[_Entry]]:
    """Pairs of different splits that share more than half of the shorter one's stretch of a file."""
    by_path: dict[Path, list[tuple[int, int, _Entry]]] = defaultdict(list)
    for entry, audio in heard:
        by_path[entry.path].append((audio.start, audio.start + audio.samples, entry))
    for stretches in by_path.values():
        running: list[tuple[int, int, _Entry]] = []
        for start, end, entry in sorted(stretches, key=lambda stretch: stretch[:2]):
            running = [other for other in running if other[1] > start]
            for other_start, other_end, other in running:
                shorter = min(end - start, other_end - other_start)
                if other.split != entry.split and 2 * (min(end, other_end) - start) > shorter:
                    yield [other, entry]
            running.append((start, end, entry))


# ---------------------------------------------------------------------------------------------------- findings: text
def _train_vocabulary(
    entries: Sequence[_Entry], kind: Kind, normalizer: Normalizer, bpe_size: int
) -> Vocabulary | None:
    """Train's symbols; without a text of train everything's, so that they can be counted; None without any text."""
    told = [entry for entry in entries if entry.text]
    texts = [entry.text for entry in told if entry.role == "train"] or [entry.text for entry in told]
    return Vocabulary.from_texts(texts, kind, normalizer=normalizer, bpe_size=bpe_size) if texts else None


def _text_findings(entries: Sequence[_Entry], rules: _Rules, vocabulary: Vocabulary | None) -> Iterator[Finding]:
    for entry in entries:
        if not entry.text:
            what = (
                f"nothing is left of the text {entry.utterance.text[:60]!r}"
                if entry.utterance.text
                else "there is no text"
            )
            yield entry.finding("error", "empty text", f"{what}; expected what is said")
            continue
        yield from _remark_findings(entry)
        if vocabulary:
            yield from _symbol_findings(entry, vocabulary)
            yield from _word_findings(entry) if rules.classify else _ctc_findings(entry, rules, vocabulary)


def _remark_findings(entry: _Entry) -> Iterator[Finding]:
    """Words in brackets, such as (laugh), are often about the recording, not in it."""
    remarks = REMARK.findall(entry.utterance.text)
    if remarks:
        what = f"{', '.join(remarks)[:60]} in the text; expected only what is said"
        yield entry.finding("warning", "remark", what)


def _symbol_findings(entry: _Entry, vocabulary: Vocabulary) -> Iterator[Finding]:
    symbols = vocabulary.unknown(entry.text)
    shown = ", ".join(f"{describe_symbol(symbol)} x{count}" for symbol, count in sorted(symbols.items()))
    if symbols and entry.role == "train":
        yield entry.finding("error", "unknown symbol", f"not in the vocabulary: {shown}; expected its symbols only")
    elif symbols:
        yield entry.finding("warning", "unseen symbol", f"not in train: {shown}; expected train's symbols only")


def _word_findings(entry: _Entry) -> Iterator[Finding]:
    words = len(entry.text.split(" "))
    if words > 1:
        severity: Severity = "error" if entry.role == "train" else "warning"
        yield entry.finding(
            severity, "several words", f"{words} words in {entry.text[:60]!r}; expected one to classify"
        )


def _ctc_findings(entry: _Entry, rules: _Rules, vocabulary: Vocabulary) -> Iterator[Finding]:
    """An error in train; elsewhere the model cannot write the whole text, which its score then says."""
    frames = rules.frames(entry.audio) if entry.audio else 0
    if not entry.audio or not frames:
        return
    symbols = vocabulary.encode(entry.text, unknown="skip")
    encoded, needed = rules.encoder_frames(frames), ctc_frames_needed(symbols)
    if encoded < needed:
        what = (
            f"{encoded} encoder frames ({entry.audio.seconds:.2f} s), but CTC needs {needed} to align {len(symbols)} symbols "
            f"and {needed - len(symbols)} repeats; expected at least as many"
        )
        yield entry.finding("error" if entry.role == "train" else "warning", "ctc", what)


def _rate_outliers(entries: Sequence[_Entry]) -> Iterator[Finding]:
    """Characters per second far from the median of the language, in robust deviations of the logarithm."""
    by_lang: dict[str, list[tuple[_Entry, float]]] = defaultdict(list)
    for entry in entries:
        if entry.text and entry.audio and entry.audio.samples:
            by_lang[entry.utterance.lang].append((entry, math.log(len(entry.text) / entry.audio.seconds)))
    for group in by_lang.values():
        if len(group) < RATE_LEAST_UTTERANCES:
            continue
        logs = np.array([log for _, log in group])
        median = float(np.median(logs))
        reach = RATE_DEVIATIONS * max(RATE_LEAST_SPREAD, 1.4826 * float(np.median(np.abs(logs - median))))
        for entry, log in group:
            if abs(log - median) > reach:
                what = (
                    f"{math.exp(log):.1f} characters per second; expected {math.exp(median - reach):.1f} to "
                    f"{math.exp(median + reach):.1f}, which is {RATE_DEVIATIONS:g} robust deviations (median absolute "
                    f"deviation of the logarithm) around the median {math.exp(median):.1f}"
                )
                yield entry.finding("warning", "speaking rate", what)


def _unseen_symbols(entries: Sequence[_Entry], vocabulary: Vocabulary | None) -> tuple[UnseenSymbol, ...]:
    """By split as given, the most frequent first."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    ids: dict[tuple[str, str], list[str]] = defaultdict(list)
    for entry in entries if vocabulary else ():
        for symbol, count in vocabulary.unknown(entry.text).items() if vocabulary else ():
            counts[entry.split][symbol] += count
            ids[entry.split, symbol].append(entry.id)
    return tuple(
        UnseenSymbol(split, symbol, count, tuple(ids[split, symbol]))
        for split, counter in counts.items()
        for symbol, count in sorted(counter.items(), key=lambda item: (-item[1], item[0]))
    )


# ------------------------------------------------------------------------------------------ findings: between splits
def _shared_sentences(entries: Sequence[_Entry]) -> Iterator[Finding]:
    trained: dict[str, list[str]] = defaultdict(list)
    for entry in entries:
        if entry.role == "train" and entry.text:
            trained[entry.text].append(entry.id)
    for entry in entries:
        if entry.role != "train" and entry.text in trained:
            what = f"train has {entry.text[:60]!r} too ({_some(trained[entry.text])}); expected a sentence of its own"
            yield entry.finding("warning", "shared sentence", what)


def _shared_speakers(splits: Sequence[_Split], entries: Sequence[_Entry]) -> Iterator[Finding]:
    counts: dict[str, Counter[str]] = {split.name: Counter() for split in splits}
    for entry in entries:
        if entry.utterance.speaker:
            counts[entry.split][entry.utterance.speaker] += 1
    for a, b in combinations(splits, 2):
        shared = sorted(counts[a.name].keys() & counts[b.name].keys())
        if shared and a.role != b.role:
            amount = sum(counts[b.name][speaker] for speaker in shared)
            message = (
                f"{a.name} has {len(shared)} of {b.name}'s {_number(len(counts[b.name]), 'speaker')} too ({_some(shared)}; "
                f"{_number(amount, 'utterance')}); expected none; {ADVICE['shared speaker']}"
            )
            yield Finding("warning", "shared speaker", f"{a.name} + {b.name}", "", message)


# -------------------------------------------------------------------------------------------------------- the report
def _summary(split: _Split, entries: Sequence[_Entry], kind: Kind) -> SplitSummary:
    own = [entry for entry in entries if entry.split == split.name]
    return SplitSummary(
        name=split.name,
        role=split.role,
        path=split.path,
        utterances=len(own),
        seconds=math.fsum(entry.utterance.duration for entry in own),
        speakers=len({entry.utterance.speaker for entry in own} - {""}),
        symbols=len({s for entry in own for s in (entry.text.split() if kind in ("words", "phones") else entry.text)}),
        rates_hz=tuple(sorted({entry.audio.rate_hz for entry in own if entry.audio})),
    )


def _table(report: CheckReport) -> str:
    rows = [("split", "role", "utterances", "hours", "speakers", "symbols", "rate_hz", "errors", "warnings")]
    errors, warnings = (Counter(finding.split for finding in some) for some in (report.errors, report.warnings))
    for split in report.splits:
        cells = (
            f"{split.utterances:,}",
            f"{split.seconds / 3600:.3f}",
            f"{split.speakers or 'unnamed'}",
            f"{split.symbols}",
        )
        rate = "+".join(map(str, split.rates_hz)) or "-"
        rows.append((split.name, split.role, *cells, rate, f"{errors[split.name]:,}", f"{warnings[split.name]:,}"))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if i < 2 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )


def _section(title: str, findings: Sequence[Finding]) -> list[str]:
    """Per kind a line with its ids, and the first one's message; nothing where there are no findings."""
    lines = ["", title] if findings else []
    by_kind: dict[str, list[Finding]] = defaultdict(list)
    for finding in findings:
        by_kind[finding.kind].append(finding)
    for kind, some in by_kind.items():
        if some[0].id:
            lines += [f"  {kind}: {len(some):,} ({_places(some)})", f"      {some[0].id}: {some[0].message}"]
        else:
            lines += [f"  {kind}: {finding.message}" for finding in some]
    return lines


def _places(findings: Sequence[Finding]) -> str:
    """Up to five ids with their splits."""
    by_split: dict[str, list[str]] = defaultdict(list)
    for finding in findings[:SHOWN_IDS]:
        by_split[finding.split].append(finding.id)
    text = "; ".join(f"{split}: {', '.join(ids)}" for split, ids in by_split.items())
    return text + (f" and {len(findings) - SHOWN_IDS:,} more" if len(findings) > SHOWN_IDS else "")


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN_IDS]) + (f" and {len(names) - SHOWN_IDS:,} more" if len(names) > SHOWN_IDS else "")


def _number(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _unseen_lines(symbols: Sequence[UnseenSymbol]) -> list[str]:
    lines = ["", "symbols that the vocabulary lacks:"] if symbols else []
    for symbol in symbols[:SHOWN_SYMBOLS]:
        what = f"{symbol.split}: {describe_symbol(symbol.symbol)} x{symbol.count:,}"
        lines.append(f"  {what} in {_number(len(symbol.ids), 'utterance')}: {_some(symbol.ids)}")
    return lines + ([f"  and {len(symbols) - SHOWN_SYMBOLS:,} more"] if len(symbols) > SHOWN_SYMBOLS else [])


def _inventory_lines(report: CheckReport) -> list[str]:
    """The letters that train would teach, and those to look at: rare ones, which are often slips, and digits."""
    if report.settings["vocabulary_kind"] != "characters":
        return []
    counts: Counter[str] = Counter()
    ids: dict[str, list[str]] = defaultdict(list)
    for entry in report.entries:
        if entry.role == "train":
            counts.update(entry.text.replace(" ", ""))
            for symbol in set(entry.text):
                ids[symbol].append(entry.id)
    if not counts:
        return []
    common = [f"{symbol} x{count:,}" for symbol, count in counts.most_common(SHOWN_INVENTORY)]
    more = f" and {len(counts) - SHOWN_INVENTORY:,} more" if len(counts) > SHOWN_INVENTORY else ""
    lines = ["", f"symbols of train: {', '.join(common)}{more}"]
    for title, chosen in (
        (f"fewer than {RARE} times, too rare to learn if it is no slip", [s for s in counts if counts[s] < RARE]),
        ("digits, better written as they are said", [s for s in counts if s.isnumeric()]),
    ):
        lines += [f"  {title}:"] if chosen else []
        for symbol in sorted(chosen, key=lambda symbol: (counts[symbol], symbol))[:SHOWN_SYMBOLS]:
            lines.append(f"    {describe_symbol(symbol)} x{counts[symbol]:,}: {_some(ids[symbol])}")
    return lines


def _little_speech_lines(report: CheckReport) -> list[str]:
    total_s = math.fsum(split.seconds for split in report.splits if split.role == "train")
    if not 0 < total_s < LITTLE_SPEECH_S:
        return []
    least = f"{LITTLE_SPEECH_S / 60:.0f} minutes"
    return ["", f"train holds {total_s:.0f} s of speech; with less than {least}, expect little; record more if you can"]


def _next_steps(report: CheckReport) -> list[str]:
    """Permissions first, since they may settle most errors; then --fix."""
    kinds = {finding.kind for finding in report.errors}
    paths = [split.path for split in report.splits]
    wanted = [flag for kind, flag in (("wrong rate", "--resample"), ("several channels", "--mono")) if kind in kinds]
    steps = [f"if converting while reading is fine: {_command(report, paths, *wanted)}"] if wanted else []
    if kinds:
        leaving = len({(finding.split, finding.line) for finding in report.errors if _leaves(finding)})
        what = f"leave {_number(leaving, 'line')} out" if leaving else "correct the rounded durations"
        steps.append(f"mend what you can; to {what}: {_command(report, paths, '--fix', 'OUT')}")
    elif report.warnings:
        steps.append("look at the warnings; nothing has to be done before training")
    else:
        steps.append("speechxfer adapt --train ... --dev ... --out ...")
    return ["", *(f"next: {step}" for step in steps)]


def _command(report: CheckReport, paths: Sequence[Path], *flags: str) -> str:
    given = [f"--{name}" for name in ("resample", "mono") if report.settings[name]]
    return shlex.join(["speechxfer", "check", *map(str, paths), *report.settings["flags"], *given, *flags])


def _verdict(report: CheckReport) -> str:
    total = sum(split.utterances for split in report.splits)
    counts = f"{_number(len(report.warnings), 'warning')} in {_number(total, 'utterance')}"
    if not report.errors:
        return f"ready: no errors, {counts}"
    return f"not ready: {_number(len(report.errors), 'error')}, {counts}"


# --------------------------------------------------------------------------------------------------- clean manifests
def _leaves(finding: Finding) -> bool:
    return finding.severity == "error" and finding.correct_duration_s is None


def fix(report: CheckReport, out_dir: Path | str) -> list[Path]:
    """Write the manifests without the utterances that have errors, and ``left_out.jsonl`` saying which and why.

    Durations that were rounded past the end of their file are corrected, not left out. What was done is printed.

    Args:
        report: what `check_manifests` found.
        out_dir: folder for manifests of the same file names; made if missing.

    Returns:
        The files written, ``left_out.jsonl`` last.

    Raises:
        InputError: a manifest would overwrite one that was checked, two have one file name, a manifest would be empty,
            or the folder cannot be made. Then nothing has been written.
    """
    out_dir = Path(out_dir)
    left_out: dict[Key, list[Finding]] = defaultdict(list)
    for finding in filter(_leaves, report.errors):
        left_out[finding.split, finding.line].append(finding)
    durations = {(f.split, f.line): f.correct_duration_s for f in report.errors if f.correct_duration_s is not None}
    kept: dict[str, list[Utterance]] = {split.name: [] for split in report.splits}
    corrected = []
    for entry in report.entries:
        if entry.key in left_out:
            continue
        duration_s = durations.get(entry.key, entry.utterance.duration)
        kept[entry.split].append(replace(entry.utterance, duration=duration_s))
        if entry.key in durations:
            change = f"{entry.utterance.duration:g} to {duration_s:g} s"
            corrected.append(f"duration corrected: {entry.id} ({entry.split}): {change}")
    paths = _clean_paths(report, out_dir, kept)
    for split, path in zip(report.splits, paths, strict=False):
        write_manifest(path, kept[split.name])
    _write_left_out(paths[-1], left_out)
    _print_rows([*map(_left_out_row, left_out.values()), *corrected], paths[-1])
    counts = ", ".join(f"{len(kept[split.name]):,} of {split.utterances:,} in {split.name}" for split in report.splits)
    for split in report.splits:
        if len(kept[split.name]) < FEW_LEFT * split.utterances:
            kind, count = Counter(f.kind for f in report.errors if f.split == split.name).most_common(1)[0]
            left = f"{split.utterances - len(kept[split.name]):,} of {split.utterances:,} in {split.name} are left out"
            print(f"warning: {left}, most often for {kind!r} (x{count:,}): {ADVICE[kind]}")
    print(f"written to {out_dir}: {counts}; reasons in {paths[-1]}; next: {_command(report, paths[:-1])}")
    return paths


def _clean_paths(report: CheckReport, out_dir: Path, kept: Mapping[str, Sequence[Utterance]]) -> list[Path]:
    """Where the clean manifests and left_out.jsonl go; refuses what would be lost or useless."""
    paths = [*(out_dir / split.path.name for split in report.splits), out_dir / "left_out.jsonl"]
    inputs = {split.path.resolve() for split in report.splits}
    for path in paths:
        if path.resolve() in inputs:
            raise InputError(f"{path}: it was checked, and is never overwritten; expected another folder; name one")
        if paths.count(path) > 1:
            raise InputError(f"{path}: two files would have this name; expected different names; rename a manifest")
    for split in report.splits:
        if not kept[split.name]:
            kinds = Counter(f.kind for f in report.errors if f.split == split.name).most_common(3)
            shown = ", ".join(f"{kind} x{count:,}" for kind, count in kinds)
            raise InputError(
                f"{split.path}: no utterance would be left ({shown}); expected some; {ADVICE[kinds[0][0]]}"
            )
    try:
        out_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{out_dir}: it cannot be made ({error.strerror}); expected a folder; name another") from error
    return paths


def _write_left_out(path: Path, left_out: Mapping[Key, Sequence[Finding]]) -> None:
    lines = []
    for (split, number), findings in left_out.items():
        reasons = [{"kind": finding.kind, "message": finding.message} for finding in findings]
        row = {"id": findings[0].id, "split": split, "line": number, "reasons": reasons}
        lines.append(json.dumps(row, ensure_ascii=False) + "\n")
    write_whole(path, "".join(lines))


def _left_out_row(findings: Sequence[Finding]) -> str:
    kinds = ", ".join(dict.fromkeys(finding.kind for finding in findings))
    return f"left out: {findings[0].id} ({findings[0].split}): {kinds}"


def _print_rows(rows: Sequence[str], where: Path) -> None:
    for row in rows[:SHOWN_LEFT_OUT]:
        print(row)
    if len(rows) > SHOWN_LEFT_OUT:
        print(f"and {len(rows) - SHOWN_LEFT_OUT:,} more (all that were left out: {where})")
