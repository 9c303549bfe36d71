"""The one training loop, for random weights and transferred ones alike, with exact resume.

Accelerate gives the device, the processes and bfloat16. Everything drawn at random comes from (seed, epoch, step), the
learning rate from the step; so the saved state is weights, optimiser, position and best scores, and on one CPU thread a
run that was killed and started again ends with the same bits. What it is not: the choice of what to train (``runs.py``).

Losses are in nats per symbol over the whole step, all processes together (see ``objective.py``).
"""

import hashlib
import json
import math
import shutil
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import InitProcessGroupKwargs, gather_object
from filelock import FileLock, Timeout
from torch import Tensor, nn

from speechxfer.augment import at_speed, at_tempo, distort, spec_augment
from speechxfer.batches import (
    Batch,
    FeatureStore,
    Reading,
    SampleStore,
    collate,
    in_background,
    plan_batches,
    say_what_is_resampled,
    store_features,
    store_samples,
)
from speechxfer.check import ctc_frames_needed
from speechxfer.checkpoint import load_weights, read_weights, write_weights
from speechxfer.config import DataConfig, FinetuneConfig, TransferConfig, parse_config
from speechxfer.decode import Hypothesis, score_hypotheses, several_without_gpu, transcribe
from speechxfer.errors import InputError
from speechxfer.features import Samples, filterbank
from speechxfer.lora import has_lora
from speechxfer.manifest import Utterance, write_whole
from speechxfer.models import AcousticModel
from speechxfer.models.borrowed import KINDS
from speechxfer.objective import (
    Replayed,
    Retention,
    check_middle,
    distance,
    draw_replay,
    hold_on,
    middle_of,
    middle_share,
    pull_back,
    utterance_losses,
)
from speechxfer.probe import fit_words
from speechxfer.progress import bar, is_main_process, say
from speechxfer.splits import total_s
from speechxfer.transfer import frozen_modules, set_frozen, thaw_step

LOG_EVERY_STEPS = 10
# Seconds of audio that suit ten minutes of training speech. They grow with the root of the amount: ten minutes are heard 60
# times, an hour 24 times, four hours 12 times.
HEARD_S_AT_10_MINUTES = 36_000
FEWEST_PASSES, FEWEST_STEPS = 3, 500
FEATURES_TIMEOUT = timedelta(hours=12)  # the other processes wait while the first one computes features
SATURATED_WER = 0.9  # above it nearly every word is wrong, WER says little, and CER decides which model is better


@dataclass
class Progress:
    """Where a run stands: all that is needed, beside weights and optimiser, to go on as if nothing had happened."""

    step: int = 0
    epoch: int = 0
    position: int = 0
    """Steps done in this epoch."""
    best: list[tuple[float, float, int]] = field(default_factory=list)
    """(first, second score, step), best first; the weights of each are kept."""
    since_best: int = 0
    """Evaluations since the best one."""
    loss_sum: float = 0.0
    """Of the steps since the last line of metrics.jsonl."""
    loss_steps: int = 0
    warned_blank: bool = False
    wall_s: float = 0.0
    """Time spent training and evaluating, over all calls."""


@dataclass(frozen=True)
class Job:
    """What stays the same during a run."""

    model: AcousticModel
    train: Sequence[Utterance]
    targets: Sequence[Sequence[int]]
    store: FeatureStore
    samples: SampleStore | None
    """Only where recordings are to be distorted."""
    usable_speeds: Sequence[Sequence[int]]
    """Per utterance, the numbers of the speeds at which CTC can align it."""
    dev: Sequence[Utterance]
    dev_store: FeatureStore
    config: FinetuneConfig
    transfer: TransferConfig
    retention: Retention | None
    out: Path
    accelerator: Accelerator
    identity: Mapping[str, Any]
    """What must be the same for a stopped run to go on."""


def training_cost(out: Path) -> tuple[int, float]:
    """Steps that the run in this folder has taken, and its wall time in seconds, over all calls."""
    progress = json.loads((out / "state" / "current.json").read_text())["progress"]
    return progress["step"], progress["wall_s"]


def finetune(
    model: AcousticModel,
    train: Sequence[Utterance],
    dev: Sequence[Utterance],
    config: FinetuneConfig | None = None,
    *,
    out: Path | str,
    data: DataConfig | None = None,
    transfer: TransferConfig | None = None,
    source: AcousticModel | None = None,
    replayed: Sequence[Utterance] = (),
) -> AcousticModel:
    """Train `model` on `train`, choosing by `dev`; go on where an earlier call with the same `out` was stopped.

    Args:
        model: trained in place (the returned model is the same object, with the chosen weights).
        train, dev: utterances; nothing of `dev` is learned from, it only chooses among evaluations.
        config: the loop's settings.
        out: folder of the run: metrics.jsonl, state (for resuming), best (weights of the best evaluations).
        data: how recordings are read.
        transfer: what rests when, layer by layer rates, and what holds on to the source.
        source: the model that `model` was made from; needed where `transfer` asks to hold on to it (`l2_sp`, `ewc`,
            `distillation`, `replay`), stays untouched. Without one nothing is drawn back, by default either.
        replayed: speech that the source was trained on; needed for `ewc` and `replay`.

    Returns:
        The model with averaged best weights (or the single best, if dev prefers it), in evaluation mode, on the CPU.

    Raises:
        InputError: no usable utterance, texts with unknown symbols or none at all, utterances CTC cannot align or that
            are too long (all listed by id), a loss that is not finite (utterances named), or another process trains in
            `out`.
    """
    config, data, transfer = config or FinetuneConfig(), data or DataConfig(), transfer or TransferConfig()
    job = _prepare(model, train, dev, config, data, transfer, Path(out))
    retention = _retention(job, data, source, replayed)
    if retention:
        job = replace(
            job, retention=retention, identity={**job.identity, **_source_identity(retention.source, replayed)}
        )
    with alone_in(job.out):
        optimizer = _optimizer(job)
        progress = _resume(job, optimizer)
        if _begins_with_best_head(job.model) and not progress.best:
            started = time.monotonic()
            _fit_head(job)
            _start_alike(job.model, job.accelerator)
            _evaluate(job, progress)
            progress.wall_s += time.monotonic() - started
            _save_state(job, optimizer, progress)
        if _takes_no_step(job.model, transfer):
            say("only the head learns, and it is at its best: no step is taken")
        else:
            _loop(job, optimizer, progress)
        return _choose(job, progress)


@contextmanager
def alone_in(out: Path) -> Iterator[None]:
    """Keep `out` to this call and those within it: two runs that write the same files would spoil both.

    The lock is the operating system's, so nothing of it outlives the process, killed or not. Of several processes of one
    run the first one holds it.

    Raises:
        InputError: another process trains there.
    """
    if not is_main_process():
        yield
        return
    out.mkdir(parents=True, exist_ok=True)
    lock = FileLock(out / "lock", blocking=False, is_singleton=True)
    try:
        lock.acquire()
    except Timeout as error:
        raise InputError(f"{out}: another process trains there; let it end, or choose another `out`") from error
    try:
        yield
    finally:
        lock.release()


def _prepare(
    model: AcousticModel,
    train: Sequence[Utterance],
    dev: Sequence[Utterance],
    config: FinetuneConfig,
    data: DataConfig,
    transfer: TransferConfig,
    out: Path,
) -> Job:
    """Check everything that can be checked before the first step, compute features, place the model."""
    patient = InitProcessGroupKwargs(timeout=FEATURES_TIMEOUT)
    accelerator = Accelerator(cpu=several_without_gpu(), kwargs_handlers=[patient])
    if not train:
        raise InputError("there is no training utterance; give at least one")
    if config.steps < 0:
        train_s, step_s = total_s(train), config.batch_s * accelerator.num_processes
        steps = usual_steps(train_s, step_s)
        if not _takes_no_step(model, transfer):
            times = f"{steps * step_s / train_s:.0f} times"
            say(f"{steps:,} steps of {step_s:g} s, in which all of the training speech is heard {times}")
        where = f"{steps:,} steps follow from {train_s / 60:.0f} min of training speech; settings"
        config = parse_config({"finetune": config.model_dump() | {"steps": steps}}, where).finetune
    if config.gradient_checkpointing:
        _save_memory(model)
    if transfer.lora_rank and not has_lora(model):
        raise InputError(
            f"transfer.lora_rank = {transfer.lora_rank}, but the model has no low-rank update; make one with with_lora first"
        )
    targets = encode_targets(model, train, data)
    too_long = [u.id for u in train if u.duration > data.max_duration_s]
    if too_long:
        raise InputError(
            f"{len(too_long)} training utterances are longer than {data.max_duration_s:g} s ({_some(too_long)}); "
            "cut them, or raise data.max_duration_s"
        )
    reading = Reading(model.spec, data.resample, data.mono)
    folder = _cache_folder(data, out)
    if accelerator.is_main_process:
        say_what_is_resampled([*train, *dev], reading)
    with accelerator.main_process_first():
        store = store_features(train, reading, folder, speeds=config.speed_factors, half=True)
        samples = store_samples(train, reading, folder) if config.distortion else None
        dev_store = store_features(dev, reading, folder)
    usable = usable_speeds(model, train, targets, store, config.speed_factors)
    _check_dev(model, dev, dev_store)
    if middle_share(model, config.intermediate_ctc):
        check_middle(model)
    _check_thaws(model, config, transfer)
    model.to(accelerator.device)
    _start_alike(model, accelerator)
    identity = _identity(model, [*train, *dev], targets, accelerator) | {
        "finetune": config.model_dump(mode="json"),
        "data": [data.resample, data.mono],
        "transfer": transfer.model_dump(mode="json"),
        "bf16": uses_bfloat16(config.precision, accelerator.device),
    }
    return Job(
        model,
        train,
        targets,
        store,
        samples,
        usable,
        dev,
        dev_store,
        config,
        transfer,
        None,
        out,
        accelerator,
        identity,
    )


def _check_thaws(model: AcousticModel, config: FinetuneConfig, transfer: TransferConfig) -> None:
    """What is to rest at first has to wake within the run."""
    groups = len(model.encoder.layer_groups())
    last = max((thaw_step(transfer, group, groups) or 0 for group in range(groups)), default=0)
    if last >= config.steps:
        name = "unfreeze_every_steps" if transfer.unfreeze_every_steps else "freeze_steps"
        raise InputError(
            f"transfer.{name} = {getattr(transfer, name)} lets the encoder's lowest layers learn from step {last + 1} on, and "
            f"the run ends at step {config.steps}; set fewer"
        )


def usual_steps(train_s: float, step_s: float) -> int:
    """How many steps of `step_s` seconds of audio suit `train_s` seconds of training speech.

    A rule of thumb, near the budgets that were tried on Mboshi (10 minutes, 1 hour) and Yoruba (50 minutes); not of a search.
    """
    heard_s = max(HEARD_S_AT_10_MINUTES * math.sqrt(train_s / 600), FEWEST_PASSES * train_s)
    return max(FEWEST_STEPS, math.ceil(heard_s / step_s))


def _retention(
    job: Job, data: DataConfig, source: AcousticModel | None, replayed: Sequence[Utterance]
) -> Retention | None:
    """What the run holds on to of its source; InputError where the settings need a source or speech that is not given."""
    settings = job.transfer
    asking = [name for name in ("l2_sp", "ewc", "distillation", "replay") if getattr(settings, name) > 0]
    if source is None and asking:
        raise InputError(
            f"transfer.{asking[0]} holds on to a source model, and there is none; adapt one, or set it to 0"
        )
    if source is None:
        return None
    of_features = {"l2_sp", *(["distillation"] if settings.distilled == "features" else [])}
    of_head = [name for name in asking if name not in of_features]
    if len(source.vocabulary.symbols) == 1 and of_head:
        raise InputError(
            f"transfer.{of_head[0]} holds on to what the source's head says, and it came without one; use l2_sp or "
            'transfer.distilled = "features", or set it to 0'
        )
    if not (settings.ewc or settings.replay):
        return hold_on(job.model, source, settings, None)
    if not replayed:
        raise InputError(f"transfer.{asking[0]} needs speech that the source was trained on; give some")
    targets = encode_targets(source, replayed, data)
    folder = _cache_folder(data, job.out)
    with job.accelerator.main_process_first():
        store = store_features(replayed, Reading(source.spec, data.resample, data.mono), folder, half=True)
    usable_speeds(source, replayed, targets, store, (1.0,))
    return hold_on(job.model, source, settings, Replayed([u.id for u in replayed], store, targets))


def _begins_with_best_head(model: AcousticModel) -> bool:
    """Whether `fit_words` finds the head to begin with: of words, all layers read, on an encoder that has learnt something."""
    return bool(model.pooling and model.parents)


def _fit_head(job: Job) -> None:
    """The computed head: each utterance is heard at every usable speed, a share of these distorted as in training."""

    def heard(index: int, speed: int) -> Samples:
        return _heard(job, index, speed, np.random.default_rng([job.config.seed, index, speed]))

    fit_words(job.model, job.store.frames, heard, job.usable_speeds, [target[0] for target in job.targets])


def _takes_no_step(model: AcousticModel, transfer: TransferConfig) -> bool:
    """Whether that head is all there is to learn."""
    head_alone = transfer.encoder_rests and not (transfer.adapter_dim or model.architecture.extra_layers)
    return _begins_with_best_head(model) and head_alone


def _save_memory(model: AcousticModel) -> None:
    encoder: Any = model.encoder
    if model.architecture.encoder not in KINDS:
        raise InputError(
            f"finetune.gradient_checkpointing is for borrowed encoders ({', '.join(KINDS)}); the {model.architecture.encoder} "
            "is small: set it to false"
        )
    encoder.save_memory()


def _cache_folder(data: DataConfig, out: Path) -> Path:
    return Path(data.cache_dir) if data.cache_dir else out.parent / ".features"


def _start_alike(model: nn.Module, accelerator: Accelerator) -> None:
    """Every process takes the first one's weights: a model built at random would differ in each."""
    if accelerator.num_processes > 1:
        for value in model.state_dict().values():
            torch.distributed.broadcast(value, 0)


def _identity(
    model: AcousticModel, utterances: Sequence[Utterance], targets: Sequence[Sequence[int]], accelerator: Accelerator
) -> dict[str, Any]:
    """What a run starts from, as plain values and hashes."""
    rows = json.dumps([[[u.id, u.offset, u.duration, u.text] for u in utterances], list(map(list, targets))])
    parts = (model.architecture, model.spec, model.normalizer)
    return {
        "model": [*(part.to_dict() for part in parts), model.task, list(model.vocabulary.symbols)],
        "first weights": _hash_of_weights(model),
        "utterances": hashlib.sha256(rows.encode()).hexdigest(),
        "processes": accelerator.num_processes,
    }


def _source_identity(source: AcousticModel, replayed: Sequence[Utterance]) -> dict[str, Any]:
    """What a run holds on to, as hashes."""
    rows = json.dumps([[u.id, u.offset, u.duration, u.text] for u in replayed])
    return {"source weights": _hash_of_weights(source), "replayed": hashlib.sha256(rows.encode()).hexdigest()}


def _hash_of_weights(model: nn.Module) -> str:
    weights = hashlib.sha256()
    for value in model.state_dict().values():
        weights.update(value.detach().cpu().contiguous().numpy().tobytes())
    return weights.hexdigest()


def uses_bfloat16(choice: str, device: torch.device) -> bool:
    """Whether the network computes in bfloat16; 'auto' says so where the hardware multiplies it natively."""
    if choice != "auto":
        return choice == "bf16"
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities = torch.cpu.get_capabilities() if device.type == "cpu" else {}
    return bool(capabilities.get("amx_bf16") or capabilities.get("avx512_bf16"))


def encode_targets(model: AcousticModel, train: Sequence[Utterance], data: DataConfig) -> list[list[int]]:
    """Symbols of every training text; InputError names utterances without text or with unknown symbols."""
    targets = [
        model.vocabulary.encode(model.normalizer(u.text), utterance_id=u.id, unknown=data.unknown_symbols)
        for u in train
    ]
    empty = [u.id for u, target in zip(train, targets, strict=True) if not target]
    if empty:
        raise InputError(
            f"{len(empty)} training utterances have no text left after normalisation ({_some(empty)}); write their text or "
            "remove them (`speechxfer check --fix` does)"
        )
    if data.unknown_symbols == "skip":
        unknown = sum((model.vocabulary.unknown(model.normalizer(u.text)) for u in train), start=Counter[str]())
        if unknown:
            say(f"left out of the training texts, as asked: {dict(unknown.most_common(20))}")
    several = [u.id for u, target in zip(train, targets, strict=True) if len(target) != 1]
    if model.task == "classify" and several:
        raise InputError(f"classify needs one word per utterance; {len(several)} have several ({_some(several)})")
    return targets


def usable_speeds(
    model: AcousticModel,
    train: Sequence[Utterance],
    targets: Sequence[Sequence[int]],
    store: FeatureStore,
    speeds: Sequence[float],
) -> list[list[int]]:
    """Per utterance the speeds at which its frames suffice for CTC; InputError lists utterances for which none does."""
    frames = torch.tensor(store.frames)
    encoded = model.output_lengths(frames) if model.task == "ctc" else frames
    needed = [frames_needed(model, target) for target in targets]
    usable = [[s for s in range(len(speeds)) if encoded[s, i] >= needed[i]] for i in range(len(train))]
    hopeless = [
        f"{u.id} ({int(encoded[:, i].max())} frames for {needed[i]})" for i, u in enumerate(train) if not usable[i]
    ]
    if hopeless:
        raise InputError(
            f"{len(hopeless)} training utterances have fewer encoder frames than CTC needs for their text ({_some(hopeless)}); "
            "check their transcripts, remove them (`speechxfer check --fix` does), or use a smaller subsampling"
        )
    return usable


def frames_needed(model: AcousticModel, target: Sequence[int]) -> int:
    """Encoder frames (of a classifier: feature frames) below which nothing can be learned from an utterance."""
    return max(1, ctc_frames_needed(target)) if model.task == "ctc" else 1


def _can_align(model: AcousticModel, frames: int, target: Sequence[int]) -> bool:
    encoded = int(model.output_lengths(torch.tensor(frames))) if model.task == "ctc" else frames
    return encoded >= frames_needed(model, target)


def _check_dev(model: AcousticModel, dev: Sequence[Utterance], store: FeatureStore) -> None:
    """What would only come to light at the first evaluation."""
    if not any(model.normalizer(utterance.text) for utterance in dev):
        raise InputError(
            f"none of the {len(dev)} dev utterances has a text, so no evaluation can be chosen; write them"
        )
    short = [utterance.id for utterance, frames in zip(dev, store.frames[0], strict=True) if frames == 0]
    if short:
        raise InputError(
            f"{len(short)} dev utterances are shorter than one analysis window ({_some(short)}); remove them "
            "(`speechxfer check --fix` does)"
        )


def _some(names: Sequence[str], most: int = 10) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _optimizer(job: Job) -> torch.optim.Optimizer:
    """One group per layer group of the encoder, upwards, then what is new; the learning rates are set at every step."""
    layers = [list(group.parameters()) for group in job.model.encoder.layer_groups()]
    placed = {parameter for group in layers for parameter in group}
    groups = [{"params": group} for group in (*layers, [p for p in job.model.parameters() if p not in placed])]
    if job.config.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=0.0, momentum=0.9, weight_decay=job.config.weight_decay)
    return torch.optim.AdamW(groups, lr=0.0, betas=(0.9, 0.98), weight_decay=job.config.weight_decay, fused=True)


def rate_factor(step: int, steps: int, warmup_steps: int, final_ratio: float) -> float:
    """Share of the highest learning rate at `step` (from 0): linear warm-up, then half a cosine down to `final_ratio`."""
    warmup = _warmup(steps, warmup_steps)
    if step < warmup:
        return (step + 1) / warmup
    done = (step - warmup) / max(1, steps - warmup)
    return final_ratio + (1 - final_ratio) * 0.5 * (1 + math.cos(math.pi * done))


def learning_rates(config: FinetuneConfig, transfer: TransferConfig, step: int, groups: int) -> list[float]:
    """Rates at `step` (from 0) of the encoder's layer groups, from the input upwards, then of what is new.

    A group that was frozen first gets a warm-up of its own after that: the optimiser knows nothing of it yet.
    """
    factor = rate_factor(step, config.steps, config.warmup_steps, config.final_lr_ratio)
    rates = []
    for group in range(groups):
        thawed = thaw_step(transfer, group, groups)
        ramp = min(1.0, (step - thawed + 1) / max(1, _warmup(config.steps, config.warmup_steps))) if thawed else 1.0
        rates.append(config.encoder_lr * factor * max(0.0, ramp) * transfer.layer_decay ** (groups - 1 - group))
    return [*rates, config.head_lr * factor]


def _warmup(steps: int, asked: int) -> int:
    return steps // 10 if asked < 0 else asked


def _loop(job: Job, optimizer: torch.optim.Optimizer, progress: Progress) -> None:
    config, accelerator = job.config, job.accelerator
    every = max(1, config.steps // 20) if config.evaluate_every_steps < 0 else config.evaluate_every_steps
    frozen_now: list[nn.Module] | None = None
    started = time.monotonic()
    with bar() as display:
        shown = display.add_task("training", total=config.steps, completed=progress.step)
        for batch in _batches(job, progress):
            frozen = frozen_modules(job.model, job.transfer, progress.step)
            if frozen != frozen_now:
                frozen_now = frozen
                set_frozen(job.model, frozen, job.transfer)
            progress.loss_sum += _step(job, optimizer, batch, progress.step)
            progress.loss_steps += 1
            progress.step += 1
            progress.position += 1
            display.update(
                shown, completed=progress.step, description=f"loss {progress.loss_sum / progress.loss_steps:.3f}"
            )
            if progress.step % LOG_EVERY_STEPS == 0:
                _log(job, {"step": progress.step, "loss": progress.loss_sum / progress.loss_steps, **_rates(optimizer)})
                progress.loss_sum, progress.loss_steps = 0.0, 0
            if progress.step % every == 0 or progress.step == config.steps:
                _evaluate(job, progress)
                frozen_now = None
                progress.wall_s, started = progress.wall_s + time.monotonic() - started, time.monotonic()
                _save_state(job, optimizer, progress)
                if config.patience and progress.since_best >= config.patience:
                    say(f"no better dev score in {config.patience} evaluations: stopping at step {progress.step}")
                    break
    accelerator.wait_for_everyone()


def _batches(job: Job, progress: Progress) -> Iterator[Batch]:
    """This process's batches from where the run stands to its last step."""
    config, accelerator = job.config, job.accelerator
    if config.patience and progress.since_best >= config.patience:
        return
    while progress.step < config.steps:
        generator = np.random.default_rng([config.seed, progress.epoch])
        speeds = [usable[int(generator.integers(len(usable)))] for usable in job.usable_speeds]
        frames = [job.store.frames[speed][i] for i, speed in enumerate(speeds)]
        plan = _plan(frames, config, job.model, generator, accelerator)
        left = [step[accelerator.process_index] for step in plan[progress.position :]][: config.steps - progress.step]
        augmented = [progress.step + i >= config.augment_warmup_steps for i in range(len(left))]
        yield from in_background(
            lambda indices, augment, epoch=progress.epoch, speeds=speeds: _load(job, indices, speeds, epoch, augment),
            list(zip(left, augmented, strict=True)),
        )
        if progress.step < config.steps:
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
    features = _heard(job, index, speed, generator)
    if config.tempo_change:
        played = at_tempo(features, generator.uniform(1 - config.tempo_change, 1 + config.tempo_change))
        features = played if _can_align(job.model, len(played), job.targets[index]) else features
    return spec_augment(
        features,
        generator,
        frequency_masks=config.frequency_masks,
        frequency_mask_mels=config.frequency_mask_mels,
        time_masks=config.time_masks,
        time_mask_ratio=config.time_mask_ratio,
    )


def _heard(job: Job, index: int, speed: int, generator: np.random.Generator) -> Samples:
    """Features `[frames, mels]` at this speed, or, as often as the settings say, distorted anew."""
    if not job.samples or generator.random() >= job.config.distortion:
        return job.store.get(index, speed)
    spec = job.model.spec
    samples = at_speed(job.samples.get(index), job.config.speed_factors[speed], spec.sample_rate_hz)
    return filterbank(distort(samples, generator, spec.sample_rate_hz), spec).numpy()


def _step(job: Job, optimizer: torch.optim.Optimizer, batch: Batch, step: int) -> float:
    """One update; returns the loss in nats per symbol, over all processes."""
    config, accelerator = job.config, job.accelerator
    torch.manual_seed(
        np.random.SeedSequence([config.seed, step, accelerator.process_index]).generate_state(1, np.uint64)[0].item()
    )
    layers = len(optimizer.param_groups) - 1
    for group, rate in zip(optimizer.param_groups, learning_rates(config, job.transfer, step, layers), strict=True):
        group["lr"] = rate
    generator = np.random.default_rng([config.seed, step, accelerator.process_index])
    replay = draw_replay(job.retention, int(batch.lengths.sum()), generator) if job.retention else None
    batches = [each.to(accelerator.device) for each in (batch, replay) if each]
    with torch.autocast(
        accelerator.device.type, torch.bfloat16, enabled=uses_bfloat16(config.precision, accelerator.device)
    ):
        losses, away = _losses(job, batches[0])
        if job.retention and replay:
            source = job.retention.source
            under_source = source.log_probs(*job.model.encode(batches[1].features, batches[1].lengths))
            losses = torch.cat([losses, utterance_losses(source, *under_source, batches[1])])
    finite = losses.detach().isfinite().tolist()
    ids = [name for each in batches for name in each.ids]
    _refuse("loss", [name for name, fine in zip(ids, finite, strict=True) if not fine], step, accelerator)
    symbols = accelerator.reduce(torch.stack([each.target_lengths.sum() for each in batches]).sum(), "sum")
    loss = losses.sum() / symbols + away / accelerator.num_processes
    torch.autograd.backward(loss)
    _sum_gradients(job.model, accelerator)
    norm = nn.utils.clip_grad_norm_([p for p in job.model.parameters() if p.grad is not None], config.clip_norm)
    if not norm.isfinite():
        _refuse("gradient", list(batch.ids), step, accelerator)
    optimizer.step()
    if job.retention:
        pull_back(job.retention, optimizer)
    optimizer.zero_grad(set_to_none=True)
    return float(accelerator.reduce(loss.detach(), "sum"))


def _losses(job: Job, batch: Batch) -> tuple[Tensor, Tensor]:
    """Each utterance's loss in nats, `[batch]`, and the weighted distance from the source (0 where none is kept)."""
    config, model = job.config, job.model
    share, smoothing = middle_share(model, config.intermediate_ctc), config.label_smoothing
    layers, lengths = model.encode(batch.features, batch.lengths)
    losses = utterance_losses(model, *model.log_probs(layers, lengths), batch, smoothing)
    # Where all below the middle rests, its loss would only draw the head away from the frames that it will read.
    if share and middle_of(layers)[0].requires_grad:
        middle = utterance_losses(model, *model.log_probs(middle_of(layers), lengths), batch, smoothing)
        losses = (1 - share) * losses + share * middle
    if not (job.retention and job.transfer.distillation):
        return losses, losses.new_zeros(())
    return losses, job.transfer.distillation * distance(job.retention, batch, layers, lengths)


def _refuse(what: str, bad: list[str], step: int, accelerator: Accelerator) -> None:
    """Stop if any process names an utterance whose loss (or whose batch's gradient) is not finite."""
    if accelerator.num_processes > 1:
        bad = gather_object(bad)
    if bad:
        raise InputError(
            f"the {what} is not finite at step {step + 1} for {_some(bad)}; listen to these utterances, or lower "
            "finetune.encoder_lr and finetune.head_lr"
        )


def _sum_gradients(model: nn.Module, accelerator: Accelerator) -> None:
    """Add up the processes' gradients (each already divided by the symbols of all): frozen ones have none anywhere."""
    if accelerator.num_processes == 1:
        return
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    flat = accelerator.reduce(torch.cat([gradient.flatten() for gradient in gradients]), "sum")
    for gradient, part in zip(gradients, flat.split([gradient.numel() for gradient in gradients]), strict=True):
        gradient.copy_(part.view_as(gradient))


def _rates(optimizer: torch.optim.Optimizer) -> dict[str, float]:
    *layers, new = optimizer.param_groups
    return {"encoder_lr": layers[-1]["lr"], "head_lr": new["lr"]}


def _evaluate(job: Job, progress: Progress) -> None:
    """Score dev, keep the weights if they are among the best, warn of a collapse to blanks."""
    _average_buffers(job.model, job.accelerator)
    hypotheses = transcribe(job.model, job.dev, store=job.dev_store)
    report = score_hypotheses(job.model, job.dev, hypotheses)
    blank = sum(h.blank_frames for h in hypotheses.values()) / max(1, sum(h.frames for h in hypotheses.values()))
    _log(job, {"step": progress.step, "dev_wer": report.wer, "dev_cer": report.cer, "blank_ratio": blank})
    rates = f"dev WER {100 * report.wer:.2f} %, CER {100 * report.cer:.2f} %, blank {100 * blank:.0f} %"
    say(f"step {progress.step}/{job.config.steps}: {rates}")
    _warn_of_blanks(job, progress, hypotheses)
    key = (*selection_key(report.wer, report.cer, job.config.select_by), progress.step)
    progress.since_best = 0 if not progress.best or key[:2] < progress.best[0][:2] else progress.since_best + 1
    later_first = sorted([*progress.best, key], key=lambda entry: (*entry[:2], -entry[2]))
    progress.best = later_first[: job.config.average_best]
    if key in progress.best and job.accelerator.is_main_process:
        _save_weights(job.model, _weights_path(job, progress.step))


def _average_buffers(model: nn.Module, accelerator: Accelerator) -> None:
    """Batch statistics gathered by each process on its own share become the same everywhere; frozen ones stay."""
    if accelerator.num_processes == 1:
        return
    for module in model.modules():
        for buffer in module.buffers(recurse=False) if module.training else ():
            if buffer.is_floating_point():
                buffer.copy_(accelerator.reduce(buffer, "mean"))


def selection_key(wer: float, cer: float, select_by: str) -> tuple[float, float]:
    """Smaller is better. By WER, but where nearly every word is wrong the CER decides: silence also scores 100 %."""
    if select_by == "cer":
        return cer, wer
    return min(wer, SATURATED_WER), cer


def _warn_of_blanks(job: Job, progress: Progress, hypotheses: dict[str, Hypothesis]) -> None:
    empty = [name for name, hypothesis in hypotheses.items() if not hypothesis.text]
    if (
        progress.warned_blank
        or job.model.task != "ctc"
        or len(empty) < len(hypotheses)
        or progress.step < job.config.steps // 3
    ):
        return
    progress.warned_blank = True
    say(
        f"warning: after {progress.step} steps the model answers nothing but blanks, for {_some(empty, 3)}. "
        "Usual causes: too few steps, learning rate too high or too low, transcripts that do not belong to the audio"
    )


def _log(job: Job, row: dict[str, Any]) -> None:
    if not job.accelerator.is_main_process:
        return
    with (job.out / "metrics.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")
    writer = _tensorboard(job.out)
    if writer:
        for name, value in row.items():
            if name != "step":
                writer.add_scalar(name, value, row["step"])


_writers: dict[Path, Any] = {}


def _tensorboard(out: Path) -> Any:
    """A TensorBoard writer for the run, or None where the extra is not installed."""
    if out not in _writers:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            _writers[out] = None
        else:
            _writers[out] = SummaryWriter(str(out / "tensorboard"))
    return _writers[out]


def _weights_path(job: Job, step: int) -> Path:
    return job.out / "best" / f"step-{step:07d}.safetensors"


def _save_weights(model: nn.Module, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    write_weights(model.state_dict(), partial)
    partial.replace(path)


def _save_state(job: Job, optimizer: torch.optim.Optimizer, progress: Progress) -> None:
    """Write a new state folder, then point to it, then delete what nothing points to: a kill at any moment is harmless."""
    if job.accelerator.is_main_process:
        folder = job.out / "state" / f"step-{progress.step:07d}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        _save_weights(job.model, folder / "weights.safetensors")
        torch.save(optimizer.state_dict(), folder / "optimizer.pt")
        pointer = job.out / "state" / "current.json"
        state = {"folder": folder.name, "progress": asdict(progress), "identity": job.identity}
        write_whole(pointer, json.dumps(state))
        for other in (job.out / "state").glob("step-*"):
            if other != folder:
                shutil.rmtree(other)
        kept = {_weights_path(job, step) for _, _, step in progress.best}
        for path in (job.out / "best").glob("*.safetensors"):
            if path not in kept:
                path.unlink()
    job.accelerator.wait_for_everyone()


def _resume(job: Job, optimizer: torch.optim.Optimizer) -> Progress:
    """The state of an earlier call, put into model and optimiser; or a fresh start."""
    job.out.mkdir(parents=True, exist_ok=True)
    pointer = job.out / "state" / "current.json"
    if not pointer.exists():
        if job.accelerator.is_main_process:
            (job.out / "metrics.jsonl").unlink(missing_ok=True)
        job.accelerator.wait_for_everyone()
        return Progress()
    try:
        current = json.loads(pointer.read_text())
        earlier = dict(current["identity"])
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{pointer}: damaged ({error}); delete {job.out} to start anew") from error
    differing = [key for key, value in json.loads(json.dumps(job.identity)).items() if earlier.get(key) != value]
    if differing:
        raise InputError(
            f"{job.out}: holds a run that began otherwise ({', '.join(differing)} differ); choose another `out`, delete that "
            "folder to start anew, or give what it began with (a model made at random: the same torch.manual_seed before)"
        )
    folder = pointer.parent / current["folder"]
    load_weights(job.model, folder / "weights.safetensors")
    try:
        optimizer.load_state_dict(torch.load(folder / "optimizer.pt", map_location="cpu", weights_only=True))
    except (RuntimeError, EOFError, UnpicklingError, OSError) as error:
        raise InputError(f"{folder / 'optimizer.pt'}: damaged ({error}); delete {job.out} to start anew") from error
    saved = current["progress"]
    progress = replace(Progress(**saved), best=[(a, b, step) for a, b, step in saved["best"]])
    if job.accelerator.is_main_process:
        _forget_metrics_after(job.out / "metrics.jsonl", progress.step)
    job.accelerator.wait_for_everyone()
    say(f"resuming at step {progress.step} of {job.config.steps}")
    return progress


def _forget_metrics_after(path: Path, step: int) -> None:
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    kept = [line for line in lines if line.endswith("}") and json.loads(line)["step"] <= step]
    write_whole(path, "".join(line + "\n" for line in kept))


def _choose(job: Job, progress: Progress) -> AcousticModel:
    """The average of the best evaluations' weights if dev prefers it to the single best, else that one."""
    paths = [_weights_path(job, step) for _, _, step in progress.best]
    best = read_weights(paths[0])
    averaged = average([read_weights(path) for path in paths])
    job.model.load_state_dict(averaged)
    report = score_hypotheses(job.model, job.dev, transcribe(job.model, job.dev, store=job.dev_store))
    key = selection_key(report.wer, report.cer, job.config.select_by)
    better = key <= progress.best[0][:2]
    if not better:
        job.model.load_state_dict(best)
    steps = ", ".join(str(step) for _, _, step in sorted(progress.best, key=lambda entry: entry[2]))
    say(
        f"kept: average of steps {steps}"
        if better
        else f"kept: step {progress.best[0][2]} (better on dev than the average)"
    )
    return job.model.cpu().eval()


def average(weights: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Mean of several state dicts, exact where they are all equal; whole-number buffers are taken from the first."""
    return {
        name: value + torch.stack([w[name] - value for w in weights]).mean(dim=0)
        if value.is_floating_point()
        else value
        for name, value in weights[0].items()
    }
