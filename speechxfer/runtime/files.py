"""Files and folders that are written whole or not at all, and locks between processes.

Everything is written to a temporary name beside the target (``NAME.<hex>.partial``) and renamed once it is complete, so that
a reader never sees half a file and a failed write (full disk, kill, exception) leaves the earlier one intact. The operating
system's lock (flock) on a temporary name shows that its writer is still running: temporary names that nobody has locked
are left over from killed processes, and the next process that writes into the folder removes them.
"""

import errno
import fcntl
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from speechxfer.errors import InputError
from speechxfer.runtime.processes import is_main_process

OLDER = ".older"
_LEFTOVER = re.compile(r".+\.[0-9a-f]{8}\.partial")
_FULL = (errno.ENOSPC, errno.EDQUOT)
_FULL_MESSAGES = ("no space left", "os error 28", "disk quota exceeded")  # of libraries that raise their own exceptions
_cleaned: set[Path] = set()  # folders in which this process has removed what killed processes left over


def write_atomically(path: Path | str, content: str | bytes) -> None:
    """Write a file (text in UTF-8) that appears whole or not at all; its folder is made if missing.

    Raises:
        InputError: the file cannot be written; an older one is unchanged.
    """
    with atomic_file(path) as partial:
        partial.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)


def check_not_input(out: Path, inputs: Iterable[Path]) -> None:
    """InputError if a file to be written is one of those to be read, which it would replace."""
    for path in inputs:
        if out.exists() and path.exists() and out.samefile(path):
            raise InputError(f"{out}: is an input, which the output would replace; give --out another name")


def check_not_existing(files: Iterable[Path]) -> None:
    """InputError if one of the files to write is there already: annotations beside recordings may be hours of manual work."""
    for file in files:
        if file.exists():
            raise InputError(f"{file} exists and would be replaced; name another folder with --out, or remove the file")


def check_new_folder(folder: Path) -> None:
    """InputError if a folder to write exists and has files."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder}: exists and is not empty; choose another folder")


@contextmanager
def atomic_file(path: Path | str) -> Iterator[Path]:
    """A temporary path beside `path` to write to; it takes the place of `path` when the block ends without an exception.

    Raises:
        InputError: the disk is full or the place cannot be written; an older file is unchanged.
    """
    path = Path(path)
    if os.path.lexists(path) and not path.is_file():
        raise InputError(f"{path}: is not a file, so none can be written there; choose another path")
    with _partial_of(path, lambda partial: os.close(os.open(partial, os.O_CREAT | os.O_WRONLY, 0o666))) as partial:
        yield partial
        partial.replace(path)


@contextmanager
def atomic_folder(folder: Path | str) -> Iterator[Path]:
    """A temporary folder beside `folder` to write to; it takes the place of `folder` when the block ends without an exception.

    Between two renames an older folder has the name ``NAME.older``; `recover_folder` puts it back after a kill.

    Raises:
        InputError: the disk is full or the place cannot be written; an older folder is unchanged.
    """
    folder = Path(folder)
    recover_folder(folder)
    if os.path.exists(folder) and not folder.is_dir():
        raise InputError(f"{folder}: is a file, so no folder can be written there; choose another path")
    with _partial_of(folder, lambda partial: partial.mkdir(exist_ok=True)) as partial:
        yield partial
        _swap(partial, folder)


@contextmanager
def temporary_folder(beside: Path | str) -> Iterator[Path]:
    """A folder for temporary files beside a path that is written in the end; it is removed when the block ends.

    Raises:
        InputError: the disk is full or the place cannot be written.
    """
    with _partial_of(Path(beside), lambda partial: partial.mkdir(exist_ok=True)) as partial:
        yield partial


def recover_folder(folder: Path | str) -> None:
    """Undo a replacement of `folder` that a kill interrupted: the older folder is renamed back, or removed if replaced.

    Whoever reads a folder that `atomic_folder` writes calls this first.
    """
    folder = Path(folder)
    older = folder.with_name(folder.name + OLDER)
    if not os.path.isdir(older):  # which, unlike Path.is_dir, is False for a name that is too long
        return
    if folder.exists():
        shutil.rmtree(older, ignore_errors=True)
    else:
        with suppress(FileNotFoundError):  # another process has done it in the meantime
            older.rename(folder)


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


@contextmanager
def _partial_of(path: Path, create: Callable[[Path], None]) -> Iterator[Path]:
    """A locked temporary name beside `path`, made by `create` and removed when the block ends."""
    partial = path.with_name(f"{path.name}.{secrets.token_hex(4)}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(path.parent)
        create(partial)
    except OSError as error:
        raise _as_input_error(path, error) from error
    lock = os.open(partial, os.O_RDONLY)
    try:
        _try_lock(lock)
        create(partial)  # once more, should another process have taken it for a leftover before the lock
        yield partial
    except Exception as error:
        if _is_disk_full(error, path.parent) or (isinstance(error, OSError) and _concerns(error, partial)):
            raise _as_input_error(path, error) from error
        raise
    finally:
        os.close(lock)
        _remove(partial)


def _swap(partial: Path, folder: Path) -> None:
    """Rename `partial` to `folder`, an older one first out of the way and removed last: one of them is always on disk."""
    older = folder.with_name(folder.name + OLDER)
    for attempt in range(3):
        if folder.exists():
            shutil.rmtree(older, ignore_errors=True)
            folder.rename(older)
        try:
            partial.rename(folder)
            break
        except OSError:  # a reader has put the older one back between the two renames
            recover_folder(folder)
            if attempt == 2:
                raise
    shutil.rmtree(older, ignore_errors=True)


def _remove_leftovers(folder: Path) -> None:
    """Remove temporary names that killed processes left in `folder`; looked for once a process."""
    folder = folder.resolve()
    if folder in _cleaned:
        return
    _cleaned.add(folder)
    for path in folder.iterdir():
        if _LEFTOVER.fullmatch(path.name) and not _is_locked(path):
            _remove(path)


def _is_locked(path: Path) -> bool:
    try:
        lock = os.open(path, os.O_RDONLY)
    except OSError:
        return True  # removed meanwhile, or not readable by this user
    try:
        return not _try_lock(lock)
    finally:
        os.close(lock)


def _try_lock(descriptor: int) -> bool:
    """Lock an open file or folder; False if another process has, or if the file system does not support locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _concerns(error: OSError, partial: Path) -> bool:
    names = [str(name) for name in (error.filename, error.filename2) if isinstance(name, str | Path)]
    return any(Path(name).is_relative_to(partial) for name in names)


def _is_disk_full(error: BaseException | None, folder: Path) -> bool:
    """Whether this exception, or one that led to it, comes from a full disk; libraries wrap the system's in their own."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _FULL:
            return True
        if any(message in str(error).lower() for message in _FULL_MESSAGES):
            return True
        if isinstance(error, RuntimeError) and shutil.disk_usage(folder).free < 1 << 20:  # torch.save, soundfile.write
            return True
        error = error.__cause__ or error.__context__
    return False


def _as_input_error(path: Path, error: Exception) -> InputError:
    if _is_disk_full(error, path.parent if path.parent.exists() else Path()):
        return InputError(
            f"{path}: no space left on the disk; free some or write elsewhere (an older file there is unchanged)"
        )
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return InputError(f"{path}: cannot be written ({reason}); choose a place that can")
