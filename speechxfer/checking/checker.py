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
from collections.abc import Sequence
from pathlib import Path

from speechxfer.checking.audio_rules import audio_findings
from speechxfer.checking.findings import ADVICE, Entry, SplitManifest, SplitSummary
from speechxfer.checking.measurement import measure_recordings
from speechxfer.checking.reading import read_leniently, split_manifests
from speechxfer.checking.report import CheckReport
from speechxfer.checking.settings import CheckSettings
from speechxfer.checking.sharing_rules import duplicate_findings, shared_sentence_findings, shared_speaker_findings
from speechxfer.checking.text_rules import find_unseen_symbols, rate_findings, text_findings, train_vocabulary
from speechxfer.text import Kind


def check_manifests(
    paths: Sequence[Path], settings: CheckSettings = CheckSettings(), *, options: Sequence[str] = ()
) -> CheckReport:
    """Check manifests, alone and against each other; every recording is decoded once.

    Args:
        paths: manifests. The role of each (train, dev or test) is taken from its name; of those whose name contains no
            role, the first is train (if no other is) and the others are test.
        settings: the requirements of the intended training.
        options: options of the command line that the report repeats in the commands it suggests.

    Raises:
        InputError: a manifest cannot be opened, none is given, or one is given twice. Faults *inside* a manifest are
            findings, never raised.
    """
    splits = split_manifests(paths)
    entries, findings = read_leniently(splits, settings.normalizer)
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
    )


def _summary(split: SplitManifest, entries: Sequence[Entry], kind: Kind) -> SplitSummary:
    own = [entry for entry in entries if entry.split == split.name]
    return SplitSummary(
        **vars(split),
        utterances=len(own),
        seconds=math.fsum(entry.utterance.duration for entry in own),
        speakers=len({entry.utterance.speaker for entry in own} - {""}),
        symbols=len({s for entry in own for s in (entry.text.split() if kind in ("words", "phones") else entry.text)}),
        rates_hz=tuple(sorted({entry.audio.rate_hz for entry in own if entry.audio})),
    )
