"""Recordings in tar archives and behind addresses: what is read is what a separate file gives, and damage is named.

The archives are written by Python's tarfile and, byte by byte, by hand; addresses are those of fsspec's memory.
"""

import io
import json
import re
import shutil
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import fsspec
import numpy as np
import pytest
import soundfile

from speechxfer.checking.checker import check_manifests
from speechxfer.data.audio import read_audio
from speechxfer.data.containers import address_of, member_path
from speechxfer.data.decoder import hash_audio_file, read_audio_header
from speechxfer.data.manifest import Utterance, read_manifest, write_manifest
from speechxfer.errors import InputError
from speechxfer.training.fingerprint import hash_utterances
from speechxfer.workflows.import_runs import ImportOptions, import_files

RATE_HZ = 16_000
LONG_NAME = "é" * 80  # more bytes than a header has


@pytest.fixture
def recordings(tmp_path: Path) -> dict[str, Path]:
    """Files by the key of their sample."""
    files = {}
    for number, name in enumerate(("a/one.flac", "a/two.wav", "three.ogg", f"{LONG_NAME}.flac")):
        path = tmp_path / "files" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        samples = np.random.default_rng(number).uniform(-0.1, 0.1, RATE_HZ // 2 * (number + 1))
        soundfile.write(path, samples, RATE_HZ)
        files[name.partition(".")[0]] = path
    return files


def add(archive: tarfile.TarFile, name: str, content: bytes, **header: object) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    for field, value in header.items():
        setattr(member, field, value)
    archive.addfile(member, io.BytesIO(content))


@pytest.fixture(params=["pax", "gnu"])
def shard(request: pytest.FixtureRequest, tmp_path: Path, recordings: dict[str, Path]) -> Path:
    path = tmp_path / "shards" / "000.tar"
    path.parent.mkdir()
    formats = {"pax": tarfile.PAX_FORMAT, "gnu": tarfile.GNU_FORMAT}
    with tarfile.open(path, "w", format=formats[request.param]) as archive:
        for key, file in recordings.items():
            if key.startswith("a/"):
                add(archive, f"{key}.json", json.dumps({"text": f"text of {key}", "speaker": "s", "n": 1}).encode())
                archive.add(file, f"{key}{file.suffix}")
            else:
                archive.add(file, f"{key}{file.suffix}")
                add(archive, f"{key}.txt", f"text of {key}\n".encode())
    return path


@pytest.fixture
def memory() -> Iterator[fsspec.AbstractFileSystem]:
    file_system = fsspec.filesystem("memory")
    yield file_system
    file_system.store.clear()


def import_shards(*inputs: Path | str, out: Path) -> list[Utterance]:
    import_files([Path(one) for one in inputs], out, ImportOptions(language="xx"))
    return read_manifest(out)


def test_a_shard_gives_the_samples_of_separate_files(shard: Path, recordings: dict[str, Path], tmp_path: Path) -> None:
    utterances = import_shards(shard, out=tmp_path / "m.jsonl")
    assert [utterance.id for utterance in utterances] == ["a-one", "a-two", "three", LONG_NAME]
    for utterance, (key, file) in zip(utterances, recordings.items(), strict=True):
        np.testing.assert_array_equal(read_audio(utterance.audio_filepath), read_audio(file))
        part = {"offset_s": 0.125, "duration_s": 0.25}
        np.testing.assert_array_equal(read_audio(utterance.audio_filepath, **part), read_audio(file, **part))
        assert read_audio_header(utterance.audio_filepath) == read_audio_header(file)
        assert hash_audio_file(utterance.audio_filepath) == hash_audio_file(file)
        assert (utterance.text, utterance.lang) == (f"text of {key}", "xx")
        assert utterance.speaker == ("s" if key.startswith("a/") else "")
        assert utterance.duration == soundfile.info(file).duration


def test_a_manifest_of_shards_may_be_moved_with_them(shard: Path, recordings: dict[str, Path], tmp_path: Path) -> None:
    before = import_shards(shard, out=tmp_path / "shards" / "m.jsonl")
    line = json.loads((tmp_path / "shards" / "m.jsonl").read_text().splitlines()[0])
    assert line["audio_filepath"].startswith("000.tar#member=a%2Fone.flac&bytes=")
    (tmp_path / "shards").rename(tmp_path / "moved")
    after = read_manifest(tmp_path / "moved" / "m.jsonl")
    assert hash_utterances(after) == hash_utterances(
        [replace(one, audio_filepath=file) for one, file in zip(after, recordings.values(), strict=True)]
    )
    assert [len(read_audio(utterance.audio_filepath)) for utterance in after] == [8000, 16000, 24000, 32000]
    report = check_manifests([tmp_path / "moved" / "m.jsonl"])
    assert {finding.kind for finding in report.errors} == {"too few frames"}, "half a second for ten letters"
    assert before[0].audio_filepath != after[0].audio_filepath


def test_a_shard_behind_an_address(shard: Path, tmp_path: Path, memory: fsspec.AbstractFileSystem) -> None:
    memory.pipe({"/bucket/000.tar": shard.read_bytes(), "/bucket/readme": b"none"})
    local = import_shards(shard, out=tmp_path / "local.jsonl")
    remote = import_shards("memory://bucket/*.tar", out=tmp_path / "remote.jsonl")
    line = json.loads((tmp_path / "remote.jsonl").read_text().splitlines()[0])
    assert line["audio_filepath"].startswith("memory://bucket/000.tar#member=a%2Fone.flac&bytes=")
    assert hash_utterances(local) == hash_utterances(remote)
    write_manifest(tmp_path / "again.jsonl", remote)
    assert (tmp_path / "again.jsonl").read_bytes() == (tmp_path / "remote.jsonl").read_bytes()


def test_a_recording_behind_an_address(
    recordings: dict[str, Path], tmp_path: Path, memory: fsspec.AbstractFileSystem
) -> None:
    memory.pipe("/bucket/a.flac", recordings["a/one"].read_bytes())
    row = {"id": "x", "audio_filepath": "memory://bucket/a.flac", "duration": 0.25, "offset": 0.25, "text": "x"}
    (tmp_path / "m.jsonl").write_text(json.dumps(row) + "\n")
    [utterance] = read_manifest(tmp_path / "m.jsonl")
    assert address_of(utterance.audio_filepath) == "memory://bucket/a.flac"
    samples = read_audio(utterance.audio_filepath, offset_s=0.25, duration_s=0.25)
    np.testing.assert_array_equal(samples, read_audio(recordings["a/one"], offset_s=0.25))
    memory.rm("/bucket/a.flac")
    with pytest.raises(InputError, match=r"^memory://bucket/b\.flac: cannot be read .*b\.flac"):
        read_audio("memory://bucket/b.flac")
    with pytest.raises(InputError, match=r"gopher://x/a: cannot be opened .*gopher"):
        read_audio("gopher://x/a")


@pytest.mark.parametrize("change", ["shorter", "other", "renamed", "no archive", "gone", "numbers"])
def test_a_shard_that_was_changed_is_refused(tmp_path: Path, change: str, recordings: dict[str, Path]) -> None:
    path = tmp_path / "0.tar"
    content = recordings["a/two"].read_bytes()
    with tarfile.open(path, "w") as archive:
        add(archive, "x.wav", content)
    [utterance] = import_shards(path, out=tmp_path / "m.jsonl")
    sound = utterance.audio_filepath
    if change == "shorter":
        path.write_bytes(path.read_bytes()[: len(content)])
    elif change == "no archive":
        path.write_bytes(b"\0" * path.stat().st_size)
    elif change == "gone":
        path.unlink()
    elif change == "numbers":
        sound = Path(member_path(str(path), "x.wav", 100, 10**15))
    else:
        with tarfile.open(path, "w") as archive:
            add(archive, "y.wav" if change == "renamed" else "x.wav", content if change == "renamed" else content[:-2])
    if path.exists():
        shutil.copy(path, tmp_path / "1.tar")
    sound = Path(str(sound).replace("0.tar", "1.tar"))  # what was read before is kept
    with pytest.raises(InputError, match=r"1\.tar#member=x\.wav&bytes=\d+-\d+: (the archive no longer|cannot be read)"):
        read_audio(sound)


def test_members_that_are_no_files_are_skipped_and_nothing_is_unpacked(
    tmp_path: Path, recordings: dict[str, Path]
) -> None:
    path = tmp_path / "in" / "0.tar"
    path.parent.mkdir()
    content = recordings["a/two"].read_bytes()
    with tarfile.open(path, "w") as archive:
        add(archive, "../../evil.wav", content)
        add(archive, "/etc/evil.txt", b"not beside a sound")
        add(archive, "link.wav", b"", type=tarfile.SYMTYPE, linkname="/etc/passwd")
        add(archive, "hard.wav", b"", type=tarfile.LNKTYPE, linkname="../../evil.wav")
        add(archive, "device.wav", b"", type=tarfile.CHRTYPE)
        add(archive, "picture.png", b"png")
    before = sorted(tmp_path.rglob("*"))
    report = import_files([path], tmp_path / "m.jsonl", ImportOptions())
    assert sorted(tmp_path.rglob("*")) == sorted([*before, tmp_path / "m.jsonl"])
    assert [utterance.id for utterance in read_manifest(tmp_path / "m.jsonl")] == ["..-..-evil"]
    assert "skipped: 3 links, devices and sparse files (link.wav, hard.wav, device.wav), 1 without sound" in report
    assert "changed: 1 without text" in report


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"a.txt": b"x" * (1 << 20) + b"y"}, r"'a\.txt' has 1,048,577 bytes; expected 1 to 1,048,576"),
        ({"a.wav": b"RIFF"}, r"'a': not readable as audio"),
        ({"a.wav": None, "a.txt": b"\xff"}, r"'a'\.txt: not UTF-8 at byte 0"),
        ({"a.wav": None, "a.json": b"[1]"}, r"'a'\.json: expected a JSON object"),
        ({"a.wav": None, "a.json": b'{"text": 1}'}, r"'a'\.json: 'text' must be a string, found 1"),
        ({"a.wav": None, "a.json": b"{"}, r"'a'\.json: not JSON"),
        ({"a.wav": b""}, r"'a\.wav' has 0 bytes"),
        ({"a.1.wav": None, "a.2.wav": None}, r"the sample 'a' has two members 'sound'"),
        ({"a.txt": b"x", "a.wav": None, "a.raw.txt": b"y"}, r"the sample 'a' has two members '\.txt'"),
    ],
)
def test_damaged_samples_are_named(
    tmp_path: Path,
    recordings: dict[str, Path],
    members: dict[str, bytes | None],
    words: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "0.tar"
    with tarfile.open(path, "w") as archive:
        for name, content in members.items():
            add(archive, name, recordings["a/two"].read_bytes() if content is None else content)
    with pytest.raises(InputError, match="1 of 1 file could not be imported"):
        import_files([path], tmp_path / "m.jsonl")
    [line] = capsys.readouterr().err.splitlines()
    assert re.search(words, line), line


def test_archives_that_are_cut_off_or_compressed_are_named(
    shard: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = shard.read_bytes()
    with tarfile.open(tmp_path / "z.tar", "w:gz") as archive:
        archive.add(shard, "a.wav")
    for cut in (700, len(content) // 2):
        (tmp_path / f"{cut}.tar").write_bytes(content[:cut])
        with pytest.raises(InputError, match="could not be imported"):
            import_files([tmp_path / f"{cut}.tar"], tmp_path / "m.jsonl")
    with pytest.raises(InputError, match="could not be imported"):
        import_files([tmp_path / "z.tar"], tmp_path / "m.jsonl")
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3 and all("not readable as a tar archive" in line or "is cut off" in line for line in lines)


def test_a_damaged_header_is_not_the_end_of_an_archive(
    shard: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with tarfile.open(shard) as archive:
        last = archive.getmembers()[2]
    content = shard.read_bytes()
    for number, damaged in enumerate(
        (content[: last.offset], content[: last.offset] + b"x" + content[last.offset + 1 :])
    ):
        (tmp_path / f"{number}.tar").write_bytes(damaged)
        with pytest.raises(InputError, match="could not be imported"):
            import_files([tmp_path / f"{number}.tar"], tmp_path / "m.jsonl")
        assert f"{number}.tar: is damaged or cut off at byte {last.offset:,}" in capsys.readouterr().err


def test_archives_without_the_format_by_which_members_are_found_again_are_refused(
    tmp_path: Path, recordings: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "v7.tar"
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as archive:
        add(archive, "a.wav", recordings["a/two"].read_bytes())
    content = bytearray(path.read_bytes())
    content[257:265] = bytes(
        8
    )  # without the magic and the version, and the sum of the header's bytes with spaces as the sum
    content[148:156] = b" " * 8
    content[148:156] = b"%06o\0 " % sum(content[:512])
    path.write_bytes(content)
    with tarfile.open(path) as archive:
        assert archive.getnames() == ["a.wav"]
    with pytest.raises(InputError, match="could not be imported"):
        import_files([path], tmp_path / "m.jsonl")
    assert "v7.tar: 'a.wav' has no header of the POSIX format ustar" in capsys.readouterr().err


def test_names_that_are_not_utf8_are_members_as_others(tmp_path: Path, recordings: dict[str, Path]) -> None:
    path = tmp_path / "0.tar"
    content = recordings["a/two"].read_bytes()
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT, encoding="latin-1") as archive:
        for name in ("caf\xe9.wav", "caf\xe8.wav"):
            add(archive, name, content)
    utterances = import_shards(path, out=tmp_path / "m.jsonl")
    assert [utterance.id for utterance in utterances] == ["caf\ufffd", "caf\ufffd-2"]
    shutil.copy(path, tmp_path / "1.tar")
    for utterance, member in zip(utterances, ("caf%E9.wav", "caf%E8.wav"), strict=True):
        assert f"#member={member}&" in utterance.audio_filepath.name
        copy = str(utterance.audio_filepath).replace("0.tar", "1.tar")  # what was read before is kept
        np.testing.assert_array_equal(read_audio(copy), read_audio(recordings["a/two"]))


def test_a_recording_that_does_not_say_its_length_is_refused(
    tmp_path: Path, recordings: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    content = bytearray(recordings["a/one"].read_bytes())
    content[21] &= 0xF0  # RFC 9639, section 8.2: 36 bits of the number of samples; zero where it is unknown
    content[22:26] = bytes(4)
    path = tmp_path / "0.tar"
    with tarfile.open(path, "w") as archive:
        add(archive, "a.flac", bytes(content))
    with pytest.raises(InputError, match="could not be imported"):
        import_files([path], tmp_path / "m.jsonl")
    assert "'a': the file does not say how long it is" in capsys.readouterr().err
