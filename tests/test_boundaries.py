"""The recipe's measurement of boundaries and its references: hand-worked errors, Mboshi's layout, damaged files."""

import json
from pathlib import Path

import numpy as np
import pytest

from data_scripts import mboshi_times
from data_scripts.times import TimedUnit, TimedUtterance, read_times, write_times
from recipes.alignment.boundaries import MISSED_S, errors_of, measure, read_annotations, spans_of, summarise
from speechxfer.errors import InputError

REFERENCE = TimedUtterance(
    "u",
    "words",
    (TimedUnit("", 0.0), TimedUnit("a", 0.5), TimedUnit("b", None), TimedUnit("", 1.0), TimedUnit("c", 1.2)),
)
SPANS = [("a", 0.49, 0.7), ("b", 0.7, 1.03), ("c", 1.26, 1.5)]


def test_errors_are_those_of_known_starts_and_of_ends_before_pauses_by_hand() -> None:
    """a is 10 ms early, b's start is unknown, its end 30 ms late, c is 60 ms late; the first pause ends nothing."""
    errors = errors_of(REFERENCE, SPANS)
    assert errors is not None and np.allclose(errors, [-0.01, 0.03, 0.06])
    assert errors_of(REFERENCE, SPANS[:2]) is None
    assert spans_of(REFERENCE)[0][:2] == ("a", 0.5) and spans_of(REFERENCE)[2][0] == "c"


def test_an_utterance_with_other_units_counts_as_errors(capsys: pytest.CaptureFixture[str]) -> None:
    other = TimedUtterance("v", "words", (TimedUnit("a", 0.1), TimedUnit("b", 0.2)))
    errors = measure([REFERENCE, other], {"u": SPANS})
    assert np.allclose(np.concatenate(errors), [-0.01, 0.03, 0.06, MISSED_S, MISSED_S])
    assert "v" in capsys.readouterr().err
    row = summarise(errors, {"speech": "s", "unit": "words", "method": "ctc", "model": "m"})
    assert (row.within_10, row.within_20, row.within_50) == pytest.approx((20.0, 20.0, 40.0))
    assert row.boundaries == 5 and row.median_absolute == pytest.approx(60.0)
    with pytest.raises(InputError, match="no utterance has the units"):
        measure([other], {"u": SPANS})


def test_annotations_are_read_by_tier(tmp_path: Path) -> None:
    intervals = [{"start": 0.49, "end": 0.7, "text": "a"}]
    data = {"media": "u.wav", "duration": 2.0, "tiers": [{"name": "words", "intervals": intervals}]}
    (tmp_path / "u.json").write_text(json.dumps(data), encoding="utf-8")
    assert read_annotations(tmp_path, "words") == {"u": [("a", 0.49, 0.7)]}
    with pytest.raises(InputError, match="one tier 'symbols'"):
        read_annotations(tmp_path, "symbols")
    with pytest.raises(InputError, match="no annotation"):
        read_annotations(tmp_path / "none", "words")


def test_times_are_read_as_they_were_written_and_damage_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.times.jsonl"
    write_times(path, [REFERENCE])
    assert read_times(path) == [REFERENCE]
    path.write_text(
        path.read_text(encoding="utf-8") + '{"id": "v", "tier": "words", "units": [["a"]]}\n', encoding="utf-8"
    )
    with pytest.raises(InputError, match=r"a\.times\.jsonl:2: expected id, tier, and units"):
        read_times(path)


SEGMENTS = """# file created by hand
#@ sid=x_1.001
#@ word=[silence] nbs=1 .
x_1 1:..w3 1 1 5 9 65
#@ word=wa nbs=2 wa
x_1 33:.wa3 1 80 3 10 3
x_1 35:wa.1 1 96 3 1 2
#@ word=tá nbs=1 t
x_1 25:amI0 1 102 4 2 1
#@ word=</s> nbs=1 .
x_1 1:... 1 110 1 1 1
#@ word=<UNK> nbs=1 !
x_2 70:o!!1 1 169 1 1 1
"""
LETTERS = {"x_1": "SIL 0.1 0.8\nW 0.8 0.9\nA 0.9 1.0\nSIL 1.0 1.1\nT 1.1 1.2\nA 1.2 1.5\n", "x_2": "O 0.5 0.6\n"}


@pytest.fixture
def mboshi(tmp_path: Path) -> Path:
    """A miniature of the repository's layout."""
    folder = tmp_path / "corpus"
    (folder / "full_corpus_newsplit" / "dev").mkdir(parents=True)
    for name, text in (("x_1", "wa tá\n"), ("x_2", "ob\n")):
        (folder / "full_corpus_newsplit" / "dev" / f"{name}.mb.cleaned").write_text(text, encoding="utf-8")
    alignments = folder / "forced_alignments_supervised_spkr"
    (alignments / "limsi-align").mkdir(parents=True)
    (alignments / "align-kit-old" / "dev").mkdir(parents=True)
    (alignments / "limsi-align" / "dev0.seg").write_text(SEGMENTS, encoding="utf-8")
    for name, lines in LETTERS.items():
        (alignments / "align-kit-old" / "dev" / f"{name}.txt").write_text(lines, encoding="utf-8")
    return folder


def test_both_alignments_of_mboshi_are_read(mboshi: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mboshi_times.prepare(mboshi, tmp_path)
    [newer] = read_times(tmp_path / "words.times.jsonl")
    pairs = [(unit.text, unit.start_s) for unit in newer.units]
    assert newer.id == "x_1" and pairs == [("", 0.01), ("wa", 0.8), ("tá", 1.02), ("", 1.1)]
    [letters] = read_times(tmp_path / "older_letters.times.jsonl")
    assert letters.tier == "symbols"
    assert [unit.text for unit in letters.units] == ["", "w", "a", "", "t", "á"]
    [words] = read_times(tmp_path / "older_words.times.jsonl")
    assert [(unit.text, unit.start_s) for unit in words.units] == [("", 0.1), ("wa", 0.8), ("", 1.0), ("tá", 1.1)]
    assert capsys.readouterr().out.count("1 utterances; 1 excluded") == 3


def test_a_damaged_alignment_of_mboshi_is_named(mboshi: Path, tmp_path: Path) -> None:
    path = mboshi / "forced_alignments_supervised_spkr" / "limsi-align" / "dev0.seg"
    path.write_text(SEGMENTS.replace("1 80 3 10 3", "1 80"), encoding="utf-8")
    with pytest.raises(InputError, match=r"dev0\.seg:6: expected an id, a phone and five numbers"):
        mboshi_times.prepare(mboshi, tmp_path)
