"""What a run records of itself: its fingerprint, its saved state, damaged files, a full disk."""

import errno
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import speechxfer as sx
from speechxfer.adaptation.construction import transfer
from speechxfer.checkpoints.card import Card
from speechxfer.checkpoints.model_folders import save_model
from speechxfer.config.loading import load_config
from speechxfer.config.settings import Config, FinetuneConfig
from speechxfer.data.manifest import Utterance, read_manifest
from speechxfer.errors import InputError
from speechxfer.features import log_mel
from speechxfer.models.acoustic_model import AcousticModel
from speechxfer.text.vocabulary import Vocabulary
from speechxfer.training import metrics
from speechxfer.training.fingerprint import compare_fingerprints
from speechxfer.training.loop import finetune
from speechxfer.training.state import training_cost
from speechxfer.workflows.training_runs import adapt, train_from_scratch
from tests.small_models import SOURCE, settings, source_model, state
from tests.tone_corpus import write_tone_corpus

SETTINGS = ("finetune.steps=2", "finetune.precision=fp32", "finetune.speed_factors=[1.0]", "finetune.batch_s=8.0")
Corpus = Path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """train.jsonl, dev.jsonl, an untrained source, a symbol map, letter tables, and a finished run of two steps."""
    folder = tmp_path_factory.mktemp("runs")
    write_tone_corpus(folder / "train.jsonl", 4, letters="dcab", seed=2)
    write_tone_corpus(folder / "dev.jsonl", 2, letters="dcab", seed=3)
    source = source_model("dnn", vocabulary=replace(SOURCE, letters={"xx": {"d": "b"}}), dropout=0.0)
    save_model(source, folder / "source", Card("source"))
    (folder / "map.tsv").write_text("d\ta\n", encoding="utf-8")
    (folder / "letters.json").write_text('{"xx": {"d": "a"}}', encoding="utf-8")
    run(folder)
    return folder


@pytest.fixture
def corpus(made: Corpus, tmp_path: Path) -> Corpus:
    """A copy that a test may change; paths in manifests are relative."""
    return Path(shutil.copytree(made, tmp_path / "copy"))


def run(folder: Corpus, *changes: str, **options: str) -> Path:
    files = (f"transfer.symbol_map={folder / 'map.tsv'}", f"text.letters={folder / 'letters.json'}")
    config = load_config(None, [*SETTINGS, *files, *changes])
    manifests = folder / "train.jsonl", folder / "dev.jsonl"
    return adapt(str(folder / "source"), *manifests, out=folder / "run", config=config, **options).folder


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def stop(folder: Corpus) -> None:
    """As if the run had been killed after its last step."""
    shutil.rmtree(folder / "run" / "model")


def move_files(folder: Corpus) -> None:
    """The settings name the paths of symbol map and letter tables, which differ between copies."""
    recorded = json.loads((folder / "run" / "run.json").read_text())
    recorded["config"]["transfer"]["symbol_map"] = str(folder / "map.tsv")
    recorded["config"]["text"]["letters"] = str(folder / "letters.json")
    (folder / "run" / "run.json").write_text(json.dumps(recorded))


# The fingerprint of a run --------------------------------------------------------------------------------------------


def change_symbol_map(folder: Corpus) -> None:
    (folder / "map.tsv").write_text("d\tb\n", encoding="utf-8")


def change_letters(folder: Corpus) -> None:
    (folder / "letters.json").write_text('{"xx": {"d": "c"}}', encoding="utf-8")


def change_letters_of_the_source(folder: Corpus) -> None:
    path = folder / "source" / "vocabulary.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"letters": {"xx": {"d": "c"}}}))


def change_audio(folder: Corpus) -> None:
    """Another recording of the same size and time of change."""
    path = read_manifest(folder / "train.jsonl")[1].audio_filepath
    status, content = path.stat(), bytearray(path.read_bytes())
    content[-1000:] = bytes(1000)
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def change_dev_text(folder: Corpus) -> None:
    rows = [json.loads(line) for line in (folder / "dev.jsonl").read_text().splitlines()]
    rows[0]["text"] = "a"
    (folder / "dev.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.mark.parametrize("finished", [True, False])
@pytest.mark.parametrize(
    ("change", "arguments", "options", "named"),
    [
        (change_symbol_map, (), {}, "symbol_map"),
        (change_letters, (), {}, "letters"),
        (change_letters_of_the_source, (), {}, "source"),
        (change_audio, (), {}, "train"),
        (change_dev_text, (), {}, "dev"),
        (None, (), {"language": "yo"}, "language"),
        (None, (), {"licence": "CC0-1.0"}, "licence"),
        (None, ("finetune.seed=2",), {}, r"config\.finetune\.seed"),
    ],
)
def test_every_change_of_what_a_run_reads_is_noticed(
    corpus: Corpus,
    change: Callable[[Corpus], None] | None,
    arguments: tuple[str, ...],
    options: dict[str, str],
    named: str,
    finished: bool,
) -> None:
    """Of a finished run and of a stopped one; nothing in its folder is changed by the refusal."""
    move_files(corpus)
    if not finished:
        stop(corpus)
    if change:
        change(corpus)
    before = contents(corpus / "run")
    with pytest.raises(InputError, match=rf"other settings or data \({named}"):
        run(corpus, *arguments, **options)
    assert contents(corpus / "run") == before


def test_a_run_that_did_not_change_is_finished_and_resumed(corpus: Corpus) -> None:
    move_files(corpus)
    before = contents(corpus / "run")
    run(corpus)
    run(corpus, f"data.cache_dir={corpus / 'elsewhere'}")  # where features are kept does not change them
    assert contents(corpus / "run") == before
    stop(corpus)
    run(corpus)
    weights = corpus / "run" / "model" / "weights.safetensors"
    assert weights.read_bytes() == before[weights]


def test_another_version_of_the_features_is_another_run(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    """Finished or stopped, adapted or trained from scratch, from the command line or with `finetune`."""
    move_files(corpus)
    manifests = corpus / "train.jsonl", corpus / "dev.jsonl"
    config = load_config(None, [*SETTINGS, "model.encoder=dnn", "model.subsampling=1", "model.size=tiny"])

    def train() -> None:
        train_from_scratch(*manifests, out=corpus / "scratch", config=config)

    def fine_tune() -> None:
        trained(corpus, corpus / "tuned", settings(steps=1, evaluate_every_steps=1))

    train()
    fine_tune()
    monkeypatch.setattr(log_mel, "CODE_VERSION", log_mel.CODE_VERSION + 1)
    for attempt in (lambda: run(corpus), train, fine_tune):
        with pytest.raises(InputError, match=r"\((source|front end) differ\)"):
            attempt()
    shutil.rmtree(corpus / "scratch" / "model")
    with pytest.raises(InputError, match=r"other settings or data \(front end differ\)"):
        train()


def test_a_run_from_scratch_that_recorded_no_version_of_the_features_is_continued(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As runs from scratch of earlier commits did; stopped ones have the version in their state, finished ones in their model."""
    move_files(corpus)
    manifests, out = (corpus / "train.jsonl", corpus / "dev.jsonl"), corpus / "scratch"
    config = load_config(None, [*SETTINGS, "model.encoder=dnn", "model.subsampling=1", "model.size=tiny"])
    train_from_scratch(*manifests, out=out, config=config)
    recorded = json.loads((out / "run.json").read_text())
    del recorded["front end"]
    (out / "run.json").write_text(json.dumps(recorded))
    before = contents(out)
    train_from_scratch(*manifests, out=out, config=config)
    assert contents(out) == before
    shutil.rmtree(out / "model")
    with monkeypatch.context() as later, pytest.raises(InputError, match=r"started differently \(front end differ\)"):
        later.setattr(log_mel, "CODE_VERSION", log_mel.CODE_VERSION + 1)
        train_from_scratch(*manifests, out=out, config=config)
    train_from_scratch(*manifests, out=out, config=config)
    weights = out / "model" / "weights.safetensors"
    assert weights.read_bytes() == before[weights]


def test_a_setting_that_was_added_later_had_its_default(corpus: Corpus) -> None:
    """A finished run and a stopped one are compared in the same way."""
    move_files(corpus)
    for name in ("run.json", "state/current.json"):
        path = corpus / "run" / name
        recorded = json.loads(path.read_text())
        tree = recorded.get("fingerprint", recorded)
        del tree["config"]["finetune"]["patience"]
        path.write_text(json.dumps(recorded))
    run(corpus)
    with pytest.raises(InputError, match=r"config\.finetune\.patience"):
        run(corpus, "finetune.patience=3")
    stop(corpus)
    run(corpus)
    assert (corpus / "run" / "model" / "model.json").exists()


def test_fingerprints_are_compared_by_hand() -> None:
    settings = Config().model_dump(mode="json")
    assert compare_fingerprints({"config": settings, "a": [1, 2]}, {"config": settings, "a": (1, 2)}) == []
    assert compare_fingerprints({"config": {}, "a": 1}, {"config": settings, "a": 2}) == ["a"]
    assert compare_fingerprints({"config": {}, "gone": 1}, {"config": settings, "new": 1}) == ["new", "gone"]
    changed = settings | {"finetune": settings["finetune"] | {"seed": 7}}
    assert compare_fingerprints({"config": {"finetune": {}}}, {"config": changed}) == ["config.finetune.seed"]


# Python and the command line -----------------------------------------------------------------------------------------


def test_finetune_from_python_resolves_the_settings_of_the_command_line(made: Corpus, tmp_path: Path) -> None:
    """As in the docstring of `finetune`, with nothing set but what keeps the test short; `run` is what `adapt` did."""
    train, dev = (read_manifest(made / f"{split}.jsonl") for split in ("train", "dev"))
    source = sx.load_model(made / "source")
    vocabulary = Vocabulary.from_texts(u.text for u in train)
    model = transfer(source, vocabulary, head={"d": "a"}, seed=1).model
    config = load_config(None, SETTINGS)
    finetune(model, train, dev, config, out=tmp_path / "python")
    here, there = (
        json.loads((folder / "state" / "current.json").read_text())["fingerprint"]
        for folder in (tmp_path / "python", made / "run")
    )
    assert here == there


def test_settings_for_which_the_model_was_not_built_are_refused(made: Corpus, tmp_path: Path) -> None:
    train, dev = (read_manifest(made / f"{split}.jsonl") for split in ("train", "dev"))
    model = transfer(source_model("dnn"), Vocabulary.from_texts(u.text for u in train)).model
    for setting in ("adapter_dim=16", "extra_layers=1", "lora_rank=4"):
        config = load_config(None, [*SETTINGS, f"transfer.{setting}"])
        name, _, value = setting.partition("=")
        with pytest.raises(InputError, match=rf"transfer\.{name} = {value}, but the model was built with 0"):
            finetune(model, train, dev, config, out=tmp_path)


# Damaged files -------------------------------------------------------------------------------------------------------


def without(*keys: str) -> Callable[[dict[str, Any]], object]:
    def change(tree: dict[str, Any]) -> object:
        inner = tree
        for key in keys[:-1]:
            inner = inner[key]
        del inner[keys[-1]]
        return tree

    return change


def with_value(value: object, *keys: str) -> Callable[[dict[str, Any]], object]:
    def change(tree: dict[str, Any]) -> object:
        inner = tree
        for key in keys[:-1]:
            inner = inner[key]
        inner[keys[-1]] = value
        return tree

    return change


DAMAGES = [
    without("fingerprint"),
    without("folder"),
    without("progress"),
    without("progress", "step"),
    without("progress", "best"),
    with_value("7", "progress", "step"),
    with_value([[1.0]], "progress", "best"),
    with_value(3, "progress", "more"),
    with_value("../../elsewhere", "folder"),
    lambda tree: [tree],
]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_state_is_one_clear_error(corpus: Corpus, damage: Callable[[dict[str, Any]], object]) -> None:
    move_files(corpus)
    stop(corpus)
    path = corpus / "run" / "state" / "current.json"
    path.write_text(json.dumps(damage(json.loads(path.read_text()))))
    for read in (lambda: run(corpus), lambda: training_cost(corpus / "run")):
        with pytest.raises(InputError, match=r"current\.json: damaged .*; delete the run's folder to start anew"):
            read()


@pytest.mark.parametrize("line", ['{"loss": 1.0}', '{"step": "2"}', "[2]", '{"step": 2'])
def test_a_damaged_line_of_metrics_is_named(corpus: Corpus, line: str) -> None:
    move_files(corpus)
    stop(corpus)
    path = corpus / "run" / "metrics.jsonl"
    path.write_text(line + "\n" + path.read_text())
    with pytest.raises(InputError, match=r"metrics\.jsonl:1: .*; delete the run's folder to start anew"):
        run(corpus)


def test_a_last_line_of_metrics_that_was_not_written_whole_is_removed(corpus: Corpus) -> None:
    move_files(corpus)
    stop(corpus)
    path = corpus / "run" / "metrics.jsonl"
    whole = path.read_text()
    path.write_text(whole + '{"step": 2, "lo')
    run(corpus)
    assert path.read_text() == whole


def test_a_state_of_a_version_that_did_not_count_frames_is_resumed(corpus: Corpus) -> None:
    move_files(corpus)
    stop(corpus)
    path = corpus / "run" / "state" / "current.json"
    saved = json.loads(path.read_text())
    del saved["progress"]["valid_frames"], saved["progress"]["padded_frames"]
    path.write_text(json.dumps(saved))
    assert (run(corpus) / "model" / "model.json").exists()


# A full disk, weights that are not finite ----------------------------------------------------------------------------


def trained(made: Corpus, out: Path, config: FinetuneConfig) -> AcousticModel:
    train, dev = (read_manifest(made / f"{split}.jsonl") for split in ("train", "dev"))
    return finetune(fresh(train), train, dev, config, out=out)


def fresh(train: list[Utterance]) -> AcousticModel:
    return transfer(source_model("dnn"), Vocabulary.from_texts(u.text for u in train)).model


def test_a_full_disk_is_one_clear_error_and_leaves_the_previous_state(
    made: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = settings(steps=6, evaluate_every_steps=2, average_best=2)
    undisturbed = state(trained(made, tmp_path / "undisturbed", config))
    save, calls = torch.save, []

    def full(value: object, path: Path) -> None:
        calls.append(path)
        if len(calls) == 2:
            Path(path).write_bytes(b"half")
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        save(value, path)

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", full)
        with pytest.raises(InputError, match=r"step-0000004.*[Nn]o space left"):
            trained(made, tmp_path / "run", config)
    states = tmp_path / "run" / "state"
    assert sorted(path.name for path in states.iterdir()) == ["current.json", "step-0000002"]
    assert training_cost(tmp_path / "run")[0] == 2
    resumed = state(trained(made, tmp_path / "run", config))
    assert all(torch.equal(value, undisturbed[name]) for name, value in resumed.items())


def test_a_disk_that_is_full_for_metrics_is_one_clear_error(
    made: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(InputError, match=r"/dev/full: cannot be written \(No space left on device\)"):
        metrics._append(Path("/dev/full"), b"row")
    pytest.importorskip("tensorboard")
    monkeypatch.setitem(metrics._event_files, tmp_path / "tensorboard", Path("/dev/full"))
    with pytest.raises(InputError, match=r"/dev/full: cannot be written"):
        trained(made, tmp_path, settings(steps=1, evaluate_every_steps=1))
    assert "Traceback" not in capfd.readouterr().err


def test_metrics_are_shown_by_tensorboard(made: Corpus) -> None:
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    shown = reader.EventAccumulator(str(made / "run" / "tensorboard")).Reload()
    rows = [json.loads(line) for line in (made / "run" / "metrics.jsonl").read_text().splitlines()]
    assert len(rows) == 2 and set(shown.Tags()["scalars"]) == {"dev_wer", "dev_cer", "blank_ratio"}
    for name in ("dev_wer", "dev_cer"):
        assert [(event.step, event.value) for event in shown.Scalars(name)] == [
            (row["step"], pytest.approx(row[name])) for row in rows
        ]


def test_weights_that_are_not_finite_are_not_saved(made: Corpus, tmp_path: Path) -> None:
    """A rate of 1e300 overflows float32 in the last step, after which no loss would notice."""
    config = settings(steps=1, evaluate_every_steps=1, encoder_lr=1e300, head_lr=1e300, warmup_steps=0)
    with pytest.raises(InputError, match="finite"):
        trained(made, tmp_path, config)
    assert not list(tmp_path.rglob("*.safetensors"))


def test_a_run_that_was_deleted_is_made_again_in_one_process(corpus: Corpus) -> None:
    """As in a notebook; the event file of the first run is gone with its folder."""
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    move_files(corpus)
    for _ in range(2):
        shutil.rmtree(corpus / "run", ignore_errors=True)
        run(corpus)
    assert reader.EventAccumulator(str(corpus / "run" / "tensorboard")).Reload().Scalars("dev_wer")
