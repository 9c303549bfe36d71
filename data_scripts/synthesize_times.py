"""Speech with known times: espeak-ng speaks sentences of ``prepare_udhr.py`` and states when each phone begins.

    python -m data_scripts.synthesize_times data/udhr/sentences.tsv data/timed --voice sw --voice tr

What it is: the reference of ``recipes/alignment``, where the times of phones are facts, not estimates. What it is not: natural
speech. Sentences, voices' variants (those of dev), speed, height and phones are as in ``synthesize_multilingual.py``.

Written for each voice: ``VOICE.jsonl``, a manifest whose texts are phones separated by spaces, its audio in the folder
``VOICE``, and ``VOICE.times.jsonl``, the phones of each utterance with their starts (``times.py``). The same arguments give the
same bytes.

What is known, and what is not: espeak-ng reports a plosive or affricate at its release. The digital silence before it is its
closure, so it starts where that silence starts; after a pause its start is unknown. So is the start of the second part of a
diphthong or affricate. A sentence is excluded, and counted, if its phones are not those of its label.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from data_scripts import espeak
from data_scripts.corpus import exit_on_bad_input, path_argument, print_line
from data_scripts.synthesize_multilingual import (
    PAUSE_RANGE_S,
    PITCH_RANGE,
    RATE_RANGE_WPM,
    SAMPLE_RATE_HZ,
    VARIANTS,
    Sentence,
    phones_of,
    read_sentences,
)
from data_scripts.times import TimedUnit, TimedUtterance, write_times
from speechxfer.data import Utterance, digest, write_manifest
from speechxfer.errors import InputError
from speechxfer.text import split_phones

PLOSIVES = frozenset("pbtdʈɖcɟkɡɢqʔɓɗʄɠʛ")
REPLACED = "\N{REPLACEMENT CHARACTER}"


@dataclass(frozen=True)
class TimedPhone:
    """A phone with the sample at which it starts, or None; a pause has an empty text."""

    text: str
    start: int | None


def timed_phones(samples: NDArray[np.int16], spoken: Sequence[espeak.SpokenPhoneme]) -> list[TimedPhone]:
    """Phones and pauses with their starts; equal neighbours are one phone.

    Raises:
        InputError: a phoneme that is not written in IPA.
    """
    loud = np.flatnonzero(samples)
    timed: list[TimedPhone] = []
    for phoneme in spoken:
        phones = split_phones(phoneme.ipa)
        after_pause = not timed or not timed[-1].text
        if not phoneme.ipa and not after_pause:
            timed.append(TimedPhone("", phoneme.start))
        for number, phone in enumerate(phones):
            if timed and timed[-1].text == phone:
                continue
            start = None if number else phoneme.start
            if start is not None and phone in PLOSIVES:
                before = loud[np.searchsorted(loud, start) - 1] + 1 if len(loud) and loud[0] < start else 0
                start = None if after_pause else min(int(before), start)
            timed.append(TimedPhone(phone, start))
    return timed


def synthesize(sentences_tsv: Path, out_dir: Path, *, voice: Sequence[str], sentences: int = 60, seed: int = 0) -> None:
    """Write manifest, audio and times of each voice.

    Raises:
        InputError: a table that is not ``prepare_udhr.py``'s, a voice without sentences in it, fewer than one sentence, or
            espeak-ng is not installed.
    """
    if sentences < 1 or seed < 0:
        raise InputError(f"sentences={sentences}, seed={seed}: expected at least one sentence and a seed of 0 or more")
    rows = read_sentences(sentences_tsv)
    for name in voice:
        own = sorted((row for row in rows if row.voice == name), key=lambda row: digest("times", row.id))[:sentences]
        if not own:
            known = ", ".join(sorted({row.voice for row in rows}))
            raise InputError(f"{sentences_tsv}: no sentence for the voice {name!r}; choose one of: {known}")
        _write_voice(out_dir, name, own, seed)


def _write_voice(out_dir: Path, voice: str, sentences: Sequence[Sentence], seed: int) -> None:
    (out_dir / voice).mkdir(parents=True, exist_ok=True)
    utterances, timed = [], []
    for sentence in sentences:
        random = np.random.default_rng(int(digest(str(seed), "times", sentence.id)[:16], 16))
        variant = str(random.choice(VARIANTS["dev"]))
        rate_wpm, pitch = (int(random.integers(low, high + 1)) for low, high in (RATE_RANGE_WPM, PITCH_RANGE))
        samples, rate_hz, spoken = espeak.speak_timed(sentence.text, f"{voice}+{variant}", rate_wpm, pitch)
        if any(REPLACED in phoneme.ipa for phoneme in spoken):
            continue
        phones = timed_phones(samples, spoken)
        texts = [phone.text for phone in phones if phone.text]
        if texts != phones_of(sentence.text, voice):
            continue
        before, after = (int(random.uniform(*PAUSE_RANGE_S) * SAMPLE_RATE_HZ) for _ in range(2))
        padded = np.pad(soxr.resample(samples, rate_hz, SAMPLE_RATE_HZ), (before, after))
        path = out_dir / voice / f"{sentence.id}.flac"
        soundfile.write(path, padded, SAMPLE_RATE_HZ)
        duration_s = len(padded) / SAMPLE_RATE_HZ
        utterance = Utterance(sentence.id, path, duration_s, " ".join(texts), speaker=variant, lang=sentence.lang)
        utterances.append(utterance)
        offset_s = before / SAMPLE_RATE_HZ
        starts = [None if p.start is None else round(offset_s + p.start / rate_hz, 4) for p in phones]
        units = tuple(TimedUnit(p.text, start) for p, start in zip(phones, starts, strict=True))
        timed.append(TimedUtterance(sentence.id, "words", units))
    if not utterances:
        raise InputError(f"voice {voice!r}: the phones of no sentence are those that espeak-ng says; choose another")
    write_manifest(out_dir / f"{voice}.jsonl", utterances)
    write_times(out_dir / f"{voice}.times.jsonl", timed)
    minutes = sum(utterance.duration for utterance in utterances) / 60
    excluded = len(sentences) - len(utterances)
    print_line(f"{out_dir / voice}.jsonl: {len(utterances)} sentences, {minutes:.1f} min; {excluded} excluded")


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("sentences_tsv", type=path_argument, help="what prepare_udhr.py wrote")
    parser.add_argument("out_dir", type=path_argument)
    parser.add_argument(
        "--voice", action="append", required=True, help="espeak-ng's voice, such as sw; may be repeated"
    )
    parser.add_argument("--sentences", type=int, default=60, help="sentences of each voice (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="another seed, other voices (default: %(default)s)")
    exit_on_bad_input(lambda: synthesize(**vars(parser.parse_args(arguments))))


if __name__ == "__main__":
    main()
