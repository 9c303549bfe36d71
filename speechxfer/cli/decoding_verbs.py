"""The verbs that apply a model to speech: one verb, one function, no logic."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from speechxfer.cli.application import app
from speechxfer.cli.options import (
    ModelName,
    MonoAsTrained,
    Out,
    Phones,
    PhonesOfLanguage,
    ResampleAsTrained,
    Results,
    path_option,
    read_path,
)


@app.command()
def transcribe(
    model: ModelName,
    inputs: Annotated[
        list[Path],
        typer.Argument(parser=read_path, metavar="AUDIO|MANIFEST...", help="Audio files or manifests (.jsonl)."),
    ],
    phones: Phones = None,
    language: PhonesOfLanguage = None,
    resample: ResampleAsTrained = None,
    mono: MonoAsTrained = None,
) -> None:
    """Print transcripts: one line per utterance, id TAB text."""
    from speechxfer.decoding import PhoneOptions
    from speechxfer.workflows import transcribe_inputs

    restriction = PhoneOptions(phones, language)
    for name, text in transcribe_inputs(model, inputs, resample=resample, mono=mono, phones=restriction):
        print(f"{name}\t{text}", flush=True)


@app.command()
def align(
    model: ModelName,
    source: Annotated[
        Path, typer.Argument(parser=read_path, metavar="MANIFEST|AUDIO", help="A manifest (.jsonl), or a recording.")
    ],
    out: Out,
    text: Annotated[
        Path | None, path_option("--text", "FILE", "The whole transcript of the recording (UTF-8 text).")
    ] = None,
    formats: Annotated[
        str,
        typer.Option(
            "--format", metavar="NAMES", help="Separated by commas: textgrid, eaf, ctm, stm, trn, srt, vtt, json, tsv."
        ),
    ] = "textgrid",
    unknown: Annotated[
        Literal["error", "wildcard"],
        typer.Option("--unknown", help="Symbols that the model lacks: an error, or wildcards for any one symbol."),
    ] = "error",
    forced: Annotated[
        bool, typer.Option("--forced", help="Give every word a place; default: flag missing words and other speech.")
    ] = False,
    boundaries: Annotated[
        Literal["frames", "ctc"],
        typer.Option("--boundaries", help="By a classifier of 10 ms frames trained on this speech, or by CTC alone."),
    ] = "frames",
    resample: ResampleAsTrained = None,
    mono: MonoAsTrained = None,
) -> None:
    """Write when each word and symbol of a text is spoken; missing words and untranscribed speech are flagged."""
    from speechxfer.alignment import AlignmentOptions
    from speechxfer.workflows import align_inputs

    options = AlignmentOptions(unknown, forced, boundaries)
    print(align_inputs(model, source, out, text=text, formats=formats, options=options, resample=resample, mono=mono))


@app.command()
def evaluate(
    models: Annotated[list[str], typer.Argument(help="One model, or the same one trained with several seeds.")],
    on: Annotated[Path, path_option("--on", "MANIFEST", "Manifest to score on.")],
    out: Out,
    results: Results = None,
    row: Annotated[str, typer.Option("--row", help="Name of that row: scratch, frozen, finetuned ...")] = "",
    split: Annotated[str, typer.Option("--split", help="Split in that row; default: the manifest's name.")] = "",
    as_parent: Annotated[
        bool,
        typer.Option("--as-parent", help="Score the source's own task with the adapted encoder: what was forgotten."),
    ] = False,
    phones: Phones = None,
    language: PhonesOfLanguage = None,
    resample: ResampleAsTrained = None,
    mono: MonoAsTrained = None,
) -> None:
    """Word and character error rate with 95 % intervals."""
    from speechxfer.decoding import PhoneOptions
    from speechxfer.workflows import RowTarget, evaluate_models

    target = RowTarget(results, row, split) if results else None
    restriction = PhoneOptions(phones, language)
    print(
        evaluate_models(
            models, on, out, resample=resample, mono=mono, results=target, as_parent=as_parent, phones=restriction
        )
    )
