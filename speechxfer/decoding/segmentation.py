"""Segmentation of long recordings at pauses."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import soundfile

from speechxfer.data import Utterance, read_audio
from speechxfer.models import AcousticModel

SPEECH_PIECE_S = 20.0
SHORTEST_PIECE_S = 1.0


def file_as_utterances(path: Path, *, duration_s: float, pauses_s: Sequence[tuple[float, float]]) -> list[Utterance]:
    """Cut a recording into pieces of at most `SPEECH_PIECE_S` at its pauses (start, end in seconds).

    The pieces cover it whole; none is shorter than `SHORTEST_PIECE_S` unless the recording is.
    """
    pieces, start = [], 0.0
    while duration_s - start > SPEECH_PIECE_S:
        first, last = start + SHORTEST_PIECE_S, min(start + SPEECH_PIECE_S, duration_s - SHORTEST_PIECE_S)
        inside = [(a + b) / 2 for a, b in pauses_s if first <= (a + b) / 2 <= last]
        end = inside[-1] if inside else last
        pieces.append((start, end))
        start = end
    pieces.append((start, duration_s))
    return [Utterance(f"{path}@{a:.2f}", path, b - a, offset=a) for a, b in pieces]


PAUSE_BELOW_PEAK_DB = 35


def split_at_pauses(path: Path, model: AcousticModel, *, resample: bool, mono: bool) -> list[Utterance]:
    """A recording cut at its pauses (librosa's energy rule)."""
    import librosa

    rate = model.spec.sample_rate_hz
    samples = read_audio(path, sample_rate_hz=rate, resample=resample, mono=mono)
    speech = librosa.effects.split(samples, top_db=PAUSE_BELOW_PEAK_DB)
    pauses = [(float(end) / rate, float(start) / rate) for (_, end), (start, _) in pairwise(speech)]
    info = soundfile.info(str(path))  # of resampled samples the last one may lie beyond the end of the file
    return file_as_utterances(path, duration_s=info.frames / info.samplerate, pauses_s=pauses)
