"""Runs the commands of a job one after the other: a process of its own, which outlives the page's program.

Started by its path, with the standard library only, so that it starts at once. The file ``lock`` of the job's folder is locked
as long as this process or a command of it lives; ``state.json`` says how many commands are done and how the job ended. SIGINT,
sent to the whole session, stops the running command, and no other is started.
"""

import json
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

STOPPED = 130  # 128 + SIGINT, as in the shell


def run_job(folder: Path, lock: int) -> int:
    """Run what is not done of the job in `folder`, whose open and locked file ``lock`` is `lock`; returns the exit code."""
    stopped: list[int] = []
    signal.signal(signal.SIGINT, lambda number, _frame: stopped.append(number))
    job = json.loads((folder / "job.json").read_text("utf-8"))
    done = json.loads((folder / "state.json").read_text("utf-8"))["done"]
    for command in job["commands"][done:]:
        if stopped:
            break
        print(f"$ {shlex.join(['speechxfer', *command['arguments']])}", flush=True)
        code = subprocess.Popen([*job["program"], *command["arguments"]], pass_fds=(lock,)).wait()
        tolerated = code == command["tolerated"] and os.path.exists(command["makes"])
        if stopped or (code and not tolerated):
            return _finish(folder, done, STOPPED if stopped else code)
        done += 1
        _write_state(folder, {"done": done, "code": None})
    return _finish(folder, done, STOPPED if stopped else 0)


def _finish(folder: Path, done: int, code: int) -> int:
    _write_state(folder, {"done": done, "code": code})
    return code


def _write_state(folder: Path, state: dict[str, int | None]) -> None:
    partial = folder / "state.json.partial"
    partial.write_text(json.dumps(state) + "\n", "utf-8")
    os.replace(partial, folder / "state.json")


if __name__ == "__main__":
    sys.exit(run_job(Path(sys.argv[1]), int(sys.argv[2])))
