"""Phone errors by language: feature distances worked out by hand from panphon's table, rates compared with panphon's own."""

import hashlib
import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import panphon.distance
import pytest
from scipy.stats import bootstrap

from recipes.multilingual.by_language import feature_distance, find_decoder, main, measure, rate
from recipes.phone_errors import LanguageErrors, Measurement, Rate, add_measurement, read_measurements
from recipes.rendering import render_results
from speechxfer.data.manifest import Utterance, write_manifest
from speechxfer.errors import InputError
from speechxfer.scoring.report import WerReport
from speechxfer.scoring.scorer import score
from speechxfer.workflows import add_row
from tests.test_results import ROW
from tests.test_runs import write_model

HELD_OUT = {  # set: id, speaker, language, reference, hypothesis
    "words/development": [("e1", "ane", "eu", "p a t", "b a t"), ("e2", "ane", "eu", "t a", "a")],
    "words/unseen": [("g1", "eleni", "el", "s i", "s i")],
    "words/test": [("d1", "ulf", "de-AT", "m a n", "n a n"), ("d2", "ida", "de", "a", "a t a")],
    "letters/dev": [("d3", "ida", "de", "b e", "p e"), ("f1", "jean", "fr", "t e", "t e")],
}
TRAIN = [("t1", "ida", "de", "a b"), ("t2", "luc", "fr", "e")]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Manifests in phones/, reports in reports/."""
    for name, rows in HELD_OUT.items():
        utterances = [
            Utterance(i, tmp_path / "x.wav", 1.0, text=text, speaker=who, lang=lang) for i, who, lang, text, _ in rows
        ]
        write_manifest(tmp_path / "phones" / f"{name}.jsonl", utterances)
        references, hypotheses = {row[0]: row[3] for row in rows}, {row[0]: row[4] for row in rows}
        report = tmp_path / "reports" / name / "report.json"
        report.parent.mkdir(parents=True)
        report.write_text(score(references, hypotheses).to_json(), encoding="utf-8")
    train = [Utterance(i, tmp_path / "x.wav", 1.0, text=text, speaker=who, lang=lang) for i, who, lang, text in TRAIN]
    write_manifest(tmp_path / "phones" / "words" / "train.jsonl", train)
    return tmp_path


def test_feature_distance_by_hand() -> None:
    """p and b differ in voice. t is + or - in 21 of panphon's 24 features and 0 in 3: strident, and the two of tone."""
    assert feature_distance("p a t", "b a t") == pytest.approx(1 / 24)
    assert feature_distance("t a", "a") == feature_distance("a", "t a") == pytest.approx((21 + 3 / 2) / 24)
    with pytest.raises(InputError, match="no features of '7'"):
        feature_distance("a 7", "a")


def test_errors_by_group_and_language(folder: Path) -> None:
    pytest.importorskip("language_data", reason="names of languages need the package language_data")
    rows = {(row.group, row.name): row for row in measure(folder / "reports", folder / "phones")}
    assert list(rows) == [
        ("unseen language, development", "Basque"),
        ("unseen language, test", "Greek"),
        ("unseen speaker", "French"),
        ("unseen speaker", "German"),
        ("unseen speaker", "all"),
        ("trained speaker", "German"),
    ]
    basque = rows["unseen language, development", "Basque"]
    assert (basque.language, basque.sets, basque.speakers, basque.utterances) == ("eu", ["words/development"], 1, 2)
    assert (basque.phones, basque.resampling) == (5, "utterances")
    assert basque.per.value == pytest.approx(100 * 2 / 5)
    assert basque.mean_per.value == pytest.approx(100 * (1 / 3 + 1 / 2) / 2)
    voice, deleted = 1 / 24, 22.5 / 24
    assert basque.pfer.value == pytest.approx(100 * (voice + deleted) / 5)
    assert basque.mean_pfer.value == pytest.approx(100 * (voice / 3 + deleted / 2) / 2)
    assert rows["unseen speaker", "all"].utterances == 2 and rows["unseen speaker", "German"].language == "de"
    assert rows["trained speaker", "German"].sets == ["letters/dev", "words/test"]
    for (group, name), own in {
        ("trained speaker", "German"): [("a", "ata"), ("be", "pe")],
        ("unseen speaker", "all"): [("man", "nan"), ("te", "te")],
    }.items():
        references, hypotheses = zip(*own, strict=True)
        theirs = panphon.distance.Distance()
        row = rows[group, name]
        assert row.pfer.value == pytest.approx(100 * theirs.feature_error_rate(list(hypotheses), list(references)))
        assert row.per.value == pytest.approx(100 * theirs.phoneme_error_rate(list(hypotheses), list(references)))


def test_intervals_are_those_of_a_bootstrap_over_units() -> None:
    generator = np.random.default_rng(1)
    lengths = generator.integers(1, 20, 60).astype(float)
    errors = generator.binomial(lengths.astype(int), 0.4).astype(float)
    by_utterance = rate(errors, lengths, range(60))

    def ratio(values: np.ndarray, weights: np.ndarray, axis: int = -1) -> np.ndarray:
        return values.sum(axis) / weights.sum(axis)

    theirs = bootstrap((errors, lengths), ratio, paired=True, method="percentile", random_state=2).confidence_interval
    assert by_utterance.value == pytest.approx(100 * errors.sum() / lengths.sum())
    assert (by_utterance.low, by_utterance.high) == pytest.approx((100 * theirs.low, 100 * theirs.high), abs=0.8)
    tripled = rate(np.repeat(errors, 3), np.repeat(lengths, 3), np.repeat(np.arange(60), 3))  # three of each speaker
    assert (tripled.low, tripled.high) == pytest.approx((by_utterance.low, by_utterance.high), abs=0.8)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: shutil.rmtree(folder / "reports"), "has no report.json"),
        (
            lambda folder: write_manifest(folder / "phones/words/unseen.jsonl", [other("g1", "eleni")]),
            "evaluate it again",
        ),
        (
            lambda folder: write_manifest(folder / "phones/words/train.jsonl", [other("g1", "x")]),
            "g1 is also trained on",
        ),
    ],
)
def test_reports_that_cannot_be_summed_are_refused(folder: Path, change: Callable[[Path], None], message: str) -> None:
    change(folder)
    with pytest.raises(InputError, match=message):
        measure(folder / "reports", folder / "phones")


def other(id_: str, speaker: str) -> Utterance:
    return Utterance(id_, Path("/x.wav"), 1.0, text="a", speaker=speaker, lang="el")


def measurement(model: str, per: float, decoder: str = "greedy") -> Measurement:
    per_rate, one = Rate(per, per - 1, per + 1), Rate(1.0, 0.5, 1.5)
    row = LanguageErrors(
        "trained speaker", "de", "German", ["a/dev"], 2, 1234, 5000, per_rate, one, one, one, "utterances"
    )
    provenance = ("by_language.py x", "abc1234", "2026-01-02", "A processor")
    return Measurement(model, "0123456789abcdef", *provenance, [row], decoder)


def test_the_decoder_of_reports_is_recorded_and_has_to_be_one(folder: Path) -> None:
    assert find_decoder(folder / "reports") == "greedy"
    paths = sorted((folder / "reports").rglob("report.json"))
    reports = [WerReport.from_json(path.read_text("utf-8")) for path in paths]
    for path, report in zip(paths, reports, strict=True):
        path.write_text(replace(report, phones=("auto",)).to_json(), encoding="utf-8")
    assert find_decoder(folder / "reports") == "greedy, phones auto"
    for path, report, phones in zip(paths, reports, (("a",), ("b", "c"), ("a",), ("a",)), strict=True):
        path.write_text(replace(report, phones=phones, decoder="beam 8").to_json(), encoding="utf-8")
    assert find_decoder(folder / "reports") == "beam 8, phones of the language"
    paths[-1].write_text(reports[-1].to_json(), encoding="utf-8")
    with pytest.raises(InputError, match=r"decoder 'greedy', but .* has 'beam 8, phones of the language'"):
        find_decoder(folder / "reports")


def test_a_model_measured_again_replaces_its_own_rows(tmp_path: Path) -> None:
    path = tmp_path / "phone_results.json"
    beam = measurement("a", 5.0, "beam 8")
    for one in (measurement("a", 10.0), measurement("b", 20.0), beam, measurement("a", 30.123)):
        add_measurement(path, one)
    found = [(one.model, one.decoder, one.rows[0].per.value) for one in read_measurements(path)]
    assert found == [("a", "greedy", 30.12), ("b", "greedy", 20.0), ("a", "beam 8", 5.0)]
    path.write_text(path.read_text("utf-8").replace('"phones"', '"phone"'), encoding="utf-8")
    with pytest.raises(InputError, match=r"phone_results\.json: 0 rows 0 phones: Field required"):
        read_measurements(path)


def test_the_page_has_the_models_of_a_language_in_consecutive_lines(tmp_path: Path) -> None:
    add_row(tmp_path / "results.json", ROW)
    for one in (measurement("a", 10.0), measurement("b", 20.0, "beam 8")):
        add_measurement(tmp_path / "phone_results.json", one)
    render_results(tmp_path / "results.json", tmp_path / "RESULTS.md")
    page = (tmp_path / "RESULTS.md").read_text(encoding="utf-8")
    assert "### Trained speaker\n" in page and "### Unseen speaker\n" not in page
    cells = "2 | 1,234 | {} | 1.0 [0.5, 1.5] | 1.0 [0.5, 1.5] | 1.0 [0.5, 1.5] |"
    lines = [
        f"| German | {name} | {cells.format(per)}"
        for name, per in (("a | greedy", "10.0 [9.0, 11.0]"), ("b | beam 8", "20.0 [19.0, 21.0]"))
    ]
    assert "\n".join(lines) in page
    assert "**a, greedy**: commit abc1234, 2026-01-02, on A processor; weights of SHA-256 0123456789ab\n" in page


def test_the_command_writes_the_rows_of_a_model(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("language_data", reason="names of languages need the package language_data")
    write_model(folder / "exp" / "small", "dnn")
    arguments = ["by_language.py", "exp/small", "reports", "--manifests", "phones", "--out", "phone_results.json"]
    monkeypatch.setattr(sys, "argv", arguments)
    monkeypatch.chdir(folder)
    main()
    [found] = json.loads(Path("phone_results.json").read_text(encoding="utf-8"))
    digest = hashlib.sha256(Path("exp/small/weights.safetensors").read_bytes()).hexdigest()
    assert (found["model"], found["weights"], len(found["rows"])) == ("small", digest, 6)
    assert found["command"] == " ".join(arguments) and found["hardware"] and found["date"] > "2026"
    shutil.rmtree("reports")
    capsys.readouterr()
    with pytest.raises(SystemExit) as stopped:
        main()
    message = capsys.readouterr().err
    assert (stopped.value.code, message.count("\n")) == (2, 1) and "has no report.json" in message
