"""The feature store: what it returns, what it computes again, what it shares, and how much room it takes."""

import errno
import math
import os
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from speechxfer.data.manifest import Utterance
from speechxfer.errors import InputError
from speechxfer.features import cache as cache_module
from speechxfer.features import extraction, log_mel
from speechxfer.features import store as store_module
from speechxfer.features.extraction import AudioOptions, report_resampling, utterance_features
from speechxfer.features.log_mel import filterbank
from speechxfer.features.presets import PRESETS
from speechxfer.features.store import FeatureStore, store_features, store_samples

RATE = 16_000
READING = AudioOptions(PRESETS["kaldi-mvn"])


# --- The feature store --------------------------------------------------------------------------------------------------


@pytest.fixture
def corpus(tmp_path: Path) -> list[Utterance]:
    """Four segments of different length in two files."""
    generator = np.random.default_rng(0)
    for name in ("a", "b"):
        soundfile.write(tmp_path / f"{name}.wav", 0.1 * generator.standard_normal(2 * RATE), RATE)
    places = [("a", 0.0, 0.7), ("a", 0.7, 1.3), ("b", 0.25, 0.5), ("b", 0.0, 2.0)]
    return [Utterance(f"u{i}", tmp_path / f"{n}.wav", d, offset=o) for i, (n, o, d) in enumerate(places)]


def refuse(*_: object, **__: object) -> None:
    raise AssertionError("audio was read again")


def test_utterance_features_are_those_of_its_segment(corpus: list[Utterance]) -> None:
    samples, _ = soundfile.read(corpus[1].audio_filepath, dtype="float32")
    expected = filterbank(samples[11_200:32_000], READING.spec).numpy()
    assert np.array_equal(utterance_features(corpus[1], READING), expected)


def test_stored_features_are_the_utterances_own_and_not_computed_twice(
    corpus: list[Utterance], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = [utterance_features(utterance, READING) for utterance in corpus]
    first = store_features(corpus, READING, tmp_path / "cache")
    monkeypatch.setattr(extraction, "read_audio", refuse)
    second = store_features(corpus, READING, tmp_path / "cache")
    for store in (first, second):
        assert store.frames == (tuple(map(len, expected)),)
        for index, values in enumerate(expected):
            assert store.get(index).dtype == np.float32
            assert np.array_equal(store.get(index), values)


def test_what_the_store_hands_out_can_be_changed_without_harm(corpus: list[Utterance], tmp_path: Path) -> None:
    store = store_features(corpus, READING, tmp_path / "cache")
    before = store.get(0).copy()
    store.get(0)[:] = 0.0
    assert np.array_equal(store.get(0), before)


def test_half_precision_is_off_by_less_than_its_rounding(corpus: list[Utterance], tmp_path: Path) -> None:
    full = store_features(corpus, READING, tmp_path / "cache")
    half = store_features(corpus, READING, tmp_path / "cache", half=True)
    for index in range(len(corpus)):
        error = np.abs(half.get(index) - full.get(index))
        assert (error <= np.abs(full.get(index)) * 2.0**-11 + 2.0**-25).all()  # ten bits and the hidden one
    assert half.get(0).dtype == np.float32
    assert half.cache.path(half.keys[0][3]).stat().st_size < 0.52 * full.cache.path(full.keys[0][3]).stat().st_size


def test_an_utterance_that_occurs_twice_is_stored_once(corpus: list[Utterance], tmp_path: Path) -> None:
    speeds = (1.0, 1.1)
    once = store_features(corpus, READING, tmp_path / "once", speeds=speeds)
    twice = store_features([*corpus[1:], *corpus], READING, tmp_path / "twice", speeds=speeds)
    for number, utterance in enumerate([*corpus[1:], *corpus]):
        for speed in range(2):
            expected = once.get(corpus.index(utterance), speed)
            assert len(expected) == twice.frames[speed][number]
            np.testing.assert_array_equal(twice.get(number, speed), expected)
    assert entries(tmp_path / "twice") == entries(tmp_path / "once")


def test_speeds_change_the_lengths_and_are_all_stored(corpus: list[Utterance], tmp_path: Path) -> None:
    speeds = (0.9, 1.0, 1.1)
    store = store_features(corpus, READING, tmp_path / "cache", speeds=speeds)
    for number, speed in enumerate(speeds):
        for index, utterance in enumerate(corpus):
            samples = math.ceil(round(utterance.duration * RATE) / speed)
            assert abs(store.frames[number][index] - (1 + (samples - 400) // 160)) <= 1
            assert np.array_equal(store.get(index, number), utterance_features(utterance, READING, speed))
    assert store.frames[0][3] > store.frames[1][3] > store.frames[2][3]


def test_what_will_be_resampled_is_said_once_per_rate(
    corpus: list[Utterance], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for rate, name in ((8000, "c"), (44_100, "d"), (8000, "e")):
        soundfile.write(tmp_path / f"{name}.wav", np.zeros(rate), rate)
        corpus += [Utterance(f"{name}{half}", tmp_path / f"{name}.wav", 0.5, offset=half / 2) for half in (0, 1)]
    report_resampling(corpus, READING)
    assert capsys.readouterr().err == ""  # nothing will be, unasked
    report_resampling(corpus, AudioOptions(READING.spec, resample=True))
    assert capsys.readouterr().err.splitlines() == [
        "resampling 2 files from 8000 Hz to 16000 Hz",
        "resampling 1 files from 44100 Hz to 16000 Hz",
    ]


def entries(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*.features")}


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Ids of the utterances whose features are computed."""
    ids: list[str] = []

    def compute(utterance: Utterance, options: AudioOptions, speed: float = 1.0) -> np.ndarray:
        ids.append(utterance.id)
        return utterance_features(utterance, options, speed)

    monkeypatch.setattr(store_module, "utterance_features", compute)
    return ids


def test_another_question_gets_another_entry(corpus: list[Utterance], tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    stores = [
        store_features(corpus, READING, cache),
        store_features(corpus, AudioOptions(PRESETS["kaldi"]), cache),
        store_features(corpus, READING, cache, speeds=(0.9,)),
        store_features(corpus, READING, cache, half=True),
        store_features(corpus, AudioOptions(READING.spec, mono=True), cache),
        store_features([replace(u, duration=u.duration - 0.1) for u in corpus], READING, cache),
        store_features([replace(u, offset=u.offset + 0.1, duration=u.duration - 0.1) for u in corpus], READING, cache),
    ]
    assert len({key for store in stores for key in store.keys[0]}) == len(stores) * len(corpus)
    assert np.array_equal(stores[1].get(0), utterance_features(corpus[0], AudioOptions(PRESETS["kaldi"])))


def test_one_new_utterance_computes_one_entry(corpus: list[Utterance], tmp_path: Path, computed: list[str]) -> None:
    store_features(corpus[:3], READING, tmp_path / "cache")
    assert sorted(computed) == ["u0", "u1", "u2"]
    store_features(corpus, READING, tmp_path / "cache")
    assert computed[3:] == ["u3"]


def test_folds_and_copies_of_a_recording_share_their_entries(
    corpus: list[Utterance], tmp_path: Path, computed: list[str]
) -> None:
    for excluded in range(4):
        store_features(corpus[:excluded] + corpus[excluded + 1 :], READING, tmp_path / "cache")
    shutil.copytree(tmp_path, tmp_path / "moved", ignore=shutil.ignore_patterns("cache"))
    moved = [replace(u, id=f"moved-{u.id}", audio_filepath=tmp_path / "moved" / u.audio_filepath.name) for u in corpus]
    store_features(moved, READING, tmp_path / "cache")
    assert sorted(computed) == ["u0", "u1", "u2", "u3"]


def test_another_version_of_the_front_end_computes_anew(
    corpus: list[Utterance], tmp_path: Path, computed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    store_features(corpus, READING, tmp_path / "cache")
    monkeypatch.setattr(log_mel, "CODE_VERSION", log_mel.CODE_VERSION + 1)
    store_features(corpus, READING, tmp_path / "cache")
    assert len(computed) == 2 * len(corpus)


def test_audio_replaced_at_equal_size_and_time_is_read_again(corpus: list[Utterance], tmp_path: Path) -> None:
    before = store_features(corpus, READING, tmp_path / "cache").get(3)
    path = corpus[3].audio_filepath
    before_it = path.stat()
    soundfile.write(path, 0.1 * np.random.default_rng(9).standard_normal(2 * RATE), RATE)
    os.utime(path, ns=(before_it.st_atime_ns, before_it.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before_it.st_size, before_it.st_mtime_ns)
    after = store_features(corpus, READING, tmp_path / "cache").get(3)
    assert np.array_equal(after, utterance_features(corpus[3], READING))
    assert not np.array_equal(after, before)


def test_missing_audio_is_named_by_utterance(corpus: list[Utterance], tmp_path: Path) -> None:
    corpus[2].audio_filepath.unlink()
    with pytest.raises(InputError, match=r"u2: .*b\.wav: the audio file is missing"):
        store_features(corpus, READING, tmp_path / "cache")


def test_a_failure_leaves_no_partial_file(corpus: list[Utterance], tmp_path: Path) -> None:
    corpus[2].audio_filepath.write_bytes(b"no audio at all")
    with pytest.raises(InputError, match=r"b\.wav"):
        store_features(corpus, READING, tmp_path / "cache")
    assert not list((tmp_path / "cache").rglob("*.partial"))


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-321])


def flip_a_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("damage", [truncate, flip_a_bit, Path.unlink, lambda path: path.write_bytes(b"")])
@pytest.mark.parametrize("opened_before", [True, False])
def test_a_damaged_entry_is_computed_again(
    corpus: list[Utterance], tmp_path: Path, computed: list[str], damage: Callable[[Path], object], opened_before: bool
) -> None:
    store = store_features(corpus, READING, tmp_path / "cache")
    expected = store.get(1)
    damage(store.cache.path(store.keys[0][1]))
    if not opened_before:
        store = store_features(corpus, READING, tmp_path / "cache")
    assert np.array_equal(store.get(1), expected)
    assert computed[4:] == ["u1"]
    assert np.array_equal(store_features(corpus, READING, tmp_path / "cache").get(1), expected)
    assert computed[4:] == ["u1"]


def test_two_users_of_a_folder_compute_each_entry_once(
    corpus: list[Utterance], tmp_path: Path, computed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    counting = store_module.utterance_features

    def slow(*arguments: object) -> np.ndarray:
        time.sleep(0.1)
        return counting(*arguments)

    monkeypatch.setattr(store_module, "utterance_features", slow)
    stores: list[FeatureStore] = []
    threads = [
        threading.Thread(target=lambda: stores.append(store_features(corpus, READING, tmp_path / "cache")))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(computed) == ["u0", "u1", "u2", "u3"]
    assert len(stores) == 3 and len({store.frames for store in stores}) == 1


def test_the_entries_used_least_recently_are_removed_beyond_the_bound(
    corpus: list[Utterance], tmp_path: Path, computed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    paths = []
    for age, utterance in enumerate(corpus):
        store = store_features([utterance], READING, cache)
        paths.append(store.cache.path(store.keys[0][0]))
        os.utime(paths[-1], (1000 + age, 1000 + age))
    store_features([corpus[0]], READING, cache)  # used again
    sizes = [path.stat().st_size for path in paths]
    monkeypatch.setattr(cache_module, "LIMIT_BYTES", sizes[0] + sizes[3] + 35_000)
    store_features([Utterance("new", corpus[3].audio_filepath, 1.0)], READING, cache)
    assert [path.exists() for path in paths] == [True, False, False, True]
    monkeypatch.setattr(cache_module, "LIMIT_BYTES", 10)
    store = store_features([*corpus[:3]], READING, cache)  # what this run needs stays
    computed.clear()
    assert [len(store.get(index)) for index in range(3)] == list(store.frames[0])
    assert computed == [] and not paths[3].exists()


def test_too_little_room_is_refused_before_anything_is_computed(
    corpus: list[Utterance], tmp_path: Path, computed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(
        InputError, match=r"cache: the features need about .* GB of the disk are free; .*data\.cache_dir"
    ):
        store_features(corpus, READING, tmp_path / "cache")
    assert computed == []


def test_a_full_disk_is_one_message_and_leaves_no_partial_file(
    corpus: list[Utterance], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(InputError, match="no space left on the disk"):
        store_features(corpus, READING, tmp_path / "cache")
    assert not list((tmp_path / "cache").rglob("*.partial")) and not entries(tmp_path / "cache")


def test_an_utterance_shorter_than_a_window_has_no_frames(corpus: list[Utterance], tmp_path: Path) -> None:
    short = Utterance("short", corpus[0].audio_filepath, 0.02)
    store = store_features([short, corpus[0], short], READING, tmp_path / "cache")
    assert [store.get(index).shape for index in range(3)] == [(0, 80), (68, 80), (0, 80)]
    assert store_features([short], READING, tmp_path / "cache").get(0).shape == (0, 80)


def test_a_place_that_cannot_hold_features_is_named(corpus: list[Utterance], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"features cannot be stored there .*data\.cache_dir"):
        store_features(corpus, READING, tmp_path / "file" / "cache")


# --- Samples --------------------------------------------------------------------------------------------------------------


def test_stored_samples_are_the_utterances_own_and_not_read_twice(
    corpus: list[Utterance], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store_samples(corpus, READING, tmp_path / "cache")
    monkeypatch.setattr(extraction, "read_audio", refuse)
    store = store_samples(corpus, READING, tmp_path / "cache")
    for index, (name, start, stop) in enumerate(
        [("a", 0, 11_200), ("a", 11_200, 32_000), ("b", 4_000, 12_000), ("b", 0, 32_000)]
    ):
        expected, _ = soundfile.read(tmp_path / f"{name}.wav", start=start, stop=stop, dtype="float32")
        assert store.get(index).shape == expected.shape
        assert np.abs(store.get(index) - expected).max() <= 2.0**-15


def test_stored_samples_have_the_features_rate(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "slow.wav", np.zeros(4000), 8000)
    utterance = Utterance("slow", tmp_path / "slow.wav", 0.5)
    store = store_samples([utterance], AudioOptions(READING.spec, resample=True), tmp_path / "cache")
    assert len(store.get(0)) == 8000
