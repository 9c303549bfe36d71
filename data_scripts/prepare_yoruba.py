"""Manifests for a Yoruba corpus (2 hours, one man, phone recordings) and for its sister corpora of the same layout.

Story: recorded in 2020 with the Lig-Aikuma app in a course on speech recognition; the sentences are from a Yoruba blog.
Lower case, tone marks and under-dots, hardly any punctuation; 16 kHz mono.
Address: https://github.com/ogunlao/yoruba_speech_project
Licence: MIT.
Layout: ``data/records/{train,val,test,extra}/<id>.wav`` and ``data/raw_text_file.txt`` (or, in the repository's root,
``raw_text_file.txt``) with lines ``<id>:<text>``. The corpora that others recorded in the same course have this layout too:
prepare them with their own ``--lang``; every folder of ``records`` is a split of that name. A folder with
``transcripts.tsv`` (the same ids, repacked) is read as well.
Published on these very splits (``project/speech_recognition_report.pdf``): test CER 62.6 % from scratch, 34.8 % from an
English model, 32.7 % with a 5-gram.

Written: train.jsonl (280 utterances, 0.84 h), dev.jsonl (the origin's val; 70, 0.20 h), test.jsonl (350, 1.01 h), and
extra.jsonl where there is such a folder. The counts are enforced for Yoruba only. Audio without text and text without
audio are printed and counted. The speaker is what stands between the session's time and the mode in an id
(``200625-215447_yor_874_elicit_0``: yor_874).

    python -m data_scripts.prepare_yoruba yoruba_speech_project data/yoruba
"""

import re
from collections import Counter
from pathlib import Path

from data_scripts.corpus import (
    SPLIT_NAMES,
    Placed,
    Segment,
    command_line,
    enforce_count,
    measure,
    one_space,
    paired_ids,
    print_line,
    read_lines,
    wave_files,
    write_splits,
)
from data_scripts.prepare_table import group_by_split
from data_scripts.tables import read_repacked
from speechxfer.errors import InputError

LANG = "yo"
COUNTS = {"train": 280, "dev": 70, "test": 350}
SPEAKER = re.compile(r"[0-9]+-[0-9]+_(?P<speaker>.+)_[a-z]+_[0-9]+")


def prepare(corpus_dir: Path, out_dir: Path, *, lang: str = LANG, partial: bool = False) -> dict[str, Path]:
    """Write train, dev, test and, where the corpus has it, extra, and return the manifests by name.

    Args:
        corpus_dir: the repository as cloned, or a repacked copy with ``transcripts.tsv``.
        out_dir: folder for the manifests.
        lang: language code; any other than "yo" is a sister corpus, whose counts are not known.
        partial: accept other counts than the published ones.

    Raises:
        InputError: the layout or the counts are not the published ones.
    """
    corpus_dir, out_dir = Path(corpus_dir), Path(out_dir)
    placed = read_repacked(corpus_dir, lang=lang, partial=partial)
    if placed is None:
        placed = _original(corpus_dir, lang, partial=partial)
    splits = group_by_split(sorted(placed, key=lambda item: item.utterance.id))
    if lang == LANG:
        for name, count in COUNTS.items():
            enforce_count(f"yoruba: utterances of {name}", len(splits.get(name, ())), count, partial=partial)
    if not splits:
        raise InputError(
            f"{corpus_dir}: no utterance has both audio and text; expected matching ids: see those excluded"
        )
    return write_splits(out_dir, splits)


def _original(corpus_dir: Path, lang: str, *, partial: bool) -> list[Placed]:
    places = [corpus_dir / "data" / "raw_text_file.txt", corpus_dir / "raw_text_file.txt"]
    texts = _read_texts(next((path for path in places if path.is_file()), places[0]))
    records = corpus_dir / "data" / "records"
    loose = wave_files(records)
    if loose:
        raise InputError(
            f"{records}: {len(loose)} recordings lie outside of a split, such as {next(iter(loose.values())).name}; expected "
            "them in train, val and test: move them"
        )
    folders = sorted(path.name for path in records.iterdir() if path.is_dir() and not path.name.startswith("."))
    audio = {name: wave_files(records / name) for name in folders}
    ids = Counter(name for files in audio.values() for name in files)
    print_line(
        f"{corpus_dir}: {len(ids):,} recordings, {len(texts):,} texts; {len(ids.keys() - texts.keys()):,} recordings "
        f"without text, {len(texts.keys() - ids.keys()):,} texts without recording"
    )
    segments = []
    for folder, files in audio.items():
        for name in paired_ids(files, texts, files):
            speaker = SPEAKER.fullmatch(name)
            segments.append(
                Segment(
                    id=name,
                    path=files[name],
                    text=texts[name],
                    where=str(files[name]),
                    split=SPLIT_NAMES.get(folder, folder),
                    speaker=speaker["speaker"] if speaker else "",
                    lang=lang,
                )
            )
    paired_ids(ids, texts, texts)
    return measure(segments, partial=partial)


def _read_texts(path: Path) -> dict[str, str]:
    """Text by id; a line that repeats an earlier one is no harm.

    Raises:
        InputError: a line has no colon, or an id has two different texts.
    """
    texts: dict[str, str] = {}
    for number, line in enumerate(read_lines(path), start=1):
        if not line.strip():
            continue
        name, colon, text = line.partition(":")
        name, text = name.strip(), one_space(text)
        if not colon or not name:
            raise InputError(f"{path}:{number}: expected a line <id>:<text>, found {line!r}: correct or delete it")
        if texts.setdefault(name, text) != text:
            raise InputError(f"{path}:{number}: id {name!r} had another text before; ids must be unique: delete one")
    return texts


if __name__ == "__main__":
    command_line(prepare, __doc__, lang=LANG)
