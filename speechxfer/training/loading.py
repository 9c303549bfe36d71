"""Batches of a run: planned per epoch, augmented, loaded in the background."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from accelerate import Accelerator

from speechxfer.config import FinetuneConfig
from speechxfer.data import Samples
from speechxfer.features import (
    Batch,
    change_speed,
    collate,
    distort,
    filterbank,
    load_in_background,
    plan_batches,
    spec_augment,
)
from speechxfer.models import AcousticModel
from speechxfer.training.preparation import Job
from speechxfer.training.state import Progress


def iterate_batches(job: Job, progress: Progress) -> Iterator[Batch]:
    """This process's batches from where the run stands to its last step; loading ahead goes on across epochs."""
    if job.config.patience and progress.since_best >= job.config.patience:
        return
    planned = _plan_steps(job, progress.step, progress.epoch, progress.position)
    for epoch, batch in load_in_background(lambda step: (step.epoch, _load(job, step)), planned):
        if epoch != progress.epoch:
            progress.epoch, progress.position = epoch, 0
        yield batch


@dataclass(frozen=True)
class _PlannedStep:
    epoch: int
    indices: Sequence[int]
    """Of the utterances of this process."""
    speeds: Sequence[int]
    """Of every utterance, in this epoch."""
    augmented: bool


def _plan_steps(job: Job, step: int, epoch: int, position: int) -> Iterator[_PlannedStep]:
    """The steps from this one to the last of the run, beginning at `position` in `epoch`."""
    config, process = job.config, job.accelerator.process_index
    while step < job.steps:
        generator = np.random.default_rng([config.seed, epoch])
        speeds = [usable[int(generator.integers(len(usable)))] for usable in job.usable_speeds]
        frames = [job.store.frames[speed][i] for i, speed in enumerate(speeds)]
        for batches in _plan(frames, config, job.model, generator, job.accelerator)[position:]:
            if step == job.steps:
                return
            yield _PlannedStep(epoch, batches[process], speeds, step >= config.augment_warmup_steps)
            step += 1
        epoch, position = epoch + 1, 0


def _plan(
    frames: Sequence[int],
    config: FinetuneConfig,
    model: AcousticModel,
    generator: np.random.Generator,
    accelerator: Accelerator,
) -> list[list[list[int]]]:
    """One pass over the data: per step the utterances of each process."""
    budget = max(1, round(config.batch_s * model.spec.frames_per_s))
    return plan_batches(frames, budget, generator, processes=accelerator.num_processes)


def _load(job: Job, step: _PlannedStep) -> Batch:
    features = [
        _augmented(job, i, step.speeds[i], step.epoch) if step.augmented else job.store.get(i, step.speeds[i])
        for i in step.indices
    ]
    return collate([job.train[i].id for i in step.indices], features, [job.targets[i] for i in step.indices])


def _augmented(job: Job, index: int, speed: int, epoch: int) -> Samples:
    """Features `[frames, mels]` as augmented in this epoch; the random choices depend on seed, epoch and utterance alone."""
    config = job.config
    generator = np.random.default_rng([config.seed, epoch, index])
    features = load_features(job, index, speed, generator)
    return spec_augment(features, generator, mels=job.model.spec.mels, strength=config.spec_augment)


def load_features(job: Job, index: int, speed: int, generator: np.random.Generator) -> Samples:
    """Features `[frames, mels]` at this speed, or, as often as the settings say, distorted anew."""
    if not job.samples or generator.random() >= job.config.distortion:
        return job.store.get(index, speed)
    spec = job.model.spec
    samples = change_speed(job.samples.get(index), job.config.speed_factors[speed], spec.sample_rate_hz)
    return filterbank(distort(samples, generator, spec.sample_rate_hz), spec).numpy()
