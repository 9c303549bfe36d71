"""A speech corpus in 88 languages, labelled with phones: espeak-ng speaks the sentences of ``prepare_udhr.py``.

    python -m data_scripts.synthesize_multilingual data/udhr/sentences.tsv data/spoken

What it is: material from which an acoustic model learns what phones sound like, whatever the language, without licensed
recordings. What it is not: natural speech; augmentation at training time (`finetune.distortion`) takes it nearer to it.

Every sentence is spoken `takes` times, each time by another variant of espeak-ng's voices at another speed and height.
Written: ``audio/*.flac`` (16 kHz, mono; one file per language and take), ``train.jsonl``; ``dev.jsonl``, a few sentences
of the same languages by voices that are not in train; ``unseen.jsonl``, five languages that are not in train; and
``letters.json``, for every language the phone that each letter of its script most often stands for. Texts are phones
(`speechxfer.text.split_phones`) separated by spaces. The same sentences, number of takes and versions of espeak-ng, soxr
and libsndfile give the same bytes. A sentence is excluded, and counted, if espeak-ng reads part of it as another language.
"""

import argparse
import itertools
import json
import os
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from data_scripts import espeak, spellings
from data_scripts.corpus import exit_on_bad_input, path_argument, print_line, read_lines, write_splits
from data_scripts.letter_phones import estimate_letter_phones
from speechxfer.data import Utterance, digest
from speechxfer.errors import InputError
from speechxfer.runtime import write_atomically
from speechxfer.text import Normalizer, split_phones

SAMPLE_RATE_HZ = 16000
UNSEEN = ("cy", "eu", "ka", "kn", "tr")  # Welsh, Basque, Georgian, Kannada, Turkish
UNSEEN_SENTENCES = 60
DEV_SENTENCES = 4  # a language
RATE_RANGE_WPM = (110, 220)
PITCH_RANGE = (25, 75)
PAUSE_RANGE_S = (0.05, 0.4)  # of digital silence, before and after
TONAL = ("cmn", "vi", "yue")  # there espeak-ng writes tones as digits, a 3 as the look-alike vowel
VARIANTS = {
    "train": (
        "m1", "m2", "m3", "m5", "m6", "m7", "m8", "f1", "f2", "f3", "f5", "Alex", "Alicia", "Andrea", "Annie", "Denis",
        "Diogo", "Gene", "Henrique", "Hugo", "Jacky", "Lee", "Marco", "Mario", "Michael", "Mike", "Nguyen", "Reed",
        "adam", "anika", "antonio", "aunty", "belinda", "benjamin", "boris", "caleb", "david", "ed", "edward", "grandma",
        "grandpa", "ian", "iven", "john", "kaukovalta", "klatt", "klatt2", "klatt3", "klatt4", "klatt5", "linda", "marcelo",
        "max", "michel", "miguel", "norbert", "pablo", "paul", "quincy", "rob", "robert", "sandro", "shelby",
    ),
    "dev": ("m4", "f4", "travis", "victor", "steph", "zac"),
}  # fmt: skip


@dataclass(frozen=True)
class Sentence:
    """A row of ``sentences.tsv``."""

    id: str
    lang: str
    voice: str
    text: str


@dataclass(frozen=True)
class Recording:
    """One take of a language's sentences in one split: what goes into one audio file."""

    name: str
    sentences: tuple[Sentence, ...]
    variants: tuple[str, ...]


def synthesize(sentences_tsv: Path, out_dir: Path, *, takes: int = 2, seed: int = 0) -> None:
    """Write the corpus.

    Raises:
        InputError: a table that is not ``prepare_udhr.py``'s, fewer than one take, or a missing package.
    """
    if takes < 1 or seed < 0:
        raise InputError(f"takes={takes}, seed={seed}: expected at least one take and a seed of 0 or more")
    sentences = read_sentences(sentences_tsv)
    (out_dir / "audio").mkdir(parents=True, exist_ok=True)
    plan = planned(sentences, takes)
    recordings = [recording for recordings in plan.values() for recording in recordings]
    spoken: dict[str, list[Utterance]] = {}
    omitted: Counter[str] = Counter()
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        results = pool.map(_speak, recordings, [out_dir] * len(recordings), [seed] * len(recordings))
        for recording, (utterances, excluded) in zip(
            recordings, track(results, "speaking", total=len(recordings), console=Console(stderr=True)), strict=True
        ):
            spoken[recording.name] = utterances
            omitted.update({recording.sentences[0].lang: excluded} if excluded else {})
    if omitted:
        print_line(f"excluded because part of them is read as another language: {dict(omitted.most_common())}")
    write_letters(out_dir / "letters.json", sentences)  # of unseen languages too: their spelling contains no speech
    write_splits(out_dir, {split: [u for r in plan[split] for u in spoken[r.name]] for split in plan})


def read_sentences(path: Path) -> list[Sentence]:
    """The rows of ``sentences.tsv``; InputError names file and line of one that does not fit."""
    lines = read_lines(path)
    if not lines or lines[0].split("\t") != ["id", "lang", "voice", "text"]:
        raise InputError(f"{path}: expected the columns id, lang, voice, text; make it with prepare_udhr.py")
    sentences = []
    for number, line in enumerate(lines[1:], start=2):
        fields = line.split("\t")
        if len(fields) != 4:
            raise InputError(f"{path}:{number}: {len(fields)} fields; expected id, lang, voice and text")
        sentences.append(Sentence(*fields))
    return sentences


def planned(sentences: Sequence[Sentence], takes: int) -> dict[str, list[Recording]]:
    """Recordings by split; sentences of dev and unseen are in no other split."""
    by_text: defaultdict[str, list[Sentence]] = defaultdict(list)
    for sentence in sentences:
        by_text[sentence.id.rpartition("-")[0]].append(sentence)
    plan: dict[str, list[Recording]] = {"train": [], "dev": [], "unseen": []}
    for key, own in by_text.items():
        shuffled = sorted(own, key=lambda s: digest("dev", s.id))
        if own[0].voice in UNSEEN:
            plan["unseen"].append(Recording(f"{key}-unseen", tuple(shuffled[:UNSEEN_SENTENCES]), VARIANTS["dev"]))
            continue
        plan["dev"].append(Recording(f"{key}-dev", tuple(shuffled[:DEV_SENTENCES]), VARIANTS["dev"]))
        plan["train"] += [
            Recording(f"{key}-{take}", tuple(shuffled[DEV_SENTENCES:]), VARIANTS["train"]) for take in range(takes)
        ]
    return plan


def _speak(recording: Recording, out_dir: Path, seed: int) -> tuple[list[Utterance], int]:
    """Speak a recording's sentences into one file; its utterances, and how many sentences were excluded."""
    pieces: list[NDArray[np.int16]] = []
    utterances: list[Utterance] = []
    path, start = out_dir / "audio" / f"{recording.name}.flac", 0
    for sentence in recording.sentences:
        phones = phones_of(sentence.text, sentence.voice)
        if not phones:
            continue
        random = np.random.default_rng(int(digest(str(seed), recording.name, sentence.id)[:16], 16))
        variant = recording.variants[int(random.integers(len(recording.variants)))]
        samples = _samples(sentence, variant, random)
        utterances.append(
            Utterance(
                id=f"{recording.name}-{sentence.id.rpartition('-')[2]}",
                audio_filepath=path,
                offset=start / SAMPLE_RATE_HZ,
                duration=len(samples) / SAMPLE_RATE_HZ,
                text=" ".join(phones),
                speaker=f"{sentence.voice}-{variant}",
                lang=sentence.lang,
            )
        )
        pieces.append(samples)
        start += len(samples)
    if pieces:
        soundfile.write(path, np.concatenate(pieces), SAMPLE_RATE_HZ)
    return utterances, len(recording.sentences) - len(utterances)


def phones_of(text: str, voice: str, *, real_speech: bool = False) -> list[str]:
    """Phones of a text by `spellings` or espeak-ng; none where a part of it has no rule, or espeak-ng writes no IPA.

    With `real_speech`, espeak-ng's phones are corrected where human pronunciation is known to differ.
    """
    if voice in spellings.LANGUAGES:
        return merge_repeated(split_phones(spellings.read(text, voice)))
    ipa = espeak.phonemes(text, voice, keep_switches=True)
    if "(" in ipa:
        return []
    if voice == "cmn":
        ipa = spellings.mandarin(ipa)
    if real_speech and voice in spellings.CORRECTIONS:
        ipa = spellings.CORRECTIONS[voice](ipa)
    try:
        return merge_repeated(split_phones(ipa.replace("ɜ", "") if voice in TONAL else ipa))
    except InputError:
        return []


def merge_repeated(phones: Sequence[str]) -> list[str]:
    """Equal neighbours become one phone: length is not labelled, whether written as a mark or by doubling."""
    return [phone for phone, _ in itertools.groupby(phones)]


def _samples(sentence: Sentence, variant: str, random: np.random.Generator) -> NDArray[np.int16]:
    """The sentence said at a random speed and height, between two pauses."""
    rate_wpm, pitch = (int(random.integers(low, high + 1)) for low, high in (RATE_RANGE_WPM, PITCH_RANGE))
    spoken, rate_hz = espeak.speak(sentence.text, f"{sentence.voice}+{variant}", rate_wpm, pitch)
    samples = soxr.resample(spoken, rate_hz, SAMPLE_RATE_HZ)
    pauses = [int(random.uniform(*PAUSE_RANGE_S) * SAMPLE_RATE_HZ) for _ in range(2)]
    padded: NDArray[np.int16] = np.pad(samples, pauses)
    return padded


def write_letters(path: Path, sentences: Iterable[Sentence]) -> None:
    """For each language the phone that each letter most often stands for, as JSON: language code to letter to phone."""
    words: defaultdict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    normalizer = Normalizer()
    for sentence in sentences:
        words[sentence.lang, sentence.voice].update(normalizer(sentence.text).split())
    tables = {}
    for (lang, voice), counts in sorted(words.items()):
        spelt = [word for word in counts if all(unicodedata.category(letter)[0] in "LM" for letter in word)]
        with_phones = ((word, phones_of(word, voice), counts[word]) for word in spelt)
        tables[lang] = estimate_letter_phones(with_phones)
    write_atomically(path, json.dumps(tables, ensure_ascii=False, indent=1) + "\n")
    print_line(f"{path}: letters of {len(tables)} languages")


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("sentences_tsv", type=path_argument, help="what prepare_udhr.py wrote")
    parser.add_argument("out_dir", type=path_argument)
    parser.add_argument("--takes", type=int, default=2, help="times each sentence is spoken (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="another seed, other voices (default: %(default)s)")
    exit_on_bad_input(lambda: synthesize(**vars(parser.parse_args(arguments))))


if __name__ == "__main__":
    main()
