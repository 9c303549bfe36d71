"""Windows of long utterances, so that encoding needs bounded memory.

Self-attention over a whole recording needs memory that grows with the square of its length. Utterances of up to
`MAX_WHOLE_S` are encoded whole. A longer one is encoded in overlapping windows; of each window the frames around its middle are
kept, so that every frame has at least `CONTEXT_S` of speech on both sides, and the kept frames follow one another without a gap.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from speechxfer.data import Utterance

MAX_WHOLE_S = 30.0
WINDOW_S = 20.0  # of kept frames, at most
CONTEXT_S = 2.0  # on each side of them


@dataclass(frozen=True)
class Window:
    """A part of an utterance that is encoded in one pass.

    Attributes:
        utterance: the part, as an utterance of its own; an utterance that is encoded whole is its own window.
        parent: index of the utterance that it is a part of.
        keep: the window's encoder frames that belong to it alone.
    """

    utterance: Utterance
    parent: int
    keep: slice


def window_utterances(utterances: Sequence[Utterance], frame_s: float) -> list[Window]:
    """The windows of utterances, in their order.

    Args:
        frame_s: seconds per encoder frame; windows start at frames of the utterance.
    """
    windows = []
    for number, utterance in enumerate(utterances):
        if utterance.duration <= MAX_WHOLE_S:
            windows.append(Window(utterance, number, slice(None)))
        else:
            windows += _cut(utterance, number, frame_s)
    return windows


def _cut(utterance: Utterance, number: int, frame_s: float) -> list[Window]:
    frames = math.floor(utterance.duration / frame_s)
    count = math.ceil(utterance.duration / WINDOW_S)
    context = math.ceil(CONTEXT_S / frame_s)
    windows = []
    for index in range(count):
        first, end = (frames * index // count, frames * (index + 1) // count)
        start, last = max(0, first - context), index == count - 1
        offset_s = start * frame_s
        duration_s = utterance.duration - offset_s
        if not last:
            duration_s = min(duration_s, (end + context - start) * frame_s)
        part = replace(
            utterance, id=f"{utterance.id}@{offset_s:.2f}", offset=utterance.offset + offset_s, duration=duration_s
        )
        windows.append(Window(part, number, slice(first - start, None if last else end - start)))
    return windows
