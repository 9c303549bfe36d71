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
from speechxfer.config import Config, DataConfig, FinetuneConfig, change_settings, check_lora
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
from speechxfer.training.fingerprint import hash_utterances, run_fingerprint
from speechxfer.training.losses import check_intermediate_ctc, intermediate_share
from speechxfer.training.regularizers import (
    ReplayData,
    SourceRegularizer,
    build_regularizer,
    check_regularization,
    l2_sp_strength,
    source_model,
)
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
    steps: int
    regularizer: SourceRegularizer | None
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
    out: Path,
    source_data: Sequence[Utterance] = (),
) -> Job:
    """Check everything that can be checked before the first step, compute features, place the model."""
    patient = InitProcessGroupKwargs(timeout=FEATURES_TIMEOUT)
    accelerator = Accelerator(cpu=is_distributed_on_cpu(), kwargs_handlers=[patient])
    if not train:
        raise InputError("there is no training utterance; give at least one")
    _check_model(model, config)
    steps = config.steps or _default_steps(model, config, total_duration_s(train), accelerator.num_processes)
    if config.gradient_checkpointing:
        _enable_gradient_checkpointing(model)
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
    _check_unfreeze_steps(model, config, steps)
    model.to(accelerator.device)
    broadcast_weights(model, accelerator)
    identity = run_fingerprint(model, [*train, *dev], targets, accelerator) | {
        "finetune": config.model_dump(mode="json"),
        "source data": hash_utterances(source_data),
        "steps": steps,
        "l2_sp": l2_sp_strength(config, model),
        "data": [data.resample, data.mono],
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
        steps,
        _prepare_regularizer(model, config, data, source_data, folder, accelerator),
        out,
        accelerator,
        identity,
    )


def _default_steps(model: AcousticModel, config: FinetuneConfig, train_s: float, processes: int) -> int:
    step_s = config.batch_s * processes
    steps = default_steps(train_s, step_s)
    change_settings(Config(finetune=config), "finetune", steps=steps)  # warm-up and evaluations have to fit
    if not trains_closed_form_head_only(model, config):
        log_info(f"{steps:,} steps of {step_s:g} s: {steps * step_s / train_s:.0f} epochs")
    return steps


def _check_model(model: AcousticModel, config: FinetuneConfig) -> None:
    """Settings that this model cannot follow."""
    check_regularization(config, model)
    if has_lora(model):
        try:
            check_lora(config)
        except ValueError as error:
            raise InputError(str(error)) from error


def _check_unfreeze_steps(model: AcousticModel, config: FinetuneConfig, steps: int) -> None:
    groups = len(model.encoder.layer_groups())
    last = max((unfreeze_step(config, group, groups) or 0 for group in range(groups)), default=0)
    if last >= steps:
        raise InputError(
            f"finetune.unfreeze_every_steps = {config.unfreeze_every_steps} unfreezes the encoder's lowest layer at step "
            f"{last + 1}, and the run ends at step {steps}; set fewer"
        )


def _prepare_regularizer(
    model: AcousticModel,
    config: FinetuneConfig,
    data: DataConfig,
    source_data: Sequence[Utterance],
    folder: Path,
    accelerator: Accelerator,
) -> SourceRegularizer | None:
    source = source_model(model) if config.distillation or config.replay else None
    if source is None or not config.replay:
        return build_regularizer(model, config, source)
    if not source_data:
        raise InputError("finetune.replay needs speech that the source was trained on; give some as `source_data`")
    targets = encode_targets(source, source_data, data)
    with accelerator.main_process_first():
        store = store_features(source_data, AudioOptions(source.spec, data.resample, data.mono), folder, half=True)
    usable_speeds(source, source_data, targets, store, (1.0,))
    return build_regularizer(model, config, source, ReplayData([u.id for u in source_data], store, targets))


def starts_from_closed_form_head(model: AcousticModel) -> bool:
    """Whether `fit_words` finds the head to begin with: of words, all layers read, on an encoder that has learnt something."""
    return bool(model.pooling and model.parents)


def trains_closed_form_head_only(model: AcousticModel, config: FinetuneConfig) -> bool:
    """Whether that head is all that is trained."""
    added = model.architecture.adapter_dim or model.architecture.extra_layers
    return starts_from_closed_form_head(model) and config.freeze == "encoder" and not added


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
