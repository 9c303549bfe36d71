"""Preparation of a run: all checks before the first step, targets and features, the model on its device.

CTC can align a text only if there are at least as many encoder frames as symbols and adjacent repeats (Graves et al., 2006).
Features are computed before the processes of a run connect, so that no collective operation has to wait for them; the feature
cache divides the work among the processes.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import nn

from speechxfer.adaptation import unfreeze_step
from speechxfer.config import Config, DataConfig, FinetuneConfig, TransferConfig, change_settings, check_lora
from speechxfer.data import Utterance, total_duration_s
from speechxfer.decoding import frame_duration_s, segment_utterances, window_utterances
from speechxfer.errors import InputError, first_names
from speechxfer.features import (
    AudioOptions,
    Batch,
    FeatureStore,
    StreamedFeatures,
    collate,
    report_resampling,
    store_features,
    store_samples,
    stream_features,
    stream_samples,
)
from speechxfer.models import ENCODER_FAMILIES, AcousticModel, has_lora
from speechxfer.runtime import has_gpu, is_main_process, log_info, runs_on_cpu_only
from speechxfer.training.fingerprint import hash_utterances, model_fingerprint
from speechxfer.training.linear_probe import trains_closed_form_head_only
from speechxfer.training.losses import check_intermediate_ctc, intermediate_weight
from speechxfer.training.precision import choose_bfloat16
from speechxfer.training.regularizers import (
    ReplayData,
    build_regularizer,
    check_regularization,
    copy_source_model,
)
from speechxfer.training.run import TrainingData, TrainingRun
from speechxfer.training.schedule import default_steps, peak_encoder_lr, peak_head_lr, step_audio_s
from speechxfer.training.targets import encode_targets, find_feasible_speeds

STREAM_ABOVE_H = 100.0  # hours of training speech above which features are computed as they are needed, not stored
HEADERS_OF_STREAMED = 1000  # recordings of a large corpus whose rates are looked at


def prepare_run(
    model: AcousticModel,
    train: Sequence[Utterance],
    dev: Sequence[Utterance],
    config: FinetuneConfig,
    data: DataConfig,
    out: Path,
    source_data: Sequence[Utterance] = (),
) -> TrainingRun:
    """Check everything that can be checked before the first step, compute features, place the model on its device.

    Raises:
        InputError: see `finetune`.
    """
    _check_settings(model, config)
    _check_durations(train, data)
    folder = Path(data.cache_dir) if data.cache_dir else out.parent / ".features"
    streamed = is_streamed(train)
    prepared = _prepare_data(model, train, dev, config, data, folder, streamed=streamed)
    replay = _prepare_replay(model, config, data, source_data, folder)
    if config.gradient_checkpointing:
        _enable_gradient_checkpointing(model)
    accelerator = Accelerator(cpu=runs_on_cpu_only())
    batch_s, peaks = step_audio_s(config, model), (peak_encoder_lr(config, model), peak_head_lr(config, model))
    steps = config.steps or _default_steps(model, config, total_duration_s(train), batch_s * accelerator.num_processes)
    _check_unfreezing(model, config, steps)
    model.calibration = None  # of the weights before training
    model.to(accelerator.device)
    broadcast_weights(model, accelerator)
    fingerprint: dict[str, Any] = {
        **model_fingerprint(model),
        "config": {
            "finetune": config.model_dump(mode="json")
            | {"batch_s": batch_s, "encoder_lr": peaks[0], "head_lr": peaks[1]},
            "data": {"resample": data.resample, "mono": data.mono, "unknown_symbols": data.unknown_symbols},
        },
        "train": hash_utterances(train, contents=not streamed),
        "dev": hash_utterances(dev),
        "source data": hash_utterances(source_data),
        "steps": steps,
        "processes": accelerator.num_processes,
    }
    first, weights = _first_batch(batch_s, model, train, prepared), fingerprint["first weights"]
    fingerprint["bf16"] = choose_bfloat16(config.precision, model, first, out, weights, accelerator)
    source = copy_source_model(model) if config.distillation or config.replay else None
    regularizer = build_regularizer(model, config, source, replay)
    return TrainingRun(
        model,
        prepared,
        config,
        steps,
        batch_s,
        peaks,
        regularizer,
        out,
        accelerator,
        fingerprint,
        fingerprint["bf16"],
    )


def _prepare_data(
    model: AcousticModel,
    train: Sequence[Utterance],
    dev: Sequence[Utterance],
    config: FinetuneConfig,
    data: DataConfig,
    folder: Path,
    *,
    streamed: bool,
) -> TrainingData:
    """Targets and features of training and dev utterances, checked against each other; `folder` is the feature cache."""
    targets = encode_targets(model, train, data)
    audio = AudioOptions(model.spec, data.resample, data.mono)
    if is_main_process():
        report_resampling([*train, *dev], audio, most=HEADERS_OF_STREAMED if streamed else None)
    on_device = has_gpu()
    features, samples = _prepare_features(train, audio, folder, config, streamed=streamed, on_device=on_device)
    segmented_dev = segment_utterances(dev, audio)
    dev_windows = [window.utterance for window in window_utterances(segmented_dev.segments, frame_duration_s(model))]
    dev_features = store_features(dev_windows, audio, folder)
    frames = np.array(features.frames, dtype=np.int64)
    feasible = find_feasible_speeds(model, train, targets, frames)
    _check_dev(model, dev, dev_features)
    return TrainingData(train, targets, features, frames, samples, feasible, segmented_dev, dev_features, on_device)


def _first_batch(batch_s: float, model: AcousticModel, train: Sequence[Utterance], prepared: TrainingData) -> Batch:
    """About a step of the first training utterances, on which the number formats are timed."""
    chosen, frames = [], 0
    for index, speed in enumerate(prepared.feasible.argmax(axis=0).tolist()):  # the first that is feasible
        chosen.append((index, speed))
        frames += int(prepared.frames[speed, index])
        if frames >= batch_s * model.spec.frames_per_s:
            break
    return collate(
        [train[index].id for index, _ in chosen],
        [prepared.features.get(index, speed) for index, speed in chosen],
        [prepared.targets[index] for index, _ in chosen],
    )


def is_streamed(train: Sequence[Utterance]) -> bool:
    """Whether there is so much speech that features are computed as they are needed, and recordings are known by their names.

    What `data.repeats` repeats counts once.
    """
    if total_duration_s(train) <= 3600 * STREAM_ABOVE_H:
        return False
    parts = np.fromiter((hash((str(u.audio_filepath), u.offset)) for u in train), np.int64, len(train))
    durations = np.fromiter((u.duration for u in train), np.float64, len(train))
    return float(durations[np.unique(parts, return_index=True)[1]].sum()) > 3600 * STREAM_ABOVE_H


def _prepare_features(
    train: Sequence[Utterance],
    audio: AudioOptions,
    folder: Path,
    config: FinetuneConfig,
    *,
    streamed: bool,
    on_device: bool,
) -> tuple[FeatureStore | StreamedFeatures, FeatureStore | StreamedFeatures | None]:
    """Features at every speed and, if recordings are to be distorted or features are computed in each step, samples."""
    if streamed:
        hours = total_duration_s(train) / 3600
        log_info(f"{hours:,.0f} h of training speech: features are computed as they are needed, not stored")
    samples: FeatureStore | StreamedFeatures | None = None
    if config.distortion or on_device:
        samples = stream_samples(train, audio) if streamed else store_samples(train, audio, folder)
    if streamed or on_device:
        return stream_features(train, audio, config.speed_factors), samples
    return store_features(train, audio, folder, speeds=config.speed_factors, half=True), samples


def _prepare_replay(
    model: AcousticModel, config: FinetuneConfig, data: DataConfig, source_data: Sequence[Utterance], folder: Path
) -> ReplayData | None:
    if not config.replay:
        return None
    if not source_data:
        raise InputError("finetune.replay needs speech that the source was trained on; give some as `source_data`")
    source = model.as_parent()
    targets = encode_targets(source, source_data, data)
    audio = AudioOptions(source.spec, data.resample, data.mono)
    features = store_features(source_data, audio, folder, half=True)
    find_feasible_speeds(source, source_data, targets, np.array(features.frames, dtype=np.int64))
    return ReplayData([u.id for u in source_data], features, targets)


def check_built_as_set(model: AcousticModel, transfer: TransferConfig) -> None:
    """Refuse a model without the adapters, layers or low-rank update that [transfer] asks for."""
    has = {
        "adapter_dim": model.architecture.adapter_dim,
        "extra_layers": model.architecture.extra_layers,
        "lora_rank": transfer.lora_rank if has_lora(model) else 0,
    }
    for name, value in has.items():
        if getattr(transfer, name) not in (0, value):
            raise InputError(
                f"transfer.{name} = {getattr(transfer, name)}, but the model was built with {value}; build it so "
                "(`speechxfer.adapt` does), or remove the setting"
            )


def _check_settings(model: AcousticModel, config: FinetuneConfig) -> None:
    """Refuse settings that this model cannot follow."""
    check_regularization(config, model)
    if has_lora(model):
        try:
            check_lora(config)
        except ValueError as error:
            raise InputError(str(error)) from error
    if intermediate_weight(model, config.intermediate_ctc):
        check_intermediate_ctc(model)


def _check_durations(train: Sequence[Utterance], data: DataConfig) -> None:
    if not train:
        raise InputError("there is no training utterance; give at least one")
    too_long = [u.id for u in train if u.duration > data.max_duration_s]
    if too_long:
        raise InputError(
            f"{len(too_long)} training utterances are longer than {data.max_duration_s:g} s ({first_names(too_long)}); "
            "cut them, or raise data.max_duration_s"
        )


def _check_dev(model: AcousticModel, dev: Sequence[Utterance], features: FeatureStore) -> None:
    if not any(model.normalizer(utterance.text) for utterance in dev):
        raise InputError(
            f"none of the {len(dev)} dev utterances has a text, so no evaluation can be chosen; write them"
        )
    lengths = zip(features.utterances, features.frames[0], strict=True)
    short = [utterance.id for utterance, frames in lengths if frames == 0]
    if short:
        raise InputError(
            f"{len(short)} dev utterances are shorter than one analysis window ({first_names(short)}); remove them "
            "(`speechxfer check --fix` does)"
        )


def _default_steps(model: AcousticModel, config: FinetuneConfig, train_s: float, step_s: float) -> int:
    steps = default_steps(train_s, step_s)
    change_settings(Config(finetune=config), "finetune", steps=steps)  # warm-up and evaluations have to fit
    if not trains_closed_form_head_only(model, config):
        log_info(f"{steps:,} steps of {step_s:g} s: {steps * step_s / train_s:.0f} epochs")
    return steps


def _check_unfreezing(model: AcousticModel, config: FinetuneConfig, steps: int) -> None:
    groups = len(model.encoder.layer_groups())
    last = max((unfreeze_step(config, group, groups) or 0 for group in range(groups)), default=0)
    if last >= steps:
        raise InputError(
            f"finetune.unfreeze_every_steps = {config.unfreeze_every_steps} unfreezes the encoder's lowest layer at step "
            f"{last + 1}, and the run ends at step {steps}; set fewer"
        )


def _enable_gradient_checkpointing(model: AcousticModel) -> None:
    if model.architecture.encoder not in ENCODER_FAMILIES:
        raise InputError(
            f"finetune.gradient_checkpointing is for encoders of transformers ({', '.join(ENCODER_FAMILIES)}); "
            f"the {model.architecture.encoder} is small: set it to false"
        )
    encoder: Any = model.encoder  # a TransformersEncoder, perhaps inside the wrapper of a low-rank update
    encoder.enable_gradient_checkpointing()


def broadcast_weights(model: nn.Module, accelerator: Accelerator) -> None:
    """Give every process the first one's weights: randomly initialised ones differ between processes."""
    if accelerator.num_processes > 1:
        for value in model.state_dict().values():
            torch.distributed.broadcast(value, 0)
