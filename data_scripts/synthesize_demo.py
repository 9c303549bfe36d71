"""A small synthetic speech corpus in a language of your choice: espeak-ng speaks sentences that a grammar generates.

    python -m data_scripts.synthesize_demo sw exp/demo/data

writes ``audio/*.flac`` (16 kHz, mono, 16 bit) and ``train.jsonl`` (about 10 minutes in Swahili), ``dev.jsonl`` and
``test.jsonl``. Data for the demo and for smoke tests, without any download. A word error rate on it
shows that the parts work together, not how good a model is on real speech.

No sentence and no voice is in two splits: dev and test are spoken by variants that are not in train. White to
dull noise is added, 15 to 30 dB below the speech. The same language, number and seed give the same bytes with the same
versions of espeak-ng, num2words, NumPy, soxr and libsndfile. Sentences: ``demo_sentences.py``.
"""

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from data_scripts import demo_sentences, espeak
from data_scripts.corpus import exit_on_bad_input, path_argument, print_line, write_splits
from speechxfer.data import Utterance, total_duration_s
from speechxfer.errors import InputError

SAMPLE_RATE_HZ = 16000
PAUSE_RANGE_S = (0.1, 0.3)  # before and after the speech; noise alone
PEAK_RANGE = (0.3, 0.75)  # of full scale, speech alone
SNR_RANGE_DB = (15.0, 30.0)
SHARES = {"dev": 0.15, "test": 0.3}  # utterances, relative to train
MOST_TRIES = 200  # draws in a row that give no new sentence: then the grammar is taken to be exhausted


@dataclass(frozen=True)
class Speaker:
    """A variant of espeak-ng's voice, its height (0 to 100) and its speed in words per minute."""

    variant: str
    pitch: int
    rate_wpm: int


SPEAKERS = {
    "train": (
        Speaker("m1", 45, 150), Speaker("f1", 50, 160), Speaker("m3", 50, 175), Speaker("f3", 45, 150),
        Speaker("m7", 55, 165), Speaker("linda", 45, 170), Speaker("m8", 50, 140), Speaker("f5", 40, 155),
    ),
    "dev": (Speaker("m5", 50, 155), Speaker("f2", 45, 165)),
    "test": (Speaker("m4", 55, 160), Speaker("f4", 50, 150), Speaker("m2", 40, 170), Speaker("steph", 45, 160)),
}  # fmt: skip


def synthesize(language: str, out_dir: Path, *, sentences: int = 180, seed: int = 0) -> None:
    """Write a corpus of synthetic speech with the splits train, dev and test.

    Args:
        language: one of `demo_sentences.languages`, e.g. ``"sw"`` or ``"cy"``.
        out_dir: folder for ``audio/`` and the three manifests; files of the same names are replaced.
        sentences: utterances in train; dev has 15 % and test 30 % as many on top.
        seed: another seed gives other sentences and other noise.

    Raises:
        InputError: a language without sentences, fewer than 10 sentences or more than the grammar can make, a negative
            seed, a folder that cannot be made, or a missing package.
    """
    texts = _split_sentences(language, sentences, seed)
    audio_dir = out_dir / "audio"
    try:
        audio_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{audio_dir}: no such folder can be made ({error.strerror}); name another") from error
    jobs = [(split, index) for split in texts for index in range(len(texts[split]))]
    splits: dict[str, list[Utterance]] = {split: [] for split in texts}
    started_s = time.perf_counter()
    name = espeak.voices()[language]
    for split, index in track(jobs, f"speaking {name}", console=Console(stderr=True)):
        speakers, random = SPEAKERS[split], np.random.default_rng([seed, tuple(SPEAKERS).index(split), index])
        path = audio_dir / f"{language}-{split}-{index:04d}.flac"
        splits[split].append(_record(texts[split][index], language, speakers[index % len(speakers)], path, random))
    taken_s = time.perf_counter() - started_s
    spoken_s = sum(total_duration_s(utterances) for utterances in splits.values())
    print_line(f"{spoken_s / 60:.1f} minutes of {name} spoken in {taken_s:.1f} s: {spoken_s / taken_s:.0f} x real time")
    write_splits(out_dir, splits)


# --------------------------------------------------------------------------------------------------------- sentences
def _split_sentences(language: str, sentences: int, seed: int) -> dict[str, list[str]]:
    """Sentences by split, none twice; dev and test hold no character that train lacks."""
    if language not in demo_sentences.languages():
        raise InputError(
            f"language {language!r}: the demo has no sentences for it; choose one of: "
            + ", ".join(demo_sentences.languages())
        )
    if sentences < 10 or seed < 0:
        raise InputError(f"sentences={sentences}, seed={seed}: expected at least 10 sentences and a seed of 0 or more")
    source = _unique_sentences(language, Random(f"{language} {seed}"))
    texts = {"train": [next(source) for _ in range(sentences)]}
    known = set().union(*texts["train"])
    covered = (text for text in source if known.issuperset(text))
    for split, share in SHARES.items():
        texts[split] = [next(covered) for _ in range(round(sentences * share))]
    return texts


def _unique_sentences(language: str, random: Random) -> Iterator[str]:
    """Sentences without end, none twice.

    Raises:
        InputError: when only sentences come that were there before.
    """
    seen: set[str] = set()
    while True:
        for _ in range(MOST_TRIES):
            text = demo_sentences.sentence(language, random)
            if text not in seen:
                break
        else:
            raise InputError(
                f"the grammar for {language!r} ran dry after {len(seen)} different sentences; expected enough for "
                "three splits: ask for fewer"
            )
        seen.add(text)
        yield text


# ------------------------------------------------------------------------------------------------------------- sound
def _record(text: str, language: str, speaker: Speaker, path: Path, random: np.random.Generator) -> Utterance:
    """Let `speaker` say `text` into a FLAC file."""
    samples, rate_hz = espeak.speak(text, f"{language}+{speaker.variant}", speaker.rate_wpm, speaker.pitch)
    speech = soxr.resample(samples.astype(np.float64) / 32768, rate_hz, SAMPLE_RATE_HZ)
    recording = np.round(_with_noise(speech, random) * 32767).astype(np.int16)
    soundfile.write(path, recording, SAMPLE_RATE_HZ)
    return Utterance(
        id=path.stem,
        audio_filepath=path,
        duration=len(recording) / SAMPLE_RATE_HZ,
        text=text,
        speaker=f"{language}-{speaker.variant}",
        lang=language,
    )


def _with_noise(speech: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.float64]:
    """Speech at a random level between two pauses, with random noise over all of it: ``[samples]``, within [-1, 1]."""
    level = random.uniform(*PEAK_RANGE) / np.abs(speech).max()
    before, after = (int(random.uniform(*PAUSE_RANGE_S) * SAMPLE_RATE_HZ) for _ in range(2))
    clean = np.pad(speech * level, (before, after))
    noise = random.standard_normal(len(clean) + 1)
    noise = noise[1:] + random.uniform(0.0, 1.0) * noise[:-1]  # white (0) to low-passed (1)
    wanted_rms = np.sqrt(np.mean((speech * level) ** 2)) * 10 ** (-random.uniform(*SNR_RANGE_DB) / 20)
    noisy: NDArray[np.float64] = clean + noise * (wanted_rms / np.sqrt(np.mean(noise**2)))
    return np.clip(noisy, -1.0, 1.0)


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument(
        "language", nargs="?", default="cy",
        help=f"one of: {', '.join(demo_sentences.languages())} (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "out_dir", nargs="?", type=path_argument, default=Path("exp/demo/data"), help="default: %(default)s"
    )
    parser.add_argument("--sentences", type=int, default=180, help="utterances in train (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="another seed, another corpus (default: %(default)s)")
    exit_on_bad_input(lambda: synthesize(**vars(parser.parse_args(arguments))))


if __name__ == "__main__":
    main()
