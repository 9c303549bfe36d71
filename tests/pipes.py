"""Named pipes that nobody writes to: opening one waits for ever, so a reader has to look before it opens."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PATIENCE_S = 10.0  # after which a reader that opened the pipe nevertheless gets the end of the file


@contextmanager
def unread_pipe(path: Path) -> Iterator[Path]:
    """A named pipe; AssertionError at the end if something waited for its content."""
    os.mkfifo(path)
    waited = threading.Event()

    def end_reading() -> None:
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
        except OSError:  # nobody reads
            return
        waited.set()

    timer = threading.Timer(PATIENCE_S, end_reading)
    timer.start()
    try:
        yield path
    finally:
        timer.cancel()
        timer.join()
    assert not waited.is_set(), f"{path} was opened for reading"
