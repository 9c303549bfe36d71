"""The training loops that ``training.py`` compares, each in a process of its own that trains a round when it is asked to.

All train on the same batches in the same order, whose features are those of our cache, from the same weights, with AdamW, a
cosine schedule, clipping, and the sum of the CTC losses divided by the symbols of the batch; without dropout and augmentation.
Forward passes, losses and updates are counted in the same way in all of them, through PyTorch.
"""

import math
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from itertools import islice
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_post_hook
from torch.utils.data import DataLoader

from speechxfer import finetune
from speechxfer.checkpoints import load_model
from speechxfer.config import FinetuneConfig
from speechxfer.data import read_manifest
from speechxfer.features import AudioOptions, collate, padding_mask, plan_batches, utterance_features
from speechxfer.models import AcousticModel
from speechxfer.runtime import console

BATCH_S, RATE, BETAS, WEIGHT_DECAY, CLIP_NORM, SEED = 20.0, 3e-4, (0.9, 0.98), 0.0, 5.0, 1


@dataclass(frozen=True)
class Task:
    """What a process trains: a loop on a checkpoint and the manifest beside it, for some rounds of some steps."""

    loop: str
    """One of `LOOPS`."""
    checkpoint: Path
    rounds: int
    steps: int
    """Of a round."""
    shuffled: bool = False
    """Batches of random utterances, as libraries make them by default, instead of those of similar length."""
    cores: int = 1
    """Used by as many processes of `finetune`, or by as many threads of the others; a step has `BATCH_S` for each."""

    @property
    def manifest(self) -> Path:
        """The utterances."""
        return self.checkpoint.parent / "noise.jsonl"

    @property
    def total_steps(self) -> int:
        """One more than are measured, since a round ends where the next forward pass begins."""
        return self.rounds * self.steps + 1


class Meter:
    """Counts frames, losses and updates of a loop, and stops it before each round until the other process asks for it."""

    def __init__(self, task: Task, connection: Connection, rank: int) -> None:
        self.task, self.connection, self.rank = task, connection, rank
        self.frames: list[tuple[int, int]] = []  # of each forward pass: of the utterances, and with padding
        self.losses: list[float] = []  # of each forward pass, in nats per symbol
        self.updates = 0
        self.cpu_s = self.wall_s = 0.0
        self.ctc_loss = nn.functional.ctc_loss
        nn.functional.ctc_loss = self.record_loss
        register_optimizer_step_post_hook(self.record_update)

    def watch(self, encoder: Any) -> None:
        """Measure the forward passes of this network in training."""
        encoder.register_forward_pre_hook(self.before_forward, with_kwargs=True)

    def before_forward(self, module: nn.Module, positional: tuple[Any, ...], named: dict[str, Any]) -> None:
        """Called by PyTorch."""
        if not module.training:
            return
        if len(self.frames) % self.task.steps == 0 and not self.rank:  # the other processes wait for the first one
            cpu_s, wall_s = time.process_time(), time.perf_counter()
            self.connection.send((cpu_s - self.cpu_s, wall_s - self.wall_s))
            self.connection.recv()
            self.cpu_s, self.wall_s = cpu_s, time.perf_counter()  # batches are loaded meanwhile: their CPU time counts
        features = positional[0] if positional else named["input_features"]
        lengths = named["attention_mask"] if "attention_mask" in named else positional[1]
        self.frames.append((int(lengths.sum()), features.shape[0] * features.shape[1]))

    def record_loss(self, *positional: Any, **named: Any) -> Tensor:
        """The loss that was asked for."""
        loss = self.ctc_loss(*positional, **named)
        self.losses.append(float(loss.detach().sum() / positional[3].sum()))
        return loss

    def record_update(self, *_: Any) -> None:
        """Called by PyTorch after a step of an optimiser."""
        self.updates += 1


def run(task: Task, connection: Connection, rank: int, port: int) -> None:
    """Train in this process; sends CPU and wall seconds of each round, at last frames, losses and updates.

    `finetune` connects to the task's other processes by `port`.
    """
    if task.cores > 1 and task.loop == "speechxfer":
        address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "LOCAL_RANK": str(rank)}
        os.environ.update(address | {"RANK": str(rank), "WORLD_SIZE": str(task.cores)})
        torch.set_num_threads(1)
    else:
        torch.set_num_threads(task.cores)
    torch.manual_seed(SEED)
    console.quiet = True
    meter = Meter(task, connection, rank)
    LOOPS[task.loop](task, meter)
    connection.send((meter.frames, meter.losses[: task.total_steps], meter.updates))


def train_ours(task: Task, meter: Meter) -> None:
    """`speechxfer.finetune`."""
    utterances, model = read_manifest(task.manifest), load_model(str(task.checkpoint))
    config = FinetuneConfig(
        seed=SEED,
        steps=task.total_steps,
        evaluate_every_steps=task.total_steps,
        batch_s=BATCH_S,
        encoder_lr=RATE,
        head_lr=RATE,
        warmup_steps=0,
        weight_decay=WEIGHT_DECAY,
        precision="fp32",
        speed_factors=(1.0,),
        spec_augment=0.0,
        intermediate_ctc=0.0,
    )
    meter.watch(getattr(model.encoder, "network", model.encoder))
    finetune(model, utterances, utterances[:1], config, out=task.checkpoint.parent / f"run-{task.checkpoint.name}")


def train_transformers(task: Task, meter: Meter) -> None:
    """The `Trainer` of transformers on its own network."""
    library: Any = import_module("transformers")

    class Trainer(library.Trainer):  # type: ignore[misc]
        """With our batches, and the loss per symbol."""

        def get_train_dataloader(self) -> Any:
            return loader

        def compute_loss(self, model: Any, inputs: Any, return_outputs: bool = False, **named: Any) -> Any:
            loss = super().compute_loss(model, inputs, **named)
            return loss / named["num_items_in_batch"]

    def pad(rows: list[tuple[np.ndarray[Any, Any], list[int]]]) -> dict[str, Tensor]:
        batch = collate([""] * len(rows), [features for features, _ in rows], [target for _, target in rows])
        return {
            "input_features": batch.features,
            "attention_mask": padding_mask(batch.lengths, batch.features.shape[1]).long(),
            "labels": pad_targets([target for _, target in rows], -100),
        }

    loader = load_batches(task, load_model(str(task.checkpoint)), pad)
    arguments = library.TrainingArguments(
        output_dir=str(task.checkpoint.parent / "trainer"),
        max_steps=task.total_steps,
        learning_rate=RATE,
        lr_scheduler_type="cosine",
        adam_beta1=BETAS[0],
        adam_beta2=BETAS[1],
        weight_decay=WEIGHT_DECAY,
        max_grad_norm=CLIP_NORM,
        logging_steps=10,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        use_cpu=True,
        remove_unused_columns=False,
    )
    network = library.ParakeetForCTC.from_pretrained(task.checkpoint, ctc_loss_reduction="sum")
    meter.watch(network.encoder)
    Trainer(network, arguments, train_dataset=loader.dataset, data_collator=pad).train()


def train_speechbrain(task: Task, meter: Meter) -> None:
    """A `Brain` of SpeechBrain around our network, with its CTC loss."""
    core: Any = import_module("speechbrain.core")
    losses: Any = import_module("speechbrain.nnet.losses")

    class Brain(core.Brain):  # type: ignore[misc]
        """A model with relative lengths, as SpeechBrain has them."""

        def compute_forward(self, batch: Any, stage: Any) -> Any:
            log_probs, lengths = self.modules.model(batch["features"], batch["lengths"])
            return log_probs, lengths / log_probs.shape[1]

        def compute_objectives(self, predictions: Any, batch: Any, stage: Any) -> Any:
            targets, lengths = batch["targets"], batch["target_lengths"]
            relative = lengths / targets.shape[1]
            loss = losses.ctc_loss(predictions[0], targets, predictions[1], relative, blank_index=0, reduction="sum")
            return loss / lengths.sum()

        def on_fit_start(self) -> None:
            super().on_fit_start()
            cosine = partial(half_cosine, steps=task.total_steps)
            self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimizer, cosine)

        def on_fit_batch_end(self, batch: Any, outputs: Any, loss: Any, should_step: bool) -> None:
            self.schedule.step()

    def pad(rows: list[tuple[np.ndarray[Any, Any], list[int]]]) -> dict[str, Tensor]:
        batch = collate([""] * len(rows), [features for features, _ in rows], [target for _, target in rows])
        return {
            "features": batch.features,
            "lengths": batch.lengths,
            "targets": pad_targets([target for _, target in rows], 0),
            "target_lengths": batch.target_lengths,
        }

    model = load_model(str(task.checkpoint))
    optimizer = partial(torch.optim.AdamW, lr=RATE, betas=BETAS, weight_decay=WEIGHT_DECAY, fused=True)
    options = {"device": "cpu", "precision": "fp32", "max_grad_norm": CLIP_NORM, "noprogressbar": True}
    meter.watch(model.encoder)
    Brain({"model": model}, optimizer, run_opts=options).fit(range(1), load_batches(task, model, pad))


LOOPS = {"speechxfer": train_ours, "transformers": train_transformers, "speechbrain": train_speechbrain}


def half_cosine(step: int, steps: int) -> float:
    """Fraction of the first learning rate."""
    return 0.5 * (1 + math.cos(math.pi * step / steps))


def pad_targets(targets: Sequence[Sequence[int]], padding: int) -> Tensor:
    """int64 `[batch, symbols]`."""
    rows = [torch.tensor(target) for target in targets]
    return nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=padding)


def load_batches(task: Task, model: AcousticModel, pad: Any) -> Any:
    """PyTorch's loader of the batches that `finetune` has, or of as large random ones, all steps in one epoch."""
    utterances, audio = read_manifest(task.manifest), AudioOptions(model.spec, True, True)
    features = [utterance_features(one, audio).astype(np.float16).astype(np.float32) for one in utterances]
    targets = [model.vocabulary.encode(model.normalizer(one.text), utterance_id=one.id) for one in utterances]
    budget_frames = round(task.cores * BATCH_S * model.spec.frames_per_s)
    frames = [len(values) for values in features]
    batches = list(islice(plan_epochs(frames, budget_frames, SEED, shuffled=task.shuffled), task.total_steps))
    rows: Any = list(zip(features, targets, strict=True))
    return DataLoader(rows, batch_sampler=batches, collate_fn=pad)


def plan_epochs(frames: Sequence[int], budget_frames: int, seed: int, *, shuffled: bool) -> Iterator[list[int]]:
    """The batches of one epoch after the other, as a run of this seed without speeds has them, or as large random ones."""
    epoch = 0
    while True:
        generator = np.random.default_rng([seed, epoch])
        generator.integers(np.ones(len(frames), np.int64))  # the speeds of the utterances
        plan = [batch for (batch,) in plan_batches(frames, budget_frames, generator)]
        if shuffled:
            order = generator.permutation(len(frames)).tolist()
            size = round(len(frames) / len(plan))
            plan = [order[start : start + size] for start in range(0, len(frames), size)]
        yield from plan
        epoch += 1
