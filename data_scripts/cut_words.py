"""Cut recordings of sentences into recordings of one to three words, each with its phones.

    python -m data_scripts.cut_words data/letters/kerstin/train.jsonl data/phones/kerstin/train.jsonl exp/aligned/kerstin \\
        data/cut/kerstin/train.jsonl

A phone model trained on sentences alone misses the first and last phones of words recorded singly, and learns which words
follow each other in its training languages. Where a word ends is known from its spelling: its phones (as in
``phonemize.py``) are counted. When it ends comes from an alignment of the phones, which
``speechxfer align MODEL PHONES --out ALIGNED --format json`` writes, of utterances that each have a file of their own.
Audio is not touched: the new manifest has parts of the same files. Excluded, and counted: utterances whose words one by
one have other phones than the whole, and parts whose phones the model is too unsure of (`LEAST_SCORE`), which may be cut
at the wrong place.
"""

import argparse
import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from data_scripts.corpus import exit_on_bad_input, path_argument, print_line
from data_scripts.synthesize_multilingual import merge_repeated, phones_of
from speechxfer.data import Utterance, digest, read_manifest, write_manifest
from speechxfer.errors import InputError
from speechxfer.runtime import read_json

MOST_WORDS = 3
LEAST_SCORE = 0.5  # mean posterior of a part's phones
LEAST_PHONES = 2


@dataclass(frozen=True)
class Phone:
    """A phone of an alignment; seconds from the start of the utterance."""

    start: float
    end: float
    score: float


def cut_words(letters: Path, phones: Path, aligned: Path, out: Path, *, voice: str = "") -> list[Utterance]:
    """Write `out`: parts of one to three words of the utterances in `phones`, whose spellings are in `letters`.

    Raises:
        InputError: a bad manifest or alignment, an utterance without spelling, alignment or language, or no part is left.
    """
    spelt = {utterance.id: utterance.text for utterance in read_manifest(letters)}
    parts: list[Utterance] = []
    unclear = unsure = 0
    for utterance in read_manifest(phones):
        if utterance.id not in spelt:
            raise InputError(f"{letters}: {utterance.id} is missing; give the manifest from which {phones} was made")
        ends = word_ends(spelt[utterance.id], utterance.text.split(), voice or utterance.lang)
        times = _read_alignment(aligned / f"{Path(utterance.audio_filepath).stem}.json")
        if not ends or len(times) != len(utterance.text.split()):
            unclear += 1
            continue
        for part, score in _cut(utterance, ends, times):
            if score >= LEAST_SCORE:
                parts.append(part)
            else:
                unsure += 1
    if not parts:
        raise InputError(f"{phones}: no part of it can be cut out; is {aligned} its alignment?")
    write_manifest(out, parts)
    seconds = sum(part.duration for part in parts)
    print_line(
        f"{out}: {len(parts):,} parts, {seconds / 3600:.2f} h; excluded: {unclear:,} utterances whose words have other phones "
        f"than the whole, {unsure:,} parts below a mean posterior of {LEAST_SCORE}"
    )
    return parts


def word_ends(text: str, phones: Sequence[str], voice: str) -> list[int]:
    """Numbers of phones at which a word ends, the last included; none if the words do not have these phones.

    Where the last phone of a word is the first of the next and both are written once, no word ends.
    """
    whole: list[str] = []
    ends: list[int] = []
    for word in text.lower().split():
        spoken = list(_word_phones(word, voice))
        if not spoken:
            return []
        if whole and whole[-1] == spoken[0]:
            ends.pop()
        whole = merge_repeated([*whole, *spoken])
        ends.append(len(whole))
    return ends if whole == list(phones) else []


@functools.lru_cache(maxsize=1_000_000)
def _word_phones(word: str, voice: str) -> tuple[str, ...]:
    return tuple(phones_of(word, voice, real_speech=True))


def _read_alignment(path: Path) -> list[Phone]:
    fix = "write it with `speechxfer align --format json`"
    content = read_json(path, fix=fix)
    try:
        [tier] = [tier for tier in content["tiers"] if tier["name"] == "words"]
        return [Phone(float(each["start"]), float(each["end"]), float(each["score"])) for each in tier["intervals"]]
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: is no alignment with one tier 'words' and its scores; {fix}") from error


def _cut(utterance: Utterance, ends: Sequence[int], times: Sequence[Phone]) -> list[tuple[Utterance, float]]:
    """Consecutive parts of one to three words with their mean scores; the number of words is drawn by the utterance's id."""
    generator = np.random.default_rng(int(digest(utterance.id)[:8], 16))
    phones, parts = utterance.text.split(), []
    first = word = 0
    while word < len(ends):
        word = min(word + int(generator.integers(1, MOST_WORDS + 1)), len(ends))
        last = ends[word - 1]
        if last - first >= LEAST_PHONES and (first, last) != (0, len(phones)):
            start = (times[first - 1].end + times[first].start) / 2 if first else 0.0
            end = (times[last - 1].end + times[last].start) / 2 if last < len(phones) else utterance.duration
            score = float(np.mean([phone.score for phone in times[first:last]]))
            text = " ".join(phones[first:last])
            name = f"{utterance.id}-{first}-{last}"
            placed = replace(
                utterance, id=name, offset=utterance.offset + start, duration=round(end - start, 6), text=text
            )
            parts.append((placed, score))
        first = last
    return parts


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("letters", type=path_argument)
    parser.add_argument("phones", type=path_argument)
    parser.add_argument("aligned", type=path_argument)
    parser.add_argument("out", type=path_argument)
    parser.add_argument("--voice", default="", help="of espeak-ng, for example en-us (default: each utterance's lang)")
    exit_on_bad_input(lambda: cut_words(**vars(parser.parse_args(arguments))))


if __name__ == "__main__":
    main()
