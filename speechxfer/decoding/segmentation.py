"""Segmentation of recordings and long utterances: parts cut at pauses, for decoding and for lines of output of a readable length.

What lasts up to `MAX_WHOLE_S` stays whole. In a longer one the parts with speech (``voice_activity.py``) are joined across
short pauses into segments like the utterances of corpora: features are normalised per segment, so that a segment with several
utterances has more errors (``benchmarks/RESULTS.md``). Speech without a pause is never cut: a longer segment is encoded in
overlapping windows (``windows.py``).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from speechxfer.data import Utterance
from speechxfer.decoding.voice_activity import detect_speech
from speechxfer.features import AudioOptions

MAX_WHOLE_S = 30.0
MAX_SEGMENT_S = 20.0
CUT_PAUSE_S = 0.3  # between parts, which are `voice_activity.MARGIN_S` longer than the speech at both ends
SHORTEST_SEGMENT_S = 1.0
PREFERRED_SEGMENT_S = 7.0  # a segment is not cut at a pause before that, unless no later one fits
CLEAR_SHARE = 0.7  # of the longest pause: the last one that is so long is the cut
LONGEST_PAUSE_S = 2.0  # after a short segment
PADDING_S = 1.0  # of the pause that a segment keeps on each side: utterances of corpora have silence at their ends

Part = tuple[float, float]  # start and end in seconds


@dataclass(frozen=True)
class SegmentedUtterances:
    """Utterances and the segments that are decoded in their place.

    Attributes:
        utterances: as given.
        segments: of all utterances, in their order; an utterance of up to `MAX_WHOLE_S` is its own only segment.
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
    """Cut utterances longer than `MAX_WHOLE_S` at their pauses into segments that cover them; the others stay as they are.

    Raises:
        InputError: the audio of a long utterance cannot be read.
    """
    parts = [segment_recording(utterance, audio, skip_silence=False) for utterance in utterances]
    segments = tuple(segment for part in parts for segment in part)
    return SegmentedUtterances(tuple(utterances), segments, tuple(map(len, parts)))


def segment_recording(recording: Utterance, audio: AudioOptions, *, skip_silence: bool = True) -> list[Utterance]:
    """The segments of a recording, in order of time; one of up to `MAX_WHOLE_S` is returned as it is.

    Args:
        recording: a whole recording, or a part of one.
        audio: how it is read.
        skip_silence: segments contain parts with speech only, and there may be none; else they cover the recording.

    Returns:
        Utterances whose ids are ``ID@START`` with the start in seconds, and whose texts are empty.

    Raises:
        InputError: the audio of a long recording cannot be read.
    """
    if recording.duration <= MAX_WHOLE_S:
        return [recording]
    speech = detect_speech(recording, audio)
    groups = group_speech(speech) or ([] if skip_silence else [(0.0, recording.duration)])
    spans = extend(groups, recording.duration, PADDING_S if skip_silence else recording.duration)
    return [
        replace(recording, id=f"{recording.id}@{a:.2f}", offset=recording.offset + a, duration=b - a, text="")
        for a, b in spans
    ]


def group_speech(speech: Sequence[Part]) -> list[Part]:
    """Join parts with speech, in order of time, into segments.

    A pause of `CUT_PAUSE_S` separates segments, unless the one before it is shorter than `SHORTEST_SEGMENT_S` and the pause not
    longer than `LONGEST_PAUSE_S`. Where more than `MAX_SEGMENT_S` has no such pause, the cut is at one of the longest pauses
    after `PREFERRED_SEGMENT_S`, the last of them, or else at the last pause that fits. A longer part stays whole.
    """
    groups: list[Part] = []
    first = 0
    while first < len(speech):
        start, last = speech[first][0], first
        while last + 1 < len(speech) and _belongs(speech, start, last) and speech[last + 1][1] - start <= MAX_SEGMENT_S:
            last += 1
        if last + 1 < len(speech) and _belongs(speech, start, last):
            pauses = {i: speech[i + 1][0] - speech[i][1] for i in range(first, last + 1)}
            late = {i: pause for i, pause in pauses.items() if speech[i][1] - start >= PREFERRED_SEGMENT_S}
            last = max((i for i, pause in late.items() if pause >= CLEAR_SHARE * max(late.values())), default=last)
        groups.append((start, speech[last][1]))
        first = last + 1
    return groups


def _belongs(speech: Sequence[Part], start_s: float, last: int) -> bool:
    """Whether the part after `last` belongs to the segment from `start_s` to the end of `last`, whatever its length."""
    pause_s = speech[last + 1][0] - speech[last][1]
    is_short = speech[last][1] - start_s < SHORTEST_SEGMENT_S
    return pause_s < CUT_PAUSE_S or (is_short and pause_s <= LONGEST_PAUSE_S)


def extend(parts: Sequence[Part], duration_s: float, padding_s: float) -> list[Part]:
    """Extend each part by `padding_s` on both sides, at most to the middle of the pause or the end of the recording."""
    extended = []
    for index, (start, end) in enumerate(parts):
        before = (parts[index - 1][1] + start) / 2 if index else 0.0
        after = (end + parts[index + 1][0]) / 2 if index + 1 < len(parts) else duration_s
        extended.append((max(before, start - padding_s), min(after, end + padding_s)))
    return extended
