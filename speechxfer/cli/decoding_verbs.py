"""The verbs that apply a model to speech: one verb, one function, no logic."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from speechxfer.cli.application import app
from speechxfer.cli.options import (
    Beam,
    Boost,
    LanguageModels,
    ModelName,
    MonoAsTrained,
    MonoRecordings,
    Phones,
    PhonesOfLanguage,
    ResampleAsTrained,
    ResampleRecordings,
    Results,
    SkipSilence,
    path_option,
    read_path,
)


@app.command()
def transcribe(
    model: ModelName,
    inputs: Annotated[
        list[Path],
        typer.Argument(
            parser=read_path,
            metavar="AUDIO|FOLDER|MANIFEST...",
            help="Recordings, folders of them, patterns ('2019/*.wav'), - for standard input, manifests (.jsonl).",
        ),
    ],
    format: Annotated[
        Literal["text", "tsv", "json", "srt", "vtt", "textgrid", "eaf", "ctm"],
        typer.Option("--format", help="Of the output: lines of text, or texts and words with times."),
    ] = "text",
    out: Annotated[
        Path | None, path_option("--out", "FOLDER", "Write one file per recording there; default: print.")
    ] = None,
    phones: Phones = None,
    language: PhonesOfLanguage = None,
    lm: LanguageModels = None,
    beam: Beam = None,
    boost: Boost = None,
    nbest: Annotated[
        int,
        typer.Option("--nbest", min=0, help="Print so many texts of each utterance: id TAB rank TAB score TAB text."),
    ] = 0,
    skip_silence: SkipSilence = True,
    resample: ResampleRecordings = None,
    mono: MonoRecordings = None,
) -> None:
    """Transcribe recordings of any length and manifests: print id TAB text, or write files with times."""
    from speechxfer.decoding import PhoneOptions
    from speechxfer.workflows import DecodingOptions, ReadingOptions, write_transcripts

    decoding = DecodingOptions(PhoneOptions(phones, language), tuple(lm or ()), beam, boost, nbest)
    reading = ReadingOptions(resample, mono, skip_silence)
    for part in write_transcripts(model, inputs, format=format, out=out, reading=reading, decoding=decoding):
        print(part, end="", flush=True)


@app.command()
def evaluate(
    models: Annotated[list[str], typer.Argument(help="One model, or the same one trained with several seeds.")],
    on: Annotated[Path, path_option("--on", "MANIFEST", "Manifest to score on.")],
    out: Annotated[
        Path | None, path_option("--out", "FOLDER", "Folder for the reports; default: none are written.")
    ] = None,
    results: Results = None,
    row: Annotated[str, typer.Option("--row", help="Name of that row: scratch, frozen, finetuned ...")] = "",
    split: Annotated[str, typer.Option("--split", help="Split in that row; default: the manifest's name.")] = "",
    as_parent: Annotated[
        bool,
        typer.Option("--as-parent", help="Score the source's own task with the adapted encoder: what was forgotten."),
    ] = False,
    phones: Phones = None,
    language: PhonesOfLanguage = None,
    lm: LanguageModels = None,
    beam: Beam = None,
    boost: Boost = None,
    tune: Annotated[
        bool,
        typer.Option(
            "--tune", help="First tune the weights of --lm and --boost on this manifest and store them with the model."
        ),
    ] = False,
    resample: ResampleAsTrained = None,
    mono: MonoAsTrained = None,
) -> None:
    """Word and character error rate with 95 % intervals."""
    from speechxfer.decoding import PhoneOptions
    from speechxfer.workflows import DecodingOptions, RowTarget, evaluate_models, tune_models

    target = RowTarget(results, row, split) if results else None
    decoding = DecodingOptions(PhoneOptions(phones, language), tuple(lm or ()), beam, boost)
    if tune:
        print(*tune_models(models, on, decoding, resample=resample, mono=mono, results=target), sep="\n\n")
    print(
        evaluate_models(
            models, on, out, resample=resample, mono=mono, results=target, as_parent=as_parent, decoding=decoding
        )
    )
