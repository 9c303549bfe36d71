"""CTC and classification losses against brute force over all paths, published values and torch."""

import itertools
import json
import math
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor

from speechxfer.features.batches import Batch
from speechxfer.training.losses import utterance_losses

CTC, CLASSIFY = (SimpleNamespace(task=task) for task in ("ctc", "classify"))


def batch_of(targets: Sequence[Sequence[int]]) -> Batch:
    joined = torch.tensor([symbol for target in targets for symbol in target])
    lengths = torch.tensor([len(target) for target in targets])
    return Batch(tuple(map(str, range(len(targets)))), torch.empty(0), torch.empty(0), joined, lengths)


def ctc(log_probs: Tensor, lengths: Sequence[int], targets: Sequence[Sequence[int]]) -> Tensor:
    return utterance_losses(CTC, log_probs, torch.tensor(lengths), batch_of(targets))


def all_paths_loss(log_probs: np.ndarray, target: Sequence[int]) -> float:
    """-ln of the sum over every path of symbols that reads as `target`; log_probs `[frames, symbols]`."""
    total = 0.0
    for path in itertools.product(range(log_probs.shape[1]), repeat=len(log_probs)):
        read = [symbol for symbol, _ in itertools.groupby(path) if symbol]
        if read == list(target):
            total += math.exp(sum(log_probs[frame, symbol] for frame, symbol in enumerate(path)))
    return -math.log(total) if total else math.inf


@pytest.mark.parametrize("target", [[1], [2, 1], [1, 1], [2, 2, 1], [1, 2, 1]])
def test_ctc_loss_is_the_sum_over_all_paths(target: list[int]) -> None:
    log_probs = torch.randn(1, 5, 3, generator=torch.Generator().manual_seed(len(target))).log_softmax(-1)
    assert ctc(log_probs, [5], [target]).item() == pytest.approx(all_paths_loss(log_probs[0].numpy(), target), rel=1e-5)


def test_an_impossible_text_has_an_infinite_loss_not_a_hidden_zero() -> None:
    assert ctc(torch.zeros(1, 2, 3).log_softmax(-1), [2], [[1, 1]]).item() == math.inf


def test_padding_changes_no_loss() -> None:
    log_probs = torch.randn(3, 6, 4, generator=torch.Generator().manual_seed(0)).log_softmax(-1)
    lengths, targets = [6, 3, 4], [[1, 2, 3], [2], [3, 3]]
    log_probs[1, 3:] = log_probs[2, 4:] = -1e4
    alone = [ctc(log_probs[i : i + 1, :n], [n], [targets[i]]).item() for i, n in enumerate(lengths)]
    assert ctc(log_probs, lengths, targets).tolist() == pytest.approx(alone, rel=1e-6)


def test_ctc_loss_equals_other_libraries(shared_data: Path) -> None:
    """Values printed in the tests of TensorFlow (by Keras), warp-ctc and Keras 3; see the file's own sources."""
    cases = json.loads((shared_data / "refvectors" / "ctc" / "ctc_known_values.json").read_text())["loss"]
    assert len(cases) == 4
    for case in cases:
        values = torch.tensor(case["values"], dtype=torch.float64)
        values = values if case["layout"] == "batch,time,class" else values.transpose(0, 1)
        log_probs = values.log() if case["input"].startswith("probabilities") else values.log_softmax(-1)
        order = [case["blank"], *(i for i in range(values.shape[-1]) if i != case["blank"])]  # our blank comes first
        targets = [[order.index(symbol) for symbol in target] for target in case["targets"]]
        losses = ctc(log_probs[..., order], case["input_lengths"], targets)
        if "expected_nll" in case:
            assert losses.tolist() == pytest.approx(case["expected_nll"], abs=case["tol"]), case["name"]
        else:
            assert losses.sum().item() == pytest.approx(case["expected_sum"], abs=case["tol"]), case["name"]


def test_word_loss_is_cross_entropy_over_the_words() -> None:
    logits = torch.randn(5, 4, generator=torch.Generator().manual_seed(0))
    targets = torch.tensor([1, 2, 3, 1, 2])
    masked = torch.cat([torch.full((5, 1), -math.inf), logits[:, 1:]], dim=1)
    losses = utterance_losses(
        CLASSIFY, masked.log_softmax(-1)[:, None], torch.ones(5), batch_of(targets[:, None].tolist())
    )
    expected = torch.nn.functional.cross_entropy(logits[:, 1:], targets - 1, reduction="none")
    torch.testing.assert_close(losses, expected)
