"""The verbs that prepare a project and show it as a page: one verb, one function, no logic."""

from pathlib import Path
from typing import Annotated

import typer

from speechxfer.cli.application import app
from speechxfer.cli.options import Out, paths_argument


@app.command()
def split(
    manifest: Annotated[Path, paths_argument("MANIFEST", "The utterances, such as `import` writes them.")], out: Out
) -> None:
    """Divide a manifest into train, dev and test (80, 10 and 10 %), by speaker or sentence, the same way every time."""
    from speechxfer.workflows import split_manifest

    print(split_manifest(manifest, out))


@app.command()
def serve(
    folder: Annotated[Path, paths_argument("FOLDER", "Of the project; made if missing. It holds all that is done.")],
    port: Annotated[
        int | None,
        typer.Option("--port", min=0, max=65535, help="Port on this computer; default: 8750, else a free one."),
    ] = None,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page in the browser.")] = True,
) -> None:
    """Open a page on this computer to import, check, train, try, correct and export, without typing commands."""
    from speechxfer.server import serve

    serve(folder, port=port, open_browser=browser)
