"""Exported models beside their origin: the same utterances by speechxfer and by sherpa-onnx with weights of 32 and 8 bits.

Texts are compared as they are, without normalisation. Speed is seconds of sound per second of CPU time, from samples to text,
one utterance at a time in sherpa-onnx and batches of a minute in speechxfer, in three interleaved rounds on one thread.

    pip install sherpa-onnx
    OMP_NUM_THREADS=1 python -m benchmarks.deployment exp/x data/dev.jsonl --title "Mboshi, dev"
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import torch

from benchmarks.page import table, write_section
from speechxfer.checkpoints import load_model
from speechxfer.data import Samples, Utterance, read_manifest
from speechxfer.decoding import GreedyDecoder, compute_log_probs
from speechxfer.export import export
from speechxfer.features import AudioOptions, utterance_samples
from speechxfer.models import AcousticModel
from speechxfer.runtime import import_extra
from speechxfer.scoring import error_rates

ROUNDS = 3
Recognise = Callable[[], list[str]]


def recognise_here(model: AcousticModel, utterances: Sequence[Utterance], options: AudioOptions) -> Recognise:
    """Texts by greedy decoding, with reading the files, which is a few percent."""

    def texts() -> list[str]:
        log_probs = dict(compute_log_probs(model, utterances, options))
        hypotheses = GreedyDecoder.of_model(model).decode([log_probs[i] for i in range(len(utterances))])
        return [hypothesis.text for hypothesis in hypotheses]

    return texts


def recognise_by_sherpa(graph: Path, rate_hz: int, recordings: Sequence[Samples]) -> Recognise:
    """Texts by the wheel of sherpa-onnx."""
    library: Any = import_extra("sherpa_onnx", "test", "benchmarks.deployment")
    recognizer = library.OfflineRecognizer.from_omnilingual_asr_ctc(
        model=str(graph), tokens=str(graph.with_name("tokens.txt"))
    )

    def text(samples: Samples) -> str:
        stream = recognizer.create_stream()
        stream.accept_waveform(rate_hz, samples)
        recognizer.decode_stream(stream)
        return str(stream.result.text)

    return lambda: [text(samples) for samples in recordings]


def megabytes(path: Path) -> str:
    """Size of a file."""
    return f"{path.stat().st_size / 1e6:.2f}"


def measure(name: str, manifest: Path, folder: Path) -> list[list[str]]:
    """Export a model to `folder` and give one row for each way of running it."""
    export(name, "sherpa-onnx", folder)
    model = load_model(name).eval()
    options = AudioOptions(model.spec, True, True)
    utterances = read_manifest(manifest)
    references = [model.normalizer(utterance.text) for utterance in utterances]
    recordings = [utterance_samples(utterance, options) for utterance in utterances]
    seconds = sum(map(len, recordings)) / model.spec.sample_rate_hz
    graphs = {"sherpa-onnx, 32 bits": folder / "model.onnx", "sherpa-onnx, 8 bits": folder / "model.int8.onnx"}
    ways = {"speechxfer": recognise_here(model, utterances, options)}
    ways |= {way: recognise_by_sherpa(graph, model.spec.sample_rate_hz, recordings) for way, graph in graphs.items()}
    texts: dict[str, list[str]] = {}
    speeds: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(ROUNDS):
        for way, recognise in ways.items():
            started_s = time.process_time()
            texts[way] = recognise()
            speeds[way].append(seconds / (time.process_time() - started_s))
    rows = []
    for way, found in texts.items():
        wer, cer = error_rates(list(zip(references, found, strict=True)))
        equal = sum(ours == theirs for ours, theirs in zip(texts["speechxfer"], found, strict=True))
        size = megabytes(graphs[way]) if way in graphs else ""
        rounds = " ".join(f"{speed:.0f}" for speed in speeds[way])
        speed = f"{median(speeds[way]):.0f}"
        rows.append([way, size, f"{equal} of {len(found)}", f"{100 * wer:.2f}", f"{100 * cer:.2f}", speed, rounds])
    return rows


def main() -> None:
    """Measure and write the section of the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--title", required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        rows = measure(arguments.model, arguments.manifest, Path(folder) / "exported")
    header = ["run by", "MB", "same text", "WER %", "CER %", "x real time", "rounds"]
    packages = ["sherpa-onnx", "onnxruntime", "torch"]
    write_section(f"Deployment: {arguments.title}", table(header, rows), packages)


if __name__ == "__main__":
    main()
