"""The closed-form head: which models start from it, and how it is computed for a run.

A transfer to words starts from the best head on the source's encoder (see ``linear_probe.py``). With a frozen encoder and no
added layers this head is also the result: no gradient steps are taken.
"""

import numpy as np

from speechxfer.config import FinetuneConfig
from speechxfer.data import Samples
from speechxfer.models import AcousticModel
from speechxfer.training.linear_probe import fit_linear_probe
from speechxfer.training.loading import load_features
from speechxfer.training.run import TrainingRun


def starts_from_closed_form_head(model: AcousticModel) -> bool:
    """Whether the initial head is computed: for words, with a head that reads all layers, on a pretrained encoder."""
    return bool(model.pooling and model.parents)


def trains_closed_form_head_only(model: AcousticModel, config: FinetuneConfig) -> bool:
    """Whether that head is all that is trained."""
    added = model.architecture.adapter_dim or model.architecture.extra_layers
    return starts_from_closed_form_head(model) and config.freeze == "encoder" and not added


def fit_closed_form_head(run: TrainingRun) -> None:
    """Compute the head from each training utterance at every feasible speed, a share of them distorted as in training."""

    def get_features(index: int, speed: int) -> Samples:
        return load_features(run, index, speed, np.random.default_rng([run.config.seed, index, speed]))

    data = run.data
    words = [target[0] for target in data.targets]
    fit_linear_probe(run.model, data.features.frames, get_features, data.feasible_speeds, words)
