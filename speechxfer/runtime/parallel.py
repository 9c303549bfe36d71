"""Function calls in parallel processes of one thread each, so that any number of processes computes the same bytes.

Processes are spawned, not forked: a fork of a process with threads can deadlock. They do not import the main script again, so a
plain script without ``if __name__ == "__main__":`` works, and they end as soon as their parent does, however that ended.
"""

import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from speechxfer.errors import InputError
from speechxfer.runtime.processes import world_size
from speechxfer.runtime.progress import track

Result = TypeVar("Result")


def run_parallel(
    function: Callable[..., Result], calls: Sequence[tuple[Any, ...]], jobs: int | None, description: str
) -> list[Result]:
    """`function(*call)` for each call in processes of one thread; the results in the order of `calls`.

    Args:
        function: of an importable module, not of the main script.
        calls: arguments of each call.
        jobs: how many at a time; None: one per processor core, or one if there is a GPU.
        description: of the calls, for the progress display.

    Raises:
        InputError: under torchrun; and whatever a call raises, once the calls that have begun are finished.
    """
    if world_size() > 1:
        raise InputError("a study starts its own processes; run it without torchrun, and set their number with --jobs")
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor, as_completed

    results: dict[int, Result] = {}
    context = multiprocessing.get_context("spawn")
    workers = min(jobs or default_jobs(), len(calls))
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_prepare_process) as processes:
        with _hidden_main_script():
            futures = {processes.submit(function, *call): number for number, call in enumerate(calls)}
        try:
            for future in track(as_completed(futures), description, total=len(futures)):
                results[futures[future]] = future.result()
        except BaseException:
            processes.shutdown(cancel_futures=True)
            raise
    return [results[number] for number in range(len(calls))]


def default_jobs() -> int:
    """As many parallel processes as there are processor cores; one if there is a GPU."""
    import torch

    return 1 if torch.cuda.is_available() else (len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1)


@contextmanager
def _hidden_main_script() -> Iterator[None]:
    """Processes that are spawned meanwhile do not import the main script, which would run it once more."""
    main = sys.modules["__main__"]
    hidden = {name: getattr(main, name) for name in ("__file__", "__spec__") if hasattr(main, name)}
    try:
        for name in hidden:
            setattr(main, name, None)
        yield
    finally:
        for name, value in hidden.items():
            setattr(main, name, value)


def _prepare_process() -> None:
    import torch

    torch.set_num_threads(1)
    threading.Thread(target=_exit_with_parent, daemon=True).start()


def _exit_with_parent() -> None:
    """Wait for the end of the parent process, by whatever signal, and end this one."""
    import multiprocessing.connection

    parent = multiprocessing.parent_process()
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)
