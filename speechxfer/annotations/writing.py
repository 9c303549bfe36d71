"""Annotations to files: the format by name or by the file's suffix."""

from pathlib import Path
from typing import Literal, get_args

from speechxfer.annotations.elan import render_eaf
from speechxfer.annotations.nist import render_ctm, render_stm, trn_of
from speechxfer.annotations.praat import render_textgrid
from speechxfer.annotations.subtitles import render_srt, render_vtt
from speechxfer.annotations.tables import render_json, render_tsv
from speechxfer.annotations.tiers import Annotation
from speechxfer.errors import InputError
from speechxfer.runtime import write_atomically

AnnotationFormat = Literal["textgrid", "eaf", "ctm", "stm", "trn", "srt", "vtt", "json", "tsv"]
SUFFIXES: dict[AnnotationFormat, str] = {name: f".{name}" for name in get_args(AnnotationFormat)} | {
    "textgrid": ".TextGrid"
}


def render_annotation(annotation: Annotation, format: AnnotationFormat, folder: Path = Path()) -> str:
    """The content of a file that holds the annotation.

    TextGrid, ELAN, JSON and TSV hold all tiers; CTM holds the words (tiers ``words``), and STM, TRN, SRT and VTT the utterances
    (tiers ``utterances``), or the only tier there is.

    Args:
        annotation: what to write.
        format: one of `SUFFIXES`.
        folder: where the file will be; ELAN's documents name the recording relative to it.

    Raises:
        InputError: the format cannot hold the annotation.
    """
    match format:
        case "textgrid":
            return render_textgrid(annotation)
        case "eaf":
            return render_eaf(annotation, folder)
        case "ctm":
            return render_ctm([annotation])
        case "stm":
            return render_stm([annotation])
        case "trn":
            return trn_of([annotation])
        case "srt":
            return render_srt(annotation)
        case "vtt":
            return render_vtt(annotation)
        case "json":
            return render_json(annotation)
        case "tsv":
            return render_tsv([annotation])


def format_of(path: Path | str) -> AnnotationFormat:
    """The format that a file's suffix names, in capitals or not; InputError if none does."""
    suffix = Path(path).suffix.lower().removeprefix(".")
    for name in SUFFIXES:
        if name == suffix:
            return name
    expected = ", ".join(SUFFIXES.values())
    raise InputError(f"{path}: the suffix names no format of annotations; expected one of {expected}")


def write_annotation(path: Path | str, annotation: Annotation, format: AnnotationFormat | None = None) -> None:
    """Write an annotation to a file, whole or not at all.

    Args:
        path: the file.
        annotation: what to write.
        format: None: as the suffix says.

    Raises:
        InputError: the suffix is unknown, the format cannot hold the annotation, or the file cannot be written.

    >>> words = Tier("words", (Interval(0.1, 0.4, "good"), Interval(0.4, 0.9, "day")))
    >>> write_annotation("new.TextGrid", Annotation(Path("new.wav"), 1.0, (words,)))  # doctest: +SKIP
    """
    path = Path(path)
    content = render_annotation(annotation, format or format_of(path), path.parent)
    try:
        write_atomically(path, content)
    except UnicodeEncodeError as error:
        around = content[max(0, error.start - 40) : error.start]
        raise InputError(f"{path}: half a surrogate pair after {around!r}; correct that text") from error
