"""Output on stderr: messages, and progress (a bar on a terminal; in a log file a line every half minute, with the time left)."""

import io
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from rich.console import Console

from speechxfer.runtime.processes import is_main_process

if TYPE_CHECKING:
    from rich.progress import Progress

Item = TypeVar("Item")
LOG_EVERY_S = 1.0 if os.environ.get("SPEECHXFER_FREQUENT_PROGRESS") else 30.0  # `serve` sets it, for its page
console = Console(stderr=True)


def log_info(text: str) -> None:
    """Print one line on stderr, above a running bar; of several processes only the first prints."""
    if console.quiet or not is_main_process():
        return
    if console.is_terminal:
        console.print(text, markup=False, highlight=False, soft_wrap=True)
    else:
        print(text, file=sys.stderr, flush=True)


@contextmanager
def without_messages() -> Iterator[None]:
    """Print no message of `log_info` in the block, for a step whose details a larger one sums up."""
    before, console.quiet = console.quiet, True
    try:
        yield
    finally:
        console.quiet = before


def escape_unencodable_output() -> None:
    """Make stdout and stderr escape characters that their encoding lacks: names of files need not be valid UTF-8."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def progress_bar() -> "Progress":
    """An empty progress display, cleared at its end; disabled unless stderr is a terminal and this is the first process."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, transient=True, disable=not shows_bar())


def shows_bar() -> bool:
    """Whether this process shows progress as a bar."""
    return console.is_terminal and is_main_process()


def track(items: Sequence[Item] | Iterable[Item], what: str, total: int | None = None) -> Iterator[Item]:
    """Yield the items, showing how many are done and, if their number is known, the time left."""
    total = len(items) if isinstance(items, Sequence) else total
    if shows_bar():
        with progress_bar() as progress:
            yield from progress.track(items, total=total, description=what)
        return
    log = ProgressLog(what, total)
    for number, item in enumerate(items, start=1):
        yield item
        log.update(number)


@contextmanager
def track_amount(what: str, total: float) -> Iterator[Callable[[float], None]]:
    """A function to call with the amount that is done of a total, such as seconds; shows it and the time left."""
    if shows_bar():
        with progress_bar() as progress:
            task = progress.add_task(what, total=round(total))
            yield lambda done: progress.update(task, completed=round(done))
    else:
        log = ProgressLog(what, round(total))
        yield lambda done: log.update(round(done))


class ProgressLog:
    """Lines of progress in a log file: at most one every `LOG_EVERY_S` seconds.

    Args:
        what: opens each line.
        total: number of items; None if unknown.
        done: items that an earlier run has done; they do not count for the speed.
    """

    def __init__(self, what: str, total: int | None, done: int = 0) -> None:
        self._what, self._total, self._done = what, total, done
        self._started_s = self._logged_s = time.monotonic()

    def update(self, number: int, details: str = "") -> None:
        """Log that `number` items are done, if the last line is old enough."""
        now_s = time.monotonic()
        if now_s - self._logged_s <= LOG_EVERY_S:
            return
        self._logged_s = now_s
        speed = (number - self._done) / (now_s - self._started_s)
        of_total = f" of {self._total:,}" if self._total else ""
        if self._total and speed > 0:
            of_total += f", about {format_duration((self._total - number) / speed)} left"
        log_info(f"{self._what}: {number:,}{of_total}{details}")


def format_duration(seconds: float) -> str:
    """Seconds as a rounded duration: ``40 s``, ``12 min``, ``3 h 20 min``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
