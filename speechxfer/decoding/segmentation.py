"""Segmentation of long utterances at pauses, so that decoding needs bounded memory.

Self-attention over a whole recording needs memory that grows with the square of its length. Utterances of up to
`MAX_UNSEGMENTED_S` are decoded whole; longer ones are replaced by segments of at most `MAX_SEGMENT_S`, cut in the middle of
pauses. Pauses are found by librosa's energy rule (`librosa.effects.split`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from speechxfer.data import Utterance
from speechxfer.features import AudioOptions, utterance_samples

MAX_UNSEGMENTED_S = 30.0
MAX_SEGMENT_S = 20.0
MIN_SEGMENT_S = 1.0
PAUSE_BELOW_PEAK_DB = 35


@dataclass(frozen=True)
class SegmentedUtterances:
    """Utterances and the segments that are decoded in their place.

    Attributes:
        utterances: as given.
        segments: of all utterances, in their order; a short utterance is its own only segment.
        counts: number of segments of each utterance.
    """

    utterances: tuple[Utterance, ...]
    segments: tuple[Utterance, ...]
    counts: tuple[int, ...]

    def ranges(self) -> Iterator[tuple[Utterance, range]]:
        """Each utterance with the indices of its segments."""
        start = 0
        for utterance, count in zip(self.utterances, self.counts, strict=True):
            yield utterance, range(start, start + count)
            start += count


def segment_utterances(utterances: Sequence[Utterance], audio: AudioOptions) -> SegmentedUtterances:
    """Cut utterances longer than `MAX_UNSEGMENTED_S` at their pauses; the others stay as they are.

    Raises:
        InputError: the audio of a long utterance cannot be read.
    """
    parts = [
        cut_at_pauses(utterance, find_pauses(utterance, audio))
        if utterance.duration > MAX_UNSEGMENTED_S
        else [utterance]
        for utterance in utterances
    ]
    segments = tuple(segment for part in parts for segment in part)
    return SegmentedUtterances(tuple(utterances), segments, tuple(map(len, parts)))


def find_pauses(utterance: Utterance, audio: AudioOptions) -> list[tuple[float, float]]:
    """Start and end of each pause, in seconds from the start of the utterance."""
    import librosa  # slow to import, and only long utterances need it

    samples, rate_hz = utterance_samples(utterance, audio), audio.spec.sample_rate_hz
    speech = librosa.effects.split(samples, top_db=PAUSE_BELOW_PEAK_DB)
    return [(float(end) / rate_hz, float(start) / rate_hz) for (_, end), (start, _) in pairwise(speech)]


def cut_at_pauses(utterance: Utterance, pauses_s: Sequence[tuple[float, float]]) -> list[Utterance]:
    """Cut an utterance into segments of at most `MAX_SEGMENT_S`, each at the last pause that fits (start, end in seconds).

    The segments cover the utterance without gaps; none is shorter than `MIN_SEGMENT_S` unless the utterance is. Where there is
    no pause, segments are as long as allowed. Their ids are ``ID@START`` with the start in seconds; their texts are empty.
    """
    bounds, start = [], 0.0
    while utterance.duration - start > MAX_SEGMENT_S:
        first, last = start + MIN_SEGMENT_S, min(start + MAX_SEGMENT_S, utterance.duration - MIN_SEGMENT_S)
        middles = [(a + b) / 2 for a, b in pauses_s if first <= (a + b) / 2 <= last]
        end = middles[-1] if middles else last
        bounds.append((start, end))
        start = end
    bounds.append((start, utterance.duration))
    return [
        replace(utterance, id=f"{utterance.id}@{a:.2f}", offset=utterance.offset + a, duration=b - a, text="")
        for a, b in bounds
    ]
