"""Manifests for Amharic, read: 2.4 hours by two speakers, recorded with the Lig-Aikuma app, 16 kHz mono.

Story: Israel Abebe recorded sentences of the Contemporary Amharic Corpus (Gezmu et al., 2018) in 2020, in the course
on speech recognition that also gave the Yoruba corpus.
Address: https://github.com/IsraelAbebe/Amharic-ASR-Dataset, **branch ``unsplitted``** (``git clone -b unsplitted``)
Licence: MIT.
Layout: ``data/recordings/<session>_amh_<speaker>_elicit/<session>_..._<number>.wav`` and
``data/recordings/amharic.txt``, one sentence a line, which ends in ``##``.

Erratum of the origin, corrected here: on the branch ``master`` (and in ``raw_text_file.txt`` of both) every session
has the texts of the first, so nine tenths of its recordings have the text of another. The sentences were read in the
order of ``amharic.txt``; which line a session began with (`FIRST_LINE`) was found by comparing what a model of phones
recognised with all lines: in each session one offset, and no other, fits (mean distance 0.63 to 0.69; every other
offset 0.74 or more).

Written: train.jsonl, dev.jsonl and test.jsonl (dev and test 60 utterances each, by hash; equal texts share a split).

    python -m data_scripts.prepare_amharic Amharic-ASR-Dataset data/amharic
"""

import re
from pathlib import Path

from data_scripts.corpus import (
    Segment,
    command_line,
    enforce_count,
    measure,
    one_space,
    read_lines,
    skip,
    split_by_text,
    wave_files,
    write_splits,
)
from speechxfer.errors import InputError

FIRST_LINE = {  # session: (first number, line of amharic.txt that number 0 would have), counted from 0
    "100102-021202": ((0, 0),),
    "100102-054802": ((0, 49),),
    "100102-060428": ((0, 98),),
    "100102-063717": ((0, 197),),
    "100102-082603": ((0, 297),),
    "100102-052246": ((0, 397),),
    "100102-214735": ((0, 500),),
    "100103-032808": ((0, 634),),
    "100101-050203": ((0, 735),),
    "200705-124605": ((0, 836),),
    "100101-204215": ((0, 887), (51, 685)),
}
RECORDINGS = 1003
DAMAGED = ("100101-204215_amh_57b_elicit_22", "200705-124605_amh_1b9_elicit_39")  # no sound in the file
HELD_OUT = 60  # utterances of dev, and again of test
NAME = re.compile(r"(?P<session>[0-9]+-[0-9]+)_(?P<speaker>amh_[0-9a-f]+)_elicit_(?P<number>[0-9]+)")


def prepare(corpus_dir: Path, out_dir: Path, *, partial: bool = False) -> dict[str, Path]:
    """Write train, dev and test, and return the manifests by name.

    Raises:
        InputError: the layout or the counts are not those of the branch ``unsplitted``.
    """
    records = Path(corpus_dir) / "data" / "recordings"
    if not records.is_dir():
        raise InputError(f"{records}: no such folder; check out the branch unsplitted: git clone -b unsplitted ...")
    lines = [one_space(line.replace("##", " ")) for line in read_lines(records / "amharic.txt") if line.strip()]
    segments = []
    for folder in sorted(path for path in records.iterdir() if path.is_dir()):
        for name, path in wave_files(folder).items():
            match = NAME.fullmatch(name)
            if match is None or match["session"] not in FIRST_LINE or name in DAMAGED:
                skip(name, "damaged" if name in DAMAGED else "no session whose texts are known")
                continue
            number = int(match["number"])
            line = number + [first for start, first in FIRST_LINE[match["session"]] if number >= start][-1]
            if line >= len(lines):
                skip(name, f"amharic.txt has no line {line + 1}")
                continue
            segments.append(Segment(name, path, lines[line], str(path), speaker=match["speaker"], lang="am"))
    utterances = [item.utterance for item in measure(segments, partial=partial)]
    enforce_count("amharic: utterances", len(utterances), RECORDINGS, partial=partial)
    return write_splits(Path(out_dir), split_by_text(utterances, "amharic", HELD_OUT))


if __name__ == "__main__":
    command_line(prepare, __doc__)
