"""Small ELAN projects for tests of `import` and of the page: recordings with several utterances and their documents.

They are tones (``tests/tone_corpus.py``), or, for the pictures of the documentation, Swahili spoken by espeak-ng.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from data_scripts import demo_sentences, espeak
from speechxfer.annotations import Annotation, Interval, Tier, write_annotation
from tests.tone_corpus import RATE_HZ, random_text, tones

LETTERS = "abcd"
PAUSE_S = 0.8


Speak = Callable[[str, int], NDArray[np.float32]]
"""Samples of a text, spoken by the voice of this number."""


def play(text: str, voice: int) -> NDArray[np.float32]:
    """A text of `LETTERS` as tones."""
    return tones(text, LETTERS, voice % 3, np.random.default_rng([voice, len(text)]))


def say(text: str, voice: int) -> NDArray[np.float32]:
    """A Swahili text, as espeak-ng speaks it."""
    samples, rate_hz = espeak.speak(text, f"sw+{('f1', 'm3', 'f5')[voice % 3]}", 150, 50)
    return soxr.resample(samples.astype(np.float32) / 2**15, rate_hz, RATE_HZ)


def write_recording(path: Path, texts: Sequence[str], voice: int = 0, speak: Speak = play) -> list[Interval]:
    """Write the texts as one recording, with pauses between them; returns when each is spoken."""
    generator = np.random.default_rng(voice)
    parts, intervals, start_s = [], [], 0.0
    for text in texts:
        samples = speak(text, voice)
        pause = generator.normal(0.0, 0.0005, round(PAUSE_S * RATE_HZ)).astype(np.float32)
        parts += [samples, pause]
        intervals.append(Interval(round(start_s, 3), round(start_s + len(samples) / RATE_HZ, 3), text))
        start_s += (len(samples) + len(pause)) / RATE_HZ
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.concatenate(parts), RATE_HZ, subtype="PCM_16")
    return intervals


def random_texts(count: int, seed: int = 0) -> list[str]:
    """Different texts of a few words each."""
    generator = np.random.default_rng(seed)
    found = dict.fromkeys(random_text(LETTERS, generator, words=(3, 6)) for _ in range(3 * count))
    return list(found)[:count]


def swahili_texts(count: int, seed: int = 0) -> list[str]:
    """Different Swahili sentences."""
    random = Random(seed)
    found = dict.fromkeys(demo_sentences.sentence("sw", random) for _ in range(3 * count))
    return list(found)[:count]


def write_elan_project(folder: Path, documents: int = 2, utterances: int = 8, *, spoken: bool = False) -> list[Path]:
    """Write recordings with ELAN documents of two tiers (``tx@ana``, the transcript, and ``ft@ana``); returns all files.

    Args:
        folder: where.
        documents: how many recordings.
        utterances: in each.
        spoken: Swahili in place of tones.
    """
    files = []
    for number in range(documents):
        texts = (swahili_texts if spoken else random_texts)(utterances, number)
        intervals = write_recording(folder / f"story{number}.wav", texts, number, say if spoken else play)
        duration_s = soundfile.info(folder / f"story{number}.wav").duration
        notes = tuple(Interval(one.start_s, one.end_s, f"note {n}") for n, one in enumerate(intervals[:2]))
        tiers = (Tier("tx@ana", tuple(intervals), "ana"), Tier("ft@ana", notes, "ana"))
        document = folder / f"story{number}.eaf"
        write_annotation(document, Annotation(folder / f"story{number}.wav", duration_s, tiers))
        files += [document, folder / f"story{number}.wav"]
    return files
