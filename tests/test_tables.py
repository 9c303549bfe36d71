"""Tables as newcomers write them: times, paths, ids and names of many origins, and what a second call leaves in the folder.

Expected times are computed by hand; header names are those that ELAN 6, Praat and Audacity use in their exports.
"""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from data_scripts import prepare_table
from speechxfer.data import Utterance, read_manifest
from speechxfer.errors import InputError

ROOT = Path(__file__).resolve().parents[1]
RATE_HZ = 1000


def write_recording(path: Path, seconds: float = 100.0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(
        os.fsencode(path),
        np.random.default_rng(1).uniform(-0.1, 0.1, round(seconds * RATE_HZ)),
        RATE_HZ,
        format=path.suffix[1:],
    )


def read_table(folder: Path, content: str, name: str = "table.tsv", **options: bool) -> list[Utterance]:
    """The utterances of a table in which every row is train."""
    (folder / name).write_text(content, encoding="utf-8", newline="\n")
    return read_manifest(prepare_table.prepare(folder / name, folder / "out", **options)["train"])


@pytest.mark.parametrize(
    ("name", "begin", "end", "separator"),
    [
        ("t.tsv", "start\t62.5", "end\t64.25", "\t"),
        ("t.tsv", "Begin Time - ss.msec\t62.5", "End Time - ss.msec\t64.25", "\t"),  # ELAN
        ("t.tsv", "Begin Time - msec\t62500", "End Time - msec\t64250", "\t"),
        ("t.tsv", "Begin Time - hh:mm:ss.ms\t00:01:02.500", "End Time - hh:mm:ss.ms\t0:01:04.250", "\t"),
        ("t.tsv", "tmin\t62.5", "tmax\t64.25", "\t"),  # Praat
        ("t.csv", "start;62,5", "end;64,25", ";"),
        ("t.csv", "offset;1:02,5", "stop;01:04.25", ";"),
        ("t.csv", "start_ms;62500", "end_ms;64250", ";"),
    ],
)
def test_begin_and_end_are_read_in_their_units(tmp_path: Path, name: str, begin: str, end: str, separator: str) -> None:
    write_recording(tmp_path / "a.wav")
    (begin_name, begin_value), (end_name, end_value) = (part.split(separator) for part in (begin, end))
    header = separator.join(("path", "text", "split", begin_name, end_name))
    row = separator.join(("a.wav", "one", "train", begin_value, end_value))
    [utterance] = read_table(tmp_path, f"{header}\n{row}\n", name)
    assert (utterance.offset, utterance.duration) == (62.5, 1.75)


def test_start_without_end_counts_samples(tmp_path: Path) -> None:
    write_recording(tmp_path / "a.wav")
    [utterance] = read_table(tmp_path, "path\ttext\tsplit\tstart\tframes\na.wav\tone\ttrain\t250\t500\n")
    assert (utterance.offset, utterance.duration) == (0.25, 0.5)


@pytest.mark.parametrize(
    ("header", "cells", "message"),
    [
        ("start\tend", "64\t62", r":2: it ends at 62 s, before it begins at 64 s"),
        ("start\tend", "62\t164", r"covers samples 62000 to 164000, but .* has 100000"),
        ("start\tend", "1:75.5\t-3", r":2: end is '-3'; expected seconds, zero or more, or minutes:seconds"),
        ("start\tend_frames", "0\t99", r":1: column 'end_frames' has the unknown unit 'frames'"),
        ("frames\tend", "9\t9", r":1: 'frames' beside 'end'"),
    ],
)
def test_times_that_cannot_be_right_are_refused(tmp_path: Path, header: str, cells: str, message: str) -> None:
    write_recording(tmp_path / "a.wav")
    with pytest.raises(InputError, match=message):
        read_table(tmp_path, f"path\ttext\tsplit\t{header}\na.wav\tone\ttrain\t{cells}\n")


@pytest.mark.parametrize("written", ["sub\\a.wav", ".\\sub\\a.wav", "C:\\Users\\ann\\sub\\a.wav"])
def test_paths_of_windows_are_found(tmp_path: Path, written: str) -> None:
    write_recording(tmp_path / "sub" / "a.wav", 1)
    [utterance] = read_table(tmp_path, f"path\ttext\tsplit\n{written}\tone\ttrain\n")
    assert (utterance.id, utterance.audio_filepath) == ("a", tmp_path / "sub" / "a.wav")


def test_one_wrong_path_in_ten_is_excluded_and_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(10):
        write_recording(tmp_path / f"{number}.wav", 1)
    rows = "".join(f"{number}.wav\tone\ttrain\n" for number in range(9))
    utterances = read_table(tmp_path, "path\ttext\tsplit\n" + rows + "gone.wav\tone\ttrain\n")
    assert [utterance.id for utterance in utterances] == [str(number) for number in range(9)]
    printed = capsys.readouterr().out
    assert "excluded: gone: its audio" in printed and "1 of 10 rows excluded" in printed
    two_of_ten = "path\ttext\tsplit\n" + rows.replace("0.wav", "none.wav") + "gone.wav\tone\ttrain\n"
    with pytest.raises(InputError, match=r":2: utterance 'none': its audio .*1 more like it.*--partial"):
        read_table(tmp_path, two_of_ten)
    assert len(read_table(tmp_path, two_of_ten, partial=True)) == 8


def test_a_truncated_recording_is_used_as_far_as_it_goes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_recording(tmp_path / "a.wav", 2)
    data = (tmp_path / "a.wav").read_bytes()
    (tmp_path / "a.wav").write_bytes(data[:-100])  # 50 samples of 16 bits
    [utterance] = read_table(tmp_path, "path\ttext\tsplit\na.wav\tone\ttrain\n")
    assert utterance.duration == 1.95
    assert f"truncated recordings, used as far as they go: 1 ({tmp_path / 'a.wav'})" in capsys.readouterr().out


def test_equal_names_with_two_suffixes_get_two_ids(tmp_path: Path) -> None:
    write_recording(tmp_path / "a.wav", 1)
    write_recording(tmp_path / "a.flac", 2)
    utterances = read_table(tmp_path, "path\ttext\tsplit\na.wav\tone\ttrain\na.flac\ttwo\ttrain\n")
    assert [(utterance.id, utterance.duration) for utterance in utterances] == [("a.wav", 1.0), ("a.flac", 2.0)]


def test_a_recording_that_is_listed_twice_is_named(tmp_path: Path) -> None:
    write_recording(tmp_path / "a.wav", 1)
    with pytest.raises(InputError, match=r":3: 'a\.wav' was already listed at .*:2; .* start and end"):
        read_table(tmp_path, "path\ttext\tsplit\na.wav\tone\ttrain\na.wav\ttwo\ttrain\n")


def test_an_empty_path_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It would mean the current folder."""
    write_recording(tmp_path / "a.wav", 1)
    (tmp_path / "t.tsv").write_text("path\ttext\tsplit\na.wav\tone\ttrain\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["prepare_table", "t.tsv", ""])
    with pytest.raises(SystemExit) as end:
        prepare_table.main()
    assert end.value.code == 2 and "out_dir: is empty" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.wav", "t.tsv"]


def test_the_suggested_command_can_be_copied(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "my tables"
    write_recording(folder / "a.wav", 1)
    read_table(folder, "path\ttext\tsplit\na.wav\tone\ttrain\n")
    assert f"next: speechxfer check '{folder}/out/train.jsonl'" in capsys.readouterr().out
    prepare_table.prepare(folder / "table.tsv", folder / "more", untranscribed=True)
    assert (
        f"multilingual-small '{folder}/more/untranscribed.jsonl' --out '{folder}/more/map'" in capsys.readouterr().out
    )


def test_an_id_with_a_line_break_is_refused(tmp_path: Path) -> None:
    write_recording(tmp_path / "a.wav", 1)
    with pytest.raises(InputError, match=r"id 'x\\ny' has a tab or a line break"):
        read_table(tmp_path, 'path,text,split,id\na.wav,one,train,"x\ny"\n', "t.csv")


def test_manifests_of_an_earlier_call_are_renamed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in "abc":
        write_recording(tmp_path / f"{name}.wav", 1)
    read_table(tmp_path, "path\ttext\tsplit\na.wav\tone\ttrain\nb.wav\ttwo\tdev\nc.wav\tthree\ttest\n")
    read_table(tmp_path, "path\ttext\tsplit\na.wav\tone\ttrain\nb.wav\ttwo\ttrain\nc.wav\tthree\ttest\n")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["dev.jsonl.old", "test.jsonl", "train.jsonl"]
    assert "dev.jsonl is of an earlier call" in capsys.readouterr().out


@pytest.mark.parametrize("locale", ["C", "POSIX"])
def test_names_that_are_not_ascii_are_read_in_any_locale(tmp_path: Path, locale: str) -> None:
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))  # Latin-1, not UTF-8
    write_recording(folder / "ọ̀rọ̀.wav", 1)
    (folder / "t.tsv").write_text("path\ttext\tsplit\nọ̀rọ̀.wav\tẹ̀kọ́\ttrain\n", encoding="utf-8")
    environment = {**os.environ, "LC_ALL": locale, "LANG": locale, "PYTHONIOENCODING": "ascii:strict"}
    command = [sys.executable, "-m", "data_scripts.prepare_table", folder / "t.tsv", folder / "out"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    [utterance] = read_manifest(folder / "out" / "train.jsonl")
    assert (utterance.text, utterance.id) == ("ẹ̀kọ́", "ọ̀rọ̀")


def test_an_imported_manifest_is_split_without_a_change_of_its_utterances(tmp_path: Path) -> None:
    """Every utterance is in one split, with its segment of a recording that is elsewhere; nothing is measured again."""
    lines = [
        f'{{"id": "s{i}", "audio_filepath": "../wav/story.wav", "offset": {i}.5, "duration": 0.25, "text": "word {i}"}}\n'
        for i in range(20)
    ]
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "all.jsonl").write_text("".join(lines), encoding="utf-8")
    paths = prepare_table.prepare(tmp_path / "in" / "all.jsonl", tmp_path / "out", lang="yo")
    splits = {name: read_manifest(path) for name, path in paths.items()}
    assert {name: len(found) for name, found in splits.items()} == {"train": 16, "dev": 2, "test": 2}
    found = {item.id: item for utterances in splits.values() for item in utterances}
    assert sorted(found) == sorted(f"s{i}" for i in range(20))
    assert (found["s7"].offset, found["s7"].duration, found["s7"].text, found["s7"].lang) == (7.5, 0.25, "word 7", "yo")
    assert Path(found["s7"].audio_filepath).resolve() == (tmp_path / "wav" / "story.wav").resolve()
    with pytest.raises(InputError, match="--untranscribed and --audio-dir are for tables"):
        prepare_table.prepare(tmp_path / "in" / "all.jsonl", tmp_path / "out", untranscribed=True)
