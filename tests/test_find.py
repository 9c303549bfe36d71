"""The verb `find` on tones whose texts and times are known: hits, order, every format of output, and what is refused."""

import copy
import csv
import io
import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from speechxfer.annotations import read_annotations
from speechxfer.data import Utterance, write_manifest
from speechxfer.decoding import KeywordOptions
from speechxfer.errors import InputError
from speechxfer.models import AcousticModel
from speechxfer.workflows import Found, find_keywords, search_runs, write_found
from tests.test_alignment import model, speak  # noqa: F401
from tests.test_cli import Speechxfer, assert_refused, speechxfer  # noqa: F401
from tests.tone_corpus import RATE_HZ

TEXTS = {"one": "abc fed cab", "two": "fed abc dad abc", "three": "bead face"}


@pytest.fixture
def recordings(tmp_path: Path, model: AcousticModel, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:  # noqa: F811
    """Recordings of `TEXTS`, and the model that reads tones under every name."""
    monkeypatch.setattr(search_runs, "load_model", lambda name: model)
    for seed, (name, text) in enumerate(TEXTS.items()):
        soundfile.write(str(tmp_path / f"{name}.wav"), speak(text, seed)[0], RATE_HZ, subtype="PCM_16")
    return {name: tmp_path / f"{name}.wav" for name in TEXTS}


def word_starts(name: str, word: str) -> list[float]:
    """When the word starts in a recording, in seconds."""
    letters = [start for _, start in speak(TEXTS[name], list(TEXTS).index(name))[1]]
    words, first, starts = TEXTS[name].split(), 0, []
    for each in words:
        starts += [letters[first]] if each == word else []
        first += len(each)
    return starts


def rows(table: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(table), delimiter="\t", quoting=csv.QUOTE_NONE))


def test_a_word_is_found_where_it_is_spoken_and_nowhere_else(recordings: dict[str, Path]) -> None:
    found = list(find_keywords("model", ["abc"], list(recordings.values())))
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
    sure = [one for one in found if one.score > 0.5]
    places = sorted((one.media.stem, one.start_s) for one in sure)
    expected = sorted((name, start) for name in TEXTS for start in word_starts(name, "abc"))
    assert [name for name, _ in places] == [name for name, _ in expected] == ["one", "two", "two"]
    assert [start for _, start in places] == pytest.approx([start for _, start in expected], abs=0.09)
    assert all(0.2 < one.end_s - one.start_s < 0.7 for one in sure)  # three letters of 90 to 200 ms


def test_a_hit_in_a_very_short_utterance_has_times_within_it(
    tmp_path: Path,
    model: AcousticModel,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Features set the utterance in the middle of 1.5 s of noise; it begins a second after the start of its recording."""
    samples, starts = speak("abc", 0)
    recording = np.concatenate([np.zeros(RATE_HZ), samples])
    soundfile.write(str(tmp_path / "short.wav"), recording, RATE_HZ)
    duration_s = len(samples) / RATE_HZ
    write_manifest(tmp_path / "short.jsonl", [Utterance("short", tmp_path / "short.wav", duration_s, offset=1.0)])
    padded = copy.deepcopy(model)
    padded.spec = replace(model.spec, shortest_samples=24_000, surround_db=60.0)
    monkeypatch.setattr(search_runs, "load_model", lambda name: padded)
    [hit] = [one for one in find_keywords("model", ["abc"], [tmp_path / "short.jsonl"]) if one.score > 0.5]
    assert hit.start_s == pytest.approx(1.0 + starts[0][1], abs=0.09)
    assert hit.end_s <= 1.0 + duration_s


def test_phrases_and_parts_of_words_are_found(recordings: dict[str, Path]) -> None:
    inputs = list(recordings.values())

    def sure(keyword: str, **options: bool) -> list[str]:
        chosen = search_runs.KeywordOptions(threshold=0.5, **options)
        return [one.media.stem for one in find_keywords("model", [keyword], inputs, options=chosen)]

    assert sure("fed abc") == ["two"]
    assert sure("abc fed") == ["one"]
    assert sure("ea") == []
    assert sure("ea", within_words=True) == ["three"]


def test_hits_of_a_manifest_have_the_times_of_the_recording(recordings: dict[str, Path], tmp_path: Path) -> None:
    media = recordings["two"]
    later = word_starts("two", "abc")[1]
    utterances = [
        Utterance("first", media, later - 0.1, "not read", offset=0.0),
        Utterance("second", media, soundfile.info(str(media)).duration - later + 0.1, "", offset=later - 0.1),
    ]
    write_manifest(tmp_path / "two.jsonl", utterances)
    found = list(find_keywords("model", ["dad", "abc"], [tmp_path / "two.jsonl"]))
    sure = [one for one in found if one.score > 0.5]
    assert [one.keyword for one in sure] == ["dad", "abc", "abc"], "in the order of the keywords"
    by_id = {one.utterance: one for one in sure if one.keyword == "abc"}
    assert by_id["second"].start_s == pytest.approx(later, abs=0.09)
    assert by_id["first"].start_s == pytest.approx(word_starts("two", "abc")[0], abs=0.09)
    assert {one.media for one in sure} == {media}


@pytest.mark.skipif(sys.platform == "darwin", reason="its file names are UTF-8")
def test_a_table_holds_any_name(recordings: dict[str, Path], tmp_path: Path) -> None:
    odd = tmp_path / os.fsdecode(b"a\nb\tc\xff.wav")
    recordings["two"].rename(odd)
    options = KeywordOptions(threshold=0.5)
    assert list(write_found("model", ["dad\tabc"], [odd], out=tmp_path / "out", options=options)) == []
    header, row = (tmp_path / "out" / "found.tsv").read_text(encoding="utf-8").splitlines()
    cells = dict(zip(header.split("\t"), row.split("\t"), strict=True))
    assert (cells["recording"], cells["keyword"]) == (f"{tmp_path}/a b c\\udcff.wav", "dad abc")


def test_recordings_with_one_file_name_are_refused_before_the_search(
    recordings: dict[str, Path], tmp_path: Path
) -> None:
    (tmp_path / "b").mkdir()
    other = recordings["three"].rename(tmp_path / "b" / "one.wav")  # has no "dad", which would hide the collision
    with pytest.raises(InputError, match="both would be written to"):
        list(write_found("model", ["dad"], [recordings["one"], other], format="json", out=tmp_path / "out"))
    (recordings["one"].with_suffix(".TextGrid")).write_text("hours of work")
    with pytest.raises(InputError, match="TextGrid exists and would be replaced"):
        list(write_found("model", ["dad"], [recordings["one"]], format="textgrid", out=recordings["one"].parent))
    options = KeywordOptions(threshold=0.5)
    assert list(write_found("model", ["dad"], [recordings["one"], other], out=tmp_path / "out", options=options)) == []


@pytest.mark.parametrize("format", ["tsv", "json", "textgrid", "eaf"])
def test_files_hold_the_hits(
    recordings: dict[str, Path],
    tmp_path: Path,
    speechxfer: Speechxfer,  # noqa: F811
    format: str,
) -> None:
    words = tmp_path / "words.txt"
    words.write_text("dad\n\nabc\n", encoding="utf-8")
    out = tmp_path / "out"
    arguments = ["find", "model", "--list", words, "--threshold", "0.5", "--format", format, "--out", out]
    outcome = speechxfer(*arguments, *recordings.values())
    assert (outcome.code, outcome.out) == (0, ""), outcome.err
    expected = {(name, word) for name, text in TEXTS.items() for word in ("dad", "abc") if word in text.split()}
    if format == "tsv":
        table = rows((out / "found.tsv").read_text(encoding="utf-8"))
        assert {(Path(row["recording"]).stem, row["keyword"]) for row in table} == expected
        assert all(0.5 <= float(row["score"]) <= 1 and float(row["start"]) < float(row["end"]) for row in table)
        return
    files = {path.stem: path for path in out.iterdir()}
    assert files.keys() == {name for name, _ in expected}
    if format == "json":
        tiers = {name: json.loads(path.read_text())["tiers"] for name, path in files.items()}
        assert {(name, tier["name"]) for name, found in tiers.items() for tier in found} == expected
        assert all(hit["score"] >= 0.5 for found in tiers.values() for tier in found for hit in tier["intervals"])
        return
    for name, path in files.items():
        [annotation] = read_annotations(path)
        texts = {hit.text for tier in annotation.tiers for hit in tier.intervals if hit.text}
        assert texts == {word for stem, word in expected if stem == name}


def test_what_cannot_be_read_is_reported_after_the_hits_elsewhere(
    recordings: dict[str, Path],
    tmp_path: Path,
    speechxfer: Speechxfer,  # noqa: F811
) -> None:
    (tmp_path / "damaged.wav").write_bytes(b"RIFF and nothing")
    outcome = speechxfer("find", "model", "bead", tmp_path / "damaged.wav", recordings["three"], "--threshold", "0.5")
    assert outcome.code == 2
    assert [Path(row["recording"]).name for row in rows(outcome.out)] == ["three.wav"]
    assert "damaged.wav" in outcome.err.splitlines()[0]
    assert "1 not searched" in outcome.err.splitlines()[-1]


def test_what_cannot_be_searched_is_refused(
    recordings: dict[str, Path],
    tmp_path: Path,
    speechxfer: Speechxfer,  # noqa: F811
) -> None:
    (tmp_path / "empty.txt").write_text("\n \n", encoding="utf-8")
    one = recordings["one"]
    assert_refused(speechxfer("find", "model", "axe", one), "'axe'", "LATIN SMALL LETTER X")
    assert_refused(speechxfer("find", "model", "abc"), "no recording to search in", "find MODEL abc recording.wav")
    assert_refused(speechxfer("find", "model", "--list", tmp_path / "empty.txt", one), "empty.txt: has no keyword")
    assert_refused(speechxfer("find", "model", "abc", one, "--format", "eaf"), "add --out FOLDER")
    assert_refused(speechxfer("find", "model", "abc", one, ""), "has an empty name")
    assert_refused(speechxfer("find", "model", "abc", one, "--threshold", "2"), "threshold is 2")
    assert_refused(speechxfer("find", "model", "abc", tmp_path / "gone.wav"), "gone.wav", only_line=False)
    with pytest.raises(InputError, match="empty after normalisation"):
        list(find_keywords("model", ["!"], [one]))


def test_a_phone_model_finds_phones(recordings: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    options = search_runs.KeywordOptions(threshold=1e-6)
    found = list(find_keywords("multilingual-small", ["a"], [recordings["one"]], options=options))
    assert found and isinstance(found[0], Found)
    with pytest.raises(InputError, match=r"'hello' \('hello'\); write them with the model's phones"):
        list(find_keywords("multilingual-small", ["hello"], [recordings["one"]]))
