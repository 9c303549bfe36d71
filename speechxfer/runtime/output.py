"""Standard streams on which any message can be printed: names of files need not be valid UTF-8."""

import io
import sys


def escape_unencodable_output() -> None:
    """Make stdout and stderr escape characters that their encoding lacks."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
