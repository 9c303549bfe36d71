"""Batches of a run: planned per epoch, augmented, loaded in the background."""

from collections.abc import Iterator, Sequence

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
    """This process's batches from where the run stands to its last step."""
    config, accelerator = job.config, job.accelerator
    if config.patience and progress.since_best >= config.patience:
        return
    while progress.step < job.steps:
        generator = np.random.default_rng([config.seed, progress.epoch])
        speeds = [usable[int(generator.integers(len(usable)))] for usable in job.usable_speeds]
        frames = [job.store.frames[speed][i] for i, speed in enumerate(speeds)]
        plan = _plan(frames, config, job.model, generator, accelerator)
        left = [step[accelerator.process_index] for step in plan[progress.position :]][: job.steps - progress.step]
        augmented = [progress.step + i >= config.augment_warmup_steps for i in range(len(left))]
        yield from load_in_background(
            lambda indices, augment, epoch=progress.epoch, speeds=speeds: _load(job, indices, speeds, epoch, augment),
            list(zip(left, augmented, strict=True)),
        )
        if progress.step < job.steps:
            progress.epoch += 1
            progress.position = 0


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


def _load(job: Job, indices: Sequence[int], speeds: Sequence[int], epoch: int, augment: bool) -> Batch:
    features = [_augmented(job, i, speeds[i], epoch) if augment else job.store.get(i, speeds[i]) for i in indices]
    return collate([job.train[i].id for i in indices], features, [job.targets[i] for i in indices])


def _augmented(job: Job, index: int, speed: int, epoch: int) -> Samples:
    """Features `[frames, mels]` as this epoch hears them; what is drawn depends on seed, epoch and utterance alone."""
    config = job.config
    generator = np.random.default_rng([config.seed, epoch, index])
    return spec_augment(load_features(job, index, speed, generator), generator, config.spec_augment)


def load_features(job: Job, index: int, speed: int, generator: np.random.Generator) -> Samples:
    """Features `[frames, mels]` at this speed, or, as often as the settings say, distorted anew."""
    if not job.samples or generator.random() >= job.config.distortion:
        return job.store.get(index, speed)
    spec = job.model.spec
    samples = change_speed(job.samples.get(index), job.config.speed_factors[speed], spec.sample_rate_hz)
    return filterbank(distort(samples, generator, spec.sample_rate_hz), spec).numpy()
