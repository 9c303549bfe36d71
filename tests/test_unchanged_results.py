"""Results that a change of structure must not change: weights, log-probabilities, a score report, a check report, an ONNX graph.

The expected values in ``unchanged_results.json`` were recorded before the package was restructured (commit ef95136). Bits are
compared where the processor is the one on which they were recorded; elsewhere values are compared with a tolerance. Record anew
only with a change that is meant to change results, and say so in the commit: ``python -m tests.test_unchanged_results``.
"""

import hashlib
import json
import math
import platform
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
import soundfile
import torch

from speechxfer.checking.checker import check_manifests
from speechxfer.cli.program import app
from tests.tone_corpus import RATE_HZ, write_tone_corpus

RECORDED = Path(__file__).with_name("unchanged_results.json")
TOLERANCE = 2e-2  # of values on another processor, after some tens of steps of training
SHORT_RUN = [
    "finetune.steps=24",
    "finetune.batch_s=6.0",
    "finetune.encoder_lr=5e-4",
    "finetune.head_lr=2e-3",
    "finetune.evaluate_every_steps=8",
    "finetune.average_best=2",
    "finetune.precision=fp32",
]
NUMBERS = [
    "wer",
    "wer_interval",
    "cer",
    "cer_interval",
    "base_letter_cer",
    "base_letter_cer_interval",
    "words",
    "characters",
    "base_letters",
    "resampling",
    "seed",
    "unknown_symbols",
    "word_confusions",
    "character_confusions",
    "speakers",
    "utterances",
]


def processor() -> str:
    """The processor's model and torch's version: with both equal, one thread computes the same bits."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.exists() else []
    names = [
        line.partition(":")[2].strip() for line in lines if line.startswith(("model name", "model\t", "cpu family"))
    ]
    return f"{platform.machine()} {' '.join(names[:3])} torch {torch.__version__} {torch.backends.cpu.get_cpu_capability()}"


def call(*arguments: str | Path) -> None:
    try:
        app([str(argument) for argument in arguments], standalone_mode=False)
    except SystemExit as end:
        assert end.code in (0, None), arguments


def train(verb: str, folder: Path, out: Path, *settings: str, options: tuple[str, ...] = ()) -> None:
    given = [part for setting in (*SHORT_RUN, *settings) for part in ("--set", setting)]
    parts = ("--train", folder / "train.jsonl", "--dev", folder / "dev.jsonl", "--out", out)
    call(verb, *parts, *given, *options)


def weights(folder: Path) -> dict[str, Any]:
    """Hash of all tensors by name, and for other processors the mean absolute value of each."""
    tensors = safetensors.numpy.load_file(folder / "model" / "weights.safetensors")
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(name.encode() + tensors[name].tobytes())
    return {"exact": digest.hexdigest(), "near": {name: float(np.abs(v).mean()) for name, v in sorted(tensors.items())}}


def signals() -> list[np.ndarray]:
    """A sweep of two seconds, noise of 1.2 s, and a tone of 0.4 s, which is padded by the features for single words."""
    time_s = np.arange(2 * RATE_HZ) / RATE_HZ
    generator = np.random.default_rng(7)
    return [
        (0.3 * np.sin(2 * math.pi * (100 + 800 * time_s) * time_s)).astype(np.float32),
        generator.normal(0, 0.05, round(1.2 * RATE_HZ)).astype(np.float32),
        (0.2 * np.sin(2 * math.pi * 440 * time_s[: round(0.4 * RATE_HZ)])).astype(np.float32),
    ]


def array(values: np.ndarray) -> dict[str, Any]:
    return {
        "exact": hashlib.sha256(np.ascontiguousarray(values, dtype=np.float32).tobytes()).hexdigest(),
        "near": {"shape": list(values.shape), "first": values.flatten()[:8].tolist(), "mean": float(values.mean())},
    }


def shipped(name: str) -> list[dict[str, Any]]:
    import speechxfer as sx

    model = sx.load_model(name)
    found = []
    with torch.inference_mode():
        for samples in signals():
            features = sx.filterbank(samples, model.spec)
            log_probs, _ = model(features[None], torch.tensor([len(features)]))
            found.append(array(log_probs[0].numpy()))
    return found


def faulty_corpus(folder: Path) -> None:
    """Train and dev with one fault each of several kinds."""
    train_rows = write_tone_corpus(folder / "train.jsonl", 8, letters="abcd", seed=11)
    write_tone_corpus(folder / "dev.jsonl", 4, letters="abcd", seed=12)
    paths = [row.audio_filepath for row in train_rows]
    soundfile.write(str(paths[1]), np.zeros(RATE_HZ, dtype=np.float32), RATE_HZ)
    soundfile.write(str(paths[2]), np.full((RATE_HZ, 2), 0.1, dtype=np.float32), RATE_HZ)
    soundfile.write(str(paths[3]), np.sin(np.arange(8000) / 9).astype(np.float32), 8000)
    paths[4].write_bytes(b"no audio")
    paths[5].unlink()
    with (folder / "train.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"id": "broken"\n')
        file.write((folder / "dev.jsonl").read_text(encoding="utf-8").splitlines()[0] + "\n")


def check_report(manifests: list[Path]) -> dict[str, Any]:
    """Findings without their wording, and what the splits hold."""
    report = check_manifests(manifests)
    return {
        "findings": sorted([f.severity, f.kind, f.split, f.id, f.line] for f in report.findings),
        "splits": [[s.name, s.role, s.utterances, round(s.seconds, 6), s.speakers, s.symbols] for s in report.splits],
        "unseen": [[u.split, u.symbol, u.count] for u in report.unseen_symbols],
    }


def results(folder: Path) -> dict[str, Any]:
    """Everything that is compared."""
    letters, target, words = folder / "letters", folder / "target", folder / "words"
    write_tone_corpus(letters / "train.jsonl", 8, letters="abcdef", seed=1)
    write_tone_corpus(letters / "dev.jsonl", 3, letters="abcdef", seed=2)
    write_tone_corpus(target / "train.jsonl", 8, letters="dcabg", seed=3)
    write_tone_corpus(target / "dev.jsonl", 3, letters="dcabg", seed=4)
    write_tone_corpus(words / "train.jsonl", 12, letters="abcd", seed=5, words=(1, 1), letters_in_word=1)
    write_tone_corpus(words / "dev.jsonl", 4, letters="abcd", seed=6, words=(1, 1), letters_in_word=1)
    tiny = ("model.size=tiny",)
    train("train", letters, folder / "exp/source", *tiny)
    train(
        "adapt", target, folder / "exp/adapted", "finetune.l2_sp=0.5", options=("--source", str(folder / "exp/source"))
    )
    train("train", words, folder / "exp/words", *tiny, "text.task=classify", "text.vocabulary=words")
    call("evaluate", "multilingual-small-1", "--on", target / "dev.jsonl", "--out", folder / "exp/scored")
    report = json.loads((folder / "exp/scored/report.json").read_text(encoding="utf-8"))
    call("export", folder / "exp/adapted", "--to", "onnx", "--out", folder / "exp/adapted.onnx")
    faulty_corpus(folder / "faulty")
    return {
        "processor": processor(),
        "trained from random weights": weights(folder / "exp/source"),
        "adapted with l2_sp": weights(folder / "exp/adapted"),
        "classification": weights(folder / "exp/words"),
        "report": {"exact": {name: report[name] for name in NUMBERS}},
        "multilingual-small": shipped("multilingual-small-1"),
        "english": shipped("english-1"),
        "onnx": graph(folder / "exp/adapted.onnx"),
        "check": {"always": check_report([folder / "faulty/train.jsonl", folder / "faulty/dev.jsonl"])},
    }


def graph(path: Path) -> dict[str, Any]:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [entry.name for entry in session.get_inputs()]
    samples = signals()[0]
    log_probs, lengths = session.run(None, dict(zip(names, (samples[None], np.array([len(samples)])), strict=True)))
    # The graph may be written otherwise, so its values are compared within the tolerance of the issue, not by bits.
    return {"near": {"shape": list(log_probs.shape), "lengths": lengths.tolist(), "values": log_probs[0, ::7].tolist()}}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    torch.set_num_threads(1)
    return json.loads(json.dumps(results(tmp_path_factory.mktemp("unchanged"))))


@pytest.fixture(scope="module")
def recorded() -> dict[str, Any]:
    values: dict[str, Any] = json.loads(RECORDED.read_text(encoding="utf-8"))
    return values


PARTS = (
    "trained from random weights", "adapted with l2_sp", "classification", "report", "multilingual-small", "english", "onnx",
    "check",
)  # fmt: skip


@pytest.mark.parametrize("part", PARTS)
def test_results_are_as_recorded(part: str, found: dict[str, Any], recorded: dict[str, Any]) -> None:
    same_processor = recorded["processor"] == processor()
    for here, there in zip(_rows(found[part]), _rows(recorded[part]), strict=True):
        assert here.keys() == there.keys()
        if same_processor:
            assert here.get("exact") == there.get("exact")
        assert here.get("always") == there.get("always")
        for (name, mine), (other, theirs) in zip(_numbers(here.get("near")), _numbers(there.get("near")), strict=True):
            assert name == other and mine == pytest.approx(theirs, rel=TOLERANCE, abs=1e-3), name


def _rows(part: Any) -> list[dict[str, Any]]:
    return part if isinstance(part, list) else [part]


def _numbers(tree: Any, name: str = "") -> Iterator[tuple[str, float]]:
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from _numbers(value, f"{name}.{key}")
    elif isinstance(tree, list):
        for number, value in enumerate(tree):
            yield from _numbers(value, f"{name}[{number}]")
    elif tree is not None:
        yield name, float(tree)


if __name__ == "__main__":
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as place:
        RECORDED.write_text(json.dumps(results(Path(place)), indent=1) + "\n", encoding="utf-8")
