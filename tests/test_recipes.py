"""Recipes: every script parses, every setting is one, and a whole recipe runs on a miniature corpus in its own layout."""

import itertools
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

import speechxfer as sx
from speechxfer.checkpoints import Card, read_card
from speechxfer.cli import DEFAULT_SOURCE
from speechxfer.config.loading import load_config
from speechxfer.data.manifest import read_manifest
from speechxfer.features import FeatureSpec
from speechxfer.models import AcousticModel, Architecture
from speechxfer.workflows.results import read_rows
from tests.external_models import write_w2v_bert
from tests.tone_corpus import write_tone_corpus

ROOT = Path(__file__).resolve().parents[1]
RECIPES = sorted(path.parent for path in ROOT.glob("recipes/*/run.sh"))
QUICK = (
    "--set finetune.steps=2 --set finetune.evaluate_every_steps=1 --set model.size=tiny --set finetune.batch_s=20 "
    "--set finetune.speed_factors=[1.0]"
)


@pytest.fixture
def copy(tmp_path: Path, warm_programs: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of what recipes need, so that a test never touches their real results; PATH begins with warm programs."""
    monkeypatch.setenv("PATH", f"{warm_programs}{os.pathsep}{os.environ['PATH']}")
    for folder in ("recipes", "data_scripts"):
        ignore = shutil.ignore_patterns("exp", "data", "*results.json", "RESULTS.md", "ranking-*.tsv", "__pycache__")
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=ignore)
    return tmp_path


def run(copy: Path, recipe: str, *arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = ["bash", str(copy / "recipes" / recipe / "run.sh"), *map(str, arguments)]
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **environment}
    return subprocess.run(command, env=variables, capture_output=True, text=True, check=False)


def tiny_source(folder: Path, letters: str) -> Path:
    vocabulary = sx.Vocabulary.from_texts([letters])
    spec = FeatureSpec("kaldi-mvn", scale=32768.0, normalize="mean_std", normalize_epsilon=1e-2)
    model = AcousticModel(Architecture("conformer", "tiny"), vocabulary, spec, sx.Normalizer())
    sx.save_model(model, folder, Card("tiny"))
    return folder


def test_there_are_recipes() -> None:
    assert {path.name for path in RECIPES} >= {
        "demo",
        "english",
        "fsdd",
        "mboshi",
        "own",
        "yoruba",
        "commands",
        "common_voice",
    }


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.name)
def test_recipe_is_complete(recipe: Path) -> None:
    assert subprocess.run(["bash", "-n", recipe / "run.sh"], check=False).returncode == 0
    load_config(recipe / "recipe.toml")
    assert (recipe / "README.md").read_text(encoding="utf-8").startswith("# ")
    script = (recipe / "run.sh").read_text(encoding="utf-8")
    for line in script.replace("\\\n", " ").splitlines():  # each line is a run of its own
        load_config(recipe / "recipe.toml", re.findall(r"--set ([a-z_.]+=[^ ;$\"]+)", line))


def test_unknown_stage_is_refused(copy: Path) -> None:
    result = run(copy, "yoruba", copy, "--from", "trian")
    assert result.returncode == 2
    assert "no stage trian" in result.stderr
    assert "prepare check scratch" in result.stderr


def yoruba_layout(folder: Path, dev: int = 3) -> Path:
    """A corpus of tones in the layout of the Yoruba corpus and its sisters, with so many recordings in dev."""
    lines = []
    for split, count in (("train", 8), ("val", dev), ("test", 4)):
        manifest = folder / "tones" / f"{split}.jsonl"
        utterances = write_tone_corpus(manifest, count, letters="abcẹọ", seed=len(split))
        (folder / "data" / "records" / split).mkdir(parents=True)
        for utterance in utterances:
            samples, rate = soundfile.read(utterance.audio_filepath)
            soundfile.write(folder / "data" / "records" / split / f"{split}{utterance.id}.wav", samples, rate)
            lines.append(f"{split}{utterance.id}:{utterance.text}\n")
    (folder / "data" / "raw_text_file.txt").write_text("".join(lines), encoding="utf-8")
    return folder


def kathleen_layout(folder: Path) -> Path:
    """Tones in the layout of kathleen, fewer than it has."""
    (folder / "data").mkdir(parents=True)
    for utterance in write_tone_corpus(folder / "tones.jsonl", 40, letters="abcd"):
        path = folder / "data" / f"arctic_a{utterance.id[-3:]}_1.wav"
        shutil.copy(utterance.audio_filepath, path)
        path.with_suffix(".txt").write_text(utterance.text, encoding="utf-8")
    return folder


def test_a_whole_recipe_runs_twice_and_the_second_time_changes_nothing(copy: Path, tmp_path: Path) -> None:
    corpus = yoruba_layout(tmp_path / "corpus", dev=40)  # enough for language models of the transcripts
    tiny_source(copy / "recipes" / "yoruba" / DEFAULT_SOURCE, "abcdeo ")  # found before a shipped model of that name
    first = run(copy, "yoruba", corpus, LANGUAGE_CODE="tone", SETTINGS=QUICK)
    assert first.returncode == 0, first.stderr
    recipe = copy / "recipes" / "yoruba"
    rows = read_rows(recipe / "results.json")
    assert [row.name for row in rows] == ["scratch", "frozen", "finetuned"] * 2
    assert [row.source for row in rows] == ["", *[DEFAULT_SOURCE] * 2] * 2
    decoders = [row.decoder for row in rows]
    assert decoders[:3] == ["greedy"] * 3 and all("beam 16" in name and "4-gram" in name for name in decoders[3:])
    assert {row.steps for row in rows} == {2}
    assert {row.split for row in rows} == {"test"}
    assert all(row.wer_low <= row.wer <= row.wer_high for row in rows)
    assert "ẹ\tbase\te" in (recipe / "exp" / f"finetuned-{DEFAULT_SOURCE}-1" / "head.tsv").read_text(encoding="utf-8")
    page = (recipe / "exp" / "report.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>") and f"frozen-{DEFAULT_SOURCE}-1" in page
    kept = {path: path.read_bytes() for path in recipe.rglob("*") if path.is_file() and "tensorboard" not in path.parts}
    second = run(copy, "yoruba", corpus, LANGUAGE_CODE="tone", SETTINGS=QUICK)
    assert second.returncode == 0, second.stderr
    assert second.stderr.count("already finished") == 3
    assert {path: path.read_bytes() for path in kept} == kept


def test_a_recipe_compares_sources_over_several_seeds(copy: Path, tmp_path: Path) -> None:
    corpus = yoruba_layout(tmp_path / "corpus")
    recipe = copy / "recipes" / "yoruba"
    for name in ("english", "other"):
        tiny_source(recipe / "models" / name, "abcdeo ")
    several = {"SOURCES": "models/english models/other", "SEEDS": "1 2"}
    result = run(copy, "yoruba", corpus, LANGUAGE_CODE="tone", SETTINGS=QUICK, **several)
    assert result.returncode == 0, result.stderr
    rows = read_rows(recipe / "results.json")
    both = list(itertools.product(("frozen", "finetuned", "averaged"), ("english", "other")))
    assert [(row.name, row.source) for row in rows] == [("scratch", ""), *both]
    assert {row.decoder for row in rows} == {"greedy"}  # dev is too small for language models of the transcripts
    assert [tuple(row.seeds) for row in rows] == [(1, 2)] * 5 + [(1,)] * 2  # an average is one model
    averaged = read_card(recipe / "exp" / "finetuned-other-mean").details["averaged"]
    assert averaged == ["exp/finetuned-other-1", "exp/finetuned-other-2"]
    verdicts = re.findall(r"better than|no significant difference", result.stdout)
    assert len(verdicts) == 2 * 2 * 2  # of WER and CER, seed by seed, for two sources against scratch
    assert result.stderr.count("decodes greedily, as language models did not help every seed") == 5
    assert "needs KATHLEEN_DIR" in result.stderr
    corpora = {"KATHLEEN_DIR": str(kathleen_layout(tmp_path / "kathleen")), "PREPARE": "--partial"}
    again = run(copy, "yoruba", corpus, "--from", "forgetting", **several, **corpora)
    assert again.returncode == 0, again.stderr
    splits = [row.forgetting.split if row.forgetting else "" for row in read_rows(recipe / "results.json")]
    assert splits == ["", "", "", "kathleen letters", "kathleen phones", "", ""]
    for folder in recipe.glob("exp/finetuned-other*"):
        shutil.rmtree(folder)
    one_kind = {"KINDS": "frozen", "SOURCES": "models/other", "SEEDS": "1 2"}
    part = run(copy, "yoruba", corpus, "--from", "evaluate", "--to", "compare", **one_kind)
    assert part.returncode == 0 and not part.stdout.count("better than"), part.stderr


def test_own_recordings_in_one_command(copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the interpreter and the program as they are installed."""
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    utterances = write_tone_corpus(tmp_path / "mine" / "all.jsonl", 40, letters="abcde", seed=5)
    table = tmp_path / "mine" / "recordings.tsv"
    rows = [f"{utterance.audio_filepath}\t{utterance.text}\n" for utterance in utterances]
    table.write_text("path\ttext\n" + "".join(rows), encoding="utf-8")
    tiny_source(copy / "recipes" / "own" / DEFAULT_SOURCE, "abcde ")
    result = run(copy, "own", table, tmp_path / "out", SETTINGS=QUICK)
    assert result.returncode == 0, result.stderr
    assert "WER" in result.stdout
    assert json.loads((tmp_path / "out" / "test" / "report.json").read_text(encoding="utf-8"))
    assert (tmp_path / "out" / "report.html").read_text(encoding="utf-8").startswith("<!doctype html>")


def test_a_finished_run_keeps_its_data_when_rows_are_added(copy: Path, tmp_path: Path) -> None:
    utterances = write_tone_corpus(tmp_path / "mine" / "all.jsonl", 12, letters="abcde", seed=5)
    table = tmp_path / "mine" / "recordings.tsv"
    rows = [f"{utterance.audio_filepath}\t{utterance.text}\n" for utterance in utterances]
    table.write_text("path\ttext\n" + "".join(rows[:-1]), encoding="utf-8")
    assert run(copy, "own", table, tmp_path / "out", "--to", "prepare").returncode == 0
    kept = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*.jsonl")}
    assert {path.name for path in kept} == {"train.jsonl", "dev.jsonl", "test.jsonl"}
    (tmp_path / "out" / "run").mkdir()
    again = run(copy, "own", table, tmp_path / "out", "--to", "prepare")
    assert again.returncode == 0, again.stderr
    table.write_text("path\ttext\n" + "".join(rows), encoding="utf-8")
    refused = run(copy, "own", table, tmp_path / "out", "--to", "prepare")
    assert refused.returncode == 2 and "the table differs from the data that" in refused.stderr
    assert {path: path.read_bytes() for path in (tmp_path / "out").rglob("*.jsonl")} == kept


def test_relative_paths_in_settings_are_relative_to_the_caller(copy: Path, tmp_path: Path) -> None:
    script = f"cd {tmp_path} && cd {copy}/recipes/own && source ../stages.sh && echo $SETTINGS + $PREPARE"
    settings = "--set finetune.steps=20 --set transfer.symbol_map=maps/my.tsv --set text.letters=/l.json"
    variables = {**os.environ, "SETTINGS": settings, "PREPARE": "--partial --audio-dir clips"}
    done = subprocess.run(["bash", "-c", script], env=variables, capture_output=True, text=True, check=True)
    expected = settings.replace("maps/", f"{tmp_path}/maps/") + f" + --partial --audio-dir {tmp_path}/clips\n"
    assert done.stdout == expected


def common_voice_layout(folder: Path) -> Path:
    """Tones in the layout of Common Voice: TSV files and clips/, here WAV, which the script takes as it comes."""
    for split, count in (("train", 8), ("dev", 3), ("test", 4)):
        rows = ["client_id\tpath\tsentence\tlocale\n"]
        for utterance in write_tone_corpus(folder / "tones" / f"{split}.jsonl", count, letters="abcd", seed=len(split)):
            name = f"{split}_{utterance.id}.wav"
            (folder / "clips").mkdir(exist_ok=True)
            shutil.copy(utterance.audio_filepath, folder / "clips" / name)
            rows.append(f"{split}-{utterance.speaker}\t{name}\t{utterance.text}\ttn\n")
        (folder / f"{split}.tsv").write_text("".join(rows), encoding="utf-8")
    return folder


def test_common_voice_from_a_checkpoint_of_transformers(copy: Path, tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    (tmp_path / "cv").mkdir()
    write_w2v_bert(tmp_path / "w2v-bert-tiny")
    result = run(
        copy, "common_voice", "tn", common_voice_layout(tmp_path / "cv"), tmp_path / "w2v-bert-tiny", SETTINGS=QUICK
    )
    assert result.returncode == 0, result.stderr
    [row] = read_rows(copy / "recipes" / "common_voice" / "results.json")
    assert (row.name, row.source, row.split, row.steps) == ("finetuned", "w2v-bert-tiny", "tn", 2)


def digits_layout(folder: Path) -> Path:
    """Two digits as tones of two speakers, in the layout of FSDD."""
    (folder / "recordings").mkdir(parents=True)
    for digit, speaker, index in itertools.product((1, 2), ("ann", "bob"), range(12)):
        tone = 0.1 * np.sin(np.arange(4000) * (0.2 * digit + 0.003 * index + 0.04 * (speaker == "bob")))
        soundfile.write(folder / "recordings" / f"{digit}_{speaker}_{index}.wav", tone, 8000)
    return folder


def test_folds_of_digits_by_speaker_leave_the_encoder_as_it_is(copy: Path, tmp_path: Path) -> None:
    recipe = copy / "recipes" / "fsdd"
    tiny_source(recipe / "models" / "english", "ab cd")
    given = {"SOURCES": "models/english", "PREPARE": "--partial", "SETTINGS": QUICK, "JOBS": "1", "TAKES": "20"}
    corpus = digits_layout(tmp_path / "fsdd")
    prepared = run(copy, "fsdd", corpus, "--to", "prepare", **given)
    assert prepared.returncode == 0, prepared.stderr
    result = run(copy, "fsdd", corpus, "--from", "crossval", **given)
    assert result.returncode == 0, result.stderr
    [row] = read_rows(recipe / "results.json")
    assert (row.name, row.source, row.split, row.words) == ("crossval", "english", "2 folds by speaker", 48)
    source = sx.load_model(recipe / "models" / "english").encoder.state_dict()
    for fold in ("fold1", "fold2"):
        adapted = sx.load_model(recipe / "exp" / "crossval-english" / fold).encoder.state_dict()
        assert all(torch.equal(value, source[name]) for name, value in adapted.items())
    spoken = read_manifest(recipe / "data" / "spoken.jsonl")
    assert len(spoken) == 40 and sum(u.duration for u in spoken) / 3600 < row.train_hours


def test_commands_go_from_a_source_of_their_own(copy: Path, tmp_path: Path) -> None:
    corpus = digits_layout(tmp_path / "fsdd")
    few = {"NETWORKS": "dnn", "PREPARE": "--partial", "SETTINGS": QUICK}
    result = run(copy, "commands", corpus, kathleen_layout(tmp_path / "kathleen"), **few)
    assert result.returncode == 0, result.stderr
    rows = read_rows(copy / "recipes" / "commands" / "results.json")
    assert [(row.name, row.source) for row in rows] == [
        ("dnn scratch", ""),
        ("dnn frozen", "dnn"),
        ("dnn finetuned", "dnn"),
    ]
    assert {row.split for row in rows} == {"fsdd"} and {row.words for row in rows} == {20}


def test_the_python_example_of_the_documents_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, (split, count) in enumerate((("train", 8), ("dev", 3), ("test", 4))):
        tones = write_tone_corpus(tmp_path / "data" / "mboshi" / f"{split}.jsonl", count, letters="abc", seed=number)
    shutil.copy(tones[0].audio_filepath, tmp_path / "new.wav")
    tiny_source(tmp_path / DEFAULT_SOURCE, "abcde ")
    block = re.search(r"```python\n(.*?)```", (ROOT / "docs" / "python.md").read_text(encoding="utf-8"), re.DOTALL)
    assert block
    code, replaced = re.subn(r'language="mdw"\)', 'language="mdw", config=QUICK)', block.group(1))
    assert replaced == 1 and len(code.splitlines()) <= 10
    monkeypatch.chdir(tmp_path)
    quick = load_config(None, ["finetune.steps=2", "finetune.evaluate_every_steps=1"])
    exec(compile(code, "python.md", "exec"), {"QUICK": quick})
    assert sx.load_model(tmp_path / "exp" / "mboshi").vocabulary.symbols == ("<blank>", " ", "a", "b", "c")
    printed = capsys.readouterr().out
    assert "WER" in printed and "CER" in printed and "exact" in printed
