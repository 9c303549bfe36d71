"""CTC feasibility: how many frames CTC needs for a text, and how many frames a recording gives.

Sources: Graves et al., 'Connectionist temporal classification' (ICML 2006); Kaldi's ``feature-window.cc`` (snip-edges) for
the number of frames.
"""

import math
import operator
from collections.abc import Sequence


def ctc_frames_needed(symbols: Sequence[int]) -> int:
    """Fewest frames with which CTC can align these symbols: one for each, and one for a blank between equal neighbours."""
    repeats: int = sum(map(operator.eq, symbols, symbols[1:]))
    return len(symbols) + repeats


def kaldi_frames(samples: int) -> int:
    """Number of whole frames of 25 ms every 10 ms in this number of samples at 16 kHz (Kaldi's snip-edges)."""
    return 0 if samples < 400 else 1 + (samples - 400) // 160


def subsampled_frames(frames: int, factor: int = 4) -> int:
    """Frames after subsampling by `factor` (1, 2, 4, 8, ...): each stage keeps every second frame, from the first on."""
    while factor > 1:
        frames, factor = (frames + 1) // 2, factor // 2
    return frames


def resampled_count(samples: int, from_hz: float, to_hz: float) -> int:
    """Samples after resampling, rounded up as ``librosa.resample`` does."""
    return samples if from_hz == to_hz else math.ceil(samples * (to_hz / from_hz))
