"""Batches of a run: planned per epoch, augmented, loaded in the background.

Plan and augmentation depend on (seed, epoch, utterance) only, so a resumed run continues with the same batches.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from speechxfer.data import Samples
from speechxfer.features import (
    Batch,
    Flags,
    change_speed,
    collate,
    distort,
    filterbank,
    load_in_background,
    plan_batches,
    spec_augment,
)
from speechxfer.training.run import TrainingRun

SpeedIndices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class PlannedBatch:
    """The utterances of a batch and its place in the run."""

    indices: Sequence[int]
    speeds: SpeedIndices
    """Speed index of every training utterance in this epoch."""
    epoch: int
    position: int
    """Number of steps of the epoch that are done after this one."""
    augment: bool


def iterate_batches(run: TrainingRun, step: int, epoch: int, position: int) -> Iterator[tuple[PlannedBatch, Batch]]:
    """This process's batches from `step` to the run's last step; loading goes on across the ends of epochs.

    Args:
        step: number of steps that are done.
        epoch, position: the current epoch, from 0, and how many of its steps are done.
    """
    yield from load_in_background(lambda planned: _load(run, planned), _plan_batches(run, step, epoch, position))


def _plan_batches(run: TrainingRun, step: int, epoch: int, position: int) -> Iterator[PlannedBatch]:
    config, data = run.config, run.data
    budget = max(1, round(config.batch_s * run.model.spec.frames_per_s))
    while step < run.steps:
        generator = np.random.default_rng([config.seed, epoch])
        speeds = choose_speeds(data.feasible, generator)
        frames = np.take_along_axis(data.frames, speeds[None], axis=0)[0]
        plan = plan_batches(frames.tolist(), budget, generator, processes=run.accelerator.num_processes)
        for processes in plan[position:]:
            if step == run.steps:
                return
            position += 1
            indices = processes[run.accelerator.process_index]
            yield PlannedBatch(indices, speeds, epoch, position, step >= config.augment_warmup_steps)
            step += 1
        epoch, position = epoch + 1, 0


def choose_speeds(feasible: Flags, generator: np.random.Generator) -> SpeedIndices:
    """For each utterance one of the speeds that are feasible, by a `[speeds, utterances]` table of them."""
    numbers = generator.integers(feasible.sum(axis=0))  # the same draws as one call for each utterance
    chosen: SpeedIndices = np.argmax(feasible & (np.cumsum(feasible, axis=0) == numbers + 1), axis=0)
    return chosen


def _load(run: TrainingRun, planned: PlannedBatch) -> tuple[PlannedBatch, Batch]:
    data, speeds = run.data, planned.speeds
    features = [
        _augment(run, i, speeds[i], planned.epoch) if planned.augment else data.features.get(i, speeds[i])
        for i in planned.indices
    ]
    targets = [data.targets[i] for i in planned.indices]
    return planned, collate([data.train[i].id for i in planned.indices], features, targets)


def _augment(run: TrainingRun, index: int, speed: int, epoch: int) -> Samples:
    """Augmented features `[frames, mels]`; the random choices depend on seed, epoch and utterance alone."""
    generator = np.random.default_rng([run.config.seed, epoch, index])
    features = load_features(run, index, speed, generator)
    return spec_augment(features, generator, mels=run.model.spec.mels, strength=run.config.spec_augment)


def load_features(run: TrainingRun, index: int, speed: int, generator: np.random.Generator) -> Samples:
    """Features `[frames, mels]` of a training utterance at one speed; a share `finetune.distortion` of calls distorts it anew."""
    samples, spec = run.data.samples, run.model.spec
    if not samples or generator.random() >= run.config.distortion:
        return run.data.features.get(index, speed)
    changed = change_speed(samples.get(index), run.config.speed_factors[speed], spec.sample_rate_hz)
    return filterbank(distort(changed, generator, spec.sample_rate_hz), spec).numpy()
