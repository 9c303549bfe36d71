"""Calls in parallel processes, and the devices and processes of a run."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from speechxfer.errors import InputError
from speechxfer.runtime import default_device, devices, format_duration, progress, run_parallel, runs_on_cpu_only

PLAIN_SCRIPT = """
import os, sys
with open(sys.argv[1], "a") as log:
    log.write("started\\n")
from speechxfer.runtime import run_parallel
print(run_parallel(os.path.join, [("a", "b"), ("c", "d")], 2, "joining"))
"""
SLEEPING_PARENT = """
import os, sys
from speechxfer.runtime import run_parallel
run_parallel(os.system, [(f"echo $PPID > {sys.argv[1]}/{number}; exec sleep 600",) for number in range(2)], 2, "sleeping")
"""
TIMEOUT_S = 120


def test_results_are_in_the_order_of_the_calls() -> None:
    assert run_parallel(divmod, [(7, 2), (9, 4), (1, 1)], 2, "dividing") == [(3, 1), (2, 1), (1, 0)]


def test_an_exception_of_a_call_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        run_parallel(divmod, [(7, 0), (9, 4)], 1, "dividing")


def test_a_plain_script_is_not_run_again(tmp_path: Path) -> None:
    """Spawned processes usually import the main script; one without ``if __name__ == "__main__":`` then starts over."""
    script, log = tmp_path / "study.py", tmp_path / "log"
    script.write_text(PLAIN_SCRIPT)
    run = subprocess.run([sys.executable, script, log], capture_output=True, text=True, check=False, timeout=TIMEOUT_S)
    assert (run.returncode, run.stdout) == (0, "['a/b', 'c/d']\n"), run.stderr
    assert log.read_text() == "started\n"


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_processes_end_with_their_parent(tmp_path: Path, end: signal.Signals) -> None:
    parent = subprocess.Popen([sys.executable, "-c", SLEEPING_PARENT, str(tmp_path)], start_new_session=True)
    try:
        workers = [int(text) for text in (_wait_for(tmp_path / str(number)) for number in range(2))]
        parent.send_signal(end)
        parent.wait(TIMEOUT_S)
        until_s = time.monotonic() + TIMEOUT_S
        while any(map(_is_running, workers)) and time.monotonic() < until_s:
            time.sleep(0.05)
        assert not any(map(_is_running, workers))
    finally:
        os.killpg(parent.pid, signal.SIGKILL)


def _wait_for(path: Path) -> str:
    until_s = time.monotonic() + TIMEOUT_S
    while not (path.exists() and path.read_text()) and time.monotonic() < until_s:
        time.sleep(0.05)
    return path.read_text()


def _is_running(process_id: int) -> bool:
    status = Path(f"/proc/{process_id}/status")
    try:
        return "State:\tZ" not in status.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_studies_do_not_run_under_torchrun(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(InputError, match="without torchrun"):
        run_parallel(divmod, [(7, 2)], 1, "dividing")


def test_metal_is_not_used(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Apple's GPU has never been tested, so computation stays on the CPU, and one line says so."""
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    devices._log_mps.cache_clear()
    assert runs_on_cpu_only()
    assert default_device() == torch.device("cpu")
    assert capsys.readouterr().err.count("\n") == 1


def test_log_files_show_the_time_left(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Four items of a minute each, after which six of ten are left."""
    now_s = iter([0.0, 20.0, 60.0, 240.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(now_s))
    log = progress.ProgressLog("reading", 10)
    log.update(1)
    log.update(1)
    log.update(4, ", loss 0.5")
    assert capsys.readouterr().err.splitlines() == [
        "reading: 1 of 10, about 9 min left",
        "reading: 4 of 10, about 6 min left, loss 0.5",
    ]


def test_durations() -> None:
    assert [format_duration(s) for s in (4.4, 89, 90, 3600, 12_000)] == ["4 s", "89 s", "2 min", "60 min", "3 h 20 min"]
