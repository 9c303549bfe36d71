"""Results files and training curves: expected texts and points are written out by hand."""

import dataclasses
import json
import multiprocessing
import os
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from speechxfer.errors import InputError
from speechxfer.runtime import environment
from speechxfer.training.metrics import read_metrics
from speechxfer.workflows import plots
from speechxfer.workflows.plots import plot_curves
from speechxfer.workflows.results import Forgetting, ResultRow, add_forgetting, add_row, read_rows

ROW = ResultRow(
    name="finetuned",
    source="english",
    train_hours=1.0,
    split="dev",
    decoder="greedy",
    seeds=[1, 2],
    steps=2000,
    wer=31.256,
    wer_low=29.6,
    wer_high=32.944,
    cer=10.0,
    cer_low=9.0,
    cer_high=11.0,
    command="speechxfer adapt english data/train.jsonl \\\n  --out exp/1h",
    commit="abc1234",
    date="2026-01-02",
    hardware="A processor, 2 cores, 2 threads",
    wall_s=3723.04,
)
COUNTS = {"substitutions": 5, "deletions": 3, "insertions": 2, "words": 40}
SCRATCH = dataclasses.replace(ROW, name="scratch", source="", wer=60.0, wall_s=200.0, **COUNTS)


@pytest.fixture
def results_json(tmp_path: Path) -> Path:
    path = tmp_path / "recipes" / "mboshi" / "results.json"
    add_row(path, ROW)
    add_row(path, SCRATCH)
    return path


def test_a_row_is_written_with_the_agreed_keys_and_two_decimals(results_json: Path) -> None:
    first, second = json.loads(results_json.read_text(encoding="utf-8"))
    assert first == {
        "name": "finetuned",
        "source": "english",
        "train_hours": 1.0,
        "split": "dev",
        "decoder": "greedy",
        "seeds": [1, 2],
        "steps": 2000,
        "wer": 31.26,
        "wer_low": 29.6,
        "wer_high": 32.94,
        "cer": 10.0,
        "cer_low": 9.0,
        "cer_high": 11.0,
        "command": "speechxfer adapt english data/train.jsonl \\\n  --out exp/1h",
        "commit": "abc1234",
        "date": "2026-01-02",
        "hardware": "A processor, 2 cores, 2 threads",
        "wall_s": 3723.0,
    }
    assert {key: second[key] for key in COUNTS} == COUNTS
    assert read_rows(results_json)[1] == dataclasses.replace(SCRATCH, wer_high=32.94)
    assert not list(results_json.parent.glob("*.partial"))


def test_a_row_replaces_the_row_with_the_same_key(results_json: Path) -> None:
    add_row(results_json, dataclasses.replace(ROW, wer=12.0, steps=7, date="2026-02-03"))
    assert [(row.name, row.wer, row.steps) for row in read_rows(results_json)] == [
        ("finetuned", 12.0, 7),
        ("scratch", 60.0, 2000),
    ]


@pytest.mark.parametrize(
    "change", [{"name": "frozen"}, {"source": "x"}, {"train_hours": 0.5}, {"split": "test"}, {"decoder": "beam"}]
)
def test_rows_with_different_keys_are_separate(results_json: Path, change: dict[str, object]) -> None:
    add_row(results_json, dataclasses.replace(ROW, **change))  # type: ignore[arg-type]
    assert len(read_rows(results_json)) == 3


def test_adding_the_same_row_again_changes_no_byte(results_json: Path) -> None:
    before = results_json.read_bytes()
    add_row(results_json, ROW)
    assert results_json.read_bytes() == before


def test_numbers_that_are_not_finite_are_refused_and_the_file_is_unchanged(results_json: Path) -> None:
    before = results_json.read_bytes()
    with pytest.raises(InputError, match="'wer'"):
        add_row(results_json, dataclasses.replace(ROW, wer=float("nan")))
    with pytest.raises(InputError, match="'seeds'"):
        add_row(results_json, dataclasses.replace(ROW, seeds="1"))  # type: ignore[arg-type]
    assert results_json.read_bytes() == before


def _add_many(path: Path, name: str) -> None:
    for number in range(20):
        add_row(path, dataclasses.replace(ROW, name=f"{name}-{number}"))


def _forget_many(path: Path) -> None:
    for number in range(20):
        forgetting = Forgetting("own speech", 1.0, float(number), 1.0, 2.0)
        add_forgetting(path, ROW.name, ROW.source, ROW.train_hours, forgetting)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the second process is a fork")
def test_a_process_that_adds_forgetting_loses_no_row_of_another(tmp_path: Path) -> None:
    path, fork = tmp_path / "results.json", multiprocessing.get_context("fork")
    add_row(path, ROW)
    processes = [fork.Process(target=_add_many, args=(path, "a")), fork.Process(target=_forget_many, args=(path,))]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    first, *others = read_rows(path)
    assert first.forgetting and first.forgetting.wer_after == 19.0
    assert sorted(row.name for row in others) == sorted(f"a-{n}" for n in range(20))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the second process is a fork")
def test_two_processes_that_add_rows_lose_none(tmp_path: Path) -> None:
    path, fork = tmp_path / "results.json", multiprocessing.get_context("fork")
    processes = [fork.Process(target=_add_many, args=(path, name)) for name in ("a", "b")]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    assert sorted(row.name for row in read_rows(path)) == sorted(f"{name}-{n}" for name in "ab" for n in range(20))


def _edited(rows: list[dict[str, object]], **change: object) -> str:
    return json.dumps([{**rows[0], **change}, *rows[1:]])


def test_malformed_results_are_refused_by_name(results_json: Path) -> None:
    rows = json.loads(results_json.read_text(encoding="utf-8"))
    missing = {key: value for key, value in rows[1].items() if key != "commit"}
    cases = {
        "[": f"{results_json}: Invalid JSON",
        "{}": "expected a JSON list",
        _edited(rows, wer="31"): "row 1 'wer'",
        _edited(rows, steps=1.5): "row 1 'steps'",
        _edited(rows, colour="red"): "row 1 'colour'",
        json.dumps([rows[0], missing]): "row 2 'commit'",
        json.dumps([rows[0], rows[0]]): "row 2 repeats row 1",
    }
    for text, expected in cases.items():
        results_json.write_text(text, encoding="utf-8")
        with pytest.raises(InputError) as caught:
            add_row(results_json, ROW)
        assert str(results_json) in str(caught.value)
        assert expected in str(caught.value)


METRICS = """\
{"step": 1, "loss": 9.5, "encoder_lr": 0.0, "head_lr": 0.0}
{"step": 2, "loss": 8.0, "encoder_lr": 0.1, "head_lr": 0.2}
{"step": 2, "dev_wer": 1.0, "dev_cer": 0.805, "blank_ratio": 0.9}
{"step": 4, "loss": 5}
{"step": 4, "loss": 6.5}
"""


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('{"step": 2, "lo}', "not JSON"),
        ('[{"step": 1}, {}', "not JSON"),
        ('{"loss": 1.0}', "whole number 'step'"),
        ('{"step": 1.5, "loss": 1.0}', "whole number 'step'"),
        ('{"step": true, "loss": 1.0}', "whole number 'step'"),
        ('{"step": 2, "loss": "low"}', "object of numbers"),
    ],
)
def test_a_malformed_line_of_metrics_is_named(tmp_path: Path, line: str, expected: str) -> None:
    metrics = tmp_path / "metrics.jsonl"
    metrics.write_text('{"step": 1, "loss": 2.0}\n' + line, encoding="utf-8")
    with pytest.raises(InputError, match=r"metrics\.jsonl:2: ") as caught:
        read_metrics(metrics)
    assert expected in str(caught.value)


def test_curves_are_drawn_without_a_display(tmp_path: Path) -> None:
    image = pytest.importorskip("matplotlib.image")
    metrics, png = tmp_path / "metrics.jsonl", tmp_path / "plots" / "curves.png"
    metrics.write_text(METRICS, encoding="utf-8")
    plot_curves(metrics, png)
    pixels = image.imread(png)
    assert pixels.shape[:2] == (720, 960)  # 6 x 8 inches at 120 dots per inch
    colours = (pixels[:, :, :3] * 255).round().astype(int)
    gray, blue, orange = (127, 127, 127), (31, 119, 180), (255, 127, 14)
    assert (colours[:360] == gray).all(axis=2).sum() > 100  # the loss, above
    assert (colours[360:] == blue).all(axis=2).any()
    assert (colours[360:] == orange).all(axis=2).any()
    assert [path.name for path in png.parent.iterdir()] == ["curves.png"]
    metrics.write_text('{"step": 1, "encoder_lr": 0.1}\n', encoding="utf-8")
    with pytest.raises(InputError, match="has no loss"):
        plot_curves(metrics, png)


def test_the_last_value_of_a_step_is_drawn_and_rates_are_in_percent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Any] = []
    monkeypatch.setattr(plots, "save_figure", lambda figure, _: drawn.append(figure))
    (tmp_path / "metrics.jsonl").write_text(METRICS, encoding="utf-8")
    plot_curves(tmp_path / "metrics.jsonl", tmp_path / "curves.png")
    loss, wer, cer = (line.get_xydata().tolist() for axes in drawn[0].axes for line in axes.lines)
    assert (loss, wer, cer) == ([[1, 9.5], [2, 8.0], [4, 6.5]], [[2, 100.0]], [[2, 80.5]])


def test_curves_without_matplotlib_name_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(InputError, match=r"speechxfer\[plot\]"):
        plot_curves(tmp_path / "metrics.jsonl", tmp_path / "curves.png")


def test_hardware_names_the_gpu_only_once_torch_uses_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "_cpu_model", lambda: "A processor")
    monkeypatch.setattr(environment.os, "sched_getaffinity", lambda pid: {0, 1}, raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    assert environment.hardware() == "A processor, 2 cores, 1 thread"
    assert "torch" not in sys.modules
    used = []
    cuda = types.SimpleNamespace(is_initialized=lambda: bool(used), get_device_name=lambda: "NVIDIA H200")
    monkeypatch.setitem(sys.modules, "torch", types.SimpleNamespace(get_num_threads=lambda: 4, cuda=cuda))
    assert environment.hardware() == "A processor, 2 cores, 4 threads"
    used.append(True)
    assert environment.hardware() == "A processor, 2 cores, 4 threads; NVIDIA H200"


def test_the_processor_has_a_name() -> None:
    assert environment._cpu_model().strip()


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A git checkout in which a copy of the module is committed, and from which `commit` looks."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    package = tmp_path / "checkout" / "speechxfer"
    package.mkdir(parents=True)
    module = package / "environment.py"
    module.write_text("code\n", encoding="utf-8")
    monkeypatch.setattr(environment, "__file__", str(module))
    recipe = tmp_path / "checkout" / "recipes" / "mboshi"
    recipe.mkdir(parents=True)
    for name in ("results.json", "RESULTS.md", "run.sh"):
        (recipe / name).write_text("old\n", encoding="utf-8")
    return tmp_path / "checkout"


def git(folder: Path, *arguments: str) -> str:
    names = ["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", *names, *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_commit_is_unknown_outside_a_checkout_and_where_the_code_is_not_tracked(checkout: Path) -> None:
    assert environment.commit() == "unknown"
    git(checkout, "init")
    assert environment.commit() == "unknown"
    git(checkout, "add", "recipes")
    git(checkout, "commit", "-m", "a checkout of somebody else")
    assert environment.commit() == "unknown"


def test_commit_distinguishes_changed_code_from_changed_results(checkout: Path) -> None:
    git(checkout, "init")
    git(checkout, "add", ".")
    git(checkout, "commit", "-m", "first")
    short = git(checkout, "rev-parse", "--short", "HEAD")
    assert environment.commit() == short
    for name in ("results.json", "RESULTS.md"):
        (checkout / "recipes" / "mboshi" / name).write_text("new\n", encoding="utf-8")
    assert environment.commit() == short
    (checkout / "recipes" / "mboshi" / "run.sh").write_text("new\n", encoding="utf-8")
    assert environment.commit() == f"{short}-dirty"
