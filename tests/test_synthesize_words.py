"""Synthetic recordings of a small vocabulary: every text by many voices, cut close, the same bytes again."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from data_scripts import espeak
from data_scripts.synthesize_words import synthesize
from speechxfer.data.manifest import Utterance, read_manifest, write_manifest
from speechxfer.errors import InputError

pytest.importorskip("espeakng_loader")


def test_every_text_is_said_by_many_voices(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros(8000), 8000)
    rows = [Utterance(str(n), tmp_path / "a.wav", 1.0, text) for n, text in enumerate(["yes", "no", "yes"])]
    write_manifest(tmp_path / "train.jsonl", rows)
    for folder in ("one", "two"):
        synthesize(tmp_path / "train.jsonl", tmp_path / folder / "spoken.jsonl", voice=["en-us", "en-gb"], takes=12)
    spoken = read_manifest(tmp_path / "one" / "spoken.jsonl")
    assert sorted(u.text for u in spoken) == ["no"] * 12 + ["yes"] * 12
    assert len({u.speaker for u in spoken}) > 10 and {u.lang for u in spoken} == {"en"}
    assert len({u.id for u in spoken}) == 24
    for first in sorted((tmp_path / "one" / "spoken").iterdir()):
        assert first.read_bytes() == (tmp_path / "two" / "spoken" / first.name).read_bytes()
    for utterance in spoken:
        whole, rate = soundfile.read(utterance.audio_filepath)
        start = round(utterance.offset * rate)
        word = np.abs(whole[start : start + round(utterance.duration * rate)])
        loud = np.flatnonzero(word > 0.01)
        assert rate == 8000 and 0.1 < utterance.duration < 1.5
        assert loud[0] / rate < 0.03 and (len(word) - loud[-1]) / rate < 0.03


def test_bad_input_is_refused(tmp_path: Path) -> None:
    write_manifest(tmp_path / "train.jsonl", [Utterance("1", tmp_path / "a.wav", 1.0, "yes")])
    with pytest.raises(InputError, match=r"a\.wav: the audio file is missing"):
        synthesize(tmp_path / "train.jsonl", tmp_path / "out.jsonl", voice=["en-us"], takes=1)
    soundfile.write(tmp_path / "a.wav", np.zeros(44100), 44100)
    synthesize(tmp_path / "train.jsonl", tmp_path / "out.jsonl", voice=["en-us"], takes=1)
    assert soundfile.info(tmp_path / "out" / "0000.flac").samplerate == 16000
    with pytest.raises(InputError, match="expected at least one take"):
        synthesize(tmp_path / "train.jsonl", tmp_path / "out.jsonl", voice=["en-us"], takes=0)
    with pytest.raises(InputError, match="klingon"):
        synthesize(tmp_path / "train.jsonl", tmp_path / "out.jsonl", voice=["klingon"], takes=1)
    assert espeak.voices()
