"""A lock on a run's folder: two processes that write the same files would damage both runs."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from speechxfer.errors import InputError
from speechxfer.runtime.processes import is_main_process


@contextmanager
def run_lock(out: Path) -> Iterator[None]:
    """Keep `out` to this call and those within it: two runs that write the same files would spoil both.

    The lock is the operating system's, so nothing of it outlives the process, killed or not. Of several processes of one
    run the first one holds it.

    Raises:
        InputError: another process trains there.
    """
    if not is_main_process():
        yield
        return
    out.mkdir(parents=True, exist_ok=True)
    lock = FileLock(out / "lock", blocking=False, is_singleton=True)
    try:
        lock.acquire()
    except Timeout as error:
        raise InputError(f"{out}: another process trains there; let it end, or choose another `out`") from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def file_lock(path: Path) -> Iterator[None]:
    """Exclusive access to a file that several processes read, change and write; waits for the process that has it.

    The lock is on ``.NAME.lock`` beside the file, which stays there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_name(f".{path.name}.lock")):
        yield
