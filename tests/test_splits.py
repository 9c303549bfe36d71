"""Splits: subsets are nested, folds share no speaker or sentence, no sentence of dev is in train."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speechxfer.data.manifest import Utterance
from speechxfer.data.splits import (
    choose_group_key,
    count_shared_sentences,
    split_into_folds,
    split_train_dev,
    take_seconds,
)
from speechxfer.errors import InputError


def utterance(name: str, text: str = "", speaker: str = "", duration: float = 1.0) -> Utterance:
    return Utterance(name, Path("a.wav"), duration, text=text or f"sentence {name}", speaker=speaker)


def digits(speakers: Sequence[str], takes: int = 3) -> list[Utterance]:
    words = ("one", "two", "three")
    return [utterance(f"{s}{w}{t}", w, s) for s in speakers for w in words for t in range(takes)]


def test_a_fold_for_each_speaker() -> None:
    folds = split_into_folds(digits("abc"), 3, "speaker")
    assert [{u.speaker for u in fold} for fold in folds] == [{"a"}, {"b"}, {"c"}]
    assert sorted(u.id for fold in folds for u in fold) == sorted(u.id for u in digits("abc"))


def test_folds_are_of_about_equal_time() -> None:
    """Largest first, each to the emptiest fold: 5, 4 and 3 open one each, 2 joins the 3, 1 joins the 4."""
    seconds = {"a": 5.0, "b": 4.0, "c": 3.0, "d": 2.0, "e": 1.0}
    corpus = [utterance(name, speaker=name, duration=length) for name, length in seconds.items()]
    folds = split_into_folds(corpus, 3, "speaker")
    assert sorted(sum(u.duration for u in fold) for fold in folds) == [5.0, 5.0, 5.0]


@given(st.lists(st.sampled_from("abcdefghij"), min_size=12, max_size=60), st.integers(2, 4))
def test_no_sentence_is_in_two_folds(texts: list[str], folds: int) -> None:
    corpus = [utterance(str(number), text) for number, text in enumerate(texts)]
    if len(set(texts)) < folds:
        with pytest.raises(InputError, match="folds cannot be made by sentence"):
            split_into_folds(corpus, folds, "sentence")
        return
    cut = split_into_folds(corpus, folds, "sentence")
    assert sorted(u.id for fold in cut for u in fold) == sorted(u.id for u in corpus)
    homes = [{u.text for u in fold} for fold in cut]
    assert sum(map(len, homes)) == len(set().union(*homes)) and all(homes)


def test_case_and_punctuation_do_not_make_another_sentence() -> None:
    corpus = [utterance("a", "Good day."), utterance("b", "good day"), utterance("c", "bye"), utterance("d", "so")]
    assert {"a", "b"} in [{u.id for u in fold} for fold in split_into_folds(corpus, 3, "sentence")]


def test_folds_do_not_depend_on_the_order_of_the_file() -> None:
    corpus = [utterance(str(n), speaker="s") for n in range(20)]
    ahead, back = (
        [{u.id for u in fold} for fold in split_into_folds(each, 4, "sentence")] for each in (corpus, corpus[::-1])
    )
    assert ahead == back


@pytest.mark.parametrize(
    ("corpus", "folds", "expected"),
    [
        (digits("abc"), 3, "speaker"),
        (digits("ab"), 3, "utterance"),
        ([utterance(str(n), speaker="one") for n in range(9)], 3, "sentence"),
        ([utterance(str(n), speaker="abc"[n % 3] if n else "") for n in range(9)], 3, "sentence"),
    ],
)
def test_folds_are_grouped_by_speaker_where_there_are_enough(
    corpus: list[Utterance], folds: int, expected: str
) -> None:
    assert choose_group_key(corpus, folds) == expected


def test_dev_is_about_a_tenth_and_shares_no_sentence_with_train() -> None:
    corpus = [
        utterance(f"{n}-{take}", f"sentence {n}") for n in range(150) for take in range(2) if take == 0 or n % 3 == 0
    ]
    train, dev = split_train_dev(corpus)
    assert len(train) + len(dev) == len(corpus)
    assert 0.08 * len(corpus) <= len(dev) <= 0.1 * len(corpus)
    assert count_shared_sentences(train, dev) == 0


def test_of_repeated_words_dev_takes_utterances() -> None:
    train, dev = split_train_dev(digits("abcdefgh"))
    assert len(dev) == 7 and not {u.id for u in train} & {u.id for u in dev}
    assert count_shared_sentences(train, dev) == 7


@pytest.mark.parametrize("seed", ["", "a", "b", "c", "d"])
def test_one_common_sentence_is_not_all_of_dev(seed: str) -> None:
    """600 sentences, and 'mhm' 400 times: it is more than a tenth by itself, so it stays in train whatever its hash is."""
    corpus = [*(utterance(str(n)) for n in range(600)), *(utterance(f"m{n}", "mhm") for n in range(400))]
    _, dev = split_train_dev(corpus, seed)
    assert len(dev) == 100 and "mhm" not in {u.text for u in dev}


def test_speakers_of_one_utterance_each_have_their_share_of_every_beginning() -> None:
    """30 minutes of one speaker and 10 of 120 others: a third as many of theirs in any ten minutes."""
    main = [utterance(f"m{n:03}", speaker="m", duration=5.0) for n in range(360)]
    others = [utterance(f"o{n:03}", speaker=f"o{n:03}", duration=5.0) for n in range(120)]
    taken = take_seconds([*main, *others], 600.0, "x")
    assert len(taken) == 120 and 20 <= sum(u.speaker != "m" for u in taken) <= 40
    assert set(taken) <= set(take_seconds([*main, *others], 1200.0, "x"))
    alone = [u.id for u in take_seconds(others, 100.0, "x")]
    assert alone != [f"o{n:03}" for n in range(20)]  # not the first by name
    assert take_seconds([utterance("z", speaker="s", duration=0.0)], 1.0, "x")


def test_a_corpus_that_cannot_be_split_is_an_error() -> None:
    with pytest.raises(InputError, match="1 folds cannot be made by speaker: there are 3"):
        split_into_folds(digits("abc"), 1, "speaker")
    with pytest.raises(InputError, match="4 folds cannot be made by speaker: there are 3"):
        split_into_folds(digits("abc"), 4, "speaker")
    with pytest.raises(InputError, match="x: has no speaker"):
        split_into_folds([*digits("ab"), utterance("x")], 2, "speaker")
    with pytest.raises(InputError, match="cannot be split into train and dev"):
        split_train_dev([utterance("a")])
