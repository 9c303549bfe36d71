"""The verbs that show runs as a page, average and export models: one verb, one function, no logic."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from speechxfer.cli.application import app
from speechxfer.cli.options import (
    Beam,
    Boost,
    Dev,
    LanguageModels,
    ModelName,
    MonoAsTrained,
    NoLanguageModels,
    Out,
    Phones,
    PhonesOfLanguage,
    ResampleAsTrained,
    path_option,
)


@app.command()
def report(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN...",
            help="Folders of finished runs or other models, scored on --on; or report.json files of `evaluate`. Several are "
            "shown beside each other.",
        ),
    ],
    out: Annotated[Path, path_option("--out", "HTML", "The page to write; it opens from disk, without a server.")],
    on: Annotated[
        Path | None, path_option("--on", "MANIFEST", "The utterances: needed for models, and for audio with reports.")
    ] = None,
    curve: Annotated[
        Path | None,
        path_option(
            "--curve",
            "FILE",
            "curve.tsv of `curve`, or a recipe's results.json: forecast what one more hour would bring.",
        ),
    ] = None,
    clips: Annotated[
        int, typer.Option("--clips", min=0, help="How many utterances get audio and a filterbank picture.")
    ] = 50,
    audio: Annotated[bool, typer.Option("--audio/--no-audio", help="Embed the audio of these utterances.")] = True,
    phones: Phones = None,
    language: PhonesOfLanguage = None,
    lm: LanguageModels = None,
    no_lm: NoLanguageModels = False,
    beam: Beam = None,
    boost: Boost = None,
    resample: ResampleAsTrained = None,
    mono: MonoAsTrained = None,
) -> None:
    """Write an HTML page: scores, training curve, head table, errors by speaker and length, confusions, utterances."""
    from speechxfer.decoding import PhoneOptions
    from speechxfer.workflows import DecodingOptions, PageOptions, choose_language_models, write_page

    page = PageOptions(curve, clips, audio)
    chosen = choose_language_models(lm, no_lm)
    decoding = DecodingOptions(PhoneOptions(phones, language), chosen, beam, boost)
    write_page(runs, out, manifest=on, page=page, decoding=decoding, resample=resample, mono=mono)


@app.command()
def export(
    model: ModelName,
    to: Annotated[
        Literal["hf", "onnx", "sherpa-onnx", "web"],
        typer.Option("--to", help="A folder for transformers, sherpa-onnx or browsers, or one ONNX graph."),
    ],
    out: Annotated[Path, path_option("--out", "PATH", "Folder, or file (onnx), to write.")],
    runtime: Annotated[
        Path | None, path_option("--runtime", "FOLDER", "Of web: unpacked onnxruntime-web [./node_modules/...].")
    ] = None,
) -> None:
    """Write a model in the format of another toolkit: to telephones, to browsers, to Python."""
    from speechxfer.export import export

    export(model, to, out, runtime=runtime)


@app.command()
def average(
    models: Annotated[
        list[str], typer.Argument(help="Finished runs of `adapt` that differ in their seeds only (finetune.seed).")
    ],
    dev: Dev,
    out: Out,
) -> None:
    """Average the weights of models that were adapted with different seeds, which can have fewer errors than each of them."""
    from speechxfer.workflows import average_models

    average_models(models, dev, out)
