"""Options and arguments that several verbs share."""

from pathlib import Path
from typing import Annotated, Any

import typer

DEFAULT_SOURCE = "multilingual-small"


def read_path(text: str | Path) -> Path:
    """The path that an option names, or its default; an empty one, which would mean the current folder, is refused."""
    if not str(text).strip() or "\0" in str(text):
        raise typer.BadParameter("is empty; name a file or folder")
    return Path(text)


def path_option(name: str, metavar: str, help: str) -> Any:
    """An option that names a file or folder; `metavar` stands for it in the help."""
    return typer.Option(name, parser=read_path, metavar=metavar, help=help)


def paths_argument(metavar: str, help: str) -> Any:
    """An argument that names files."""
    return typer.Argument(parser=read_path, metavar=metavar, help=help)


def _switch(name: str, help: str) -> Any:
    return typer.Option(f"--{name}/--no-{name}", show_default=False, help=help)


RESAMPLE, MONO = (
    "Convert audio of another sampling rate, or refuse it",
    "Average the channels of stereo audio, or refuse it",
)
AS_TRAINED = "; default: as in the model's training."
ConfigFile = Annotated[Path | None, path_option("--config", "TOML", "File of settings; defaults without one.")]
Train = Annotated[list[Path], path_option("--train", "MANIFEST", "Training data; may be repeated.")]
Dev = Annotated[list[Path], path_option("--dev", "MANIFEST", "Development data, selects checkpoints; may be repeated.")]
Test = Annotated[Path, path_option("--test", "MANIFEST", "Test data for all scores.")]
Manifests = Annotated[list[Path], paths_argument("MANIFEST...", "Manifests of the corpus.")]
Out = Annotated[Path, path_option("--out", "FOLDER", "Folder to write to.")]
Results = Annotated[Path | None, path_option("--results", "JSON", "results.json to add a row to.")]
Set = Annotated[list[str] | None, typer.Option("--set", metavar="a.b=c", help="Override a setting; may be repeated.")]
Resample = Annotated[bool | None, _switch("resample", f"{RESAMPLE}.")]
Mono = Annotated[bool | None, _switch("mono", f"{MONO}.")]
ResampleAsTrained = Annotated[bool | None, _switch("resample", RESAMPLE + AS_TRAINED)]
MonoAsTrained = Annotated[bool | None, _switch("mono", MONO + AS_TRAINED)]
RECORDINGS_CONVERTED = "; default: convert it and say so."
ResampleRecordings = Annotated[bool | None, _switch("resample", RESAMPLE + RECORDINGS_CONVERTED)]
MonoRecordings = Annotated[bool | None, _switch("mono", MONO + RECORDINGS_CONVERTED)]
SkipSilence = Annotated[
    bool,
    typer.Option(
        "--skip-silence/--no-skip-silence",
        help="In recordings of more than half a minute, transcribe only where somebody speaks.",
    ),
]
MODELS = (
    "A model's folder, a finished run, a shipped model (multilingual-small, english), hf:ORGANISATION/NAME or a .nemo."
)
ModelName = Annotated[str, typer.Argument(help=MODELS)]
Source = Annotated[str, typer.Option("--source", help=MODELS)]
Jobs = Annotated[int, typer.Option("--jobs", min=0, help="Parallel runs; 0: one per core, or one on a GPU.")]
Language = Annotated[
    str,
    typer.Option(
        "--language",
        help="Language code, such as sw or swa, for the card and, if the source has phones, its letter table; for a language "
        "that the source has no table for, omit it or name one with similar spelling.",
    ),
]
Phones = Annotated[
    str | None,
    typer.Option(
        "--phones",
        metavar="'a b ...'",
        help="Restrict the output of a phone model to these phones (IPA, separated by spaces); auto: in place of the "
        "model's own language model, weight its phones by how often the recordings, all in one language, seem to have them "
        "(transcribe, evaluate, report).",
    ),
]
PhonesOfLanguage = Annotated[
    str | None,
    typer.Option(
        "--language",
        help="Restrict the output of a phone model to the phones of this language, by its letter table (see `info`).",
    ),
]
LanguageModels = Annotated[
    list[Path] | None,
    path_option(
        "--lm",
        "LM",
        "Language model (`lm train`, or an ARPA file) for a beam search; may be repeated: one of words and one of characters. "
        "Default: those of the model's training transcripts, if they lowered dev's error rates.",
    ),
]
NoLanguageModels = Annotated[
    bool, typer.Option("--no-lm", help="Without language models: greedy decoding, if no option asks for a search.")
]
NoOwnLanguageModels = Annotated[
    bool,
    typer.Option(
        "--no-lm", help="Make no language models of the transcripts, with which the model decodes if they help dev."
    ),
]
KnownWords = Annotated[
    bool, typer.Option("--known-words", help="Write only words that the language model of words knows.")
]
Beam = Annotated[
    int | None,
    typer.Option(
        "--beam",
        min=1,
        help="Width of the beam search; default: as tuned, else 16; greedy without language models and phrases.",
    ),
]
Boost = Annotated[
    Path | None,
    path_option("--boost", "PHRASES", "Words and phrases to prefer: one a line, with an optional weight after a tab."),
]
Licence = Annotated[str, typer.Option("--licence", help="Licence of the model, for its card.")]
