"""Scripts for read speech in Malagasy, Amharic, Kinyarwanda, Malayalam, Mandarin, German and Dutch, on miniature layouts.

Expected values: written by hand from the layouts that the docstrings describe.
"""

import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from data_scripts import (
    prepare_amharic,
    prepare_kinyarwanda,
    prepare_malagasy,
    prepare_malayalam,
    prepare_mandarin,
    prepare_rhasspy,
)
from data_scripts.corpus import split_by_text
from speechxfer.data import Utterance, read_manifest
from speechxfer.errors import InputError


def sound(path: Path, frames: int = 800, rate_hz: int = 16000) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.random.default_rng(frames).uniform(-0.1, 0.1, frames), rate_hz)


def text(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8", newline="\n")


def texts(paths: dict[str, Path]) -> dict[str, str]:
    return {utterance.id: utterance.text for path in paths.values() for utterance in read_manifest(path)}


# ------------------------------------------------------------------------------------------------------------ splits
def test_equal_texts_share_a_split():
    utterances = [
        Utterance(id=f"u{n}", audio_filepath=Path("a.wav"), duration=1.0, text=f"t{n % 20}") for n in range(60)
    ]
    splits = split_by_text(utterances, "test", 5)
    where = {utterance.text: set() for utterance in utterances}
    for name, members in splits.items():
        for utterance in members:
            where[utterance.text].add(name)
    assert all(len(names) == 1 for names in where.values())
    assert (len(splits["dev"]), len(splits["test"]), len(splits["train"])) == (6, 6, 48)  # texts come in threes
    assert split_by_text(list(reversed(utterances)), "test", 5) == splits


# ---------------------------------------------------------------------------------------------------------- Malagasy
def test_malagasy(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(prepare_malagasy, "HELD_OUT", 1)
    monkeypatch.setattr(prepare_malagasy, "RECORDINGS", 3)
    folder = tmp_path / "corpus" / "mlg_data"
    ids = [f"200624-124245_mlg_7f0_elicit_{n}" for n in range(5)]
    for name in ids[:4]:
        sound(folder / "mlg_audios" / f"{name}.wav")
    rows = ["TSARA  NY ANDRO ", "IZY, ARY AHO", "MISAOTRA", "", "TSY MISY"]
    text(
        folder / "transcriptions.txt",
        "".join(f"{name}.wav, {row}\n" for name, row in zip(ids, rows, strict=True)),
    )
    paths = prepare_malagasy.prepare(tmp_path / "corpus", tmp_path / "out")
    assert texts(paths) == {ids[0]: "tsara ny andro", ids[1]: "izy, ary aho", ids[2]: "misaotra"}
    assert {len(read_manifest(path)) for path in paths.values()} == {1}
    (first,) = read_manifest(paths["train"])
    assert (first.speaker, first.lang) == ("mlg_7f0", "mg")
    assert f"{ids[4]}: it has text but no audio" in capsys.readouterr().out


def test_malagasy_bad_line(tmp_path):
    sound(tmp_path / "mlg_data" / "mlg_audios" / "a.wav")
    text(tmp_path / "mlg_data" / "transcriptions.txt", "a.wav TSARA\n")
    with pytest.raises(InputError, match=r"transcriptions\.txt:1: expected a line"):
        prepare_malagasy.prepare(tmp_path, tmp_path / "out")


# ----------------------------------------------------------------------------------------------------------- Amharic
def test_amharic_sessions_begin_at_their_lines(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(prepare_amharic, "HELD_OUT", 1)
    monkeypatch.setattr(prepare_amharic, "RECORDINGS", 5)
    first = {"100101-000000": ((0, 3),), "100102-000000": ((0, 0), (2, 4))}
    monkeypatch.setattr(prepare_amharic, "FIRST_LINE", first)
    records = tmp_path / "data" / "recordings"
    text(records / "amharic.txt", "".join(f"line {n}  ##    \n" for n in range(8)))
    for session, numbers in (("100101-000000", (0, 1, 7)), ("100102-000000", (0, 2, 3))):
        for number in numbers:
            name = f"{session}_amh_57b_elicit_{number}"
            sound(records / f"{session}_amh_57b_elicit" / f"{name}.wav")
    paths = prepare_amharic.prepare(tmp_path, tmp_path / "out")
    assert texts(paths) == {
        "100101-000000_amh_57b_elicit_0": "line 3",
        "100101-000000_amh_57b_elicit_1": "line 4",
        "100102-000000_amh_57b_elicit_0": "line 0",
        "100102-000000_amh_57b_elicit_2": "line 6",
        "100102-000000_amh_57b_elicit_3": "line 7",
    }
    assert "100101-000000_amh_57b_elicit_7: amharic.txt has no line 11" in capsys.readouterr().out


def test_amharic_of_the_wrong_branch(tmp_path):
    text(tmp_path / "raw_text_file.txt", "a:b\n")
    with pytest.raises(InputError, match="git clone -b unsplitted"):
        prepare_amharic.prepare(tmp_path, tmp_path / "out")


# ------------------------------------------------------------------------------------------------------- Kinyarwanda
def kinyarwanda(folder: Path) -> None:
    session = {"train": "200627-233446", "val": "200702-193159", "test": "200702-193159"}
    for split, numbers in {"train": (0, 1, 2), "val": (15,), "test": (16,)}.items():
        for number in numbers:
            sound(folder / split / f"{session[split]}_kin_60a_elicit_{number}.wav")
    text(folder / "raw_text_file.txt", "200625-052829_kin_60a_elicit_16:Umuntu, ni.\n\n")
    text(folder / "charset.json", "{'a': 1, 'b': 2,\n ' ': 0}")
    text(folder / "chars.txt", "200702-193159_kin_60a_elicit_15 2 1 0 1\n200702-193159_kin_60a_elicit_16 1\n")


def test_kinyarwanda_texts_by_number_and_the_late_session(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(prepare_kinyarwanda, "COUNTS", {"train": 2, "dev": 1, "test": 1})
    kinyarwanda(tmp_path)
    paths = prepare_kinyarwanda.prepare(tmp_path, tmp_path / "out")
    assert texts(paths) == {
        "200627-233446_kin_60a_elicit_0": "ba a",  # 15 numbers on
        "200627-233446_kin_60a_elicit_1": "Umuntu, ni.",  # written texts before encoded ones
        "200702-193159_kin_60a_elicit_15": "ba a",
        "200702-193159_kin_60a_elicit_16": "Umuntu, ni.",
    }
    assert "200627-233446_kin_60a_elicit_2: it has no text" in capsys.readouterr().out


def test_kinyarwanda_bad_characters(tmp_path):
    kinyarwanda(tmp_path)
    text(tmp_path / "chars.txt", "200702-193159_kin_60a_elicit_15 2 9\n")
    with pytest.raises(InputError, match=r"chars\.txt:1: 9 is no number"):
        prepare_kinyarwanda.prepare(tmp_path, tmp_path / "out")
    text(tmp_path / "charset.json", "{'a': 1,")
    with pytest.raises(InputError, match=r"charset\.json: expected"):
        prepare_kinyarwanda.prepare(tmp_path, tmp_path / "out")


# --------------------------------------------------------------------------------------------------------- Malayalam
def malayalam(folder: Path) -> Path:
    rows = [  # id, sentence, user, vote
        ("r1", "s1", "anu", "3"), ("r2", "s2", "biju", "1"), ("r3", "s1", "cini", "2"), ("r4", "s1", "anu", "0"),
        ("r5", "s1", "anu", "-2"), ("r6", "s1", "anu", "default"), ("r7", "s9", "anu", "4"), ("r8", "s1", "anu", "4"),
    ]  # fmt: skip
    head = "id\tsentence\tuser\tfileName\tsample\ttime\tvote\n"
    text(folder / "speech.tsv", head + "".join(f"{i}\t{s}\t{u}\taudio/{i}.webm\tx\t1\t{v}\n" for i, s, u, v in rows))
    text(folder / "sentences.tsv", "id\tsentence\tcategory\ns1\tകയ്യിൽ  കാശുണ്ടോ?\tproverb\ns2\tഅതെ\tproverb\n")
    for name in ("r1", "r2", "r3", "r7"):
        text(folder / "audio" / f"{name}.webm", "not yet sound")
    return folder


def test_malayalam_votes_and_speakers(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(prepare_malayalam, "HELD_OUT_SPEAKERS", 1)
    monkeypatch.setattr(prepare_malayalam, "RECORDINGS", 3)
    monkeypatch.setattr(prepare_malayalam, "SPEAKERS", 3)

    class Decoder:
        FFmpegError = OSError

    monkeypatch.setattr(prepare_malayalam, "_av", Decoder)
    samples = np.arange(1600, dtype=np.int16)
    monkeypatch.setattr(prepare_malayalam, "_decoded", lambda _av, _path: samples)
    paths = prepare_malayalam.prepare(malayalam(tmp_path / "msc"), tmp_path / "out")
    assert texts(paths) == {"r1": "കയ്യിൽ കാശുണ്ടോ?", "r2": "അതെ", "r3": "കയ്യിൽ കാശുണ്ടോ?"}
    speakers = {name: {u.speaker for u in read_manifest(path)} for name, path in paths.items()}
    assert sorted(len(names) for names in speakers.values()) == [1, 1, 1]
    assert set.union(*speakers.values()) == {"anu", "biju", "cini"}
    (one,) = read_manifest(paths["train"])
    read, rate_hz = soundfile.read(one.audio_filepath, dtype="int16")
    assert rate_hz == 16000 and np.array_equal(read, samples)
    out = capsys.readouterr().out
    assert "r8: its audio audio/r8.webm does not exist" in out
    assert "3 (no more votes for than against), 1 (unknown sentence), 1 (no audio)" in out


def test_malayalam_without_pyav(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(InputError, match=r"speechxfer\[media\]"):
        prepare_malayalam.prepare(malayalam(tmp_path / "msc"), tmp_path / "out")


def test_malayalam_is_decoded_to_16_khz_mono(tmp_path):
    av = pytest.importorskip("av")
    path = tmp_path / "tone.webm"
    tone = (8000 * np.sin(2 * np.pi * 440 * np.arange(48000) / 48000)).astype(np.int16)
    with av.open(str(path), "w", format="webm") as container:
        stream = container.add_stream("libopus", rate=48000, layout="mono")
        frame = av.AudioFrame.from_ndarray(tone[None, :], format="s16", layout="mono")
        frame.sample_rate = 48000
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    samples = prepare_malayalam._decoded(av, path)
    assert abs(len(samples) - 16000) < 400 and samples.dtype == np.int16
    spectrum = np.abs(np.fft.rfft(samples[2000:14000]))
    assert abs(np.argmax(spectrum) * 16000 / 12000 - 440) < 2


def test_malayalam_bad_tables(tmp_path):
    folder = malayalam(tmp_path / "msc")
    text(folder / "sentences.tsv", "id\tsentence\tcategory\ns1\tx\n")
    with pytest.raises(InputError, match=r"sentences\.tsv:2: 2 fields; expected 3"):
        prepare_malayalam.prepare(folder, tmp_path / "out")


# ---------------------------------------------------------------------------------------------------------- Mandarin
def test_mandarin(tmp_path, monkeypatch, capsys):
    sets = {"hsk": ("words", 3, 1, "yue-tan"), "syllabs": ("syllables", 4, 1, "chen-wang")}
    monkeypatch.setattr(prepare_mandarin, "SETS", sets)
    for name in (
        "hsk/cmn-为止",
        "hsk/cmn-交",
        "hsk/cmn-一块儿",
        *(f"syllabs/cmn-{s}" for s in ("a3", "lv4", "er2", "zhuang1")),
    ):
        sound(tmp_path / "64k" / f"{name}.mp3", frames=4000, rate_hz=22050)
    sound(tmp_path / "64k" / "syllabs" / "cmn-_ng1.mp3", frames=4000, rate_hz=22050)
    paths = prepare_mandarin.prepare(tmp_path, tmp_path / "out")
    assert set(texts(paths).values()) == {"为止", "交", "一块儿", "a3", "lv4", "er2", "zhuang1"}
    assert set(paths) == {f"{kind}/{split}" for kind in ("words", "syllables") for split in ("train", "dev", "test")}
    assert "excluded: cmn-_ng1" in capsys.readouterr().out
    with pytest.raises(InputError, match="no cmn-"):
        prepare_mandarin.prepare(tmp_path / "out", tmp_path / "other")


# ----------------------------------------------------------------------------------------------- Kerstin and Nathalie
@pytest.mark.parametrize(("prefix", "speaker"), [("de_rhasspy-", "kerstin"), ("nl_rhasspy_", "nathalie")])
def test_rhasspy(tmp_path, monkeypatch, prefix, speaker):
    monkeypatch.setattr(prepare_rhasspy, "HELD_OUT", 1)
    monkeypatch.setattr(prepare_rhasspy, "VOICES", {prefix[:2]: (speaker, 3)})
    for number in range(3):
        sound(tmp_path / "verified" / f"{prefix}{number}.flac", rate_hz=48000)
    text(tmp_path / "metadata.csv", "".join(f"{prefix}{n}|Satz  {n}, ja.\n" for n in range(3)))
    paths = prepare_rhasspy.prepare(tmp_path, tmp_path / "out")
    assert texts(paths) == {f"{prefix}{n}": f"Satz {n}, ja." for n in range(3)}
    (one,) = read_manifest(paths["dev"])
    assert (one.speaker, one.lang) == (speaker, prefix[:2])
    (tmp_path / "verified" / f"{prefix}1.flac").unlink()
    with pytest.raises(InputError, match=rf"{prefix}1.*the audio file is missing"):
        prepare_rhasspy.prepare(tmp_path, tmp_path / "out")


def test_rhasspy_of_another_voice(tmp_path):
    text(tmp_path / "metadata.csv", "fr_x|Bonjour\n")
    with pytest.raises(InputError, match=r"metadata\.csv:1: expected ids"):
        prepare_rhasspy.prepare(tmp_path, tmp_path / "out")
