"""Segmentation of long recordings at pauses, for lines of output of a readable length.

Recordings of up to `MAX_UNSEGMENTED_S` stay whole; longer ones are cut into segments of at most `MAX_SEGMENT_S`, in the middle of
pauses. Pauses are found by librosa's energy rule (`librosa.effects.split`).
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from speechxfer.data import Utterance
from speechxfer.features import AudioOptions, utterance_samples

MAX_UNSEGMENTED_S = 30.0
MAX_SEGMENT_S = 20.0
MIN_SEGMENT_S = 1.0
PAUSE_BELOW_PEAK_DB = 35


def segment_recording(recording: Utterance, audio: AudioOptions) -> list[Utterance]:
    """Cut a recording longer than `MAX_UNSEGMENTED_S` at its pauses; a shorter one stays as it is.

    Raises:
        InputError: the audio of a long recording cannot be read.
    """
    if recording.duration <= MAX_UNSEGMENTED_S:
        return [recording]
    return cut_at_pauses(recording, find_pauses(recording, audio))


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
