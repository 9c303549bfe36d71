"""Partial loading of weights between networks that do not fully match, for any `nn.Module`, with a report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from speechxfer.errors import InputError


@dataclass(frozen=True)
class MatchReport:
    """What `load_matching` did, by parameter or buffer name; as text, a table."""

    taken: tuple[str, ...]
    resized: tuple[str, ...]
    """Other shape; not changed, except those in `overlap`."""
    missing: tuple[str, ...]
    """In the module, not in the weights; not changed."""
    unexpected: tuple[str, ...]
    """In the weights, not in the module."""
    overlap: tuple[str, ...] = ()
    """Of those in `resized`, the ones whose overlapping part was copied."""

    def __str__(self) -> str:
        parts = [f"taken: {len(self.taken)}"]
        if self.overlap:
            parts.append(_named("other shape, overlap taken", self.overlap))
        parts.append(_named("other shape", [name for name in self.resized if name not in self.overlap]))
        return "; ".join([*parts, _named("missing", self.missing), _named("unexpected", self.unexpected)])


def _named(what: str, names: Sequence[str]) -> str:
    return f"{what}: {len(names)}" + (f" ({', '.join(names)})" if names else "")


@torch.no_grad()
def load_matching(module: nn.Module, state_dict: Mapping[str, Tensor], *, overlap: bool = False) -> MatchReport:
    """Copy the tensors that match by name and shape into any module, and report what was and was not copied.

    Args:
        module: any network; changed in place.
        state_dict: the other network's tensors by name.
        overlap: from a tensor of the same name and number of dimensions but other sizes, copy the part that both have
            (the lowest indices of every dimension). Meaningful only where equal indices mean the same, such as
            the first inputs of a wider input layer; not for the rows of two vocabularies.

    Raises:
        InputError: nothing matches at all, which is never intended.

    Example:
        >>> import speechxfer as sx, torch
        >>> print(sx.load_matching(torch.nn.Linear(4, 3), {"weight": torch.ones(3, 4), "bias": torch.ones(2)}))
        taken: 1; other shape: 1 (bias); missing: 0; unexpected: 0
    """
    own = module.state_dict(keep_vars=True)
    shared = [name for name in own if name in state_dict]
    taken = tuple(name for name in shared if own[name].shape == state_dict[name].shape)
    resized = tuple(name for name in shared if name not in taken)
    sliced = tuple(name for name in resized if overlap and own[name].dim() == state_dict[name].dim())
    if not taken and not sliced:
        raise InputError(
            f"none of the {len(state_dict)} tensors fits this module of {len(own)}; compare the names, for example "
            f"{next(iter(state_dict), 'none')!r} with {next(iter(own), 'none')!r}"
        )
    for name in (*taken, *sliced):
        common = tuple(slice(min(sizes)) for sizes in zip(own[name].shape, state_dict[name].shape, strict=True))
        own[name].data[common].copy_(state_dict[name][common])
    missing = tuple(name for name in own if name not in state_dict)
    unexpected = tuple(name for name in state_dict if name not in own)
    return MatchReport(taken, resized, missing, unexpected, sliced)
