"""The verb `average`: means worked out by hand, what is refused, what goes along with the weights."""

from pathlib import Path
from typing import Any

import pytest
import torch

from speechxfer.checkpoints.card import Card, read_card
from speechxfer.checkpoints.loading import load_model
from speechxfer.checkpoints.model_folders import save_model
from speechxfer.data.manifest import read_manifest
from speechxfer.decoding.evaluation import evaluate
from speechxfer.errors import InputError
from speechxfer.models.acoustic_model import AcousticModel
from speechxfer.scoring import Calibration
from speechxfer.scoring.scorer import score
from speechxfer.text.vocabulary import Vocabulary
from speechxfer.workflows import averaging
from speechxfer.workflows.averaging import average_models
from tests.small_models import source_model
from tests.test_inventory import run
from tests.tone_corpus import write_tone_corpus


def adapted(folder: Path, seed: int, model: AcousticModel | None = None, parent: str = "source", **changes: Any) -> str:
    """A model's folder with the card of an adaptation with this seed; its weights are `seed` more than those of seed 0."""
    model = model or source_model()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.01 * seed
    config = {"finetune": {"seed": seed} | changes}
    save_model(model, folder, Card(folder.name, parent, details={"config": config, "seed": seed, "wall_s": 10.0}))
    return str(folder)


@pytest.fixture
def dev(tmp_path: Path) -> Path:
    write_tone_corpus(tmp_path / "dev.jsonl", 3, letters="ab", seed=2, words=(1, 3))
    return tmp_path / "dev.jsonl"


def test_the_average_has_the_mean_of_the_weights(dev: Path, tmp_path: Path) -> None:
    """Weights that are 1, 2 and 6 hundredths more than those of a model: the mean is 3 hundredths more."""
    names = [adapted(tmp_path / f"x-{seed}", seed) for seed in (1, 2, 6)]
    found_score = average_models(names, [dev], tmp_path / "mean")
    found, expected = load_model(tmp_path / "mean"), load_model(adapted(tmp_path / "expected", 3))
    for name, value in expected.state_dict().items():
        assert torch.allclose(found.state_dict()[name], value, atol=1e-6), name
    assert found_score.wer == evaluate(expected, read_manifest(dev)).wer
    card = read_card(tmp_path / "mean")
    assert (card.name, card.parent) == ("mean", "source")
    assert (card.details["averaged"], card.details["seed"], card.details["wall_s"]) == (names, 1, 30.0)


def test_what_cannot_be_averaged_is_refused(dev: Path, tmp_path: Path) -> None:
    first = adapted(tmp_path / "first", 1)
    other_symbols = source_model(vocabulary=Vocabulary(("<blank>", "a", "q"), "characters"))
    refused = {
        "1 model is given; give at least 2": [first],
        "were trained with the same seed": [first, adapted(tmp_path / "again", 1)],
        r"not one model with several seeds \(finetune.patience differ\)": [
            first,
            adapted(tmp_path / "patient", 2, patience=3),
        ],
        "different symbols or layers": [first, adapted(tmp_path / "symbols", 2, other_symbols)],
        "was trained from random weights": [adapted(tmp_path / f"scratch-{n}", n, parent="") for n in (1, 2)],
    }
    for message, names in refused.items():
        with pytest.raises(InputError, match=message):
            average_models(names, [dev], tmp_path / "mean")
    assert not (tmp_path / "mean").exists()
    names = [first, adapted(tmp_path / "second", 2)]
    average_models(names, [dev], tmp_path / "mean")
    with pytest.raises(InputError, match="exists"):
        average_models(names, [dev], tmp_path / "mean")


def test_language_models_go_along_if_all_models_have_them(dev: Path, tmp_path: Path) -> None:
    names = [adapted(tmp_path / f"x-{seed}", seed) for seed in (1, 2)]
    (tmp_path / "x-1" / "character.lm").write_bytes(b"first")
    (tmp_path / "x-1" / "decoding.json").write_bytes(b"weights")
    average_models(names, [dev], tmp_path / "without")
    assert not (tmp_path / "without" / "model" / "character.lm").exists()
    (tmp_path / "x-2" / "character.lm").write_bytes(b"second")
    average_models(names, [dev], tmp_path / "with")
    assert (tmp_path / "with" / "model" / "character.lm").read_bytes() == b"first"
    assert (tmp_path / "with" / "model" / "decoding.json").read_bytes() == b"weights"


def test_the_confidences_of_the_average_are_calibrated(
    dev: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted = Calibration(slope=0.5, intercept=0.25, words=21)
    monkeypatch.setattr(averaging, "fit_confidences", lambda *_: fitted)
    average_models([adapted(tmp_path / f"x-{seed}", seed) for seed in (1, 2)], [dev], tmp_path / "mean")
    assert load_model(tmp_path / "mean").calibration == fitted


def test_the_command_line_shows_the_rates(dev: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = [adapted(tmp_path / f"x-{seed}", seed) for seed in (1, 2)]
    code, out, err = run(["average", *names, "--dev", dev, "--out", tmp_path / "mean"], capsys)
    assert code == 0 and not out
    assert err[0].startswith("WER, CER % on dev: the average ") and err[0].count(";") == 2
    assert err[-1].startswith(f"wrote {tmp_path / 'mean' / 'model'}; next: speechxfer evaluate ")
    code, _, err = run(["average", names[0], "--dev", dev, "--out", tmp_path / "one"], capsys)
    assert code == 2 and "give at least 2" in err[-1]


def test_a_model_that_is_better_than_the_average_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = score({"a": "x y"}, {"a": "x y"}), score({"a": "x y"}, {"a": "z z"})
    averaging._log(bad, [bad, good])
    assert capsys.readouterr().err.splitlines() == [
        "WER, CER % on dev: the average 100.0, 66.7; 100.0, 66.7; 0.0, 0.0",
        "warning: model 2 has fewer errors on dev than the average; use that one",
    ]
    averaging._log(good, [bad, good])
    assert "warning" not in capsys.readouterr().err
