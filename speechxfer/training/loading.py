"""Batches of a run: planned per epoch, augmented, loaded in the background.

The plan depends on (seed, epoch) only, and augmentation on (seed, epoch, utterance) on a CPU, on (seed, epoch, position) on a
GPU, so a resumed run continues with the same batches.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from speechxfer.data import Samples
from speechxfer.features import (
    Augmentation,
    Batch,
    Filterbank,
    Flags,
    augment_batch,
    change_speed,
    collate,
    collate_samples,
    distort,
    filterbank,
    load_in_background,
    plan_batches,
    spec_augment,
)
from speechxfer.training.run import TrainingRun

MOST_READERS = 8  # processes that read recordings for one GPU
SpeedIndices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class PlannedBatch:
    """The utterances of a batch and its place in the run."""

    indices: Sequence[int]
    speeds: SpeedIndices
    """Speed index of each of them in this epoch."""
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
    plan = _plan_batches(run, step, epoch, position)
    if run.data.computes_on_device:
        yield from _load_on_device(run, plan)
    else:
        yield from load_in_background(lambda planned: _load(run, planned), plan)


def _load_on_device(run: TrainingRun, plan: Iterator[PlannedBatch]) -> Iterator[tuple[PlannedBatch, Batch]]:
    """Batches whose recordings are read by other processes, and whose features are computed where the model is."""
    data, config, device, samples = run.data, run.config, run.accelerator.device, run.data.samples
    if samples is None:
        raise TypeError("features are computed on a device from samples")

    def read(planned: PlannedBatch) -> tuple[PlannedBatch, Batch]:
        ids, targets = [data.train[i].id for i in planned.indices], [data.targets[i] for i in planned.indices]
        return planned, collate_samples(ids, [samples.get(i) for i in planned.indices], targets)

    filterbank = Filterbank(run.model.spec).to(device)
    generator = torch.Generator(device)
    cores = (os.cpu_count() or 1) // run.accelerator.num_processes
    for planned, batch in load_in_background(read, plan, processes=max(1, min(MOST_READERS, cores - 1))):
        entropy = [config.seed, planned.epoch, planned.position, run.accelerator.process_index]
        generator.manual_seed(int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0] >> 1))
        augmentation = Augmentation(config.distortion, config.spec_augment) if planned.augment else Augmentation()
        speeds = [config.speed_factors[i] for i in planned.speeds]
        yield planned, augment_batch(batch.to(device), filterbank, speeds, augmentation, generator)


def _plan_batches(run: TrainingRun, step: int, epoch: int, position: int) -> Iterator[PlannedBatch]:
    config, data = run.config, run.data
    budget = max(1, round(run.batch_s * run.model.spec.frames_per_s))
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
            yield PlannedBatch(indices, speeds[indices], epoch, position, step >= config.augment_warmup_steps)
            step += 1
        epoch, position = epoch + 1, 0


def choose_speeds(feasible: Flags, generator: np.random.Generator) -> SpeedIndices:
    """For each utterance one of the speeds that are feasible, by a `[speeds, utterances]` table of them."""
    numbers = generator.integers(feasible.sum(axis=0))  # the same draws as one call for each utterance
    chosen: SpeedIndices = np.argmax(feasible & (np.cumsum(feasible, axis=0) == numbers + 1), axis=0)
    return chosen


def _load(run: TrainingRun, planned: PlannedBatch) -> tuple[PlannedBatch, Batch]:
    data = run.data
    features = [
        _augment(run, i, speed, planned.epoch) if planned.augment else data.features.get(i, speed)
        for i, speed in zip(planned.indices, planned.speeds, strict=True)
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
