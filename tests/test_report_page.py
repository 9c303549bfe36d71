"""The page of `speechxfer report`: nothing outside is requested, texts stay texts, numbers and alignments are the scorer's."""

import base64
import hashlib
import io
import json
import re
from dataclasses import replace
from pathlib import Path

import jiwer
import matplotlib.image
import numpy as np
import pytest
import soundfile

from speechxfer.adaptation import HeadRow, HeadTable
from speechxfer.data import Utterance, write_manifest
from speechxfer.decoding import Hypothesis, Word
from speechxfer.errors import InputError
from speechxfer.reporting import Clip, Content, Curve, Run, choose_clips, make_clips, render_page
from speechxfer.reporting.charts import nice_ticks
from speechxfer.reporting.clips import draw_filterbank
from speechxfer.reporting.page import MOST_BYTES
from speechxfer.reporting.tables import group_tables
from speechxfer.scoring import MeasuredRate, compare, score
from speechxfer.workflows import PageOptions, evaluate_models, write_page
from speechxfer.workflows.learning_curves import read_curves
from tests.page_reader import PageReader, read_page
from tests.test_cli import QUICK, Speechxfer, assert_refused, speechxfer, train_arguments  # noqa: F401
from tests.tone_corpus import write_tone_corpus

REFERENCES = {"a": "one two three four", "b": "five", "c": "six seven", "d": ""}
HYPOTHESES = {"a": "one too three for more", "b": "five", "c": "seven", "d": "noise"}
SPEAKERS = {"a": "anna", "b": "ben", "c": "anna", "d": ""}
HOSTILE = (
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "' onmouseover='alert(1)",
    "<!-- <script>",
    "{{ 7 * 7 }} {% raw %}",
    "&lt;b&gt; &#x3c;i&#x3e;",
    "]]></title></style><base href=//evil.example>",
    "\u202eevil\u202c שלום مرحبا 👩🏽‍🚀",
)


def page_content(
    references: dict[str, str], hypotheses: dict[str, str], speakers: dict[str, str], name: str
) -> Content:
    """A page with every section, all texts given; the same structure whatever the texts are."""
    report = score(references, hypotheses, speakers=speakers)
    report = replace(report, unknown_symbols=((name, 3),), phones=(name, "b"))
    found = {
        id_: Hypothesis(text, 9, 1, 0.5, tuple(Word(w, 0.1, 0.2, 0.9) for w in text.split()))
        for id_, text in hypotheses.items()
    }
    metrics = (
        {"step": 5, "loss": 2.0},
        {"step": 10, "dev_wer": 0.5, "dev_cer": 0.25},
        {"step": 20, "dev_wer": 0.4, "dev_cer": 0.3},
    )
    head = HeadTable([HeadRow("<blank>", "blank", "<blank>"), HeadRow(name, "map", name), HeadRow("x", "new")])
    run = Run(name, report, found, metrics, head, ((name, name),), (name,))
    utterances = {id_: Utterance(id_, Path("x.wav"), 1.5, text) for id_, text in references.items()}
    rates = tuple(MeasuredRate(hours, rate, (rate - 0.02, rate + 0.02)) for hours, rate in ((0.5, 0.5), (1.0, 0.4)))
    clips = {next(iter(references)): Clip(1.0, b"audio", "audio/flac", b"picture")}
    return Content(name, (run, replace(run, name=name + "2")), utterances, clips, (Curve(name, rates, rates),), (name,))


def plain_page(**changes: object) -> PageReader:
    content = page_content(REFERENCES, HYPOTHESES, SPEAKERS, "exp/x")
    return read_page(render_page(replace(content, **changes)))


# ------------------------------------------------------------------------------------------------------------ safety
def test_the_page_requests_nothing_and_its_policy_forbids_it() -> None:
    html = render_page(page_content(REFERENCES, HYPOTHESES, SPEAKERS, "exp/x"))
    page = read_page(html)
    assert "//" not in re.sub(r"(^|;|>) *// .*$", "", html, flags=re.MULTILINE)  # but for comments of the script
    for element in page.elements:
        assert element.name not in ("link", "iframe", "object", "embed", "base"), element.name
        for name, value in element.attributes.items():
            assert not name.startswith("on") and name != "style", f"{element.name} {name}"
            if name in ("src", "href", "action", "srcset", "data", "poster"):
                assert (value or "").startswith("#"), f"{element.name} {name}={value}"
    [style] = page.named("style")
    assert "url(" not in style.text and "@import" not in style.text
    policy = page.policy()
    assert policy.pop("default-src") == ["'none'"]
    hashes = {
        directive: [
            f"'sha256-{base64.b64encode(hashlib.sha256(e.text.encode()).digest()).decode()}'"
            for e in page.named(name)
            if e.attributes.get("type") != "application/json"
        ]
        for directive, name in (("script-src", "script"), ("style-src", "style"))
    }
    assert {directive: policy.pop(directive) for directive in hashes} == hashes
    assert policy == {"img-src": ["data:"], "media-src": ["data:"], "base-uri": ["'none'"], "form-action": ["'none'"]}


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_stays_text(text: str) -> None:
    references = {f"{text}{id_}": f"{text} {one}" for id_, one in REFERENCES.items()}
    hypotheses = {f"{text}{id_}": f"{one} {text}" for id_, one in HYPOTHESES.items()}
    speakers = {f"{text}{id_}": f"{text}{one}" for id_, one in SPEAKERS.items()}
    page = read_page(render_page(page_content(references, hypotheses, speakers, text)))
    same = {id_.replace(text, "t"): one.replace(text, "w " * len(text.split())) for id_, one in references.items()}
    other = {id_.replace(text, "t"): one.replace(text, "w " * len(text.split())) for id_, one in hypotheses.items()}
    who = {id_.replace(text, "t"): one.replace(text, "t") for id_, one in speakers.items()}
    harmless = read_page(render_page(page_content(same, other, who, "exp/x")))
    names = {(e.name, *sorted(e.attributes)) for e in page.elements}
    assert names == {(e.name, *sorted(e.attributes)) for e in harmless.elements}
    assert len(page.named("script")) == 2 and len(page.named("style")) == 1 and not page.comments
    assert {row["id"]: row["reference"] for row in page.data()["utterances"]} == references
    assert {row["id"]: row["runs"][0]["text"] for row in page.data()["utterances"]} == hypotheses
    assert page.data()["runs"] == [text, text + "2"]
    assert page.named("title")[0].text == text
    assert {row[0] for row in page.rows("Errors by speaker")[2:]} == set(speakers.values())


# ----------------------------------------------------------------------------------------------------------- content
def test_every_section_has_a_heading_and_is_linked() -> None:
    page = plain_page()
    sections = [e for e in page.named("section") if "id" in e.attributes]
    ids = {e.attributes["id"] for e in sections}
    assert ids == {"scores", "utterances", "groups", "confusions", "training", "head", "more"}
    assert {e.attributes["href"] for e in page.named("a")} == {f"#{name}" for name in ids | {"main"}}
    headings = {e.attributes.get("id") for e in page.named("h2")}
    assert all(e.attributes["aria-labelledby"] in headings for e in sections)
    assert len(page.named("main")) == len(page.named("h1")) == len(page.named("nav")) == 1
    assert page.named("html")[0].attributes["lang"] == "en"


def test_every_input_has_a_label() -> None:
    html = render_page(page_content(REFERENCES, HYPOTHESES, SPEAKERS, "exp/x"))
    without_labels = re.sub(r"<label.*?</label>", "", html, flags=re.DOTALL)
    assert "<input" in html and "<input" not in without_labels and "<select" not in without_labels


def test_the_alignment_is_that_of_jiwer() -> None:
    shown = {row["id"]: row["runs"][0] for row in plain_page().data()["utterances"]}
    for id_ in ("a", "b", "c"):
        reference, hypothesis = REFERENCES[id_].split(), HYPOTHESES[id_].split()
        [chunks] = jiwer.process_words(REFERENCES[id_], HYPOTHESES[id_]).alignments
        kinds = {"equal": "=", "substitute": "S", "delete": "D", "insert": "I"}
        expected = []
        for chunk in chunks:
            length = max(chunk.ref_end_idx - chunk.ref_start_idx, chunk.hyp_end_idx - chunk.hyp_start_idx)
            for n in range(length):
                said = None if chunk.type == "insert" else reference[chunk.ref_start_idx + n]
                written = None if chunk.type == "delete" else hypothesis[chunk.hyp_start_idx + n]
                expected.append([said, written, kinds[chunk.type]])
        assert [pair[:3] for pair in shown[id_]["pairs"]] == expected
    assert [pair[:3] for pair in shown["d"]["pairs"]] == [[None, "noise", "I"]] and shown["d"]["wer"] is None
    assert all((pair[3] == [0.1, 0.2, 0.9]) == (pair[1] is not None) for row in shown.values() for pair in row["pairs"])


def test_two_runs_are_beside_each_other_with_their_paired_test() -> None:
    better = score(REFERENCES, REFERENCES | {"d": "noise"}, speakers=SPEAKERS)
    first = page_content(REFERENCES, HYPOTHESES, SPEAKERS, "exp/x").runs[0]
    second = Run("exp/y", better)
    page = plain_page(runs=(first, second))
    assert [e.text for e in page.named("dd", data_field="wer")] == [
        "71.4 % [" + ", ".join(f"{100 * end:.1f}" for end in first.report.wer_interval) + "]",
        "14.3 % [" + ", ".join(f"{100 * end:.1f}" for end in better.wer_interval) + "]",
    ]
    [test] = page.named("pre")
    assert test.text == str(compare(better, first.report, names=("exp/y", "exp/x")))
    [row] = [row for row in page.data()["utterances"] if row["id"] == "a"]
    assert [run["errors"] for run in row["runs"]] == [3, 0]
    assert row["runs"][1]["confidence"] is None
    table = page.rows("Errors by speaker")
    counts = ["0.0", "", "0.0", "0 sub, 0 del, 0 ins of 1"]
    assert table[-1] == ["ben", "1", *counts, *counts]


def test_runs_of_other_utterances_are_refused() -> None:
    run = page_content(REFERENCES, HYPOTHESES, SPEAKERS, "exp/x").runs[0]
    with pytest.raises(InputError, match="utterances"):
        plain_page(runs=(run, Run("exp/y", score({"z": "one"}, {"z": "one"}))))


def test_groups_by_length_double_and_add_up() -> None:
    words = {str(n): " ".join(["w"] * n) for n in (1, 2, 3, 4, 5, 8, 9, 16, 17)}
    report = score(words, dict.fromkeys(words, ""))
    seconds = dict(zip(words, (0.4, 1.0, 1.01, 2.0, 3.9, 4.0, 8.0, 8.1, 30.0), strict=True))
    utterances = {id_: Utterance(id_, Path("x.wav"), seconds[id_], text) for id_, text in words.items()}
    by_words, by_seconds = group_tables(Content("t", (Run("r", report),), utterances))
    assert [(name, group.utterances, group.words.deletions) for name, (group,) in by_words.rows] == [
        ("1", 1, 1), ("2", 1, 2), ("3 to 4", 2, 7), ("5 to 8", 2, 13), ("9 to 16", 2, 25), ("17 to 32", 1, 17)
    ]  # fmt: skip
    assert [(name, group.utterances) for name, (group,) in by_seconds.rows] == [
        ("up to 1", 2), ("over 1 to 2", 2), ("over 2 to 4", 2), ("over 4 to 8", 1), ("over 8 to 16", 1), ("over 16 to 32", 1)
    ]  # fmt: skip


def test_what_is_missing_is_stated() -> None:
    report = score(REFERENCES, HYPOTHESES)
    page = read_page(render_page(Content("t", (Run("r", report, missing=("no metrics",)),), missing=("no manifest",))))
    [aside] = page.named("aside")
    assert "no metrics" in aside.text and "no manifest" in aside.text
    texts = {e.attributes.get("id"): " ".join(e.text.split()) for e in page.named("section")}
    assert "No training curve" in texts["training"] and "metrics.jsonl" in texts["training"]
    assert "No head table" in texts["head"] and "head.tsv" in texts["head"]
    assert "No forecast" in texts["more"] and "speechxfer curve" in texts["more"]
    assert not page.rows("Errors by speaker") and not page.rows("Errors by duration")


def test_a_perfect_run_has_a_page() -> None:
    page = read_page(render_page(Content("t", (Run("r", score(REFERENCES, REFERENCES)),))))
    assert "No error at all" in " ".join(e.text for e in page.named("section"))
    assert page.named("dd", data_field="wer")[0].text.startswith("0.0 %")


@pytest.mark.parametrize(
    ("largest", "expected"),
    [(0.0, [0, 1]), (4.1, [0, 1, 2, 3, 4, 5]), (97.0, [0, 20, 40, 60, 80, 100]), (0.3, [0, 0.1, 0.2, 0.3])],
)
def test_ticks_are_round_numbers(largest: float, expected: list[float]) -> None:
    assert nice_ticks(largest) == pytest.approx(expected)


# ------------------------------------------------------------------------------------------------------------- clips
def write_noise(folder: Path, count: int, seconds: float) -> list[Utterance]:
    """Utterances of white noise, which no codec makes small without loss, in one file."""
    samples = np.random.default_rng(1).uniform(-0.9, 0.9, round(16_000 * seconds * count)).astype(np.float32)
    soundfile.write(folder / "noise.wav", samples, 16_000)
    return [Utterance(f"n{i:02d}", folder / "noise.wav", seconds, offset=i * seconds) for i in range(count)]


def test_a_clip_is_the_audio_and_decodes_to_it(tmp_path: Path) -> None:
    [utterance] = write_noise(tmp_path, 1, 0.5)
    clip = make_clips([utterance], MOST_BYTES).clips["n00"]
    samples, rate = soundfile.read(io.BytesIO(clip.audio), dtype="int16")
    original, _ = soundfile.read(tmp_path / "noise.wav", dtype="int16")
    assert rate == 16_000 and clip.seconds == 0.5 and clip.media_type == "audio/flac"
    assert np.abs(samples.astype(int) - original).max() <= 1


def test_clips_fit_into_the_room_there_is(tmp_path: Path) -> None:
    utterances = write_noise(tmp_path, 6, 2.0)
    exact = make_clips(utterances, MOST_BYTES)
    size = sum(4 * len(c.audio + c.picture) / 3 for c in exact.clips.values())
    lossy = make_clips(utterances, round(0.7 * size))
    assert len(lossy.clips) == 6 and {clip.media_type for clip in lossy.clips.values()} == {"audio/mpeg"}
    decoded, rate = soundfile.read(io.BytesIO(lossy.clips["n00"].audio))
    assert rate == 16_000 and abs(len(decoded) - 32_000) < 160
    room = round(0.12 * size)
    fewer = make_clips(utterances, room)
    assert 0 < len(fewer.clips) < 6 and fewer.omitted == 6 - len(fewer.clips)
    assert sum(4 * len(c.audio + c.picture) / 3 for c in fewer.clips.values()) <= room
    assert list(fewer.clips) == [u.id for u in utterances][: len(fewer.clips)]


def test_unreadable_audio_is_counted_and_the_rest_is_there(tmp_path: Path) -> None:
    good = write_noise(tmp_path, 1, 0.5)
    made = make_clips([Utterance("gone", tmp_path / "gone.wav", 1.0), *good], MOST_BYTES)
    assert list(made.clips) == ["n00"] and len(made.unreadable) == 1 and "gone.wav" in made.unreadable[0]


def test_a_tone_is_dark_in_its_band() -> None:
    tone = 0.3 * np.sin(2 * np.pi * 1000 * np.arange(16_000) / 16_000)
    picture = matplotlib.image.imread(io.BytesIO(draw_filterbank(tone.astype(np.float32))), format="png")
    assert picture.shape == (80, 98)  # whole windows of 25 ms each 10 ms
    # mel(f) = 1127 ln(1 + f / 700), 81 steps from 20 Hz to 8 kHz: 1 kHz is 27.9 steps up, the peak of band 26 from below
    mel = [1127 * np.log(1 + hz / 700) for hz in (20, 1000, 8000)]
    band = round((mel[1] - mel[0]) / ((mel[2] - mel[0]) / 81)) - 1
    assert picture.mean(axis=1).argmin() == 79 - band
    assert picture.min() == 0.0 and picture[:40].mean() > 0.9


def test_half_of_the_clips_have_the_most_errors() -> None:
    texts = {f"{n:02d}": "w " * 10 for n in range(20)}
    report = score(texts, {id_: "w " * (10 - int(id_) // 2) for id_ in texts})
    chosen = choose_clips(report, 8)
    assert chosen[:4] == ["18", "19", "16", "17"] and len(set(chosen)) == 8
    assert any(int(id_) < 5 for id_ in chosen[4:]) and any(int(id_) > 8 for id_ in chosen[4:])
    assert sorted(choose_clips(report, 50)) == sorted(texts)
    assert choose_clips(report, 0) == []


# ---------------------------------------------------------------------------------------------------------- the verb
@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with test.jsonl, a finished run 'run', and its report by `evaluate` in 'scored'."""
    from speechxfer.config import load_config
    from speechxfer.workflows import train_from_scratch

    folder = tmp_path_factory.mktemp("tones")
    write_tone_corpus(folder / "train.jsonl", 8, letters="abc", seed=1, words=(1, 3))
    write_tone_corpus(folder / "test.jsonl", 5, letters="abc", seed=2, words=(1, 3))
    train_from_scratch(
        folder / "train.jsonl", folder / "test.jsonl", out=folder / "run", config=load_config(None, QUICK)
    )
    evaluate_models([str(folder / "run")], folder / "test.jsonl", folder / "scored")
    return folder


def test_the_page_of_a_run_has_the_numbers_of_evaluate(corpus: Path, tmp_path: Path) -> None:
    write_page([str(corpus / "run")], tmp_path / "page.html", manifest=corpus / "test.jsonl")
    page = read_page((tmp_path / "page.html").read_text(encoding="utf-8"))
    report = json.loads((corpus / "scored" / "report.json").read_text(encoding="utf-8"))
    for rate in ("wer", "cer"):
        low, high = report[f"{rate}_interval"]
        [shown] = page.named("dd", data_field=rate)
        assert shown.text == f"{100 * report[rate]:.1f} % [{100 * low:.1f}, {100 * high:.1f}]"
    words = report["words"]
    counts = f"{words['substitutions']} sub, {words['deletions']} del, {words['insertions']} ins of "
    assert page.named("dd", data_field="words")[0].text.startswith(counts)
    rows = {row["id"]: row for row in report["utterances"]}
    for shown in page.data()["utterances"]:
        row, run = rows.pop(shown["id"]), shown["runs"][0]
        errors = sum(row["words"][kind] for kind in ("substitutions", "deletions", "insertions"))
        assert (shown["reference"], run["text"], run["errors"]) == (row["reference"], row["hypothesis"], errors)
        assert 0 <= run["confidence"] <= 1 and shown["clip"]["type"] == "audio/flac"
    assert not rows
    speakers = {row[0]: row[1:] for row in page.rows("Errors by speaker")[1:]}
    for speaker in report["speakers"]:
        assert speakers[speaker["speaker"]][0] == str(speaker["utterances"])
    lines = (corpus / "run" / "head.tsv").read_text(encoding="utf-8").splitlines()
    assert f"All {len(lines)} symbols" in page.named("section", id="head")[0].text
    evaluations = [json.loads(line) for line in (corpus / "run" / "metrics.jsonl").read_text().splitlines()]
    text = " ".join(page.named("section", id="training")[0].text.split())
    assert all(f"{100 * row['dev_cer']:.1f}" in text for row in evaluations if "dev_cer" in row)
    assert not page.named("aside")


def test_reports_and_models_are_on_one_page(corpus: Path, tmp_path: Path) -> None:
    runs = [str(corpus / "scored"), str(corpus / "run" / "model")]
    write_page(runs, tmp_path / "page.html", manifest=corpus / "test.jsonl", page=PageOptions(clips=2, audio=False))
    page = read_page((tmp_path / "page.html").read_text(encoding="utf-8"))
    first, second = (e.text for e in page.named("dd", data_field="wer"))
    assert first == second
    [aside] = page.named("aside")
    for reason in ("report.json has no training curve", "no head table", "--no-audio", "pictures of 3 of 5"):
        assert reason in " ".join(aside.text.split()), reason
    clips = [row["clip"] for row in page.data()["utterances"] if row["clip"]]
    assert len(clips) == 2 and not any(clip["audio"] for clip in clips) and all(clip["picture"] for clip in clips)


def test_a_report_alone_needs_no_manifest(corpus: Path, tmp_path: Path, speechxfer: Speechxfer) -> None:  # noqa: F811
    outcome = speechxfer("report", corpus / "scored" / "report.json", "--out", tmp_path / "page.html")
    assert outcome.code == 0 and "wrote" in outcome.err and outcome.out == ""
    page = read_page((tmp_path / "page.html").read_text(encoding="utf-8"))
    assert "--on MANIFEST" in page.named("aside")[0].text


def test_a_report_by_sclites_conventions_is_shown_with_a_remark(
    tmp_path: Path,
    speechxfer: Speechxfer,  # noqa: F811
) -> None:
    """Three deletions and insertions cost 18 with weights 4, 3 and 3, five substitutions 20; with equal weights 6 and 5."""
    (tmp_path / "ref.trn").write_text("a b c d e (x-1)\n", encoding="utf-8")
    (tmp_path / "hyp.trn").write_text("d e x y z (x-1)\n", encoding="utf-8")
    assert speechxfer("score", tmp_path / "ref.trn", tmp_path / "hyp.trn", "--out", tmp_path / "out").code == 0
    write_page([str(tmp_path / "out")], tmp_path / "page.html")
    page = read_page((tmp_path / "page.html").read_text(encoding="utf-8"))
    assert page.named("dd", data_field="words")[0].text == "0 sub, 3 del, 3 ins of 5"
    assert "the alignment of 1 utterances" in " ".join(page.named("aside")[0].text.split())
    with pytest.raises(InputError, match=r"report\.json: is an input, which the output would replace"):
        write_page([str(tmp_path / "out" / "report.json")], tmp_path / "out" / "report.json")


def test_audio_that_is_gone_is_stated(corpus: Path, tmp_path: Path) -> None:
    rows = [json.loads(line) for line in (corpus / "test.jsonl").read_text(encoding="utf-8").splitlines()]
    (tmp_path / "test.jsonl").write_text(
        "".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8"
    )  # no audio beside it
    write_page([str(corpus / "scored")], tmp_path / "page.html", manifest=tmp_path / "test.jsonl")
    page = read_page((tmp_path / "page.html").read_text(encoding="utf-8"))
    assert "5 utterances whose audio cannot be read" in " ".join(page.named("aside")[0].text.split())


def test_mistakes_are_refused(corpus: Path, tmp_path: Path, speechxfer: Speechxfer) -> None:  # noqa: F811
    out = ["--out", tmp_path / "page.html"]
    assert_refused(speechxfer("report", corpus / "run", *out), "no manifest is given", "--on")
    assert_refused(speechxfer("report", tmp_path / "gone", "--on", corpus / "test.jsonl", *out), "no model there")
    assert_refused(speechxfer("report", tmp_path / "report.json", *out), "report.json", "cannot be read")
    other = tmp_path / "other.jsonl"
    rows = write_tone_corpus(other, 5, letters="abc", seed=3, words=(1, 3))
    assert_refused(
        speechxfer("report", corpus / "scored", "--on", other, *out), "not those of the manifest", "other000"
    )
    write_manifest(other, [replace(row, id=f"test{n:03d}") for n, row in enumerate(rows)])
    assert_refused(speechxfer("report", corpus / "scored", "--on", other, *out), "other texts")
    curve = tmp_path / "curve.tsv"
    curve.write_text("hours\twer\n", encoding="utf-8")
    assert_refused(speechxfer("report", corpus / "scored", "--curve", curve, *out), "curve.tsv:1", "speechxfer curve")
    assert not (tmp_path / "page.html").exists()


def test_a_damaged_head_table_is_refused(corpus: Path, tmp_path: Path) -> None:
    from speechxfer.adaptation import read_head_table

    path = tmp_path / "head.tsv"
    path.write_text("a\texact\ta\nb\tguess\tb\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"head.tsv:2: expected 'symbol TAB rule TAB source symbol'"):
        read_head_table(path)
    table = HeadTable([HeadRow(" ", "new"), HeadRow("ŋ", "phone", "ŋ")])
    path.write_text(f"{table}\n", encoding="utf-8")
    assert read_head_table(path) == table


def test_curves_are_read_from_both_files(tmp_path: Path) -> None:
    curve = tmp_path / "curve.tsv"
    header = "kind\tpart\thours\twer\twer_low\twer_high\tcer\tcer_low\tcer_high\n"
    curve.write_text(
        header + "adapted\tall\t2\t30\t28\t32\t10\t9\t11\nadapted\t60min\t1\t40\t38\t42\t15\t14\t16\n", encoding="utf-8"
    )
    [found] = read_curves(curve)
    assert found.name == "adapted"
    assert [(p.hours, round(p.rate, 6), p.interval) for p in found.wer] == [
        (1.0, 0.4, (0.38, 0.42)),
        (2.0, 0.3, (0.28, 0.32)),
    ]
    assert [p.rate for p in found.cer] == pytest.approx([0.15, 0.1])
    curve.write_text(header + "adapted\tall\tmany\t30\t28\t32\t10\t9\t11\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"curve.tsv:2: expected numbers"):
        read_curves(curve)
    mboshi = Path(__file__).resolve().parents[1] / "recipes" / "mboshi" / "results.json"
    rows = json.loads(mboshi.read_text(encoding="utf-8"))
    sizes: dict[str, set[float]] = {}
    for row in rows:
        decoder = "" if row["decoder"] == "greedy" else f", {row['decoder']}"
        name = f"{row['name']} from {row['source'] or 'random weights'} on {row['split']}{decoder}"
        sizes.setdefault(name, set()).add(row["train_hours"])
    assert {c.name: {p.hours for p in c.wer} for c in read_curves(mboshi)} == {
        name: hours for name, hours in sizes.items() if len(hours) > 1
    }


def test_the_page_stays_below_its_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("speechxfer.reporting.page.MOST_BYTES", 130_000)
    utterances = write_noise(tmp_path, 12, 1.0)
    texts = {u.id: "a word or two" for u in utterances}
    manifest = tmp_path / "noise.jsonl"
    write_manifest(manifest, [replace(u, text=texts[u.id]) for u in utterances])
    (tmp_path / "report.json").write_text(score(texts, dict.fromkeys(texts, "a word")).to_json(), encoding="utf-8")
    write_page([str(tmp_path / "report.json")], tmp_path / "page.html", manifest=manifest)
    html = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert 100_000 < len(html.encode()) < 130_000
    page = read_page(html)
    embedded = sum(row["clip"] is not None for row in page.data()["utterances"])
    assert 0 < embedded < 12
    assert f"{12 - embedded} of 12 clips, since the page would be larger" in " ".join(
        page.named("aside")[0].text.split()
    )
