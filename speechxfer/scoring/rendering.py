"""Score reports as text: headline, speaker table, confusion tables, and the utterances with the most errors, aligned."""

import unicodedata
from collections.abc import Sequence

from speechxfer.errors import count_of
from speechxfer.scoring.alignment import align, edit_operation
from speechxfer.scoring.counts import Confusions, Pair, ScoredUtterance, SpeakerScore
from speechxfer.scoring.report import WerReport
from speechxfer.text import describe_symbol

SHOWN = 20  # rows of each of the six tables of confusions; utterances aligned
COLUMNS = 100


def render_report(report: WerReport) -> str:
    """The whole report as text."""
    parts = [str(report)]
    if any(row.speaker for row in report.utterances):
        parts.append(_speaker_table(report.speakers))
    parts.append(_confusion_table("words", report.word_confusions))
    parts.append(_confusion_table("characters", report.character_confusions))
    parts.append(_worst_errors(report.utterances))
    return "\n\n".join(part for part in parts if part) + "\n"


def _speaker_table(speakers: Sequence[SpeakerScore]) -> str:
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


def _confusion_table(unit: str, confusions: Confusions) -> str:
    """Three lists, the most frequent first; empty when there is no error."""
    listed = {
        f"{unit}: substitutions": [
            f"{count:>7,}  {_shown(reference)} > {_shown(hypothesis)}"
            for reference, hypothesis, count in confusions.substitutions[:SHOWN]
        ],
        f"{unit}: deletions": [f"{count:>7,}  {_shown(text)}" for text, count in confusions.deletions[:SHOWN]],
        f"{unit}: insertions": [f"{count:>7,}  {_shown(text)}" for text, count in confusions.insertions[:SHOWN]],
    }
    return "\n\n".join(f"{title}\n" + "\n".join(rows) for title, rows in listed.items() if rows)


def _shown(text: str) -> str:
    """A word or character as it is, but a single mark, space or apostrophe by its name."""
    return text if any(character.isalnum() for character in text) else describe_symbol(text)


def _worst_errors(rows: Sequence[ScoredUtterance]) -> str:
    """The utterances with the most word errors, reference above hypothesis; errors in capitals S, D, I below."""
    worst = sorted((row for row in rows if row.words.errors), key=lambda row: (-row.words.errors, row.id))[:SHOWN]
    if not worst:
        return ""
    aligned = align([(row.normalized_reference, row.normalized_hypothesis) for row in worst], words=True)
    blocks = [f"worst errors: {count_of(len(worst), 'utterance')}"]
    for row, pairs in zip(worst, aligned, strict=True):
        who = f", {row.speaker}" if row.speaker else ""
        blocks.append(
            f"{row.id}{who}: {row.words.errors} errors of {row.words.total} words\n" + _format_alignment(pairs)
        )
    return "\n\n".join(blocks)


def _format_alignment(pairs: Sequence[Pair]) -> str:
    """REF, HYP and error rows, wrapped at about `COLUMNS` columns."""
    blocks: list[list[str]] = []
    used = COLUMNS
    for pair in pairs:
        reference, hypothesis = pair
        width = max(_width(reference or ""), _width(hypothesis or ""), 1)
        if used + width > COLUMNS:
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
