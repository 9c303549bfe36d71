"""The verbs that check, train and compare: one verb, one function, no logic."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from speechxfer.cli.application import app
from speechxfer.cli.options import (
    DEFAULT_SOURCE,
    ConfigFile,
    Dev,
    Jobs,
    Language,
    Licence,
    Manifests,
    ModelName,
    Mono,
    MonoAsTrained,
    NoOwnLanguageModels,
    Out,
    Resample,
    ResampleAsTrained,
    Results,
    Set,
    Source,
    Test,
    Train,
    path_option,
    paths_argument,
    read_path,
)

if TYPE_CHECKING:
    from speechxfer.config import Config


def _load(config: Path | None, settings: list[str] | None, resample: bool | None, mono: bool | None) -> "Config":
    from speechxfer.config import load_config

    flags = {"resample": resample, "mono": mono}
    given = [f"data.{name}={str(value).lower()}" for name, value in flags.items() if value is not None]
    return load_config(config, [*(settings or []), *given])


@app.command()
def check(
    manifests: Annotated[list[Path], paths_argument("MANIFEST...", "Train first, then dev and test.")],
    fix: Annotated[Path | None, path_option("--fix", "OUT", "Write corrected manifests to this folder.")] = None,
    config: ConfigFile = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Decode nothing: texts, missing files, and a thousand headers only.")
    ] = False,
    model: Annotated[str, typer.Option("--model", help="Check for adapting this model (sampling rate, frames).")] = "",
    json: Annotated[
        Path | None, path_option("--json", "FILE", "Also write all findings to this file, as JSON.")
    ] = None,
    settings: Set = None,
    resample: Resample = None,
    mono: Mono = None,
) -> None:
    """Find everything in manifests and recordings that would harm training. Exit code 1 if there are errors."""
    from speechxfer.workflows import check_run

    given = [("--config", config), ("--model", model), *(("--set", setting) for setting in settings or [])]
    options = [str(part) for option in given if option[1] for part in option]
    loaded = _load(config, settings, resample, mono)
    report = check_run(manifests, loaded, fix_dir=fix, model=model, options=options, json_file=json, quick=quick)
    raise typer.Exit(1 if report.errors and not fix else 0)


@app.command(name="import")
def import_(
    inputs: Annotated[
        list[Path],
        paths_argument(
            "FILE|FOLDER...",
            ".eaf, .TextGrid, .srt, .vtt, Audacity labels .txt, tables .tsv .csv, .stm, .ctm, Kaldi folders, lhotse .jsonl, "
            "tar shards, tables of datasets (.parquet, folders of save_to_disk).",
        ),
    ],
    out: Annotated[Path, path_option("--out", "MANIFEST", "Manifest (.jsonl) to write.")],
    tier: Annotated[
        list[str] | None, typer.Option("--tier", help="Name of a tier, such as tx@*; may be repeated.")
    ] = None,
    type: Annotated[
        list[str] | None, typer.Option("--type", help="Linguistic type of tiers (ELAN); may be repeated.")
    ] = None,
    audio: Annotated[
        Path | None, path_option("--audio", "FOLDER", "Where the recordings are, if not where the files say.")
    ] = None,
    language: Annotated[str, typer.Option("--language", help="Language code of all utterances.")] = "",
    encoding: Annotated[
        str | None, typer.Option("--encoding", help="Encoding of text files that are neither UTF-8 nor UTF-16.")
    ] = None,
    text_column: Annotated[
        str,
        typer.Option(
            "--text-column", help="Column of transcripts in tables; default: text, sentence, transcription ..."
        ),
    ] = "",
) -> None:
    """Write a manifest of the speech in annotated files and tables; recordings stay where they are."""
    from speechxfer.data import TierChoice
    from speechxfer.runtime import log_info
    from speechxfer.workflows import ImportOptions, import_files

    choice = TierChoice(tuple(tier or ()), tuple(type or ()))
    print(import_files(inputs, out, ImportOptions(choice, audio, language, encoding, text_column)), flush=True)
    log_info(f"next: {shlex.join(['speechxfer', 'check', str(out)])}")


@app.command(name="add-tiers")
def add_tiers(
    target: Annotated[
        Path, paths_argument("TARGET", "TextGrid or ELAN document, whose own tiers stay as they are; or a folder.")
    ],
    source: Annotated[
        Path, paths_argument("SOURCE", "Annotations of the same recording, such as predictions; or a folder.")
    ],
    tier: Annotated[
        list[str] | None, typer.Option("--tier", help="Name of a tier to add; may be repeated; default: all with text.")
    ] = None,
    prefix: Annotated[str, typer.Option("--prefix", help="Put before the names of the added tiers.")] = "",
    out: Annotated[Path | None, path_option("--out", "FILE|FOLDER", "To write; default: TARGET is replaced.")] = None,
) -> None:
    """Add the tiers of one file of annotations to a TextGrid or ELAN document."""
    from speechxfer.workflows import copy_tiers

    print(copy_tiers(target, source, names=tuple(tier or ()), prefix=prefix, out=out))


@app.command()
def train(
    out: Out,
    train: Train,
    dev: Dev,
    config: ConfigFile = None,
    settings: Set = None,
    language: Language = "",
    licence: Licence = "",
    resample: Resample = None,
    mono: Mono = None,
    no_lm: NoOwnLanguageModels = False,
) -> None:
    """Train a model from random weights."""
    from speechxfer.workflows import train_from_scratch

    loaded = _load(config, settings, resample, mono)
    card = {"language": language, "licence": licence}
    train_from_scratch(train, dev, out=out, config=loaded, **card, language_models=not no_lm)


@app.command()
def adapt(
    out: Out,
    train: Train,
    dev: Dev,
    source: Source = DEFAULT_SOURCE,
    config: ConfigFile = None,
    settings: Set = None,
    language: Language = "",
    licence: Licence = "",
    resample: Resample = None,
    mono: Mono = None,
    no_lm: NoOwnLanguageModels = False,
    with_baseline: Annotated[
        bool, typer.Option("--with-baseline", help="Also train from scratch with the same budget, and compare.")
    ] = False,
    test: Annotated[
        Path | None, path_option("--test", "MANIFEST", "Test data of --with-baseline; default: --dev.")
    ] = None,
    jobs: Jobs = 0,
) -> None:
    """Adapt a source model to a new language or vocabulary: new output layer, then fine-tuning."""
    loaded = _load(config, settings, resample, mono)
    if with_baseline:
        from speechxfer.workflows import Splits, StudySettings, compare_with_baseline

        study = StudySettings(source, loaded, language, licence, language_models=not no_lm)
        print(compare_with_baseline(study, Splits(tuple(train), tuple(dev), test), out, jobs=jobs or None))
        return
    from speechxfer.workflows import adapt

    card = {"language": language, "licence": licence}
    adapt(source, train, dev, out=out, config=loaded, **card, language_models=not no_lm)


@app.command()
def crossval(
    out: Out,
    manifests: Manifests,
    source: Source = DEFAULT_SOURCE,
    config: ConfigFile = None,
    train: Annotated[
        list[Path] | None,
        path_option(
            "--train",
            "MANIFEST",
            "Training data added to every fold, never scored, such as synthetic voices; may be repeated.",
        ),
    ] = None,
    folds: Annotated[
        int | None, typer.Option("--folds", min=2, help="Number of folds; default: one a speaker, at most 10, else 5.")
    ] = None,
    by: Annotated[
        Literal["speaker", "sentence", "utterance"] | None,
        typer.Option("--by", help="What no two folds share; default: speakers if given, else sentences."),
    ] = None,
    results: Results = None,
    settings: Set = None,
    language: Language = "",
    licence: Licence = "",
    resample: Resample = None,
    mono: Mono = None,
    jobs: Jobs = 0,
) -> None:
    """Adapt once per fold and score every utterance with a model not trained on its speaker or sentence."""
    from speechxfer.workflows import StudySettings, cross_validate

    study = StudySettings(source, _load(config, settings, resample, mono), language, licence)
    extra = train or ()
    print(
        cross_validate(
            study, manifests, out, extra_train=extra, folds=folds, group_by=by, jobs=jobs or None, results=results
        )
    )


@app.command()
def curve(
    out: Out,
    train: Train,
    dev: Dev,
    test: Test,
    source: Source = DEFAULT_SOURCE,
    config: ConfigFile = None,
    minutes: Annotated[
        list[float] | None,
        typer.Option("--minutes", help="Training data of a point; may be repeated. Default: 10, 30, 60."),
    ] = None,
    seeds: Annotated[int, typer.Option("--seeds", min=1, max=1000, help="How many seeds.")] = 3,
    settings: Set = None,
    language: Language = "",
    licence: Licence = "",
    resample: Resample = None,
    mono: Mono = None,
    jobs: Jobs = 0,
) -> None:
    """Adapt and train from scratch on growing parts of a corpus: how much data does the transfer save?"""
    from speechxfer.workflows import Splits, StudySettings, learning_curve

    study = StudySettings(source, _load(config, settings, resample, mono), language, licence)
    splits = Splits(tuple(train), tuple(dev), test)
    print(learning_curve(study, splits, out, minutes=minutes or (10.0, 30.0, 60.0), seeds=seeds, jobs=jobs or None))


@app.command("rank-sources")
def rank_sources(
    target: Annotated[
        Path, typer.Argument(parser=read_path, metavar="MANIFEST", help="Transcribed speech of the target.")
    ],
    models: Annotated[
        list[str], typer.Argument(help="Two or more candidates: folders, finished runs, shipped models.")
    ],
    method: Annotated[
        Literal["logme", "finetune"],
        typer.Option("--method", help="Evidence of the frozen encoders' outputs, or 300 steps of fine-tuning."),
    ] = "logme",
    config: ConfigFile = None,
    settings: Set = None,
    minutes: Annotated[float, typer.Option("--minutes", min=1, help="How much of the target's speech to use.")] = 12.0,
    finetuned: Annotated[
        list[Path] | None,
        typer.Option(
            "--finetuned",
            parser=read_path,
            metavar="REPORT",
            help="report.json of each model after fine-tuning, in their order, to evaluate the ranking.",
        ),
    ] = None,
    resample: Resample = None,
    mono: Mono = None,
    jobs: Jobs = 0,
) -> None:
    """Rank source models for a target in minutes, by evidence or by a brief fine-tuning."""
    from speechxfer.workflows import rank_sources

    loaded, reports = _load(config, settings, resample, mono), finetuned or []
    ranking = rank_sources(
        [target], models, method=method, config=loaded, minutes=minutes, finetuned=reports, jobs=jobs or None
    )
    print(ranking)


@app.command("self-train")
def self_train(
    out: Out,
    train: Train,
    dev: Dev,
    unlabelled: Annotated[
        list[Path], path_option("--unlabelled", "MANIFEST", "Speech without transcripts; may be repeated.")
    ],
    test: Test,
    source: Source = DEFAULT_SOURCE,
    config: ConfigFile = None,
    rounds: Annotated[int, typer.Option("--rounds", min=1, help="How often pseudo-labels are made.")] = 1,
    max_error_rate: Annotated[
        float, typer.Option("--max-error-rate", min=0, max=1, help="Largest estimated error rate of a pseudo-label.")
    ] = 0.2,
    settings: Set = None,
    language: Language = "",
    licence: Licence = "",
    resample: Resample = None,
    mono: Mono = None,
) -> None:
    """Adapt on labelled speech and on pseudo-labels of unlabelled speech, and compare."""
    from speechxfer.workflows import Splits, StudySettings, self_train

    study = StudySettings(source, _load(config, settings, resample, mono), language, licence)
    splits = Splits(tuple(train), tuple(dev), test)
    print(self_train(study, splits, unlabelled, out, rounds=rounds, max_error_rate=max_error_rate))


@app.command()
def embed(
    model: ModelName,
    manifests: Manifests,
    out: Out,
    frames: Annotated[bool, typer.Option("--frames", help="Also write every encoded frame.")] = False,
    resample: ResampleAsTrained = None,
    mono: MonoAsTrained = None,
) -> None:
    """Write an embedding of each utterance, clusters, and a map coloured by speaker and text."""
    from speechxfer.workflows import embed

    print(embed(model, manifests, out, frames=frames, resample=resample, mono=mono))


@app.command()
def compare(
    a: Annotated[Path, paths_argument("REPORT_A", "report.json of one system.")],
    b: Annotated[Path, paths_argument("REPORT_B", "report.json of another.")],
) -> None:
    """Test whether one of two systems is better on the same utterances (paired)."""
    from speechxfer.scoring import compare, read_report

    print(compare(read_report(a), read_report(b), names=(str(a), str(b))))


@app.command()
def info(model: ModelName) -> None:
    """Show a model's card: origin, training, input features and output symbols."""
    from speechxfer.workflows import describe

    print(describe(model))
