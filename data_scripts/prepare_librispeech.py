"""Manifests for LibriSpeech: read English audiobooks, 16 kHz FLAC, up to 960 hours of training speech.

Story: chapters of LibriVox volunteers cut into sentences and aligned with their books; 2,484 speakers.
Address: https://www.openslr.org/12
Licence: CC BY 4.0.
Layout: ``LibriSpeech/<part>/<speaker>/<chapter>/<speaker>-<chapter>-<number>.flac``, and beside them
``<speaker>-<chapter>.trans.txt`` with lines ``<id> TEXT IN UPPER CASE``. The folder ``LibriSpeech`` or the one above it.
Cite: Panayotov et al., 'Librispeech: an ASR corpus based on public domain audio books', ICASSP 2015.

Written, of the parts that are there: train.jsonl (all of train-clean-100, train-clean-360 and train-other-500),
dev-clean.jsonl, dev-other.jsonl, test-clean.jsonl, test-other.jsonl, with the published counts enforced for each part;
pass --partial for less. Text is in lower case.

    python -m data_scripts.prepare_librispeech LibriSpeech data/librispeech
"""

from pathlib import Path

from data_scripts.corpus import (
    Segment,
    command_line,
    enforce_count,
    measure,
    paired_ids,
    print_line,
    read_lines,
    write_splits,
)
from speechxfer.data import Utterance
from speechxfer.errors import InputError

PARTS = {  # utterances
    "train-clean-100": 28_539,
    "train-clean-360": 104_014,
    "train-other-500": 148_688,
    "dev-clean": 2_703,
    "dev-other": 2_864,
    "test-clean": 2_620,
    "test-other": 2_939,
}


def prepare(corpus_dir: Path, out_dir: Path, *, partial: bool = False) -> dict[str, Path]:
    """Write train and the dev and test parts that are there, and return the manifests by name.

    Args:
        corpus_dir: the folder ``LibriSpeech``, or the one above it.
        out_dir: folder for the manifests.
        partial: accept other counts than the published ones.

    Raises:
        InputError: no part is there, or its counts are not the published ones.
    """
    folder = Path(corpus_dir)
    folder = folder / "LibriSpeech" if (folder / "LibriSpeech").is_dir() else folder
    present = [part for part in PARTS if (folder / part).is_dir()]
    if not present:
        raise InputError(
            f"{folder}: holds none of {', '.join(PARTS)}; give the folder LibriSpeech of the unpacked archives"
        )
    splits: dict[str, list[Utterance]] = {}
    for part in present:
        utterances = [placed.utterance for placed in measure(_segments(folder / part), partial=partial)]
        enforce_count(f"librispeech: utterances of {part}", len(utterances), PARTS[part], partial=partial)
        splits.setdefault("train" if part.startswith("train") else part, []).extend(utterances)
    for part in PARTS.keys() - set(present):
        print_line(f"note: {part} is not there")
    return write_splits(Path(out_dir), splits)


def _segments(part: Path) -> list[Segment]:
    audio = {path.stem: path for path in sorted(part.glob("*/*/*.flac")) if not path.name.startswith(".")}
    texts: dict[str, tuple[str, str]] = {}
    for path in sorted(part.glob("*/*/*.trans.txt")):
        for number, line in enumerate(read_lines(path), start=1):
            name, _, text = line.strip().partition(" ")
            if name:
                texts[name] = (text.lower(), f"{path}:{number}")
    return [
        Segment(name, audio[name], *texts[name], speaker=name.split("-")[0], lang="en")
        for name in paired_ids(audio, texts, [*audio, *texts])
    ]


if __name__ == "__main__":
    command_line(prepare, __doc__)
