"""Progress on stderr: a bar where a person watches, one line every half minute where a log file does."""

import os
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

Item = TypeVar("Item")
LOG_EVERY_S = 30.0


def is_main_process() -> bool:
    """Whether this is the first of the processes of a run; by the environment, so also before they have met."""
    return os.environ.get("RANK", "0") == "0"


console = Console(stderr=True, quiet=not is_main_process())  # of several processes the first one speaks


def log_info(text: str) -> None:
    """One line on stderr, above a running bar."""
    if console.quiet:
        return
    if console.is_terminal:
        console.print(text, markup=False, highlight=False, soft_wrap=True)
    else:
        print(text, file=sys.stderr, flush=True)


def progress_bar(*, transient: bool = True) -> Progress:
    """An empty progress display; disabled where stderr is no terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, transient=transient, disable=not console.is_terminal)


def track(items: Sequence[Item] | Iterable[Item], what: str, total: int | None = None) -> Iterator[Item]:
    """Yield the items, showing how many are done."""
    total = len(items) if isinstance(items, Sequence) else total
    if console.is_terminal:
        with progress_bar() as progress:
            yield from progress.track(items, total=total, description=what)
        return
    said = time.monotonic()
    for number, item in enumerate(items, start=1):
        yield item
        if time.monotonic() - said > LOG_EVERY_S:
            said = time.monotonic()
            log_info(f"{what}: {number}{f' of {total}' if total else ''}")
