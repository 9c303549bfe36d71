"""Speed of training: our loop beside transformers' `Trainer` and SpeechBrain's `Brain`, on one core or several.

Each pair has one encoder: `Trainer` and our loop train a small Parakeet that transformers saved, `Brain` and our loop our small
Conformer. Each loop has a process of its own, one thread and float32; the processes work in turn, one round after the other. All
read the same features, ours from its cache on disk, the others from memory: front ends are not compared. Speeds are seconds of
speech per second of CPU time; the first round is a warm-up. Losses of the first batch, frames of all batches and numbers of
updates must be equal. SpeechBrain is installed into a folder of the cache (`XDG_CACHE_HOME`), which only this program reads.

With ``--cores 2``, ours has two processes of one thread and 20 s in a step each, the others one process of two threads and 40 s
in a step; speeds are then of the clock, and batches are not the same (ours are planned for two processes).

    pip install 'speechxfer[hf]'
    python -m benchmarks training [--cores 2]
"""

import argparse
import json
import multiprocessing
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from importlib.metadata import version
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch

from benchmarks.page import spread, table, write_section
from benchmarks.training_loops import Task, run
from speechxfer.checkpoints import save_model
from speechxfer.features import feature_preset
from speechxfer.models import AcousticModel, Architecture
from speechxfer.runtime import import_extra
from speechxfer.text import BLANK, Normalizer, Vocabulary

PEERS = ("speechbrain==1.1.2", "hyperpyyaml==1.2.3", "ruamel.yaml==0.19.1")
UTTERANCES, RATE_HZ, FRAMES_PER_S, SYMBOLS_PER_S = 60, 16_000, 100, 5
LETTERS = "abcdefghijklmnopqrstuvwxyz"
PARAKEET = {
    "hidden_size": 144,
    "num_hidden_layers": 8,
    "num_attention_heads": 4,
    "intermediate_size": 576,
} | dict.fromkeys(("dropout", "dropout_positions", "layerdrop", "activation_dropout", "attention_dropout"), 0.0)
TOLERANCE = 1e-3
PAIRS = (  # whose speed is stated over whose
    ("speechxfer: Parakeet", "transformers: Parakeet"),
    ("speechxfer: Parakeet", "transformers: Parakeet, random batches"),
    ("speechxfer: Conformer", "speechbrain: Conformer"),
    ("speechxfer: Conformer", "transformers: Parakeet"),
)


def install_peers() -> None:
    """SpeechBrain and what it needs beyond our environment, once, into the user's cache; never another torch."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser()
    folder = cache / "speechxfer-benchmarks" / "-".join(PEERS)
    if not (folder / "speechbrain").is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder), *PEERS]
        subprocess.run(command, check=True)
    sys.path.append(str(folder))  # also of the processes, which are started with this path


def write_noise(folder: Path) -> None:
    """Recordings of noise of 2 to 8 s, and random letters as their texts."""
    generator, rows = np.random.default_rng(1), []
    for number in range(UTTERANCES):
        seconds = float(generator.uniform(2, 8))
        path = folder / f"{number}.wav"
        soundfile.write(path, generator.normal(0, 0.1, round(RATE_HZ * seconds)), RATE_HZ)
        text = "".join(generator.choice(list(LETTERS), round(SYMBOLS_PER_S * seconds)))
        rows.append({"id": str(number), "audio_filepath": str(path), "duration": seconds, "text": text})
    (folder / "noise.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def write_checkpoints(folder: Path) -> dict[str, float]:
    """Both models with random weights; millions of parameters of each."""
    torch.manual_seed(1)
    library: Any = import_extra("transformers", "hf", "the comparison")
    config = library.ParakeetCTCConfig(vocab_size=1 + len(LETTERS), pad_token_id=0, encoder_config=PARAKEET)
    parakeet = library.ParakeetForCTC(config)
    parakeet.save_pretrained(folder / "parakeet")
    library.ParakeetFeatureExtractor().save_pretrained(folder / "parakeet")
    symbols = {symbol: number for number, symbol in enumerate(("<pad>", *LETTERS))}
    (folder / "parakeet" / "vocab.json").write_text(json.dumps(symbols))
    architecture = Architecture("conformer", "small", 4, dropout=0.0)
    spec, vocabulary = feature_preset("kaldi-mvn-78db-1.5s"), Vocabulary((BLANK, *LETTERS))
    conformer = AcousticModel(architecture, vocabulary, spec, Normalizer())
    save_model(conformer, folder / "conformer")
    models = {"Parakeet": parakeet, "Conformer": conformer}
    return {name: sum(each.numel() for each in model.parameters()) / 1e6 for name, model in models.items()}


def measure(tasks: Mapping[str, Task]) -> tuple[dict[str, list[float]], dict[str, list[float]], dict[str, Any]]:
    """CPU and wall seconds of each loop's rounds, and what it counted."""
    context = multiprocessing.get_context("spawn")
    connections: dict[str, list[Connection]] = {}
    cpu_s, wall_s = {name: [] for name in tasks}, {name: [] for name in tasks}  # type: ignore[var-annotated]
    with ExitStack() as started:
        for name, task in tasks.items():
            port, connections[name] = find_free_port(), []
            for rank in range(task.cores if task.loop == "speechxfer" else 1):
                own, other = context.Pipe()
                process = context.Process(target=run, args=(task, other, rank, port), daemon=True)
                process.start()
                other.close()
                started.callback(process.join)
                connections[name].append(own)
            connections[name][0].recv()  # it is ready
        for number in range(next(iter(tasks.values())).rounds):
            for name in list(tasks)[:: 1 if number % 2 else -1]:
                connections[name][0].send("go")
                seconds = connections[name][0].recv()
                if number:  # the first round is a warm-up
                    cpu_s[name].append(seconds[0])
                    wall_s[name].append(seconds[1])
                print(f"round {number}, {name}: {seconds[0]:.2f} s of CPU, {seconds[1]:.2f} s", flush=True)
        counted = {}
        for name, (first, *others) in connections.items():
            first.send("finish")
            frames, losses, updates = first.recv()
            for other in others:
                more = other.recv()[0]
                frames = [(a + c, b + d) for (a, b), (c, d) in zip(frames, more, strict=True)]
            counted[name] = frames, losses, updates
    return cpu_s, wall_s, counted


def find_free_port() -> int:
    """Of this machine."""
    with socket.socket() as tried:
        tried.bind(("127.0.0.1", 0))
        return int(tried.getsockname()[1])


def check_same_work(counted: Mapping[str, Any], one: str, other: str) -> str:
    """One sentence; SystemExit if two loops did not do the same."""
    (frames, losses, updates), (other_frames, other_losses, other_updates) = counted[one], counted[other]
    if frames != other_frames or updates != other_updates or updates != len(losses):
        raise SystemExit(f"{one} and {other} differ in frames or updates ({updates} and {other_updates})")
    first = abs(losses[0] - other_losses[0])
    if first > TOLERANCE:
        raise SystemExit(f"{one} and {other}: the losses of the first batch are {losses[0]} and {other_losses[0]}")
    return (
        f"{one} and {other}: {updates} updates with the same frames; losses of the first batch differ by {first:.1g} nats per "
        f"symbol, those of all by {max(abs(a - b) for a, b in zip(losses, other_losses, strict=True)):.1g} at most."
    )


def main() -> None:
    """Measure and write the section of the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=15, help="of a round")
    parser.add_argument("--cores", type=int, default=1)
    arguments = parser.parse_args()
    cores, steps, rounds = arguments.cores, arguments.steps, 1 + arguments.rounds
    install_peers()
    os.environ.update(OMP_NUM_THREADS=str(cores), MKL_NUM_THREADS=str(cores))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_noise(folder)
        sizes = write_checkpoints(folder)
        loops = ("speechxfer", "transformers", "speechxfer", "speechbrain")
        tasks = {
            f"{loop}: {model}": Task(loop, folder / model.lower(), rounds, steps, cores=cores)
            for loop, model in zip(loops, ("Parakeet", "Parakeet", "Conformer", "Conformer"), strict=True)
        }
        tasks[PAIRS[1][1]] = Task("transformers", folder / "parakeet", rounds, steps, shuffled=True, cores=cores)
        cpu_s, wall_s, counted = measure(tasks)
    checks = [check_same_work(counted, *PAIRS[number]) for number in (0, 2)] if cores == 1 else []
    speeds, rows = {}, []
    for name, (frames, *_) in counted.items():
        starts = [steps * number for number in range(1, rounds)]
        sound_s = [sum(valid for valid, _ in frames[start : start + steps]) / FRAMES_PER_S for start in starts]
        of_cpu, of_wall = (
            [sound / own for sound, own in zip(sound_s, taken[name], strict=True)] for taken in (cpu_s, wall_s)
        )
        speeds[name] = of_cpu if cores == 1 else of_wall
        padding = 1 - sum(valid for valid, _ in frames) / sum(padded for _, padded in frames)
        cpu = [spread(of_cpu, 1)] if cores == 1 else []
        rows.append((name, *cpu, spread(of_wall, 1), f"{100 * padding:.0f} %"))
    ratios = [
        f"- {one} over {other}: {spread([a / b for a, b in zip(speeds[one], speeds[other], strict=True)], 2)}"
        for one, other in PAIRS
    ]
    lines = [
        f"{arguments.rounds} rounds of {steps} steps of at most {20 * cores} s, float32, features given; "
        + ", ".join(f"{model} {millions:.1f} million parameters" for model, millions in sizes.items())
        + ". Median, least and greatest of the rounds.",
        "",
        *table(("loop", *(["x real time, CPU"] if cores == 1 else []), "x real time, wall", "padding"), rows),
        "",
        *ratios,
        "",
        *checks,
    ]
    print("\n".join(lines))
    packages = ["torch", "transformers", "accelerate", "speechbrain", "numpy"]
    title = "Training" if cores == 1 else f"Training on {cores} cores"
    write_section(title, lines, [package for package in packages if version(package)])


if __name__ == "__main__":
    main()
