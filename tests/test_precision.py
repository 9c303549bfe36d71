"""The number format of a run: as set, or by timing both once; recorded, and followed when the run is started again."""

import json
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator

from speechxfer.errors import InputError
from speechxfer.features.batches import Batch
from speechxfer.models.acoustic_model import AcousticModel
from speechxfer.training import precision
from speechxfer.training.loop import finetune
from speechxfer.training.precision import choose_bfloat16, time_steps
from speechxfer.training.state import has_state, training_precision
from tests.small_models import Tones, settings, source_model, write_tones

BATCH = Batch(("a", "b"), torch.randn(2, 80, 80), torch.tensor([80, 40]), torch.tensor([1, 2, 1]), torch.tensor([2, 1]))


@pytest.fixture(scope="module")
def tones(tmp_path_factory: pytest.TempPathFactory) -> Tones:
    return write_tones(tmp_path_factory.mktemp("tones"))


def train(tones: Tones, out: Path, **changes: object) -> None:
    torch.manual_seed(0)
    finetune(source_model("dnn"), tones.source, tones.source, settings(precision="auto", **changes), out=out)


@pytest.fixture
def timed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, float]]:
    """What timing finds, (float32, bfloat16) in seconds; each is taken once."""
    found: list[tuple[float, float]] = []
    monkeypatch.setattr(precision, "supports_bfloat16", lambda _: True)
    monkeypatch.setattr(precision, "time_steps", lambda *_: found.pop())
    return found


@pytest.mark.parametrize(("seconds", "expected"), [((2.0, 1.0), "bf16"), ((1.0, 2.0), "fp32"), ((1.0, 0.99), "fp32")])
def test_auto_is_the_faster_format(
    seconds: tuple[float, float], expected: str, tones: Tones, tmp_path: Path, timed: list[tuple[float, float]]
) -> None:
    timed.append(seconds)
    train(tones, tmp_path / "run")
    assert training_precision(tmp_path / "run") == expected
    record = json.loads((tmp_path / "run" / "precision.json").read_text(encoding="utf-8"))
    assert (record["fp32 step s"], record["bf16 step s"]) == seconds


def test_a_run_that_is_started_again_is_not_timed_again(
    tones: Tones, tmp_path: Path, timed: list[tuple[float, float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run"
    timed.append((2.0, 1.0))
    with monkeypatch.context() as patch:
        patch.setattr("speechxfer.training.loop.save_state", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            train(tones, out)  # stopped before its first state
    assert not timed and not has_state(out)
    train(tones, out)  # an empty list of times would raise IndexError
    (out / "precision.json").unlink()
    train(tones, out)  # by its state
    assert training_precision(out) == "bf16"


@pytest.mark.parametrize("choice", ["fp32", "bf16"])
def test_what_is_set_is_not_timed(choice: str, tones: Tones, tmp_path: Path, timed: list[tuple[float, float]]) -> None:
    finetune(source_model("dnn"), tones.source, tones.source, settings(precision=choice), out=tmp_path / "run")
    assert training_precision(tmp_path / "run") == choice
    assert not (tmp_path / "run" / "precision.json").exists()


@pytest.mark.parametrize("choice", ["fp32", "bf16"])
def test_dev_is_decoded_in_the_number_format_of_the_steps(choice: str, tones: Tones, tmp_path: Path) -> None:
    model, found = source_model("dnn"), []
    model.head.register_forward_hook(lambda module, _, output: None if module.training else found.append(output.dtype))
    finetune(model, tones.source, tones.source, settings(precision=choice), out=tmp_path / "run")
    assert set(found) == {torch.bfloat16 if choice == "bf16" else torch.float32}


def test_a_record_of_other_weights_does_not_count(
    tones: Tones, tmp_path: Path, timed: list[tuple[float, float]]
) -> None:
    (tmp_path / "precision.json").write_text('{"bf16": true, "first weights": "0"}', encoding="utf-8")
    timed.append((1.0, 2.0))
    train(tones, tmp_path)
    assert training_precision(tmp_path) == "fp32"


def test_only_the_process_that_decides_records_its_choice(tmp_path: Path, timed: list[tuple[float, float]]) -> None:
    """Of several processes that start together each times, and that of the first one counts."""
    accelerator = Accelerator(cpu=True)
    timed.append((2.0, 1.0))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(accelerator), "is_main_process", False)
        choose_bfloat16("auto", source_model("dnn"), BATCH, tmp_path, "0", accelerator)
    assert not timed and not (tmp_path / "precision.json").exists()


def test_a_damaged_record_is_named(tones: Tones, tmp_path: Path, timed: list[tuple[float, float]]) -> None:
    (tmp_path / "precision.json").write_text('{"bf16": 1}', encoding="utf-8")
    with pytest.raises(InputError, match=r"precision\.json: damaged .*start anew"):
        train(tones, tmp_path)


def test_timing_changes_neither_model_nor_random_state() -> None:
    model: AcousticModel = source_model("conformer").eval()
    model.head.train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    random_state = torch.get_rng_state()
    assert min(time_steps(model, BATCH)) > 0
    assert torch.equal(torch.get_rng_state(), random_state)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert model.head.training and not model.encoder.layers[0].training  # type: ignore[union-attr,index]
    assert all(parameter.grad is None for parameter in model.parameters())
