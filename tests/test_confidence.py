"""Confidences of words: posteriors against sums over all paths, calibration against scikit-learn, its errors by hand."""

import itertools
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.calibration import calibration_curve
from sklearn.linear_model import LogisticRegression
from torch import Tensor

import speechxfer as sx
from speechxfer.checkpoints import load_model, save_model
from speechxfer.decoding import GreedyDecoder, Hypothesis, Word, score_hypotheses, transcribe
from speechxfer.decoding.hypotheses import calibrate
from speechxfer.decoding.posteriors import PlacedWord, word_posteriors
from speechxfer.errors import InputError
from speechxfer.scoring import Calibration, fit_calibration, judge_words, read_report, score, score_confidences
from speechxfer.scoring.confidence import JudgedWords
from speechxfer.text import BLANK, Vocabulary
from speechxfer.training import finetune
from speechxfer.workflows import describe
from tests.small_models import settings, source_model, write_tones

LETTERS = Vocabulary((BLANK, " ", "a", "b"))


# ------------------------------------------------------------------------------------------------------- posteriors
def random_probs(frames: int, symbols: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(frames, symbols, generator=generator, dtype=torch.float64).mul(2).softmax(dim=-1)


def runs(path: tuple[int, ...]) -> list[tuple[int, int, int]]:
    """Symbol, first frame and end of each run of equal symbols other than blank."""
    groups = (
        (symbol, [frame for frame, _ in group])
        for symbol, group in itertools.groupby(enumerate(path), key=lambda x: x[1])
    )
    return [(symbol, frames[0], frames[-1] + 1) for symbol, frames in groups if symbol]


def brute_force(probs: Tensor, word: PlacedWord, space: int | None, margin: int) -> float:
    """The probability of all paths that have the word within its frames and the margin, times how often they have it."""
    total, rows = 0.0, probs.tolist()
    begin, end = word.start - margin, word.end + margin
    for path in itertools.product(range(probs.shape[1]), repeat=len(rows)):
        found, spans = 0, runs(path)
        for place in range(len(spans) - len(word.symbols) + 1):
            part = spans[place : place + len(word.symbols)]
            around = [*(spans[place - 1 : place] if place else []), *spans[place + len(word.symbols) :][:1]]
            same = tuple(symbol for symbol, _, _ in part) == word.symbols
            bounded = space is None or all(symbol == space for symbol, _, _ in around)
            found += same and bounded and part[0][1] >= begin and part[-1][2] <= end
        total += found * math.prod(row[symbol] for row, symbol in zip(rows, path, strict=True))
    return total


@pytest.mark.parametrize("space", [1, None])
@pytest.mark.parametrize("margin", [0, 1])
def test_the_posterior_of_a_word_is_the_sum_over_all_paths(space: int | None, margin: int) -> None:
    probs = random_probs(6, 4, seed=3)
    words = [PlacedWord((2,), 0, 1), PlacedWord((2, 3), 2, 5), PlacedWord((3, 3), 1, 4), PlacedWord((3, 2, 3), 1, 6)]
    found = word_posteriors(probs.numpy(), words, space, margin)
    expected = [min(1.0, brute_force(probs, word, space, margin)) for word in words]
    assert all(value > 1e-4 for value in expected)
    assert found == pytest.approx(expected, rel=1e-9)


def test_a_decoded_word_has_the_posterior_of_its_place() -> None:
    """Frames of 0.1 s: a word may begin and end one frame beside its most probable alignment."""
    probs = torch.full((7, 4), 0.05)
    for frame, (symbol, p) in enumerate(zip([0, 2, 3, 0, 1, 3, 0], [0.9, 0.5, 0.7, 0.85, 0.6, 0.4, 0.9], strict=True)):
        probs[frame] = (1 - p) / 3
        probs[frame, symbol] = p
    [hypothesis] = GreedyDecoder(LETTERS, 0.1).decode([probs.log()])
    assert [word.text for word in hypothesis.words] == ["ab", "b"]
    expected = [
        brute_force(probs.double(), PlacedWord((2, 3), 1, 3), 1, 1),
        brute_force(probs.double(), PlacedWord((3,), 5, 6), 1, 1),
    ]
    assert [word.confidence for word in hypothesis.words] == pytest.approx(expected, rel=1e-5)


# ------------------------------------------------------------------------------------------------------ calibration
def overconfident_words(count: int, seed: int = 0) -> tuple[list[float], list[bool]]:
    """Raw confidences, and whether each word is right: with the probability that a known calibration gives."""
    generator = np.random.default_rng(seed)
    raw = generator.uniform(0.01, 0.999, count)
    true = np.array(Calibration(0.6, -0.8, 0)(raw.tolist()))
    return raw.tolist(), (generator.uniform(size=count) < true).tolist()


def test_a_calibration_is_the_logistic_regression_of_scikit_learn_on_platts_targets() -> None:
    raw, right = overconfident_words(300)
    fitted = fit_calibration(raw, right)
    positive, negative = sum(right), len(right) - sum(right)
    targets = [(positive + 1) / (positive + 2) if one else 1 / (negative + 2) for one in right]
    logits = np.log(np.array(raw) / (1 - np.array(raw)))[:, None]
    reference = LogisticRegression(C=1e12, tol=1e-12, max_iter=10_000).fit(
        np.concatenate([logits, logits]),
        [1] * len(raw) + [0] * len(raw),
        sample_weight=targets + [1 - target for target in targets],
    )
    assert fitted is not None
    assert (fitted.slope, fitted.intercept) == pytest.approx((reference.coef_[0, 0], reference.intercept_[0]), rel=1e-4)
    assert fitted.words == 300


def test_a_calibration_recovers_the_true_probabilities() -> None:
    fitted = fit_calibration(*overconfident_words(20_000))
    assert fitted is not None
    assert (fitted.slope, fitted.intercept) == (pytest.approx(0.6, abs=0.05), pytest.approx(-0.8, abs=0.05))


def test_words_that_are_all_right_or_separable_give_a_finite_calibration() -> None:
    separable = fit_calibration([0.1] * 20 + [0.9] * 20, [False] * 20 + [True] * 20)
    certain = fit_calibration([0.5, 0.9] * 20, [True] * 40)
    opposite = fit_calibration([0.9] * 20 + [0.1] * 20, [False] * 20 + [True] * 20)
    assert separable is not None and certain is not None and opposite is not None
    assert separable([0.1, 0.9]) == pytest.approx([1 / 22, 21 / 22], abs=1e-3)  # Platt's targets
    assert certain([0.5]) == pytest.approx([41 / 42], abs=1e-2)
    assert opposite([0.1, 0.9]) == pytest.approx([0.5, 0.5])
    assert fit_calibration([0.5] * 19, [True] * 19) is None


# ----------------------------------------------------------------------------------------------------------- scores
def test_the_expected_calibration_error_by_hand() -> None:
    """Three words in bins of one: |0.9 - 1|, |0.6 - 0| and |0.2 - 0|, their mean is 0.3."""
    result = score_confidences(JudgedWords((0.9, 0.2, 0.6), (True, False, False), ("a", "a", "b")), calibrated=False)
    assert result is not None
    assert result.ece == pytest.approx(0.3)
    assert [(one.words, one.confidence, one.right) for one in result.bins] == [
        (1, 0.2, 0.0),
        (1, 0.6, 0.0),
        (1, 0.9, 1.0),
    ]
    entropy = -(1 / 3 * math.log2(1 / 3) + 2 / 3 * math.log2(2 / 3))
    cross = -(math.log2(0.9) + math.log2(0.8) + math.log2(0.4)) / 3
    assert result.nce == pytest.approx((entropy - cross) / entropy)
    assert str(result).startswith("confidence of words (raw): expected calibration error 30.0 % [")


def test_bins_are_those_of_scikit_learn() -> None:
    raw, right = overconfident_words(1500)
    result = score_confidences(JudgedWords(tuple(raw), tuple(right), tuple(map(str, range(1500)))), calibrated=False)
    shares, means = calibration_curve(right, raw, n_bins=15, strategy="quantile")
    assert result is not None
    assert [one.right for one in result.bins] == pytest.approx(
        shares.tolist(), abs=0.02
    )  # quantiles are interpolated there
    assert [one.confidence for one in result.bins] == pytest.approx(means.tolist(), abs=0.002)
    assert result.ece == pytest.approx(np.abs(shares - means).mean(), abs=0.005)


def test_calibrated_words_have_a_smaller_error_and_their_interval_contains_it() -> None:
    fitted = fit_calibration(*overconfident_words(1000, seed=1))
    raw, right = overconfident_words(3000, seed=2)
    units = tuple(f"speaker{number % 30}" for number in range(3000))
    assert fitted is not None
    before = score_confidences(JudgedWords(tuple(raw), tuple(right), units), calibrated=False)
    after = score_confidences(JudgedWords(tuple(fitted(raw)), tuple(right), units), calibrated=True)
    assert before is not None and after is not None
    assert after.ece < 0.04 < 0.1 < before.ece
    assert before.interval[0] < before.ece < before.interval[1]
    assert after.nce > before.nce
    assert score_confidences(JudgedWords((), (), ()), calibrated=False) is None


def test_words_are_judged_by_the_alignment_of_the_report() -> None:
    report = score(
        {"u": "one two three", "v": ""}, {"u": "one too three four", "v": "five"}, speakers={"u": "", "v": ""}
    )
    words = judge_words(report, {"u": [0.9, 0.8, 0.7, 0.6], "v": [0.5]})
    assert words == JudgedWords((0.9, 0.8, 0.7, 0.6, 0.5), (True, False, True, False, False), ("u",) * 4 + ("v",))


# ----------------------------------------------------------------------------------------------------------- models
def test_a_calibrated_hypothesis_has_the_expected_share_of_right_words() -> None:
    words = (Word("a", 0.0, 0.1, 0.9), Word("b", 0.2, 0.3, 0.5))
    raw = Hypothesis("a b", 10, 5, 0.77, words)
    halved = calibrate(raw, Calibration(slope=0.5, intercept=0.0, words=50))
    assert [word.confidence for word in halved.words] == pytest.approx([0.75, 0.5])  # the logit of 0.9 is log(9)
    assert halved.confidence == pytest.approx(0.625)
    assert calibrate(raw, None) == raw


def test_a_calibration_is_stored_with_the_model(tmp_path: Path) -> None:
    model = source_model()
    save_model(model, tmp_path / "raw")
    assert load_model(tmp_path / "raw").calibration is None
    assert "confidence of words: raw, not calibrated" in describe(str(tmp_path / "raw"))
    model.calibration = Calibration(0.7, -1.25, 321)
    save_model(model, tmp_path / "calibrated")
    assert load_model(tmp_path / "calibrated").calibration == Calibration(0.7, -1.25, 321)
    line = "confidence of words: calibrated on 321 words of dev (slope 0.7, intercept -1.25)"
    assert line in describe(str(tmp_path / "calibrated"))
    description = json.loads((tmp_path / "calibrated" / "model.json").read_text())
    for damaged in ({"slope": "a"}, {"slope": -1.0}, {"intercept": math.inf}, 3):
        broken = description["calibration"] | damaged if isinstance(damaged, dict) else damaged
        (tmp_path / "calibrated" / "model.json").write_text(json.dumps(description | {"calibration": broken}))
        with pytest.raises(InputError, match=r"model\.json"):
            load_model(tmp_path / "calibrated")


def test_training_calibrates_on_dev_and_evaluation_reports_it(tmp_path: Path) -> None:
    tones = write_tones(tmp_path)
    dev = [replace(utterance, id=f"{utterance.id}-{copy}") for copy in range(8) for utterance in tones.dev]
    model = source_model(vocabulary=Vocabulary.from_texts(u.text for u in tones.train))
    model.calibration = Calibration(9.0, 9.0, 9)  # of earlier weights
    config = settings(steps=40, evaluate_every_steps=40, encoder_lr=3e-3, head_lr=3e-3)
    trained = finetune(model, tones.train, dev, config, out=tmp_path / "run")
    trained.calibration, stored = None, trained.calibration
    raw = transcribe(trained, dev)
    report = score_hypotheses(trained, dev, raw)
    values = {id_: [word.confidence for word in hypothesis.words] for id_, hypothesis in raw.items()}
    judged = judge_words(report, values)
    assert len(judged.right) >= 20 and True in judged.right and False in judged.right
    assert stored is not None and stored.slope > 0
    assert stored == fit_calibration(judged.confidences, judged.right)
    trained.calibration = stored
    calibrated = sx.evaluate(trained, dev)
    assert report.confidence is not None and calibrated.confidence is not None and stored is not None
    assert (report.confidence.calibrated, calibrated.confidence.calibrated) == (False, True)
    assert transcribe(trained, dev)[dev[0].id].confidence == pytest.approx(np.mean(stored(values[dev[0].id])))
    (tmp_path / "report.json").write_text(calibrated.to_json())
    assert read_report(tmp_path / "report.json").confidence == calibrated.confidence
    assert "confidence of words (calibrated)" in str(calibrated)
