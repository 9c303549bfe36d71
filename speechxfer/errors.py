"""The one exception for input that a person can mend, and the streams on which any message can be printed.

Every message answers three questions: what happened, what was expected, how to fix it. The command line prints it on
stderr and exits with 2; from Python it is an ordinary ``ValueError``. Faults of our own code are not wrapped in it.
"""

import io
import sys
from collections.abc import Sequence


class InputError(ValueError):
    """Bad data, settings or files: the message says what, where and how to fix it."""


def print_anything() -> None:
    """From here on stdout and stderr escape what their encoding lacks: names of files need not be UTF-8."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def first_names(names: Sequence[str], most: int = 5) -> str:
    """The first few names and how many more there are: 'a, b, c, d, e and 415 more'."""
    return ", ".join(names[:most]) + (f" and {len(names) - most:,} more" if len(names) > most else "")
