"""Small ELAN projects of tones, for tests of `import` and of the page: recordings with several utterances and their documents."""

from pathlib import Path

import numpy as np
import soundfile

from speechxfer.annotations import Annotation, Interval, Tier, write_annotation
from tests.tone_corpus import RATE_HZ, random_text, tones

LETTERS = "abcd"
PAUSE_S = 0.8


def write_recording(path: Path, texts: list[str], seed: int = 0) -> list[Interval]:
    """Write the texts as one recording, with pauses between them; returns when each is spoken."""
    generator = np.random.default_rng(seed)
    parts, intervals, start_s = [], [], 0.0
    for text in texts:
        samples = tones(text, LETTERS, seed % 3, generator)
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


def write_elan_project(folder: Path, documents: int = 2, utterances: int = 8) -> list[Path]:
    """Write recordings with ELAN documents of two tiers (``tx@ana``, the transcript, and ``ft@ana``); returns all files."""
    files = []
    for number in range(documents):
        texts = random_texts(utterances, seed=number)
        intervals = write_recording(folder / f"story{number}.wav", texts, seed=number)
        duration_s = soundfile.info(folder / f"story{number}.wav").duration
        notes = tuple(Interval(one.start_s, one.end_s, f"note {n}") for n, one in enumerate(intervals[:2]))
        tiers = (Tier("tx@ana", tuple(intervals), "ana"), Tier("ft@ana", notes, "ana"))
        document = folder / f"story{number}.eaf"
        write_annotation(document, Annotation(folder / f"story{number}.wav", duration_s, tiers))
        files += [document, folder / f"story{number}.wav"]
    return files
