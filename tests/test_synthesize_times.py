"""Speech with known times: espeak-ng's events agree with the samples, the phones with the label, closures with plosives."""

from pathlib import Path

import numpy as np
import pytest

from data_scripts import espeak
from data_scripts import synthesize_times as st
from data_scripts.synthesize_multilingual import phones_of
from data_scripts.times import read_times
from speechxfer.data.manifest import read_manifest
from speechxfer.errors import InputError

SENTENCES = ["watu wote ni huru", "haki na watu", "mtoto anapata elimu"]


@pytest.fixture(scope="module")
def sentences(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("udhr") / "sentences.tsv"
    rows = [f"swh-{number:03d}\tsw\tsw\t{text}\n" for number, text in enumerate(SENTENCES)]
    path.write_text("id\tlang\tvoice\ttext\n" + "".join(rows), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def timed(sentences: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("timed")
    st.synthesize(sentences, out, voice=["sw"])
    return out


def test_asking_for_events_changes_no_sample() -> None:
    samples, rate_hz, spoken = espeak.speak_timed("watu wote", "sw+m4", 150, 40)
    plain, plain_hz = espeak.speak("watu wote", "sw+m4", 150, 40)
    assert rate_hz == plain_hz and np.array_equal(samples, plain)
    assert [phoneme.ipa.strip("ˈˌ") for phoneme in spoken if phoneme.ipa] == list("watuwote")
    assert [phoneme.starts_word for phoneme in spoken if phoneme.ipa] == [True, *[False] * 3] * 2
    starts = [phoneme.start for phoneme in spoken]
    assert starts == sorted(starts) and starts[0] >= 0 and starts[-1] <= len(samples)


def test_a_plosive_starts_with_its_closure() -> None:
    """Digital silence in front of t is its closure; s and the vowels start where espeak-ng reports them."""
    samples, _, spoken = espeak.speak_timed("sata", "sw", 150)
    phones = [phone for phone in st.timed_phones(samples, spoken) if phone.text]
    events = [phoneme for phoneme in spoken if phoneme.ipa]
    assert [phone.text for phone in phones] == ["s", "a", "t", "a"]
    closure = phones[2].start
    assert closure is not None and closure < events[2].start
    assert not samples[closure : events[2].start].any() and samples[closure - 1]
    assert [phones[i].start for i in (0, 1, 3)] == [events[i].start for i in (0, 1, 3)]


def test_what_is_not_known_is_not_stated() -> None:
    """The start of a plosive after a pause, and of the second part of a diphthong."""
    samples, _, spoken = espeak.speak_timed("night, table", "en-us", 150)
    phones = st.timed_phones(samples, spoken)
    texts = [phone.text for phone in phones]
    assert texts[:5] == ["n", "a", "ɪ", "t", ""]
    assert [phone.start is None for phone in phones[:6]] == [False, False, True, False, False, True]


def test_manifest_and_times_agree(timed: Path) -> None:
    utterances = read_manifest(timed / "sw.jsonl")
    rows = read_times(timed / "sw.times.jsonl")
    assert [row.id for row in rows] == [utterance.id for utterance in utterances] and len(rows) == 3
    for utterance, row in zip(utterances, rows, strict=True):
        assert " ".join(unit.text for unit in row.units if unit.text) == utterance.text
        known = [unit.start_s for unit in row.units if unit.start_s is not None]
        assert known == sorted(known) and known[0] >= 0.05 and known[-1] < utterance.duration
    assert {utterance.text for utterance in utterances} == {" ".join(phones_of(text, "sw")) for text in SENTENCES}


def test_the_same_arguments_give_the_same_bytes(sentences: Path, timed: Path, tmp_path: Path) -> None:
    st.synthesize(sentences, tmp_path, voice=["sw"])
    for path in [path for path in timed.rglob("*") if path.is_file()]:
        assert (tmp_path / path.relative_to(timed)).read_bytes() == path.read_bytes()


def test_a_voice_without_sentences_is_an_error(sentences: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no sentence for the voice 'tr'; choose one of: sw"):
        st.synthesize(sentences, tmp_path, voice=["tr"])
    with pytest.raises(InputError, match="sentences=0"):
        st.synthesize(sentences, tmp_path, voice=["sw"], sentences=0)
