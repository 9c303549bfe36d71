"""Peak memory of adapting and of transcription: the shipped model, and encoders of published size with random weights.

Each case is a command in a process of its own: `speechxfer adapt` for one step of 20 s in each way of adapting, and
`speechxfer transcribe` of a minute of noise, silence not skipped, with the model that was adapted with a frozen encoder. The
peak is that of the resident memory of the process, the seconds include loading and writing the model. Sizes: the published
configurations of W2v-BERT 2.0 (580 M) and Parakeet-CTC 0.6B. It needs the extras hf and lora, some 15 GB of disk in the temporary
folder, and the memory that it prints.

    python -m benchmarks memory
"""

import json
import multiprocessing
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from benchmarks.commands import run_command
from benchmarks.page import table, write_section

RATE_HZ, SECONDS, UTTERANCES, TRANSCRIBED_S = 16_000, 10.0, 2, 60.0
SHIPPED = "multilingual-small-2"
PUBLISHED: Mapping[str, Mapping[str, int]] = {
    "W2v-BERT 2.0": {
        "hidden_size": 1024,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "intermediate_size": 4096,
    },
    "Parakeet-CTC 0.6B": {
        "hidden_size": 1024,
        "num_hidden_layers": 24,
        "num_attention_heads": 8,
        "intermediate_size": 4096,
    },
}
STEP = (
    "finetune.steps=1",
    "finetune.warmup_steps=0",
    "finetune.average_best=1",
    "finetune.batch_s=20",
    "finetune.speed_factors=[1.0]",
    "finetune.precision=bf16",
)
FROZEN, RECOMPUTED = "frozen encoder", "all weights, gradient_checkpointing"
WAYS: Mapping[str, Sequence[str]] = {
    FROZEN: ("finetune.freeze=encoder",),
    "lora_rank 16": ("transfer.lora_rank=16",),
    "all weights": (),
    RECOMPUTED: ("finetune.gradient_checkpointing=true",),
}


def save(kind: str, folder: Path) -> None:
    """A checkpoint of published size with random weights, as transformers itself writes it."""
    import transformers

    library: Any = transformers  # parts of it have no types
    if kind == "W2v-BERT 2.0":
        network = library.Wav2Vec2BertModel(library.Wav2Vec2BertConfig(**PUBLISHED[kind]))
        library.SeamlessM4TFeatureExtractor().save_pretrained(folder)
    else:
        network = library.ParakeetEncoder(library.ParakeetEncoderConfig(**PUBLISHED[kind]))
        library.ParakeetFeatureExtractor().save_pretrained(folder)
    network.save_pretrained(folder)


def count_parameters(source: str, answer: Any) -> None:
    """Put the number of the encoder's weights on the queue."""
    from speechxfer.checkpoints import load_model

    answer.put(sum(weights.numel() for _, weights in load_model(source).encoder.named_parameters()))


def in_process(function: Any, *arguments: Any) -> None:
    """Call a function in a new process, so that this one stays small: a command's peak is never below that of its parent."""
    process = multiprocessing.get_context("spawn").Process(target=function, args=arguments)
    process.start()
    process.join()
    if process.exitcode:
        raise SystemExit(f"{function.__name__}: exit code {process.exitcode}")


def write_noise(path: Path, seconds: float, seed: int) -> None:
    """Noise instead of speech: only its length matters here."""
    soundfile.write(path, 0.05 * np.random.default_rng(seed).standard_normal(round(RATE_HZ * seconds)), RATE_HZ)


def write_corpus(folder: Path) -> Path:
    """A manifest of one step."""
    lines = []
    for number in range(UTTERANCES):
        write_noise(folder / f"{number}.wav", SECONDS, number)
        row = {"id": str(number), "audio_filepath": f"{number}.wav", "duration": SECONDS, "text": "ab ba"}
        lines.append(json.dumps(row) + "\n")
    (folder / "corpus.jsonl").write_text("".join(lines), encoding="utf-8")
    return folder / "corpus.jsonl"


def measure(model: Sequence[str], what: str, arguments: Sequence[str]) -> list[str]:
    """The row of a command of the package."""
    environment = {**os.environ, "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")}
    cost = run_command([sys.executable, "-m", "speechxfer", *arguments], environment)
    found = [f"{cost.peak_gib:.1f}", f"{cost.wall_s:.0f}"] if not cost.code else [f"exit code {cost.code}", "–"]
    print(*model, what, *found, sep=", ", flush=True)
    return [*model, what, *found]


def measure_model(kind: str, folder: Path) -> list[list[str]]:
    """The rows of one model."""
    source = SHIPPED
    if kind in PUBLISHED:
        source = str(folder / "model")
        in_process(save, kind, folder / "model")
    answer = multiprocessing.get_context("spawn").Queue()
    in_process(count_parameters, source, answer)
    model = (kind, f"{answer.get() / 1e6:.0f}")
    corpus, out, rows = write_corpus(folder), folder / "run", []
    write_noise(folder / "minute.wav", TRANSCRIBED_S, UTTERANCES)
    for way, settings in WAYS.items():
        if kind not in PUBLISHED and way == RECOMPUTED:
            continue  # refused: it is for encoders of transformers
        words = [word for setting in (*STEP, *settings) for word in ("--set", setting)]
        places = ["--source", source, "--train", str(corpus), "--dev", str(corpus), "--out", str(out)]
        rows.append(measure(model, way, ["adapt", *places, *words]))
        if way == FROZEN:
            command = ["transcribe", str(out), str(folder / "minute.wav"), "--no-skip-silence"]
            rows.append(measure(model, f"transcription of {TRANSCRIBED_S:g} s", command))
        shutil.rmtree(out, ignore_errors=True)
    return rows


def main() -> None:
    """Measure and write the section of the page."""
    rows = []
    for kind in (SHIPPED, *PUBLISHED):
        with tempfile.TemporaryDirectory() as folder:
            rows += measure_model(kind, Path(folder))
    header = ("model", "encoder, M parameters", "what", "peak memory, GiB", "s")
    lines = [f"Adapting: one step of {UTTERANCES * SECONDS:g} s, bfloat16.", "", *table(header, rows)]
    write_section("Memory", lines, ["torch", "transformers", "peft"])


if __name__ == "__main__":
    main()
