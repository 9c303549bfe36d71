"""Speed of training in two processes of one thread each, relative to one: seconds of speech per second, the small Conformer.

A benchmark, run by hand on a machine whose cores are otherwise idle. Rounds are interleaved; features are computed beforehand by
an unmeasured run.

    python -m benchmarks processes [ROUNDS]
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import soundfile

from speechxfer.training import training_cost

UTTERANCES, SECONDS, RATE_HZ, STEPS, BATCH_S = 120, 5.0, 16_000, 40, 40.0
SETTINGS = (
    f"finetune.steps={STEPS}",
    f"finetune.batch_s={BATCH_S}",
    f"finetune.evaluate_every_steps={STEPS}",
    "finetune.average_best=1",
    "finetune.warmup_steps=5",
    "finetune.precision=fp32",
)


def write_corpus(folder: Path) -> None:
    """Noise instead of speech: only lengths matter here."""
    lines = []
    for number in range(UTTERANCES):
        samples = 0.05 * np.random.default_rng(number).standard_normal(round(RATE_HZ * SECONDS))
        soundfile.write(folder / f"{number}.wav", samples, RATE_HZ)
        row = {
            "id": str(number),
            "audio_filepath": f"{number}.wav",
            "duration": SECONDS,
            "text": "some words of a text",
        }
        lines.append(json.dumps(row) + "\n")
    (folder / "train.jsonl").write_text("".join(lines), encoding="utf-8")
    (folder / "dev.jsonl").write_text(lines[0], encoding="utf-8")


def train(folder: Path, name: str, processes: int) -> float:
    """Seconds of speech that are trained on in a second."""
    words = ["-m", "speechxfer", "train", "--train", str(folder / "train.jsonl"), "--dev", str(folder / "dev.jsonl")]
    words += ["--out", str(folder / "runs" / name), *(part for setting in SETTINGS for part in ("--set", setting))]
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    subprocess.run([sys.executable, *(launcher if processes > 1 else []), *words], env=environment, check=True)
    steps, wall_s = training_cost(folder / "runs" / name)
    return steps * BATCH_S * processes / wall_s


def main(rounds: int) -> None:
    """Measure and print each round and the medians."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        write_corpus(folder)
        train(folder, "first", 1)
        print("| round | one process | two processes | ratio |\n| --- | --- | --- | --- |")
        ratios = []
        for number in range(rounds):
            one, two = (train(folder, f"{number}-{processes}", processes) for processes in (1, 2))
            ratios.append(two / one)
            print(f"| {number + 1} | {one:.1f} | {two:.1f} | {two / one:.2f} |", flush=True)
    print(f"\nmedian {statistics.median(ratios):.2f}, {min(ratios):.2f} to {max(ratios):.2f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
