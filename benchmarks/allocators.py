"""Training speed with different memory allocators: the same steps with each that is installed, in alternation.

A benchmark, run by hand on one thread, with one process per round and allocator; it takes some minutes. It prints seconds per
step and the ratio to the system's allocator within the same round. The steps are those of `speechxfer adapt` from the shipped
model, on noise of 2 to 6 s. Allocators: jemalloc.net, github.com/google/tcmalloc (gperftools),
github.com/microsoft/mimalloc.

    apt install libjemalloc2 libtcmalloc-minimal4 libmimalloc2.0
    python benchmarks/allocators.py
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from ctypes.util import find_library
from pathlib import Path
from statistics import median

import numpy as np
import soundfile

ALLOCATORS = ("jemalloc", "tcmalloc_minimal", "mimalloc")
ROUNDS, STEPS, WARM_UP_STEPS, UTTERANCES = 3, 70, 20, 60


def write_noise(folder: Path) -> Path:
    """A manifest of recordings of noise, each with a text that CTC can align to it."""
    generator, rows = np.random.default_rng(1), []
    for number in range(UTTERANCES):
        seconds = float(generator.uniform(2, 6))
        path = folder / f"{number}.wav"
        soundfile.write(path, generator.normal(0, 0.1, round(16_000 * seconds)), 16_000)
        text = "".join(generator.choice(list("abdegikmnostu"), round(8 * seconds)))
        rows.append({"id": str(number), "audio_filepath": str(path), "duration": seconds, "text": text})
    manifest = folder / "noise.jsonl"
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return manifest


def seconds_per_step(manifest: Path) -> float:
    """Train in this process; seconds per step after the warm-up."""
    import torch

    import speechxfer as sx
    from speechxfer.config import FinetuneConfig
    from speechxfer.runtime import console

    console.quiet = True
    noise = sx.read_manifest(manifest)
    normalizer = sx.Normalizer()
    vocabulary = sx.Vocabulary.from_texts((u.text for u in noise), normalizer=normalizer)
    model = sx.transfer(
        sx.load_model("multilingual-small"), vocabulary, language="xx", normalizer=normalizer, dropout=0.1
    ).model
    started: list[float] = []
    assert isinstance(model.encoder, torch.nn.Module)
    model.encoder.register_forward_pre_hook(lambda *_: started.append(time.perf_counter()))
    config = FinetuneConfig(steps=STEPS, evaluate_every_steps=STEPS)
    sx.finetune(model, noise, noise[:1], config, out=manifest.parent / f"run-{os.getpid()}")
    return (started[STEPS - 1] - started[WARM_UP_STEPS]) / (STEPS - 1 - WARM_UP_STEPS)


def main() -> None:
    """Measure all allocators in alternation and print."""
    found = {"system": ""} | {name: library for name in ALLOCATORS if (library := find_library(name))}
    if len(found) == 1:
        raise SystemExit(f"none of {', '.join(ALLOCATORS)} is installed; nothing to compare")
    times: dict[str, list[float]] = {name: [] for name in found}
    with tempfile.TemporaryDirectory() as folder:
        manifest = write_noise(Path(folder))
        for _ in range(ROUNDS):
            for name, library in found.items():
                environment = {**os.environ, "LD_PRELOAD": library, "OMP_NUM_THREADS": "1"}
                command = [sys.executable, __file__, "--one", str(manifest)]
                answer = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
                times[name].append(float(answer.stdout))
                print(f"{name}: {times[name][-1]:.3f} s per step", flush=True)
    for name, own in times.items():
        ratios = [mine / system for mine, system in zip(own, times["system"], strict=True)]
        print(f"{name}: {median(ratios):.2f} of the system's time ({min(ratios):.2f} to {max(ratios):.2f})")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        print(seconds_per_step(Path(sys.argv[2])))
    else:
        main()
