"""Splits of a corpus: nested subsets, folds of a cross-validation, train and dev; groups are disjoint.

Every choice is a function of ids, texts, speakers and a seed, not of the order of a file or the state of a generator, so the
same corpus is split alike on every machine. The official splits of corpora are read by ``data_scripts/``.
"""

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Literal

import numpy as np

from speechxfer.data.manifest import Utterance
from speechxfer.errors import InputError
from speechxfer.text import Normalizer

GroupKey = Literal["speaker", "sentence", "utterance"]
DEV_SHARE = 0.1
HELD_OUT = 0.1  # share of dev, and of test, of `split_by_hash`
MIN_SPEAKERS = 10  # with fewer, its splits have disjoint sentences instead of disjoint speakers
MIN_REPEATS = 5  # recordings per sentence from which a corpus counts as a few words recorded repeatedly
LARGEST_SPEAKER_SHARE = 0.5  # of the speech; up to it folds are made by speaker
SENTENCE_CORPUS_SHARE = 0.5  # distinct sentences per utterance; above it a corpus is not one of repeated words


def digest(*parts: str) -> str:
    """SHA-256 of the parts as hexadecimal text; sorting by it is this module's shuffling."""
    return hashlib.sha256("\x1f".join(parts).encode("utf-8")).hexdigest()


def total_duration_s(utterances: Iterable[Utterance]) -> float:
    """Seconds of audio in total."""
    return sum(utterance.duration for utterance in utterances)


def order_proportionally(utterances: Sequence[Utterance], seed: str) -> list[Utterance]:
    """Order utterances so that in every prefix the speakers have shares in proportion to their total time.

    Within a speaker the order is by hash. The position of an utterance is the middle of its share of its speaker's time,
    shifted by a hash of the speaker within half an utterance, so that speakers with a single utterance do not all have
    the same position.
    """
    speaker_s: defaultdict[str, float] = defaultdict(float)
    for utterance in utterances:
        speaker_s[utterance.speaker] += utterance.duration
    shift = {name: int(digest(seed, name)[:8], 16) / 16**8 for name in speaker_s}
    used_s = dict.fromkeys(speaker_s, 0.0)
    keyed = []
    for number, utterance in enumerate(sorted(utterances, key=lambda u: digest(seed, u.id))):
        name = utterance.speaker
        place = (used_s[name] + shift[name] * utterance.duration) / max(speaker_s[name], 1e-9)
        used_s[name] += utterance.duration
        keyed.append((place, number, utterance))
    return [utterance for _, _, utterance in sorted(keyed, key=lambda key: key[:2])]


def take_seconds(utterances: Sequence[Utterance], limit_s: float, seed: str) -> list[Utterance]:
    """The longest prefix of `order_proportionally` within `limit_s` seconds, in the order of `utterances`.

    Smaller limits give subsets of larger ones.
    """
    chosen, sum_s = set(), 0.0
    for utterance in order_proportionally(utterances, seed):
        sum_s += utterance.duration
        if sum_s > limit_s:
            break
        chosen.add(utterance.id)
    return [utterance for utterance in utterances if utterance.id in chosen]


def sample_seconds(utterances: Sequence[Utterance], length_s: float) -> list[Utterance]:
    """A random sample of about `length_s` seconds, in the order of the utterances: all of them if they are not longer."""
    total_s, chosen = 0.0, []
    for index in np.random.default_rng(0).permutation(len(utterances)):
        if total_s >= length_s:
            break
        chosen.append(int(index))
        total_s += utterances[index].duration
    return [utterances[index] for index in sorted(chosen)]


def choose_group_key(utterances: Sequence[Utterance], folds: int) -> GroupKey:
    """Choose what no two folds share: speakers where every utterance names one and there are enough, else sentences.

    A speaker of more than half of the speech would leave too little to train on in the fold that is tested on that
    speaker: then, too, sentences are chosen. Where few texts are repeated (spoken commands), folds cannot differ in
    sentences, and single utterances are distributed.
    """
    speakers = _group(utterances, "speaker")
    largest_s = max(map(total_duration_s, speakers.values()), default=0.0)
    if (
        "" not in speakers
        and len(speakers) >= folds
        and largest_s <= LARGEST_SPEAKER_SHARE * total_duration_s(utterances)
    ):
        return "speaker"
    return _sentence_or_utterance(utterances)


def split_into_folds(utterances: Sequence[Utterance], folds: int, group_by: GroupKey) -> list[list[Utterance]]:
    """Split a corpus into folds of about equal time; no speaker (or sentence) is in two of them.

    Returns:
        The folds, ordered by their first speaker (or sentence), each in the order of `utterances`; every utterance is in
        exactly one.

    Raises:
        InputError: fewer than two folds, more folds than speakers (or sentences), or utterances without a speaker.
    """
    groups = _group(utterances, group_by)
    if group_by == "speaker" and "" in groups:
        raise InputError(
            f"{groups[''][0].id}: has no speaker, so folds cannot be made by speaker; add 'speaker' to the manifest, or group "
            "by sentence"
        )
    if not 2 <= folds <= len(groups):
        raise InputError(
            f"{folds} folds cannot be made by {group_by}: there are {len(groups)}; give a number from 2 to {len(groups)}"
        )
    filled = [0.0] * folds
    place: dict[str, int] = {}
    for name in sorted(groups, key=lambda name: (-total_duration_s(groups[name]), digest("", name))):
        lightest = min(range(folds), key=filled.__getitem__)
        place[name] = lightest
        filled[lightest] += total_duration_s(groups[name])
    key = _KEYS[group_by]
    cut = [[u for u in utterances if place[key(u)] == fold] for fold in range(folds)]
    return sorted(cut, key=lambda fold: min(map(key, fold)))


def check_disjoint(extra: Iterable[Utterance], corpus: Iterable[Utterance], group_by: GroupKey) -> None:
    """InputError where speech that is added to every fold's training shares a speaker (or sentence) with the corpus."""
    key = _KEYS[group_by]
    known = {key(utterance) for utterance in corpus}
    for utterance in extra:
        if key(utterance) in known:
            raise InputError(
                f"{utterance.id}: its {group_by} {key(utterance)!r} is in the corpus, too: a fold would train and test on it; "
                "remove it from the extra training data, or group folds by something else"
            )


def split_train_dev(utterances: Sequence[Utterance], seed: str = "") -> tuple[list[Utterance], list[Utterance]]:
    """Split into train and dev: about a tenth for dev, no sentence in both (of repeated words: no utterance).

    Raises:
        InputError: fewer than two utterances, or only one sentence.
    """
    group_by = _sentence_or_utterance(utterances)
    groups = _group(utterances, group_by)
    if len(groups) < 2:
        raise InputError(
            f"{len(utterances)} utterances with {len(groups)} different {group_by}s cannot be split into train and dev; "
            "give more speech"
        )
    sizes = {name: total_duration_s(group) for name, group in groups.items()}
    chosen: set[str] = set()
    wanted_s, have_s = DEV_SHARE * total_duration_s(utterances), 0.0
    for name in sorted(groups, key=lambda name: digest(seed, name)):
        if have_s + sizes[name] <= wanted_s:
            chosen.add(name)
            have_s += sizes[name]
    chosen = chosen or {min(groups, key=lambda name: (sizes[name], digest(seed, name)))}
    key = _KEYS[group_by]
    return [u for u in utterances if key(u) not in chosen], [u for u in utterances if key(u) in chosen]


def split_by_hash(utterances: Sequence[Utterance]) -> tuple[dict[str, list[Utterance]], str]:
    """Split 80/10/10 into train, dev and test: whole speakers where there are ten or more, else whole sentences, but single
    recordings where the same few words are recorded five or more times each.

    Returns:
        The splits by name, and by what they were made: ``by sentence (50 in all)``.

    Raises:
        InputError: fewer than three groups to split.
    """
    sentences = {_whole_sentence(utterance) for utterance in utterances}
    speakers = {utterance.speaker for utterance in utterances}
    if len(speakers) >= MIN_SPEAKERS:
        kind, keys = "speaker", [utterance.speaker for utterance in utterances]
    elif len(utterances) >= MIN_REPEATS * len(sentences):
        kind, keys = "recording", [utterance.id for utterance in utterances]
    else:
        kind, keys = "sentence", [_whole_sentence(utterance) for utterance in utterances]
    split_of = _deal(Counter(keys))
    splits: dict[str, list[Utterance]] = {"train": [], "dev": [], "test": []}
    for utterance, key in zip(utterances, keys, strict=True):
        splits[split_of[key]].append(utterance)
    return splits, f"by {kind} ({len(split_of):,} in all)"


def _whole_sentence(utterance: Utterance) -> str:
    return _normalizer(utterance.text) or " ".join(utterance.text.split())


def _deal(sizes: Counter[str]) -> dict[str, str]:
    """Split of each group: in order of hash they fill test and dev, the emptier first, up to their room; then train."""
    if len(sizes) < 3:
        raise InputError(
            f"only {len(sizes)} different sentences or recordings to split; expected at least three: record more, or "
            "name the splits yourself"
        )
    room = max(math.ceil(HELD_OUT * sizes.total()), sorted(sizes.values())[1])
    filled = {"test": 0, "dev": 0}
    split_of = {}
    for group in sorted(sizes, key=lambda group: digest("split", group)):
        emptier = min(filled, key=lambda name: filled[name])
        if filled[emptier] + sizes[group] <= room:
            filled[emptier] += sizes[group]
            split_of[group] = emptier
        else:
            split_of[group] = "train"
    return split_of


def count_shared_sentences(train: Iterable[Utterance], test: Iterable[Utterance]) -> int:
    """Number of test utterances whose sentence occurs in training."""
    known = {_sentence(utterance) for utterance in train}
    return sum(_sentence(utterance) in known for utterance in test)


_normalizer = Normalizer()


def _sentence(utterance: Utterance) -> str:
    return _normalizer(utterance.text)


_KEYS: dict[GroupKey, Callable[[Utterance], str]] = {
    "speaker": lambda u: u.speaker,
    "sentence": _sentence,
    "utterance": lambda u: u.id,
}


def _sentence_or_utterance(utterances: Sequence[Utterance]) -> GroupKey:
    return "sentence" if len(_group(utterances, "sentence")) > SENTENCE_CORPUS_SHARE * len(utterances) else "utterance"


def _group(utterances: Sequence[Utterance], group_by: GroupKey) -> dict[str, list[Utterance]]:
    groups: defaultdict[str, list[Utterance]] = defaultdict(list)
    for utterance in utterances:
        groups[_KEYS[group_by](utterance)].append(utterance)
    return dict(groups)
