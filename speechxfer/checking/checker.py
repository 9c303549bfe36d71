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

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from speechxfer.checking.audio_rules import AudioRequirements, audio_findings, duplicate_findings
from speechxfer.checking.feasibility import kaldi_frames, subsampled_frames
from speechxfer.checking.findings import Entry, SplitManifest, SplitSummary
from speechxfer.checking.measurement import measure_recordings
from speechxfer.checking.reading import in_order, read_leniently, split_manifests
from speechxfer.checking.report import CheckReport, is_removed
from speechxfer.checking.text_rules import (
    find_unseen_symbols,
    rate_findings,
    shared_sentence_findings,
    shared_speaker_findings,
    text_findings,
    train_vocabulary,
)
from speechxfer.errors import InputError
from speechxfer.text import Kind, Normalizer, Vocabulary


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
    rules = AudioRequirements(
        sample_rate_hz,
        frames_of_samples or (lambda samples: kaldi_frames(samples, sample_rate_hz)),
        encoder_frames or (lambda frames: subsampled_frames(frames, subsampling)),
        resample,
        mono,
        speed,
        max_duration_s,
        classify,
    )
    splits = split_manifests(paths)
    entries, findings = read_leniently(splits, normalizer)
    entries, unheard = measure_recordings(entries)
    kind = vocabulary.kind if vocabulary else vocabulary_kind
    learnt = vocabulary or train_vocabulary(entries, kind, normalizer, bpe_size)
    findings += [*unheard, *audio_findings(entries, rules), *text_findings(entries, rules, learnt)]
    findings += [*rate_findings(entries), *shared_sentence_findings(entries), *shared_speaker_findings(splits, entries)]
    findings += duplicate_findings(entries, {(f.split, f.line) for f in findings if is_removed(f)})
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
        summaries, in_order(findings, splits), find_unseen_symbols(entries, learnt), settings, tuple(entries)
    )


def _summary(split: SplitManifest, entries: Sequence[Entry], kind: Kind) -> SplitSummary:
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
