"""File locks: one that refuses a second run in a folder, and one that waits for its turn."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from speechxfer.errors import InputError
from speechxfer.runtime.progress import is_main_process


@contextmanager
def run_lock(out: Path) -> Iterator[None]:
    """Lock `out` for this call and those within it: two runs that write the same files would damage both.

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
def wait_for_lock(path: Path) -> Iterator[None]:
    """Wait until no other process holds the lock on this file, and hold it; the file and its folder are made if missing.

    Raises:
        InputError: the folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path, is_singleton=True)
        lock.acquire()
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror}); choose another folder") from error
    try:
        yield
    finally:
        lock.release()
