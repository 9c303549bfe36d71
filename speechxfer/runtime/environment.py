"""What a result was computed with: command, commit and hardware."""

import os
import platform
import shlex
import subprocess
import sys
from pathlib import Path


def command_line() -> str:
    """The running command, as typed in a shell."""
    arguments = [Path(sys.argv[0]).name, *sys.argv[1:]]
    if arguments[0] == "__main__.py":
        arguments[0] = "speechxfer"
    return shlex.join(arguments)


def hardware() -> str:
    """Processor, cores, threads and GPU of this process, such as 'Intel Xeon Gold 6248, 2 cores, 1 thread; NVIDIA H200'.

    Cores are those the process may use; the GPU is named if torch has initialised it. Never imports torch.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads, gpu = str(os.environ.get("OMP_NUM_THREADS", cores)), ""
    torch = sys.modules.get("torch")
    if torch is not None:
        threads = str(torch.get_num_threads())
        if torch.cuda.is_initialized():
            gpu = f"; {torch.cuda.get_device_name()}"
    return f"{_cpu_model()}, {_count(str(cores), 'core')}, {_count(threads, 'thread')}{gpu}"


def commit() -> str:
    """Short hash of the commit of this code, with '-dirty' if tracked code differs from it, else 'unknown'.

    Results and Markdown pages do not count as code: recipes rewrite them while they run.
    """
    if _git("ls-files", "--error-unmatch", Path(__file__).name) is None:
        return "unknown"  # not a checkout of this project, but perhaps inside another one
    short = _git("rev-parse", "--short", "HEAD")
    if short is None:
        return "unknown"
    clean = _git("diff", "--quiet", "HEAD", "--", ":(top)", ":(top,exclude)*.md", ":(top,exclude)*results.json")
    return short if clean is not None else f"{short}-dirty"


def _cpu_model() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return " ".join(value.split())
    return platform.processor() or platform.machine() or "unknown processor"


def _count(number: str, noun: str) -> str:
    return f"{number} {noun}" if number == "1" else f"{number} {noun}s"


def _git(*arguments: str) -> str | None:
    """Standard output of git in this file's folder, or None where git fails or is not installed."""
    command = ["git", "-C", str(Path(__file__).resolve().parent), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None
