"""The verb `select`: the order of the choices computed by hand and by exhaustive search, and what cannot be chosen."""

import itertools
import json
import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

import speechxfer as sx
from speechxfer.annotations import read_annotations
from speechxfer.checkpoints import Card
from speechxfer.decoding import compute_log_probs, compute_outputs, encode_utterances
from speechxfer.features import AudioOptions
from speechxfer.workflows import selection_runs
from speechxfer.workflows.selection import Draft, choose, group_drafts
from speechxfer.workflows.selection_runs import SelectionOptions, select
from tests.small_models import source_model
from tests.test_cli import Speechxfer, assert_refused, speechxfer  # noqa: F401  (a fixture)
from tests.tone_corpus import RATE_HZ, tones, write_tone_corpus


def draft(name: str, symbols: str, doubt: float, duration_s: float = 1.0, speaker: str = "") -> Draft:
    utterance = sx.Utterance(name, Path(f"{name}.wav"), duration_s, symbols, speaker=speaker)
    return Draft(utterance, tuple(map(ord, symbols)), (doubt,) * len(symbols), np.zeros(2, np.float32))


def names(choices: list) -> list[str]:
    return [choice.draft.utterance.id for choice in choices]


# The order -----------------------------------------------------------------------------------------------------------


def test_the_order_is_that_of_a_case_computed_by_hand() -> None:
    """Single symbols: the weight of a is (0.9 + 0.5 + 0.1) / 3 = 0.5, that of b (0.2 + 0.3 + 0.1) / 3 = 0.2."""
    pool = [draft("a1", "a", 0.9), draft("b1", "b", 0.2), draft("a2", "a", 0.5), draft("b2", "b", 0.3)]
    padding = [draft("a3", "a", 0.1), draft("b3", "b", 0.1)]
    # Nothing is covered: 0.5 for a1, 0.2 for b1. Then a2 gains 0.5 (sqrt 2 - 1) = 0.207, then b1 0.2, then b2 0.083.
    unseen = [*pool, *padding]
    assert names(choose(unseen, [], ["all"] * 6, 4.0)) == ["a1", "a2", "b1", "a3"]  # a3: 0.5 (sqrt 3 - sqrt 2) = 0.16
    # One of each is covered: 0.207 for a, 0.083 for b; then 0.16 for a.
    assert names(choose(pool, padding, ["all"] * 6, 10.0)) == ["a1", "a2", "b1", "b2"]
    # With four seconds, a1 gains 0.05 a second or less: the last, or it does not fit.
    slow = [draft("a1", "a", 0.9, 4.0), *pool[1:]]
    assert names(choose(slow, padding, ["all"] * 6, 10.0)) == ["a2", "b1", "b2", "a1"]
    assert names(choose(slow, padding, ["all"] * 6, 6.5)) == ["a2", "b1", "b2"]


def test_an_utterance_gains_nothing_by_being_noisy() -> None:
    """Two utterances of the same symbols differ only in the doubts of their own: the shorter one is first."""
    pool = [draft("noisy", "ab", 0.9, 1.1), draft("clear", "ab", 0.1, 1.0), draft("other", "ab", 0.1, 2.0)]
    assert names(choose(pool, [], ["all"] * 3, 10.0)) == ["clear", "noisy", "other"]


def test_sequences_in_few_drafts_count_nothing() -> None:
    pool = [draft("rare", "xyz", 0.9), *(draft(f"a{i}", "a", 0.1) for i in range(3))]
    assert names(choose(pool, [], ["all"] * 4, 10.0))[-1] == "rare"


def test_groups_keep_their_shares_in_any_first_part() -> None:
    """The speaker of whom the model is less certain gets no more than the share that it has of the speech."""
    pool = [draft(f"m{i}", "ab", 0.9, speaker="m") for i in range(30)]
    pool += [draft(f"n{i}", "ab", 0.1, speaker="n") for i in range(60)]
    groups = group_drafts(pool, [])
    assert set(groups) == {"speaker m", "speaker n"}
    chosen = choose(pool, [], groups, 45.0)
    for end in range(3, 46):
        share = Counter(choice.group for choice in chosen[:end])["speaker m"] / end
        assert abs(share - 1 / 3) <= 1 / end
    done = [draft(f"d{i}", "ab", 0.9, speaker="m") for i in range(10)]
    later = choose(pool, done, group_drafts(pool, done), 12.0)
    assert {choice.group for choice in later} == {"speaker n"}  # of m's 40 s 10 are transcribed, of n's 60 s none


def test_the_choice_equals_that_of_a_search_through_all_utterances() -> None:
    generator = np.random.default_rng(3)
    pool = [
        draft(f"u{i}", "".join(generator.choice(list("abcd"), size=generator.integers(2, 9))), float(generator.random()),
              float(generator.uniform(1, 4)))
        for i in range(40)
    ]  # fmt: skip

    def sequences(one: Draft) -> list[str]:
        text = one.utterance.text
        return [text[i : i + n] for n, i in itertools.product((1, 2, 3), range(len(text))) if i + n <= len(text)]

    having = Counter(sequence for one in pool for sequence in set(sequences(one)))
    doubts = {s: [one.doubts[0] for one in pool for other in sequences(one) if other == s] for s in having}
    covered: Counter[str] = Counter()
    expected, left, budget_s = [], list(pool), 40.0

    def gain(one: Draft) -> float:
        counts = Counter(sequence for sequence in sequences(one) if having[sequence] >= 3)
        gains = [np.mean(doubts[s]) * (math.sqrt(covered[s] + n) - math.sqrt(covered[s])) for s, n in counts.items()]
        return float(sum(gains)) / one.utterance.duration

    while fitting := [one for one in left if one.utterance.duration <= budget_s]:
        best = max(fitting, key=gain)
        expected.append(best.utterance.id)
        covered.update(sequences(best))
        budget_s -= best.utterance.duration
        left.remove(best)
    assert names(choose(pool, [], ["all"] * 40, 40.0)) == expected


def test_clusters_replace_speakers_that_are_not_named() -> None:
    generator = np.random.default_rng(1)
    pool = [
        Draft(sx.Utterance(f"{kind}{i}", Path("x.wav"), 1.0), (1,), (0.5,), 20.0 * kind + generator.normal(0, 0.1, 4))
        for kind in (0, 1)
        for i in range(10)
    ]
    groups = group_drafts(pool, [])
    assert set(groups[:10]) & set(groups[10:]) == set() and len(set(groups)) > 1


# Whole runs ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with random weights, which writes letters for anything: blank is made rare."""
    folder = tmp_path_factory.mktemp("model") / "tiny"
    tiny = source_model()
    with torch.no_grad():
        tiny.head.weight.mul_(20.0)
        tiny.head.bias[0] = -20.0
    sx.save_model(tiny, folder, Card("tiny"))
    return folder


def write_sound(path: Path, samples: np.ndarray) -> sx.Utterance:
    soundfile.write(path, samples.astype(np.float32), RATE_HZ, subtype="PCM_16")
    return sx.Utterance(path.stem, path, len(samples) / RATE_HZ)


def test_outputs_in_one_pass_equal_those_of_two(model: Path, tmp_path: Path) -> None:
    utterances = write_tone_corpus(tmp_path / "some.jsonl", 5, letters="abc")
    loaded = sx.load_model(model)
    audio = AudioOptions(loaded.spec)
    log_probs, encoded = (
        dict(compute_log_probs(loaded, utterances, audio)),
        encode_utterances(loaded, utterances, audio),
    )
    for index, of_head, of_encoder in compute_outputs(loaded, utterances, audio):
        assert torch.equal(of_head, log_probs[index])
        assert np.array_equal(of_encoder.numpy(), encoded[index])


def test_what_is_no_speech_or_damaged_is_not_chosen(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selection_runs, "LEAST_SYMBOLS_PER_S", 0.0)  # of the model with random weights
    generator = np.random.default_rng(0)
    good = write_tone_corpus(tmp_path / "good.jsonl", 6, letters="abc", seed=4)
    done = write_tone_corpus(tmp_path / "done.jsonl", 2, letters="abc", seed=5)
    speech = tones("abc ca bac", "abc", 0, generator)
    bad = {
        "noise": generator.normal(0, 0.1, 3 * RATE_HZ),
        "silence": np.zeros(2 * RATE_HZ),
        "clipped": np.clip(40 * speech, -1, 1),
        "copy": soundfile.read(good[0].audio_filepath)[0],
        "copy_of_transcribed": soundfile.read(done[1].audio_filepath)[0],
    }
    pool = [*good, done[0], *(write_sound(tmp_path / f"{name}.wav", samples) for name, samples in bad.items())]
    pool.append(sx.Utterance("missing", tmp_path / "missing.wav", 1.0))
    sx.write_manifest(tmp_path / "pool.jsonl", pool)
    options = SelectionOptions(minutes=5.0, transcribed=(tmp_path / "done.jsonl",))
    selection = select(str(model), [tmp_path / "pool.jsonl"], options=options)
    assert sorted(names(list(selection.choices))) == sorted(one.id for one in good)
    assert selection.excluded == {
        "already transcribed": [done[0].id],
        "with hardly any speech": ["noise"],
        "with silence": ["silence"],
        "with clipping": ["clipped"],
        "with duplicate audio": ["copy", "copy_of_transcribed"],
        "with missing audio": ["missing"],
    }
    assert "not considered: 2 with duplicate audio (copy, ...)" in str(selection)
    monkeypatch.setattr(selection_runs, "LEAST_SYMBOLS_PER_S", 1000.0)
    with pytest.raises(sx.InputError, match="not considered: 6 with hardly any symbol in the draft"):
        select(str(model), [tmp_path / "good.jsonl"])


def test_recordings_are_cut_and_come_back_as_tiers_to_correct(
    speechxfer: Speechxfer,  # noqa: F811
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A recording of a minute with 14 parts and one of three seconds; the tiers are imported as the manifest has them."""
    monkeypatch.chdir(tmp_path)
    generator = np.random.default_rng(2)
    pause = generator.normal(0, 0.001, 2 * RATE_HZ)
    parts = [tones("abc cab ba", "abc", i % 2, generator) for i in range(14)]
    (tmp_path / "rec").mkdir()
    write_sound(tmp_path / "rec" / "long.wav", np.concatenate([sound for part in parts for sound in (pause, part)]))
    write_sound(tmp_path / "rec" / "short.wav", tones("abc ca", "abc", 1, generator))
    arguments = ("select", model, "--on", "rec", "--minutes", "0.2", "--out", "chosen.jsonl", "--eaf", "tiers")
    outcome = speechxfer(*arguments)
    assert outcome.code == 0, outcome.err
    lines = outcome.out.splitlines()
    assert lines[-1] == "next: correct the tiers in tiers in ELAN, then: speechxfer import tiers --out corrected.jsonl"
    chosen = sx.read_manifest(tmp_path / "chosen.jsonl")
    assert 6.0 <= sum(one.duration for one in chosen) <= 12.0 and all(one.duration < 8.0 for one in chosen)
    rows = [json.loads(line) for line in (tmp_path / "chosen.jsonl").read_text(encoding="utf-8").splitlines()]
    assert all(0.0 <= row["uncertainty"] <= 1.0 and "uncertain: " in row["why"] for row in rows)
    tiers = [tier for path in (tmp_path / "tiers").glob("*.eaf") for tier in read_annotations(path)[0].tiers]
    intervals = {
        (round(i.start_s, 2), i.text) for tier in tiers if tier.name.startswith("utterances") for i in tier.intervals
    }
    assert intervals == {(round(one.offset, 2), one.text) for one in chosen}
    assert_refused(speechxfer(*arguments), "chosen.jsonl", "exists")


def test_nothing_to_choose_and_wrong_models_are_refused(model: Path, tmp_path: Path) -> None:
    write_tone_corpus(tmp_path / "pool.jsonl", 4, letters="abc")
    with pytest.raises(sx.InputError, match=r"none fits into 0\.001 min"):
        select(str(model), [tmp_path / "pool.jsonl"], options=SelectionOptions(minutes=0.001))
    with pytest.raises(sx.InputError, match=r"--out, too"):
        select(str(model), [tmp_path / "pool.jsonl"], eaf=tmp_path / "tiers")
    sx.save_model(source_model(task="classify"), tmp_path / "labels", Card("labels"))
    with pytest.raises(sx.InputError, match="classifier"):
        select(str(tmp_path / "labels"), [tmp_path / "pool.jsonl"])


def test_the_manifest_has_a_name_without_the_option(speechxfer: Speechxfer, tmp_path: Path) -> None:  # noqa: F811
    assert_refused(speechxfer("select", "english", "--on", tmp_path / "none.wav"), "none.wav", "missing")
