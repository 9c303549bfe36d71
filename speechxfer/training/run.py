"""The parts of a training run that stay the same from its first step to its last: `TrainingRun` and its data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accelerate import Accelerator

from speechxfer.config import FinetuneConfig
from speechxfer.data import Utterance
from speechxfer.decoding import SegmentedUtterances
from speechxfer.features import FeatureStore, Flags, FrameCounts, StreamedFeatures
from speechxfer.models import AcousticModel
from speechxfer.training.regularizers import SourceRegularizer


@dataclass(frozen=True)
class TrainingData:
    """Utterances with their features and targets."""

    train: Sequence[Utterance]
    targets: Sequence[Sequence[int]]
    """Symbols of each training utterance."""
    features: FeatureStore | StreamedFeatures
    """Of the training utterances, at each speed factor."""
    frames: FrameCounts
    """Of these features, `[speeds, utterances]`."""
    samples: FeatureStore | StreamedFeatures | None
    """Waveforms of the training utterances, if some are to be distorted or features are computed from them in each step."""
    feasible: Flags
    """At which speed factors CTC can align each training utterance, `[speeds, utterances]`."""
    dev: SegmentedUtterances
    dev_features: FeatureStore
    """Of the windows of the dev utterances' segments."""
    computes_on_device: bool = False
    """Whether features are computed where the model is, from `samples`, in each step."""


@dataclass(frozen=True)
class TrainingRun:
    """One run: a model on its device, its data and its settings."""

    model: AcousticModel
    data: TrainingData
    config: FinetuneConfig
    steps: int
    """Number of updates: as set, or the default for this amount of data."""
    batch_s: float
    """Seconds of audio per step and process: as set, or the default for this model."""
    peak_lrs: tuple[float, float]
    """Peak learning rates of the encoder, and of head and added layers: as set, or the defaults for this model."""
    regularizer: SourceRegularizer | None
    out: Path
    accelerator: Accelerator
    fingerprint: Mapping[str, Any]
    """Everything that determines the run; compared before it is resumed."""
    bfloat16: bool
    """Whether the network computes in bfloat16, by the setting or by timing."""

    @property
    def evaluate_every_steps(self) -> int:
        """Steps between evaluations: as set, or a twentieth of all."""
        return self.config.evaluate_every_steps or max(1, self.steps // 20)
