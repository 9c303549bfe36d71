"""The verb `align`: a manifest's utterances, or one recording of any length with its transcript, to annotation files."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

from speechxfer.alignment import DEFAULT_OPTIONS, Alignment, AlignmentOptions, align, annotate
from speechxfer.annotations import SUFFIXES, AnnotationFormat, write_annotation
from speechxfer.checkpoints import load_model
from speechxfer.data import Utterance, read_manifest
from speechxfer.decoding import recording_utterance
from speechxfer.errors import InputError, count_of
from speechxfer.runtime import check_not_existing, default_device, is_main_process, read_text, write_atomically
from speechxfer.workflows.run_inputs import trained_audio_options

MAX_TEXT_BYTES = 64 << 20
FLAGS = "flags.tsv"
OF_UTTERANCES = ("stm", "trn", "srt", "vtt")  # formats that hold utterances, not words


@dataclass(frozen=True)
class AlignmentSummary:
    """What `align_inputs` found; ``str()`` is what the verb prints."""

    utterances: int
    words: int
    missing_words: int
    untranscribed: int
    untranscribed_s: float
    uncorrected: int
    files: int
    out: Path

    def __str__(self) -> str:
        lines = [
            f"{count_of(self.utterances, 'utterance')}: {count_of(self.words, 'word')} found, {self.missing_words:,} missing; "
            f"{count_of(self.untranscribed, 'untranscribed part')} of {self.untranscribed_s:.1f} s"
        ]
        if self.uncorrected:
            lines.append(f"times of CTC, at the encoder's frames, in {count_of(self.uncorrected, 'utterance')}")
        lines.append(f"wrote {count_of(self.files, 'annotated file')} and {FLAGS} to {self.out}")
        return "\n".join(lines)


def align_inputs(
    model: str,
    source: Path,
    out: Path,
    *,
    text: Path | None = None,
    formats: str = "textgrid",
    options: AlignmentOptions = DEFAULT_OPTIONS,
    resample: bool | None = None,
    mono: bool | None = None,
) -> AlignmentSummary:
    """Align recordings with their texts, and write one annotation for each recording and format.

    Also writes ``flags.tsv``: missing words, untranscribed speech and words with symbols that the model lacks.

    Args:
        model: name as for `load_model`.
        source: a manifest (``.jsonl``), or an audio file.
        out: folder to write to.
        text: the whole transcript of the audio file; line breaks have no meaning.
        formats: names of `AnnotationFormat`, separated by commas.
        options: as for `align`.
        resample, mono: permissions as in `read_audio`; None: as the model was trained.

    Raises:
        InputError: an unknown format, `text` with a manifest or none with an audio file, two recordings whose files would have
            the same name, a file that exists already, or see `align`.
    """
    chosen = _parse_formats(formats)
    utterances = _read(source, text)
    names = _file_names(utterances)
    check_not_existing(out / f"{stem}{SUFFIXES[name]}" for name in chosen for stem in names.values())
    loaded = load_model(model).to(default_device())
    audio = trained_audio_options(model, loaded.spec, resample, mono)
    alignments = align(loaded, utterances, resample=audio.resample, mono=audio.mono, options=options)
    annotations = annotate(utterances, alignments)
    with_utterances = annotate(utterances, alignments, always_utterances=True)
    if is_main_process():
        for name in chosen:
            for annotation in with_utterances if name in OF_UTTERANCES else annotations:
                path = out / f"{names[annotation.media]}{SUFFIXES[name]}"
                write_annotation(path, annotation, name)
        write_atomically(out / FLAGS, _render_flags(utterances, alignments))
    return _summarise(alignments, len(annotations) * len(chosen), out)


def _parse_formats(formats: str) -> list[AnnotationFormat]:
    known: dict[str, AnnotationFormat] = {name: name for name in get_args(AnnotationFormat)}
    given = [name.strip().lower() for name in formats.split(",") if name.strip()]
    unknown = [name for name in given if name not in known]
    if unknown or not given:
        what = f"{unknown[0]!r} is no format" if unknown else "no format is given"
        raise InputError(f"--format: {what}; expected one or several of {', '.join(known)}, separated by commas")
    return [known[name] for name in dict.fromkeys(given)]


def _read(source: Path, text: Path | None) -> list[Utterance]:
    if source.suffix == ".jsonl":
        if text:
            raise InputError(
                f"--text {text}: the texts of {source} are in the manifest; omit --text, or name a recording"
            )
        return read_manifest(source)
    if text is None:
        raise InputError(f"{source}: a recording needs its transcript; give --text FILE, or name a manifest (.jsonl)")
    transcript = read_text(text, fix="give a text file (UTF-8) with the transcript", max_bytes=MAX_TEXT_BYTES)
    return [replace(recording_utterance(source), text=" ".join(transcript.split()))]


def _file_names(utterances: Sequence[Utterance]) -> dict[Path, str]:
    """Names for the files of each recording: its own without suffix, with that of its folder where two are the same."""
    recordings = list(dict.fromkeys(utterance.audio_filepath for utterance in utterances))
    counts = Counter(path.stem for path in recordings)
    names = {path: path.stem if counts[path.stem] == 1 else f"{path.parent.name}_{path.stem}" for path in recordings}
    repeated = [name for name, count in Counter(names.values()).items() if count > 1]
    if repeated:
        both = [str(path) for path, name in names.items() if name == repeated[0]]
        raise InputError(
            f"{both[0]} and {both[1]} would both become {repeated[0]}; align them separately, or rename one"
        )
    return names


def _render_flags(utterances: Sequence[Utterance], alignments: Mapping[str, Alignment]) -> str:
    rows = ["utterance\tstart_s\tend_s\tflag\ttext"]
    for utterance in utterances:
        alignment = alignments[utterance.id]
        flags = [(flag.start_s, flag.end_s, "missing", flag.text) for flag in alignment.missing]
        flags += [(flag.start_s, flag.end_s, "untranscribed", flag.text) for flag in alignment.untranscribed]
        flags += [
            (w.start_s, w.end_s, "unknown symbols", f"{w.text}: {' '.join(w.unknown)}")
            for w in alignment.words
            if w.unknown
        ]
        rows += [f"{utterance.id}\t{start:.3f}\t{end:.3f}\t{kind}\t{text}" for start, end, kind, text in sorted(flags)]
    return "\n".join(rows) + "\n"


def _summarise(alignments: Mapping[str, Alignment], files: int, out: Path) -> AlignmentSummary:
    untranscribed = [flag for alignment in alignments.values() for flag in alignment.untranscribed]
    return AlignmentSummary(
        utterances=len(alignments),
        words=sum(len(alignment.words) for alignment in alignments.values()),
        missing_words=sum(len(flag.text.split()) for alignment in alignments.values() for flag in alignment.missing),
        untranscribed=len(untranscribed),
        untranscribed_s=sum(flag.end_s - flag.start_s for flag in untranscribed),
        uncorrected=sum(not alignment.corrected for alignment in alignments.values()),
        files=files,
        out=out,
    )
