"""The command-line application, on which the modules of verbs register theirs."""

import typer

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Adapt a pretrained acoustic model to a new language or vocabulary, and measure how well that worked.",
)
