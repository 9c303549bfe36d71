"""A language of tones: every letter is a tone of its own pitch, so a small model learns to read it in seconds.

What it is: a writer of small synthetic corpora (WAV, 16 kHz, mono) with manifests, for tests of training and decoding
that need no data. What it is not: speech. Speakers differ in timbre (their harmonics), loudness and tempo; letters stand
`LETTER_S` long with a short silence after each and a longer one, the space, after each word. Same arguments, same bytes.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile

from speechxfer.data.manifest import Utterance, write_manifest

RATE_HZ = 16_000
LOWEST_HZ = 260.0
STEP = 1.26  # ratio of neighbouring letters' pitches: some four semitones, several mel bands apart
LETTER_S = 0.11
GAP_S = 0.05
SPACE_S = 0.16


def pitches(letters: str) -> dict[str, float]:
    """Hertz of each letter, rising in the order given."""
    return {letter: LOWEST_HZ * STEP**number for number, letter in enumerate(letters)}


def tones(text: str, letters: str, speaker: int, generator: np.random.Generator) -> np.ndarray:
    """float32 `[samples]`: the text as this speaker plays it."""
    timbre = np.array([1.0, 0.5 / (speaker + 1), 0.15 * speaker])
    level = generator.uniform(0.1, 0.3) / timbre.sum()
    tempo = (0.92, 1.0, 1.08)[speaker % 3]
    hz = pitches(letters)
    parts = [np.zeros(round(GAP_S * RATE_HZ))]
    for character in text:
        if character == " ":
            parts.append(np.zeros(round((SPACE_S - GAP_S) * RATE_HZ)))
            continue
        time_s = np.arange(round(LETTER_S / tempo * RATE_HZ)) / RATE_HZ
        ramp = np.minimum(1.0, np.minimum(time_s, time_s[::-1]) / 0.01)
        waves = [a * np.sin(2 * np.pi * hz[character] * k * time_s) for k, a in enumerate(timbre, start=1)]
        parts += [level * ramp * np.sum(waves, axis=0), np.zeros(round(GAP_S / tempo * RATE_HZ))]
    samples = np.concatenate(parts)
    return (samples + generator.normal(0.0, 0.001, len(samples))).astype(np.float32)


def random_text(letters: str, generator: np.random.Generator, *, words: Sequence[int], letters_in_word: int = 3) -> str:
    """Some words of one to `letters_in_word` letters each."""
    count = generator.integers(words[0], words[1] + 1)
    lengths = generator.integers(1, letters_in_word + 1, size=count)
    return " ".join("".join(generator.choice(list(letters), size=length)) for length in lengths)


def write_tone_corpus(
    manifest: Path,
    utterances: int,
    *,
    letters: str = "abcdef",
    seed: int = 0,
    words: Sequence[int] = (2, 5),
    letters_in_word: int = 3,
    speakers: int = 3,
) -> list[Utterance]:
    """Write `utterances` WAV files into a folder beside `manifest`, and the manifest; returns what it holds.

    The order of `letters` decides their pitches. Each letter occurs in the first utterances, so that no vocabulary lacks one.
    """
    generator = np.random.default_rng([seed, len(letters)])
    folder = manifest.parent / manifest.stem
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for number in range(utterances):
        speaker = number % speakers
        text = random_text(letters, generator, words=words, letters_in_word=letters_in_word)
        if words[1] > 1 and number < len(letters):
            text = f"{letters[number]} {text}"
        samples = tones(text, letters, speaker, generator)
        path = folder / f"{manifest.stem}{number:03d}.wav"
        soundfile.write(str(path), samples, RATE_HZ, subtype="PCM_16")
        rows.append(Utterance(path.stem, path, len(samples) / RATE_HZ, text, speaker=f"player{speaker}", lang="tones"))
    write_manifest(manifest, rows)
    return rows
