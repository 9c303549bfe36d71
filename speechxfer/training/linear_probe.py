"""Words: the best head on an encoder as it is, computed instead of trained.

Logistic regression with an L2 penalty on what `Pooling` gathers, by L-BFGS: a linear probe. A transfer to words starts from
there, and where nothing but the head learns it ends there: what is known of other voices stays whole (Kumar et al.,
'Fine-tuning can distort pretrained features and underperform out-of-distribution', arXiv:2202.10054). What it is not: for
transcribing, whose head is filled by symbols (see ``transfer.py``).
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from speechxfer.data import Samples
from speechxfer.decoding import DECODE_FRAMES
from speechxfer.features import collate, plan_batches
from speechxfer.models import AcousticModel, Pooling
from speechxfer.runtime import track

MOST_RECORDINGS = 40_000  # recordings times speeds: of more, so many are drawn
SCORE_VARIANCE = (
    6.0  # what the penalty expects of a word's score: best on digits of speakers left out, see recipes/fsdd
)
ITERATIONS = 100


def fit_words(
    model: AcousticModel,
    frames: Sequence[Sequence[int]],
    heard: Callable[[int, int], Samples],
    usable_speeds: Sequence[Sequence[int]],
    words: Sequence[int],
) -> None:
    """Set the head, and the statistics of the pooling below it, to the best for these recordings on the resting encoder.

    Args:
        model: a `classify` model whose head reads all layers; where it is, its encoder untouched.
        frames: `[speed][recording]`, how many each has at each speed.
        heard: features `[frames, mels]` of a recording at a speed, by their numbers; each usable one counts for itself.
        usable_speeds: numbers of the speeds, for each recording.
        words: the symbol of each recording.
    """
    every = [(index, speed) for index, speeds in enumerate(usable_speeds) for speed in speeds]
    if len(every) > MOST_RECORDINGS:
        kept = np.random.default_rng(0).choice(len(every), MOST_RECORDINGS, replace=False)
        every = [every[number] for number in sorted(kept.tolist())]
    if model.pooling is None:
        raise TypeError("fit_words is for models of words whose head reads all layers")
    norm = model.pooling.norm
    lengths = [frames[speed][index] for index, speed in every]
    vectors = _gather(model, model.pooling, lengths, lambda number: heard(*every[number]))
    targets = torch.tensor([words[index] for index, _ in every], device=vectors.device)
    mean, variance = vectors.mean(dim=0), vectors.var(dim=0, correction=0)
    standard = (vectors - mean) / (variance + norm.eps).sqrt()
    weight, bias = logistic_regression(standard, targets - 1, model.head.out_features - 1)
    with torch.no_grad():
        norm.get_buffer("running_mean").copy_(mean)
        norm.get_buffer("running_var").copy_(variance)
        model.head.weight[1:].copy_(weight)
        model.head.bias[1:].copy_(bias)


@torch.no_grad()
def _gather(model: AcousticModel, pooling: Pooling, frames: Sequence[int], heard: Callable[[int], Samples]) -> Tensor:
    """`[recordings, width]` float32 of recordings of so many frames each, where the model is; its mode stays."""
    training, device = model.training, model.head.weight.device
    model.eval()
    vectors = torch.empty(len(frames), model.head.in_features, device=device)
    plan = [numbers for [numbers] in plan_batches(frames, DECODE_FRAMES, np.random.default_rng(0))]
    for numbers in track(plan, "probing"):
        features = [heard(number) for number in numbers]
        batch = collate([str(number) for number in numbers], features, [[] for _ in numbers]).to(device)
        layers, lengths = model.encode(batch.features, batch.lengths)
        vectors[numbers] = pooling.pool(model.apply_extra_layers(layers, lengths), lengths)
    model.train(training)
    return vectors


def logistic_regression(inputs: Tensor, classes: Tensor, number: int) -> tuple[Tensor, Tensor]:
    """Weights `[number, width]` and biases `[number]` of the penalised likeliest linear model.

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
