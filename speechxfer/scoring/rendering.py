"""Scores as text: rates, speaker tables, confusion tables, worst errors aligned."""

import unicodedata
from collections.abc import Sequence

from speechxfer.scoring.alignment import align_words, edit_operation
from speechxfer.scoring.counts import Confusions, Counts, Interval, Pair, ScoredUtterance, SpeakerScore
from speechxfer.text import describe_symbol


def rate_text(rate: float, interval: Interval) -> str:
    return f"{100 * rate:.1f} % [{100 * interval[0]:.1f}, {100 * interval[1]:.1f}]"


def number_of(rows: Sequence[object], name: str) -> str:
    return f"{len(rows):,} {name}" + ("" if len(rows) == 1 else "s")


def tally_text(counts: Counts) -> str:
    return f"{counts.substitutions:,} sub, {counts.deletions:,} del, {counts.insertions:,} ins of {counts.total:,}"


def speaker_table(speakers: Sequence[SpeakerScore]) -> str:
    width = max(7, *(_width(row.speaker) for row in speakers))
    lines = [f"{_padded('speaker', width)}  utterances    words    WER %    CER %    sub    del    ins"]
    for row in speakers:
        words, name = row.words, _padded(row.speaker or "(none)", width)
        lines.append(
            f"{name}  {row.utterances:>10,}  {words.total:>7,}"
            f"  {100 * words.rate:>7.1f}  {100 * row.characters.rate:>7.1f}"
            f"  {words.substitutions:>5,}  {words.deletions:>5,}  {words.insertions:>5,}"
        )
    return "\n".join(lines)


def confusion_table(name: str, confusions: Confusions, most: int) -> str:
    """Three lists, the most frequent first; empty when there is no error."""
    listed = {
        f"{name} taken for others": [
            f"{count:>7,}  {_shown(reference)} > {_shown(hypothesis)}"
            for reference, hypothesis, count in confusions.substitutions[:most]
        ],
        f"{name} left out": [f"{count:>7,}  {_shown(unit)}" for unit, count in confusions.deletions[:most]],
        f"{name} put in": [f"{count:>7,}  {_shown(unit)}" for unit, count in confusions.insertions[:most]],
    }
    return "\n\n".join(f"{title}\n" + "\n".join(rows) for title, rows in listed.items() if rows)


def _shown(unit: str) -> str:
    """A unit as it is, but a lone mark, space or apostrophe by its name."""
    return unit if any(character.isalnum() for character in unit) else describe_symbol(unit)


def aligned_errors(rows: Sequence[ScoredUtterance], most: int) -> str:
    """The utterances with the most word errors, reference above hypothesis; errors in capitals S, D, I below."""
    worst = sorted((row for row in rows if row.words.errors), key=lambda row: (-row.words.errors, row.id))[:most]
    if not worst:
        return ""
    aligned = align_words([(row.normalized_reference, row.normalized_hypothesis) for row in worst])
    blocks = [f"most errors: {number_of(worst, 'utterance')}"]
    for row, pairs in zip(worst, aligned, strict=True):
        who = f", {row.speaker}" if row.speaker else ""
        blocks.append(f"{row.id}{who}: {row.words.errors} errors of {row.words.total} words\n" + _drawn(pairs))
    return "\n\n".join(blocks)


def _drawn(pairs: Sequence[Pair], columns: int = 100) -> str:
    """REF, HYP and error rows, wrapped at about `columns` columns."""
    blocks: list[list[str]] = []
    used = columns
    for pair in pairs:
        reference, hypothesis = pair
        width = max(_width(reference or ""), _width(hypothesis or ""), 1)
        if used + width > columns:
            blocks.append(["REF:", "HYP:", "    "])
            used = 4
        verdict = edit_operation(pair).replace("=", "")
        cells = (reference or "*" * width, hypothesis or "*" * width, verdict)
        blocks[-1] = [f"{line} {_padded(cell, width)}" for line, cell in zip(blocks[-1], cells, strict=True)]
        used += width + 1
    return "\n".join(line.rstrip() for block in blocks for line in block if line.strip())


def _width(text: str) -> int:
    """Columns that a text takes on a terminal: marks and joiners none, wide East Asian characters two."""
    return sum(
        0 if unicodedata.category(c) in ("Mn", "Me", "Cf") else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )


def _padded(text: str, width: int) -> str:
    return text + " " * (width - _width(text))
