"""Options and arguments that several verbs share."""

from pathlib import Path
from typing import Annotated

import typer

DEFAULT_SOURCE = "multilingual-small"


def read_path(text: str) -> Path:
    """The path that an option names; an empty one, which would mean the current folder, is refused."""
    if not text.strip() or "\0" in text:
        raise typer.BadParameter("is empty; name a file or folder")
    return Path(text)


ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", parser=read_path, metavar="TOML", help="File of settings; defaults without one."),
]
Train = Annotated[
    list[Path],
    typer.Option("--train", parser=read_path, metavar="MANIFEST", help="Training data; may be repeated."),
]
Dev = Annotated[
    list[Path],
    typer.Option(
        "--dev", parser=read_path, metavar="MANIFEST", help="Development data, selects checkpoints; may be repeated."
    ),
]
Test = Annotated[Path, typer.Option("--test", parser=read_path, metavar="MANIFEST", help="Test data for all scores.")]
Manifests = Annotated[
    list[Path], typer.Argument(parser=read_path, metavar="MANIFEST...", help="Manifests of the corpus.")
]
Out = Annotated[Path, typer.Option("--out", parser=read_path, metavar="FOLDER", help="Folder to write to.")]
Results = Annotated[
    Path | None, typer.Option("--results", parser=read_path, metavar="JSON", help="results.json to add a row to.")
]
Set = Annotated[list[str] | None, typer.Option("--set", metavar="a.b=c", help="Override a setting; may be repeated.")]
Resample = Annotated[
    bool | None,
    typer.Option(
        "--resample/--no-resample", show_default=False, help="Convert audio of another sampling rate, or refuse it."
    ),
]
Mono = Annotated[
    bool | None,
    typer.Option("--mono/--no-mono", show_default=False, help="Average the channels of stereo audio, or refuse it."),
]
ResampleAsTrained = Annotated[
    bool | None,
    typer.Option(
        "--resample/--no-resample",
        show_default=False,
        help="Convert audio of another sampling rate, or refuse it; default: as in the model's training.",
    ),
]
MonoAsTrained = Annotated[
    bool | None,
    typer.Option(
        "--mono/--no-mono",
        show_default=False,
        help="Average the channels of stereo audio, or refuse it; default: as in the model's training.",
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
        help="Restrict the output of a phone model to these phones (IPA, separated by spaces).",
    ),
]
PhonesOfLanguage = Annotated[
    str | None,
    typer.Option(
        "--language",
        help="Restrict the output of a phone model to the phones of this language, by its letter table (see `info`).",
    ),
]
Licence = Annotated[str, typer.Option("--licence", help="Licence of the model, for its card.")]
