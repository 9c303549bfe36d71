"""Alignment of reference and hypothesis by jiwer (Levenshtein), error counts and confusions."""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import jiwer

from speechxfer.scoring.counts import CONFUSIONS_KEPT, Confusions, Counts, Pair


def align(pairs: Sequence[tuple[str, str]], *, words: bool) -> list[list[Pair]]:
    """Align the words, or the characters, of normalised (reference, hypothesis) texts: aligned pairs per utterance."""
    separator, process = (" ", jiwer.process_words) if words else ("", jiwer.process_characters)
    units = [tuple(text.split() if words else list(text) for text in pair) for pair in pairs]
    complete = [(reference, hypothesis) for reference, hypothesis in units if reference and hypothesis]
    chunks: Iterator[list[jiwer.AlignmentChunk]] = iter(())
    if complete:
        references, hypotheses = ([separator.join(text) for text in side] for side in zip(*complete, strict=True))
        chunks = iter(process(references, hypotheses).alignments)
    aligned: list[list[Pair]] = []
    for reference, hypothesis in units:
        if reference and hypothesis:
            aligned.append([pair for chunk in next(chunks) for pair in _pairs_of(chunk, reference, hypothesis)])
        else:  # one side is empty: nothing to align
            aligned.append([*((unit, None) for unit in reference), *((None, unit) for unit in hypothesis)])
    return aligned


def _pairs_of(chunk: jiwer.AlignmentChunk, reference: list[str], hypothesis: list[str]) -> Iterator[Pair]:
    of_reference = reference[chunk.ref_start_idx : chunk.ref_end_idx]
    of_hypothesis = hypothesis[chunk.hyp_start_idx : chunk.hyp_end_idx]
    if chunk.type == "delete":
        return ((unit, None) for unit in of_reference)
    if chunk.type == "insert":
        return ((None, unit) for unit in of_hypothesis)
    return zip(of_reference, of_hypothesis, strict=True)


def count_errors(pairs: Iterable[Pair]) -> Counts:
    """Hits, substitutions, deletions and insertions of aligned pairs."""
    tally = Counter(map(edit_operation, pairs))
    return Counts(tally["="], tally["S"], tally["D"], tally["I"])


def edit_operation(pair: Pair) -> str:
    """One aligned pair: "=" (hit), "S" (substitution), "D" (deletion) or "I" (insertion)."""
    reference, hypothesis = pair
    if reference is None:
        return "I"
    if hypothesis is None:
        return "D"
    return "=" if reference == hypothesis else "S"


def remove_marks(text: str) -> str:
    """The text without non-spacing combining marks (category Mn), composed (NFC)."""
    letters = "".join(c for c in unicodedata.normalize("NFD", text) if unicodedata.category(c) != "Mn")
    return unicodedata.normalize("NFC", " ".join(letters.split()))


def count_confusions(aligned: Iterable[Iterable[Pair]]) -> Confusions:
    """The most frequent substitutions, deletions and insertions of aligned utterances."""
    return _rank(Counter(pair for pairs in aligned for pair in pairs))


def sum_confusions(several: Iterable[Confusions]) -> Confusions:
    """The confusions of several reports in one; each report contributes only its 50 most frequent ones of a kind."""
    counts: Counter[Pair] = Counter()
    for each in several:
        counts.update({(reference, hypothesis): count for reference, hypothesis, count in each.substitutions})
        counts.update({(reference, None): count for reference, count in each.deletions})
        counts.update({(None, hypothesis): count for hypothesis, count in each.insertions})
    return _rank(counts)


def _rank(counts: "Counter[Pair]") -> Confusions:
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0][0] or "", item[0][1] or ""))
    substitutions = [(r, h, count) for (r, h), count in ranked if r is not None and h is not None and r != h]
    deletions = [(r, count) for (r, h), count in ranked if r is not None and h is None]
    insertions = [(h, count) for (r, h), count in ranked if r is None and h is not None]
    return Confusions(
        tuple(substitutions[:CONFUSIONS_KEPT]), tuple(deletions[:CONFUSIONS_KEPT]), tuple(insertions[:CONFUSIONS_KEPT])
    )


def most_frequent(counts: "Counter[str]") -> tuple[tuple[str, int], ...]:
    """Items and counts, the most frequent first, ties in order of the items."""
    return tuple(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
