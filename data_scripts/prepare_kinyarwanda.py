"""Manifests for Kinyarwanda, read: 2.8 hours by one speaker, recorded with the Lig-Aikuma app, 16 kHz mono.

Story: Jean Paul Ishimwe recorded school texts in 2020, in the course on speech recognition that also gave the Yoruba
corpus.
Address: https://github.com/jp-ishimwe/Speech-Kinyarwanda-dataset
Licence: MIT.
Layout: ``{train,val,test}/<session>_kin_60a_elicit_<number>.wav``, ``raw_text_file.txt`` with lines ``<id>:<text>``,
and ``chars.txt`` with lines ``<id> <character number>...`` whose characters are in ``charset.json``. Numbers go
through all sessions, and a number has one text: ``raw_text_file.txt`` has it, or, where it does not, ``chars.txt``,
without punctuation and capitals.

Erratum of the origin, corrected here: in session 200627-233446 the texts are 15 numbers late: recording 500 is text
515. Found by comparing what a model of phones recognised with all texts: of the 421 recordings that resembled any
text, 418 were nearest to the one 15 further on and none to its own. The last 15 recordings of that session have no
text and are excluded.

Written: the origin's splits train.jsonl, dev.jsonl (its val) and test.jsonl.

    python -m data_scripts.prepare_kinyarwanda Speech-Kinyarwanda-dataset data/kinyarwanda
"""

import ast
import re
from pathlib import Path

from data_scripts.corpus import (
    SPLIT_NAMES,
    Segment,
    command_line,
    enforce_count,
    measure,
    one_space,
    print_line,
    read_lines,
    skip,
    wave_files,
    write_splits,
)
from speechxfer.data import Utterance
from speechxfer.errors import InputError

COUNTS = {"train": 459, "dev": 113, "test": 384}
LATE = {"200627-233446": 15}  # session: how far its texts' numbers are ahead of its recordings'
NAME = re.compile(r"(?P<session>[0-9]+-[0-9]+)_(?P<speaker>kin_[0-9a-f]+)_elicit_(?P<number>[0-9]+)")


def prepare(corpus_dir: Path, out_dir: Path, *, partial: bool = False) -> dict[str, Path]:
    """Write train, dev and test, and return the manifests by name.

    Raises:
        InputError: the layout or the counts are not the published ones.
    """
    corpus_dir = Path(corpus_dir)
    texts = _encoded_texts(corpus_dir) | _written_texts(corpus_dir / "raw_text_file.txt")
    print_line(f"{corpus_dir}: {len(texts):,} texts")
    segments = []
    for folder in ("train", "val", "test"):
        for name, path in wave_files(corpus_dir / folder).items():
            match = NAME.fullmatch(name)
            number = int(match["number"]) + LATE.get(match["session"], 0) if match else -1
            if match is None or number not in texts:
                skip(name, "it has no text")
                continue
            split = SPLIT_NAMES[folder]
            segments.append(
                Segment(name, path, texts[number], str(path), split=split, speaker=match["speaker"], lang="rw")
            )
    splits: dict[str, list[Utterance]] = {name: [] for name in COUNTS}
    for item in measure(segments, partial=partial):
        splits[item.split].append(item.utterance)
    for split, count in COUNTS.items():
        enforce_count(f"kinyarwanda: utterances of {split}", len(splits[split]), count, partial=partial)
    return write_splits(Path(out_dir), splits)


def _number(name: str, where: str) -> int:
    match = NAME.fullmatch(name)
    if match is None:
        raise InputError(f"{where}: expected an id <session>_kin_60a_elicit_<number>, found {name!r}: correct the line")
    return int(match["number"])


def _written_texts(path: Path) -> dict[int, str]:
    texts = {}
    for place, line in enumerate(read_lines(path), start=1):
        name, _, text = line.partition(":")
        if text.strip():
            texts[_number(name.strip(), f"{path}:{place}")] = one_space(text)
    return texts


def _encoded_texts(corpus_dir: Path) -> dict[int, str]:
    """Text by number, put together from the numbers of its characters."""
    table, charset = corpus_dir / "chars.txt", corpus_dir / "charset.json"
    try:
        numbers = dict(ast.literal_eval("\n".join(read_lines(charset))))  # a dictionary as Python writes it, not JSON
    except (ValueError, SyntaxError, TypeError) as error:
        raise InputError(
            f"{charset}: expected {{'character': number, ...}} ({error}): fetch the corpus again"
        ) from error
    characters = {str(number): character for character, number in numbers.items()}
    texts = {}
    for place, line in enumerate(read_lines(table), start=1):
        name, _, codes = line.partition(" ")
        unknown = [code for code in codes.split() if code not in characters]
        if unknown:
            raise InputError(
                f"{table}:{place}: {unknown[0]} is no number of {charset.name}: correct or delete the line"
            )
        if codes:
            texts[_number(name, f"{table}:{place}")] = one_space("".join(characters[code] for code in codes.split()))
    return texts


if __name__ == "__main__":
    command_line(prepare, __doc__)
