"""Preparation of a run: everything that can be checked before the first step, features, the model on its device."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import InitProcessGroupKwargs
from torch import nn

from speechxfer.adaptation import unfreeze_step
from speechxfer.config import DataConfig, FinetuneConfig, TransferConfig, parse_config
from speechxfer.data import Utterance, total_duration_s
from speechxfer.decoding import SegmentedUtterances, segment_utterances
from speechxfer.errors import InputError, first_names
from speechxfer.features import (
    AudioOptions,
    FeatureStore,
    SampleStore,
    report_resampling,
    store_features,
    store_samples,
)
from speechxfer.models import ENCODER_FAMILIES, AcousticModel, TransformersEncoder, base_encoder, has_lora
from speechxfer.runtime import is_distributed_on_cpu, log_info, uses_bfloat16
from speechxfer.training.fingerprint import run_fingerprint
from speechxfer.training.losses import check_intermediate_ctc, intermediate_share
from speechxfer.training.regularizers import ReplayData, SourceRegularizer, build_regularizer
from speechxfer.training.schedule import default_steps
from speechxfer.training.targets import encode_targets, usable_speeds

FEATURES_TIMEOUT = timedelta(hours=12)  # the other processes wait while the first one computes features


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
    dev_segments: SegmentedUtterances
    dev_store: FeatureStore
    """Of the segments."""
    config: FinetuneConfig
    transfer: TransferConfig
    retention: SourceRegularizer | None
    out: Path
    accelerator: Accelerator
    identity: Mapping[str, Any]
    """What must be the same for a stopped run to go on."""


def prepare_job(
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
    accelerator = Accelerator(cpu=is_distributed_on_cpu(), kwargs_handlers=[patient])
    if not train:
        raise InputError("there is no training utterance; give at least one")
    if config.steps < 0:
        train_s, step_s = total_duration_s(train), config.batch_s * accelerator.num_processes
        steps = default_steps(train_s, step_s)
        if not trains_closed_form_head_only(model, transfer):
            times = f"{steps * step_s / train_s:.0f} times"
            log_info(f"{steps:,} steps of {step_s:g} s, in which all of the training speech is heard {times}")
        where = f"{steps:,} steps follow from {train_s / 60:.0f} min of training speech; settings"
        config = parse_config({"finetune": config.model_dump() | {"steps": steps}}, where).finetune
    if config.gradient_checkpointing:
        _enable_gradient_checkpointing(model)
    if transfer.lora_rank and not has_lora(model):
        raise InputError(
            f"transfer.lora_rank = {transfer.lora_rank}, but the model has no low-rank update; make one with with_lora first"
        )
    targets = encode_targets(model, train, data)
    too_long = [u.id for u in train if u.duration > data.max_duration_s]
    if too_long:
        raise InputError(
            f"{len(too_long)} training utterances are longer than {data.max_duration_s:g} s ({first_names(too_long)}); "
            "cut them, or raise data.max_duration_s"
        )
    reading = AudioOptions(model.spec, data.resample, data.mono)
    folder = _cache_folder(data, out)
    if accelerator.is_main_process:
        report_resampling([*train, *dev], reading)
    with accelerator.main_process_first():
        store = store_features(train, reading, folder, speeds=config.speed_factors, half=True)
        samples = store_samples(train, reading, folder) if config.distortion else None
        dev_segments = segment_utterances(dev, reading)
        dev_store = store_features(dev_segments.segments, reading, folder)
    usable = usable_speeds(model, train, targets, store, config.speed_factors)
    _check_dev(model, dev_segments, dev_store)
    if intermediate_share(model, config.intermediate_ctc):
        check_intermediate_ctc(model)
    _check_unfreeze_steps(model, config, transfer)
    model.to(accelerator.device)
    broadcast_weights(model, accelerator)
    identity = run_fingerprint(model, [*train, *dev], targets, accelerator) | {
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
        dev_segments,
        dev_store,
        config,
        transfer,
        None,
        out,
        accelerator,
        identity,
    )


def _check_unfreeze_steps(model: AcousticModel, config: FinetuneConfig, transfer: TransferConfig) -> None:
    """What is to rest at first has to wake within the run."""
    groups = len(model.encoder.layer_groups())
    last = max((unfreeze_step(transfer, group, groups) or 0 for group in range(groups)), default=0)
    if last >= config.steps:
        name = "unfreeze_every_steps" if transfer.unfreeze_every_steps else "freeze_steps"
        raise InputError(
            f"transfer.{name} = {getattr(transfer, name)} lets the encoder's lowest layers learn from step {last + 1} on, and "
            f"the run ends at step {config.steps}; set fewer"
        )


def prepare_regularizer(
    job: Job, data: DataConfig, source: AcousticModel | None, replayed: Sequence[Utterance]
) -> SourceRegularizer | None:
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
        return build_regularizer(job.model, source, settings, None)
    if not replayed:
        raise InputError(f"transfer.{asking[0]} needs speech that the source was trained on; give some")
    targets = encode_targets(source, replayed, data)
    folder = _cache_folder(data, job.out)
    with job.accelerator.main_process_first():
        store = store_features(replayed, AudioOptions(source.spec, data.resample, data.mono), folder, half=True)
    usable_speeds(source, replayed, targets, store, (1.0,))
    return build_regularizer(job.model, source, settings, ReplayData([u.id for u in replayed], store, targets))


def starts_from_closed_form_head(model: AcousticModel) -> bool:
    """Whether `fit_words` finds the head to begin with: of words, all layers read, on an encoder that has learnt something."""
    return bool(model.pooling and model.parents)


def trains_closed_form_head_only(model: AcousticModel, transfer: TransferConfig) -> bool:
    """Whether that head is all there is to learn."""
    head_alone = transfer.encoder_frozen and not (transfer.adapter_dim or model.architecture.extra_layers)
    return starts_from_closed_form_head(model) and head_alone


def _enable_gradient_checkpointing(model: AcousticModel) -> None:
    encoder = base_encoder(model)
    if not isinstance(encoder, TransformersEncoder):
        raise InputError(
            f"finetune.gradient_checkpointing is for encoders of transformers ({', '.join(ENCODER_FAMILIES)}); "
            f"the {model.architecture.encoder} is small: set it to false"
        )
    encoder.enable_gradient_checkpointing()


def _cache_folder(data: DataConfig, out: Path) -> Path:
    return Path(data.cache_dir) if data.cache_dir else out.parent / ".features"


def broadcast_weights(model: nn.Module, accelerator: Accelerator) -> None:
    """Every process takes the first one's weights: a model built at random would differ in each."""
    if accelerator.num_processes > 1:
        for value in model.state_dict().values():
            torch.distributed.broadcast(value, 0)


def _check_dev(model: AcousticModel, dev: SegmentedUtterances, store: FeatureStore) -> None:
    """What would only come to light at the first evaluation."""
    if not any(model.normalizer(utterance.text) for utterance in dev.utterances):
        raise InputError(
            f"none of the {len(dev.utterances)} dev utterances has a text, so no evaluation can be chosen; write them"
        )
    short = [utterance.id for utterance, frames in zip(dev.segments, store.frames[0], strict=True) if frames == 0]
    if short:
        raise InputError(
            f"{len(short)} dev utterances are shorter than one analysis window ({first_names(short)}); remove them "
            "(`speechxfer check --fix` does)"
        )
