"""Locks between processes: on the folder of a run, and on a file that several processes change."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from speechxfer.errors import InputError
from speechxfer.runtime.processes import is_main_process


@contextmanager
def run_lock(out: Path) -> Iterator[None]:
    """Exclusive use of the run's folder `out`, for this call and those within it.

    The lock is the operating system's, so it ends with the process, however that ends. Of the processes of one run the first
    one holds it.

    Raises:
        InputError: another process trains there.
    """
    if not is_main_process():
        yield
        return
    from filelock import FileLock, Timeout

    out.mkdir(parents=True, exist_ok=True)
    lock = FileLock(out / "lock", blocking=False, is_singleton=True)
    try:
        lock.acquire()
    except Timeout as error:
        raise InputError(f"{out}: another process trains there; wait for its end, or choose another `out`") from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def file_lock(path: Path) -> Iterator[None]:
    """Exclusive access to a file that several processes read, change and write; waits for the process that has it.

    The lock is on ``.NAME.lock`` beside the file, which stays there.
    """
    from filelock import FileLock

    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_name(f".{path.name}.lock")):
        yield
