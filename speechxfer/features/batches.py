"""Padded batches: planned by length under a budget of frames, collated, loaded in the background.

Every utterance is used once per epoch, however small the corpus; every process gets the same number of steps; the plan
is a function of (seed, epoch) alone, so a resumed run finds its place by recomputing it. Targets are concatenated, never
padded, so no padding value can reach a loss. Threads load for a CPU, processes for a GPU, which waits for threads of one
interpreter.
"""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from speechxfer.data import Samples
from speechxfer.errors import InputError

Planned = TypeVar("Planned")
Loaded = TypeVar("Loaded")
LOADED_AHEAD = 8  # batches
LOADING_THREADS = max(1, (os.cpu_count() or 1) - 1)


@dataclass(frozen=True)
class Batch:
    """Padded features of some utterances and their concatenated targets."""

    ids: tuple[str, ...]
    features: Tensor
    """float32 `[batch, frames, mels]`, zero beyond each utterance's length."""
    lengths: Tensor
    """int64 `[batch]`, in frames; on the CPU, where the CTC loss reads them."""
    targets: Tensor
    """int64 `[sum(target_lengths)]`: the utterances' symbols one after the other."""
    target_lengths: Tensor
    """int64 `[batch]`, on the CPU."""

    def to(self, device: torch.device) -> "Batch":
        """The same batch with features and targets on a device."""
        features, targets = (each.to(device, non_blocking=True) for each in (self.features, self.targets))
        return replace(self, features=features, targets=targets)

    def pin_memory(self) -> "Batch":
        """The same batch in memory from which a GPU can copy while the program goes on; torch's loader calls this."""
        tensors = (self.features, self.lengths, self.targets, self.target_lengths)
        return Batch(self.ids, *(tensor.pin_memory() for tensor in tensors))


def plan_batches(
    frames: Sequence[int], budget_frames: int, generator: np.random.Generator, *, processes: int = 1
) -> list[list[list[int]]]:
    """Cut utterances of these lengths into steps of one batch per process.

    Neighbours in length share a batch of at most `budget_frames` padded frames; an utterance longer than that is a batch
    of its own. Each index from 0 to len(frames) - 1 occurs exactly once. The one exception to the budget: where there are
    too few utterances to give every process one in the last step, the smallest batches are joined instead.

    Returns:
        `[step][process]` lists of indices; every step has `processes` non-empty batches of similar length.

    Raises:
        InputError: fewer utterances than processes.
    """
    if len(frames) < processes:
        raise InputError(f"{len(frames)} utterances are too few for {processes} processes; start at most {len(frames)}")
    jitter = generator.uniform(0.95, 1.05, size=len(frames))
    order = np.argsort(np.asarray(frames) * jitter, kind="stable")
    batches = _cut(order.tolist(), frames, budget_frames)
    wanted = min(-(-len(batches) // processes), len(frames) // processes) * processes
    while len(batches) < wanted:
        widest = max(range(len(batches)), key=lambda i: len(batches[i]))
        half = len(batches[widest]) // 2
        batches[widest : widest + 1] = [batches[widest][:half], batches[widest][half:]]
    while len(batches) > wanted:
        batches[:2] = [batches[0] + batches[1]]
    steps = [batches[i : i + processes] for i in range(0, len(batches), processes)]
    return [steps[i] for i in generator.permutation(len(steps))]


def _cut(order: Sequence[int], frames: Sequence[int], budget_frames: int) -> list[list[int]]:
    batches: list[list[int]] = [[]]
    longest = 0
    for index in order:
        longest = max(longest, frames[index])
        if batches[-1] and longest * (len(batches[-1]) + 1) > budget_frames:
            batches.append([])
            longest = frames[index]
        batches[-1].append(index)
    return batches


def load_in_background(
    load: Callable[[Planned], Loaded], planned: Iterable[Planned], *, processes: int = 0
) -> Iterator[Loaded]:
    """`load(item)` for each planned item, in order; the next few are loaded while the caller works.

    Items are taken from `planned` as they are needed, so it may run over all epochs of a training.

    Args:
        processes: that load into memory from which a GPU can copy (see `Batch.pin_memory`); 0: threads load.
    """
    if processes:
        loader = DataLoader(
            _Loading(load),
            batch_size=None,
            sampler=planned,
            num_workers=processes,
            multiprocessing_context="fork",
            pin_memory=torch.cuda.is_available(),
        )
        for item in loader:
            if isinstance(item, InputError):
                raise item
            yield item
        return
    with ThreadPoolExecutor(LOADING_THREADS) as pool:
        ahead: deque[Future[Loaded]] = deque()
        try:
            for item in planned:
                ahead.append(pool.submit(load, item))
                if len(ahead) > LOADED_AHEAD:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            for future in ahead:
                future.cancel()


class _Loading(Dataset[object], Generic[Planned]):
    """`load` as a dataset whose indices are planned items; returns an InputError, whose text torch's loader would change."""

    def __init__(self, load: Callable[[Planned], object]) -> None:
        self.load = load

    def __getitem__(self, item: Planned) -> object:
        try:
            return self.load(item)
        except InputError as error:
            return error


def padding_mask(lengths: Tensor, frames: int) -> Tensor:
    """Boolean `[batch, frames]`, true where a frame belongs to the utterance."""
    return torch.arange(frames, device=lengths.device)[None, :] < lengths[:, None]


def collate(ids: Sequence[str], features: Sequence[Samples], targets: Sequence[Sequence[int]]) -> Batch:
    """Pad features `[frames, mels]` of several utterances with zeros and join their targets."""
    lengths = torch.tensor([len(values) for values in features])
    padded = torch.zeros(len(features), int(lengths.max()), features[0].shape[1])
    for row, values in enumerate(features):
        padded[row, : len(values)] = torch.from_numpy(values)
    joined = torch.tensor([symbol for target in targets for symbol in target], dtype=torch.long)
    return Batch(tuple(ids), padded, lengths, joined, torch.tensor([len(target) for target in targets]))
