"""Manifests for FSDD, the Free Spoken Digit Dataset: English digits, one word a recording, six speakers, 8 kHz.

Story: an open collection of spoken digits; 3,000 recordings in its last version (50 of every digit
by each of six speakers, 0.36 h), trimmed to the word.
Address: https://github.com/Jakobovski/free-spoken-digit-dataset
Licence: Creative Commons Attribution-ShareAlike 4.0 International.
Layout: ``recordings/<digit>_<speaker>_<index>.wav``. The official test set is index 0-4, train is 5-49. A folder with
``transcripts.tsv`` (the same ids, repacked) is read as well.
Cite: Zohar Jackson et al., Free Spoken Digit Dataset, Zenodo.

Written:
    test.jsonl   official: index 0-4, 300 recordings.
    dev.jsonl    index 5-9, held out of the official train (the corpus has no dev set), 300 recordings.
    train.jsonl  the rest of the official train: index 10-49, 2,400 recordings.
    loso_<speaker>/{train,dev,test}.jsonl  leave one speaker out: test is everything of that speaker; of the others dev
                 is index 5-9 and train the rest (0-4 too: not tested there). Only with two or more speakers.
The text is the digit's English word, zero to nine. The corpus may grow: pass --partial for more speakers or recordings.

    python -m data_scripts.prepare_fsdd free-spoken-digit-dataset data/fsdd
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from data_scripts.corpus import (
    Placed,
    Segment,
    command_line,
    enforce_count,
    measure,
    print_line,
    skip,
    wave_files,
    write_splits,
)
from data_scripts.tables import read_repacked
from speechxfer.data import Utterance

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
RECORDINGS = 3000
SPEAKERS = 6
TEST_INDICES = range(0, 5)
DEV_INDICES = range(5, 10)
NAME = re.compile(r"(?P<digit>[0-9])_(?P<speaker>.+)_(?P<index>[0-9]+)")


def prepare(corpus_dir: Path, out_dir: Path, *, partial: bool = False) -> dict[str, Path]:
    """Write the official split and the folds that leave one speaker out, and return the manifests by name.

    Args:
        corpus_dir: the repository as cloned, or a repacked copy with ``transcripts.tsv``.
        out_dir: folder for the manifests.
        partial: accept other counts than the published ones.

    Raises:
        InputError: the layout or the counts are not the published ones.
    """
    corpus_dir, out_dir = Path(corpus_dir), Path(out_dir)
    placed = read_repacked(corpus_dir, lang="en", partial=partial)
    if placed is None:
        placed = _original(corpus_dir, partial=partial)
    utterances = _named(sorted(placed, key=lambda item: item.utterance.id))
    speakers = sorted({utterance.speaker for utterance in utterances})
    enforce_count("fsdd: recordings", len(utterances), RECORDINGS, partial=partial)
    enforce_count("fsdd: speakers", len(speakers), SPEAKERS, partial=partial)
    splits = {
        "train": [u for u in utterances if _index(u) not in TEST_INDICES and _index(u) not in DEV_INDICES],
        "dev": [u for u in utterances if _index(u) in DEV_INDICES],
        "test": [u for u in utterances if _index(u) in TEST_INDICES],
    }
    if len(speakers) > 1:
        for speaker in speakers:
            splits.update(_fold(utterances, speaker))
    else:
        print_line("note: one speaker only: no leave-one-speaker-out folds")
    return write_splits(out_dir, splits)


def _original(corpus_dir: Path, *, partial: bool) -> list[Placed]:
    files = wave_files(corpus_dir / "recordings")
    return measure([Segment(name, path, name, str(path), lang="en") for name, path in files.items()], partial=partial)


def _named(placed: Sequence[Placed]) -> list[Utterance]:
    """The recordings with text and speaker from their names; other names are excluded and printed."""
    utterances = []
    for utterance in (item.utterance for item in placed):
        match = NAME.fullmatch(utterance.id)
        if match is None:
            skip(utterance.id, "its name is not <digit>_<speaker>_<index>")
        else:
            utterances.append(replace(utterance, text=WORDS[int(match["digit"])], speaker=match["speaker"]))
    return utterances


def _index(utterance: Utterance) -> int:
    return int(utterance.id.rsplit("_", 1)[1])


def _fold(utterances: Sequence[Utterance], speaker: str) -> dict[str, list[Utterance]]:
    others = [utterance for utterance in utterances if utterance.speaker != speaker]
    return {
        f"loso_{speaker}/train": [utterance for utterance in others if _index(utterance) not in DEV_INDICES],
        f"loso_{speaker}/dev": [utterance for utterance in others if _index(utterance) in DEV_INDICES],
        f"loso_{speaker}/test": [utterance for utterance in utterances if utterance.speaker == speaker],
    }


if __name__ == "__main__":
    command_line(prepare, __doc__)
