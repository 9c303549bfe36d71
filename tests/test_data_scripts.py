"""Corpus scripts: miniatures of each public layout, bad input, and (where present) the real corpora's known sizes.

Expected values: written by hand for the miniatures; for the real corpora the sizes that their authors publish.
"""

import gzip
import itertools
import json
import runpy
import shutil
import subprocess
import sys
import unicodedata
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile

from data_scripts import (
    prepare_common_voice,
    prepare_debian,
    prepare_fsdd,
    prepare_kathleen,
    prepare_librispeech,
    prepare_mboshi,
    prepare_speech_commands,
    prepare_speechocean762,
    prepare_table,
    prepare_udhr,
    prepare_yoruba,
)
from speechxfer.data.manifest import Utterance, read_manifest
from speechxfer.data.splits import order_proportionally, take_seconds
from speechxfer.errors import InputError
from speechxfer.text.normalizer import Normalizer

ROOT = Path(__file__).resolve().parents[1]


def wave(path: Path, frames: int = 800, rate_hz: int = 16000, channels: int = 1) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(frames).uniform(-0.1, 0.1, (frames, channels))
    soundfile.write(path, noise, rate_hz)


def text(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8", newline="\n")


def table(folder: Path, content: str, name: str = "table.tsv", frames: int = 800) -> Path:
    for stem in "abcdef":
        wave(folder / f"{stem}.wav", frames)
    text(folder / name, content)
    return folder / name


def ids(path: Path) -> list[str]:
    return [utterance.id for utterance in read_manifest(path)]


def all_bytes(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


# ------------------------------------------------------------------------------------------------------------- tables
def test_table_with_segments_is_sample_exact(tmp_path):
    starts = [0, 7, 333, 12345, 99999]
    wave(tmp_path / "long.flac", 120_001, rate_hz=22050)
    rows = "".join(f"u{s}\tlong.flac\t{s}\t{s + 1}\ttrain\thello\n" for s in starts if 2 * s + 1 <= 120_001)
    rows += "tail\tlong.flac\t99999\t20002\ttest\thello\n"
    text(tmp_path / "t.tsv", "id\tpath\tstart\tframes\tsplit\ttext\n" + rows)
    paths = prepare_table.prepare(tmp_path / "t.tsv", tmp_path / "out" / "deep")
    for utterance in read_manifest(paths["train"]):
        start = int(utterance.id[1:])
        assert round(utterance.offset * 22050) == start
        assert round(utterance.duration * 22050) == start + 1
        assert utterance.audio_filepath == tmp_path / "long.flac"
    (tail,) = read_manifest(paths["test"])
    assert (round(tail.offset * 22050), round(tail.duration * 22050)) == (99999, 20002)
    assert "../../long.flac" in paths["test"].read_text()


def test_table_seconds_and_lengths_from_the_header(tmp_path):
    file = table(
        tmp_path,
        "audio_filepath\tsentence\toffset\tduration\tsplit\tclient_id\tlocale\n"
        "a.wav\tone\t0.01\t0.02\ttraining\tann\tcy\n"  # 160 samples in, 320 long
        "b.wav\ttwo\t0.01\t\tvalidation\tbob\t\n"  # to the end: 640
        "c.wav\tthree\t\t0.06\tTEST\tcat\t\n",  # rounded up by its writer: 800, not 960
    )
    paths = prepare_table.prepare(file, tmp_path / "out", lang="sw")
    (one,), (two,), (three,) = (read_manifest(paths[name]) for name in ("train", "dev", "test"))
    assert (one.id, one.text, one.offset, one.duration, one.speaker, one.lang) == (
        "a_0.01",
        "one",
        0.01,
        0.02,
        "ann",
        "cy",
    )
    assert (two.duration, two.lang, three.duration) == (0.04, "sw", 0.05)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.csv", '\ufefffile,transcript,split\na.wav,"lyrics “quoted"" and, comma",train\nb.wav,two,test\n'),
        ("t.csv", 'file;transcript;split\na.wav;"lyrics “quoted"" and, comma";train\nb.wav;two;test\n'),
        ("t.tsv", '\ufefffile\ttranscript\tsplit\r\na.wav\tlyrics “quoted" and, comma\ttrain\r\nb.wav\ttwo\ttest\r\n'),
        ("t.txt", 'file\ttranscript\tsplit\na.wav\tlyrics “quoted" and, comma\ttrain\nb.wav\ttwo\ttest'),
    ],
)
def test_table_dialects(tmp_path, name, content):
    paths = prepare_table.prepare(table(tmp_path, content, name), tmp_path / "out")
    (one,) = read_manifest(paths["train"])
    assert (one.id, one.text) == ("a", 'lyrics “quoted" and, comma')
    assert ids(paths["test"]) == ["b"]


def test_table_folder_and_other_split_names(tmp_path, capsys):
    table(tmp_path, "path\ttext\tsplit\tmood\na.wav\tone\ttarred\tgood\nb.wav\ttwo\ttrain\tbad\n", "transcripts.tsv")
    paths = prepare_table.prepare(tmp_path, tmp_path / "out")
    assert list(paths) == ["train", "tarred"]
    assert ids(tmp_path / "out" / "tarred.jsonl") == ["a"]
    assert "columns not used: mood" in capsys.readouterr().out


def test_table_ids_from_paths(tmp_path):
    wave(tmp_path / "ann" / "1.wav")
    wave(tmp_path / "bob" / "1.wav")
    text(tmp_path / "t.csv", "path,text,split\nann/1.wav,x,train\nbob/1.wav,y,train\n")
    assert ids(prepare_table.prepare(tmp_path / "t.csv", tmp_path / "out")["train"]) == ["ann_1", "bob_1"]


def test_table_excludes_rows_without_text_or_samples(tmp_path, capsys):
    file = table(tmp_path, "path\ttext\tsplit\na.wav\t \ttrain\nb.wav\ttwo\ttrain\nempty.wav\tx\ttrain\n")
    wave(tmp_path / "empty.wav", 0)
    assert ids(prepare_table.prepare(file, tmp_path / "out")["train"]) == ["b"]
    out = capsys.readouterr().out
    assert "excluded: a: its text is empty" in out
    assert "excluded: empty: it has no audio samples" in out


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "path\ttext\na.wav\tone\ngone.wav\ttwo\n",
            r"t\.tsv:3: utterance 'gone': its audio .*gone\.wav: the audio file is missing",
        ),
        ("path\ttext\na.wav\tone\nt.tsv\ttwo\n", r"t\.tsv:3: utterance 't': its audio .*: not readable as audio"),
        (
            "path\twords\na.wav\tone\n",
            r"t\.tsv:1: no text column among 'path', 'words'; expected one named text, sentence",
        ),
        ("a.wav\tone\n", r"t\.tsv:1: no path column"),
        ("path\ttext\ttext\na.wav\tone\ttwo\n", r"t\.tsv:1: column 'text' occurs twice"),
        ("path\ttext\nb.wav\tone\na.wav\tone\ttwo\n", r"t\.tsv:3: 3 cells where the header has 2"),
        ("id\tpath\ttext\nx\ta.wav\tone\nx\tb.wav\ttwo\n", r"t\.tsv:3: id 'x' was already used at .*t\.tsv:2"),
        ("path\ttext\tstart\na.wav\tone\t0.5\n", r"t\.tsv:2: start is '0.5'; expected a whole number of samples"),
        ("path\ttext\toffset\na.wav\tone\t-1\n", r"t\.tsv:2: offset is '-1'; expected seconds"),
        ("path\ttext\tduration\na.wav\tone\tnan\n", r"t\.tsv:2: duration is 'nan'; expected seconds"),
        ("path\ttext\tstart\tframes\na.wav\tone\t700\t101\n", r"t\.tsv:2: utterance 'a_700' covers samples 700 to 801"),
        (
            "path\ttext\tduration\na.wav\tone\t0.2\n",
            r"t\.tsv:2: utterance 'a' covers samples 0 to 3200.* has 800 at 16000",
        ),
        (
            "path\ttext\tstart\tduration\na.wav\tone\t7\t1\n",
            r"t\.tsv:2: 'start' \(samples\) and 'duration' \(seconds\)",
        ),
        ("path\ttext\tsplit\na.wav\tone\t../x\n", r"t\.tsv:2: split '\.\./x' is no usable name"),
        ("path\ttext\n\tone\n", r"t\.tsv:2: the path is empty"),
        ("path\ttext\na.wav\tone\nb.wav\tone\n", "only 1 different sentences"),
        ("path\ttext\n", "no rows below the header"),
        ("", "the table is empty"),
    ],
)
def test_table_bad_input_names_table_and_line(tmp_path, content, message):
    file = table(tmp_path, content, "t.tsv")
    with pytest.raises(InputError, match=message):
        prepare_table.prepare(file, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_table_bad_encoding_names_the_line(tmp_path):
    file = table(tmp_path, "")
    file.write_bytes("path\ttext\na.wav\tone\nb.wav\tcafé\n".encode("latin-1"))
    with pytest.raises(InputError, match=r"table\.tsv:3: byte 0xe9 is not UTF-8"):
        prepare_table.prepare(file, tmp_path / "out")


def test_table_bad_quotes_in_csv_name_the_line(tmp_path):
    file = table(tmp_path, 'path,text\na.wav,one\nb.wav,"two"x\n', "t.csv")
    with pytest.raises(InputError, match=r"t\.csv:3: not CSV"):
        prepare_table.prepare(file, tmp_path / "out")


def test_table_partial_excludes_missing_audio(tmp_path, capsys):
    file = table(tmp_path, "path\ttext\tsplit\na.wav\tone\ttrain\ngone.wav\ttwo\ttrain\n")
    assert ids(prepare_table.prepare(file, tmp_path / "out", partial=True)["train"]) == ["a"]
    assert "excluded: gone: its audio" in capsys.readouterr().out


def own_split(tmp_path: Path, rows: list[tuple[str, str]]) -> dict[str, list[Utterance]]:
    """Splits of a table of (speaker, sentence) rows without a split column, all cut from one file."""
    wave(tmp_path / "a.wav", 800)
    lines = [f"{i}\ta.wav\t{i}\t1\t{speaker}\t{sentence}" for i, (speaker, sentence) in enumerate(rows)]
    text(tmp_path / "t.tsv", "\n".join(["id\tpath\tstart\tframes\tspeaker\ttext", *lines]))
    paths = prepare_table.prepare(tmp_path / "t.tsv", tmp_path / "out")
    assert list(paths) == ["train", "dev", "test"]
    return {name: read_manifest(path) for name, path in paths.items()}


def disjoint(sets: list[set[str]]) -> bool:
    return len(set.union(*sets)) == sum(map(len, sets))


def test_own_split_by_speaker(tmp_path, capsys):
    splits = own_split(tmp_path, [(f"s{i % 20}", f"sentence {i % 7}") for i in range(200)])
    assert disjoint([{u.speaker for u in split} for split in splits.values()])
    assert [len(split) for split in splits.values()] == [160, 20, 20]
    assert "split 80/10/10 by speaker" in capsys.readouterr().out


def test_own_split_by_sentence(tmp_path, capsys):
    splits = own_split(tmp_path, [("me", f"{'Sentence' if i % 2 else 'sentence '} {i // 2}") for i in range(100)])
    assert disjoint([{" ".join(u.text.lower().split()) for u in split} for split in splits.values()])
    assert [len(split) for split in splits.values()] == [80, 10, 10]
    assert "split 80/10/10 by sentence (50 in all)" in capsys.readouterr().out


def test_own_split_of_a_few_words_said_over_and_over(tmp_path, capsys):
    splits = own_split(tmp_path, [("me", ["yes", "no"][i % 2]) for i in range(100)])
    assert {u.text for u in splits["dev"]} <= {u.text for u in splits["train"]}
    assert [len(split) for split in splits.values()] == [80, 10, 10]
    assert "split 80/10/10 by recording" in capsys.readouterr().out


def test_own_split_of_three_rows_and_of_lopsided_sentences(tmp_path):
    assert [len(split) for split in own_split(tmp_path / "three", [("me", str(i)) for i in range(3)]).values()] == [
        1,
        1,
        1,
    ]
    assert [
        len(split) for split in own_split(tmp_path / "fours", [("me", "xyz"[i % 3]) for i in range(12)]).values()
    ] == [4] * 3
    rows = [("me", "x")] * 8 + [("me", "y"), ("me", "z")]
    assert [len(split) for split in own_split(tmp_path / "lopsided", rows).values()] == [8, 1, 1]


def test_limit_hours(tmp_path):
    for index in range(20):
        wave(tmp_path / f"{index}.wav", 1600)  # 0.1 s
    text(tmp_path / "t.csv", "path,text,split\n" + "".join(f"{i}.wav,x,{'train' if i else 'dev'}\n" for i in range(20)))
    paths = prepare_table.prepare(tmp_path / "t.csv", tmp_path / "out", limit_hours=1.05 / 3600)
    assert (len(ids(paths["train"])), len(ids(paths["dev"]))) == (10, 1)
    with pytest.raises(InputError, match="expected a number of hours above zero"):
        prepare_table.prepare(tmp_path / "t.csv", tmp_path / "out", limit_hours=float("nan"))


def test_command_line(tmp_path):
    file = table(tmp_path, "path\ttext\tsplit\na.wav\tone\ttrain\n")
    script = [sys.executable, "-m", "data_scripts.prepare_table"]
    good = subprocess.run([*script, file, tmp_path / "out", "--lang", "cy"], cwd=ROOT, capture_output=True)
    assert (good.returncode, good.stderr) == (0, b"")
    assert b"train.jsonl: 1 utterances, 0.1 s, speakers not named\n" in good.stdout
    assert good.stdout.splitlines()[-1].startswith(b"written to ")
    assert json.loads((tmp_path / "out" / "train.jsonl").read_text())["lang"] == "cy"
    bad = subprocess.run([*script, tmp_path / "no.tsv", tmp_path / "out"], cwd=ROOT, capture_output=True)
    assert bad.returncode == 2
    assert bad.stderr.startswith(b"error: ") and bad.stderr.count(b"\n") == 1


def test_corpus_script_command_line(tmp_path):
    fsdd(tmp_path / "fsdd", ["ann"])
    command = [sys.executable, "-m", "data_scripts.prepare_fsdd", tmp_path / "fsdd", tmp_path / "out"]
    bad = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (bad.returncode, bad.stdout) == (2, "")
    assert "fsdd: recordings: found 500, expected 3,000" in bad.stderr and "--partial" in bad.stderr
    subprocess.run([*command, "--partial"], cwd=ROOT, check=True, capture_output=True)
    assert len(ids(tmp_path / "out" / "train.jsonl")) == 400


# ------------------------------------------------------------------------------------------------------------ subsets
def test_subsets_are_nested_and_have_the_speakers_in_proportion():
    utterances = [
        Utterance(f"{speaker}{i}", Path("a.wav"), 1.0 + i % 3, speaker=speaker)
        for speaker, count in (("ann", 700), ("bob", 200), ("cat", 100))
        for i in range(count)
    ]
    small, large = take_seconds(utterances, 200, "s"), take_seconds(utterances, 600, "s")
    assert {u.id for u in small} < {u.id for u in large}
    assert 197 < sum(u.duration for u in small) <= 200 and 597 < sum(u.duration for u in large) <= 600
    seconds = Counter()
    for utterance in small:
        seconds[utterance.speaker] += utterance.duration
    assert [round(seconds[name] / 200, 1) for name in ("ann", "bob", "cat")] == [0.7, 0.2, 0.1]
    assert small == take_seconds(utterances[::-1], 200, "s")[::-1]
    assert len({u.id for u in order_proportionally(utterances, "s")}) == 1000


# ------------------------------------------------------------------------------------------------------------- Mboshi
def mboshi(folder: Path, trains: int = 60, devs: int = 5) -> Path:
    for split, count in (("train", trains), ("dev", devs)):
        for index in range(count):
            stem = folder / "full_corpus_newsplit" / split / f"{'ann' if index % 3 else 'bob'}_2015_{split}_{index}"
            wave(stem.with_suffix(".wav"), 1600)
            text(stem.with_suffix(".mb.cleaned"), f" {split}  wó {index // 2 if index < 20 else index}\n")
            text(stem.with_suffix(".fr"), "bonjour\n")
    return folder


def test_mboshi(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(prepare_mboshi, "COUNTS", {"train": 60, "dev": 5})
    monkeypatch.setattr(prepare_mboshi, "SUBSETS_S", {"train_1h": 3.05, "train_10min": 1.05})
    paths = prepare_mboshi.prepare(mboshi(tmp_path / "mboshi"), tmp_path / "out")
    split = {name: read_manifest(path) for name, path in paths.items()}
    assert {name: len(rows) for name, rows in split.items()} == {
        "train": 56, "valid": 4, "dev": 5, "train_1h": 30, "train_10min": 10,
    }  # fmt: skip
    assert [u.id for u in split["dev"]] == [f"ann_2015_dev_{i}" for i in (1, 2, 4)] + [
        "bob_2015_dev_0",
        "bob_2015_dev_3",
    ]
    assert split["dev"][3].text == "dev wó 0" and split["dev"][3].speaker == "bob" and split["dev"][3].lang == "mdw"
    assert not {u.text for u in split["valid"]} & {u.text for u in split["train"]}
    names = {name: {u.id for u in rows} for name, rows in split.items()}
    assert names["train_10min"] < names["train_1h"] < names["train"]
    before = all_bytes(tmp_path / "out")
    prepare_mboshi.prepare(tmp_path / "mboshi", tmp_path / "out")
    assert all_bytes(tmp_path / "out") == before
    assert "excluded" not in capsys.readouterr().out


def test_mboshi_counts_and_lonely_files(tmp_path, capsys):
    folder = mboshi(tmp_path / "mboshi")
    (folder / "full_corpus_newsplit" / "train" / "ann_2015_train_50.mb.cleaned").unlink()
    (folder / "full_corpus_newsplit" / "dev" / "ann_2015_dev_1.wav").unlink()
    with pytest.raises(InputError, match=r"mboshi: utterances of train: found 59, expected 4,616; .*--partial"):
        prepare_mboshi.prepare(folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    paths = prepare_mboshi.prepare(folder, tmp_path / "out", partial=True)
    assert len(ids(paths["dev"])) == 4
    out = capsys.readouterr().out
    assert "excluded: ann_2015_train_50: it has audio but no text" in out
    assert "excluded: ann_2015_dev_1: it has text but no audio" in out
    assert "note: mboshi: utterances of dev: found 4, expected 514; going on (--partial)" in out
    with pytest.raises(InputError, match=r"full_corpus_newsplit/train: no such folder"):
        prepare_mboshi.prepare(tmp_path / "out", tmp_path / "out2")


# --------------------------------------------------------------------------------------------------------------- FSDD
def fsdd(folder: Path, speakers: list[str]) -> Path:
    for speaker in speakers:
        for digit in range(10):
            for index in range(50):
                wave(folder / "recordings" / f"{digit}_{speaker}_{index}.wav", 80, rate_hz=8000)
    return folder


def test_fsdd_at_its_full_count(tmp_path):
    speakers = ["ann", "bob", "cat", "dan", "eve_x", "fay"]
    paths = prepare_fsdd.prepare(fsdd(tmp_path / "fsdd", speakers), tmp_path / "out")
    split = {name: read_manifest(path) for name, path in paths.items()}
    index = {name: {int(u.id.split("_")[-1]) for u in rows} for name, rows in split.items()}
    assert [len(split[name]) for name in ("train", "dev", "test")] == [2400, 300, 300]
    assert index["test"] == set(range(5)) and index["dev"] == set(range(5, 10)) and index["train"] == set(range(10, 50))
    words = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
    assert all(u.text == words[int(u.id[0])] for u in split["train"])
    assert {u.speaker for u in split["test"]} == set(speakers)
    assert paths["loso_eve_x/test"] == tmp_path / "out" / "loso_eve_x" / "test.jsonl"
    for speaker in speakers:
        assert {u.speaker for u in split[f"loso_{speaker}/test"]} == {speaker}
        assert len(split[f"loso_{speaker}/test"]) == 500
        assert [len(split[f"loso_{speaker}/{name}"]) for name in ("train", "dev")] == [2250, 250]
        assert speaker not in {u.speaker for name in ("train", "dev") for u in split[f"loso_{speaker}/{name}"]}
        assert not {u.id for u in split[f"loso_{speaker}/train"]} & {u.id for u in split[f"loso_{speaker}/dev"]}
    assert split["train"][0].duration == 0.01


def test_fsdd_other_names_are_printed(tmp_path, capsys):
    folder = fsdd(tmp_path / "fsdd", ["ann", "newcomer"])
    wave(folder / "recordings" / "noise.wav", 80)
    paths = prepare_fsdd.prepare(folder, tmp_path / "out", partial=True)
    assert len(ids(paths["loso_newcomer/test"])) == 500
    out = capsys.readouterr().out
    assert "excluded: noise: its name is not <digit>_<speaker>_<index>" in out
    assert "fsdd: speakers: found 2, expected 6; going on" in out


# -------------------------------------------------------------------------------------------------- Speech Commands
COMMANDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")


def speech_commands(folder: Path) -> Path:
    """Fourteen words by ten speakers: speaker 8 is in the list of dev, 9 in that of test; two noises of 20 s and 2 s."""
    names = [
        f"{word}/{number:08x}_nohash_0.wav" for word in (*COMMANDS, "bed", "cat", "tree", "wow") for number in range(10)
    ]
    for name in names:
        wave(folder / name, 100)
    text(folder / "validation_list.txt", "".join(f"{name}\n" for name in names if "/00000008" in name))
    text(folder / "testing_list.txt", "".join(f"{name}\n" for name in names if "/00000009" in name))
    wave(folder / "_background_noise_" / "tap.wav", 20 * 16000)
    wave(folder / "_background_noise_" / "short.wav", 2 * 16000)
    text(folder / "_background_noise_" / "README.md", "noises")
    return folder


def test_speech_commands_in_their_layout(tmp_path, capsys):
    corpus = speech_commands(tmp_path / "corpus")
    wave(corpus / "bed" / "noise.wav", 100)
    paths = prepare_speech_commands.prepare(corpus, tmp_path / "out", partial=True)
    rows = {name: read_manifest(path) for name, path in paths.items()}
    assert [len(rows[f"35/{name}"]) for name in ("train", "dev", "test")] == [112, 14, 14]
    assert {u.speaker for u in rows["35/dev"]} == {"00000008"} and {u.speaker for u in rows["35/test"]} == {"00000009"}
    assert all(u.text == u.id.split("/")[0] == u.audio_filepath.parent.name for u in rows["35/train"])
    for name, each in (("train", 8), ("dev", 1), ("test", 1)):
        counts = Counter(u.text for u in rows[f"12/{name}"])
        assert counts == dict.fromkeys((*COMMANDS, "unknown", "silence"), each)
        unknown = [u for u in rows[f"12/{name}"] if u.text == "unknown"]
        assert {u.id for u in unknown} <= {u.id for u in rows[f"35/{name}"]}
        assert not {u.id.split("/")[0] for u in unknown} & set(COMMANDS)
    out = capsys.readouterr().out
    assert "excluded: bed/noise: its name is not <speaker>_nohash_<take>" in out
    assert "speech commands: words: found 14, expected 35; going on" in out


def test_silence_of_the_splits_is_cut_from_parts_that_do_not_overlap(tmp_path):
    paths = prepare_speech_commands.prepare(speech_commands(tmp_path / "corpus"), tmp_path / "out", partial=True)
    found = {"train": (0.0, 0.8), "dev": (0.8, 0.9), "test": (0.9, 1.0)}
    for name, (begin, end) in found.items():
        silence = [u for u in read_manifest(paths[f"12/{name}"]) if u.text == "silence"]
        assert len({u.id for u in silence}) == len(silence) > 0
        for u in silence:
            seconds = soundfile.info(str(u.audio_filepath)).duration
            assert u.duration == 1.0
            assert begin * seconds - 1e-6 <= u.offset and u.offset + 1.0 <= end * seconds + 1e-6
            assert seconds == 20.0 or name == "train", "a tenth of the short noise is too short"


def test_speech_commands_lists_must_fit(tmp_path):
    corpus = speech_commands(tmp_path / "corpus")
    with pytest.raises(InputError, match=r"words: found 14, expected 35"):
        prepare_speech_commands.prepare(corpus, tmp_path / "out")
    with (corpus / "testing_list.txt").open("a") as file:
        file.write("yes/00000008_nohash_0.wav\n")
    with pytest.raises(InputError, match=r"testing_list.txt:15: yes/00000008_nohash_0.wav is in both lists"):
        prepare_speech_commands.prepare(corpus, tmp_path / "out", partial=True)
    (corpus / "testing_list.txt").unlink()
    with pytest.raises(InputError, match=r"testing_list.txt: missing"):
        prepare_speech_commands.prepare(corpus, tmp_path / "out", partial=True)


# ----------------------------------------------------------------------------------------------------- speechocean762
def speechocean(folder: Path) -> Path:
    for split, first in (("train", 100), ("test", 200)):
        names = [
            (f"{speaker:04}", f"{speaker:04}{index}") for speaker in range(first, first + 20) for index in range(2)
        ]
        for speaker, name in names:
            wave(folder / "WAVE" / f"SPEAKER{speaker}" / f"{name}.WAV", 1600)
        text(folder / split / "wav.scp", "".join(f"{n}\tWAVE/SPEAKER{s}/{n}.WAV\n" for s, n in names))
        text(folder / split / "text", "".join(f"{n}\tIT'S  {n}\n" for _, n in names))
        text(folder / split / "utt2spk", "".join(f"{n} {s}\n" for s, n in names))
    wave(folder / "WAVE" / "SPEAKER0100" / "01009.WAV")
    return folder


def test_speechocean762(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(prepare_speechocean762, "UTTERANCES", 40)
    monkeypatch.setattr(prepare_speechocean762, "SPEAKERS", 20)
    paths = prepare_speechocean762.prepare(speechocean(tmp_path / "so"), tmp_path / "out")
    split = {name: read_manifest(path) for name, path in paths.items()}
    speakers = {name: {u.speaker for u in rows} for name, rows in split.items()}
    assert {name: len(names) for name, names in speakers.items()} == {"train": 18, "dev": 2, "test": 20}
    assert disjoint(list(speakers.values()))
    assert speakers["test"] == {f"{i:04}" for i in range(200, 220)}
    assert (split["test"][0].id, split["test"][0].text, split["test"][0].lang) == ("02000", "IT'S 02000", "en")
    assert split["test"][0].audio_filepath == tmp_path / "so" / "WAVE" / "SPEAKER0200" / "02000.WAV"
    assert "excluded: 01009: it has audio but is in neither list" in capsys.readouterr().out
    before = all_bytes(tmp_path / "out")
    prepare_speechocean762.prepare(tmp_path / "so", tmp_path / "out")
    assert all_bytes(tmp_path / "out") == before


def test_speechocean762_bad_input(tmp_path):
    folder = speechocean(tmp_path / "so")
    with pytest.raises(InputError, match="speechocean762: utterances of train: found 40, expected 2,500"):
        prepare_speechocean762.prepare(folder, tmp_path / "out")
    with (folder / "train" / "text").open("a") as file:
        file.write("01000\tAGAIN\n")
    with pytest.raises(InputError, match=r"text:41: id '01000' was there before"):
        prepare_speechocean762.prepare(folder, tmp_path / "out", partial=True)
    text(folder / "train" / "utt2spk", "01000 0100\n")
    text(folder / "train" / "text", "01000\tX\n01001\tY\n")
    with pytest.raises(InputError, match=r"utt2spk: utterance '01001' is missing"):
        prepare_speechocean762.prepare(folder, tmp_path / "out", partial=True)


# ----------------------------------------------------------------------------------------------------------- Kathleen
def kathleen(folder: Path) -> Path:
    recordings = [(f"a{i:04}", f"Prompt  {i}, says she.") for i in range(38) for _ in range(2)]
    recordings += [
        ("a0252", "O'Brien had been a clean living young man with a future."),
        ("b0001", "Prompt 3, says she."),
    ]
    for time, (prompt, sentence) in enumerate(recordings):
        wave(folder / "data" / f"arctic_{prompt}_{time}.wav", 480, rate_hz=48000, channels=2)
        text(folder / "data" / f"arctic_{prompt}_{time}.txt", sentence)
    return folder


def test_kathleen(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(prepare_kathleen, "RECORDINGS", 78)
    monkeypatch.setattr(prepare_kathleen, "PROMPTS", 40)
    paths = prepare_kathleen.prepare(kathleen(tmp_path / "kathleen"), tmp_path / "out")
    split = {name: read_manifest(path) for name, path in paths.items()}
    prompts = [{u.id.split("_")[1] for u in rows} for rows in split.values()]
    assert [len(names) for names in prompts[1:]] == [2, 2] and sum(map(len, prompts)) == 40  # 5 % of 39 groups
    assert disjoint(prompts) and disjoint([{u.text for u in rows} for rows in split.values()])
    rows = {u.id: u for rows in split.values() for u in rows}
    assert rows["arctic_a0252_76"].text == "O'Brien had been a clean living young man."
    assert "erratum: arctic_a0252_76" in capsys.readouterr().out
    assert (rows["arctic_a0000_0"].text, rows["arctic_a0000_0"].duration) == ("Prompt 0, says she.", 0.01)
    before = all_bytes(tmp_path / "out")
    prepare_kathleen.prepare(tmp_path / "kathleen", tmp_path / "out")
    assert all_bytes(tmp_path / "out") == before


def test_kathleen_prompts_that_share_sentences_form_one_group():
    takes = [("a1", "x"), ("a2", "y"), ("a3", "z"), ("a4", "w"), ("a3", "y"), ("a2", "X")]
    rows = [Utterance(f"arctic_{prompt}_{i}", Path("a.wav"), 1.0, line) for i, (prompt, line) in enumerate(takes)]
    assert prepare_kathleen._groups(rows) == {"a1": "a1", "a2": "a1", "a3": "a1", "a4": "a4"}


def test_kathleen_counts(tmp_path):
    with pytest.raises(InputError, match="kathleen: recordings: found 78, expected 1,620"):
        prepare_kathleen.prepare(kathleen(tmp_path / "kathleen"), tmp_path / "out")


def test_table_of_recordings_without_transcripts(tmp_path, capsys):
    path = table(tmp_path, "path\tspeaker\na.wav\tAda\nb.wav\tBen\n")
    with pytest.raises(InputError, match=r"table\.tsv:1: no text column among 'path', 'speaker'"):
        prepare_table.prepare(path, tmp_path / "out")
    made = prepare_table.prepare(path, tmp_path / "out", untranscribed=True)
    rows = read_manifest(made["untranscribed"])
    assert [(u.id, u.text, u.speaker, u.duration) for u in rows] == [("a", "", "Ada", 0.05), ("b", "", "Ben", 0.05)]
    assert "untranscribed.jsonl: 2 recordings; next: speechxfer embed" in capsys.readouterr().out
    some = table(tmp_path, "path\ttext\na.wav\thello\nb.wav\t\n", "some.tsv")
    made = prepare_table.prepare(some, tmp_path / "some", untranscribed=True)
    assert [u.text for u in read_manifest(made["untranscribed"])] == ["", ""]
    with pytest.raises(InputError, match="--limit-hours cuts train"):
        prepare_table.prepare(some, tmp_path / "some", untranscribed=True, limit_hours=1.0)


def test_table_finds_files_whose_accents_are_written_otherwise(tmp_path):
    rows = []
    for on_disk, in_table, split in (("NFC", "NFD", "train"), ("NFD", "NFC", "dev"), ("NFC", "NFC", "test")):
        wave(tmp_path / unicodedata.normalize(on_disk, f"ẹ̀kọ́ {split}.wav"), 800 + len(rows))
        rows.append(f"{unicodedata.normalize(in_table, f'ẹ̀kọ́ {split}.wav')}\t{split}\tẹ̀kọ́ {len(rows)}\n")
    text(tmp_path / "t.tsv", "path\tsplit\ttext\n" + "".join(rows))
    paths = prepare_table.prepare(tmp_path / "t.tsv", tmp_path / "out")
    found = [read_manifest(paths[split])[0].audio_filepath for split in ("train", "dev", "test")]
    assert [soundfile.info(path).frames for path in found] == [800, 801, 802]
    text(tmp_path / "t.tsv", f"path\ttext\n{'a' * 300}.wav\thello\n")  # longer than any file's name may be
    with pytest.raises(InputError, match=r"aaa\.wav: the audio file is missing"):
        prepare_table.prepare(tmp_path / "t.tsv", tmp_path / "out")


# ------------------------------------------------------------------------------------------------------------- Debian
def debian(folder: Path) -> Path:
    share = folder / "usr" / "share"
    lengths = itertools.count()

    def log_info(path: Path, rate_hz: int) -> None:  # no two are the same
        wave(path, rate_hz - next(lengths), rate_hz=rate_hz)

    for lang, voice in prepare_debian.VOICES.items():
        for name in ("hello", "digits/1", "beep"):
            log_info(share / "asterisk" / "sounds" / voice / f"{name}.wav", 8000)
        prompts = "; Prompts\n\nhello: Good  day: to you.\ndigits/1: one\nbeep: [a beep]\nlost: No sound\n"
        doc = share / "doc" / f"asterisk-core-sounds-{lang}" / f"core-sounds-{lang}.txt.gz"
        doc.parent.mkdir(parents=True)
        doc.write_bytes(gzip.compress(prompts.encode()))
    wave(share / "asterisk" / "sounds" / "it_IT_f_Menardi" / "hello.wav")  # another voice, whose texts are its own
    fish = share / "games" / "fillets-ng"
    for lang in prepare_debian.FISH:
        for name in ("m-hi", "v-hi", "silent"):
            log_info(fish / "sound" / "cellar" / lang / f"{name}.ogg", 22050)
        lines = [("m-hi", "font_small", r"Ahoj, \"rybo\"!"), ("v-hi", "font_big", "Ahoj.")]
        spoken = [f'dialogId("{i}", "{who}", "Hi (there).")\ndialogStr("{line}")\n\n' for i, who, line in lines]
        text(fish / "script" / "cellar" / f"dialogs_{lang}.lua", "\n" + "\n".join(spoken))
    stamps = share / "tuxpaint" / "stamps"
    for number in range(22):
        for lang in ("el", "ro"):
            log_info(stamps / "animals" / f"cat{number}_desc_{lang}.ogg", 44100)
        text(
            stamps / "animals" / f"cat{number}.txt",
            f"A cat.\nel.utf8=Μια γάτα {chr(97 + number)}.\nro.utf8=O pisică {chr(97 + number)}.\n",
        )
    log_info(stamps / "coin_desc_ro.ogg", 44100)
    text(stamps / "coin.txt", "A coin.\nro.utf8=O monedă de 25 de cenți.\n")
    letters = share / "klettres"
    for lang in ("en_GB", "he"):
        sounds = []
        for number, name in enumerate(("A", "BO", "PET", "SKY")):
            wave(letters / lang / "alpha" / f"{number}.ogg", 50_000 + next(lengths), rate_hz=22050)  # long silences
            sounds.append(f'<sound name="{name}" file="{lang}/alpha/{number}.ogg"/>')
        sounds.append(f'<sound name="LOST" file="{lang}/alpha/lost.ogg" />')
        text(
            letters / lang / "sounds.xml", f'<kletters><language code="{lang}">{"".join(sounds)}</language></kletters>'
        )
    return folder


def test_debian(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(prepare_debian, "UTTERANCES", 60)  # 4 x 2 + 2 x 2 + 22 x 2 + 4
    paths = prepare_debian.prepare(debian(tmp_path / "root"), tmp_path / "out")
    rows = {u.id: u for path in paths.values() for u in read_manifest(path)}
    hello = rows["asterisk-en-hello"]
    assert (hello.text, hello.lang, hello.speaker) == ("Good day: to you.", "en-us", "asterisk-en_US_f_Allison")
    assert (rows["asterisk-es-digits-1"].lang, rows["asterisk-it-hello"].speaker) == (
        "es-419",
        "asterisk-it_IT_m_Carlo",
    )
    fish = rows["fillets-cs-cellar-m-hi"]
    assert (fish.text, fish.lang, fish.speaker, fish.duration) == (
        'Ahoj, "rybo"!',
        "cs",
        "fillets-cs-font_small",
        pytest.approx(1.0, abs=0.01),
    )
    assert rows["tuxpaint-ro-animals-cat0"].text == "O pisică a."
    by_split = {name: read_manifest(path) for name, path in paths.items()}
    assert {u.lang for u in by_split["unseen"]} == {"el"} and len(by_split["unseen"]) == 22
    assert [u.lang for u in by_split["train"]] == ["en-gb", "ro", "ro"]
    assert len(by_split["dev"]) == 35  # at most 20 of each, of KLettres 3
    syllable = rows["klettres-en_GB-alpha-3"]
    assert (syllable.text, syllable.lang, syllable.speaker) == ("SKY", "en-gb", "klettres-en_GB")
    assert not [name for name in rows if name.startswith("klettres-he")]  # espeak-ng reads no vowels there
    assert "excluded: 5 (digits, signs or remarks), 2 (no text of their own)\n" in capsys.readouterr().out
    before = all_bytes(tmp_path / "out")
    prepare_debian.prepare(tmp_path / "root", tmp_path / "out")
    assert all_bytes(tmp_path / "out") == before


def test_debian_excludes_copies_and_implausible_lengths(tmp_path, monkeypatch, capsys):
    root = debian(tmp_path / "root")
    stamps = root / "usr" / "share" / "tuxpaint" / "stamps"
    shutil.copy(stamps / "animals" / "cat3_desc_ro.ogg", stamps / "other_desc_ro.ogg")
    text(stamps / "other.txt", "Another.\nro.utf8=O altă pisică.\n")
    wave(stamps / "again_desc_ro.ogg", 40000, rate_hz=44100)
    text(stamps / "again.txt", "A cat.\nro.utf8=O pisică a.\n")
    for name, words in (("short", "O pisică"), ("long", "O pisică neagră cu ochi verzi și cu coada foarte lungă")):
        wave(stamps / f"{name}_desc_ro.ogg", 441000 if name == "short" else 22050, rate_hz=44100)
        text(stamps / f"{name}.txt", f"A cat.\nro.utf8={words}\n")
    monkeypatch.setattr(prepare_debian, "UTTERANCES", 60)
    prepare_debian.prepare(root, tmp_path / "out")
    out = capsys.readouterr().out
    assert "2 (longer than 30 s, or too many or too few letters for its length)" in out
    assert "2 (said by the same speaker before)" in out


def test_debian_bad_input(tmp_path):
    root = debian(tmp_path / "root")
    with pytest.raises(InputError, match="utterances: found 60, expected 12,136"):
        prepare_debian.prepare(root, tmp_path / "out")
    letters = root / "usr" / "share" / "klettres" / "en_GB" / "sounds.xml"
    whole = letters.read_text()
    text(letters, whole[:50])
    with pytest.raises(InputError, match=r"en_GB/sounds\.xml: not readable XML"):
        prepare_debian.prepare(root, tmp_path / "out")
    text(letters, whole)
    table = root / "usr" / "share" / "doc" / "asterisk-core-sounds-it" / "core-sounds-it.txt.gz"
    table.write_bytes(table.read_bytes()[:20])
    with pytest.raises(InputError, match=r"core-sounds-it\.txt\.gz: cannot be read"):
        prepare_debian.prepare(root, tmp_path / "out")
    with pytest.raises(
        InputError, match=r"asterisk/sounds: no recordings; expected asterisk's packages unpacked there"
    ):
        prepare_debian.prepare(tmp_path, tmp_path / "out")


# ------------------------------------------------------------------------------------------------------------- Yoruba
def yoruba(folder: Path, language: str = "yor") -> Path:
    lines = []
    for split, count in (("train", 4), ("val", 2), ("test", 3), ("extra", 1)):
        for index in range(count):
            name = f"200625-21{len(lines):04}_{language}_874_elicit_{index}"
            wave(folder / "data" / "records" / split / f"{name}{'.WAV' if index else '.wav'}", 1600)
            lines.append(f"{name}:ọrọ  ìyànjù: {split} {index}  ")
    text(
        folder / "data" / "raw_text_file.txt", "\n".join([*lines, lines[0], "", "200625-999999_yor_874_elicit_0:lone"])
    )
    wave(folder / "data" / "records" / "train" / "mute.wav")
    return folder


def test_yoruba(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(prepare_yoruba, "COUNTS", {"train": 4, "dev": 2, "test": 3})
    paths = prepare_yoruba.prepare(yoruba(tmp_path / "yoruba"), tmp_path / "out")
    split = {name: read_manifest(path) for name, path in paths.items()}
    assert {name: len(rows) for name, rows in split.items()} == {"train": 4, "dev": 2, "test": 3, "extra": 1}
    first = split["dev"][0]
    assert (first.text, first.speaker, first.lang) == ("ọrọ ìyànjù: val 0", "yor_874", "yo")
    out = capsys.readouterr().out
    assert "11 recordings, 11 texts; 1 recordings without text, 1 texts without recording" in out
    assert "excluded: mute: it has audio but no text" in out
    assert "excluded: 200625-999999_yor_874_elicit_0: it has text but no audio" in out
    before = all_bytes(tmp_path / "out")
    prepare_yoruba.prepare(tmp_path / "yoruba", tmp_path / "out")
    assert all_bytes(tmp_path / "out") == before


def test_yoruba_sister_corpus_has_no_known_counts(tmp_path):
    folder = yoruba(tmp_path / "wolof", "wol")
    with pytest.raises(InputError, match="yoruba: utterances of train: found 4, expected 280"):
        prepare_yoruba.prepare(folder, tmp_path / "out")
    (first, *_) = read_manifest(prepare_yoruba.prepare(folder, tmp_path / "out", lang="wo")["train"])
    assert (first.lang, first.speaker) == ("wo", "wol_874")


def test_yoruba_sister_corpus_with_folders_of_other_names(tmp_path):
    folder = yoruba(tmp_path / "fon", "fon")
    (folder / "data" / "records" / "val").rename(folder / "data" / "records" / "validation")
    (folder / "data" / "raw_text_file.txt").rename(folder / "raw_text_file.txt")
    paths = prepare_yoruba.prepare(folder, tmp_path / "out", lang="fon")
    assert len(ids(paths["dev"])) == 2
    wave(folder / "data" / "records" / "loose.wav")
    with pytest.raises(InputError, match=r"1 recordings lie outside of a split, such as loose\.wav"):
        prepare_yoruba.prepare(folder, tmp_path / "out", lang="fon")


def test_yoruba_bad_lines(tmp_path):
    folder = yoruba(tmp_path / "yoruba")
    good = (folder / "data" / "raw_text_file.txt").read_text(encoding="utf-8")
    text(folder / "data" / "raw_text_file.txt", "no colon here\n" + good)
    with pytest.raises(InputError, match=r"raw_text_file\.txt:1: expected a line <id>:<text>"):
        prepare_yoruba.prepare(folder, tmp_path / "out", lang="wo")
    text(folder / "data" / "raw_text_file.txt", good + "\n" + good.split(":")[0] + ":different")
    with pytest.raises(InputError, match=r"raw_text_file\.txt:14: id .* had another text before"):
        prepare_yoruba.prepare(folder, tmp_path / "out", lang="wo")


# ---------------------------------------------------------------------------------------- repacked copies, real corpora
def test_a_repacked_copy_gives_the_same_utterances(tmp_path):
    folder = yoruba(tmp_path / "yoruba")
    original = prepare_yoruba.prepare(folder, tmp_path / "out", partial=True)
    rows = ["id\tspeaker\tpath\tstart\tframes\tsplit\ttext"]
    for split, path in original.items():
        for u in read_manifest(path):
            rows.append(f"{u.id}\t{u.speaker}\t{u.audio_filepath.name}\t0\t1600\t{split}\t{u.text}")
            (tmp_path / "repacked").mkdir(exist_ok=True)
            (tmp_path / "repacked" / u.audio_filepath.name).write_bytes(u.audio_filepath.read_bytes())
    text(tmp_path / "repacked" / "transcripts.tsv", "\n".join(rows))
    repacked = prepare_yoruba.prepare(tmp_path / "repacked", tmp_path / "out2", partial=True)
    for split, path in original.items():
        pairs = zip(read_manifest(path), read_manifest(repacked[split]), strict=True)
        assert all(
            (a.id, a.text, a.duration, a.speaker, a.lang) == (b.id, b.text, b.duration, b.speaker, b.lang)
            for a, b in pairs
        )


REAL = [  # folder, script, utterances by manifest, hours by manifest: the figures that the copies' notes give
    ("mboshi", prepare_mboshi, {"dev": 514, ("train", "valid"): 4616}, {"dev": 0.44, ("train", "valid"): 4.02}),
    ("fsdd", prepare_fsdd, {("train", "dev"): 2700, "test": 300}, {("train", "dev", "test"): 0.36}),
    (
        "speechocean762",
        prepare_speechocean762,
        {("train", "dev"): 2500, "test": 2500},
        {("train", "dev", "test"): 5.57},
    ),
    ("kathleen_en", prepare_kathleen, {("train", "dev", "test"): 1620}, {("train", "dev", "test"): 1.37}),
    ("yoruba", prepare_yoruba, {"train": 280, "dev": 70, "test": 350}, {"train": 0.84, "dev": 0.20, "test": 1.01}),
]


@pytest.mark.parametrize(("folder", "script", "counts", "hours"), REAL, ids=[row[0] for row in REAL])
def test_real_corpora(shared_data, tmp_path, folder, script, counts, hours):
    paths = script.prepare(shared_data / folder, tmp_path / "out")
    split = {name: read_manifest(path) for name, path in paths.items()}

    def joined(names: str | tuple[str, ...]) -> list[Utterance]:
        return [u for name in ([names] if isinstance(names, str) else names) for u in split[name]]

    assert {names: len(joined(names)) for names in counts} == counts
    assert {names: round(sum(u.duration for u in joined(names)) / 3600, 2) for names in hours} == hours
    with (shared_data / folder / "transcripts.tsv").open(encoding="utf-8") as file:
        header, *rows = (line.rstrip("\n").split("\t") for line in file)
    positions = {row[0]: (int(row[header.index("start")]), int(row[header.index("frames")])) for row in rows}
    rate_hz = 8000 if folder == "fsdd" else 16000
    found = {u.id: (round(u.offset * rate_hz), round(u.duration * rate_hz)) for rows in split.values() for u in rows}
    assert found == positions
    if folder == "mboshi":
        assert len(split["valid"]) == 200
        seconds = [sum(u.duration for u in split[name]) for name in ("train_10min", "train_1h")]
        assert 590 < seconds[0] < 600 and 3590 < seconds[1] < 3600
        names = {name: {u.id for u in rows} for name, rows in split.items()}
        assert names["train_10min"] < names["train_1h"] < names["train"]
        texts = {name: {u.text for u in rows} for name, rows in split.items()}
        assert disjoint([texts["train"], texts["valid"], texts["dev"]])
    if folder == "kathleen_en":
        assert disjoint([{u.text.casefold() for u in rows} for rows in split.values()])
    if folder == "speechocean762":
        assert [len({u.speaker for u in split[name]}) for name in ("train", "dev", "test")] == [113, 12, 125]


# --------------------------------------------------------------------------------------------------------------- UDHR
UDHR = """<?xml version="1.0" encoding="UTF-8"?>
<udhr iso639-3='swh' xml:lang='sw' key='swh' n='Swahili' dir='ltr' xmlns="http://efele.net/udhr">
  <title>TAARIFA</title>
  <preamble><para>Kwa kuwa ni lazima, watu wote. Wawe   huru!</para></preamble>
  <article><para>Ndiyo.</para></article>
</udhr>
"""


def test_udhr_in_its_original_layout(tmp_path, monkeypatch, capsys):
    text(tmp_path / "udhr" / "data" / "udhr" / "udhr_swh.xml", UDHR)
    monkeypatch.setattr(prepare_udhr, "VOICES", {"swh": "sw", "lin": "sw"})
    with pytest.raises(InputError, match=r"udhr_swh.xml: 2 paragraphs; expected at least 25"):
        prepare_udhr.prepare(tmp_path / "udhr", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    path = prepare_udhr.prepare(tmp_path / "udhr", tmp_path / "out", partial=True)
    assert "excluded: udhr_lin" in capsys.readouterr().out
    assert path.read_text(encoding="utf-8") == (
        "id\tlang\tvoice\ttext\nswh-000\tsw\tsw\tKwa kuwa ni lazima, watu wote.\nswh-001\tsw\tsw\tWawe huru!\n"
    )  # 'Ndiyo.' is shorter than 8 letters
    header, *rows = (tmp_path / "out" / "words.tsv").read_text(encoding="utf-8").splitlines()
    assert header == "id\tlang\tvoice\ttext"
    assert [row.split("\t")[:3] for row in rows] == [[f"swh_word-{number:03d}", "sw", "sw"] for number in range(8)]
    assert {row.split("\t")[3] for row in rows} == {"kwa", "kuwa", "ni", "lazima", "watu", "wote", "wawe", "huru"}
    text(tmp_path / "udhr" / "data" / "udhr" / "udhr_swh.xml", UDHR[:200])
    with pytest.raises(InputError, match="cannot be read"):
        prepare_udhr.prepare(tmp_path / "udhr", tmp_path / "out", partial=True)
    with pytest.raises(InputError, match="no text found"):
        prepare_udhr.prepare(tmp_path / "nothing", tmp_path / "out", partial=True)


def test_clauses_are_short_and_lose_no_word():
    words = [f"neno{number}" for number in range(100)]
    paragraph = " ".join(words[:30]) + ", " + " ".join(words[30:90]) + "; " + " ".join(words[90:])
    clauses = list(prepare_udhr.clauses_of(paragraph))
    assert " ".join(clauses).replace(",", "").replace(";", "").split() == words
    assert max(map(len, clauses)) <= 110
    chinese = list(
        prepare_udhr.clauses_of(
            "人人生而自由，在尊严和权利上一律平等。他们赋有理性和良心，并应以兄弟关系的精神相对待。"
        )
    )
    assert chinese == ["人人生而自由， 在尊严和权利上一律平等。", "他们赋有理性和良心， 并应以兄弟关系的精神相对待。"]


def test_words_are_chosen_by_hash_whatever_the_order_of_the_clauses():
    clauses = [f"neno{chr(97 + number // 26)}{chr(97 + number % 26)}, 12 a" for number in range(300)]
    words = prepare_udhr.sample_words("swh", clauses)
    assert len(set(words)) == 150 and all(
        word.startswith("neno") for word in words
    )  # numbers and single letters are not words
    assert prepare_udhr.sample_words("swh", clauses[::-1]) == words
    assert set(prepare_udhr.sample_words("lin", clauses)) != set(words)
    assert prepare_udhr.sample_words("cmn_hans", ["人人生而自由，在尊严和权利上一律平等。"]) == []


def test_udhr_real(shared_data, tmp_path):
    path = prepare_udhr.prepare(shared_data / "udhr", tmp_path)
    lines = path.read_text(encoding="utf-8").splitlines()[1:]
    assert len({line.split("\t")[0].rpartition("-")[0] for line in lines}) == len(prepare_udhr.VOICES) >= 60
    assert any("watu wote wamezaliwa huru" in line.lower() for line in lines if line.startswith("swh"))
    assert path.read_bytes() == prepare_udhr.prepare(shared_data / "udhr", tmp_path / "again").read_bytes()


def common_voice(folder: Path, shared: bool = False) -> Path:
    """A language in Common Voice's layout: two speakers in train, one each in dev and test; clips in MP3."""
    header = "client_id\tpath\tsentence\tup_votes\tdown_votes\tage\tgender\taccents\tlocale\tsegment\n"
    rows = {"train": ["a" * 128, "b" * 128], "dev": ["c" * 128], "test": ["a" * 128 if shared else "d" * 128]}
    for split, speakers in rows.items():
        lines = []
        for number, speaker in enumerate(speakers):
            name = f"common_voice_rw_{split}{number}.mp3"
            (folder / "clips").mkdir(parents=True, exist_ok=True)
            noise = np.random.default_rng(number).uniform(-0.1, 0.1, 48_000)
            soundfile.write(folder / "clips" / name, noise, 48_000, format="MP3")
            lines.append(f'{speaker}\t{name}\t"Muraho,  {split}!"\t2\t0\t\t\t\trw\t\n')
        text(folder / f"{split}.tsv", header + "".join(lines))
    return folder


@pytest.mark.parametrize("lang", ["any", "rw"])
def test_common_voice(tmp_path, lang):
    common_voice(tmp_path / "cv" / "rw")
    for number, given in enumerate((tmp_path / "cv", tmp_path / "cv" / "rw")):
        paths = prepare_common_voice.prepare(given, tmp_path / f"out{number}", lang=lang)
        train = read_manifest(paths["train"])
        assert [u.id for u in train] == ["common_voice_rw_train0", "common_voice_rw_train1"]
        assert [(u.speaker, u.lang, u.text) for u in train] == [(s * 16, "rw", '"Muraho, train!"') for s in "ab"]
        assert train[0].duration == pytest.approx(1.0, abs=0.08)
        assert [u.speaker[0] for u in read_manifest(paths["dev"]) + read_manifest(paths["test"])] == ["c", "d"]


def test_common_voice_bad_input(tmp_path):
    common_voice(tmp_path / "cv" / "rw", shared=True)
    with pytest.raises(InputError, match=r"speaker a{16} is in train and in test"):
        prepare_common_voice.prepare(tmp_path / "cv", tmp_path / "out")
    common_voice(tmp_path / "cv" / "sw")
    with pytest.raises(InputError, match="found languages: rw, sw"):
        prepare_common_voice.prepare(tmp_path / "cv", tmp_path / "out")
    (tmp_path / "cv" / "sw" / "clips" / "common_voice_rw_dev0.mp3").unlink()
    with pytest.raises(InputError, match=r"common_voice_rw_dev0\.mp3: the audio file is missing"):
        prepare_common_voice.prepare(tmp_path / "cv", tmp_path / "out", lang="sw")
    text(tmp_path / "cv" / "sw" / "train.tsv", "client_id\tpath\n")
    with pytest.raises(InputError, match=r"train\.tsv:1: column 'sentence' is missing"):
        prepare_common_voice.prepare(tmp_path / "cv" / "sw", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_librispeech(tmp_path, capsys):
    for part, speaker in (("train-clean-100", 19), ("train-other-500", 20), ("dev-clean", 84), ("test-clean", 61)):
        chapter = tmp_path / "LibriSpeech" / part / str(speaker) / "198"
        for number in range(2):
            wave(chapter / f"{speaker}-198-{number:04d}.flac", 16_000)
        lines = "".join(f"{speaker}-198-{number:04d} NORTHANGER {part.upper()}\n" for number in range(2))
        text(chapter / f"{speaker}-198.trans.txt", lines)
    with pytest.raises(InputError, match="utterances of train-clean-100: found 2, expected 28,539"):
        prepare_librispeech.prepare(tmp_path, tmp_path / "out")
    paths = prepare_librispeech.prepare(tmp_path / "LibriSpeech", tmp_path / "out", partial=True)
    assert sorted(paths) == ["dev-clean", "test-clean", "train"]
    assert [u.id for u in read_manifest(paths["train"])] == ["19-198-0000", "19-198-0001", "20-198-0000", "20-198-0001"]
    [first, _] = read_manifest(paths["test-clean"])
    assert (first.text, first.speaker, first.duration) == ("northanger test-clean", "61", 1.0)
    assert "note: test-other is not there" in capsys.readouterr().out


def test_one_sentence_in_three_spellings_is_one_sentence(tmp_path):
    """Composed, decomposed and with a full stop: what the model is to write is the same, so it stays in one split."""
    sentences = [f"{first} {second} é" for first in "abcde" for second in "fghi"]
    spellings = [unicodedata.normalize("NFC", s) for s in sentences]
    spellings += [unicodedata.normalize("NFD", s) for s in sentences] + [f"{s.upper()}." for s in sentences]
    rows = "".join(f"{'abcdef'[i % 6]}.wav\tu{i}\t{spelling}\n" for i, spelling in enumerate(spellings))
    paths = prepare_table.prepare(table(tmp_path, "path\tid\ttext\n" + rows), tmp_path / "out")
    texts_of = {split: {Normalizer()(u.text) for u in read_manifest(path)} for split, path in paths.items()}
    assert len(set().union(*texts_of.values())) == sum(map(len, texts_of.values())) == 20


def test_a_header_that_promises_more_than_any_codec_holds(tmp_path):
    """STREAMINFO's 36-bit number of samples (RFC 9639, section 8.2) raised to 2**34 in a file of 800."""
    path = table(tmp_path, "path\ttext\n" + "".join(f"{s}.wav\t{s}\n" for s in "abcde") + "f.flac\tf\n")
    samples, rate_hz = soundfile.read(tmp_path / "f.wav")
    soundfile.write(tmp_path / "f.flac", samples, rate_hz)
    data = bytearray((tmp_path / "f.flac").read_bytes())
    data[21] = data[21] & 0xF0 | 0x04
    (tmp_path / "f.flac").write_bytes(data)
    assert soundfile.info(tmp_path / "f.flac").frames > 2**34
    with pytest.raises(InputError, match=r"f\.flac: it is damaged: its header promises 298 h"):
        prepare_table.prepare(path, tmp_path / "out")


@pytest.mark.parametrize("out", ["taken", "taken/deeper"])
def test_a_place_that_cannot_be_written_is_one_line(tmp_path, out):
    path = table(tmp_path, "path\ttext\n" + "".join(f"{s}.wav\t{s}\n" for s in "abcdef"))
    (tmp_path / "taken").write_text("")
    command = [sys.executable, "-m", "data_scripts.prepare_table", path, tmp_path / out]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: ")
    assert "taken" in done.stderr


def test_table_without_dev_is_noted(tmp_path, capsys):
    prepare_table.prepare(table(tmp_path, "path\ttext\tsplit\na.wav\tone\ttrain\nb.wav\ttwo\ttest\n"), tmp_path / "out")
    assert "no row is dev" in capsys.readouterr().out


def test_table_as_a_spreadsheet_writes_it(tmp_path):
    content = "path\ttext\tsplit\r\na.wav\tọ̀kan\ttrain\r\n"
    wave(tmp_path / "a.wav")
    (tmp_path / "wide.txt").write_bytes(content.encode("utf-16"))
    [utterance] = read_manifest(prepare_table.prepare(tmp_path / "wide.txt", tmp_path / "out")["train"])
    assert utterance.text == "ọ̀kan"
    (tmp_path / "book.xlsx").write_bytes(b"PK\x03\x04 and so on")
    with pytest.raises(InputError, match=r"book\.xlsx: a spreadsheet.*CSV"):
        prepare_table.prepare(tmp_path / "book.xlsx", tmp_path / "out")
    file = table(tmp_path, "path;text\na.wav;one\n")
    with pytest.raises(InputError, match=r"separated by commas or semicolons, so name the file \.csv"):
        prepare_table.prepare(file, tmp_path / "out")


PROGRAMS = sorted(p.stem for p in (ROOT / "data_scripts").glob("*.py") if "__main__" in p.read_text(encoding="utf-8"))


@pytest.mark.parametrize("program", PROGRAMS)
def test_an_empty_path_is_refused(program, monkeypatch, capsys):
    """It would mean the current folder."""
    monkeypatch.setattr(sys, "argv", [program, "", "", ""])
    with pytest.raises(SystemExit) as end:
        runpy.run_module(f"data_scripts.{program}", run_name="__main__")
    assert end.value.code == 2
    assert "is empty; name a file or folder" in capsys.readouterr().err
