"""The verb `score`: transcripts in files, of any recogniser, against references; NIST's formats by sclite's conventions."""

from pathlib import Path
from typing import Literal

from speechxfer.annotations import read_ctm, read_stm, read_trn
from speechxfer.data import read_manifest
from speechxfer.errors import InputError, count_of
from speechxfer.runtime import write_atomically
from speechxfer.scoring import (
    NistOptions,
    NistReport,
    WerReport,
    render_nist_table,
    render_report,
    score,
    score_segments,
    score_transcripts,
)

ScoreFormat = Literal["trn", "stm", "manifest"]
DEFAULT_OPTIONS = NistOptions()
_BY_SUFFIX: dict[tuple[str, str], ScoreFormat] = {
    (".trn", ".trn"): "trn",
    (".stm", ".ctm"): "stm",
    (".jsonl", ".jsonl"): "manifest",
}


def score_files(
    reference: Path,
    hypothesis: Path,
    *,
    format: ScoreFormat | None = None,
    options: NistOptions = DEFAULT_OPTIONS,
    encoding: str = "utf-8",
    out: Path | None = None,
) -> str:
    """Word and character error rates of the transcripts in one file against those in another, as text.

    Args:
        reference: TRN, STM or manifest.
        hypothesis: TRN for TRN, CTM for STM, a manifest for a manifest.
        format: "trn", "stm" (a CTM against an STM) or "manifest"; None: as the suffixes say.
        options: how the texts of NIST's formats are read.
        encoding: of files of NIST's formats.
        out: folder for ``report.json`` (for `compare`) and ``report.txt``, and for NIST's formats sclite's tables ``words.sys``,
            ``words.raw`` and ``characters.sys``; None: nothing is written.

    Returns:
        The headline with intervals; for NIST's formats also the settings and sclite's tables of words and characters.

    Raises:
        InputError: the suffixes name no format, a file is damaged, or the two sides do not have the same ids or recordings.
    """
    format = format or _format_of(reference, hypothesis)
    if format == "manifest":
        report = _score_manifests(reference, hypothesis)
        _write(out, {}, report)
        return str(report)
    if format == "trn":
        scored = score_transcripts(read_trn(reference, encoding), read_trn(hypothesis, encoding), options)
    else:
        scored = score_segments(read_stm(reference, encoding), read_ctm(hypothesis, encoding), options)
    words, characters = render_nist_table(scored), render_nist_table(scored, "characters")
    raw = render_nist_table(scored, as_counts=True)
    _write(out, {"words.sys": words, "words.raw": raw, "characters.sys": characters}, scored.report)
    parts = [str(scored.report), _describe(scored, options), f"words\n{words}", f"characters\n{characters}"]
    return "\n\n".join(part.rstrip() for part in [*parts, *_label_table(scored)])


def _format_of(reference: Path, hypothesis: Path) -> ScoreFormat:
    suffixes = (reference.suffix.lower(), hypothesis.suffix.lower())
    if suffixes not in _BY_SUFFIX:
        raise InputError(
            f"{reference} and {hypothesis}: the suffixes name no format; expected two .trn, .stm and .ctm, or two .jsonl; "
            "pass --format"
        )
    return _BY_SUFFIX[suffixes]


def _score_manifests(reference: Path, hypothesis: Path) -> WerReport:
    references, hypotheses = read_manifest(reference), read_manifest(hypothesis)
    return score(
        {utterance.id: utterance.text for utterance in references},
        {utterance.id: utterance.text for utterance in hypotheses},
        speakers={utterance.id: utterance.speaker for utterance in references},
    )


def _describe(scored: NistReport, options: NistOptions) -> str:
    """The conventions that were used, and what does not count."""
    used = [
        "sclite's weights (substitutions 4, insertions and deletions 3)",
        f"case {'matters' if options.case_sensitive else 'ignored'}",
        f"(a) {'may be missing' if options.optional_words else 'is a word'}",
        f"fragments {'fit the words that they begin or end' if options.fragments else 'are words'}",
        "spaces are no characters" + (", nor are hyphens" if options.delete_hyphens else ""),
    ]
    text = "conventions: " + "; ".join(used)
    if scored.ignored_segments:
        segments, words = count_of(scored.ignored_segments, "segment"), count_of(scored.ignored_words, "word")
        text += f"\nexcluded by the reference: {segments} with {words} of the hypothesis"
    return text


def _label_table(scored: NistReport) -> list[str]:
    rows = [f"{'label':12}  {'words':>7}  {'WER %':>6}"] if scored.labels else []
    for name, counts in sorted(scored.labels.items()):
        rate = f"{100 * counts.rate:.1f}" if counts.total else "-"
        rows.append(f"{name:12}  {counts.total:>7,}  {rate:>6}")
    return ["\n".join(rows)] if rows else []


def _write(out: Path | None, tables: dict[str, str], report: WerReport) -> None:
    files = {"report.json": report.to_json(), "report.txt": render_report(report), **tables} if out else {}
    for name, text in files.items():
        write_atomically(Path(out or "") / name, text)
