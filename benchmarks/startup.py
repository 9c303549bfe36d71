"""Seconds from the start of the program: its help, and the text of a recording of three seconds, each in a new process.

Beside them Python alone and the import of torch, below which no command can be that needs a model. The commands alternate in
several rounds; files are in the system's cache. On a busy machine CPU time is what a command takes on a free core.

    python -m benchmarks startup
"""

import os
import sys
import tempfile
from pathlib import Path
from statistics import median

import numpy as np
import soundfile

from benchmarks.commands import run_command
from benchmarks.page import table, write_section

ROUNDS, RECORDING_S, RATE_HZ = 5, 3, 16_000


def run(arguments: list[str]) -> tuple[float, float]:
    """CPU and wall seconds of a Python process with these arguments."""
    cost = run_command([sys.executable, *arguments], {**os.environ, "OMP_NUM_THREADS": "1"}, quiet=True)
    if cost.code:
        raise SystemExit(f"python {' '.join(arguments)} failed; run it by hand")
    return cost.cpu_s, cost.wall_s


def main() -> None:
    """Measure and write the section of the page."""
    with tempfile.TemporaryDirectory() as folder:
        recording = Path(folder) / "noise.wav"
        samples = np.random.default_rng(1).normal(0, 0.1, RATE_HZ * RECORDING_S)
        soundfile.write(recording, samples, RATE_HZ)
        commands = {
            "python -c pass": ["-c", "pass"],
            "speechxfer --help": ["-m", "speechxfer", "--help"],
            "python -c 'import torch'": ["-c", "import torch"],
            "speechxfer transcribe english noise.wav": ["-m", "speechxfer", "transcribe", "english", str(recording)],
        }
        seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
        for number in range(1 + ROUNDS):
            for name, arguments in commands.items():
                found = run(arguments)
                if number:  # the first round fills the system's cache of files
                    seconds[name].append(found)
    rows = []
    for name, own in seconds.items():
        columns = [f"{median(part):.2f} ({min(part):.2f} to {max(part):.2f})" for part in zip(*own, strict=True)]
        rows.append((f"`{name}`", *columns))
        print(*rows[-1], flush=True)
    write_section("Startup", table(("command", "s of CPU", "s"), rows), ["torch", "numpy"])


if __name__ == "__main__":
    main()
