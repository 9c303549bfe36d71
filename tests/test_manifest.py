"""Manifests: what is written comes back, the bytes depend on the utterances alone, and faults are named by file:line."""

import json
import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from speechxfer.checking.checker import check_manifests
from speechxfer.data.manifest import Utterance, read_concatenated, read_manifest, write_manifest
from speechxfer.errors import InputError
from tests.pipes import unread_pipe

LINE = '{"id": "a", "audio_filepath": "a.wav", "duration": 1.0}'


def utterance(name: str, folder: Path, **fields: object) -> Utterance:
    return Utterance(id=name, audio_filepath=folder / "audio" / f"{name}.wav", duration=1.0, **fields)


# ------------------------------------------------------------------------------------------------------------- reading
def test_nemo_lines_are_read(tmp_path: Path) -> None:
    """The field names of NeMo's manifests, here with another field that is not ours."""
    path = tmp_path / "m.jsonl"
    path.write_text(
        '{"audio_filepath": "w/x.wav", "offset": 2, "duration": 1.5, "text": "á b", "id": "x", "pnc": "no"}\n'
        '{"id": "y", "audio_filepath": "/far/y.wav", "duration": 3, "speaker": "s", "lang": "yo"}\n',
        encoding="utf-8",
    )
    assert read_manifest(path) == [
        Utterance("x", tmp_path / "w" / "x.wav", 1.5, "á b", 2.0, "", ""),
        Utterance("y", Path("/far/y.wav"), 3.0, "", 0.0, "s", "yo"),
    ]


def test_paths_are_relative_to_the_manifest_not_to_the_caller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "data" / "m.jsonl").write_text(LINE.replace("a.wav", "../audio/a.wav"))
    monkeypatch.chdir(tmp_path / "elsewhere")
    for path in (tmp_path / "data" / "m.jsonl", "../data/m.jsonl"):
        assert read_manifest(path)[0].audio_filepath == tmp_path / "audio" / "a.wav"


def test_blank_lines_and_windows_line_ends_are_no_fault(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    path.write_bytes(f"\r\n{LINE}\r\n\r\n".encode() + b"  \n")
    assert [u.id for u in read_manifest(path)] == ["a"]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{", "not JSON"),
        (LINE + LINE, "not JSON"),
        ("[]", "found list"),
        ('"a"', "found str"),
        ("null", "found NoneType"),
        ('{"audio_filepath": "a.wav", "duration": 1}', "'id' is missing"),
        ('{"id": "a", "duration": 1}', "'audio_filepath' is missing"),
        ('{"id": "a", "audio_filepath": "a.wav"}', "'duration' is missing"),
        ('{"id": 1, "audio_filepath": "a.wav", "duration": 1}', "'id' must be a string, found 1"),
        ('{"id": "", "audio_filepath": "a.wav", "duration": 1}', "'id' is empty"),
        ('{"id": "a", "audio_filepath": null, "duration": 1}', "'audio_filepath' must be a string"),
        (LINE[:-1] + ', "text": 5}', "'text' must be a string, found 5"),
        (LINE[:-1] + ', "speaker": 5}', "'speaker' must be a string"),
        (LINE[:-1] + ', "lang": ["yo"]}', "'lang' must be a string"),
        (LINE[:-1] + ', "offset": -0.5}', "'offset' must be a number of seconds, zero or more, found -0.5"),
        (LINE.replace("1.0", '"1.0"'), "'duration' must be a number"),
        (LINE.replace("1.0", "true"), "'duration' must be a number"),
        (LINE.replace("1.0", "null"), "'duration' must be a number"),
        (LINE.replace("1.0", "NaN"), "'duration' must be a number"),
        (LINE.replace("1.0", "1e999"), "'duration' must be a number"),
        (LINE.replace("1.0", "-Infinity"), "'duration' must be a number"),
        (LINE, "'a' was already used on line 1"),
        ('{"id": "b", "audio_filepath": "", "duration": 1}', "'audio_filepath' is ''"),
        ('{"id": "b", "audio_filepath": "a\\u0000.wav", "duration": 1}', "expected the path of a recording"),
        ('{"id": "b\\ud800", "audio_filepath": "a.wav", "duration": 1}', "half a surrogate pair"),
    ],
)
def test_a_broken_line_is_named_by_file_and_line(tmp_path: Path, line: str, words: str) -> None:
    path = tmp_path / "broken.jsonl"
    path.write_text(f"{LINE}\n\n{line}\n", encoding="utf-8")
    with pytest.raises(InputError) as raised:
        read_manifest(path)
    assert str(raised.value).startswith(f"{path}:3: ")
    assert words in str(raised.value)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_every_line_end_is_read_alike_by_check(tmp_path: Path, end: str) -> None:
    path = tmp_path / "m.jsonl"
    second = LINE.replace('"a"', '"b"')
    path.write_bytes(end.join([LINE, "", second, ""]).encode())
    assert [utterance.id for utterance in read_manifest(path)] == ["a", "b"]
    kinds = {finding.kind for finding in check_manifests([path]).findings}
    assert "broken line" not in kinds and "missing audio" in kinds
    path.write_bytes(end.join([LINE, "{"]).encode())
    with pytest.raises(InputError, match=r"m\.jsonl:2: not JSON"):
        read_manifest(path)


@pytest.mark.parametrize("name", ["a\\tb", "a\\nb", "a\\u2028b", "\\u0000"])
def test_an_id_that_would_break_a_line_of_output_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / "m.jsonl"
    second = LINE.replace('"a"', f'"{name}"')
    path.write_text(f"{LINE}\n{second}\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"m\.jsonl:2: 'id' contains the control character U\+"):
        read_manifest(path)


def test_a_pipe_in_place_of_a_manifest_is_refused_at_once(tmp_path: Path) -> None:
    with unread_pipe(tmp_path / "m.jsonl") as pipe, pytest.raises(InputError, match=r"m\.jsonl: is a pipe"):
        read_manifest(pipe)


def test_ids_of_two_manifests_are_named_five_and_a_count(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_manifest(tmp_path / f"{name}.jsonl", [utterance(f"u{number}", tmp_path) for number in range(420)])
    paths = [tmp_path / "one.jsonl", tmp_path / "two.jsonl"]
    with pytest.raises(InputError) as raised:
        read_concatenated(paths)
    assert str(raised.value) == (
        f"ids occur in {paths[0]} and {paths[1]}: 'u0', 'u1', 'u2', 'u3', 'u4' and 415 more; ids must be unique: rename them in "
        "one"
    )


def test_a_byte_order_mark_is_no_fault(tmp_path: Path) -> None:
    (tmp_path / "marked.jsonl").write_text(f"{LINE}\n", encoding="utf-8-sig")
    assert [utterance.id for utterance in read_manifest(tmp_path / "marked.jsonl")] == ["a"]


def test_paths_hold_through_a_folder_that_is_a_link(tmp_path: Path) -> None:
    """From link/ -> real/deep, `../audio` is real/audio, as the system sees it, when reading and when writing."""
    (tmp_path / "real" / "deep").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "real" / "deep")
    (tmp_path / "real" / "deep" / "in.jsonl").write_text(LINE.replace("a.wav", "../audio/a.wav"))
    [utterance] = read_manifest(tmp_path / "link" / "in.jsonl")
    assert utterance.audio_filepath == (tmp_path / "real" / "audio" / "a.wav").resolve()
    write_manifest(tmp_path / "link" / "out.jsonl", [utterance])
    assert read_manifest(tmp_path / "real" / "deep" / "out.jsonl") == [utterance]


def test_files_with_byte_order_marks_may_be_joined(tmp_path: Path) -> None:
    rows = [json.dumps({"id": name, "audio_filepath": "a.wav", "duration": 1.0}) + "\r\n" for name in "ab"]
    (tmp_path / "joined.jsonl").write_bytes(b"".join(b"\xef\xbb\xbf" + row.encode() for row in rows))
    assert [utterance.id for utterance in read_manifest(tmp_path / "joined.jsonl")] == ["a", "b"]


def test_a_file_that_is_no_manifest_is_named(tmp_path: Path) -> None:
    empty, latin1 = tmp_path / "empty.jsonl", tmp_path / "latin1.jsonl"
    empty.write_text("\n \n")
    latin1.write_bytes('{"id": "é"}'.encode("latin-1"))
    for path, words in (
        (tmp_path / "gone.jsonl", "cannot be read"),
        (tmp_path, "is a folder"),
        (empty, "no utterance"),
        (latin1, "not UTF-8 at byte 8"),
    ):
        with pytest.raises(InputError) as raised:
            read_manifest(path)
        assert str(raised.value).startswith(f"{path}:")
        assert words in str(raised.value)


# ------------------------------------------------------------------------------------------------------------- writing
def test_the_bytes_of_a_manifest(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "m.jsonl"
    first = Utterance("ọ1", tmp_path / "audio" / "ọ.wav", 0.1 + 0.2, 'says "ẹ́"\n', 1 / 3, "s1", "yo")
    write_manifest(path, [first, utterance("b", path.parent)])
    assert path.read_bytes().decode("utf-8") == (
        '{"id": "ọ1", "audio_filepath": "../../audio/ọ.wav", "offset": 0.3333333333333333, '
        '"duration": 0.30000000000000004, "text": "says \\"ẹ́\\"\\n", "speaker": "s1", "lang": "yo"}\n'
        '{"id": "b", "audio_filepath": "audio/b.wav", "offset": 0.0, "duration": 1.0, "text": "", "speaker": "", "lang": ""}\n'
    )


def test_bytes_depend_on_the_utterances_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not on the caller's folder, on a relative path of the manifest or the audio, or on what stood there before."""
    (tmp_path / "here").mkdir()
    write_manifest(tmp_path / "m.jsonl", (utterance(name, tmp_path) for name in "ab"))
    expected = (tmp_path / "m.jsonl").read_bytes()
    monkeypatch.chdir(tmp_path / "here")
    write_manifest("../n.jsonl", [utterance("long" * 99, tmp_path)])
    write_manifest("../n.jsonl", [utterance(name, Path("..")) for name in "ab"])
    assert (tmp_path / "n.jsonl").read_bytes() == expected


def test_a_corpus_may_be_moved_with_its_manifest(tmp_path: Path) -> None:
    old = tmp_path / "old"
    write_manifest(old / "m.jsonl", [utterance("a", old)])
    (old / "audio").mkdir()
    (old / "audio" / "a.wav").write_bytes(b"sound")
    os.rename(old, tmp_path / "new")
    (moved,) = read_manifest(tmp_path / "new" / "m.jsonl")
    assert moved.audio_filepath.read_bytes() == b"sound"


def test_the_manifest_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    write_manifest(path, [utterance("a", tmp_path)])
    before = path.read_bytes()

    def interrupted() -> Iterator[Utterance]:
        yield utterance("b", tmp_path)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_manifest(path, interrupted())
    assert path.read_bytes() == before


# ---------------------------------------------------------------------------------------------------------- both ways
STRINGS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
IDS = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), min_size=1, max_size=20)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(IDS, STRINGS, STRINGS, STRINGS, st.floats(0, 1e9), st.floats(0, 1e9)),
        min_size=1,
        max_size=5,
        unique_by=lambda fields: fields[0],
    )
)
def test_what_is_written_is_read_back(tmp_path: Path, rows: list[tuple[str, str, str, str, float, float]]) -> None:
    """Any text, line separators of Unicode included, and every float to the last bit."""
    utterances = [
        Utterance(name, tmp_path / "audio" / f"{i}.wav", duration, text, offset, speaker, lang)
        for i, (name, text, speaker, lang, duration, offset) in enumerate(rows)
    ]
    write_manifest(tmp_path / "m.jsonl", utterances)
    assert read_manifest(tmp_path / "m.jsonl") == utterances
    lines = (tmp_path / "m.jsonl").read_bytes().split(b"\n")
    assert [json.loads(line)["id"] for line in lines[:-1]] == [u.id for u in utterances]
    assert lines[-1] == b""


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 10**10), st.integers(1, 10**9), st.sampled_from([8000, 11025, 16000, 22050, 44100, 48000]))
def test_seconds_give_back_the_exact_samples(tmp_path: Path, start: int, frames: int, rate_hz: int) -> None:
    written = Utterance("a", tmp_path / "a.wav", float(Fraction(frames, rate_hz)), "", float(Fraction(start, rate_hz)))
    write_manifest(tmp_path / "m.jsonl", [written])
    (read,) = read_manifest(tmp_path / "m.jsonl")
    assert (round(read.offset * rate_hz), round(read.duration * rate_hz)) == (start, frames)


def test_numbers_and_nesting_beyond_sense_are_named(tmp_path: Path) -> None:
    for number, field in enumerate(
        (f'"duration": 1{"0" * 400}', f'"duration": 1{"0" * 5000}', '"text": ' + "[" * 100_000)
    ):
        path = tmp_path / f"{number}.jsonl"
        path.write_text('{"id": "a", "audio_filepath": "a.wav", ' + field + "}\n", encoding="utf-8")
        with pytest.raises(InputError, match=rf"{number}\.jsonl:1: "):
            read_manifest(path)


def test_half_a_surrogate_pair_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="surrogate"):
        write_manifest(tmp_path / "m.jsonl", [Utterance("a", tmp_path / "a.wav", 1.0, "x\ud800")])
    assert not list(tmp_path.iterdir())
