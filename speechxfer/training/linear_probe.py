"""Linear probe for `classify`: the best head on the source's encoder, computed instead of trained (closed form).

Logistic regression with an L2 penalty on the pooled outputs of all encoder layers, by L-BFGS. Starting from this head keeps
the pretrained encoder from being distorted by a random one (Kumar et al., 'Fine-tuning can distort pretrained features and
underperform out-of-distribution', arXiv:2202.10054). With a frozen encoder and no added layers it is also the result.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from speechxfer.config import FinetuneConfig
from speechxfer.data import Samples
from speechxfer.decoding import DECODE_FRAMES
from speechxfer.features import collate, plan_batches
from speechxfer.models import AcousticModel, Pooling
from speechxfer.runtime import track
from speechxfer.training.loading import load_features
from speechxfer.training.run import TrainingRun

MAX_INPUTS = 40_000  # recordings times speeds; of more, a random subset of this size is used
SCORE_VARIANCE = 6.0  # prior variance of a word's score: the best for digits of unseen speakers, see recipes/fsdd
ITERATIONS = 100


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
    speeds = [np.flatnonzero(feasible).tolist() for feasible in data.feasible.T]
    fit_linear_probe(run.model, data.frames.tolist(), get_features, speeds, words)


def fit_linear_probe(
    model: AcousticModel,
    frames: Sequence[Sequence[int]],
    get_features: Callable[[int, int], Samples],
    speeds: Sequence[Sequence[int]],
    words: Sequence[int],
) -> None:
    """Set the head, and the statistics of the pooling's norm, to the optimum for these recordings.

    Args:
        model: a `classify` model whose head reads all layers; its encoder stays unchanged.
        frames: `[speed][recording]`, number of feature frames.
        get_features: features `[frames, mels]` of a recording at a speed, by their indices.
        speeds: of each recording, the indices of the speeds that are used.
        words: the symbol of each recording.
    """
    inputs = [(index, speed) for index, indices in enumerate(speeds) for speed in indices]
    if len(inputs) > MAX_INPUTS:
        chosen = np.random.default_rng(0).choice(len(inputs), MAX_INPUTS, replace=False)
        inputs = [inputs[number] for number in sorted(chosen.tolist())]
    if model.pooling is None:
        raise TypeError("fit_linear_probe is for classifiers whose head reads all layers")
    norm = model.pooling.norm
    lengths = [frames[speed][index] for index, speed in inputs]
    vectors = _pool(model, model.pooling, lengths, lambda number: get_features(*inputs[number]))
    targets = torch.tensor([words[index] for index, _ in inputs], device=vectors.device)
    mean, variance = vectors.mean(dim=0), vectors.var(dim=0, correction=0)
    standardised = (vectors - mean) / (variance + norm.eps).sqrt()
    weight, bias = logistic_regression(standardised, targets - 1, model.head.out_features - 1)
    with torch.no_grad():
        norm.get_buffer("running_mean").copy_(mean)
        norm.get_buffer("running_var").copy_(variance)
        model.head.weight[1:].copy_(weight)
        model.head.bias[1:].copy_(bias)


@torch.no_grad()
def _pool(
    model: AcousticModel, pooling: Pooling, frames: Sequence[int], get_features: Callable[[int], Samples]
) -> Tensor:
    """Pooled layer outputs `[recordings, width]` float32, on the model's device; the model's mode is kept."""
    training, device = model.training, model.head.weight.device
    model.eval()
    vectors = torch.empty(len(frames), model.head.in_features, device=device)
    plan = [numbers for [numbers] in plan_batches(frames, DECODE_FRAMES, np.random.default_rng(0))]
    for numbers in track(plan, "linear probe"):
        features = [get_features(number) for number in numbers]
        batch = collate([str(number) for number in numbers], features, [[] for _ in numbers]).to(device)
        layers, lengths = model.encode(batch.features, batch.lengths)
        vectors[numbers] = pooling.pool(model.apply_extra_layers(layers, lengths), lengths)
    model.train(training)
    return vectors


def logistic_regression(inputs: Tensor, classes: Tensor, number: int) -> tuple[Tensor, Tensor]:
    """Weights `[number, width]` and biases `[number]` of the linear model of largest penalised likelihood.

    It minimises the mean cross-entropy plus ``|weights|^2 / (2 C n)``, n the inputs and C `SCORE_VARIANCE` over their width:
    scikit-learn's `LogisticRegression` with that C.

    Args:
        inputs: `[n, width]`, standardised.
        classes: `[n]`, from 0.
    """
    count, width = inputs.shape
    weight = torch.zeros(number, width, device=inputs.device, requires_grad=True)
    bias = torch.zeros(number, device=inputs.device, requires_grad=True)
    optimizer: Any = torch.optim.LBFGS([weight, bias], max_iter=ITERATIONS, line_search_fn="strong_wolfe")
    penalty = width / (2 * SCORE_VARIANCE * count)

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = nn.functional.cross_entropy(inputs @ weight.T + bias, classes) + penalty * weight.square().sum()
        torch.autograd.backward(value)
        return value

    optimizer.step(loss)
    return weight.detach(), bias.detach()
