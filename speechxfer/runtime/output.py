"""The streams on which any message can be printed: names of files need not be valid UTF-8."""

import io
import sys


def escape_unencodable_output() -> None:
    """From here on stdout and stderr escape what their encoding lacks: names of files need not be UTF-8."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
