"""What a command costs that runs as a process of its own."""

import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Cost:
    """Exit code, processor and wall seconds, and peak memory of a process."""

    code: int
    cpu_s: float
    wall_s: float
    peak_gib: float


def run_command(
    command: Sequence[str],
    environment: Mapping[str, str] | None = None,
    *,
    folder: Path | None = None,
    quiet: bool = False,
) -> Cost:
    """Run a command, in a folder, without its output (with `quiet` also without messages) and measure it."""
    started = time.perf_counter()
    messages = subprocess.DEVNULL if quiet else None
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=messages, env=environment, cwd=folder)
    _, status, usage = os.wait4(process.pid, 0)
    wall_s = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    return Cost(process.returncode, usage.ru_utime + usage.ru_stime, wall_s, usage.ru_maxrss / 2**20)
