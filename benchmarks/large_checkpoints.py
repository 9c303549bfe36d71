"""Peak memory of adapting checkpoints of published size: each is saved with random weights, loaded, and adapted for one step.

A benchmark, run by hand, with one process per case so that peaks are separate. It needs the extras hf and lora, some 10 GB of
disk in the temporary folder and, per case, the memory that it prints. Sizes: the published configurations of W2v-BERT 2.0
(580 M) and Parakeet-CTC 0.6B.

    python benchmarks/large_checkpoints.py
"""

import json
import multiprocessing
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

SECONDS, UTTERANCES = 10.0, 2
W2V_BERT: dict[str, Any] = {
    "hidden_size": 1024,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "intermediate_size": 4096,
}
PARAKEET: dict[str, Any] = {
    "hidden_size": 1024,
    "num_hidden_layers": 24,
    "num_attention_heads": 8,
    "intermediate_size": 4096,
}
WAYS: dict[str, dict[str, Any]] = {
    "frozen": {"finetune": {"freeze": "encoder"}},
    "lora_rank 16": {"transfer": {"lora_rank": 16}},
    "all weights, gradient_checkpointing": {"finetune": {"gradient_checkpointing": True}},
}


def save(kind: str, folder: Path) -> None:
    """A checkpoint of published size with random weights, as transformers itself writes it."""
    import transformers

    library: Any = transformers  # parts of it have no types

    if kind == "W2v-BERT 2.0":
        network = library.Wav2Vec2BertModel(library.Wav2Vec2BertConfig(**W2V_BERT))
        library.SeamlessM4TFeatureExtractor().save_pretrained(folder)
    else:
        network = library.ParakeetEncoder(library.ParakeetEncoderConfig(**PARAKEET))
        library.ParakeetFeatureExtractor().save_pretrained(folder)
    network.save_pretrained(folder)


def adapt(folder: Path, corpus: Path, way: str, out: Path, answer: Any) -> None:
    """One step of adaptation; puts parameters (M), seconds and peak memory (GiB) on the queue."""
    from speechxfer.checkpoints import load_model
    from speechxfer.config import parse_config
    from speechxfer.workflows import adapt

    settings = {"finetune": {"steps": 1, "warmup_steps": 0, "average_best": 1, "batch_s": 20.0, "speed_factors": [1.0]}}
    for section, values in WAYS[way].items():
        settings[section] = settings.get(section, {}) | values
    began = time.monotonic()
    parameters = sum(weights.numel() for _, weights in load_model(folder).encoder.named_parameters()) / 1e6
    adapt(str(folder), [corpus], [corpus], out=out, config=parse_config(settings))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    answer.put((parameters, time.monotonic() - began, peak))


def write_corpus(folder: Path) -> Path:
    """Noise instead of speech: only its length matters here."""
    lines = []
    for number in range(UTTERANCES):
        path = folder / f"{number}.wav"
        soundfile.write(path, 0.05 * np.random.default_rng(number).standard_normal(round(16000 * SECONDS)), 16000)
        lines.append(json.dumps({"id": str(number), "audio_filepath": path.name, "duration": SECONDS, "text": "ab ba"}))
    (folder / "corpus.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder / "corpus.jsonl"


def main() -> None:
    """Measure every size and way of adapting."""
    context = multiprocessing.get_context("spawn")
    print("| checkpoint | encoder, M parameters | way | peak memory, GiB | wall, s |\n| --- | --- | --- | --- | --- |")
    for kind in ("W2v-BERT 2.0", "Parakeet-CTC 0.6B"):
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            corpus = write_corpus(folder)
            writer = context.Process(target=save, args=(kind, folder / "model"))
            writer.start()
            writer.join()
            for number, way in enumerate(WAYS):
                answer = context.Queue()
                process = context.Process(
                    target=adapt, args=(folder / "model", corpus, way, folder / f"run{number}", answer)
                )
                process.start()
                process.join()
                if process.exitcode:
                    print(f"| {kind} | – | {way} | exit code {process.exitcode} | – |")
                    continue
                parameters, seconds, peak = answer.get()
                print(f"| {kind} | {parameters:.0f} | {way} | {peak:.1f} | {seconds:.0f} |")
                sys.stdout.flush()


if __name__ == "__main__":
    main()
