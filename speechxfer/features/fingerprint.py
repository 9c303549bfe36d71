"""Feature values of a fixed test signal, stored with every model so that other features are refused."""

import hashlib
import json
import math

import torch
from torch import Tensor

from speechxfer.features.log_mel import filterbank, white_noise
from speechxfer.features.spec import FeatureSpec

CODE_VERSION = 1  # of reading and features; raise it with a change of the code that the test signal does not show


def feature_fingerprint(spec: FeatureSpec) -> dict[str, list[float]]:
    """Feature values that this machine computes for a fixed test signal; stored with every model.

    Values instead of a hash of them, because two machines may differ in the last bits: compare with a tolerance.

    Returns:
        the first, middle and last frame in full, and the mean of every frame, which also gives the number of frames.
    """
    values = filterbank(_test_signal(spec.sample_rate_hz), spec)
    middle = len(values) // 2
    parts = {"first": values[:1], "middle": values[middle : middle + 1], "last": values[-1:]}
    stored = {name: part.flatten() for name, part in parts.items()} | {"means": values.mean(dim=1)}
    return {name: [round(value, 4) for value in part.tolist()] for name, part in stored.items()}


def front_end_version(spec: FeatureSpec) -> str:
    """Hash of code version and feature fingerprint; part of the names of stored features and of run fingerprints."""
    return hashlib.sha256(json.dumps([CODE_VERSION, feature_fingerprint(spec)]).encode()).hexdigest()[:16]


def _test_signal(rate_hz: int) -> Tensor:
    """0.55 s of noise from whole numbers, the same everywhere: loud, silent, fading by 140 dB, loud; loud parts off centre."""
    noise = white_noise(round(0.55 * rate_hz)) / math.sqrt(3)
    time_s = torch.arange(len(noise)) / rate_hz
    loud = (time_s < 0.1) | (time_s >= 0.45)
    faded = torch.where(time_s < 0.2, 0.0, 10.0 ** (-7.0 * (time_s - 0.2) / 0.25))
    return torch.where(loud, 0.1 + 0.5 * noise, 0.5 * faded * noise).float()
