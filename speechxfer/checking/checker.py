"""Checking of manifests before training: everything that would stop it, harm it or invalidate its score, by utterance.

`check_manifests` reads manifests leniently, decodes every recording once and reports all findings together. It does not
judge how well a text fits its recording: a wrong transcript of plausible length passes.

Conventions:
    * An *error* stops training, harms it, or invalidates a score; a *warning* is for a person to look at.
    * Of two copies of a recording the one in test is kept, then dev, then train; within a split the first.
    * Too few frames for CTC are an error in train; in dev and test they only cost accuracy.
    * Silence is a peak below -60 dB of full scale; clipping is counted in runs of three or more samples at full scale.
"""

import math
import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from speechxfer.checking.audio_rules import audio_findings
from speechxfer.checking.findings import ADVICE, Entry, Finding, Role, SplitSummary
from speechxfer.checking.measurement import measure_headers, measure_recordings
from speechxfer.checking.report import CheckReport
from speechxfer.checking.settings import CheckSettings
from speechxfer.checking.sharing_rules import duplicate_findings, shared_sentence_findings, shared_speaker_findings
from speechxfer.checking.text_rules import find_unseen_symbols, rate_findings, text_findings, train_vocabulary
from speechxfer.data import Utterance, number_lines, parse_line, paused_collection
from speechxfer.errors import InputError
from speechxfer.text import Kind, Normalizer

ROLE_WORDS: dict[str, Role] = {
    "test": "test", "testing": "test", "eval": "test", "evaluation": "test",
    "dev": "dev", "val": "dev", "valid": "dev", "validation": "dev", "development": "dev",
    "train": "train", "training": "train",
}  # fmt: skip


def check_manifests(
    paths: Sequence[Path],
    settings: CheckSettings = CheckSettings(),
    *,
    options: Sequence[str] = (),
    quick: bool = False,
) -> CheckReport:
    """Check manifests, alone and against each other; every recording is decoded once.

    Args:
        paths: manifests. The role of each (train, dev or test) is taken from its name; of those whose name contains no
            role, the first is train (if no other is) and the others are test.
        settings: the requirements of the intended training.
        options: options of the command line that the report repeats in the commands it suggests.
        quick: decode nothing: read the headers of some recordings, and take the lengths of the others from the manifest.

    Raises:
        InputError: a manifest cannot be opened, none is given, or one is given twice. Faults *inside* a manifest are
            findings, never raised.
    """
    with paused_collection():
        return _check(split_manifests(paths), settings, options, quick)


def _check(splits: Sequence[SplitSummary], settings: CheckSettings, options: Sequence[str], quick: bool) -> CheckReport:
    entries, findings = read_leniently(splits, settings.normalizer)
    headers_read = None
    if quick:
        unreadable, headers_read = measure_headers(entries, settings)
    else:
        entries, unreadable = measure_recordings(entries)
    vocabulary = train_vocabulary(entries, settings)
    findings += [*unreadable, *audio_findings(entries, settings), *text_findings(entries, settings, vocabulary)]
    findings += [*rate_findings(entries), *shared_sentence_findings(entries), *shared_speaker_findings(splits, entries)]
    findings += duplicate_findings(entries, {(f.split, f.line) for f in findings if f.removes_utterance})
    kinds = {kind: i for i, kind in enumerate(ADVICE)}
    places = {split.name: i for i, split in enumerate(splits)}
    findings.sort(key=lambda f: (f.severity, kinds[f.kind], places.get(f.split, len(places)), f.line))
    return CheckReport(
        splits=tuple(_summary(split, entries, settings.vocabulary_kind) for split in splits),
        findings=tuple(findings),
        unseen_symbols=find_unseen_symbols(entries, vocabulary),
        settings=settings,
        entries=tuple(entries),
        options=tuple(options),
        headers_read=headers_read,
    )


def check_recordings(
    utterances: Sequence[Utterance], settings: CheckSettings, others: Sequence[Utterance] = ()
) -> list[Finding]:
    """Findings about the recordings of utterances, which may have no texts; ids are unique.

    Args:
        others: utterances that are not judged; a recording that they have already is a duplicate.
    """
    roles: tuple[tuple[Role, Sequence[Utterance]], ...] = (("test", others), ("train", utterances))
    entries = [
        Entry(role, role, line, utterance, "") for role, part in roles for line, utterance in enumerate(part, start=1)
    ]
    entries, findings = measure_recordings(entries)
    findings += audio_findings(entries, settings)
    findings += duplicate_findings(entries, {(f.split, f.line) for f in findings if f.removes_utterance})
    return [finding for finding in findings if finding.split == "train"]


def _summary(split: SplitSummary, entries: Sequence[Entry], kind: Kind) -> SplitSummary:
    own = [entry for entry in entries if entry.split == split.name]
    return replace(
        split,
        utterances=len(own),
        seconds=math.fsum(entry.utterance.duration for entry in own),
        speakers=len({entry.utterance.speaker for entry in own} - {""}),
        symbols=len({s for entry in own for s in (entry.text.split() if kind in ("words", "phones") else entry.text)}),
        rates_hz=tuple(sorted({entry.audio.rate_hz for entry in own if entry.audio and entry.audio.has_header})),
    )


def split_manifests(paths: Sequence[Path]) -> list[SplitSummary]:
    """Names, roles and paths; a name is that of the file, or the whole path if two files have one name."""
    if not paths:
        raise InputError("check: no manifest was given; expected one or more .jsonl files, train first; name them")
    twice = [path for path, count in Counter(paths).items() if count > 1]
    if twice:
        raise InputError(f"check: {twice[0]} was given twice; expected every manifest once; name it once")
    stems = [path.stem for path in paths]
    roles = [_role(stem) for stem in stems]
    splits = []
    for i, (path, stem, role) in enumerate(zip(paths, stems, roles, strict=True)):
        default: Role = "test" if i or "train" in roles else "train"
        splits.append(SplitSummary(stem if stems.count(stem) == 1 else str(path), role or default, path))
    return splits


def _role(stem: str) -> Role | None:
    """The role by the words of a name; test and dev come first, so that Kaldi's ``train_dev`` is dev."""
    words = re.findall(r"[a-z]+", stem.lower())
    return next((role for word, role in ROLE_WORDS.items() if word in words), None)


def read_leniently(splits: Sequence[SplitSummary], normalizer: Normalizer) -> tuple[list[Entry], list[Finding]]:
    """The entries of all manifests, and findings about broken lines, duplicate ids and empty manifests."""
    entries: list[Entry] = []
    findings: list[Finding] = []
    used: dict[str, Entry] = {}
    for split in splits:
        before, folder = len(entries), os.path.realpath(split.path.parent)
        for number, data in number_lines(split.path):
            try:
                utterance = parse_line(data, f"{split.path}:{number}", folder)
            except InputError as error:
                name = f"{split.path.name}:{number}"
                findings.append(Finding("error", "broken line", split.name, name, str(error), number))
                continue
            text = normalizer(utterance.text)
            text = utterance.text if text == utterance.text else text  # one string instead of two
            entry = Entry(split.name, split.role, number, utterance, text)
            if entry.id in used:
                findings.append(_duplicate_id(entry, used[entry.id]))
            if entry.id not in used or used[entry.id].split != entry.split:
                used[entry.id] = entry
            entries.append(entry)
        if len(entries) == before:
            message = f"{split.path}: it has no utterance; expected one JSON object a line; {ADVICE['empty manifest']}"
            findings.append(Finding("error", "empty manifest", split.name, split.path.name, message))
    return entries, findings


def _duplicate_id(entry: Entry, other: Entry) -> Finding:
    """An error within a manifest, which could then not be read; across manifests ids may just be numbered alike."""
    what = (
        f"line {entry.line}: id {entry.id!r} was already used on line {other.line} of {other.split}; ids must be unique"
    )
    if entry.split == other.split:
        return entry.finding("error", "duplicate id", what)
    return entry.finding("warning", "duplicate id", what, "harmless if the recordings differ")
