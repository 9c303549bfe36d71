"""Manifests for Mboshi: 4.5 hours of a Bantu language (C25) of Congo-Brazzaville, three speakers, an official dev set.

Story: collected on tablets in 2015 by documentary linguists, who elicited sentences; the spelling is theirs, close to
the sounds and not standard. 5,130 utterances, 16 kHz mono; no sentence of dev is in train.
Address: https://github.com/besacier/mboshi-french-parallel-corpus
Licence: none stated. README: "made available to the community for reproducible computational language documentation
experiments and their evaluation".
Layout: ``full_corpus_newsplit/{train,dev}/<id>.wav`` with ``<id>.mb.cleaned`` (the text; ``.mb`` and ``.fr`` are not
used); 4,616 + 514 utterances; the speaker is the id up to its first ``_``. A folder with ``transcripts.tsv`` (the same
ids, repacked) is read as well.
Cite: Godard et al., A Very Low Resource Language Speech Corpus for Computational Language Documentation Experiments,
LREC 2018, https://arxiv.org/abs/1710.03501

Written, by what each file is for:
    dev.jsonl          the official dev, all 514: the set that published figures are about. Only for the final score.
    valid.jsonl        200 utterances held out of the official train, speakers in proportion; for early stopping and for
                       choosing settings. Their sentences occur once in train, so none is left there.
    train.jsonl        the rest of the official train.
    train_1h.jsonl     part of train.jsonl, just under 3,600 s, speakers in proportion.
    train_10min.jsonl  part of train_1h.jsonl, just under 600 s, speakers in proportion.

    python -m data_scripts.prepare_mboshi mboshi-french-parallel-corpus data/mboshi
"""

from collections import Counter
from collections.abc import Sequence
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
    wave_files,
    write_splits,
)
from data_scripts.prepare_table import group_by_split
from data_scripts.tables import read_repacked
from speechxfer.data import Utterance, order_proportionally, take_seconds
from speechxfer.text import Normalizer

LANG = "mdw"  # ISO 639-3
COUNTS = {"train": 4616, "dev": 514}
TEXT_SUFFIX = ".mb.cleaned"
VALID_COUNT = 200
SUBSETS_S = {"train_1h": 3600.0, "train_10min": 600.0}


def prepare(corpus_dir: Path, out_dir: Path, *, partial: bool = False) -> dict[str, Path]:
    """Write dev, valid, train and train's two nested subsets, and return the manifests by name.

    Args:
        corpus_dir: the repository as cloned, or a repacked copy with ``transcripts.tsv``.
        out_dir: folder for the manifests.
        partial: accept other counts than the published ones.

    Raises:
        InputError: the layout or the counts are not the published ones.
    """
    corpus_dir, out_dir = Path(corpus_dir), Path(out_dir)
    placed = read_repacked(corpus_dir, lang=LANG, partial=partial)
    if placed is None:
        placed = _original(corpus_dir, partial=partial)
    official = group_by_split(sorted(placed, key=lambda item: item.utterance.id))
    for name, count in COUNTS.items():
        enforce_count(f"mboshi: utterances of {name}", len(official.get(name, ())), count, partial=partial)
    train, valid = _hold_out(official.get("train", []))
    splits = {"train": train, "valid": valid, "dev": official.get("dev", [])}
    for name, limit_s in SUBSETS_S.items():
        splits[name] = take_seconds(train, limit_s, "mboshi subset")
    return write_splits(out_dir, splits)


def _original(corpus_dir: Path, *, partial: bool) -> list[Placed]:
    segments = []
    for split in COUNTS:
        folder = corpus_dir / "full_corpus_newsplit" / split
        audio = wave_files(folder)
        texts = {path.name.removesuffix(TEXT_SUFFIX): path for path in folder.glob(f"*{TEXT_SUFFIX}")}
        for name in paired_ids(audio, texts, [*audio, *texts]):
            text = one_space(" ".join(read_lines(texts[name])))
            segments.append(Segment(name, audio[name], text, str(texts[name]), split, name.split("_")[0], LANG))
    return measure(segments, partial=partial)


def _hold_out(train: Sequence[Utterance]) -> tuple[list[Utterance], list[Utterance]]:
    """Train without the held-out utterances, and those: `VALID_COUNT` (of a small copy a tenth), no sentence shared."""
    sentences = [Normalizer()(utterance.text) for utterance in train]
    repeats = Counter(sentences)
    once = [utterance for utterance, sentence in zip(train, sentences, strict=True) if repeats[sentence] == 1]
    count = min(VALID_COUNT, len(once) // 10)
    held_out = {utterance.id for utterance in order_proportionally(once, "mboshi valid")[:count]}
    rest = [utterance for utterance in train if utterance.id not in held_out]
    return rest, [utterance for utterance in train if utterance.id in held_out]


if __name__ == "__main__":
    command_line(prepare, __doc__)
