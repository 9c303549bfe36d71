"""The command line: one verb, one function, no logic. Results on stdout, progress and errors on stderr, exit 2 for bad input."""

import os
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from speechxfer.errors import InputError
from speechxfer.runtime import escape_unencodable_output

INTERRUPTED = 130  # typer's exit code after Ctrl-C
DEFAULT_SOURCE = "multilingual-small"

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Take a pretrained acoustic model to a new language or vocabulary, and say honestly how well it went.",
)

ConfigFile = Annotated[Path | None, typer.Argument(help="TOML file of settings; without one the defaults hold.")]
Train = Annotated[list[Path], typer.Option("--train", help="Manifest to learn from; may be repeated.")]
Dev = Annotated[list[Path], typer.Option("--dev", help="Manifest that chooses among evaluations; may be repeated.")]
Out = Annotated[Path, typer.Option("--out", help="Folder to write to.")]
Set = Annotated[list[str] | None, typer.Option("--set", metavar="a.b=c", help="Override a setting; may be repeated.")]
Resample = Annotated[
    bool, typer.Option("--resample", help="Convert audio of another sampling rate instead of refusing it.")
]
Mono = Annotated[bool, typer.Option("--mono", help="Average the channels of stereo audio instead of refusing it.")]
ResampleAsTrained = Annotated[
    bool | None,
    typer.Option("--resample/--no-resample", help="Convert audio of another sampling rate; default: as in training."),
]
MonoAsTrained = Annotated[
    bool | None,
    typer.Option("--mono/--no-mono", help="Average the channels of stereo audio; default: as in training."),
]
MODELS = (
    "A model's folder, a finished run, a shipped model (multilingual-small, english), hf:ORGANISATION/NAME or a .nemo."
)
ModelName = Annotated[str, typer.Argument(help=MODELS)]
Source = Annotated[str, typer.Option("--source", help=MODELS)]
Jobs = Annotated[int, typer.Option("--jobs", min=0, help="Runs in parallel; 0: one for each core, or one on a GPU.")]
Language = Annotated[
    str,
    typer.Option(
        "--language",
        help="Language code, such as sw or swa: noted on the card, and tells a source of phones how letters are read; leave it "
        "out for a language that it does not know, or name one that is spelt alike.",
    ),
]
Licence = Annotated[str, typer.Option("--licence", help="Noted on the model's card.")]


def _overrides(settings: list[str] | None, resample: bool, mono: bool) -> list[str]:
    flags = [f"data.{name}=true" for name, on in (("resample", resample), ("mono", mono)) if on]
    return [*(settings or []), *flags]


@app.command()
def check(
    manifests: Annotated[list[Path], typer.Argument(help="Manifests: train first, then dev and test.")],
    fix: Annotated[
        Path | None, typer.Option("--fix", metavar="OUT", help="Write clean manifests to this folder.")
    ] = None,
    config: Annotated[Path | None, typer.Option("--config", help="Check for what these settings would train.")] = None,
    model: Annotated[str, typer.Option("--model", help="Check for adapting this model: its rate and frames.")] = "",
    settings: Set = None,
    resample: Resample = False,
    mono: Mono = False,
) -> None:
    """Look for everything that would spoil a training, before it."""
    from speechxfer.config import load_config
    from speechxfer.workflows import check_run

    given = [("--config", config), ("--model", model), *(("--set", setting) for setting in settings or [])]
    options = [str(part) for option in given if option[1] for part in option]
    loaded = load_config(config, _overrides(settings, resample, mono))
    report = check_run(manifests, loaded, fix_dir=fix, model=model, options=options)
    raise typer.Exit(2 if report.errors and not fix else 0)


@app.command()
def train(
    out: Out,
    train: Train,
    dev: Dev,
    config: ConfigFile = None,
    settings: Set = None,
    language: Language = "",
    licence: Licence = "",
    resample: Resample = False,
    mono: Mono = False,
) -> None:
    """Train a model from random weights."""
    from speechxfer.config import load_config
    from speechxfer.workflows import train_from_scratch

    loaded = load_config(config, _overrides(settings, resample, mono))
    train_from_scratch(train, dev, out=out, config=loaded, language=language, licence=licence)


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
    resample: Resample = False,
    mono: Mono = False,
    with_baseline: Annotated[
        bool, typer.Option("--with-baseline", help="Also train from scratch at the same budget: did the transfer help?")
    ] = False,
    test: Annotated[
        Path | None, typer.Option("--test", help="What --with-baseline scores both on; --dev if not given.")
    ] = None,
    jobs: Jobs = 0,
) -> None:
    """Take a source model to a new language or vocabulary: new output layer, then fine-tuning."""
    from speechxfer.config import load_config

    loaded = load_config(config, _overrides(settings, resample, mono))
    if with_baseline:
        from speechxfer.workflows import Splits, StudySettings, compare_with_baseline

        study = StudySettings(source, loaded, language, licence)
        print(compare_with_baseline(study, Splits(tuple(train), tuple(dev), test), out, jobs=jobs or None))
        return
    from speechxfer.workflows import adapt

    adapt(source, train, dev, out=out, config=loaded, language=language, licence=licence)


@app.command()
def crossval(
    out: Out,
    manifests: Annotated[list[Path], typer.Argument(help="Manifests of the whole corpus.")],
    source: Source = DEFAULT_SOURCE,
    config: Annotated[Path | None, typer.Option("--config", help="TOML file of settings.")] = None,
    train: Annotated[
        list[Path] | None,
        typer.Option(
            "--train", help="Heard in every fold besides, never scored, such as synthetic voices; may be repeated."
        ),
    ] = None,
    folds: Annotated[
        int | None, typer.Option("--folds", min=2, help="How many; default: one for each speaker, at most 10, else 5.")
    ] = None,
    by: Annotated[
        Literal["speaker", "sentence", "utterance"] | None,
        typer.Option("--by", help="What no two folds share; without it speakers where they are named, else sentences."),
    ] = None,
    results: Annotated[
        Path | None, typer.Option("--results", help="results.json that gets a row of the pooled score.")
    ] = None,
    settings: Set = None,
    language: Language = "",
    resample: Resample = False,
    mono: Mono = False,
    jobs: Jobs = 0,
) -> None:
    """Adapt once a fold and score every utterance by a model that has not heard its speaker or sentence."""
    from speechxfer.config import load_config
    from speechxfer.workflows import StudySettings, cross_validate

    study = StudySettings(source, load_config(config, _overrides(settings, resample, mono)), language)
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
    test: Annotated[Path, typer.Option("--test", help="Manifest that all are scored on.")],
    source: Source = DEFAULT_SOURCE,
    config: ConfigFile = None,
    minutes: Annotated[
        list[float] | None, typer.Option("--minutes", help="Size of a part; may be repeated. Without: 10, 30, 60.")
    ] = None,
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="How many seeds.")] = 3,
    settings: Set = None,
    language: Language = "",
    resample: Resample = False,
    mono: Mono = False,
    jobs: Jobs = 0,
) -> None:
    """Adapt and train from scratch on growing parts of a corpus: how much does the transfer save?"""
    from speechxfer.config import load_config
    from speechxfer.workflows import Splits, StudySettings, learning_curve

    study = StudySettings(source, load_config(config, _overrides(settings, resample, mono)), language)
    splits = Splits(tuple(train), tuple(dev), test)
    print(learning_curve(study, splits, out, minutes=minutes or (10.0, 30.0, 60.0), seeds=seeds, jobs=jobs or None))


@app.command("rank-sources")
def rank_sources(
    target: Annotated[Path, typer.Argument(help="Manifest of transcribed speech of the target.")],
    models: Annotated[
        list[str], typer.Argument(help="Two or more candidates: folders, finished runs, shipped models.")
    ],
    config: Annotated[Path | None, typer.Option("--config", help="TOML file of settings: what is written.")] = None,
    settings: Set = None,
    minutes: Annotated[float, typer.Option("--minutes", min=1, help="How much of the target's speech is used.")] = 12.0,
    finetuned: Annotated[
        list[Path] | None,
        typer.Option(
            "--finetuned", help="report.json of each model after fine-tuning, in their order: was the ranking right?"
        ),
    ] = None,
    resample: Resample = False,
    mono: Mono = False,
    jobs: Jobs = 0,
) -> None:
    """Which source suits a target best? Ranks models in minutes, without fine-tuning any."""
    from speechxfer.config import load_config
    from speechxfer.workflows import rank_sources

    loaded = load_config(config, _overrides(settings, resample, mono))
    print(rank_sources([target], models, config=loaded, minutes=minutes, finetuned=finetuned or [], jobs=jobs or None))


@app.command("self-train")
def self_train(
    out: Out,
    train: Train,
    dev: Dev,
    unlabelled: Annotated[
        list[Path], typer.Option("--unlabelled", help="Manifest of speech without transcripts; may be repeated.")
    ],
    test: Annotated[Path, typer.Option("--test", help="Manifest that all are scored on.")],
    source: Source = DEFAULT_SOURCE,
    config: ConfigFile = None,
    rounds: Annotated[int, typer.Option("--rounds", min=1, help="How often own transcripts are made anew.")] = 1,
    max_error_rate: Annotated[
        float,
        typer.Option("--max-error-rate", min=0, max=1, help="Expected character error rate of selected transcripts."),
    ] = 0.2,
    settings: Set = None,
    language: Language = "",
    resample: Resample = False,
    mono: Mono = False,
) -> None:
    """Adapt on labelled speech and on the model's own transcripts of unlabelled speech: gain or loss?"""
    from speechxfer.config import load_config
    from speechxfer.workflows import Splits, StudySettings, self_train

    study = StudySettings(source, load_config(config, _overrides(settings, resample, mono)), language)
    splits = Splits(tuple(train), tuple(dev), test)
    print(self_train(study, splits, unlabelled, out, rounds=rounds, max_error_rate=max_error_rate))


@app.command()
def embed(
    model: ModelName,
    manifests: Annotated[list[Path], typer.Argument(help="Manifests; texts may be empty.")],
    out: Out,
    frames: Annotated[bool, typer.Option("--frames", help="Also keep every encoded frame.")] = False,
    resample: ResampleAsTrained = None,
    mono: MonoAsTrained = None,
) -> None:
    """Vectors of utterances without transcripts: clusters, and a map coloured by speaker and text."""
    from speechxfer.workflows import embed

    print(embed(model, manifests, out, frames=frames, resample=resample, mono=mono))


@app.command()
def transcribe(
    model: ModelName,
    inputs: Annotated[list[Path], typer.Argument(help="Audio files (cut at pauses) or manifests (.jsonl).")],
    resample: ResampleAsTrained = None,
    mono: MonoAsTrained = None,
) -> None:
    """Print what the model hears: one line an utterance, id TAB text."""
    from speechxfer.workflows import transcribe_inputs

    for name, text in transcribe_inputs(model, inputs, resample=resample, mono=mono):
        print(f"{name}\t{text}", flush=True)


@app.command()
def evaluate(
    models: Annotated[list[str], typer.Argument(help="One model, or the same one trained with several seeds.")],
    on: Annotated[Path, typer.Option("--on", help="Manifest to score on.")],
    out: Out,
    results: Annotated[Path | None, typer.Option("--results", help="results.json that gets a row.")] = None,
    row: Annotated[str, typer.Option("--row", help="Name of that row: scratch, frozen, finetuned ...")] = "",
    split: Annotated[str, typer.Option("--split", help="Its split; the manifest's name if not given.")] = "",
    as_parent: Annotated[
        bool,
        typer.Option("--as-parent", help="Score the source's own task with the adapted encoder: what was forgotten?"),
    ] = False,
    resample: ResampleAsTrained = None,
    mono: MonoAsTrained = None,
) -> None:
    """Word and character error rate with 95 % intervals."""
    from speechxfer.workflows import RowTarget, evaluate_models

    target = RowTarget(results, row, split) if results else None
    print(evaluate_models(models, on, out, resample=resample, mono=mono, results=target, as_parent=as_parent))


@app.command()
def compare(
    a: Annotated[Path, typer.Argument(help="report.json of one system.")],
    b: Annotated[Path, typer.Argument(help="report.json of another, on the same utterances.")],
) -> None:
    """Paired test: is one of two systems better, or can the data not tell?"""
    from speechxfer.scoring import compare, read_report

    print(compare(read_report(a), read_report(b), names=(str(a), str(b))))


@app.command()
def export(
    model: ModelName,
    to: Annotated[
        Literal["hf", "onnx"],
        typer.Option("--to", help="A folder of transformers, or one ONNX graph."),
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder (hf) or file to write.")],
) -> None:
    """Write a model in the format of another toolkit."""
    from speechxfer.export import export

    export(model, to, out)


@app.command()
def info(model: ModelName) -> None:
    """Show a model's card: what it is, where it comes from, what it hears and writes."""
    from speechxfer.workflows import describe

    print(describe(model))


def main() -> None:
    """Run the command line; a person's mistake, or the disk's, ends with one line and exit code 2."""
    escape_unencodable_output()
    if os.environ.get("RANK", "0") != "0":  # of several processes the first one prints
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    try:
        app()
    except InputError as error:
        print(f"speechxfer: {' '.join(str(error).split())}", file=sys.stderr)  # torch's own messages have many lines
        sys.exit(2)
    except OSError as error:
        print(f"speechxfer: {error}; give a place that can be read or written", file=sys.stderr)
        sys.exit(2)
    except SystemExit as end:
        if end.code == INTERRUPTED:
            print(
                "speechxfer: stopped; `train` and `adapt`, run again, go on from their last evaluation", file=sys.stderr
            )
        raise
