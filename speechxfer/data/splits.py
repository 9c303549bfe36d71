"""Parts of a corpus that stay apart: nested subsets, folds of a cross-validation, a dev part for choosing.

Every choice is a function of ids, texts, speakers and a seed, never of the order of a file or of a generator's state, so
the same corpus is cut alike everywhere. What it is not: a corpus's official splits, which `data_scripts/` reads.
"""

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Literal

from speechxfer.data.manifest import Utterance
from speechxfer.errors import InputError
from speechxfer.text import Normalizer

GroupKey = Literal["speaker", "sentence", "utterance"]
DEV_SHARE = 0.1
MOST_OF_ONE_SPEAKER = 0.5  # of the speech, up to which folds are cut by speaker
MANY_SENTENCES = 0.5  # distinct sentences per utterance above which a corpus is of sentences, not of repeated words


def digest(*parts: str) -> str:
    """SHA-256 of the parts as hexadecimal text: the order in which anything here is 'shuffled'."""
    return hashlib.sha256("\x1f".join(parts).encode("utf-8")).hexdigest()


def total_duration_s(utterances: Iterable[Utterance]) -> float:
    """Seconds of audio in all."""
    return sum(utterance.duration for utterance in utterances)


def proportional_order(utterances: Sequence[Utterance], seed: str) -> list[Utterance]:
    """The utterances in an order every beginning of which has the speakers in proportion to their total time.

    Within a speaker the order is by hash. An utterance's place is the middle of its share of its speaker's time, shifted by a
    hash of the speaker within half an utterance: so that many speakers of one utterance each do not all come at once.
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
    """The longest beginning of `proportional_order` that stays within `limit_s` seconds, in the order of `utterances`.

    Smaller limits give subsets of larger ones.

    Raises:
        InputError: `limit_s` is not a finite number above 0.
    """
    if not 0 < limit_s < math.inf:
        raise InputError(f"{limit_s / 60:g} minutes of speech: expected a number above 0")
    chosen, sum_s = set(), 0.0
    for utterance in proportional_order(utterances, seed):
        sum_s += utterance.duration
        if sum_s > limit_s:
            break
        chosen.add(utterance.id)
    return [utterance for utterance in utterances if utterance.id in chosen]


def choose_group_key(utterances: Sequence[Utterance], folds: int) -> GroupKey:
    """By what folds should differ: speakers where every utterance names one and there are enough, else sentences.

    A speaker of more than half of the speech would leave next to nothing to learn from where he is tested: then sentences,
    too. Where the texts are few and repeated (spoken commands), sentences cannot differ, and utterances are dealt out.
    """
    speakers = _groups(utterances, "speaker")
    largest_s = max(map(total_duration_s, speakers.values()), default=0.0)
    if (
        "" not in speakers
        and len(speakers) >= folds
        and largest_s <= MOST_OF_ONE_SPEAKER * total_duration_s(utterances)
    ):
        return "speaker"
    return _by_text(utterances)


def cut_into_folds(
    utterances: Sequence[Utterance], folds: int, apart: GroupKey, seed: str = ""
) -> list[list[Utterance]]:
    """Cut a corpus into folds of about equal time; no speaker (or sentence) is in two of them.

    Returns:
        The folds, ordered by their first speaker (or sentence), each in the order of `utterances`; every utterance is in
        exactly one.

    Raises:
        InputError: fewer than two folds, more folds than speakers (or sentences), or utterances without a speaker.
    """
    groups = _groups(utterances, apart)
    if apart == "speaker" and "" in groups:
        raise InputError(
            f"{groups[''][0].id}: names no speaker, so folds by speaker cannot be cut; add 'speaker' to the manifest, or cut "
            "by sentence"
        )
    if not 2 <= folds <= len(groups):
        raise InputError(
            f"{folds} folds cannot be cut by {apart}: there are {len(groups)}; give a number from 2 to {len(groups)}"
        )
    filled = [0.0] * folds
    place: dict[str, int] = {}
    for name in sorted(groups, key=lambda name: (-total_duration_s(groups[name]), digest(seed, name))):
        lightest = min(range(folds), key=filled.__getitem__)
        place[name] = lightest
        filled[lightest] += total_duration_s(groups[name])
    key = _KEYS[apart]
    cut = [[u for u in utterances if place[key(u)] == fold] for fold in range(folds)]
    return sorted(cut, key=lambda fold: min(map(key, fold)))


def check_disjoint(besides: Iterable[Utterance], corpus: Iterable[Utterance], apart: GroupKey) -> None:
    """InputError where what every fold hears besides shares a speaker (or sentence) with the corpus that is cut by it."""
    key = _KEYS[apart]
    known = {key(utterance) for utterance in corpus}
    for utterance in besides:
        if key(utterance) in known:
            raise InputError(
                f"{utterance.id}: its {apart} {key(utterance)!r} is in the corpus, too, and would be heard in the fold that "
                "tests it; leave it out of what every fold trains on, or cut folds by something else"
            )


def hold_out(utterances: Sequence[Utterance], seed: str = "") -> tuple[list[Utterance], list[Utterance]]:
    """Train and dev parts: about a tenth for dev, no sentence in both (of repeated words: no utterance).

    Raises:
        InputError: fewer than two utterances, or only one sentence.
    """
    apart = _by_text(utterances)
    groups = _groups(utterances, apart)
    if len(groups) < 2:
        raise InputError(
            f"{len(utterances)} utterances of {len(groups)} {apart} cannot be parted into train and dev; give more speech"
        )
    sizes = {name: total_duration_s(group) for name, group in groups.items()}
    chosen: set[str] = set()
    wanted_s, have_s = DEV_SHARE * total_duration_s(utterances), 0.0
    for name in sorted(groups, key=lambda name: digest(seed, name)):
        if have_s + sizes[name] <= wanted_s:
            chosen.add(name)
            have_s += sizes[name]
    chosen = chosen or {min(groups, key=lambda name: (sizes[name], digest(seed, name)))}
    key = _KEYS[apart]
    return [u for u in utterances if key(u) not in chosen], [u for u in utterances if key(u) in chosen]


def shared_sentences(train: Iterable[Utterance], test: Iterable[Utterance]) -> int:
    """How many test utterances say what some training utterance says."""
    known = {_sentence(utterance) for utterance in train}
    return Counter(_sentence(utterance) in known for utterance in test)[True]


_normalizer = Normalizer()


def _sentence(utterance: Utterance) -> str:
    return _normalizer(utterance.text)


_KEYS: dict[GroupKey, Callable[[Utterance], str]] = {
    "speaker": lambda u: u.speaker,
    "sentence": _sentence,
    "utterance": lambda u: u.id,
}


def _by_text(utterances: Sequence[Utterance]) -> GroupKey:
    return "sentence" if len(_groups(utterances, "sentence")) > MANY_SENTENCES * len(utterances) else "utterance"


def _groups(utterances: Sequence[Utterance], apart: GroupKey) -> dict[str, list[Utterance]]:
    groups: defaultdict[str, list[Utterance]] = defaultdict(list)
    for utterance in utterances:
        groups[_KEYS[apart](utterance)].append(utterance)
    return dict(groups)
