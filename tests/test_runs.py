"""Training runs: resumed after a kill to the same bits, distributed, with several seeds and manifests."""

import itertools
import json
import os
import resource
import signal
import socket
import subprocess
import time
import weakref
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import speechxfer as sx
from speechxfer.checkpoints.card import Card
from speechxfer.checkpoints.loading import load_model
from speechxfer.checkpoints.model_folders import save_model
from speechxfer.cli.program import app
from speechxfer.config.loading import load_config
from speechxfer.data.manifest import Utterance, read_manifest, write_manifest
from speechxfer.errors import InputError
from speechxfer.features.presets import PRESETS
from speechxfer.models.acoustic_model import AcousticModel
from speechxfer.models.architecture import Architecture
from speechxfer.scoring import PooledScore
from speechxfer.text.normalizer import Normalizer
from speechxfer.text.vocabulary import Vocabulary, read_letter_tables
from speechxfer.training.loop import finetune
from speechxfer.training.metrics import TIMES, read_metrics
from speechxfer.workflows import training_runs
from speechxfer.workflows.embeddings import embed
from speechxfer.workflows.evaluation_runs import RowTarget, evaluate_models
from speechxfer.workflows.results import read_rows
from speechxfer.workflows.training_runs import adapt, train_from_scratch
from tests.tone_corpus import write_tone_corpus

TIMEOUT_S = 600  # of a subprocess; a machine that is busy with other work needs patience


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with train.jsonl, dev.jsonl and an untrained tiny Conformer, 'source'."""
    folder = tmp_path_factory.mktemp("tones")
    write_tone_corpus(folder / "train.jsonl", 11, letters="abcd", seed=1, words=(1, 3))
    write_tone_corpus(folder / "dev.jsonl", 4, letters="abcd", seed=2, words=(1, 3))
    write_model(folder / "source", "conformer")
    return folder


def write_model(folder: Path, encoder: str, letters: str = "ab cx") -> Path:
    """An untrained tiny model, the same every time."""
    torch.manual_seed(0)
    architecture = Architecture(encoder, "tiny", 1 if encoder == "dnn" else 4, 0.1)
    vocabulary = Vocabulary.from_texts([letters])
    model = AcousticModel(architecture, vocabulary, PRESETS["kaldi-mvn"], Normalizer())
    save_model(model, folder, Card("untrained"))
    return folder


def adapt_arguments(corpus: Path, out: Path, *settings: str, source: Path | None = None) -> list[str]:
    words = ["adapt", "--source", str(source or corpus / "source"), "--train", str(corpus / "train.jsonl")]
    words += ["--dev", str(corpus / "dev.jsonl"), "--out", str(out)]
    return [*words, *itertools.chain(*(("--set", setting) for setting in settings))]


def start(programs: Path, *words: str) -> "subprocess.Popen[str]":
    python = str(programs / "python")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "PYTHON_EXEC": python}  # of torchrun
    environment["TORCH_DISABLE_SHARE_RDZV_TCP_STORE"] = "1"
    return subprocess.Popen(
        [python, *words], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def finish(process: "subprocess.Popen[str]") -> tuple[str, str]:
    out, err = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0, err
    return out, err


def untimed_rows(out: Path) -> list[dict[str, float]]:
    """The rows of a run's metrics.jsonl without what depends on the speed of the machine."""
    return [{k: value for k, value in row.items() if k not in TIMES} for row in read_metrics(out / "metrics.jsonl")]


def contents(folder: Path) -> dict[Path, tuple[int, bytes]]:
    return {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in sorted(folder.rglob("*")) if p.is_file()}


# Resuming -------------------------------------------------------------------------------------------

# Everything whose state a resumed run must restore: dropout, distortions, masks, speeds, warm-up, a head start, averages.
RESUMED = (
    "finetune.steps=24",
    "finetune.evaluate_every_steps=4",
    "finetune.batch_s=5",
    "finetune.average_best=3",
    "finetune.distortion=0.5",
    "model.dropout=0.1",
    "finetune.unfreeze_every_steps=3",
)
# Runs the program once per moment, in a child that is killed there: before (or after) the count-th call of a function.
KILLER = """
import json, os, signal, sys
import speechxfer.workflows.training_runs, torch.utils.tensorboard
from speechxfer import cli

def killing(function, count, after):
    calls = []
    def wrapped(*arguments, **options):
        calls.append(None)
        if len(calls) == count and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        result = function(*arguments, **options)
        if len(calls) == count:
            os.kill(os.getpid(), signal.SIGKILL)
        return result
    return wrapped

moments, sys.argv = json.loads(sys.argv[1]), ["speechxfer", *sys.argv[2:]]
for path, count, after in moments:
    child = os.fork()
    if child == 0:
        module, _, name = path.rpartition(".")
        setattr(sys.modules[module], name, killing(getattr(sys.modules[module], name), count, after))
        cli.main()
        os._exit(1)
    _, status = os.waitpid(child, 0)
    with open(sys.argv[sys.argv.index("--out") + 1] + "/state/current.json") as file:
        print(path, os.waitstatus_to_exitcode(status), json.load(file)["progress"]["step"], flush=True)
"""
MOMENTS = [  # function, which call of it in that process, after it instead of before; steps that the state then gained
    ("speechxfer.training.loop.training_step", 3, False, 0),  # two steps beyond an evaluation
    ("speechxfer.training.selection.decode_utterances", 1, False, 0),  # during an evaluation
    (
        "speechxfer.training.loop.save_state",
        1,
        False,
        0,
    ),  # after an evaluation, its scores logged, its state not yet saved
    ("torch.save", 1, False, 0),  # a new state half written
    ("speechxfer.training.loop.save_state", 1, True, 4),  # right after a state was saved
    ("shutil.rmtree", 2, False, 4),  # the new state valid, the old one not yet deleted
    ("speechxfer.training.loop.select_weights", 1, False, 24),  # all steps done
    ("speechxfer.workflows.training_runs.save_model", 1, False, 24),  # everything but the model written
]


def killed_at_step(process: "subprocess.Popen[str]", metrics: Path, step: int) -> None:
    """SIGKILL as soon as metrics.jsonl tells of that step."""
    deadline = time.monotonic() + TIMEOUT_S
    while process.poll() is None and time.monotonic() < deadline:
        if metrics.exists() and f'"step": {step}, "dev_wer"' in metrics.read_text():
            break
        time.sleep(0.001)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this test's killer forks")
def test_a_killed_run_ends_with_the_same_bits(corpus: Path, tmp_path: Path, warm_programs: Path) -> None:
    undisturbed, disturbed = tmp_path / "undisturbed", tmp_path / "disturbed"
    finish(start(warm_programs, "-m", "speechxfer", *adapt_arguments(corpus, undisturbed, *RESUMED)))
    arguments = adapt_arguments(corpus, disturbed, *RESUMED)
    killed_at_step(start(warm_programs, "-m", "speechxfer", *arguments), disturbed / "metrics.jsonl", 8)
    step = json.loads((disturbed / "state" / "current.json").read_text())["progress"]["step"]
    assert step < 16, "there is something left to be killed in"
    out, _ = finish(start(warm_programs, "-c", KILLER, json.dumps([moment[:3] for moment in MOMENTS]), *arguments))
    expected = []
    for path, _, _, gained in MOMENTS:
        step = min(24, step + gained)
        expected.append(f"{path} {-signal.SIGKILL} {step}")
    assert out.splitlines() == expected
    _, err = finish(start(warm_programs, "-m", "speechxfer", *arguments))
    assert "resuming at step 24 of 24" in err
    for name in ("head.tsv", "model/weights.safetensors", "model/vocabulary.json"):
        assert (disturbed / name).read_bytes() == (undisturbed / name).read_bytes(), name
    rows = untimed_rows(disturbed)
    assert rows == untimed_rows(undisturbed)
    assert len(rows) == 6 + 2 and sum("padding" in row for row in rows) == 2, "six evaluations, two lines of losses"
    for folder in ("best", "model", "state", "state/step-0000024"):
        assert sorted(p.name for p in (disturbed / folder).iterdir()) == sorted(
            p.name for p in (undisturbed / folder).iterdir()
        ), "nothing half-written is left behind"
    before = contents(tmp_path)
    adapt(str(corpus / "source"), *manifests(corpus), out=disturbed, config=load_config(None, RESUMED))
    assert contents(tmp_path) == before, "the same command once more changes nothing"


def test_two_runs_in_one_folder_are_refused(corpus: Path, tmp_path: Path, warm_programs: Path) -> None:
    arguments = adapt_arguments(corpus, tmp_path / "run", "finetune.steps=4000", "finetune.evaluate_every_steps=4000")
    first = start(warm_programs, "-m", "speechxfer", *arguments)
    deadline = time.monotonic() + TIMEOUT_S
    while first.poll() is None and not (tmp_path / "run" / "metrics.jsonl").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    asked = (tmp_path / "run" / "run.json").read_bytes()
    for others in (arguments, [*arguments, "--set", "finetune.seed=7"]):
        second = start(warm_programs, "-m", "speechxfer", *others)
        out, err = second.communicate(timeout=TIMEOUT_S)
        assert second.returncode == 2 and "another process trains there" in err and not out
        assert first.poll() is None and (tmp_path / "run" / "run.json").read_bytes() == asked
    first.kill()
    first.communicate()
    finish(start(warm_programs, "-m", "speechxfer", *adapt_arguments(corpus, tmp_path / "run", "finetune.steps=2")))


def manifests(corpus: Path) -> tuple[list[Path], list[Path]]:
    return [corpus / "train.jsonl"], [corpus / "dev.jsonl"]


# From Python -----------------------------------------------------------------------------------------------------


def test_adapt_takes_utterances_and_equals_the_command_line(corpus: Path, tmp_path: Path) -> None:
    """As in docs/python.md: lists of utterances in, a model, a head table and a folder out, with the command line's defaults."""
    settings = ["finetune.steps=4", "finetune.batch_s=5", "finetune.precision=fp32"]
    train, dev = (sx.read_manifest(corpus / f"{split}.jsonl") for split in ("train", "dev"))
    result = sx.adapt(corpus / "source", train, dev, out=tmp_path / "python", config=load_config(None, settings))
    app(adapt_arguments(corpus, tmp_path / "shell", *settings), standalone_mode=False)
    weights = [tmp_path / name / "model" / "weights.safetensors" for name in ("python", "shell")]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    assert result.folder == tmp_path / "python"
    assert str(result.head).splitlines() == (result.folder / "head.tsv").read_text().splitlines()
    assert str(result.head).splitlines()[:2] == ["<blank>\tblank\t<blank>", " \texact\t "]
    again = sx.adapt(corpus / "source", train, dev, out=tmp_path / "python", config=load_config(None, settings))
    assert again.head == result.head and not again.model.training
    for name, value in result.model.state_dict().items():
        assert torch.equal(value, again.model.state_dict()[name]), name


def test_the_source_takes_no_memory_during_training(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[weakref.ref[AcousticModel]] = []
    alive: list[bool] = []

    def loading(source: object) -> AcousticModel:
        model = load_model(source)
        loaded.append(weakref.ref(model))
        return model

    def training(*arguments: Any, **options: Any) -> AcousticModel:
        alive.append(loaded[0]() is not None)
        return finetune(*arguments, **options)

    monkeypatch.setattr(training_runs, "load_model", loading)
    monkeypatch.setattr(training_runs, "finetune", training)
    config = load_config(None, ["finetune.steps=1", "finetune.precision=fp32"])
    adapt(str(corpus / "source"), *manifests(corpus), out=tmp_path / "run", config=config)
    assert alive == [False]


def test_adapt_refuses_utterances_that_are_none_repeated_or_mixed(corpus: Path, tmp_path: Path) -> None:
    dev = sx.read_manifest(corpus / "dev.jsonl")
    for train, message in (
        ([], "train: no utterance is given"),
        ([*dev, dev[0]], f"train: id '{dev[0].id}' occurs twice"),
        ([dev[0], corpus / "train.jsonl"], "train: utterances and other values are mixed"),
    ):
        with pytest.raises(InputError, match=message):
            sx.adapt(corpus / "source", train, dev, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


# Several processes ---------------------------------------------------------------------------------------------------


def torchrun(programs: Path, *words: str, code: str = "", restarts: int = 0) -> "subprocess.Popen[str]":
    """`speechxfer words` in two processes; `code` runs in place of ``-m speechxfer``."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    where = ["--nproc-per-node", "2", "--rdzv-backend", "c10d", "--rdzv-endpoint", f"127.0.0.1:{port}"]
    program = ["--no-python", str(programs / "python"), "-c", code] if code else ["-m", "speechxfer"]
    return start(programs, "-m", "torch.distributed.run", *where, "--max-restarts", str(restarts), *program, *words)


# All utterances in every step, and nothing drawn at random: then how they are divided must not matter.
WHOLE = (
    "finetune.steps=10",
    "finetune.evaluate_every_steps=5",
    "finetune.batch_s=1000",
    "finetune.optimizer=sgd",
    "finetune.encoder_lr=0.002",
    "finetune.head_lr=0.002",
    "finetune.precision=fp32",
    "finetune.speed_factors=[1.0]",
    "finetune.spec_augment=0.0",
    "model.dropout=0",
)


@pytest.mark.distributed
def test_two_processes_train_like_one(corpus: Path, tmp_path: Path, warm_programs: Path) -> None:
    """The gradient of two batches over two processes is the gradient of both joined, whatever their sizes.

    Of the feed-forward network, that is: a batch norm sees the share of its own process.
    """
    source = write_model(tmp_path / "source", "dnn")
    _, err = finish(torchrun(warm_programs, *adapt_arguments(corpus, tmp_path / "two", *WHOLE, source=source)))
    adapt(str(source), *manifests(corpus), out=tmp_path / "one", config=load_config(None, WHOLE))
    one, two = (load_file(tmp_path / name / "model" / "weights.safetensors") for name in ("one", "two"))
    start_weights = load_file(source / "weights.safetensors")
    assert max(float((one[name] - two[name]).abs().max()) for name in one) < 1e-5
    assert (
        max(float((one[name] - start_weights[name]).abs().max()) for name in one if name.startswith("encoder")) > 1e-3
    )
    rows = [
        [json.loads(line) for line in (tmp_path / name / "metrics.jsonl").read_text().splitlines()]
        for name in ("one", "two")
    ]
    assert [row["step"] for row in rows[1]] == [5, 10, 10]
    assert rows[1][1]["loss"] == pytest.approx(rows[0][1]["loss"], rel=1e-5)
    assert err.count("wrote ") == 1, "only the first process reports"


@pytest.mark.distributed
def test_two_processes_score_like_one(corpus: Path, tmp_path: Path, warm_programs: Path) -> None:
    """Enough utterances for several batches, so that both processes decode some."""
    test = tmp_path / "test.jsonl"
    write_tone_corpus(test, 60, letters="abcd", seed=3)
    model = write_model(tmp_path / "model", "cnn", "abcd ")
    out, _ = finish(torchrun(warm_programs, "evaluate", str(model), "--on", str(test), "--out", str(tmp_path / "two")))
    report = evaluate_models([str(model)], test, tmp_path / "one")
    assert report.substitutions > 10, "there is something to get wrong differently"
    for name in ("report.json", "report.txt"):
        assert (tmp_path / "two" / name).read_bytes() == (tmp_path / "one" / name).read_bytes()
    assert out == f"{report}\n", "printed once"


@pytest.mark.distributed
def test_two_processes_compute_the_head_that_one_does(corpus: Path, tmp_path: Path, warm_programs: Path) -> None:
    """A classifier on a frozen encoder: both processes distort recordings in the same way, so the bytes are the same."""
    for split, count, seed in (("train", 24, 1), ("dev", 8, 2)):
        write_tone_corpus(
            tmp_path / f"{split}.jsonl", count, letters="abcd", seed=seed, words=(1, 1), letters_in_word=1
        )
    words = ("text.task=classify", "text.vocabulary=words", "finetune.freeze=encoder", "finetune.distortion=0.5")
    source = corpus / "source"
    _, err = finish(torchrun(warm_programs, *adapt_arguments(tmp_path, tmp_path / "two", *words, source=source)))
    assert "using the closed-form solution, no gradient steps" in err
    adapt(str(source), *manifests(tmp_path), out=tmp_path / "one", config=load_config(None, words))
    weights = [(tmp_path / name / "model" / "weights.safetensors").read_bytes() for name in ("one", "two")]
    assert weights[0] == weights[1]
    assert load_model(tmp_path / "two").head.weight.abs().max() > 0.01


@pytest.mark.distributed
def test_bad_input_ends_all_processes(tmp_path: Path, warm_programs: Path) -> None:
    process = torchrun(
        warm_programs, "evaluate", str(tmp_path / "gone"), "--on", "gone.jsonl", "--out", str(tmp_path / "out")
    )
    _, err = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode != 0 and "speechxfer: gone.jsonl: cannot be read" in err


# Logs the utterances of each step; on the first attempt the second process kills itself after its seventh step.
WATCHED = """
import json, os, signal
from pathlib import Path
from speechxfer import cli
from speechxfer.training import loop
rank, attempt = os.environ["RANK"], int(os.environ["TORCHELASTIC_RESTART_COUNT"])
batches = loop.iterate_batches
def watched(run, step, *place):
    for planned, batch in batches(run, step, *place):
        yield planned, batch
        step += 1
        with Path(os.environ["STEPS"]).open("a") as file:
            file.write(json.dumps([attempt, step, planned.epoch, batch.ids]) + "\\n")
        if attempt == 0 and rank == "1" and step == int(os.environ["KILL_AFTER"]):
            os.kill(os.getpid(), signal.SIGKILL)
loop.iterate_batches = watched
cli.main()
"""


@pytest.mark.distributed
def test_a_killed_process_is_restarted_and_every_utterance_counts_once_per_epoch(
    corpus: Path, tmp_path: Path, warm_programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The steps after the last state are repeated; the weights are those of a run in which nothing was killed."""
    settings = ("finetune.steps=12", "finetune.evaluate_every_steps=5", "finetune.batch_s=2", "finetune.precision=fp32")
    for name, kill_after in (("whole", "99"), ("killed", "7")):
        monkeypatch.setenv("STEPS", str(tmp_path / f"{name}.jsonl"))
        monkeypatch.setenv("KILL_AFTER", kill_after)
        words = adapt_arguments(corpus, tmp_path / name, *settings)
        _, err = finish(torchrun(warm_programs, *words, code=WATCHED, restarts=3))
    assert "resuming at step 5 of 12" in err
    done = [json.loads(line) for line in (tmp_path / "killed.jsonl").read_text().splitlines()]
    assert {(attempt, step) for attempt, step, _, _ in done} == {
        *((0, step) for step in range(1, 8)), *((1, step) for step in range(6, 13))
    }  # fmt: skip
    counted = [(epoch, id_) for attempt, step, epoch, ids in done if attempt or step <= 5 for id_ in ids]
    ids = {utterance.id for utterance in read_manifest(corpus / "train.jsonl")}
    last = max(epoch for epoch, _ in counted)
    assert last >= 2 and sorted(each for each in counted if each[0] < last) == sorted(
        itertools.product(range(last), ids)
    )
    whole, killed = ((tmp_path / name / "model" / "weights.safetensors").read_bytes() for name in ("whole", "killed"))
    assert whole == killed


# Seeds and corpora ---------------------------------------------------------------------------------------------------

DNN = ("model.encoder=dnn", "model.subsampling=1", "model.size=tiny", "finetune.speed_factors=[1.0]")
DNN += ("finetune.steps=2", "finetune.evaluate_every_steps=1", "finetune.precision=fp32")


def test_several_seeds_make_one_row(corpus: Path, tmp_path: Path) -> None:
    models = []
    for seed in (1, 2, 3):
        config = load_config(None, [*DNN, f"finetune.seed={seed}"])
        models.append(
            str(train_from_scratch(*manifests(corpus), out=tmp_path / str(seed), config=config).folder / "model")
        )
    weights = {Path(model, "weights.safetensors").read_bytes() for model in models}
    assert len(weights) == 3
    again = (
        train_from_scratch(*manifests(corpus), out=tmp_path / "again", config=load_config(None, DNN)).folder / "model"
    )
    assert (again / "weights.safetensors").read_bytes() == Path(models[0], "weights.safetensors").read_bytes()
    results = tmp_path / "results.json"
    score = evaluate_models(models, corpus / "dev.jsonl", tmp_path / "scores", results=RowTarget(results, "scratch"))
    assert isinstance(score, PooledScore) and len(score.wers) == 3
    assert sorted(p.relative_to(tmp_path / "scores").as_posix() for p in (tmp_path / "scores").rglob("*.json")) == [
        "1/report.json",
        "2/report.json",
        "3/report.json",
    ]
    [row] = read_rows(results)
    assert row.seeds == [1, 2, 3] and row.substitutions is None
    assert row.wer == pytest.approx(100 * sum(score.wers) / 3, abs=0.005)


def test_models_that_differ_in_more_than_the_seed_are_not_pooled(corpus: Path, tmp_path: Path) -> None:
    for name, setting in (("a", "finetune.seed=1"), ("b", "finetune.head_lr=3e-3")):
        train_from_scratch(*manifests(corpus), out=tmp_path / name, config=load_config(None, [*DNN, setting]))
    write_tone_corpus(tmp_path / "other.jsonl", 11, letters="abcd", seed=9, words=(1, 3))
    config = load_config(None, [*DNN, "finetune.seed=2"])
    train_from_scratch(tmp_path / "other.jsonl", corpus / "dev.jsonl", out=tmp_path / "c", config=config)
    adapt(tmp_path / "a", *manifests(corpus), out=tmp_path / "d", config=config)
    for other, difference in (("b", "finetune.head_lr"), ("c", "train_data"), ("d", "source")):
        models = [str(tmp_path / name) for name in ("a", other)]
        with pytest.raises(InputError, match=f"not one model with several seeds .*{difference}"):
            evaluate_models(models, corpus / "dev.jsonl", tmp_path / "scores")
    assert not (tmp_path / "scores").exists()
    with pytest.raises(InputError, match=r"a and \S+ were trained with the same seed \(1\)"):
        evaluate_models([str(tmp_path / "a"), str(tmp_path / "a" / "model")], corpus / "dev.jsonl", tmp_path / "scores")
    assert not (tmp_path / "scores").exists()
    with pytest.raises(InputError, match="its card does not state how it was trained"):
        evaluate_models([str(corpus / "source")] * 2, corpus / "dev.jsonl", tmp_path / "scores")


def test_models_whose_cards_have_other_settings_are_compared_or_refused(corpus: Path, tmp_path: Path) -> None:
    """A setting that one card lacks, since it was added later, had its default; a card with another structure is refused."""

    def write_card(name: str, config: dict[str, object]) -> str:
        details = {"config": config, "train_hours": 1.0}
        save_model(load_model(corpus / "source"), tmp_path / name, Card(name, details=details))
        return str(tmp_path / name)

    old = write_card("old", {"finetune": {"seed": 1}})
    new = write_card("new", {"finetune": {"seed": 2, "patience": 0}})
    patient = write_card("patient", {"finetune": {"seed": 3, "patience": 3}})
    damaged = write_card("damaged", {"finetune": 1})
    for models in ([old, new], [new, old]):
        assert isinstance(evaluate_models(models, corpus / "dev.jsonl", tmp_path / "scores"), PooledScore)
    for models in ([old, patient], [patient, old]):
        with pytest.raises(InputError, match=r"not one model with several seeds \(finetune\.patience differ\)"):
            evaluate_models(models, corpus / "dev.jsonl", tmp_path / "scores")
    with pytest.raises(InputError, match="damaged: its card does not state how it was trained"):
        evaluate_models([old, damaged], corpus / "dev.jsonl", tmp_path / "scores")


@pytest.mark.parametrize("verb", ["evaluate", "embed"])
def test_a_failed_write_leaves_the_older_files(corpus: Path, tmp_path: Path, verb: str) -> None:
    """No file may grow beyond 64 bytes, as on a full disk."""
    model, dev, out = str(corpus / "source"), corpus / "dev.jsonl", tmp_path / "out"

    def run() -> None:
        evaluate_models([model], dev, out) if verb == "evaluate" else embed(model, [dev], out)

    run()
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, hard))
    try:
        with pytest.raises((InputError, OSError)):
            run()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_several_manifests_are_trained_on_together(corpus: Path, tmp_path: Path) -> None:
    more = write_tone_corpus(tmp_path / "more.jsonl", 3, letters="abcdx", seed=9)
    model = (
        train_from_scratch(
            [corpus / "train.jsonl", tmp_path / "more.jsonl"],
            [corpus / "dev.jsonl"],
            out=tmp_path / "run",
            config=load_config(None, DNN),
        ).folder
        / "model"
    )
    details = json.loads((model / "model.json").read_text())["details"]
    assert details["train_utterances"] == 11 + len(more)
    assert "x" in json.loads((model / "vocabulary.json").read_text())["symbols"]


def test_repeats_repeat_a_manifest_in_every_epoch(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained_on: list[str] = []

    def recording(model: AcousticModel, train: Sequence[Utterance], *rest: Any, **options: Any) -> AcousticModel:
        trained_on.extend(utterance.id for utterance in train)
        return finetune(model, train, *rest, **options)

    monkeypatch.setattr("speechxfer.workflows.training_runs.finetune", recording)
    more = write_tone_corpus(tmp_path / "more.jsonl", 3, letters="abcd", seed=9)
    train = [corpus / "train.jsonl", tmp_path / "more.jsonl"]
    model = (
        train_from_scratch(
            train, [corpus / "dev.jsonl"], out=tmp_path / "run", config=load_config(None, [*DNN, "data.repeats=[1, 3]"])
        ).folder
        / "model"
    )
    assert Counter(Counter(trained_on).values()) == {1: 11, 3: 3}
    assert {u.id for u in more} == {name for name, often in Counter(trained_on).items() if often == 3}
    details = json.loads((model / "model.json").read_text())["details"]
    assert details["train_utterances"] == 14, "hours and utterances of the card count recordings, not repetitions"


@pytest.mark.parametrize("repeats", ["[1]", "[1, 2, 3]"])
def test_repeats_are_one_number_per_manifest(corpus: Path, tmp_path: Path, repeats: str) -> None:
    write_tone_corpus(tmp_path / "more.jsonl", 3, letters="abcd", seed=9)
    train = [corpus / "train.jsonl", tmp_path / "more.jsonl"]
    with pytest.raises(InputError, match=r"data\.repeats has \d numbers? for 2 training manifests"):
        train_from_scratch(
            train,
            [corpus / "dev.jsonl"],
            out=tmp_path / "run",
            config=load_config(None, [*DNN, f"data.repeats={repeats}"]),
        )


def test_the_vocabulary_comes_from_training_text_alone(corpus: Path, tmp_path: Path) -> None:
    write_tone_corpus(tmp_path / "dev.jsonl", 3, letters="abcdy", seed=9)
    model = (
        train_from_scratch(
            [corpus / "train.jsonl"], [tmp_path / "dev.jsonl"], out=tmp_path / "run", config=load_config(None, DNN)
        ).folder
        / "model"
    )
    assert json.loads((model / "vocabulary.json").read_text())["symbols"] == ["<blank>", " ", "a", "b", "c", "d"]


def test_a_damaged_run_json_is_refused(corpus: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    train_from_scratch(*manifests(corpus), out=run, config=load_config(None, DNN))
    (run / "run.json").write_text("{")
    with pytest.raises(InputError, match=r"run\.json: not JSON"):
        train_from_scratch(*manifests(corpus), out=run, config=load_config(None, DNN))


# Letters from phones -------------------------------------------------------------------------------------------------


def test_letters_start_from_the_phones_of_their_language(tmp_path: Path) -> None:
    spoken = write_tone_corpus(tmp_path / "letters.jsonl", 4, letters="jy", seed=1, words=(2, 4))
    phones = [replace(u, text=" ".join("ɟ" if c == "j" else "j" for c in u.text.replace(" ", ""))) for u in spoken]
    write_manifest(tmp_path / "phones.jsonl", phones)
    tables = {"sw": {"j": "ɟ", "y": "j"}, "de": {"j": "j"}, "nl": {"j": "j"}}
    (tmp_path / "letters.json").write_text(json.dumps(tables), encoding="utf-8")
    settings = [
        "model.encoder=dnn",
        "model.size=tiny",
        "model.subsampling=1",
        "finetune.steps=2",
        "text.vocabulary=phones",
    ]
    config = load_config(None, [*settings, "text.lowercase=false", f"text.letters={tmp_path / 'letters.json'}"])
    manifest = [tmp_path / "phones.jsonl"]
    train_from_scratch(manifest, manifest, out=tmp_path / "source", config=config, language="mul")
    source = load_model(tmp_path / "source")
    assert source.vocabulary.symbols == ("<blank>", "j", "ɟ")
    assert source.vocabulary.letters == tables
    manifest = [tmp_path / "letters.jsonl"]
    for language, read_j in (("sw", "ɟ"), ("xx", "j")):
        config = load_config(None, ["finetune.steps=2"])
        adapt(str(tmp_path / "source"), manifest, manifest, out=tmp_path / language, config=config, language=language)
        table = (tmp_path / language / "head.tsv").read_text(encoding="utf-8").splitlines()
        assert table[-2:] == [f"j\tphone\t{read_j}", "y\tphone\tj"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read .*name a file of letter tables"),
        ("[]", "must map languages to letters to phones"),
        ('{"sw": {"y": 1}}', "must map languages to letters to phones"),
        ('{"sw": ', "not JSON .*name a file of letter tables"),
    ],
)
def test_files_without_letter_tables_are_refused(tmp_path: Path, content: str | None, message: str) -> None:
    path = tmp_path / "letters.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(InputError, match=f"letters.json: .*{message}"):
        read_letter_tables(path)
