"""An epoch of `finetune` on an hour of Mboshi beside the bare passes on the same batches: what the loop adds to them.

A first run records the batches of the first epoch, augmented as the loop has them. Then whole epochs alternate: `finetune` with
default settings from the shipped model, whose metrics tell the seconds of its steps without evaluations, and forward pass with
losses, backward pass and optimiser on the recorded batches. Both run in one process, so with the same memory allocator, and in
the number format that the first run chose. Seconds are those of the clock, so use an otherwise idle core.

    python -m benchmarks epoch CORPUS_DIR
"""

import argparse
import math
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

import speechxfer as sx
from benchmarks.page import spread, table, write_section
from data_scripts.prepare_mboshi import prepare
from speechxfer.config import FinetuneConfig
from speechxfer.data import Utterance, read_manifest, total_duration_s
from speechxfer.features import Batch
from speechxfer.models import AcousticModel
from speechxfer.training import read_metrics, training_precision, utterance_losses

SOURCE, LANGUAGE, DEV_UTTERANCES = "multilingual-small", "mdw", 10
STEPS_OF_ROW = 10  # of metrics.jsonl
BATCH_S = 40.0
MIDDLE_WEIGHT = 0.3  # of the middle layer's loss: the default for this encoder
TOLERANCE = 1e-3  # of the first loss, relative
Precision = Literal["auto", "fp32", "bf16"]
PARTS = ("forward and losses", "backward", "optimiser")


@dataclass(frozen=True)
class Recorded:
    """What the loop does in an epoch and the rest of the last ten steps."""

    batches: list[Batch]
    first_loss: float
    """In nats per symbol."""
    first_random_state: Tensor
    """Of PyTorch, before the first forward pass."""
    precision: Precision


@dataclass(frozen=True)
class Manifests:
    """What is trained and evaluated on."""

    train: Sequence[Utterance]
    dev: Sequence[Utterance]


def start_model(data: Manifests) -> AcousticModel:
    """As `speechxfer adapt` starts."""
    normalizer = sx.Normalizer()
    vocabulary = sx.Vocabulary.from_texts((one.text for one in data.train), normalizer=normalizer)
    return sx.transfer(sx.load_model(SOURCE), vocabulary, language=LANGUAGE, normalizer=normalizer, seed=1).model


def train(
    model: AcousticModel, data: Manifests, steps: int, out: Path, precision: Precision = "auto"
) -> list[dict[str, Any]]:
    """Train with default settings but a single evaluation; the rows of losses."""
    config = FinetuneConfig(steps=steps, batch_s=BATCH_S, evaluate_every_steps=steps, precision=precision)
    sx.finetune(model, data.train, data.dev, config, out=out)
    return [row for row in read_metrics(out / "metrics.jsonl") if "loss" in row]


def record(data: Manifests, out: Path) -> Recorded:
    """Train and record, through hooks of PyTorch; SystemExit if the steps are not an epoch."""
    steps = STEPS_OF_ROW * math.ceil(1.2 * total_duration_s(data.train) / BATCH_S / STEPS_OF_ROW)
    features: list[tuple[Tensor, Tensor, Tensor]] = []  # and lengths, and PyTorch's random state
    losses: list[tuple[Tensor, Tensor, Tensor]] = []  # of the utterances; their targets, and the lengths of these
    ctc_loss = nn.functional.ctc_loss

    def before_encoder(module: nn.Module, positional: tuple[Any, ...]) -> None:
        if module.training:
            features.append((positional[0].clone(), positional[1].clone(), torch.get_rng_state()))

    def record_loss(*positional: Any, **named: Any) -> Tensor:
        found: Tensor = ctc_loss(*positional, **named)
        losses.append((found.detach(), positional[1], positional[3]))
        return found

    model = start_model(data)
    encoder: Any = model.encoder
    hook = encoder.register_forward_pre_hook(before_encoder)
    nn.functional.ctc_loss = record_loss
    try:
        train(model, data, steps, out)
    finally:
        nn.functional.ctc_loss = ctc_loss
        hook.remove()
    features, losses = features[-steps:], losses[-2 * steps :]  # before them, number formats were timed
    batches = [
        Batch(("",) * len(lengths), inputs, lengths, targets, target_lengths)
        for (inputs, lengths, _), (_, targets, target_lengths) in zip(features, losses[::2], strict=True)
    ]
    last, middle = (float(found.sum() / lengths.sum()) for found, _, lengths in losses[:2])
    seen = 0
    for number, batch in enumerate(batches, start=1):
        seen += len(batch.ids)
        if seen == len(data.train):
            rounded = STEPS_OF_ROW * math.ceil(number / STEPS_OF_ROW)
            loss = (1 - MIDDLE_WEIGHT) * last + MIDDLE_WEIGHT * middle
            return Recorded(
                batches[:rounded], loss, features[0][2], "bf16" if training_precision(out) == "bf16" else "fp32"
            )
    raise SystemExit(f"{steps} steps had {seen} of {len(data.train)} utterances; record more")


def repeat_bare(model: AcousticModel, recorded: Recorded) -> list[float]:
    """Seconds of each of `PARTS` over all batches; SystemExit if the first loss is not the loop's."""
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, betas=(0.9, 0.98), weight_decay=0.01, fused=True)
    seconds = [0.0, 0.0, 0.0]
    torch.set_rng_state(recorded.first_random_state)
    for number, batch in enumerate(recorded.batches):
        marks = [time.perf_counter()]
        with torch.autocast("cpu", torch.bfloat16, enabled=recorded.precision == "bf16"):
            layers, lengths = model.encode(batch.features, batch.lengths)
            middle = [layers[len(layers) // 2 - 1]]
            last_loss, middle_loss = (
                utterance_losses(model, model.log_probs(outputs, lengths)[0], lengths, batch).sum()
                for outputs in (layers, middle)
            )
        loss = ((1 - MIDDLE_WEIGHT) * last_loss + MIDDLE_WEIGHT * middle_loss) / batch.target_lengths.sum()
        marks.append(time.perf_counter())
        torch.autograd.backward(loss)
        marks.append(time.perf_counter())
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        marks.append(time.perf_counter())
        seconds = [total + end - start for total, start, end in zip(seconds, marks, marks[1:], strict=False)]
        if number == 0 and abs(float(loss.detach()) / recorded.first_loss - 1) > TOLERANCE:
            raise SystemExit(f"the first loss is {float(loss.detach()):.4f}, and {recorded.first_loss:.4f} in the loop")
    return seconds


def main() -> None:
    """Measure and write the section of the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus_dir", type=Path, help="Mboshi, as data_scripts.prepare_mboshi reads it")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    bare, loop, waits, padding = [], [], [], 0.0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        manifests = prepare(arguments.corpus_dir, folder)
        dev = read_manifest(manifests["valid"])[:DEV_UTTERANCES]
        data = Manifests(read_manifest(manifests["train_1h"]), dev)
        recorded = record(data, folder / "recorded")
        steps = len(recorded.batches)
        for number in range(arguments.rounds):
            for kind in ("loop", "bare")[:: 1 if number % 2 else -1]:
                if kind == "bare":
                    bare.append(repeat_bare(start_model(data), recorded))
                    continue
                rows = train(start_model(data), data, steps, folder / f"run-{number}", recorded.precision)
                loop.append(sum(row["step_s"] for row in rows))
                waits.append(sum(row["wait_s"] for row in rows))
                padding = sum(row["padding"] for row in rows) / len(rows)
            print(f"round {number}: loop {loop[-1]:.1f} s, bare {sum(bare[-1]):.1f} s", flush=True)
    parts = [[seconds[part] for seconds in bare] for part in range(len(PARTS))]
    rows_of_table = [(f"bare: {part}", spread(own, 2)) for part, own in zip(PARTS, parts, strict=True)]
    rows_of_table += [("bare, together", spread([sum(each) for each in bare], 2)), ("finetune", spread(loop, 2))]
    rows_of_table += [("finetune: of it waiting for batches", spread(waits, 2))]
    ratio = spread([whole / sum(each) for whole, each in zip(loop, bare, strict=True)], 2)
    lines = [
        f"{steps} steps of at most {BATCH_S:g} s, {recorded.precision}, "
        f"{100 * padding:.1f} % padding, {arguments.rounds} rounds. Seconds: median, least and greatest of the rounds.",
        "",
        *table(("an epoch of", "s"), rows_of_table),
        "",
        f"- finetune over the bare passes: {ratio}",
    ]
    print("\n".join(lines))
    write_section("Epoch: an hour of Mboshi", lines, ["torch", "numpy"])


if __name__ == "__main__":
    main()
