"""Manifests for speechocean762: 5.6 hours of English sentences read by 250 speakers whose first language is Mandarin.

Story: made for the scoring of pronunciation; half of the speakers are children, each reads 20 sentences; 16 kHz mono.
The texts are what was said, mistakes included. (The experts' scores are not used here.)
Address: https://github.com/jimbozhang/speechocean762 (also OpenSLR 101, https://www.openslr.org/101)
Licence: no licence file. README: "available for free download for both commercial and non-commercial purposes".
Layout: ``WAVE/SPEAKER<speaker>/<id>.WAV`` and Kaldi's lists ``{train,test}/{wav.scp,text,utt2spk}``; 2,500 + 2,500
utterances of 125 + 125 speakers. A folder with ``transcripts.tsv`` (the same ids, repacked) is read as well.
Cite: Zhang et al., speechocean762: An Open-Source Non-native English Speech Corpus For Pronunciation Assessment,
Interspeech 2021, https://arxiv.org/abs/2104.01378

Written: train.jsonl, dev.jsonl (12 speakers of the official train, chosen by hash: the corpus has no dev set) and
test.jsonl (official). The text stays upper case, as published.

    python -m data_scripts.prepare_speechocean762 speechocean762 data/speechocean762
"""

from pathlib import Path

from data_scripts.corpus import (
    Placed,
    Segment,
    command_line,
    enforce_count,
    measure,
    one_space,
    paired_ids,
    read_lines,
    skip,
    write_splits,
)
from data_scripts.prepare_table import group_by_split
from data_scripts.tables import read_repacked
from speechxfer.data import digest
from speechxfer.errors import InputError

SPLITS = ("train", "test")
UTTERANCES = 2500  # of train, and of test
SPEAKERS = 125
DEV_SPEAKERS = 12


def prepare(corpus_dir: Path, out_dir: Path, *, partial: bool = False) -> dict[str, Path]:
    """Write train, dev and test, and return the manifests by name.

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
    official = group_by_split(sorted(placed, key=lambda item: item.utterance.id))
    for split in SPLITS:
        utterances = official.get(split, [])
        speakers = {utterance.speaker for utterance in utterances}
        enforce_count(f"speechocean762: utterances of {split}", len(utterances), UTTERANCES, partial=partial)
        enforce_count(f"speechocean762: speakers of {split}", len(speakers), SPEAKERS, partial=partial)
    train = official.get("train", [])
    order = sorted(
        {utterance.speaker for utterance in train}, key=lambda speaker: digest("speechocean762 dev", speaker)
    )
    held_out = set(order[: min(DEV_SPEAKERS, max(1, len(order) // 10))])
    splits = {
        "train": [utterance for utterance in train if utterance.speaker not in held_out],
        "dev": [utterance for utterance in train if utterance.speaker in held_out],
        "test": official.get("test", []),
    }
    return write_splits(out_dir, splits)


def _original(corpus_dir: Path, *, partial: bool) -> list[Placed]:
    segments = []
    for split in SPLITS:
        audio = _read_list(corpus_dir / split / "wav.scp")
        texts = _read_list(corpus_dir / split / "text")
        speakers = _read_list(corpus_dir / split / "utt2spk")
        for name in paired_ids(audio, texts, [*audio, *texts]):
            if name not in speakers:
                raise InputError(
                    f"{corpus_dir / split / 'utt2spk'}: utterance {name!r} is missing; expected a line with its speaker"
                )
            where = str(corpus_dir / split / "wav.scp")
            segments.append(Segment(name, corpus_dir / audio[name], texts[name], where, split, speakers[name], "en"))
    listed = {segment.path.name for segment in segments}
    for path in sorted((corpus_dir / "WAVE").glob("*/*.WAV")):
        if path.name not in listed and not path.name.startswith("."):
            skip(path.stem, "it has audio but is in neither list")
    return measure(segments, partial=partial)


def _read_list(path: Path) -> dict[str, str]:
    """One of Kaldi's lists: an id, white space, and the rest of the line."""
    values: dict[str, str] = {}
    for number, line in enumerate(read_lines(path), start=1):
        if not line.strip():
            continue
        name, *rest = line.split(maxsplit=1)
        if name in values:
            raise InputError(
                f"{path}:{number}: id {name!r} was there before; ids must be unique: delete one of the lines"
            )
        values[name] = one_space(rest[0]) if rest else ""
    return values


if __name__ == "__main__":
    command_line(prepare, __doc__)
