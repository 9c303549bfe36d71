"""Seconds of training until given CERs on dev, from the shipped model to Mboshi: `adapt`, and the loops of other libraries.

All train the same network from the shipped encoder, with the same optimiser, learning rates and amount of speech in a step, and
are scored by the same decoder on the same utterances every ten steps; these scores, preparation and saving are not timed. Ours
has its default settings: the head initialised from the source's symbols, augmentation, the loss of the middle layer, batches of
similar length. The others, transformers' `Trainer` and SpeechBrain's `Brain`, have the features as they are and the loss of the
last layer, in one of two ways:

- as they are used: a new head at random for the new symbols (transformers' CTC example, SpeechBrain's recipes), float32, random
  batches (`Trainer`'s default) or batches of similar length (SpeechBrain's recipes);
- loop against loop: our initial head and number format, and either kind of batches.

Each run has a process of its own and one thread; the loops take turns. Seconds are those of the clock, so use an otherwise
idle core. SpeechBrain is installed as for `training`.

    pip install 'speechxfer[hf]'
    python -m benchmarks time_to_error CORPUS_DIR
"""

import argparse
import math
import multiprocessing
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

import speechxfer as sx
from benchmarks.page import spread, table, write_section
from benchmarks.training import install_peers
from benchmarks.training_loops import plan_epochs
from data_scripts.prepare_mboshi import prepare
from speechxfer.config import FinetuneConfig
from speechxfer.data import Utterance, read_manifest
from speechxfer.decoding import decode_utterances, score_hypotheses, segment_utterances
from speechxfer.features import AudioOptions, Batch, collate, utterance_features
from speechxfer.models import AcousticModel
from speechxfer.runtime import import_extra
from speechxfer.training import read_metrics, training_precision, utterance_losses

SOURCE, LANGUAGE, DEV_UTTERANCES, EVALUATE_EVERY_STEPS, CLIP_NORM = "multilingual-small", "mdw", 60, 10, 5.0
BATCH_S, ENCODER_LR, HEAD_LR, WEIGHT_DECAY, BETAS = 40.0, 2e-3, 4e-3, 0.01, (0.9, 0.98)  # as ours is by default
OURS = "speechxfer"
Curve = list[tuple[float, float]]
"""Seconds of training and CER of each evaluation."""


@dataclass(frozen=True)
class Loop:
    """How a library trains."""

    library: str
    head: Literal["symbols", "random"] = "symbols"
    shuffled: bool = False
    """Random batches."""
    bfloat16: bool = True
    """Where `finetune` chose it."""


LOOPS = {
    OURS: Loop("speechxfer"),
    "transformers, new head": Loop("transformers", "random", shuffled=True, bfloat16=False),
    "speechbrain, new head": Loop("speechbrain", "random", bfloat16=False),
    "transformers, our head and format, random batches": Loop("transformers", shuffled=True),
    "transformers, our head, format and batches": Loop("transformers"),
}


@dataclass(frozen=True)
class Task:
    """A run of one of the loops."""

    loop: Loop
    train: Path
    dev: Path
    out: Path
    steps: int
    seed: int
    bfloat16: bool = False
    """Not for `finetune`, which chooses."""


def start_model(train: Sequence[Utterance], head: Literal["symbols", "random"]) -> AcousticModel:
    """The shipped encoder with a head for the texts' symbols, as `speechxfer adapt` starts if `head` is "symbols"."""
    normalizer = sx.Normalizer()
    vocabulary = sx.Vocabulary.from_texts((one.text for one in train), normalizer=normalizer)
    source = sx.load_model(SOURCE)
    return sx.transfer(source, vocabulary, head=head, language=LANGUAGE, normalizer=normalizer, seed=1).model


def run(task: Task, answer: Any) -> None:
    """Train in this process and put the curve, and whether the network computed in bfloat16, on the queue."""
    torch.set_num_threads(1)
    train, dev = read_manifest(task.train), read_manifest(task.dev)[:DEV_UTTERANCES]
    model = start_model(train, task.loop.head)
    trained = {"speechxfer": train_ours, "transformers": train_transformers, "speechbrain": train_speechbrain}
    answer.put(trained[task.loop.library](task, model, train, dev))


def run_apart(task: Task) -> tuple[Curve, bool]:
    """`run` in a process of its own."""
    context = multiprocessing.get_context("spawn")
    answer = context.Queue()
    process = context.Process(target=run, args=(task, answer))
    process.start()
    process.join()
    if process.exitcode:
        raise SystemExit(f"{task.out.name}: exit code {process.exitcode}")
    found: tuple[Curve, bool] = answer.get()
    return found


def train_ours(
    task: Task, model: AcousticModel, train: Sequence[Utterance], dev: Sequence[Utterance]
) -> tuple[Curve, bool]:
    """`speechxfer.finetune`."""
    config = FinetuneConfig(
        seed=task.seed,
        steps=task.steps,
        evaluate_every_steps=EVALUATE_EVERY_STEPS,
        batch_s=BATCH_S,
        encoder_lr=ENCODER_LR,
        head_lr=HEAD_LR,
        weight_decay=WEIGHT_DECAY,
    )
    sx.finetune(model, train, dev, config, out=task.out)
    curve, seconds = [], 0.0
    for row in read_metrics(task.out / "metrics.jsonl"):
        seconds += row.get("step_s", 0.0)
        if "dev_cer" in row:
            curve.append((seconds, row["dev_cer"]))
    return curve, training_precision(task.out) == "bf16"


@dataclass
class Watch:
    """Seconds of training, which stand while dev is scored, and the curve."""

    task: Task
    model: AcousticModel
    dev: Sequence[Utterance]
    curve: Curve
    training_s: float = 0.0
    since: float = 0.0

    def start(self) -> None:
        """Training begins."""
        self.since = time.monotonic()

    def after_step(self, step: int) -> None:
        """Score dev if it is time; steps count from 1."""
        if step % EVALUATE_EVERY_STEPS == 0:
            self.training_s += time.monotonic() - self.since
            self.curve.append((self.training_s, score(self.model, self.dev, self.task.bfloat16)))
            self.since = time.monotonic()


def build_optimizer(model: AcousticModel) -> torch.optim.AdamW:
    """With the rates of ours."""
    head = list(model.head.parameters())
    known = {id(parameter) for parameter in head}
    encoder = [parameter for parameter in model.parameters() if id(parameter) not in known]
    groups = [{"params": encoder, "lr": ENCODER_LR}, {"params": head, "lr": HEAD_LR}]
    return torch.optim.AdamW(groups, betas=BETAS, weight_decay=WEIGHT_DECAY, fused=True)


class WithLoss(nn.Module):
    """A model that returns its loss in nats per symbol, as `Trainer` expects it."""

    def __init__(self, model: AcousticModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, features: Tensor, lengths: Tensor, targets: Tensor, target_lengths: Tensor) -> dict[str, Tensor]:
        """The CTC loss of a batch (see `Batch`)."""
        log_probs, frames = self.model(features, lengths)
        batch = Batch((), features, lengths, targets, target_lengths)
        return {"loss": utterance_losses(self.model, log_probs, frames, batch).sum() / target_lengths.sum()}


def train_transformers(
    task: Task, model: AcousticModel, train: Sequence[Utterance], dev: Sequence[Utterance]
) -> tuple[Curve, bool]:
    """The `Trainer` of transformers."""
    library: Any = import_extra("transformers", "hf", "the comparison")
    loader, watch = load_batches(task, model, train), Watch(task, model, dev, [])

    class Trainer(library.Trainer):  # type: ignore[misc]
        """With our batches."""

        def get_train_dataloader(self) -> Any:
            return loader

    class Evaluation(library.TrainerCallback):  # type: ignore[misc]
        """Scores dev while the clock stands."""

        def on_train_begin(self, *_: Any, **__: Any) -> None:
            watch.start()

        def on_step_end(self, arguments: Any, state: Any, *_: Any, **__: Any) -> None:
            watch.after_step(state.global_step)

    optimizer = build_optimizer(model)
    schedule = library.get_cosine_schedule_with_warmup(optimizer, task.steps // 10, task.steps)
    arguments = library.TrainingArguments(
        output_dir=str(task.out),
        max_steps=task.steps,
        max_grad_norm=CLIP_NORM,
        bf16=task.bfloat16,
        seed=task.seed,
        logging_steps=10,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        use_cpu=True,
        remove_unused_columns=False,
    )
    trainer = Trainer(
        WithLoss(model),
        arguments,
        train_dataset=loader.dataset,
        optimizers=(optimizer, schedule),
        callbacks=[Evaluation()],
    )
    trainer.train()
    return watch.curve, task.bfloat16


def train_speechbrain(
    task: Task, model: AcousticModel, train: Sequence[Utterance], dev: Sequence[Utterance]
) -> tuple[Curve, bool]:
    """The `Brain` of SpeechBrain."""
    core: Any = import_module("speechbrain.core")
    library: Any = import_extra("transformers", "hf", "the learning-rate schedule")
    watch = Watch(task, model, dev, [])

    class Brain(core.Brain):  # type: ignore[misc]
        """One whose model returns its loss."""

        def compute_forward(self, batch: Any, stage: Any) -> Any:
            return self.modules.model(**batch)["loss"]

        def compute_objectives(self, predictions: Any, batch: Any, stage: Any) -> Any:
            return predictions

        def on_fit_start(self) -> None:
            super().on_fit_start()
            self.schedule = library.get_cosine_schedule_with_warmup(self.optimizer, task.steps // 10, task.steps)
            watch.start()

        def on_fit_batch_end(self, batch: Any, outputs: Any, loss: Any, should_step: bool) -> None:
            self.schedule.step()
            watch.after_step(self.optimizer_step)

    options = {
        "device": "cpu",
        "precision": "bf16" if task.bfloat16 else "fp32",
        "max_grad_norm": CLIP_NORM,
        "noprogressbar": True,
    }
    brain = Brain({"model": WithLoss(model)}, lambda _: build_optimizer(model), run_opts=options)
    brain.fit(range(1), load_batches(task, model, train))
    return watch.curve, task.bfloat16


def load_batches(task: Task, model: AcousticModel, train: Sequence[Utterance]) -> Any:
    """PyTorch's loader of all steps in one epoch, of features in memory that were rounded as in our cache."""
    audio, budget_frames = (
        AudioOptions(model.spec, True, True),
        round(BATCH_S * model.spec.frames_per_s),
    )
    features = [utterance_features(one, audio).astype(np.float16).astype(np.float32) for one in train]
    targets = [model.vocabulary.encode(model.normalizer(one.text), utterance_id=one.id) for one in train]
    planned = plan_epochs([len(values) for values in features], budget_frames, task.seed, shuffled=task.loop.shuffled)

    def pad(rows: list[tuple[np.ndarray[Any, Any], list[int]]]) -> dict[str, Tensor]:
        batch = collate([""] * len(rows), [each for each, _ in rows], [target for _, target in rows])
        return {name: getattr(batch, name) for name in ("features", "lengths", "targets", "target_lengths")}

    rows: Any = list(zip(features, targets, strict=True))
    return DataLoader(rows, batch_sampler=list(islice(planned, task.steps)), collate_fn=pad)


def score(model: AcousticModel, dev: Sequence[Utterance], bfloat16: bool) -> float:
    """CER as `finetune` measures it."""
    audio = AudioOptions(model.spec)
    with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
        hypotheses = decode_utterances(model, segment_utterances(dev, audio), audio)
    return score_hypotheses(model, dev, hypotheses).cer


def seconds_to(curve: Curve, cer: float) -> float:
    """When the first evaluation was as good; infinite if none was."""
    return next((seconds for seconds, found in curve if found <= cer), math.inf)


def compare_times(theirs: Sequence[float], ours: Sequence[float]) -> str:
    """The ratios of the seeds with which ours gets there."""
    ratios = [other / own for other, own in zip(theirs, ours, strict=True) if math.isfinite(own)]
    note = "" if len(ratios) == len(ours) else f"; ours got there with {len(ratios)} of {len(ours)} seeds"
    return (spread(ratios, 2) if ratios else "-") + note


def main() -> None:
    """Measure and write the section of the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus_dir", type=Path, help="Mboshi, as data_scripts.prepare_mboshi reads it")
    parser.add_argument("--cer", type=float, nargs="+", default=[60.0, 55.0, 50.0], help="percent")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seeds", type=int, default=5)
    arguments = parser.parse_args()
    found: dict[str, list[Curve]] = {name: [] for name in LOOPS}
    install_peers()
    bfloat16 = False
    with tempfile.TemporaryDirectory() as name:
        manifests = prepare(arguments.corpus_dir, Path(name))
        for seed in range(1, 1 + arguments.seeds):
            for loop, curves in found.items():
                out, format16 = Path(name) / f"{loop}-{seed}", bfloat16 and LOOPS[loop].bfloat16
                task = Task(
                    LOOPS[loop], manifests["train_1h"], manifests["valid"], out, arguments.steps, seed, format16
                )
                curve, used = run_apart(task)
                bfloat16 = used if loop == OURS else bfloat16
                curves.append(curve)
                print(f"seed {seed}, {loop}: {curve[-1][0]:.1f} s, CER {100 * curve[-1][1]:.1f} %", flush=True)
    times = {
        loop: [[seconds_to(curve, cer / 100) for curve in curves] for cer in arguments.cer]
        for loop, curves in found.items()
    }
    rows = [
        (
            loop,
            *(spread(reached, 1) for reached in times[loop]),
            spread([curve[-1][0] for curve in curves], 1),
            spread([100 * curve[-1][1] for curve in curves], 1),
        )
        for loop, curves in found.items()
    ]
    ratios = [
        f"- {loop}, until CER {cer:g} %, relative to our time: {compare_times(theirs, ours)}"
        for loop in list(LOOPS)[1:]
        for cer, theirs, ours in zip(arguments.cer, times[loop], times[OURS], strict=True)
    ]
    header = ("loop", *(f"s until CER {cer:g} %" for cer in arguments.cer), "s of all steps", "CER % at the end")
    lines = [
        f"{arguments.steps} steps of at most {BATCH_S:g} s, {'bfloat16' if bfloat16 else 'float32'}, "
        f"{arguments.seeds} seeds, {DEV_UTTERANCES} utterances of dev. Median, least and greatest of the seeds.",
        "",
        *table(header, rows),
        "",
        *ratios,
    ]
    print("\n".join(lines))
    write_section(
        "Time to error: an hour of Mboshi", lines, ["torch", "transformers", "accelerate", "speechbrain", "numpy"]
    )


if __name__ == "__main__":
    main()
