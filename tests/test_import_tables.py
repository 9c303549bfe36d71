"""The verb `import` on tables of Hugging Face's `datasets`, made with pyarrow in the layouts that `datasets` documents."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
import soundfile

from speechxfer.data import Utterance, read_audio, read_manifest
from speechxfer.errors import InputError
from speechxfer.workflows import ImportOptions, import_files

RATE_HZ = 16_000
AUDIO = pa.struct({"bytes": pa.binary(), "path": pa.string()})


def sound(seconds: float, format: str = "WAV") -> bytes:
    buffer = io.BytesIO()
    samples = np.random.default_rng(round(1000 * seconds)).uniform(-0.5, 0.5, round(seconds * RATE_HZ))
    soundfile.write(buffer, samples, RATE_HZ, format=format)
    return buffer.getvalue()


def table(rows: list[dict[str, Any]], text: str = "sentence") -> pa.Table:
    columns = {"audio": pa.array([row["audio"] for row in rows], AUDIO), text: pa.array([row["text"] for row in rows])}
    for name in ("client_id", "locale"):
        columns[name] = pa.array([row.get(name) for row in rows], pa.string())
    return pa.table(columns)


def save_to_disk(folder: Path, parts: list[pa.Table]) -> Path:
    """Streams of Arrow with ``state.json``, as `datasets.Dataset.save_to_disk` writes them."""
    folder.mkdir(parents=True)
    names = [f"data-{number:05d}-of-{len(parts):05d}.arrow" for number in range(len(parts))]
    for name, part in zip(names, parts, strict=True):
        with pa.OSFile(str(folder / name), "wb") as sink, pa.ipc.new_stream(sink, part.schema) as writer:
            writer.write_table(part)
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": name} for name in names]}))
    (folder / "dataset_info.json").write_text("{}")
    return folder


def rows() -> list[dict[str, Any]]:
    """100 rows: more than are read at once."""
    many = [{"audio": {"bytes": sound(0.1 + i / 1000), "path": f"clip {i}.wav"}, "text": f"t{i}"} for i in range(97)]
    return [
        {"audio": {"bytes": sound(1.5), "path": "a.mp3"}, "text": "één", "client_id": "ana", "locale": "nl"},
        {"audio": {"bytes": sound(2.0, "FLAC"), "path": None}, "text": "two", "client_id": "bea", "locale": "nl"},
        {"audio": {"bytes": sound(1.0), "path": "c.wav"}, "text": " "},
        *many,
    ]


@pytest.mark.parametrize("layout", ["parquet", "disk"])
def test_recordings_inside_of_a_table_become_files(tmp_path: Path, layout: str) -> None:
    if layout == "parquet":
        path, first = tmp_path / "train-00000-of-00001.parquet", "train-00000-of-00001"
        pyarrow.parquet.write_table(table(rows()), path)
    else:
        path, first = (
            save_to_disk(tmp_path / "ds" / "train", [table(rows()[:50]), table(rows()[50:])]),
            "data-00000-of-00002",
        )
    out = tmp_path / "out" / "train.jsonl"
    shown = import_files([path], out)
    assert "99 utterances" in shown and "2 speakers" in shown and "skipped: 1 without text" in shown
    found = read_manifest(out)
    folder = tmp_path / "out" / "train_audio"
    assert found[:2] == [
        Utterance("a", folder / "a.wav", 1.5, "één", speaker="ana", lang="nl"),
        Utterance(f"{first}-000002", folder / f"{first}-000002.flac", 2.0, "two", speaker="bea", lang="nl"),
    ]
    assert (folder / "a.wav").read_bytes() == sound(1.5)  # the bytes of the table, with the suffix of what they are
    assert [one.text for one in found[2:]] == [f"t{i}" for i in range(97)]
    assert all(len(read_audio(one.audio_filepath)) == round(one.duration * RATE_HZ) for one in found)
    before = {file: file.stat().st_mtime_ns for file in folder.iterdir()}
    import_files([path], out)  # again: the files are there already
    assert {file: file.stat().st_mtime_ns for file in folder.iterdir()} == before


def test_recordings_that_are_named_by_path_stay_where_they_are(tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "a.wav").write_bytes(sound(1.0))
    by_path = {"audio": {"bytes": None, "path": "clips/a.wav"}, "text": "one"}
    pyarrow.parquet.write_table(table([by_path], text="words"), tmp_path / "x.parquet")
    options = ImportOptions(text_column="words", language="xyz")
    import_files([tmp_path], tmp_path / "x.jsonl", options)  # in the folder
    assert read_manifest(tmp_path / "x.jsonl") == [Utterance("a", tmp_path / "clips" / "a.wav", 1.0, "one", lang="xyz")]
    assert not (tmp_path / "x_audio").exists()
    pyarrow.parquet.write_table(pa.table({"file": ["clips/a.wav"], "text": ["two"]}), tmp_path / "x.parquet")
    import_files([tmp_path / "x.parquet"], tmp_path / "x.jsonl")
    assert [one.text for one in read_manifest(tmp_path / "x.jsonl")] == ["two"]


def test_two_recordings_of_one_name_and_one_that_is_in_the_way(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    twice = [{"audio": {"bytes": sound(s), "path": "same.wav"}, "text": str(s)} for s in (0.5, 0.7)]
    pyarrow.parquet.write_table(table(twice), tmp_path / "x.parquet")
    import_files([tmp_path / "x.parquet"], tmp_path / "x.jsonl")
    assert [(one.id, one.duration) for one in read_manifest(tmp_path / "x.jsonl")] == [("same", 0.5), ("same-2", 0.7)]
    mine = list((tmp_path / "x_audio").iterdir())
    for file in mine:
        file.write_bytes(b"mine")
    with pytest.raises(InputError, match="no utterance"):
        import_files([tmp_path / "x.parquet"], tmp_path / "x.jsonl")
    assert "exists with another content and is not replaced" in capsys.readouterr().err
    assert {file.read_bytes() for file in mine} == {b"mine"}


def test_splits_are_imported_one_by_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    row = [{"audio": {"bytes": sound(0.5), "path": "a.wav"}, "text": "a"}]
    for split in ("train", "test"):
        (tmp_path / "hub" / "data").mkdir(parents=True, exist_ok=True)
        pyarrow.parquet.write_table(table(row), tmp_path / "hub" / "data" / f"{split}-00000-of-00001.parquet")
        save_to_disk(tmp_path / "disk" / split, [table(row)])
    (tmp_path / "disk" / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    with pytest.raises(InputError, match="has the splits test, train; import each"):
        import_files([tmp_path / "hub"], tmp_path / "x.jsonl")
    with pytest.raises(InputError, match="no utterance"):
        import_files([tmp_path / "disk"], tmp_path / "x.jsonl")
    assert "has the splits train, test; import each" in capsys.readouterr().err
    assert not (tmp_path / "x.jsonl").exists()


@pytest.mark.parametrize(
    ("columns", "fault"),
    [
        ({"text": ["a"]}, "has no column of audio"),
        ({"path": ["a.wav"], "words": ["a"]}, "its columns: path, words; name one with --text-column"),
        ({"path": ["a.wav"], "text": ["a"]}, "row 1: its recording a.wav is missing"),
        ({"audio": [3], "text": ["a"]}, "row 1: its audio is neither a file's bytes nor a path"),
        (None, "cannot be read as a table"),
    ],
)
def test_what_is_no_such_table_is_described(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], columns: dict[str, list[object]] | None, fault: str
) -> None:
    path = tmp_path / "x.parquet"
    path.write_bytes(b"PAR1 not a table")
    if columns is not None:
        pyarrow.parquet.write_table(pa.table(columns), path)
    with pytest.raises(InputError, match="no utterance"):
        import_files([path], tmp_path / "x.jsonl")
    assert fault in capsys.readouterr().err


def test_only_the_columns_that_are_used_are_read(tmp_path: Path) -> None:
    """Times that Python's `datetime` does not have."""
    content = table([{"audio": {"bytes": sound(0.5), "path": "a.wav"}, "text": "one"}])
    content = content.append_column("when", pa.array([2**52], pa.timestamp("ms")))
    pa.parquet.write_table(content, tmp_path / "t.parquet")
    for path in (tmp_path / "t.parquet", save_to_disk(tmp_path / "saved", [content])):
        import_files([path], tmp_path / "m.jsonl")
        assert [utterance.text for utterance in read_manifest(tmp_path / "m.jsonl")] == ["one"]


def test_a_recording_that_does_not_say_its_length_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = bytearray(sound(0.5, "FLAC"))
    content[21] &= 0xF0  # RFC 9639, section 8.2: 36 bits of the number of samples; zero where it is unknown
    content[22:26] = bytes(4)
    rows = [{"audio": {"bytes": bytes(content), "path": "a.flac"}, "text": "one"}]
    pa.parquet.write_table(table(rows), tmp_path / "t.parquet")
    with pytest.raises(InputError, match="could not be imported"):
        import_files([tmp_path / "t.parquet"], tmp_path / "m.jsonl")
    assert "a.flac: the file does not say how long it is" in capsys.readouterr().err
