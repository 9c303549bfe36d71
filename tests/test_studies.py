"""Studies: parallel runs give the bytes of sequential ones, folds are pooled over all utterances, differences are tested."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from speechxfer.config.loading import load_config
from speechxfer.data.manifest import read_manifest, write_manifest
from speechxfer.data.splits import choose_group_key, total_duration_s
from speechxfer.errors import InputError
from speechxfer.scoring.comparison import Comparison, Difference
from speechxfer.scoring.report import read_report
from speechxfer.training.state import training_cost
from speechxfer.workflows.baselines import baseline_settings, compare_with_baseline, conclusion
from speechxfer.workflows.cross_validation import CrossValidation, cross_validate
from speechxfer.workflows.learning_curves import learning_curve
from speechxfer.workflows.results import read_rows
from speechxfer.workflows.self_training import expected_errors, self_train
from speechxfer.workflows.studies import Splits, StudySettings
from tests.external_models import write_w2v_bert
from tests.test_runs import write_model
from tests.tone_corpus import write_tone_corpus

SETTINGS = (
    "finetune.steps=6",
    "finetune.batch_s=6",
    "finetune.evaluate_every_steps=3",
    "finetune.speed_factors=[1.0]",
    "finetune.precision=fp32",
)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all.jsonl (12 utterances of three speakers), dev.jsonl and a tiny source model."""
    folder = tmp_path_factory.mktemp("tones")
    write_tone_corpus(folder / "all.jsonl", 12, letters="abc", seed=1, words=(1, 2))
    write_tone_corpus(folder / "dev.jsonl", 4, letters="abc", seed=2, words=(1, 2))
    write_model(folder / "source", "dnn")
    return folder


@pytest.fixture
def one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """The runs of a study one after the other in this process, which has imported torch."""
    monkeypatch.setattr(
        "speechxfer.workflows.studies.run_parallel", lambda run, calls, *_: [run(*call) for call in calls]
    )


def study(corpus: Path, *settings: str, source: str = "source") -> StudySettings:
    return StudySettings(str(corpus / source), load_config(None, [*SETTINGS, *settings]))


def splits(corpus: Path, test: Path | None = None) -> Splits:
    return Splits((corpus / "all.jsonl",), (corpus / "dev.jsonl",), test)


def crossval(corpus: Path, out: Path, jobs: int) -> CrossValidation:
    results = out / "results" / "results.json"
    return cross_validate(study(corpus), [corpus / "all.jsonl"], out, jobs=jobs, results=results)


@pytest.fixture(scope="module")
def validated(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[CrossValidation, Path]:
    """A cross-validation by speaker, two folds at a time, and its folder."""
    folder = tmp_path_factory.mktemp("folds")
    return crossval(corpus, folder, 2), folder


@pytest.mark.usefixtures("one_process")
def test_folds_in_parallel_give_the_bytes_of_sequential_ones(
    corpus: Path, tmp_path: Path, validated: tuple[CrossValidation, Path]
) -> None:
    both, folder = validated
    assert both.report.to_json() == crossval(corpus, tmp_path, 1).report.to_json()
    for name in ("report.json", *(f"fold{n}/model/weights.safetensors" for n in (1, 2, 3))):
        assert (folder / name).read_bytes() == (tmp_path / name).read_bytes()


def test_every_utterance_is_scored_by_a_model_not_trained_on_its_speaker(
    corpus: Path, validated: tuple[CrossValidation, Path]
) -> None:
    found, folder = validated
    whole = read_manifest(corpus / "all.jsonl")
    assert found.group_by == "speaker" and len(found.folds) == len({u.speaker for u in whole}) == 3
    assert sorted(row.id for row in found.report.utterances) == sorted(u.id for u in whole)
    errors = sum(fold.word_counts.errors for fold in found.folds)
    words = sum(len(u.text.split()) for u in whole)
    assert found.report.wer == pytest.approx(errors / words)
    for number in (1, 2, 3):
        data = folder / f"fold{number}" / "data"
        train, dev, test = (read_manifest(data / f"{part}.jsonl") for part in ("train", "dev", "test"))
        assert not {u.speaker for u in (*train, *dev)} & {u.speaker for u in test}
        assert sorted(u.id for u in (*train, *dev, *test)) == sorted(u.id for u in whole)
    assert "pooled over 3 folds by speaker" in str(found)
    [row] = read_rows(folder / "results" / "results.json")
    assert (row.name, row.split, row.words, row.seeds) == ("crossval", "3 folds by speaker", words, [1])
    assert row.wer == pytest.approx(100 * errors / words)


@pytest.mark.usefixtures("one_process")
def test_extra_training_data_is_in_every_fold_and_never_scored(corpus: Path, tmp_path: Path) -> None:
    others = write_tone_corpus(tmp_path / "others.jsonl", 4, letters="abc", seed=4, words=(1, 2))
    others = [replace(each, id=f"other-{each.id}", speaker="another") for each in others]
    write_manifest(tmp_path / "others.jsonl", others)
    extra = [tmp_path / "others.jsonl"]
    found = cross_validate(study(corpus), [corpus / "all.jsonl"], tmp_path / "study", extra_train=extra, jobs=2)
    whole = read_manifest(corpus / "all.jsonl")
    assert sorted(row.id for row in found.report.utterances) == sorted(u.id for u in whole)
    for number in (1, 2, 3):
        fold = tmp_path / "study" / f"fold{number}"
        own = sum(u.duration for u in read_manifest(fold / "data" / "train.jsonl"))
        details = json.loads((fold / "model" / "model.json").read_text(encoding="utf-8"))["details"]
        assert details["train_hours"] == pytest.approx((own + sum(u.duration for u in others)) / 3600, abs=1e-3)


def test_extra_training_data_shares_no_speaker_with_the_corpus(corpus: Path, tmp_path: Path) -> None:
    [first, *_] = read_manifest(corpus / "all.jsonl")
    write_manifest(tmp_path / "others.jsonl", [replace(first, id="again")])
    extra = [tmp_path / "others.jsonl"]
    with pytest.raises(InputError, match=f"again: its speaker '{first.speaker}' is in the corpus, too"):
        cross_validate(study(corpus), [corpus / "all.jsonl"], tmp_path / "study", extra_train=extra, jobs=1)
    assert not (tmp_path / "study").exists()


@pytest.mark.usefixtures("one_process")
def test_a_stopped_study_keeps_finished_runs(
    corpus: Path, tmp_path: Path, validated: tuple[CrossValidation, Path]
) -> None:
    found, folder = validated
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    kept = tmp_path / "fold1" / "model" / "weights.safetensors"
    before = kept.stat().st_mtime_ns
    (tmp_path / "fold2" / "model" / "model.json").unlink()
    again = crossval(corpus, tmp_path, 1)
    assert kept.stat().st_mtime_ns == before and again.report == found.report


@pytest.mark.usefixtures("one_process")
def test_a_baseline_is_trained_and_compared(corpus: Path, tmp_path: Path) -> None:
    found = compare_with_baseline(study(corpus, "finetune.l2_sp=1.0"), splits(corpus), tmp_path / "run", jobs=2)
    adapted, scratch = (read_report(tmp_path / "run" / part / "report.json") for part in ("scored", "baseline/scored"))
    assert (found.comparison.cer.a, found.comparison.cer.b) == (adapted.cer, scratch.cer)
    card = json.loads((tmp_path / "run" / "baseline" / "model" / "model.json").read_text())
    assert card["parent"] == "" and card["architecture"]["encoder"] == "dnn"
    assert card["details"]["steps"] == 6
    assert (tmp_path / "run" / "baseline.txt").read_text() == f"{found}\n"
    assert str(found).startswith("Adaptation")


def test_the_baseline_is_the_same_network_with_as_many_steps(corpus: Path) -> None:
    baseline = baseline_settings(study(corpus, "transfer.lora_rank=2", "finetune.steps=9"))
    assert (baseline.source, baseline.config.transfer.lora_rank, baseline.config.finetune.steps) == (None, 0, 9)
    model = baseline.config.model
    assert (model.encoder, model.size, model.features) == ("dnn", "tiny", "kaldi-mvn")


def outcome(a: float, b: float, p: float) -> Comparison:
    difference = Difference(a, b, a - b, (a - b - 0.01, a - b + 0.01), 0.5, p)
    return Comparison(difference, difference, "utterances", 100)


def test_the_conclusion_follows_the_paired_test() -> None:
    assert conclusion(outcome(0.3, 0.4, 0.001)).startswith("Adaptation helped, with this seed")
    assert conclusion(outcome(0.4, 0.3, 0.001)).startswith("Adaptation hurt")
    assert conclusion(outcome(0.3, 0.4, 0.2)).startswith("Adaptation made no significant difference")


@pytest.mark.usefixtures("one_process")
def test_a_learning_curve_has_nested_parts_and_a_row_for_each_kind(corpus: Path, tmp_path: Path) -> None:
    whole = read_manifest(corpus / "all.jsonl")
    minutes = total_duration_s(whole) / 60
    sizes = [round(minutes / 2, 3), minutes + 1]
    with_test = splits(corpus, corpus / "dev.jsonl")
    curve = learning_curve(study(corpus), with_test, tmp_path, minutes=sizes, seeds=2, jobs=2)
    assert [point.kind for point in curve.points] == ["adapted", "scratch"] * 2
    assert [point.part for point in curve.points[::2]] == [f"{sizes[0]:g}min", "all"]
    parts = [{u.id for u in read_manifest(tmp_path / "data" / f"{p.part}.jsonl")} for p in curve.points[::2]]
    assert parts[0] < parts[1] == {u.id for u in whole}
    reports = [read_report(tmp_path / "all" / f"scratch-{seed}" / "scored" / "report.json") for seed in (1, 2)]
    assert curve.points[-1].cer == pytest.approx(sum(report.cer for report in reports) / 2)
    rows = (tmp_path / "curve.tsv").read_text().splitlines()
    assert len(rows) == 5 and rows[-1].split("\t")[6] == f"{100 * curve.points[-1].cer:.2f}"
    assert (tmp_path / "curve.png").stat().st_size > 10_000


@pytest.mark.parametrize("minutes", [-1.0, 0.0, float("nan"), float("inf")])
def test_sizes_of_a_learning_curve_are_positive(corpus: Path, tmp_path: Path, minutes: float) -> None:
    with pytest.raises(InputError, match="positive number of minutes"):
        learning_curve(study(corpus), splits(corpus, corpus / "dev.jsonl"), tmp_path / "study", minutes=[10.0, minutes])
    assert not (tmp_path / "study").exists()


def test_a_study_reports_the_error_of_a_run(corpus: Path, tmp_path: Path) -> None:
    train = read_manifest(corpus / "all.jsonl")
    write_manifest(tmp_path / "broken.jsonl", [*train, train[0].__class__("gone", tmp_path / "gone.wav", 1.0, "a")])
    with pytest.raises(InputError, match=r"gone\.wav: the audio file is missing"):
        broken = [tmp_path / "broken.jsonl"]
        cross_validate(study(corpus), broken, tmp_path / "out", folds=2, group_by="sentence", jobs=1)


def test_a_study_is_not_started_by_torchrun(corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(InputError, match="run it without torchrun"):
        crossval(corpus, tmp_path, 1)


def test_expected_error_rates_by_hand() -> None:
    """Pairs in order of confidence with errors 0.9, 0.4, 0.6, 0.1: the middle two violate the order and are averaged."""
    expected = expected_errors([0.2, 0.4, 0.6, 0.8], [0.9, 0.4, 0.6, 0.1])
    assert expected([0.1, 0.2, 0.4, 0.6, 0.8, 0.9]) == pytest.approx([0.9, 0.9, 0.5, 0.5, 0.1, 0.1])


@pytest.mark.usefixtures("one_process")
def test_confident_own_transcripts_are_trained_on(corpus: Path, tmp_path: Path) -> None:
    more = write_tone_corpus(tmp_path / "more" / "more.jsonl", 4, letters="abc", seed=3, words=(1, 2))
    hidden = [replace(u, id=f"u-{u.id}", text="hidden text") for u in more]
    write_manifest(tmp_path / "unlabelled.jsonl", hidden)
    write_model(tmp_path / "cnn", "cnn", letters="abc ")
    longer = ("finetune.steps=40", "finetune.evaluate_every_steps=20", "finetune.encoder_lr=2e-3")
    settings = replace(study(corpus, *longer), source=str(tmp_path / "cnn"))
    labelled = splits(corpus, corpus / "dev.jsonl")
    found = self_train(settings, labelled, [tmp_path / "unlabelled.jsonl"], tmp_path / "study", max_error_rate=1.0)
    selected = read_manifest(tmp_path / "study" / "round1" / "data" / "own.jsonl")
    assert found.selected == ((len(selected), pytest.approx(total_duration_s(selected) / 3600)),)
    assert {u.id for u in selected} <= {u.id for u in hidden}
    assert "hidden text" not in {u.text for u in selected}
    card = json.loads((tmp_path / "study" / "round1" / "model" / "model.json").read_text())
    assert card["details"]["train_utterances"] == 12 + len(selected)
    assert (found.comparison.cer.a, found.comparison.cer.b) == (found.rounds[-1].cer, found.labelled.cer)


@pytest.mark.usefixtures("one_process")
def test_a_round_of_self_training_has_as_many_steps_as_labelled_speech_alone(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By default the steps grow with the speech: 600 s at 10 minutes, and the root of the ratio of both amounts."""
    monkeypatch.setattr("speechxfer.training.schedule.TRAINED_S_FOR_10_MINUTES", 600.0)
    monkeypatch.setattr("speechxfer.training.schedule.MIN_STEPS", 1)
    more = write_tone_corpus(tmp_path / "more" / "more.jsonl", 4, letters="abc", seed=3, words=(1, 2))
    write_manifest(tmp_path / "unlabelled.jsonl", [replace(u, id=f"u-{u.id}") for u in more])
    write_model(tmp_path / "cnn", "cnn", letters="abc ")
    settings = replace(study(corpus), source=str(tmp_path / "cnn"))
    settings = settings.with_settings("finetune", steps=None, warmup_steps=1, evaluate_every_steps=1)
    labelled = splits(corpus, corpus / "dev.jsonl")
    self_train(settings, labelled, [tmp_path / "unlabelled.jsonl"], tmp_path / "study", max_error_rate=1.0)
    runs = [tmp_path / "study" / name for name in ("labelled", "round1")]
    steps = [json.loads((run / "model" / "model.json").read_text())["details"]["steps"] for run in runs]
    assert steps[0] == steps[1] == training_cost(runs[0])[0] > 1


@pytest.mark.usefixtures("one_process")
def test_self_training_without_a_good_transcript_is_refused(corpus: Path, tmp_path: Path) -> None:
    more = write_tone_corpus(tmp_path / "more" / "more.jsonl", 2, letters="abc", seed=3, words=(1, 2))
    write_manifest(tmp_path / "more.jsonl", [replace(u, id=f"u-{u.id}") for u in more])
    with pytest.raises(InputError, match="expected character error rate is at most 0 %"):
        labelled = splits(corpus, corpus / "dev.jsonl")
        self_train(study(corpus), labelled, [tmp_path / "more.jsonl"], tmp_path / "study", max_error_rate=0.0)


def test_unlabelled_speech_that_is_also_labelled_is_refused(corpus: Path, tmp_path: Path) -> None:
    labelled = splits(corpus, corpus / "dev.jsonl")
    renamed = [replace(u, id=f"u-{u.id}", offset=0.1, duration=0.2) for u in read_manifest(corpus / "dev.jsonl")]
    write_manifest(tmp_path / "renamed.jsonl", renamed)
    with pytest.raises(InputError, match="u-dev000: the unlabelled speech is also in train, dev or test"):
        self_train(study(corpus), labelled, [tmp_path / "renamed.jsonl"], tmp_path / "study")
    with pytest.raises(InputError, match="the unlabelled speech is also"):
        self_train(study(corpus), labelled, [corpus / "all.jsonl"], tmp_path / "study")
    assert not (tmp_path / "study").exists()  # found out before anything is trained


def test_the_baseline_of_a_large_encoder_has_as_much_speech_in_a_step(
    corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unset = study(corpus).with_settings("finetune", batch_s=None)
    assert baseline_settings(unset).config.finetune.batch_s == 40.0
    monkeypatch.setattr("speechxfer.training.schedule._encoder_size", lambda _: 86_400_000)
    assert baseline_settings(unset).config.finetune.batch_s == 20.0
    assert baseline_settings(study(corpus, "finetune.batch_s=7")).config.finetune.batch_s == 7.0


def test_the_baseline_of_a_transformers_encoder_is_the_network_in_the_settings(corpus: Path, tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    write_w2v_bert(tmp_path / "w2v-bert-tiny")
    settings = replace(study(corpus, "model.size=tiny"), source=str(tmp_path / "w2v-bert-tiny"))
    model = baseline_settings(settings).config.model
    assert (model.encoder, model.size, model.features) == ("conformer", "tiny", "kaldi-mvn-78db-1.5s")


def test_a_speaker_with_most_of_the_speech_is_not_a_fold(corpus: Path, tmp_path: Path) -> None:
    """One speaker of 39 minutes and one of a minute: by speaker, the fold of the first would train on a minute."""
    one, *_ = read_manifest(corpus / "all.jsonl")
    long = [replace(one, id=f"l{i}", speaker="l", text=f"a {i}", duration=10.0) for i in range(234)]
    short = [replace(one, id=f"s{i}", speaker="s", text=f"b {i}", duration=10.0) for i in range(6)]
    assert choose_group_key([*long, *short], 2) == "sentence"
    assert choose_group_key([*long[:6], *short], 2) == "speaker"
