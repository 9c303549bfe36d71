"""Rules about transcripts: text, symbols, CTC feasibility and speaking rate.

Source of the outlier rule (median and median absolute deviation): Iglewicz and Hoaglin, 'How to detect and handle outliers'
(1993).
"""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from speechxfer.checking.feasibility import ctc_frames_needed
from speechxfer.checking.findings import Entry, Finding, UnseenSymbol
from speechxfer.checking.settings import CheckSettings
from speechxfer.text import Vocabulary, describe_symbol

RATE_DEVIATIONS = 6.0  # robust standard deviations of the log speaking rate
RATE_LEAST_SPREAD = 0.1  # of the log rate, so that rounding makes no outliers where nearly all rates are equal
RATE_LEAST_UTTERANCES = 20
# Words in brackets, such as (laugh), often describe the recording and are not said in it.
REMARK = re.compile(r"\([^()]+\)|\[[^][]+\]|\{[^{}]+\}|<[^<>]+>|\*[^*]+\*|（[^（）]+）|【[^【】]+】")


def train_vocabulary(entries: Sequence[Entry], settings: CheckSettings) -> Vocabulary | None:
    """The vocabulary of train's texts; without any, of all texts, so that symbols can be counted; None without any text."""
    texts = [entry.text for entry in entries if entry.text and entry.role == "train"]
    texts = texts or [entry.text for entry in entries if entry.text]
    kind, normalizer = settings.vocabulary_kind, settings.normalizer
    return Vocabulary.from_texts(texts, kind, normalizer=normalizer, bpe_size=settings.bpe_size) if texts else None


def text_findings(
    entries: Sequence[Entry], settings: CheckSettings, vocabulary: Vocabulary | None
) -> Iterator[Finding]:
    """Findings about each transcript."""
    for entry in entries:
        if not entry.text:
            original = entry.utterance.text
            what = f"nothing remains of the text {original[:60]!r}" if original else "there is no text"
            yield entry.finding("error", "empty text", f"{what}; expected what is said")
            continue
        remarks = REMARK.findall(entry.utterance.text)
        if remarks:
            what = f"{', '.join(remarks)[:60]} in the text; expected only what is said"
            yield entry.finding("warning", "remark", what)
        if vocabulary:
            if unseen := vocabulary.unknown(entry.text):
                shown = ", ".join(f"{describe_symbol(symbol)} x{count}" for symbol, count in sorted(unseen.items()))
                what = f"not in train: {shown}; expected train's symbols only"
                yield entry.finding("warning", "unseen symbol", what)
            if not settings.classify:
                yield from _ctc_findings(entry, settings, vocabulary)
    if settings.classify:
        yield from _label_findings(entries)


def _label_findings(entries: Sequence[Entry]) -> Iterator[Finding]:
    """Labels with a single training example, as when sentences are given to a classifier."""
    examples = Counter(entry.text for entry in entries if entry.role == "train")
    for entry in entries:
        if entry.role == "train" and entry.text and examples[entry.text] == 1:
            what = f"{entry.text[:60]!r} is the text of no other training utterance; expected several of each label"
            yield entry.finding("warning", "single example", what)


def _ctc_findings(entry: Entry, settings: CheckSettings, vocabulary: Vocabulary) -> Iterator[Finding]:
    """Too few frames for CTC: an error in train; elsewhere the model cannot output the whole text, which costs accuracy."""
    frames = settings.count_frames(entry.audio) if entry.audio else 0
    if not entry.audio or not frames:
        return
    symbols = vocabulary.encode(entry.text, unknown="skip")
    encoded, needed = settings.encoder_frames(frames), ctc_frames_needed(symbols)
    if encoded < needed:
        what = (
            f"{encoded} encoder frames ({entry.audio.seconds:.2f} s), but CTC needs {needed} to align {len(symbols)} symbols "
            f"and {needed - len(symbols)} repeats; expected at least as many"
        )
        yield entry.finding("error" if entry.role == "train" else "warning", "too few frames", what)


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
        spread = max(RATE_LEAST_SPREAD, 1.4826 * float(np.median(np.abs(logs - median))))
        limit = RATE_DEVIATIONS * spread
        for entry, log in group:
            if abs(log - median) > limit:
                what = (
                    f"{math.exp(log):.1f} characters per second; expected {math.exp(median - limit):.1f} to "
                    f"{math.exp(median + limit):.1f}, which is {RATE_DEVIATIONS:g} robust deviations (median absolute "
                    f"deviation of the logarithm) around the median {math.exp(median):.1f}"
                )
                yield entry.finding("warning", "speaking rate", what)


def find_unseen_symbols(entries: Sequence[Entry], vocabulary: Vocabulary | None) -> tuple[UnseenSymbol, ...]:
    """Symbols that are not in the vocabulary, by split as given, the most frequent first."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    ids: dict[tuple[str, str], list[str]] = defaultdict(list)
    for entry in entries:
        for symbol, count in vocabulary.unknown(entry.text).items() if vocabulary else ():
            counts[entry.split][symbol] += count
            ids[entry.split, symbol].append(entry.id)
    return tuple(
        UnseenSymbol(split, symbol, count, tuple(ids[split, symbol]))
        for split, counter in counts.items()
        for symbol, count in sorted(counter.items(), key=lambda item: (-item[1], item[0]))
    )
