"""The measurement of keyword search: average precision against scikit-learn and by hand, keywords, and the rendered section."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from sklearn.metrics import average_precision_score

from recipes import keyword_search
from recipes.keyword_results import Measurement, Operation, SearchQuality, read_measurements, render_search
from recipes.keyword_search import average_precision, choose_keywords, operation
from speechxfer.data import Utterance, write_manifest
from speechxfer.errors import InputError
from speechxfer.models import AcousticModel
from tests.test_alignment import model, speak  # noqa: F401
from tests.tone_corpus import RATE_HZ

TEXTS = ("abc fed cab", "fed abc dad", "abc abc face", "bead face cab", "dad bead")


def test_average_precision_by_hand() -> None:
    """Relevant: a, c, d; ranks of a and c are 1 and 3, d is not found: (1 + 2/3 + 0) / 3."""
    assert average_precision({"a": 0.9, "b": 0.5, "c": 0.2}, {"a", "c", "d"}) == pytest.approx(5 / 9)
    assert average_precision({}, {"a"}) == 0.0


def test_average_precision_is_that_of_scikit_learn_where_everything_is_ranked() -> None:
    generator = np.random.default_rng(0)
    for _ in range(20):
        scores, labels = generator.permutation(30) / 30, generator.uniform(size=30) < 0.3
        labels[0] = True
        named = {f"u{number}": float(score) for number, score in enumerate(scores)}
        relevant = {f"u{number}" for number in np.flatnonzero(labels)}
        assert average_precision(named, relevant) == pytest.approx(average_precision_score(labels, scores))


def test_keywords_are_the_repeated_words_that_are_long_enough(model: AcousticModel) -> None:  # noqa: F811
    texts = {"u": ["abc", "ab", "fed"], "v": ["abc", "abc", "ab", "xyz"], "w": ["xyz", "fed"]}
    assert choose_keywords(texts, model) == {"abc": {"u", "v"}, "fed": {"u", "w"}}  # the model has no x


def test_precision_and_recall_at_a_threshold() -> None:
    found = {"abc": {"u": 0.9, "v": 0.2, "w": 0.6}, "fed": {"u": 0.05}}
    relevant = {"abc": frozenset({"u", "v"}), "fed": frozenset({"u", "w"})}
    assert operation(found, relevant, 0.5) == Operation(0.5, 0.5, 0.25)
    assert operation(found, relevant, 0.01) == Operation(0.01, 0.75, 0.75)


def test_a_measurement_is_written_and_rendered(
    model: AcousticModel,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    utterances = []
    for number, text in enumerate(TEXTS):
        path = tmp_path / f"{number}.wav"
        samples, _ = speak(text, number)
        soundfile.write(str(path), samples, RATE_HZ, subtype="PCM_16")
        utterances.append(Utterance(str(number), path, len(samples) / RATE_HZ, text))
    write_manifest(tmp_path / "dev.jsonl", utterances)
    monkeypatch.setattr(keyword_search, "load_model", lambda name: model)
    monkeypatch.setattr(keyword_search, "weights_hash", lambda source: "0" * 64)
    out = tmp_path / "keyword_search.json"
    keyword_search.main(["english", "--on", str(tmp_path / "dev.jsonl"), "--out", str(out)])
    [one] = read_measurements(out)
    assert (one.utterances, one.keywords, one.pairs) == (5, 6, 13)  # abc 3, fed 2, cab 2, dad 2, face 2, bead 2
    assert one.find.mean_average_precision > 95
    assert (one.text_search.mean_average_precision, one.ratio) == (0.0, None)  # this model writes no spaces
    assert one.operations[2].precision > 0.95
    out.write_text(out.read_text().replace('"pairs"', '"pear"'))
    with pytest.raises(InputError, match="run stage `search` again"):
        read_measurements(out)
    with pytest.raises(InputError, match="no word of at least 3 letters"):
        write_manifest(tmp_path / "short.jsonl", [replace(utterances[0], text="ab")])
        keyword_search.measure("english", tmp_path / "short.jsonl")


def test_the_section_of_results() -> None:
    one = Measurement(
        "exp/plain-1",
        "0" * 64,
        "data/dev.jsonl",
        514,
        347,
        1000,
        SearchQuality(85.3, 82.7, 87.7),
        SearchQuality(32.5, 29.0, 36.0),
        (2.63, 2.4, 2.9),
        (Operation(0.1, 0.5, 0.75),),
        "keyword_search.py",
        "abc1234",
        "2026-11-27",
        "a core",
    )
    heading, _, table, made = render_search([one])
    assert heading == "## Keyword search"
    assert table.splitlines()[2] == (
        "| plain-1 | 347 | 85.3 [82.7, 87.7] | 32.5 [29.0, 36.0] | 2.63 [2.40, 2.90] | 50 / 75 % at 0.1 |"
    )
    assert made == "- `keyword_search.py` at abc1234, 2026-11-27, a core"
