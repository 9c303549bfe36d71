"""The linear probe against scikit-learn, and runs that start from it."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from speechxfer.adaptation.construction import transfer
from speechxfer.checkpoints.weights import read_weights
from speechxfer.data.manifest import Utterance
from speechxfer.features.extraction import AudioOptions, utterance_features
from speechxfer.features.store import store_features
from speechxfer.models.acoustic_model import AcousticModel
from speechxfer.text.vocabulary import Vocabulary
from speechxfer.training.linear_probe import SCORE_VARIANCE, fit_linear_probe, logistic_regression
from speechxfer.training.loop import finetune
from speechxfer.training.state import training_cost
from tests.small_models import settings, source_model, state
from tests.tone_corpus import write_tone_corpus

Corpus = tuple[list[Utterance], list[Utterance]]


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Recordings of one letter each, four letters."""
    folder = tmp_path_factory.mktemp("words")
    made = [
        write_tone_corpus(folder / f"{part}.jsonl", count, letters="abcd", seed=seed, words=(1, 1), letters_in_word=1)
        for part, count, seed in (("train", 40, 1), ("dev", 12, 2))
    ]
    return made[0], made[1]


def model_of_words(words: Corpus, encoder: str = "cnn") -> AcousticModel:
    vocabulary = Vocabulary.from_texts((u.text for u in words[0]), "words")
    return transfer(source_model(encoder), vocabulary, task="classify").model


def rows(out: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


def test_the_regression_is_scikit_learns() -> None:
    generator = np.random.default_rng(0)
    inputs = generator.normal(size=(60, 24)).astype(np.float32)
    classes = generator.integers(0, 4, 60)
    weight, bias = logistic_regression(torch.from_numpy(inputs), torch.from_numpy(classes), 4)
    expected = LogisticRegression(C=SCORE_VARIANCE / 24, max_iter=2000, tol=1e-8).fit(inputs, classes)
    found = (torch.from_numpy(inputs) @ weight.T + bias).softmax(dim=-1).numpy()
    np.testing.assert_allclose(found, expected.predict_proba(inputs), atol=2e-3)
    assert np.abs(found - 0.25).max() > 0.2, "the classes can be distinguished"


@pytest.mark.parametrize("encoder", ["conformer", "cnn"])
def test_the_head_is_that_of_scikit_learn_on_pooled_outputs(words: Corpus, tmp_path: Path, encoder: str) -> None:
    """Outputs of every recording by itself, pooled, standardised and fitted by numpy and scikit-learn."""
    model = model_of_words(words, encoder).train()
    before, blank = state(model.encoder), model.head.weight[0].detach().clone()
    train, reading = words[0], AudioOptions(model.spec)
    targets = [model.vocabulary.encode(u.text)[0] for u in train]
    store = store_features(train, reading, tmp_path)
    fit_linear_probe(model, store.frames, store.get, [[0]] * len(train), targets)
    assert model.training and model.head.training
    assert all(torch.equal(value, before[name]) for name, value in model.encoder.state_dict().items())
    assert torch.equal(model.head.weight[0], blank)

    model.eval()
    gathered = []
    with torch.no_grad():
        for utterance in train:
            features = torch.from_numpy(utterance_features(utterance, reading))[None]
            gathered.append(model.pooling.pool(*model.encode(features, torch.tensor([features.shape[1]]))))
            assert model(features, torch.tensor([features.shape[1]]))[0].shape == (1, 1, 5)
    values = torch.cat(gathered).numpy()
    standard = (values - values.mean(axis=0)) / np.sqrt(values.var(axis=0) + 1e-5)
    expected = LogisticRegression(C=SCORE_VARIANCE / values.shape[1], max_iter=2000, tol=1e-8).fit(standard, targets)
    with torch.no_grad():
        normed = model.pooling.norm(torch.from_numpy(values)[:, None], torch.ones(len(values), 1, dtype=torch.bool))
        found = model.head(normed[:, 0])[:, 1:].softmax(dim=-1).numpy()
    np.testing.assert_allclose(found, expected.predict_proba(standard), atol=5e-3)


def test_head_only_training_takes_no_gradient_steps(
    words: Corpus, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = model_of_words(words)
    encoder = state(model.encoder)
    done = finetune(model, *words, settings(steps=None, freeze="encoder"), out=tmp_path)
    log = capsys.readouterr().err
    assert "head-only training: using the closed-form solution, no gradient steps" in log and "steps of" not in log
    assert [row["step"] for row in rows(tmp_path)] == [0]
    steps, wall_s = training_cost(tmp_path)
    assert steps == 0 and wall_s > 0, "the time of the closed-form solution is counted"
    assert all(torch.equal(value, encoder[name]) for name, value in done.encoder.state_dict().items())
    fitted = state(done)
    again = finetune(model_of_words(words), *words, settings(steps=None, freeze="encoder"), out=tmp_path)
    assert all(torch.equal(value, fitted[name]) for name, value in again.state_dict().items())
    assert [row["step"] for row in rows(tmp_path)] == [0]


def test_a_transfer_to_words_starts_from_the_closed_form_head(words: Corpus, tmp_path: Path) -> None:
    """And goes on from it: with a rate of zero the head stays what a frozen encoder ends with, while the encoder is trained."""
    frozen = finetune(model_of_words(words), *words, settings(freeze="encoder"), out=tmp_path / "frozen")
    finetune(model_of_words(words), *words, settings(head_lr=0.0), out=tmp_path / "moving")
    assert [row["step"] for row in rows(tmp_path / "moving") if "dev_wer" in row] == [0, 2, 4]
    last = read_weights(next((tmp_path / "moving" / "state").glob("step-*")) / "weights.safetensors")
    assert torch.equal(last["head.weight"], frozen.head.weight)
    moved = [not torch.equal(last[f"encoder.{name}"], value) for name, value in frozen.encoder.named_parameters()]
    assert all(moved)


def test_the_closed_form_head_uses_distorted_recordings_as_often_as_set(
    words: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Noise of its own on 0, some or all of 40 recordings at three speeds; twice the same head."""
    values: list[float] = []

    def noisy(samples: np.ndarray, generator: np.random.Generator, rate_hz: int) -> np.ndarray:
        values.append(generator.random())
        return samples + 0.1 * generator.standard_normal(len(samples)).astype(np.float32)

    monkeypatch.setattr("speechxfer.training.loading.distort", noisy)
    weights, counts = [], []
    for number, share in enumerate((0.0, 0.5, 1.0, 1.0)):
        values.clear()
        config = settings(distortion=share, speed_factors=(0.9, 1.0, 1.1), freeze="encoder")
        weights.append(finetune(model_of_words(words), *words, config, out=tmp_path / str(number)).head.weight)
        counts.append(len(values))
        assert len(set(values)) == len(values), "each has noise of its own"
    assert counts[0] == 0 and 40 < counts[1] < 80 and counts[2:] == [120, 120]
    assert torch.equal(weights[2], weights[3])
    assert not torch.equal(weights[0], weights[1]) and not torch.equal(weights[1], weights[2])


def test_random_weights_have_no_closed_form_head(words: Corpus, tmp_path: Path) -> None:
    model = model_of_words(words)
    model.parents = ()
    finetune(model, *words, settings(freeze="encoder"), out=tmp_path)
    assert [row["step"] for row in rows(tmp_path) if "dev_wer" in row] == [2, 4]
