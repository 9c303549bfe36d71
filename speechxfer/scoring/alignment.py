"""Alignment of reference and hypothesis by jiwer (Levenshtein), error counts and confusions."""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import jiwer

from speechxfer.scoring.counts import CONFUSIONS_KEPT, Confusions, Counts, Pair
from speechxfer.text import Vocabulary


def align_words(pairs: Sequence[tuple[str, str]]) -> list[list[Pair]]:
    """Align the words of normalised (reference, hypothesis) texts: aligned pairs per utterance."""
    return _align([(reference.split(), hypothesis.split()) for reference, hypothesis in pairs], words=True)


def align_characters(pairs: Sequence[tuple[str, str]]) -> list[list[Pair]]:
    """Align the characters of normalised (reference, hypothesis) texts: aligned pairs per utterance."""
    return _align([(list(reference), list(hypothesis)) for reference, hypothesis in pairs], words=False)


def _align(pairs: Sequence[tuple[list[str], list[str]]], *, words: bool) -> list[list[Pair]]:
    separator, process = (" ", jiwer.process_words) if words else ("", jiwer.process_characters)
    complete = [(reference, hypothesis) for reference, hypothesis in pairs if reference and hypothesis]
    chunks: Iterator[list[jiwer.AlignmentChunk]] = iter(())
    if complete:
        references, hypotheses = ([separator.join(units) for units in side] for side in zip(*complete, strict=True))
        chunks = iter(process(references, hypotheses).alignments)
    aligned: list[list[Pair]] = []
    for reference, hypothesis in pairs:
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
    tally = Counter(edit_operation(pair) for pair in pairs)
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
    substitutions: Counter[tuple[str, str]] = Counter()
    deletions: Counter[str] = Counter()
    insertions: Counter[str] = Counter()
    for pairs in aligned:
        for reference, hypothesis in pairs:
            if reference is None and hypothesis is not None:
                insertions[hypothesis] += 1
            elif reference is not None and hypothesis is None:
                deletions[reference] += 1
            elif reference is not None and hypothesis is not None and reference != hypothesis:
                substitutions[reference, hypothesis] += 1
    return _ranked(substitutions, deletions, insertions)


def sum_confusions(several: Iterable[Confusions]) -> Confusions:
    """The confusions of several reports in one; each report contributes only its 50 most frequent ones of a kind."""
    substitutions: Counter[tuple[str, str]] = Counter()
    deletions: Counter[str] = Counter()
    insertions: Counter[str] = Counter()
    for each in several:
        substitutions.update({(reference, hypothesis): count for reference, hypothesis, count in each.substitutions})
        deletions.update(dict(each.deletions))
        insertions.update(dict(each.insertions))
    return _ranked(substitutions, deletions, insertions)


def _ranked(
    substitutions: "Counter[tuple[str, str]]", deletions: "Counter[str]", insertions: "Counter[str]"
) -> Confusions:
    frequent = sorted(substitutions.items(), key=lambda item: (-item[1], item[0]))[:CONFUSIONS_KEPT]
    return Confusions(
        tuple((reference, hypothesis, count) for (reference, hypothesis), count in frequent),
        most_frequent(deletions)[:CONFUSIONS_KEPT],
        most_frequent(insertions)[:CONFUSIONS_KEPT],
    )


def most_frequent(counts: "Counter[str]") -> tuple[tuple[str, int], ...]:
    """Items and counts, the most frequent first, ties in order of the items."""
    return tuple(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def count_unknown_symbols(vocabulary: Vocabulary, texts: Iterable[str]) -> tuple[tuple[str, int], ...]:
    """Symbols of normalised texts that the vocabulary lacks, with counts, the most frequent first."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(vocabulary.unknown(text))
    return most_frequent(counts)
