"""Manifests for Kathleen: the 1,132 prompts of CMU Arctic read by one woman, US English, 1.4 hours with retakes.

Story: recorded by a volunteer in 2020 for a voice of the Rhasspy assistant; many early prompts have several takes.
Address: https://github.com/rhasspy/dataset-voice-kathleen
Licence: CC0 1.0.
Layout: ``data/arctic_<prompt>_<time>.wav`` (48 kHz stereo) with a ``.txt`` of the same name; 1,620 recordings. A folder
with ``transcripts.tsv`` (the same ids, repacked) is read as well.
Erratum of the origin, applied here: the recording of a0252 was clipped to "O'Brien had been a clean living young man."

The manifests refer to the original files, 48 kHz and stereo, so training needs ``data.resample`` and
``data.mono``. Written: train.jsonl, dev.jsonl and test.jsonl (dev and test 5 % of the prompts each, by hash). All takes of
a prompt, and prompts that share a sentence, are in one split.

    python -m data_scripts.prepare_kathleen dataset-voice-kathleen data/kathleen
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
    one_space,
    paired_ids,
    print_line,
    read_lines,
    skip,
    wave_files,
    write_splits,
)
from data_scripts.tables import read_repacked
from speechxfer.data import Utterance, digest
from speechxfer.text import Normalizer

RECORDINGS = 1620
PROMPTS = 1132
HELD_OUT = 0.05  # of the prompts, for dev, and again for test
ERRATA = {"a0252": "O'Brien had been a clean living young man."}
NAME = re.compile(r"arctic_(?P<prompt>[a-z][0-9]+)_[0-9]+")


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
    utterances = _corrected(sorted(placed, key=lambda item: item.utterance.id))
    enforce_count("kathleen: recordings", len(utterances), RECORDINGS, partial=partial)
    enforce_count("kathleen: prompts", len({_prompt(u) for u in utterances}), PROMPTS, partial=partial)
    return write_splits(out_dir, _split(utterances))


def _original(corpus_dir: Path, *, partial: bool) -> list[Placed]:
    folder = corpus_dir / "data"
    audio = wave_files(folder)
    texts = {path.stem: path for path in folder.glob("*.txt")}
    segments = []
    for name in paired_ids(audio, texts, [*audio, *texts]):
        text = one_space(" ".join(read_lines(texts[name])))
        segments.append(Segment(name, audio[name], text, str(texts[name]), speaker="kathleen", lang="en"))
    return measure(segments, partial=partial)


def _corrected(placed: Sequence[Placed]) -> list[Utterance]:
    """The recordings with the errata applied; names without a prompt are excluded; both are printed."""
    utterances = []
    for utterance in (item.utterance for item in placed):
        match = NAME.fullmatch(utterance.id)
        if match is None:
            skip(utterance.id, "its name is not arctic_<prompt>_<time>")
            continue
        text = ERRATA.get(match["prompt"], utterance.text)
        if match["prompt"] in ERRATA:
            change = "already there" if text == utterance.text else f"instead of {utterance.text!r}"
            print_line(f"erratum: {utterance.id}: text {text!r}, {change}")
        utterances.append(replace(utterance, text=text))
    return utterances


def _prompt(utterance: Utterance) -> str:
    return utterance.id.split("_")[1]


def _split(utterances: Sequence[Utterance]) -> dict[str, list[Utterance]]:
    group_of = _groups(utterances)
    order = sorted(set(group_of.values()), key=lambda group: digest("kathleen split", group))
    count = max(1, round(HELD_OUT * len(order)))
    dev, test = set(order[:count]), set(order[count : 2 * count])
    splits: dict[str, list[Utterance]] = {"train": [], "dev": [], "test": []}
    for utterance in utterances:
        group = group_of[_prompt(utterance)]
        splits["dev" if group in dev else "test" if group in test else "train"].append(utterance)
    return splits


def _groups(utterances: Sequence[Utterance]) -> dict[str, str]:
    """Group of every prompt: prompts that share a sentence (as some takes do) are together under the first's name."""
    group_of = {_prompt(utterance): _prompt(utterance) for utterance in utterances}
    prompt_of: dict[str, str] = {}
    for utterance in utterances:
        other = group_of[prompt_of.setdefault(Normalizer()(utterance.text), _prompt(utterance))]
        mine = group_of[_prompt(utterance)]
        if mine != other:
            first, last = sorted((mine, other))
            group_of = {prompt: first if group == last else group for prompt, group in group_of.items()}
    return group_of


if __name__ == "__main__":
    command_line(prepare, __doc__)
