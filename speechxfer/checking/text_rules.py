"""Rules about transcripts: text, symbols, CTC feasibility, speaking rate, sentences and speakers shared between splits."""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np

from speechxfer.checking.audio_rules import AudioRequirements
from speechxfer.checking.feasibility import ctc_frames_needed
from speechxfer.checking.findings import (
    ADVICE,
    Entry,
    Finding,
    SplitManifest,
    UnseenSymbol,
    count_of,
)
from speechxfer.errors import first_names
from speechxfer.text import Kind, Normalizer, Vocabulary, describe_symbol

RATE_DEVIATIONS = 6.0  # robust standard deviations of the log speaking rate
RATE_LEAST_SPREAD = 0.1  # of the log rate, so that a corpus of nearly one rate has no outliers by rounding
RATE_LEAST_UTTERANCES = 20
REMARK = re.compile(r"\([^()]+\)|\[[^][]+\]|\{[^{}]+\}|<[^<>]+>|\*[^*]+\*|（[^（）]+）|【[^【】]+】")


def train_vocabulary(entries: Sequence[Entry], kind: Kind, normalizer: Normalizer, bpe_size: int) -> Vocabulary | None:
    """Train's symbols; without a text of train everything's, so that they can be counted; None without any text."""
    told = [entry for entry in entries if entry.text]
    texts = [entry.text for entry in told if entry.role == "train"] or [entry.text for entry in told]
    return Vocabulary.from_texts(texts, kind, normalizer=normalizer, bpe_size=bpe_size) if texts else None


def text_findings(
    entries: Sequence[Entry], rules: AudioRequirements, vocabulary: Vocabulary | None
) -> Iterator[Finding]:
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
            if not rules.classify:
                yield from _ctc_findings(entry, rules, vocabulary)
    if rules.classify:
        yield from _label_findings(entries)


def _remark_findings(entry: Entry) -> Iterator[Finding]:
    """Words in brackets, such as (laugh), are often about the recording, not in it."""
    remarks = REMARK.findall(entry.utterance.text)
    if remarks:
        what = f"{', '.join(remarks)[:60]} in the text; expected only what is said"
        yield entry.finding("warning", "remark", what)


def _symbol_findings(entry: Entry, vocabulary: Vocabulary) -> Iterator[Finding]:
    symbols = vocabulary.unknown(entry.text)
    shown = ", ".join(f"{describe_symbol(symbol)} x{count}" for symbol, count in sorted(symbols.items()))
    if symbols and entry.role == "train":
        yield entry.finding("error", "unknown symbol", f"not in the vocabulary: {shown}; expected its symbols only")
    elif symbols:
        yield entry.finding("warning", "unseen symbol", f"not in train: {shown}; expected train's symbols only")


def _label_findings(entries: Sequence[Entry]) -> Iterator[Finding]:
    """Labels with a single training example, as when sentences are given to a classifier."""
    examples = Counter(entry.text for entry in entries if entry.role == "train")
    for entry in entries:
        if entry.role == "train" and entry.text and examples[entry.text] == 1:
            what = f"{entry.text[:60]!r} is the text of no other training utterance; expected several of each label"
            yield entry.finding("warning", "single example", what)


def _ctc_findings(entry: Entry, rules: AudioRequirements, vocabulary: Vocabulary) -> Iterator[Finding]:
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


def rate_findings(entries: Sequence[Entry]) -> Iterator[Finding]:
    """Characters per second far from the median of the language, in robust deviations of the logarithm."""
    by_lang: dict[str, list[tuple[Entry, float]]] = defaultdict(list)
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


def find_unseen_symbols(entries: Sequence[Entry], vocabulary: Vocabulary | None) -> tuple[UnseenSymbol, ...]:
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


def shared_sentence_findings(entries: Sequence[Entry]) -> Iterator[Finding]:
    trained: dict[str, list[str]] = defaultdict(list)
    for entry in entries:
        if entry.role == "train" and entry.text:
            trained[entry.text].append(entry.id)
    for entry in entries:
        if entry.role != "train" and entry.text in trained:
            what = f"train has {entry.text[:60]!r} too ({first_names(trained[entry.text])}); expected a sentence of its own"
            yield entry.finding("warning", "shared sentence", what)


def shared_speaker_findings(splits: Sequence[SplitManifest], entries: Sequence[Entry]) -> Iterator[Finding]:
    counts: dict[str, Counter[str]] = {split.name: Counter() for split in splits}
    for entry in entries:
        if entry.utterance.speaker:
            counts[entry.split][entry.utterance.speaker] += 1
    for a, b in combinations(splits, 2):
        shared = sorted(counts[a.name].keys() & counts[b.name].keys())
        if shared and a.role != b.role:
            amount = sum(counts[b.name][speaker] for speaker in shared)
            message = (
                f"{a.name} has {len(shared)} of {b.name}'s {count_of(len(counts[b.name]), 'speaker')} too ({first_names(shared)}; "
                f"{count_of(amount, 'utterance')}); expected none; {ADVICE['shared speaker']}"
            )
            yield Finding("warning", "shared speaker", f"{a.name} + {b.name}", "", message)
