"""Learning-rate schedule, and the defaults that depend on the model and on the amount of data."""

import math

from speechxfer.adaptation import unfreeze_step
from speechxfer.config import FinetuneConfig
from speechxfer.models import AcousticModel, has_lora

# Seconds of audio to train on with ten minutes of training speech (60 epochs). They grow with the square root of the amount:
# 24 epochs of an hour, 12 epochs of four hours.
TRAINED_S_FOR_10_MINUTES = 36_000
MIN_EPOCHS, MIN_STEPS = 3, 250
FINAL_FRACTION = 0.01  # last learning rate relative to the peak
BATCH_S, BATCH_S_OF_LARGE, LARGE_ENCODER = 40.0, 20.0, 50_000_000  # an encoder with more parameters is large
# As measured for the shipped encoder (recipes/mboshi/notes.md). The power leads to what is published for large encoders: 1e-4
# (NeMo's default) and 5e-5 (W2v-BERT 2.0, 580 million), though XLS-R (300 million) is given 3e-4; for the adapters of MMS 1e-3.
ENCODER_LR, SMALL_ENCODER, POWER = 2e-3, 3_200_000, 2 / 3
LORA_LR = 1e-3
RANDOM_LR = 1e-3  # best for random weights in our recipes, for encoder and head, and without dropout
# In inverse proportion to the dimension a step changes the head's outputs by the same amount (Yang et al., arXiv:2203.03466).
HEAD_LR, HEAD_DIM = 4e-3, 128


def peak_encoder_lr(config: FinetuneConfig, model: AcousticModel) -> float:
    """The encoder's peak learning rate: as set, or the default for a model of this size."""
    if config.encoder_lr is not None:
        return config.encoder_lr
    rate = ENCODER_LR * math.pow(min(1.0, SMALL_ENCODER / _encoder_size(model)), POWER)
    if has_lora(model):
        return max(rate, LORA_LR)
    return rate if model.parents else min(rate, RANDOM_LR)


def peak_head_lr(config: FinetuneConfig, model: AcousticModel) -> float:
    """The peak learning rate of head and added layers: as set, or the default for the dimension of the head's input."""
    if config.head_lr is not None:
        return config.head_lr
    rate = HEAD_LR * min(1.0, HEAD_DIM / model.head.in_features)
    return rate if model.parents else min(rate, RANDOM_LR)


def step_audio_s(config: FinetuneConfig, model: AcousticModel) -> float:
    """Seconds of audio per step and process: as set, or the default for a model of this size."""
    return config.batch_s or (BATCH_S_OF_LARGE if _encoder_size(model) > LARGE_ENCODER else BATCH_S)


def _encoder_size(model: AcousticModel) -> int:
    return sum(parameter.numel() for _, parameter in model.encoder.named_parameters())


def default_steps(train_s: float, step_s: float) -> int:
    """Number of steps of `step_s` seconds of audio for `train_s` seconds of training speech.

    A rule of thumb, near the budgets that were tried on Mboshi (10 minutes, 1 hour) and Yoruba (50 minutes); not the
    result of a search.
    """
    trained_s = max(TRAINED_S_FOR_10_MINUTES * math.sqrt(train_s / 600), MIN_EPOCHS * train_s)
    return max(MIN_STEPS, math.ceil(trained_s / step_s))


def rate_factor(step: int, steps: int, warmup_steps: int | None) -> float:
    """Fraction of the peak learning rate at `step` (from 0): linear warm-up, then half a cosine down to `FINAL_FRACTION`."""
    warmup = _warmup(steps, warmup_steps)
    if step < warmup:
        return (step + 1) / warmup
    done = (step - warmup) / max(1, steps - warmup)
    return FINAL_FRACTION + (1 - FINAL_FRACTION) * 0.5 * (1 + math.cos(math.pi * done))


def learning_rates(
    config: FinetuneConfig, peaks: tuple[float, float], steps: int, step: int, groups: int
) -> list[float]:
    """Rates at `step` (from 0) of `steps`: of the encoder's layer groups, from the input up, then of head and added layers.

    `peaks` are those of the encoder and of the head.
    A group that was frozen at first gets a warm-up of its own when it is unfrozen, because the optimiser has no state for it.
    """
    factor = rate_factor(step, steps, config.warmup_steps)
    rates = []
    for group in range(groups):
        start = unfreeze_step(config, group, groups)
        ramp = min(1.0, (step - start + 1) / max(1, _warmup(steps, config.warmup_steps))) if start else 1.0
        rates.append(peaks[0] * factor * max(0.0, ramp) * config.layer_decay ** (groups - 1 - group))
    return [*rates, peaks[1] * factor]


def _warmup(steps: int, warmup_steps: int | None) -> int:
    return steps // 10 if warmup_steps is None else warmup_steps
