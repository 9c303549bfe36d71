"""The verb `import` on manifests that lhotse itself writes: supervisions with recordings, and cuts."""

import gzip
from pathlib import Path

import numpy as np
import pytest
import soundfile
from lhotse import CutSet, Recording, RecordingSet, SupervisionSegment, SupervisionSet

from speechxfer.data import Utterance, read_manifest
from speechxfer.errors import InputError
from speechxfer.workflows import import_files


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Recordings a (mono) and b (stereo) of 5 s, with supervisions, as three manifests."""
    soundfile.write(tmp_path / "a.wav", np.zeros(16000 * 5, dtype=np.float32), 16000)
    soundfile.write(tmp_path / "b.wav", np.zeros((16000 * 5, 2), dtype=np.float32), 16000)
    recordings = RecordingSet.from_recordings(Recording.from_file(tmp_path / f"{name}.wav") for name in "ab")
    supervisions = SupervisionSet.from_segments(
        [
            SupervisionSegment("s1", "a", 0.5, 1.0, 0, "good  day", "yor", "ana"),
            SupervisionSegment("s2", "a", 2.0, 1.5, 0, "sir"),
            SupervisionSegment("s3", "a", 4.0, 0.5, 0),
            SupervisionSegment("s4", "b", 0.5, 1.0, 1, "left"),
        ]
    )
    recordings.to_file(tmp_path / "x_recordings_train.jsonl.gz")
    supervisions.to_file(tmp_path / "x_supervisions_train.jsonl.gz")
    cuts = CutSet.from_manifests(recordings=recordings, supervisions=supervisions)
    cuts.to_file(tmp_path / "cuts.jsonl")
    cuts.trim_to_supervisions().to_file(tmp_path / "trimmed.jsonl.gz")
    (cuts.trim_to_supervisions().perturb_speed(0.9) + cuts.cut_into_windows(2.25)).to_file(tmp_path / "windows.jsonl")
    return tmp_path


@pytest.mark.parametrize("name", ["x_supervisions_train.jsonl.gz", "cuts.jsonl", "trimmed.jsonl.gz"])
def test_supervisions_and_cuts_give_the_same_utterances(corpus: Path, name: str) -> None:
    shown = import_files([corpus / name], corpus / "out" / "m.jsonl")
    assert read_manifest(corpus / "out" / "m.jsonl") == [
        Utterance("s1", corpus / "a.wav", 1.0, "good  day", 0.5, "ana", "yor"),
        Utterance("s2", corpus / "a.wav", 1.5, "sir", 2.0),
    ]
    assert "skipped: 1 without text (s3), 1 of one channel of several (s4)" in shown


def test_a_manifest_never_replaces_its_input(corpus: Path) -> None:
    before = (corpus / "cuts.jsonl").read_bytes()
    with pytest.raises(InputError, match=r"cuts\.jsonl: is an input, which the output would replace"):
        import_files([corpus / "cuts.jsonl"], corpus / "cuts.jsonl")
    assert (corpus / "cuts.jsonl").read_bytes() == before


def test_a_file_that_is_given_twice_is_imported_once(corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import_files([corpus / "cuts.jsonl", corpus / "." / "cuts.jsonl"], corpus / "out" / "m.jsonl")
    assert [row.id for row in read_manifest(corpus / "out" / "m.jsonl")] == ["s1", "s2"]
    assert "given more than once, imported once: 1 file" in capsys.readouterr().err


def test_altered_recordings_and_repeated_supervisions_are_skipped(corpus: Path) -> None:
    shown = import_files([corpus / "windows.jsonl"], corpus / "m.jsonl")
    rows = [(row.id, row.offset, row.duration) for row in read_manifest(corpus / "m.jsonl")]
    assert rows == [("s1", 0.5, 1.0), ("s2", 2.0, 1.5)]  # s2 reaches from one window into the next
    assert "4 of altered or mixed recordings (s1_sp0.9, s2_sp0.9, s3_sp0.9 and 1 more)" in shown
    assert "1 that occur in several cuts (s2)" in shown


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.jsonl", '{"id": "x"}\n', r"a\.jsonl:1: is neither a cut nor a supervision"),
        ("a.jsonl", '{"id": "x", "recording_id": "a"}\n', "supervisions whose recordings are unknown"),
        ("a_supervisions.jsonl", '{"id": "x", "recording_id": "a"}\n', r"a_recordings\.jsonl: cannot be read"),
        ("a.jsonl", '{"start": 0, "supervisions": [{"id": "x"}]}\n', "'x' has no recording"),
        ("a.jsonl", '{"start": 0, "supervisions": 7}\n', r"a\.jsonl:1: 'supervisions' is no list"),
        ("a.jsonl", '{"start": "0", "supervisions": []}\n', "'start' is '0'; expected seconds"),
        ("a.jsonl", "[1]\n", "expected a JSON object"),
        ("a.jsonl.gz", "no gzip", "is no whole gzip file"),
    ],
)
def test_damaged_manifests_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, text: str, message: str
) -> None:
    from speechxfer.data import read_lhotse_manifest

    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        read_lhotse_manifest(tmp_path / name)


def test_a_truncated_file_and_recordings_that_are_no_files_are_refused(tmp_path: Path) -> None:
    from speechxfer.data import read_lhotse_manifest

    packed = gzip.compress(b'{"id": "x"}\n' * 1000)
    (tmp_path / "a.jsonl.gz").write_bytes(packed[: len(packed) // 2])
    with pytest.raises(InputError, match="is no whole gzip file"):
        read_lhotse_manifest(tmp_path / "a.jsonl.gz")
    for kind, value, message in (
        ("command", "rm -rf x", "is no single file"),
        ("file", "gone.wav", "is missing at gone.wav"),
    ):
        source = f'{{"type": "{kind}", "channels": [0], "source": "{value}"}}'
        row = '{"id": "s", "start": 0, "duration": 1, "text": "a"}'
        cut = f'{{"id": "c", "start": 0, "supervisions": [{row}], "recording": {{"id": "r", "sources": [{source}]}}}}\n'
        (tmp_path / "c.jsonl").write_text(cut, encoding="utf-8")
        with pytest.raises(InputError, match=message):
            read_lhotse_manifest(tmp_path / "c.jsonl")
