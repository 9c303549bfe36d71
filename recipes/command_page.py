"""The reference of the command line, commands.md of the documentation site, written from the verbs and their options.

An example of each verb stands in the first table of docs/usage.md, and is repeated here.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from speechxfer.cli import app
from speechxfer.runtime import read_text

USAGE = Path(__file__).resolve().parents[1] / "docs" / "usage.md"


def commands_page() -> str:
    """The page as Markdown: a section for each verb, in the order of `speechxfer --help`."""
    examples = re.findall(r"^\| `([^`]+)` \| (.+) \|$", read_text(USAGE, fix="restore it"), re.MULTILINE)
    parts = ["# Commands", f"{app.info.help} `speechxfer VERB --help` prints what stands here."]
    for name, verb in iterate_verbs():
        context = typer.Context(verb, info_name=name)
        arguments = [_argument(parameter) for parameter in verb.params if parameter.param_type_name == "argument"]
        parts += [f"## {name}", f"    speechxfer {' '.join([name, *arguments])} [OPTION...]", verb.help]
        rows = [_row(parameter, context) for parameter in verb.params]
        parts.append("\n".join(["| argument or option | meaning | default, limits |", "| --- | --- | --- |", *rows]))
        own = [f"- `speechxfer {line}`: {purpose}" for line, purpose in examples if f"{line} ".startswith(f"{name} ")]
        parts.append("\n".join(["Examples:", "", *own]))
    return "\n\n".join(parts) + "\n"


def iterate_verbs() -> Iterator[tuple[str, Any]]:
    """Name and command of each verb; those of a group are named as they are typed, such as ``lm train``."""
    yield from _verbs(typer.main.get_command(app), "")


def _verbs(group: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _verbs(command, f"{prefix}{name} ")
        else:
            yield prefix + name, command


def _argument(parameter: Any) -> str:
    return parameter.metavar or str(parameter.name).upper()


def _row(parameter: Any, context: typer.Context) -> str:
    """A line of the table, from what `--help` prints: ``Width of the search.  [default: 16; x>=1]``."""
    names, description = parameter.get_help_record(context)
    if parameter.param_type_name == "argument":
        names = _argument(parameter)
    for type, placeholder in (("<(int|float).*>", "NUMBER"), ("<str>", "TEXT"), (r"[<[](.+)[>\]]", r"\1")):
        names = re.sub(type, placeholder, names)
    meaning, _, limits = description.partition("  [")
    cells = (meaning.replace("|", "\\|").replace("<", "&lt;"), limits.removesuffix("]").removeprefix("default: "))
    return " | ".join(["| `" + names + "`", *cells]) + " |"
