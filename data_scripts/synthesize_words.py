"""More speakers for a small vocabulary: every text of a manifest spoken by synthetic voices.

    python -m data_scripts.synthesize_words data/train.jsonl data/spoken.jsonl --voice en-us --voice en-gb --takes 200

Additional training speech for corpora with few speakers: espeak-ng's voices, at random rates and pitches, trimmed to the word as
such corpora are, at the sampling rate of the manifest's first recording (up to 16 kHz), so that telephone speech is supplemented
at its own bandwidth. It is no test set. The same manifest, options and seed give the same bytes. The audio
goes into a folder beside the new manifest, with the same name.
"""

import argparse
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from data_scripts import espeak
from data_scripts.corpus import exit_on_bad_input, path_argument, print_line
from data_scripts.synthesize_multilingual import PITCH_RANGE, RATE_RANGE_WPM, SAMPLE_RATE_HZ, VARIANTS
from speechxfer.data import Utterance, digest, read_audio_header, read_manifest, write_manifest
from speechxfer.errors import InputError

SILENCE_PEAK = 0.01  # of full scale; quieter samples at both ends are trimmed
MARGIN_S = 0.02  # kept on both sides of the speech


def synthesize(manifest: Path, out: Path, *, voice: Sequence[str], takes: int = 200, seed: int = 0) -> None:
    """Write `out`, each distinct text of `manifest` spoken `takes` times, and its audio.

    Raises:
        InputError: a bad manifest, its first recording cannot be read, fewer than one take, an unknown voice, or espeak-ng is
            not installed.
    """
    if takes < 1 or seed < 0:
        raise InputError(f"takes={takes}, seed={seed}: expected at least one take and a seed of 0 or more")
    utterances = read_manifest(manifest)
    texts = sorted({utterance.text for utterance in utterances})
    rate_hz = min(read_audio_header(utterances[0].audio_filepath).rate_hz, SAMPLE_RATE_HZ)
    folder = out.parent / out.stem
    folder.mkdir(parents=True, exist_ok=True)
    numbers = range(len(texts))
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        results = pool.map(
            _say,
            numbers,
            texts,
            [tuple(voice)] * len(texts),
            [takes] * len(texts),
            [seed] * len(texts),
            [folder] * len(texts),
            [rate_hz] * len(texts),
        )
        spoken = list(track(results, "speaking", total=len(texts), console=Console(stderr=True)))
    write_manifest(out, [utterance for utterances in spoken for utterance in utterances])
    print_line(f"{out}: {len(texts)} texts, {takes} takes each")


def _say(
    number: int, text: str, voices: Sequence[str], takes: int, seed: int, folder: Path, rate_hz: int
) -> list[Utterance]:
    """All takes of one text, in one file of this rate."""
    path, start = folder / f"{number:04d}.flac", 0
    pieces, utterances = [], []
    for take in range(takes):
        random = np.random.default_rng(int(digest(str(seed), text, str(take))[:16], 16))
        voice = f"{random.choice(voices)}+{random.choice(VARIANTS['train'])}"
        rate_wpm, pitch = (int(random.integers(low, high + 1)) for low, high in (RATE_RANGE_WPM, PITCH_RANGE))
        samples = _trimmed(*espeak.speak(text, voice, rate_wpm, pitch), rate_hz)
        utterances.append(
            Utterance(
                id=f"{folder.name}-{number:04d}-{take}",
                audio_filepath=path,
                offset=start / rate_hz,
                duration=len(samples) / rate_hz,
                text=text,
                speaker=voice,
                lang=voice.split("-")[0],
            )
        )
        pieces.append(samples)
        start += len(samples)
    soundfile.write(path, np.concatenate(pieces), rate_hz)
    return utterances


def _trimmed(samples: NDArray[np.int16], from_hz: int, to_hz: int) -> NDArray[np.int16]:
    """At the other rate, without the silence at both ends."""
    at_rate: NDArray[np.int16] = soxr.resample(samples, from_hz, to_hz)
    loud = np.flatnonzero(np.abs(at_rate.astype(np.int32)) > SILENCE_PEAK * 2**15)
    if not len(loud):
        return at_rate
    margin = round(MARGIN_S * to_hz)
    return at_rate[max(0, loud[0] - margin) : loud[-1] + margin]


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("manifest", type=path_argument, help="manifest whose texts are spoken")
    parser.add_argument("out", type=path_argument, help="manifest to write")
    parser.add_argument(
        "--voice", action="append", required=True, help="espeak-ng's voice, such as en-us; may be repeated"
    )
    parser.add_argument("--takes", type=int, default=200, help="recordings of each text (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="another seed, other voices (default: %(default)s)")
    exit_on_bad_input(lambda: synthesize(**vars(parser.parse_args(arguments))))


if __name__ == "__main__":
    main()
