"""Words cut out of recordings of sentences: where words end in Malagasy's spelling, and parts worked out by hand."""

import json
from pathlib import Path

import pytest

from data_scripts import cut_words
from data_scripts.cut_words import main, word_ends
from speechxfer.data import Utterance, read_manifest, write_manifest
from speechxfer.errors import InputError

TEXT, PHONES = "salama tompoko any", "s a l a m a t u m p u k u a n i"  # o is read u, y is read i


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """One utterance that starts at 2 s of its recording; a phone lasts 100 ms, a pause of 200 ms follows the first word."""
    common = {"audio_filepath": tmp_path / "one.wav", "offset": 2.0, "duration": 2.0, "lang": "mg", "speaker": "a"}
    write_manifest(tmp_path / "letters.jsonl", [Utterance(id="u", text=TEXT, **common)])
    write_manifest(tmp_path / "phones.jsonl", [Utterance(id="u", text=PHONES, **common)])
    align(tmp_path, [0.9] * 16)
    return tmp_path


def align(folder: Path, scores: list[float]) -> None:
    starts = [0.1 * i + (0.2 if i >= 6 else 0.0) for i in range(16)]
    rows = [
        {"start": start, "end": start + 0.1, "text": phone, "score": score}
        for start, phone, score in zip(starts, PHONES.split(), scores, strict=True)
    ]
    content = {
        "media": "one.wav",
        "tiers": [{"name": "symbols", "intervals": []}, {"name": "words", "intervals": rows}],
    }
    (folder / "aligned").mkdir(exist_ok=True)
    (folder / "aligned" / "one.json").write_text(json.dumps(content))


def cut(folder: Path, monkeypatch: pytest.MonkeyPatch, words: int) -> list[Utterance]:
    monkeypatch.setattr(cut_words, "MOST_WORDS", words)
    cut_words.cut_words(folder / "letters.jsonl", folder / "phones.jsonl", folder / "aligned", folder / "cut.jsonl")
    return list(read_manifest(folder / "cut.jsonl"))


def test_every_word_becomes_an_utterance(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = cut(corpus, monkeypatch, words=1)
    assert [part.text for part in parts] == ["s a l a m a", "t u m p u k u", "a n i"]
    times = [(part.offset, part.offset + part.duration) for part in parts]
    # the cut is in the middle of the pause, from 0.6 to 0.8 s; the last part goes to the end
    assert times == [pytest.approx(pair) for pair in ((2.0, 2.7), (2.7, 3.5), (3.5, 4.0))]
    assert {(part.speaker, part.lang, Path(part.audio_filepath).name) for part in parts} == {("a", "mg", "one.wav")}
    assert len({part.id for part in parts}) == 3 and all(part.id.startswith("u-") for part in parts)


def test_parts_of_several_words_cover_the_utterance_and_are_the_same_each_time(
    corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = cut(corpus, monkeypatch, words=2)
    assert " ".join(part.text for part in first) == PHONES and len(first) == 2
    assert cut(corpus, monkeypatch, words=2) == first


def test_parts_that_the_model_is_unsure_of_are_excluded(
    corpus: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    align(corpus, [0.9] * 6 + [0.3] * 7 + [0.9] * 3)
    assert [part.text for part in cut(corpus, monkeypatch, words=1)] == ["s a l a m a", "a n i"]
    assert "1 parts below a mean posterior of 0.5" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "phones", "ends"),
    [
        (TEXT, PHONES, [6, 13, 16]),
        ("manana anao", "m a n a n a n a w", [9]),  # one a at the seam: no word ends there
        (TEXT, PHONES.replace("p", "b"), []),
        ("salama 1990", PHONES, []),  # no rule reads it
    ],
)
def test_words_end_where_their_phones_end(text: str, phones: str, ends: list[int]) -> None:
    assert word_ends(text, phones.split(), "mg") == ends


def test_another_json_is_no_alignment(corpus: Path) -> None:
    (corpus / "aligned" / "one.json").write_text('{"tiers": []}')
    with pytest.raises(InputError, match=r"one\.json: is no alignment"):
        cut_words.cut_words(*(corpus / name for name in ("letters.jsonl", "phones.jsonl", "aligned", "cut.jsonl")))


def test_missing_spellings_and_alignments_are_errors(corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [str(corpus / name) for name in ("letters.jsonl", "phones.jsonl", "nowhere", "cut.jsonl")]
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2 and "speechxfer align" in capsys.readouterr().err
    write_manifest(
        corpus / "letters.jsonl", [Utterance(id="v", text=TEXT, audio_filepath=Path("one.wav"), duration=2.0)]
    )
    with pytest.raises(InputError, match="u is missing"):
        cut_words.cut_words(*(Path(each) for each in arguments))
