"""The command line: what each verb does, and one line with exit code 2 for every mistake a person can make."""

import errno
import functools
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from rich.console import Console

from speechxfer import cli, workflows
from speechxfer.data import read_audio, read_manifest, write_manifest
from speechxfer.runtime import progress
from speechxfer.scoring.report import read_report
from speechxfer.workflows.results import read_rows
from speechxfer.workflows.transcription_runs import transcribe_inputs
from tests.pipes import unread_pipe
from tests.tone_corpus import tones, write_tone_corpus

TIMEOUT_S = 600  # of a subprocess; a machine that is busy with other work needs patience
VERBS = ("check", "train", "adapt", "transcribe", "evaluate", "compare", "info", "lm")
QUICK = ("model.encoder=dnn", "model.subsampling=1", "model.size=tiny", "finetune.batch_s=8", "finetune.steps=2")
QUICK += ("finetune.evaluate_every_steps=1", "finetune.speed_factors=[1.0]", "finetune.precision=fp32")


@dataclass(frozen=True)
class Outcome:
    """How a command ended and what it printed."""

    code: int
    out: str
    err: str


Speechxfer = Callable[..., Outcome]


@pytest.fixture
def speechxfer(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Speechxfer:
    """The program with these arguments, in this process (a new one takes seconds to import torch)."""

    def run(*arguments: str | Path) -> Outcome:
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["speechxfer", *map(str, arguments)])
        try:
            cli.main()
        except SystemExit as end:
            code = end.code
        else:
            code = 0
        return Outcome(int(code or 0), *capsys.readouterr())

    return run


def train_arguments(folder: Path, out: Path, *settings: str) -> list[str]:
    manifests = ["--train", str(folder / "train.jsonl"), "--dev", str(folder / "dev.jsonl")]
    card = ["--language", "tones", "--licence", "CC0"]
    return [*manifests, "--out", str(out), *card, *(word for setting in settings for word in ("--set", setting))]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with train.jsonl, dev.jsonl and a finished run 'run'."""
    folder = tmp_path_factory.mktemp("tones")
    write_tone_corpus(folder / "train.jsonl", 8, letters="abc", seed=1, words=(1, 3))
    write_tone_corpus(folder / "dev.jsonl", 4, letters="abc", seed=2, words=(1, 3))
    arguments = ["train", *train_arguments(folder, folder / "run", *QUICK)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["speechxfer", *arguments])
        with pytest.raises(SystemExit) as end:
            cli.main()
    assert end.value.code in (0, None)
    return folder


def contents(folder: Path) -> dict[Path, tuple[int, bytes]]:
    return {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in sorted(folder.rglob("*")) if p.is_file()}


def assert_refused(outcome: Outcome, *mentions: str, only_line: bool = True) -> None:
    lines = outcome.err.splitlines()
    assert outcome.code == 2, outcome
    assert outcome.out == ""
    assert lines[-1].startswith("speechxfer: "), outcome.err
    assert "Traceback" not in outcome.err
    assert len(lines) == 1 or not only_line, outcome.err
    for mention in mentions:
        assert mention in lines[-1]


# What a person can get wrong -----------------------------------------------------------------------------------------


def test_missing_manifest(speechxfer: Speechxfer, corpus: Path, tmp_path: Path) -> None:
    arguments = ["--train", corpus / "gone.jsonl", "--dev", corpus / "dev.jsonl", "--out", tmp_path / "run"]
    assert_refused(speechxfer("train", *arguments), "gone.jsonl: cannot be read", ".jsonl")
    assert_refused(speechxfer("evaluate", corpus / "run", "--on", "gone.jsonl", "--out", tmp_path), "gone.jsonl")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("toml", "settings", "mentions"),
    [
        ("[finetune]\nstep = 5\n", [], ["finetune.step", "did you mean finetune.steps?"]),
        ("[finetune\n", [], ["not TOML", "line 1"]),
        ("[finetune]\nsteps = 'many'\n", [], ["finetune.steps", "whole number"]),
        ("", ["finetune.stepps=5"], ["--set finetune.stepps=5", "finetune.steps"]),
        ("", ["steps=5"], ["--set steps=5", "section.key=value"]),
        ("", ["model.features=mfcc"], ["mfcc", "kaldi-mvn"]),
    ],
)
def test_bad_settings(
    speechxfer: Speechxfer, corpus: Path, tmp_path: Path, toml: str, settings: list[str], mentions: list[str]
) -> None:
    (tmp_path / "recipe.toml").write_text(toml)
    outcome = speechxfer(
        "train", "--config", tmp_path / "recipe.toml", *train_arguments(corpus, tmp_path / "run", *settings)
    )
    assert_refused(outcome, *mentions)


def test_unknown_model(speechxfer: Speechxfer, corpus: Path, tmp_path: Path) -> None:
    arguments = train_arguments(corpus, tmp_path / "run", *QUICK)
    assert_refused(speechxfer("adapt", *arguments, "--source", "klingon"), "klingon", "model.json")
    assert_refused(speechxfer("info", "klingon"), "klingon")
    assert_refused(speechxfer("transcribe", "klingon", corpus / "dev.jsonl"), "klingon")


def test_damaged_model(speechxfer: Speechxfer, corpus: Path, tmp_path: Path) -> None:
    """Weights of another size: torch's long complaint about them becomes one line too."""
    model = shutil.copytree(corpus / "run" / "model", tmp_path / "model")
    card = json.loads((model / "model.json").read_text())
    card["architecture"]["size"] = "small"
    (model / "model.json").write_text(json.dumps(card))
    assert_refused(speechxfer("info", model), "weights.safetensors", "does not fit")
    (model / "model.json").write_text("{")
    assert_refused(speechxfer("info", model), "model.json", "damaged")
    whole = json.loads((corpus / "run" / "model" / "model.json").read_text())
    for key in ("name", "parent", "language", "licence", "details"):
        (model / "model.json").write_text(json.dumps({k: value for k, value in whole.items() if k != key}))
        assert_refused(speechxfer("info", model), "model.json", "damaged", key)
    (model / "model.json").write_text(json.dumps(whole | {"normalizer": {}}))
    assert_refused(speechxfer("info", model), "model.json", "normalizer: {}")


def test_missing_audio(speechxfer: Speechxfer, corpus: Path, tmp_path: Path) -> None:
    utterances = write_tone_corpus(tmp_path / "train.jsonl", 4, letters="abc")
    utterances[2].audio_filepath.unlink()
    write_tone_corpus(tmp_path / "dev.jsonl", 2, letters="abc")
    outcome = speechxfer("train", *train_arguments(tmp_path, tmp_path / "run", *QUICK))
    assert_refused(outcome, utterances[2].id, "missing", "correct the path", only_line=False)
    outcome = speechxfer("evaluate", corpus / "run", "--on", tmp_path / "train.jsonl", "--out", tmp_path / "scores")
    assert_refused(outcome, "train002.wav", "missing")
    assert_refused(speechxfer("transcribe", corpus / "run", tmp_path / "gone.wav"), "gone.wav", "missing")


def test_what_is_no_audio(speechxfer: Speechxfer, corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_text("not audio")
    assert_refused(speechxfer("transcribe", corpus / "run", tmp_path / "a.wav"), "a.wav", "not readable as audio")
    (tmp_path / "empty.wav").write_bytes(b"")
    assert_refused(speechxfer("transcribe", corpus / "run", tmp_path / "empty.wav"), "empty.wav")
    soundfile.write(tmp_path / "none.wav", np.zeros(0), 16_000)
    assert_refused(speechxfer("transcribe", corpus / "run", tmp_path / "none.wav"), "none.wav", "0 s is shorter")


@pytest.mark.parametrize(("rate_hz", "channels", "flag"), [(8_000, 1, "--resample"), (16_000, 2, "--mono")])
def test_other_rates_and_channels_are_refused_until_allowed(
    speechxfer: Speechxfer, corpus: Path, tmp_path: Path, rate_hz: int, channels: int, flag: str
) -> None:
    train, dev = (write_tone_corpus(tmp_path / f"{part}.jsonl", 3, letters="abc") for part in ("train", "dev"))
    for utterance in (*train, *dev):
        samples, _ = soundfile.read(utterance.audio_filepath, always_2d=True)
        soundfile.write(utterance.audio_filepath, np.repeat(samples[:: 16_000 // rate_hz], channels, axis=1), rate_hz)
    run = ["train", *train_arguments(tmp_path, tmp_path / "run", *QUICK)]
    wav = train[0].audio_filepath
    assert_refused(speechxfer(*run), ".wav", flag, only_line=False)
    assert_refused(speechxfer("transcribe", corpus / "run", wav, flag.replace("--", "--no-")), wav.name, flag)
    manifest = tmp_path / "dev.jsonl"
    assert_refused(speechxfer("evaluate", corpus / "run", "--on", manifest, "--out", tmp_path / "e"), flag)
    assert speechxfer(*run, flag).code == 0, "the refused start holds nothing that could be lost"
    transcribed = speechxfer("transcribe", corpus / "run", wav)
    assert transcribed.code == 0 and "converting 1 recording" in transcribed.err, "recordings are converted"
    assert speechxfer("evaluate", corpus / "run", "--on", manifest, "--out", tmp_path / "e", flag).code == 0


def test_an_id_in_two_manifests(speechxfer: Speechxfer, corpus: Path, tmp_path: Path) -> None:
    arguments = train_arguments(corpus, tmp_path / "run", *QUICK)
    assert_refused(speechxfer("train", *arguments, "--train", corpus / "train.jsonl"), "train000", "unique")
    shutil.copy(corpus / "dev.jsonl", corpus / "copy.jsonl")
    assert_refused(
        speechxfer("transcribe", corpus / "run", corpus / "dev.jsonl", corpus / "copy.jsonl"), "dev000", "twice"
    )
    (corpus / "copy.jsonl").unlink()


def test_places_that_cannot_be_written(speechxfer: Speechxfer, corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    taken = tmp_path / "file"
    assert_refused(speechxfer("evaluate", corpus / "run", "--on", corpus / "dev.jsonl", "--out", taken), "file")
    assert_refused(speechxfer("train", *train_arguments(corpus, taken, *QUICK)), "file", only_line=False)
    assert taken.read_text() == "mine"


def test_compare_wants_reports_of_the_same_utterances(speechxfer: Speechxfer, corpus: Path, tmp_path: Path) -> None:
    for part in ("train", "dev"):
        assert (
            speechxfer("evaluate", corpus / "run", "--on", corpus / f"{part}.jsonl", "--out", tmp_path / part).code == 0
        )
    train, dev = (tmp_path / part / "report.json" for part in ("train", "dev"))
    assert_refused(speechxfer("compare", train, dev), "different utterances", "dev000")
    assert_refused(speechxfer("compare", train, tmp_path / "gone.json"), "gone.json")
    assert_refused(speechxfer("compare", train, corpus / "dev.jsonl"), "dev.jsonl")
    same = speechxfer("compare", dev, dev)
    assert same.code == 0 and "no significant difference" in same.out


def test_misspelt_verbs_and_options(speechxfer: Speechxfer) -> None:
    mistakes = {
        ("adpat",): "adpat",
        ("info",): "model",
        ("info", "a", "--loud"): "--loud",
        ("train", "--out", "x"): "--train",
        ("export", "a", "--to", "nemo-manifest", "--out", "x"): "nemo-manifest",
        ("curve", "--seeds", "0"): "--seeds",
        ("curve", "--seeds", "1000000000"): "--seeds",
    }
    for arguments, mention in mistakes.items():
        assert_refused(speechxfer(*arguments), mention, "--help)")


@pytest.mark.parametrize("option", ["--out", "--train", "--config"])
def test_an_empty_path_is_refused(
    speechxfer: Speechxfer, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    """It would mean the current folder."""
    monkeypatch.chdir(tmp_path)
    arguments = {"--train": corpus / "train.jsonl", "--dev": corpus / "dev.jsonl", "--out": "run"} | {option: ""}
    words = [word for pair in arguments.items() for word in pair]
    assert_refused(speechxfer("adapt", *words, "--set", "finetune.steps=1"), option, "is empty")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("minutes", ["-1", "0", "nan", "inf"])
def test_parts_of_no_or_endless_length_are_refused(
    speechxfer: Speechxfer, corpus: Path, tmp_path: Path, minutes: str
) -> None:
    arguments = [*train_arguments(corpus, tmp_path / "curve"), "--test", corpus / "dev.jsonl"]
    assert_refused(speechxfer("curve", *arguments, "--minutes", minutes), f"minutes = {minutes}")


def test_settings_are_given_alike_to_every_verb(speechxfer: Speechxfer, tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text("[finetune]\nstepz = 5\n")
    data = ["--train", "t.jsonl", "--dev", "d.jsonl", "--out", tmp_path / "out"]
    for verb in (
        ["check", "t.jsonl"],
        ["train", *data],
        ["adapt", *data],
        ["crossval", "t.jsonl", "--out", tmp_path / "out"],
        ["curve", *data, "--test", "t.jsonl"],
        ["rank-sources", "t.jsonl", "english"],
        ["self-train", *data, "--unlabelled", "u.jsonl", "--test", "t.jsonl"],
    ):
        assert_refused(speechxfer(*verb, "--config", tmp_path / "recipe.toml"), "recipe.toml", "finetune.steps")


def test_audio_is_converted_as_in_training(speechxfer: Speechxfer, corpus: Path, tmp_path: Path) -> None:
    """A model trained with --resample and --mono needs neither again; explicit flags win."""
    train, dev = (write_tone_corpus(tmp_path / f"{part}.jsonl", 3, letters="abc") for part in ("train", "dev"))
    for utterance in (*train, *dev):
        samples, _ = soundfile.read(utterance.audio_filepath, always_2d=True)
        soundfile.write(utterance.audio_filepath, np.repeat(samples[::2], 2, axis=1), 8_000)
    run, wav = tmp_path / "run", dev[0].audio_filepath
    assert speechxfer("train", *train_arguments(tmp_path, run, *QUICK), "--resample", "--mono").code == 0
    asked = speechxfer("transcribe", run, wav, "--resample", "--mono")
    assert speechxfer("transcribe", run, wav) == asked and asked.code == 0
    evaluate = ("evaluate", run, "--on", tmp_path / "dev.jsonl", "--out", tmp_path / "e")
    assert speechxfer(*evaluate).code == 0
    assert speechxfer("embed", run, tmp_path / "dev.jsonl", "--out", tmp_path / "embedded").code == 0
    assert_refused(speechxfer("transcribe", run, wav, "--no-resample"), wav.name, "8000", only_line=False)
    assert_refused(speechxfer(*evaluate, "--no-mono"), ".wav: 2 channels", only_line=False)


# Runs ----------------------------------------------------------------------------------------------------------------


def test_recordings_with_nan_samples_are_refused(speechxfer: Speechxfer, corpus: Path, tmp_path: Path) -> None:
    utterances = write_tone_corpus(tmp_path / "train.jsonl", 4, letters="abc")
    samples, rate_hz = soundfile.read(utterances[1].audio_filepath)
    samples[10:20] = np.nan
    soundfile.write(utterances[1].audio_filepath, samples, rate_hz, subtype="FLOAT")
    bad = str(utterances[1].audio_filepath)
    for command in (
        ("transcribe", corpus / "run", bad),
        ("evaluate", corpus / "run", "--on", tmp_path / "train.jsonl", "--out", tmp_path / "scores"),
        ("train", "--train", tmp_path / "train.jsonl", "--dev", corpus / "dev.jsonl", "--out", tmp_path / "run"),
    ):
        assert_refused(speechxfer(*command), bad, "NaN or infinite", only_line=False)


def test_a_model_of_unknown_origin_is_not_overwritten(speechxfer: Speechxfer, corpus: Path, tmp_path: Path) -> None:
    shutil.copytree(corpus / "run" / "model", tmp_path / "keep" / "model")
    before = contents(tmp_path / "keep")
    outcome = speechxfer("train", *train_arguments(corpus, tmp_path / "keep", *QUICK))
    assert_refused(outcome, "keep", "no run.json", "choose another --out")
    assert contents(tmp_path / "keep") == before


@pytest.mark.parametrize("name", ["run.json", "state/current.json", "optimizer.pt"])
def test_a_damaged_run_is_named(speechxfer: Speechxfer, corpus: Path, tmp_path: Path, name: str) -> None:
    """The run is one that was stopped after its last evaluation: without its model."""
    run = shutil.copytree(corpus / "run", tmp_path / "run")
    shutil.rmtree(run / "model")
    [path] = run.rglob("optimizer.pt") if name == "optimizer.pt" else [run / name]
    path.write_bytes(b"[]" if name == "run.json" else path.read_bytes()[:20])
    assert_refused(speechxfer("train", *train_arguments(corpus, run, *QUICK)), path.name, "damaged", only_line=False)


def test_the_suggested_command_checks_the_same(speechxfer: Speechxfer, corpus: Path, tmp_path: Path) -> None:
    for utterance in write_tone_corpus(tmp_path / "my train.jsonl", 3, letters="abc", words=(2, 2)):
        utterance.audio_filepath.unlink()
    settings = ["--set", "text.task=classify", "--set", "text.vocabulary=words"]
    outcome = speechxfer("check", tmp_path / "my train.jsonl", *settings)
    assert outcome.code == 1
    assert "missing audio: 3" in outcome.out
    assert f"speechxfer check '{tmp_path}/my train.jsonl' {' '.join(settings)} --fix {tmp_path}/clean" in outcome.out


def test_a_finished_run_is_recognised(speechxfer: Speechxfer, corpus: Path) -> None:
    before = contents(corpus)
    outcome = speechxfer("train", *train_arguments(corpus, corpus / "run", *QUICK))
    assert outcome.code == 0 and "already finished" in outcome.err
    assert contents(corpus) == before


def test_a_run_is_recognised_that_did_not_know_a_setting_yet(
    speechxfer: Speechxfer, corpus: Path, tmp_path: Path
) -> None:
    run = shutil.copytree(corpus / "run", tmp_path / "run")
    asked = json.loads((run / "run.json").read_text())
    del asked["config"]["finetune"]["spec_augment"]
    (run / "run.json").write_text(json.dumps(asked))
    assert "already finished" in speechxfer("train", *train_arguments(corpus, run, *QUICK)).err
    assert_refused(
        speechxfer("train", *train_arguments(corpus, run, *QUICK, "finetune.spec_augment=0.1")), "finetune.spec_augment"
    )


def test_other_settings_or_data_do_not_overwrite_a_run(speechxfer: Speechxfer, corpus: Path, tmp_path: Path) -> None:
    before = contents(corpus)
    other = [*QUICK, "finetune.encoder_lr=1e-5"]
    outcome = speechxfer("train", *train_arguments(corpus, corpus / "run", *other))
    assert_refused(outcome, "encoder_lr", "choose another --out")
    more = write_tone_corpus(tmp_path / "more.jsonl", 2, letters="abc")
    write_manifest(tmp_path / "more.jsonl", [replace(u, id=f"more-{u.id}") for u in more])
    arguments = train_arguments(corpus, corpus / "run", *QUICK)
    assert_refused(speechxfer("train", *arguments, "--train", tmp_path / "more.jsonl"), "train differ")
    assert_refused(speechxfer("adapt", *arguments, "--source", corpus / "run"), "data (source")
    assert contents(corpus) == before


def test_a_run_that_was_stopped_before_its_first_evaluation_leaves_the_folder_free(
    speechxfer: Speechxfer, corpus: Path, tmp_path: Path
) -> None:
    utterances = write_tone_corpus(tmp_path / "train.jsonl", 4, letters="abc")
    write_manifest(
        tmp_path / "train.jsonl", [replace(u, text="a" * 400) if i == 1 else u for i, u in enumerate(utterances)]
    )
    shutil.copytree(corpus / "dev", tmp_path / "dev")
    shutil.copy(corpus / "dev.jsonl", tmp_path)
    arguments = train_arguments(tmp_path, tmp_path / "my run", *QUICK)
    assert_refused(speechxfer("train", *arguments), utterances[1].id, "for 799", only_line=False)
    write_manifest(tmp_path / "train.jsonl", utterances)
    outcome = speechxfer("train", *arguments)
    assert outcome.code == 0
    assert f"next: speechxfer evaluate '{tmp_path}/my run' --on TEST.jsonl" in outcome.err, "can be copied"


def test_train_writes_what_it_says(speechxfer: Speechxfer, corpus: Path) -> None:
    assert {p.name for p in (corpus / "run" / "model").iterdir()} == {
        "model.json",
        "vocabulary.json",
        "weights.safetensors",
    }
    steps = [json.loads(line)["step"] for line in (corpus / "run" / "metrics.jsonl").read_text().splitlines()]
    assert steps == [1, 2]
    card = json.loads((corpus / "run" / "model" / "model.json").read_text())
    assert (card["language"], card["licence"], card["parent"]) == ("tones", "CC0", "")
    assert card["details"]["command"].startswith("speechxfer train --train ")
    assert card["details"]["train_utterances"] == 8 and card["details"]["steps"] == 2


def test_adapt_shows_where_the_head_comes_from(speechxfer: Speechxfer, corpus: Path, tmp_path: Path) -> None:
    write_tone_corpus(tmp_path / "train.jsonl", 6, letters="abcŋ", seed=3)
    write_tone_corpus(tmp_path / "dev.jsonl", 2, letters="abcŋ", seed=4)
    arguments = train_arguments(tmp_path, tmp_path / "run", *QUICK)
    outcome = speechxfer("adapt", *arguments, "--source", corpus / "run")
    assert outcome.code == 0 and "1 blank, 4 exact, 1 new); new: 'ŋ'" in outcome.err
    rows = [line.split("\t") for line in (tmp_path / "run" / "head.tsv").read_text().splitlines()]
    assert rows == [
        ["<blank>", "blank", "<blank>"],
        *[[letter, "exact", letter] for letter in " abc"],
        ["ŋ", "new", ""],
    ]
    assert json.loads((tmp_path / "run" / "model" / "model.json").read_text())["parent"] == str(corpus / "run")


# Verbs ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(speechxfer: Speechxfer, verb: str) -> None:
    outcome = speechxfer(verb, "--help")
    assert outcome.code == 0 and f"speechxfer {verb}" in outcome.out and outcome.err == ""
    for option in {"train": ["--train", "--dev", "--set"], "evaluate": ["--on", "--results"]}.get(verb, []):
        assert option in outcome.out


def test_without_arguments_the_verbs_are_shown(speechxfer: Speechxfer) -> None:
    outcome = speechxfer("--help")
    assert all(verb in outcome.out for verb in VERBS)


def test_transcribe_a_file_and_a_manifest(speechxfer: Speechxfer, corpus: Path) -> None:
    wav = corpus / "dev" / "dev001.wav"
    outcome = speechxfer("transcribe", corpus / "run", corpus / "dev.jsonl", wav)
    lines = [line.split("\t") for line in outcome.out.splitlines()]
    assert outcome.code == 0
    assert [name for name, _ in lines] == ["dev000", "dev001", "dev002", "dev003", f"{wav}@0.00"]
    assert lines[4][1] == lines[1][1], "the same recording, the same text"


def test_transcribe_continues_after_inputs_that_cannot_be_read(
    speechxfer: Speechxfer, corpus: Path, tmp_path: Path
) -> None:
    """The others are printed; each error is reported, and the exit code is 2. Also for one bad recording in a manifest."""
    good, bad, pipe = corpus / "dev" / "dev001.wav", tmp_path / "bad.wav", tmp_path / "pipe.wav"
    bad.write_text("not audio")
    rows = [replace(row, id=f"x{i}") for i, row in enumerate(read_manifest(corpus / "dev.jsonl"))]
    write_manifest(tmp_path / "some.jsonl", [rows[0], replace(rows[1], audio_filepath=bad), rows[2]])
    inputs = (bad, good, pipe, tmp_path / "gone.jsonl", tmp_path / "some.jsonl")
    with unread_pipe(pipe):
        outcome = speechxfer("transcribe", corpus / "run", *inputs)
    assert outcome.code == 2
    assert [line.split("\t")[0] for line in outcome.out.splitlines()] == [f"{good}@0.00", "x0", "x2"]
    *reported, last = outcome.err.splitlines()
    for line, name in zip(reported, ("bad.wav", "pipe.wav", "gone.jsonl", "bad.wav"), strict=True):
        assert line.startswith("error: ") and name in line
    assert last.startswith("speechxfer: 4 not transcribed") and "pipe or device" in reported[1]


def test_transcribe_prints_each_result_at_once(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results = transcribe_inputs(str(corpus / "run"), [corpus / "dev" / "dev001.wav", corpus / "dev.jsonl"])
    read: list[Path] = []
    monkeypatch.setattr(
        "speechxfer.features.extraction.read_audio", lambda path, **o: read.append(path) or read_audio(path, **o)
    )
    name, _ = next(results)
    assert name.endswith("dev001.wav@0.00") and read == [corpus / "dev" / "dev001.wav"]
    assert len(list(results)) == 4


def test_a_truncated_recording_is_transcribed_with_a_warning(
    speechxfer: Speechxfer, corpus: Path, tmp_path: Path
) -> None:
    data = (corpus / "dev" / "dev001.wav").read_bytes()
    (tmp_path / "cut.wav").write_bytes(data[:-3_200])
    outcome = speechxfer("transcribe", corpus / "run", tmp_path / "cut.wav")
    assert outcome.code == 0 and len(outcome.out.splitlines()) == 1
    assert "warning" in outcome.err and "100 ms are missing" in outcome.err


def test_audio_permissions_are_those_of_the_training(speechxfer: Speechxfer, corpus: Path, tmp_path: Path) -> None:
    """A run with --resample is evaluated, transcribed with and embedded without it; --no-resample refuses."""
    train, dev = (write_tone_corpus(tmp_path / f"{part}.jsonl", 4, letters="abc") for part in ("train", "dev"))
    for utterance in (*train, *dev):
        samples, _ = soundfile.read(utterance.audio_filepath)
        soundfile.write(utterance.audio_filepath, samples[::2], 8_000)
    run, wav, manifest = tmp_path / "run", dev[0].audio_filepath, tmp_path / "dev.jsonl"
    assert speechxfer("train", *train_arguments(tmp_path, run, *QUICK), "--resample").code == 0
    for command in (("transcribe", run, wav), ("evaluate", run, "--on", manifest, "--out", tmp_path / "e")):
        assert speechxfer(*command).code == 0
        assert_refused(speechxfer(*command, "--no-resample"), "--resample")
    assert speechxfer("embed", run, manifest, "--out", tmp_path / "v").code == 0


def test_transcribe_a_long_recording(speechxfer: Speechxfer, corpus: Path, tmp_path: Path) -> None:
    """Four phrases of eight seconds with a second of silence after each, in the middle of which it is cut."""
    generator = np.random.default_rng(0)
    phrase = tones("abcba" * 9, "abc", 0, generator)
    silence = generator.normal(0, 1e-4, 16_000)
    samples = np.concatenate([phrase, silence, phrase, silence, phrase, silence, phrase])
    for rate_hz, name in ((16_000, "a.wav"), (44_100, "b.wav")):
        length = round(len(samples) * rate_hz / 16_000)
        soundfile.write(
            tmp_path / name, np.interp(np.linspace(0, len(samples) - 1, length), range(len(samples)), samples), rate_hz
        )
    assert 7 < len(phrase) / 16_000 < 9
    pauses_s = [(n * len(phrase) + (n - 0.5) * len(silence)) / 16_000 for n in (1, 2, 3)]
    assert len(samples) / 16_000 > 30
    for name in ("a.wav", "b.wav"):
        outcome = speechxfer("transcribe", corpus / "run", tmp_path / name)
        starts = [float(line.split("\t")[0].rsplit("@", 1)[1]) for line in outcome.out.splitlines()]
        assert starts == pytest.approx([0.0, *pauses_s], abs=0.15)
        assert outcome.err == ("converting 1 recording from 44100 Hz to 16000 Hz\n" if name == "b.wav" else "")


@pytest.mark.parametrize("samples", [96_001, 96_002, 96_003])
def test_transcribe_resamples_files_of_any_length(
    speechxfer: Speechxfer, corpus: Path, tmp_path: Path, samples: int
) -> None:
    """Three samples become one, or a rest of one or two becomes one: what is asked for must not pass the file's end."""
    soundfile.write(tmp_path / "a.wav", np.random.default_rng(0).normal(0, 0.1, samples), 48_000)
    outcome = speechxfer("transcribe", corpus / "run", tmp_path / "a.wav", "--resample")
    assert outcome.code == 0 and outcome.out.startswith(f"{tmp_path / 'a.wav'}@0.00\t")


def test_info(speechxfer: Speechxfer, corpus: Path) -> None:
    outcome = speechxfer("info", corpus / "run")
    assert outcome.code == 0
    for fact in ("language: tones", "licence: CC0", "encoder: dnn tiny", "kaldi-mvn", "<blank>   a b c", "16000 Hz"):
        assert fact in outcome.out
    assert "every 10 ms" in outcome.out and "steps: 2" in outcome.out


def test_evaluate_writes_reports_and_a_row(speechxfer: Speechxfer, corpus: Path, tmp_path: Path) -> None:
    command = ["evaluate", corpus / "run", "--on", corpus / "dev.jsonl", "--out", tmp_path / "scores"]
    outcome = speechxfer(*command, "--results", tmp_path / "results.json", "--row", "scratch")
    report = read_report(tmp_path / "scores" / "report.json")
    assert outcome.code == 0 and outcome.out == f"{report}\n" and outcome.out.startswith("WER ")
    assert (tmp_path / "scores" / "report.txt").read_text().startswith("WER ")
    [row] = read_rows(tmp_path / "results.json")
    assert (row.name, row.split, row.seeds, row.steps, row.decoder) == ("scratch", "dev", [1], 2, "greedy")
    assert row.wer == pytest.approx(100 * report.wer, abs=0.005) and row.words == report.words
    assert (row.wer_low, row.wer_high) == pytest.approx([100 * x for x in report.wer_interval], abs=0.005)
    assert (row.substitutions, row.deletions, row.insertions) == (
        report.substitutions,
        report.deletions,
        report.insertions,
    )
    assert row.command.startswith("speechxfer train ")
    assert speechxfer(*command, "--results", tmp_path / "results.json", "--row", "scratch").code == 0
    assert len(read_rows(tmp_path / "results.json")) == 1
    speechxfer(*command, "--results", tmp_path / "results.json", "--row", "scratch", "--split", "dev (clean)")
    assert [row.split for row in read_rows(tmp_path / "results.json")] == ["dev", "dev (clean)"]


def test_evaluate_says_at_once_that_a_card_lacks_what_a_row_needs(
    speechxfer: Speechxfer, corpus: Path, tmp_path: Path
) -> None:
    model = shutil.copytree(corpus / "run" / "model", tmp_path / "model")
    card = json.loads((model / "model.json").read_text())
    (model / "model.json").write_text(json.dumps(card | {"details": {}}))
    command = ["evaluate", model, "--on", corpus / "dev.jsonl", "--out", tmp_path / "scores"]
    outcome = speechxfer(*command, "--results", tmp_path / "results.json")
    assert_refused(outcome, "train_hours", "--results")
    assert not (tmp_path / "scores").exists()
    assert speechxfer(*command).code == 0


def test_only_the_first_of_several_processes_prints(
    speechxfer: Speechxfer, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", sys.stdout)  # put back afterwards
    monkeypatch.setenv("RANK", "1")
    assert speechxfer("info", corpus / "run").out.startswith("run: "), "one process, whatever its RANK"
    for name, value in {"WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": "29500"}.items():
        monkeypatch.setenv(name, value)
    assert speechxfer("info", corpus / "run") == Outcome(0, "", "")


@pytest.mark.parametrize("size", ["2", "two", "0"])
def test_an_incomplete_environment_of_processes_is_refused(
    speechxfer: Speechxfer, corpus: Path, monkeypatch: pytest.MonkeyPatch, size: str
) -> None:
    monkeypatch.setenv("WORLD_SIZE", size)
    assert_refused(speechxfer("info", corpus / "run"), f"WORLD_SIZE={size}", "torchrun")


def test_restarts_that_would_hang_are_refused(
    speechxfer: Speechxfer, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As torchrun 2.11 describes itself to its processes."""
    monkeypatch.setenv("TORCHELASTIC_MAX_RESTARTS", "3")
    monkeypatch.setenv("TORCHELASTIC_USE_AGENT_STORE", "True")
    assert_refused(speechxfer("info", corpus / "run"), "TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1", "--rdzv-backend c10d")
    monkeypatch.setenv("TORCHELASTIC_USE_AGENT_STORE", "False")
    assert speechxfer("info", corpus / "run").code == 0


def test_a_bar_within_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal the evaluations show theirs while that of the training stands: rich before 14.1 stops there."""
    screen = io.StringIO()
    monkeypatch.setattr(progress, "console", Console(file=screen, force_terminal=True, width=100))
    with progress.progress_bar() as training:
        training.add_task("training", total=2)
        assert list(progress.track([1, 2], "decoding")) == [1, 2]
        progress.log_info("step 1: [not markup]")
    assert "decoding" in screen.getvalue() and "step 1: [not markup]" in screen.getvalue()


# The real program ----------------------------------------------------------------------------------------------------


def started(arguments: Sequence[str], **options: Any) -> "subprocess.Popen[str]":
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "speechxfer", *arguments]
    interruptible = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # not so where tests run behind '&'
    pipes: dict[str, Any] = {"stderr": subprocess.PIPE, "text": True, "env": environment} | options
    return subprocess.Popen(command, preexec_fn=interruptible, **pipes)


def test_the_real_program_refuses_in_one_line() -> None:
    process = started(["info", "klingon"])
    _, err = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 2 and len(err.splitlines()) == 1 and err.startswith("speechxfer: klingon: no model")


def test_a_reader_that_ends_early_is_no_error(corpus: Path) -> None:
    """As in ``speechxfer info run | head``."""
    reading, writing = os.pipe()
    process = started(["info", str(corpus / "run")], stdout=writing)
    os.close(writing)
    os.close(reading)
    _, err = process.communicate(timeout=TIMEOUT_S)
    assert (process.returncode, err) == (141, "")


def test_errors_of_the_system_name_their_cause(
    speechxfer: Speechxfer, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE), "some.file")

    monkeypatch.setattr(workflows, "describe", fail)
    assert_refused(speechxfer("info", corpus / "run"), "some.file: Too many open files")


def test_warnings_of_libraries_are_not_shown(corpus: Path) -> None:
    code = (
        "import sys, warnings, speechxfer.cli, speechxfer.workflows\n"
        "speechxfer.workflows.describe = lambda name: warnings.warn('deprecated', FutureWarning) or name\n"
        "sys.argv = ['speechxfer', 'info', 'x']\nspeechxfer.cli.main()"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout, run.stderr) == (0, "x\n", "")


@pytest.mark.parametrize(("locale", "streams"), [("C", "ascii:strict"), ("C.UTF-8", "utf-8:strict")])
def test_names_that_are_not_utf8_or_not_ascii(corpus: Path, tmp_path: Path, locale: str, streams: str) -> None:
    """Python is lenient about the output of these two locales; elsewhere it is strict, as set here."""
    model = shutil.copytree(corpus / "run", tmp_path / "modèle-ü")
    environment = {**os.environ, "LC_ALL": locale, "PYTHONIOENCODING": streams, "OMP_NUM_THREADS": "1"}
    program = [sys.executable, "-m", "speechxfer"]
    wav = shutil.copy(os.fsencode(corpus / "dev" / "dev001.wav"), os.fsencode(tmp_path) + b"/caf\xe9.wav")
    run = subprocess.run([*program, "transcribe", model, wav], capture_output=True, env=environment, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith(os.fsencode(tmp_path)) and run.stdout.count(b"\t") == 1
    run = subprocess.run([*program, "info", wav], capture_output=True, env=environment, check=False)
    assert run.returncode == 2 and run.stderr.count(b"\n") == 1


def test_ctrl_c_in_a_verb_that_keeps_no_state(
    speechxfer: Speechxfer, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(workflows, "check_run", interrupt)
    assert speechxfer("check", corpus / "dev.jsonl") == Outcome(130, "", "speechxfer: stopped\n")


def test_ctrl_c_says_how_to_continue(corpus: Path, tmp_path: Path) -> None:
    settings = [setting for setting in QUICK if not setting.startswith("finetune.steps")]
    process = started(["train", *train_arguments(corpus, tmp_path / "run", *settings, "finetune.steps=100000")])
    try:
        while not (tmp_path / "run" / "state" / "current.json").exists() and process.poll() is None:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=TIMEOUT_S)
    finally:
        process.kill()
    assert process.returncode == 130 and "Traceback" not in err
    assert err.splitlines()[-1] == "speechxfer: stopped; the same command continues where it stopped"
