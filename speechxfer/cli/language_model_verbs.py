"""The verbs ``speechxfer lm ...``, for language models: one verb, one function, no logic."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from speechxfer.cli.application import app
from speechxfer.cli.options import path_option, paths_argument

language_model_app = typer.Typer(help="Train language models for decoding, and measure how well they predict a text.")
app.add_typer(language_model_app, name="lm")

Texts = Annotated[
    list[Path], paths_argument("TEXT|MANIFEST...", "Texts with one sentence a line, and manifests (.jsonl).")
]
AsIs = Annotated[
    bool,
    typer.Option("--as-is", help="Do not normalise the texts: words are what spaces separate, punctuation included."),
]


@language_model_app.command("train")
def train_lm(
    texts: Texts,
    out: Annotated[
        Path,
        path_option("--out", "FILE", "File to write: NAME.arpa and NAME.arpa.gz as ARPA, others as a compact file."),
    ],
    unit: Annotated[
        Literal["word", "character"], typer.Option("--unit", help="What the model predicts one after the other.")
    ] = "word",
    order: Annotated[
        int | None,
        typer.Option("--order", min=1, max=6, help="Length of the longest n-grams; default: 4 words, or 6 characters."),
    ] = None,
    prune: Annotated[
        str,
        typer.Option(
            "--prune",
            metavar="'0 0 1'",
            help="For n-grams of 1, 2, 3 ... words: remove those that occur at most so often; the last count is for all "
            "longer ones. Default: remove nothing.",
        ),
    ] = "",
    model: Annotated[
        str,
        typer.Option("--model", help="Normalise the texts as this acoustic model's; default: as a new model's."),
    ] = "",
    as_is: AsIs = False,
    arpa: Annotated[bool, typer.Option("--arpa", help="Write an ARPA file, whatever its name.")] = False,
) -> None:
    """Train an n-gram model with modified Kneser-Ney smoothing on texts and on the transcripts of manifests."""
    from speechxfer.workflows import train_language_model

    train_language_model(texts, out, unit=unit, order=order, prune=prune, model=model, as_is=as_is, arpa=arpa)


@language_model_app.command("score")
def score_lm(
    language_model: Annotated[Path, paths_argument("LM", "Language model: a compact file, .arpa or .arpa.gz.")],
    texts: Texts,
    model: Annotated[
        str,
        typer.Option(
            "--model",
            help="Normalise the texts as this acoustic model's; default: as in the training of the language model.",
        ),
    ] = "",
    as_is: AsIs = False,
) -> None:
    """Print the perplexity of a text, with and without words out of vocabulary, and how many these are."""
    from speechxfer.workflows import score_language_model

    print(score_language_model(language_model, texts, model=model, as_is=as_is))
