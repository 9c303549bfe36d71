"""The page of benchmark results, ``benchmarks/RESULTS.md``: each program replaces its own section."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from math import isfinite
from pathlib import Path
from statistics import median

from speechxfer.runtime import command_line, commit, hardware, write_atomically

PAGE = Path(__file__).with_name("RESULTS.md")
TITLE = "# Benchmarks\n\nWritten by the programs of this folder; speeds are seconds of speech per second of CPU time.\n"


def write_section(title: str, lines: Sequence[str], packages: Sequence[str]) -> None:
    """Replace the section of this title, or append it; says with what it was measured."""
    versions = ", ".join(f"{package} {version(package)}" for package in packages)
    command = command_line().replace(".py", "", 1)
    measured = (
        f"`python -m benchmarks.{command}` at {commit()}, {datetime.now(UTC):%Y-%m-%d}; {hardware()}; {versions}."
    )
    section = "\n".join([f"## {title}", "", measured, "", *lines, ""])
    page = PAGE.read_text("utf-8") if PAGE.exists() else TITLE
    parts = [part for part in re.split(r"(?m)^(?=## )", page) if not part.startswith(f"## {title}\n")]
    write_atomically(PAGE, "\n".join([*(part.rstrip("\n") + "\n" for part in parts), section]))


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A Markdown table."""
    return [f"| {' | '.join(row)} |" for row in (header, ["---"] * len(header), *rows)]


def spread(values: Sequence[float], digits: int) -> str:
    """Median, least and greatest; "never" stands for infinity."""
    middle, least, greatest = (
        f"{value:.{digits}f}" if isfinite(value) else "never" for value in (median(values), min(values), max(values))
    )
    return f"{middle} ({least} to {greatest})"
