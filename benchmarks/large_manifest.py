"""A manifest of a million utterances: time and peak memory of opening it, of `check --quick`, and of the first training step.

A benchmark, run by hand; each case is a process of its own. Every utterance has a file of its own, a hard link to one of
a hundred recordings of noise, and a text of random words; the 2,200 hours make training compute features as they are needed.

    python -m benchmarks large_manifest [UTTERANCES]
"""

import json
import os
import random
import sys
import tempfile
from pathlib import Path

import numpy as np
import soundfile

from benchmarks.commands import run_command

RECORDINGS, RATE_HZ = 100, 16_000
LETTERS = "abcdefghijklmnopqrstuvwxyzéàñ"
PROGRAM = [sys.executable, "-m", "speechxfer"]
ONE_STEP = ["steps=1", "warmup_steps=0", "average_best=1", "evaluate_every_steps=1"]


def write_recordings(folder: Path) -> list[tuple[Path, float]]:
    """Recordings of 1 to 15 s of noise, with their durations."""
    folder.mkdir()
    recordings = []
    for number in range(RECORDINGS):
        generator = np.random.default_rng(number)
        samples = 0.05 * generator.standard_normal(int(generator.integers(RATE_HZ, 15 * RATE_HZ)))
        soundfile.write(folder / f"{number}.wav", samples, RATE_HZ)
        recordings.append((folder / f"{number}.wav", len(samples) / RATE_HZ))
    return recordings


def write_corpus(path: Path, utterances: int, recordings: list[tuple[Path, float]]) -> None:
    """A manifest, and in the folder of its name one file for each utterance, a thousand to a folder."""
    draw = random.Random(1)
    words = ["".join(draw.choices(LETTERS, k=draw.randint(2, 9))) for _ in range(20_000)]
    with path.open("w", encoding="utf-8") as file:
        for number in range(utterances):
            recording, duration = recordings[number % RECORDINGS]
            audio = path.with_suffix("") / f"{number // 1000:04d}" / f"utterance{number:07d}.wav"
            if number % 1000 == 0:
                audio.parent.mkdir(parents=True)
            os.link(recording, audio)
            row = {
                "id": f"corpus-speaker{number % 2000:04d}-{number:07d}",
                "audio_filepath": str(audio.relative_to(path.parent)),
                "offset": 0.0,
                "duration": duration,
                "text": " ".join(draw.choices(words, k=max(1, round(duration)))),
                "speaker": f"speaker{number % 2000:04d}",
                "lang": "und",
            }
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def main(utterances: int, folder: Path) -> None:
    """Write the corpus, measure each case, print a table."""
    recordings = write_recordings(folder / "recordings")
    train, dev = folder / "train.jsonl", folder / "dev.jsonl"
    write_corpus(train, utterances, recordings)
    write_corpus(dev, 10, recordings)
    settings = [part for setting in ONE_STEP for part in ("--set", f"finetune.{setting}")]
    training = ["train", "--train", str(train), "--dev", str(dev), "--set", "model.size=tiny", *settings]
    cases = {
        "read_manifest": [sys.executable, "-c", f"import speechxfer; speechxfer.read_manifest({str(train)!r})"],
        "check --quick": [*PROGRAM, "check", "--quick", str(train)],
        "train, one step": [*PROGRAM, *training, "--out", str(folder / "run")],
    }
    print(f"{utterances:,} utterances, {train.stat().st_size / 1e6:.0f} MB\n")
    print("| case | exit code | wall, s | processor, s | peak memory, GiB |\n| --- | --- | --- | --- | --- |")
    for name, command in cases.items():
        cost = run_command(command)
        print(f"| {name} | {cost.code} | {cost.wall_s:.1f} | {cost.cpu_s:.1f} | {cost.peak_gib:.2f} |", flush=True)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000, Path(place))
