"""The multilingual corpus: what is spoken is what is labelled, splits share nothing, the same input gives the same bytes."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from data_scripts import espeak, phonemize
from data_scripts import synthesize_multilingual as sm
from speechxfer.data.manifest import Utterance, read_manifest, write_manifest
from speechxfer.errors import InputError

ROOT = Path(__file__).resolve().parents[1]
TEXTS = {
    "swh": ("sw", "sw", ["watu wote ni huru", "haki za binadamu", "dunia na amani", "kila mtu ana haki", "mtoto", "elimu"]),
    "deu": ("de-1996", "de", ["alle Menschen sind frei", "Würde und Rechte", "das Kind", "die Freiheit", "Schutz", "Arbeit"]),
    "cym": ("cy", "cy", ["genir pawb yn rhydd", "hawliau dynol"]),
}  # fmt: skip


@pytest.fixture(scope="module")
def sentences(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("udhr") / "sentences.tsv"
    rows = [
        f"{key}-{number:03d}\t{lang}\t{voice}\t{text}\n"
        for key, (lang, voice, texts) in TEXTS.items()
        for number, text in enumerate(texts)
    ]
    path.write_text("id\tlang\tvoice\ttext\n" + "".join(rows), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def corpus(sentences: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("spoken")
    sm.synthesize(sentences, out, takes=2)
    return out


def splits(folder: Path) -> dict[str, list[Utterance]]:
    return {name: read_manifest(folder / f"{name}.jsonl") for name in ("train", "dev", "unseen")}


def test_every_split_has_its_sentences_voices_and_languages(corpus: Path) -> None:
    found = splits(corpus)
    assert {name: len(utterances) for name, utterances in found.items()} == {"train": 8, "dev": 8, "unseen": 2}
    assert {u.lang for u in found["unseen"]} == {"cy"}
    assert not {u.lang for u in found["train"]} & {"cy"}
    texts = {name: {u.text for u in utterances} for name, utterances in found.items()}
    assert not texts["train"] & texts["dev"]
    voices = {name: {u.speaker.partition("-")[2] for u in utterances} for name, utterances in found.items()}
    assert not voices["train"] & voices["dev"]


def test_what_is_spoken_is_what_the_label_says(corpus: Path, sentences: Path) -> None:
    text = {sentence.id: sentence for sentence in sm.read_sentences(sentences)}
    for utterances in splits(corpus).values():
        for utterance in utterances:
            key, _, number = utterance.id.rpartition("-")
            sentence = text[f"{key.partition('-')[0]}-{number}"]
            assert utterance.text.split() == sm.phones_of(sentence.text, sentence.voice)
            samples, rate = soundfile.read(utterance.audio_filepath)
            start = round(utterance.offset * rate)
            segment = samples[start : start + round(utterance.duration * rate)]
            assert rate == 16_000
            assert len(segment) / len(utterance.text.split()) < 0.35 * rate  # at the slowest speed, pauses included
            assert not segment[:800].any() and not segment[-800:].any()  # the pauses between neighbours
            assert np.abs(segment).max() > 0.05


def test_labels_by_hand() -> None:
    assert sm.phones_of("mtoto", "sw") == ["m", "t", "o", "t", "o"]
    assert sm.phones_of("hello", "en-us") == ["h", "ə", "l", "o", "ʊ"]
    assert sm.phones_of("妈马", "cmn") == ["m", "ɑ", "m", "ɑ"]  # tones 1 and 3: neither becomes a phone


def test_a_sentence_partly_in_another_language_has_no_label(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(espeak, "phonemes", lambda *_, **__: "a (en)b(sw) c")
    assert sm.phones_of("x", "sw") == []


def test_the_switch_marks_are_kept_when_asked() -> None:
    marked = espeak.phonemes("日本", "ja", keep_switches=True) if "ja" in espeak.voices() else "(en)"
    assert "(en)" in marked


def test_letters_of_each_language(corpus: Path) -> None:
    letters = json.loads((corpus / "letters.json").read_text(encoding="utf-8"))
    assert set(letters) == {"sw", "de-1996", "cy"}  # also of languages whose speech train lacks
    assert letters["cy"]["b"] == "b"
    assert letters["sw"]["k"] == "k" and letters["sw"]["u"] == "u"
    assert letters["de-1996"]["ü"] == "ʏ"  # Würde


def test_same_input_same_bytes_and_another_seed_other_voices(sentences: Path, corpus: Path, tmp_path: Path) -> None:
    sm.synthesize(sentences, tmp_path / "again", takes=2)
    names = sorted(str(path.relative_to(corpus)) for path in corpus.rglob("*") if path.is_file())
    assert names == sorted(
        str(p.relative_to(tmp_path / "again")) for p in (tmp_path / "again").rglob("*") if p.is_file()
    )
    assert all((corpus / name).read_bytes() == (tmp_path / "again" / name).read_bytes() for name in names)
    sm.synthesize(sentences, tmp_path / "other", takes=2, seed=1)
    assert (corpus / "train.jsonl").read_bytes() != (tmp_path / "other" / "train.jsonl").read_bytes()


@pytest.mark.parametrize(
    ("content", "message"),
    [("a\tb\n", "expected the columns"), ("id\tlang\tvoice\ttext\nx\ty\n", "sentences.tsv:2: 2 fields")],
)
def test_a_strange_table_is_refused(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "sentences.tsv").write_text(content)
    with pytest.raises(InputError, match=message):
        sm.synthesize(tmp_path / "sentences.tsv", tmp_path / "out")
    with pytest.raises(InputError, match="at least one take"):
        sm.synthesize(tmp_path / "sentences.tsv", tmp_path / "out", takes=0)


def test_a_manifest_in_letters_becomes_one_in_phones(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros(1600), 16_000)
    utterances = [
        Utterance(f"u{i}", tmp_path / "a.wav", 0.1, text=text) for i, text in enumerate(["HELLO", "...", "world"])
    ]
    write_manifest(tmp_path / "letters.jsonl", utterances)
    out = tmp_path / "phones" / "train.jsonl"
    done = subprocess.run(
        [sys.executable, "-m", "data_scripts.phonemize", tmp_path / "letters.jsonl", out, "--voice", "en-us"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert [(u.id, u.text) for u in read_manifest(out)] == [("u0", "h ə l o ʊ"), ("u2", "w ɜ l d")]
    assert "excluded: u1" in done.stdout
    with pytest.raises(InputError, match="no language 'xx'"):
        phonemize.phonemize(tmp_path / "letters.jsonl", out, voice="xx")
    with pytest.raises(InputError, match="u0: it has no lang"):
        phonemize.phonemize(tmp_path / "letters.jsonl", out)
    write_manifest(tmp_path / "letters.jsonl", [replace(utterances[0], text="gato", lang="es")])
    phonemize.phonemize(tmp_path / "letters.jsonl", out)
    assert read_manifest(out)[0].text == "ɡ a t o"
