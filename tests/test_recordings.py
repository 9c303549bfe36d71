"""The verb `transcribe` on files, folders, patterns and standard input, and its output in every format, parsed back."""

import io
import json
import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from speechxfer import cli
from speechxfer.annotations import Interval, read_annotations
from speechxfer.data import RECORDING_SUFFIXES, Utterance, read_manifest, write_manifest
from speechxfer.decoding import Hypothesis, Word
from speechxfer.errors import InputError
from speechxfer.workflows import transcription_runs
from speechxfer.workflows.recordings import expand_inputs
from speechxfer.workflows.transcription_runs import ReadingOptions, transcribe_inputs, write_transcripts
from speechxfer.workflows.transcripts import (
    CUE_TAIL_S,
    MAX_CUE_CHARACTERS,
    MAX_CUE_S,
    Transcript,
    group_by_recording,
    plan_files,
    render_transcript,
    split_words,
)
from tests.media_files import write_media
from tests.test_cli import QUICK, train_arguments
from tests.tone_corpus import tones, write_tone_corpus

RATE = 16_000
FORMATS = ("text", "tsv", "json", "srt", "vtt", "textgrid", "eaf", "ctm")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with dev.jsonl and a finished run 'run'."""
    folder = tmp_path_factory.mktemp("tones")
    write_tone_corpus(folder / "train.jsonl", 8, letters="abc", seed=1, words=(1, 3))
    write_tone_corpus(folder / "dev.jsonl", 4, letters="abc", seed=2, words=(1, 3))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["speechxfer", "train", *train_arguments(folder, folder / "run", *QUICK)])
        with pytest.raises(SystemExit) as end:
            cli.main()
    assert end.value.code in (0, None)
    return folder


def names(paths: list[Path], folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in paths]


# What is transcribed -------------------------------------------------------------------------------------------------


def test_folders_stand_for_the_recordings_below_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in (
        "b.wav",
        "a/2.M4A",
        "a/1.flac",
        "a/notes.txt",
        "a/deep/3.opus",
        ".hidden/4.wav",
        "a/.5.wav",
        "x.csv",
        "Makefile",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    assert names(expand_inputs([tmp_path]), tmp_path) == ["b.wav", "a/1.flac", "a/2.M4A", "a/deep/3.opus"]
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{tmp_path}: 4 recordings; 3 other files skipped (")
    assert all(kind in line for kind in ("1 .txt", "1 .csv", "1 without suffix"))
    assert names(expand_inputs([tmp_path / "a" / "deep", tmp_path]), tmp_path)[0] == "a/deep/3.opus"
    assert "given more than once, transcribed once" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"empty: no recording is in the folder"):
        expand_inputs([tmp_path / "empty"])


def test_a_link_that_leads_nowhere_does_not_stop_the_others(corpus: Path, tmp_path: Path) -> None:
    shutil.copy(corpus / "dev" / "dev000.wav", tmp_path / "a.wav")
    (tmp_path / "loop.wav").symlink_to("loop.wav")
    (tmp_path / "gone.wav").symlink_to("nowhere.wav")
    results = transcribe_inputs(str(corpus / "run"), [tmp_path])
    assert next(results)[0] == f"{tmp_path / 'a.wav'}@0.00"
    with pytest.raises(InputError, match=r"2 not transcribed, .*gone\.wav, .*loop\.wav"):
        next(results)


def test_patterns_are_expanded_where_no_file_has_that_name(tmp_path: Path) -> None:
    for name in ("a1.wav", "a2.wav", "b.wav", "deep/a3.wav", "odd[1].wav"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    assert names(expand_inputs([tmp_path / "a*.wav"]), tmp_path) == ["a1.wav", "a2.wav"]
    assert names(expand_inputs([tmp_path / "**" / "a*.wav"]), tmp_path) == ["a1.wav", "a2.wav", "deep/a3.wav"]
    assert names(expand_inputs([tmp_path / "d*"]), tmp_path) == ["deep/a3.wav"]
    assert names(expand_inputs([tmp_path / "odd[1].wav"]), tmp_path) == ["odd[1].wav"], "a file that has that name"
    assert names(expand_inputs([tmp_path / "gone.wav"]), tmp_path) == ["gone.wav"], (
        "which is reported when it is opened"
    )
    with pytest.raises(InputError, match=r"c\*\.wav: no file matches"):
        expand_inputs([tmp_path / "c*.wav"])


def feed(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))


def test_standard_input_is_a_recording(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wav = corpus / "dev" / "dev001.wav"
    ((_, expected),) = transcribe_inputs(str(corpus / "run"), [wav])
    feed(monkeypatch, wav.read_bytes())
    ((name, hypothesis),) = transcribe_inputs(str(corpus / "run"), [Path("-")])
    assert (name, hypothesis) == ("stdin@0.00", expected)
    feed(monkeypatch, b"")
    with pytest.raises(InputError, match="standard input is empty"):
        list(transcribe_inputs(str(corpus / "run"), [Path("-")]))
    feed(monkeypatch, b"no sound" * 100)
    with pytest.raises(InputError, match="not readable as audio"):
        list(transcribe_inputs(str(corpus / "run"), [Path("-")]))


@pytest.mark.parametrize("suffix", [".m4a", ".webm"])
def test_other_formats_rates_and_channels_are_converted_with_one_line(
    corpus: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    suffix: str,
) -> None:
    samples, _ = soundfile.read(corpus / "dev" / "dev001.wav", dtype="float32")
    rate = 44_100 if suffix == ".m4a" else 48_000
    louder = np.interp(np.arange(round(len(samples) * rate / RATE)) * RATE / rate, np.arange(len(samples)), samples)
    write_media(tmp_path / f"a{suffix}", suffix, np.stack([louder, louder], axis=1))
    ((_, expected),) = transcribe_inputs(str(corpus / "run"), [corpus / "dev" / "dev001.wav"])
    capsys.readouterr()
    ((name, hypothesis),) = transcribe_inputs(str(corpus / "run"), [tmp_path / f"a{suffix}"])
    assert name == f"{tmp_path / f'a{suffix}'}@0.00"
    assert hypothesis.frames == pytest.approx(expected.frames, abs=2)
    assert capsys.readouterr().err == (
        f"converting 1 recording from {rate} Hz to 16000 Hz, 1 recording to one channel, the mean of all\n"
    )
    for refused in (ReadingOptions(resample=False), ReadingOptions(mono=False)):
        with pytest.raises(InputError, match=r"--resample|--mono"):
            list(transcribe_inputs(str(corpus / "run"), [tmp_path / f"a{suffix}"], reading=refused))


def test_a_bad_file_in_a_folder_does_not_stop_the_others(
    corpus: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for number in range(3):
        shutil.copy(corpus / "dev" / f"dev00{number}.wav", tmp_path / f"{number}.wav")
    (tmp_path / "1.wav").write_bytes(b"RIFF")
    results = transcribe_inputs(str(corpus / "run"), [tmp_path])
    assert [next(results)[0], next(results)[0]] == [f"{tmp_path / '0.wav'}@0.00", f"{tmp_path / '2.wav'}@0.00"]
    with pytest.raises(InputError, match=r"1 not transcribed, .*1\.wav; the others are complete"):
        next(results)
    assert "error: " in capsys.readouterr().err


def long_recording(path: Path) -> list[float]:
    """Three phrases with long silences; returns their starts in seconds."""
    generator = np.random.default_rng(0)
    phrase, starts, parts = tones("abc cab ab", "abc", 0, generator), [], []
    for silence_s in (3.0, 20.0, 15.0):
        parts.append(np.zeros(round(silence_s * RATE)))
        starts.append(sum(map(len, parts)) / RATE)
        parts.append(phrase)
    samples = np.concatenate(parts)
    soundfile.write(path, samples + generator.normal(0, 1e-4, len(samples)), RATE)
    return starts


def test_silence_is_skipped_or_not(
    corpus: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    starts = long_recording(tmp_path / "a.wav")
    monkeypatch.setattr(transcription_runs, "LEAST_REPORTED_SILENCE_S", 10.0)
    found = [float(name.rsplit("@", 1)[1]) for name, _ in transcribe_inputs(str(corpus / "run"), [tmp_path / "a.wav"])]
    assert found == pytest.approx([start - 1.2 for start in starts], abs=0.15)
    assert "s of silence or noise skipped" in capsys.readouterr().err
    reading = ReadingOptions(skip_silence=False)
    kept = list(transcribe_inputs(str(corpus / "run"), [tmp_path / "a.wav"], reading=reading))
    frames = sum(hypothesis.frames for _, hypothesis in kept)
    assert frames == pytest.approx(100 * soundfile.info(tmp_path / "a.wav").duration, abs=3 * len(kept))
    assert capsys.readouterr().err == ""


def test_a_recording_without_speech_is_reported(
    corpus: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    soundfile.write(tmp_path / "a.wav", np.random.default_rng(0).normal(0, 1e-3, 40 * RATE), RATE)
    assert list(transcribe_inputs(str(corpus / "run"), [tmp_path / "a.wav"])) == []
    assert "warning: " in (line := capsys.readouterr().err) and "nobody speaks in its 40 s" in line


# Files of output -----------------------------------------------------------------------------------------------------

SEGMENTS = (
    (
        Utterance("r@1.00", Path("r.wav"), 4.0, offset=1.0),
        Hypothesis("kano ba", 100, 50, 0.8, (Word("kano", 0.2, 0.6, 0.9), Word("ba", 0.64, 1.0, 0.7))),
    ),
    (Utterance("r@6.00", Path("r.wav"), 2.0, offset=6.0), Hypothesis("é", 50, 40, 0.5, (Word("é", 0.4, 0.8, 0.5),))),
    (Utterance("r@9.00", Path("r.wav"), 0.5, offset=9.0), Hypothesis("", 12, 12, 0.0)),
)
TRANSCRIPT = Transcript(Path("r.wav"), 10.0, SEGMENTS)
WORDS = [("kano", 1.2, 1.6), ("ba", 1.64, 2.0), ("é", 6.4, 6.8)]


@pytest.mark.parametrize("format", ["tsv", "json", "textgrid", "eaf", "ctm", "srt", "vtt"])
def test_every_format_is_read_back(tmp_path: Path, format: str) -> None:
    path = tmp_path / f"r.{format}"
    path.write_text(render_transcript(TRANSCRIPT, format, tmp_path), encoding="utf-8")
    if format in ("tsv", "json"):
        read = parsed(path, format)
    else:
        read = {
            tier.name: [(one.text, one.start_s, one.end_s) for one in tier.intervals if one.text]
            for tier in next(iter(read_annotations(path))).tiers
        }
    words = [(text, pytest.approx(start, abs=1e-3), pytest.approx(end, abs=1e-3)) for text, start, end in WORDS]
    if format in ("srt", "vtt"):
        cues = [("kano ba", 1.2, 2.0 + CUE_TAIL_S), ("é", 6.4, 7.4)]  # one second at least
        (found,) = read.values()
        assert found == [(text, pytest.approx(a, abs=2e-3), pytest.approx(b, abs=2e-3)) for text, a, b in cues]
        return
    assert read["words"] == words if format != "ctm" else next(iter(read.values())) == words
    if format != "ctm":
        assert read["utterances"] == [("kano ba", 1.0, 5.0), ("é", 6.0, 8.0)]


def parsed(path: Path, format: str) -> dict[str, list[tuple[str, float, float]]]:
    """TSV and JSON by independent means."""
    tiers: dict[str, list[tuple[str, float, float]]] = {}
    if format == "json":
        document = json.loads(path.read_text("utf-8"))
        assert (document["media"], document["duration"]) == ("r.wav", 10.0)
        for tier in document["tiers"]:
            tiers[tier["name"]] = [(one["text"], one["start"], one["end"]) for one in tier["intervals"]]
        assert [one["score"] for one in document["tiers"][1]["intervals"]] == [0.9, 0.7, 0.5]
        return tiers
    header, *rows = (line.split("\t") for line in path.read_text("utf-8").splitlines())
    for row in rows:
        fields = dict(zip(header, row, strict=True))
        tiers.setdefault(fields["tier"], []).append((fields["text"], float(fields["start"]), float(fields["end"])))
    return tiers


def test_text_has_a_line_per_utterance() -> None:
    assert render_transcript(TRANSCRIPT, "text") == "kano ba\né\n\n"


def spoken(*words: tuple[str, float, float]) -> list[Interval]:
    return [Interval(start, end, text) for text, start, end in words]


def test_subtitles_are_cut_at_pauses() -> None:
    short = spoken(("a", 0.0, 0.5), ("b", 0.6, 1.0), ("c", 2.5, 3.0))
    assert split_words(short) == [short[:2], short[2:]], "a pause of more than a second"
    even = spoken(*((f"w{i}", i * 0.5, i * 0.5 + 0.4) for i in range(40)))
    parts = split_words(even)
    assert [word for part in parts for word in part] == even
    assert all(part[-1].end_s - part[0].start_s <= MAX_CUE_S for part in parts) and len(parts) <= 6
    wordy = spoken(*(("palabras", i * 0.1, i * 0.1 + 0.1) for i in range(30)))
    assert all(len(" ".join(word.text for word in part)) <= MAX_CUE_CHARACTERS for part in split_words(wordy))
    paused = spoken(
        *((f"w{i}", i * 0.5 + (0.6 if i >= 9 else 0), i * 0.5 + 0.4 + (0.6 if i >= 9 else 0)) for i in range(16))
    )
    assert split_words(paused)[0] == paused[:9], "the longest pause near the middle"


def test_recordings_of_a_manifest_have_speakers_and_their_own_times() -> None:
    hypothesis = SEGMENTS[0][1]
    rows = [
        (Utterance("u2", Path("b.wav"), 2.0, offset=7.0, speaker="ana"), hypothesis),
        (Utterance("u1", Path("b.wav"), 2.0, offset=3.0, speaker="bo"), hypothesis),
        (Utterance("u3", Path("c.wav"), 2.0), hypothesis),
    ]
    first, second = group_by_recording(rows)
    assert (first.media, first.duration_s, second.media) == (Path("b.wav"), 9.0, Path("c.wav"))
    tiers = {tier.name: [one.start_s for one in tier.intervals] for tier in first.annotation().tiers}
    assert tiers == {
        "utterances@ana": [7.0],
        "words@ana": pytest.approx([7.2, 7.64]),
        "utterances@bo": [3.0],
        "words@bo": pytest.approx([3.2, 3.64]),
    }


def test_two_recordings_never_share_a_file(tmp_path: Path) -> None:
    files = plan_files([Path("a/x.wav"), Path("a/y.m4a")], "textgrid", tmp_path)
    assert [file.name for file in files.values()] == ["x.TextGrid", "y.TextGrid"]
    for other in ("b/x.flac", "b/X.wav"):
        with pytest.raises(InputError, match=r"a/x\.wav and b/.*: both would be written to"):
            plan_files([Path("a/x.wav"), Path(other)], "srt", tmp_path)


@pytest.mark.parametrize(("format", "other"), [("tsv", "b/x.wav"), ("ctm", "x.flac")])
def test_a_table_on_stdout_never_names_two_recordings_alike(
    corpus: Path, tmp_path: Path, format: str, other: str
) -> None:
    (tmp_path / "b").mkdir()
    paths = [tmp_path / "x.wav", tmp_path / other, tmp_path / "y.wav"]
    for path in paths:
        samples, rate = soundfile.read(corpus / "dev" / "dev000.wav")
        soundfile.write(path, samples, rate)
    with pytest.raises(InputError, match=r"x\.wav and .*: both would be called x"):
        list(write_transcripts(str(corpus / "run"), paths, format=format))
    assert list(write_transcripts(str(corpus / "run"), paths, format="json"))
    assert list(write_transcripts(str(corpus / "run"), paths[::2], format=format))


@pytest.mark.skipif(sys.platform == "darwin", reason="its file names are UTF-8")
@pytest.mark.parametrize("format", ["json", "tsv", "eaf"])
def test_recordings_whose_names_are_not_utf8(corpus: Path, tmp_path: Path, format: str) -> None:
    path = tmp_path / os.fsdecode(b"\xff\xe9.wav")
    shutil.copy(corpus / "dev" / "dev000.wav", path)
    assert list(write_transcripts(str(corpus / "run"), [path], format=format, out=tmp_path / "out")) == []
    (file,) = (tmp_path / "out").iterdir()
    if format == "json":
        assert os.fsencode(json.loads(file.read_text("utf-8"))["media"]) == os.fsencode(path)


@pytest.mark.parametrize("format", FORMATS)
def test_one_file_per_recording(corpus: Path, tmp_path: Path, format: str) -> None:
    inputs = [corpus / "dev" / "dev000.wav", corpus / "dev.jsonl"]
    rows = [replace(row, id=f"x{i}") for i, row in enumerate(read_manifest(corpus / "dev.jsonl")[1:])]
    write_manifest(tmp_path / "some.jsonl", rows)
    inputs[1] = tmp_path / "some.jsonl"
    out = tmp_path / "out"
    assert list(write_transcripts(str(corpus / "run"), inputs, format=format, out=out)) == []
    assert sorted(path.stem for path in out.iterdir()) == ["dev000", "dev001", "dev002", "dev003"]
    ((_, hypothesis),) = transcribe_inputs(str(corpus / "run"), inputs[:1])
    content = next(out.glob("dev000.*")).read_text("utf-8")
    assert all(word in content for word in hypothesis.text.split()) and hypothesis.text
    if format in ("srt", "vtt", "textgrid", "eaf"):
        with pytest.raises(InputError, match=rf"--format {format} holds one recording, and there are 4; add --out"):
            list(write_transcripts(str(corpus / "run"), inputs, format=format))
    elif format != "text":
        printed = "".join(write_transcripts(str(corpus / "run"), inputs, format=format))
        assert printed.count("recording\t") == (format == "tsv")
        if format == "json":
            media = [Path(json.loads(line)["media"]).stem for line in printed.splitlines()]
            assert media == ["dev000", "dev001", "dev002", "dev003"]
    single = "".join(write_transcripts(str(corpus / "run"), inputs[:1], format=format))
    assert hypothesis.text in single or format == "ctm"


def test_a_long_utterance_between_others_of_a_manifest(corpus: Path, tmp_path: Path) -> None:
    """Decoded together and alone, each utterance has the same text, though the long one is cut at its pauses."""
    long_recording(tmp_path / "long.wav")
    header = soundfile.info(str(tmp_path / "long.wav"))
    short = read_manifest(corpus / "dev.jsonl")[:2]
    long = Utterance("long", tmp_path / "long.wav", header.frames / header.samplerate)
    assert long.duration > 30
    write_manifest(tmp_path / "all.jsonl", [short[0], long, short[1]])
    together = dict(transcribe_inputs(str(corpus / "run"), [tmp_path / "all.jsonl"]))
    for number, utterance in enumerate((short[0], long, short[1])):
        write_manifest(tmp_path / f"{number}.jsonl", [utterance])
        [(name, alone)] = transcribe_inputs(str(corpus / "run"), [tmp_path / f"{number}.jsonl"])
        assert (name, together[name].text, together[name].frames) == (utterance.id, alone.text, alone.frames)


def test_files_that_exist_are_not_replaced(corpus: Path, tmp_path: Path) -> None:
    """Annotations of a recording lie beside it, under the name that its transcript would have."""
    recording, mine = tmp_path / "story.wav", tmp_path / "story.eaf"
    soundfile.write(recording, np.zeros(16_000), 16_000)
    mine.write_text("hours of work", encoding="utf-8")
    with pytest.raises(InputError, match=r"story\.eaf exists and would be replaced; name another folder with --out"):
        list(write_transcripts(str(corpus / "run"), [recording], format="eaf", out=tmp_path))
    assert mine.read_text(encoding="utf-8") == "hours of work"


def test_progress_counts_the_seconds_of_all_inputs(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[float] = []
    totals: list[float] = []

    class Recorded:
        def __init__(self, what: str, total: float) -> None:
            totals.append(total)

        def __enter__(self) -> object:
            return done.append

        def __exit__(self, *_: object) -> None:
            pass

    monkeypatch.setattr(transcription_runs, "track_amount", Recorded)
    inputs = [corpus / "dev" / "dev000.wav", corpus / "dev.jsonl"]
    list(transcribe_inputs(str(corpus / "run"), inputs))
    seconds = [soundfile.info(inputs[0]).duration, sum(row.duration for row in read_manifest(inputs[1]))]
    assert totals == pytest.approx([sum(seconds)])
    assert done == pytest.approx([seconds[0], sum(seconds)])


def test_every_known_suffix_is_lower_case() -> None:
    assert all(suffix == suffix.lower() and suffix.startswith(".") for suffix in RECORDING_SUFFIXES)
