"""Function calls in parallel processes of one thread each, so that any number of processes computes the same bytes."""

import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import Any, TypeVar

from speechxfer.errors import InputError
from speechxfer.runtime.progress import track

Result = TypeVar("Result")


def run_parallel(
    function: Callable[..., Result], calls: Sequence[tuple[Any, ...]], jobs: int, what: str
) -> list[Result]:
    """`function(*call)` for each call, `jobs` at a time in processes of one thread; the results in the order of `calls`.

    With 0 jobs as many as there are processor cores, or one where a GPU does the work.

    Raises:
        InputError: under torchrun; and whatever a call raises, once those that have begun are finished.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise InputError("a study starts its own processes; call it without torchrun, and say how many with --jobs")
    results: dict[int, Result] = {}
    context = multiprocessing.get_context("spawn")
    workers = min(jobs or default_jobs(), len(calls))
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_one_thread) as processes:
        futures = {processes.submit(function, *call): number for number, call in enumerate(calls)}
        try:
            for future in track(as_completed(futures), what, total=len(futures)):
                results[futures[future]] = future.result()
        except BaseException:
            processes.shutdown(cancel_futures=True)
            raise
    return [results[number] for number in range(len(calls))]


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


def default_jobs() -> int:
    """As many runs side by side as there are processor cores; one where a GPU does the work."""
    import torch

    return 1 if torch.cuda.is_available() else (len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1)
