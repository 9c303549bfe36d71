"""Manifests for KDE's Artikulate courses: words and phrases in Polish, Greek, Bengali and French, one speaker each, 1.4 hours.

Story: native speakers recorded the basic course of the pronunciation trainer Artikulate in 2013.
Address: https://github.com/KDE/artikulate-data
Licence: CC BY-SA 3.0.
Layout: ``courses/basic/<folder>/<folder>.xml`` with ``<phrase>`` elements (``text``, ``soundFile``, ``type``) and the
OGG files that they name beside it; the folder of Bengali is called ``ba``, that of Greek ``gr``. Languages with fewer
than 40 recordings are not read. Of French only what the course calls a word is used: French sentences are test
material elsewhere.

Written: ``unseen`` = Greek, whole; ``dev`` = 20 recordings of every other language, by hash; ``train`` = the others.
Excluded and counted: phrases without a recording, texts with digits, brackets or alternatives, and recordings longer
than 15 s or whose length does not fit the text's.

    python -m data_scripts.prepare_artikulate artikulate-data data/artikulate
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from xml.etree import ElementTree

from data_scripts.corpus import Segment, command_line, enforce_count, measure, one_space, print_line, write_splits
from speechxfer.data import Utterance, digest
from speechxfer.errors import InputError

LANGUAGES = {"pl": "pl", "gr": "el", "ba": "bn", "fr": "fr"}  # folder: language
UNSEEN = "el"
WORDS_ONLY = ("fr",)
DEV_RECORDINGS = 20  # of a language
RECORDINGS = 1836
LONGEST_S = 15.0
NOT_AS_READ = re.compile(r"[\d()\[\]/<>%+=]")
LETTERS_PER_S = (2.0, 22.0)
SILENCE_LETTERS = 6  # what silence around the speech may be worth in letters at the slow rate


def prepare(corpus_dir: Path, out_dir: Path, *, partial: bool = False) -> dict[str, Path]:
    """Write the manifests and return them by split.

    Raises:
        InputError: a course is missing or is no XML, or the counts differ (without `partial`).
    """
    omitted: Counter[str] = Counter()
    segments = []
    for folder, lang in LANGUAGES.items():
        segments += list(_segments(Path(corpus_dir) / "courses" / "basic" / folder, lang, omitted))
    utterances = [item.utterance for item in measure(segments, partial=partial)]
    possible = [utterance for utterance in utterances if _in_time(utterance)]
    omitted["too long, or too many or too few letters for its length"] += len(utterances) - len(possible)
    print_line("excluded: " + ", ".join(f"{count:,} ({reason})" for reason, count in omitted.most_common() if count))
    enforce_count("artikulate: recordings", len(possible), RECORDINGS, partial=partial)
    return write_splits(Path(out_dir), _split(possible))


def _segments(folder: Path, lang: str, omitted: Counter[str]) -> Iterator[Segment]:
    """The phrases of a course that have a recording; a recording that two phrases name is taken once."""
    table = folder / f"{folder.name}.xml"
    try:
        phrases = list(ElementTree.parse(table).iter("phrase"))
    except (OSError, ElementTree.ParseError) as error:
        raise InputError(f"{table}: not a readable course ({error}); expected a clone of artikulate-data") from error
    used = set()
    for phrase in phrases:
        text, file = (one_space(phrase.findtext(tag) or "") for tag in ("text", "soundFile"))
        path = folder / file
        if not file or not path.is_file():
            omitted["no recording"] += 1
        elif file in used:
            omitted["its recording was named before"] += 1
        elif NOT_AS_READ.search(text) or not text:
            omitted["digits, brackets or alternatives"] += 1
        elif lang in WORDS_ONLY and phrase.findtext("type") != "word":
            omitted["French, and not a word"] += 1
        else:
            used.add(file)
            name = f"artikulate-{lang}-{path.stem.strip('{}')}"
            yield Segment(name, path, text, str(table), speaker=f"artikulate-{lang}", lang=lang)


def _in_time(utterance: Utterance) -> bool:
    low, high = LETTERS_PER_S
    letters = sum(character.isalpha() for character in utterance.text)
    fits = utterance.duration * low <= letters + SILENCE_LETTERS and letters <= utterance.duration * high + 2
    return fits and utterance.duration <= LONGEST_S


def _split(utterances: Iterable[Utterance]) -> dict[str, list[Utterance]]:
    splits: dict[str, list[Utterance]] = {"train": [], "dev": [], "unseen": []}
    taken: Counter[str] = Counter()
    for utterance in sorted(utterances, key=lambda utterance: digest("artikulate dev", utterance.id)):
        taken[utterance.lang] += 1
        dev = taken[utterance.lang] <= DEV_RECORDINGS
        splits["unseen" if utterance.lang == UNSEEN else "dev" if dev else "train"].append(utterance)
    return {name: sorted(members, key=lambda utterance: utterance.id) for name, members in splits.items()}


if __name__ == "__main__":
    command_line(prepare, __doc__)
