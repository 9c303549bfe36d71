"""Masks of padded batches."""

import torch
from torch import Tensor


def padding_mask(lengths: Tensor, frames: int) -> Tensor:
    """Boolean `[batch, frames]`, true where a frame belongs to the utterance."""
    return torch.arange(frames, device=lengths.device)[None, :] < lengths[:, None]
