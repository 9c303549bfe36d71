"""Ranking of sources: evidence against brute force, shared ranks, the better encoder first, by either method."""

import re
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from scipy.stats import multivariate_normal, ttest_rel

from recipes.ranking.agreement import agreement as rows_agreement
from speechxfer.checkpoints.card import Card
from speechxfer.checkpoints.loading import load_model
from speechxfer.checkpoints.model_folders import save_model
from speechxfer.checkpoints.sources import resolve_source
from speechxfer.config.loading import load_config
from speechxfer.data.manifest import read_manifest, write_manifest
from speechxfer.data.splits import split_train_dev
from speechxfer.decoding.log_probs import encode_utterances
from speechxfer.errors import InputError
from speechxfer.features.extraction import AudioOptions
from speechxfer.scoring.scorer import score
from speechxfer.workflows import ranking_finetune
from speechxfer.workflows.logme import logme_score
from speechxfer.workflows.ranking import Candidate, Ranking, _is_better, _ranks, rank_sources
from speechxfer.workflows.ranking_probe import jackknife_evidence, symbol_means
from speechxfer.workflows.results import add_row
from tests.test_results import ROW
from tests.test_runs import write_model
from tests.tone_corpus import write_tone_corpus


def brute_force_evidence(frames: np.ndarray, y: np.ndarray) -> float:
    """Maximum over alpha and beta of log N(y; 0, X X^T / alpha + I / beta) / n, by a general optimiser."""
    centred = frames - frames.mean(axis=0)

    def negative(logs: np.ndarray) -> float:
        covariance = centred @ centred.T / np.exp(logs[0]) + np.eye(len(y)) / np.exp(logs[1])
        return -float(multivariate_normal.logpdf(y, np.zeros(len(y)), covariance))

    starts = [minimize(negative, start, method="Nelder-Mead") for start in ([0.0, 0.0], [2.0, 2.0], [-2.0, 1.0])]
    return -min(found.fun for found in starts) / len(y)


@pytest.mark.parametrize(("frames", "dim"), [(40, 5), (30, 3), (12, 20)])
def test_logme_is_the_maximum_evidence(frames: int, dim: int) -> None:
    generator = np.random.default_rng(frames)
    values = generator.standard_normal((frames, dim))
    labels = (values[:, 0] + 0.7 * generator.standard_normal(frames) > 0).astype(int) + 1
    expected = np.mean([brute_force_evidence(values, (labels == label).astype(float)) for label in (1, 2)])
    assert logme_score(values, labels) == pytest.approx(expected, abs=2e-3)


def test_logme_prefers_frames_that_depend_on_the_labels() -> None:
    generator = np.random.default_rng(1)
    labels = generator.integers(1, 5, 300)
    dependent = np.eye(5)[labels] + 0.3 * generator.standard_normal((300, 5))
    assert logme_score(dependent, labels) > logme_score(generator.standard_normal((300, 5)), labels) + 0.2


def test_evidence_of_equal_frames_is_that_of_noise() -> None:
    """y is then noise around 0: its evidence is that of a normal distribution at its maximum likelihood."""
    labels = np.array([1, 1, 2, 2, 2])
    expected = np.mean(
        [multivariate_normal.logpdf(labels == label, 0, np.mean(labels == label)).mean() for label in (1, 2)]
    )
    assert logme_score(np.ones((5, 3)), labels) == pytest.approx(expected)


def candidate(name: str, wrong: int, total: int = 40, means: Sequence[float] = ()) -> Candidate:
    """`means` are the parts' means of a score that is a mean over parts: the jackknife is then the t-test."""
    references = {str(n): "ab" for n in range(total)}
    hypotheses = {str(n): "xb" if n < wrong else "ab" for n in range(total)}
    without = [(sum(means) - one) / (len(means) - 1) for one in means]
    return Candidate(name, score(references, hypotheses), 1.0, float(np.mean(means or 0.0)), tuple(without))


@pytest.mark.parametrize("seed", range(20))
def test_the_jackknife_of_a_mean_is_the_paired_t_test(seed: int) -> None:
    generator = np.random.default_rng(seed)
    one, other = generator.normal(0.7, 1, 10), generator.normal(0, 1, 10)
    expected = ttest_rel(one, other)
    better = _is_better(candidate("one", 1, means=one.tolist()), candidate("other", 1, means=other.tolist()))
    assert better == (expected.pvalue < 0.05 and expected.statistic > 0)


def test_candidates_without_a_significant_difference_share_ranks() -> None:
    """Parts that differ by 1 on both sides of 0 are a tie by any test; parts that all differ by 5 are none."""
    wave = [0.0, 1.0] * 5
    ordered = [candidate(name, 1, means=[base + sign * one for one in wave]) for name, base, sign in
               (("a", 20.0, 1), ("b", 15.0, 1), ("c", 15.9, -1), ("d", 10.0, 1))]  # fmt: skip
    assert _ranks(ordered) == ("1", "2-3", "2-3", "4")


def test_one_part_shows_no_difference() -> None:
    generator = np.random.default_rng(4)
    labels = generator.integers(1, 4, 12)
    _, without = jackknife_evidence(generator.standard_normal((12, 2)), labels, np.zeros(12, dtype=int))
    assert without == ()
    for few in (without, (0.0,)):
        one, other = (replace(candidate("", 1), logme=score, logme_without=few) for score in (9.0, 0.0))
        assert not _is_better(one, other)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """tones.jsonl; 'random', a network with random weights; 'constant', the same with zero input weights."""
    folder = tmp_path_factory.mktemp("ranking")
    write_tone_corpus(folder / "tones.jsonl", 90, letters="vwxyz", seed=5, words=(2, 3))
    write_model(folder / "random", "cnn")
    constant = load_model(folder / "random")
    with torch.no_grad():
        constant.encoder.strided[0].convolution.weight.zero_()
    save_model(constant, folder / "constant", Card("constant"))
    return folder


def test_the_encoder_that_distinguishes_sounds_comes_first(corpus: Path) -> None:
    names = [str(corpus / "constant"), str(corpus / "random")]
    ranking = rank_sources([corpus / "tones.jsonl"], names, config=load_config(None), jobs=1)
    assert [Path(one.name).name for one in ranking.candidates] == ["random", "constant"]
    assert ranking.ranks == ("1", "2")
    assert ranking.candidates[0].logme > ranking.candidates[1].logme
    assert str(ranking).splitlines()[1].startswith(f"1\t{names[1]}\t")


def test_utterances_that_cannot_be_aligned_are_excluded_with_a_message(
    corpus: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """180 symbols in two seconds: no encoder has as many frames."""
    utterances = [replace(u, id=f"n{u.id}") for u in read_manifest(corpus / "tones.jsonl")]
    for number in (7, 20, 33):
        utterances[number] = replace(utterances[number], text="vwxyz " * (number + 30))
    write_manifest(tmp_path / "tones.jsonl", utterances)
    names = [str(corpus / "constant"), str(corpus / "random")]
    ranking = rank_sources([tmp_path / "tones.jsonl"], names, config=load_config(None), jobs=1)
    assert [Path(one.name).name for one in ranking.candidates] == ["random", "constant"]
    assert np.isfinite([one.logme for one in ranking.candidates]).all()
    assert re.search(r"random: [123] of \d+ utterances are too short for their text", capfd.readouterr().err)


def test_evidence_does_not_depend_on_the_frame_rate(tmp_path: Path) -> None:
    """Repeating every frame four times changes nothing."""
    generator = np.random.default_rng(0)
    frames, aligned = generator.standard_normal((60, 6)), np.repeat(generator.integers(0, 4, 30), 2)
    lengths = np.array([40, 20])
    np.savez(tmp_path / "slow.npz", lengths=lengths, frames=frames)
    np.savez(tmp_path / "fast.npz", lengths=4 * lengths, frames=frames.repeat(4, axis=0))
    slow, fast = (symbol_means(tmp_path / name, np.split(aligned, [40])) for name in ("slow.npz", "fast.npz"))
    np.testing.assert_allclose(slow[0], fast[0])
    assert logme_score(*slow[:2]) == pytest.approx(logme_score(*fast[:2]))
    assert set(slow[2][:5]) == {0} and set(slow[2][-3:]) == {1}


def test_evidence_without_each_part_of_the_utterances() -> None:
    """Three utterances are three parts; of twelve, the first and the eleventh are one part."""
    generator = np.random.default_rng(3)
    frames, labels, numbers = generator.standard_normal((48, 4)), generator.integers(1, 4, 48), np.arange(48) // 4
    few = numbers < 3
    whole, without = jackknife_evidence(frames[few], labels[few], numbers[few])
    assert whole == logme_score(frames[few], labels[few]) and len(without) == 3
    assert without[1] == logme_score(frames[few & (numbers != 1)], labels[few & (numbers != 1)])
    others = ~np.isin(numbers, (0, 10))
    assert jackknife_evidence(frames, labels, numbers)[1][0] == logme_score(frames[others], labels[others])


def test_a_ranking_is_compared_with_the_order_after_fine_tuning() -> None:
    """Probes: a, b, c, d; fine-tuning: a, c, b, d. Five pairs agree, one does not: tau is (5 - 1) / 6. LogME agrees."""
    wrong_after = {"a": 1, "b": 20, "c": 10, "d": 30}
    found = [replace(candidate(name, wrong), finetuned=candidate("", wrong_after[name]).report) for name, wrong in
             (("a", 1), ("b", 10), ("c", 11), ("d", 40))]  # fmt: skip
    evidence = {"a": 4.0, "c": 3.0, "b": 2.0, "d": 1.0}
    ranking = Ranking(tuple(replace(one, logme=evidence[one.name]) for one in found), ("1", "2-3", "2-3", "4"), "logme")
    assert ranking.agreement() == pytest.approx({"LogME": 1.0, "probe": 4 / 6})
    lines = str(ranking).splitlines()
    assert lines[2].split("\t")[6].startswith("25.0") and "1.00 by LogME, 0.67 by probe" in lines[-1]


def test_a_ranking_by_brief_fine_tuning_is_ordered_and_compared_by_its_error_rates() -> None:
    """Brief fine-tuning: a, b, c; fine-tuning: b, a, c. Two pairs agree, one does not: tau is 1 / 3."""
    found = [replace(brief(name, wrong), finetuned=candidate("", after).report) for name, wrong, after in
             (("a", 2, 10), ("b", 20, 5), ("c", 21, 30))]  # fmt: skip
    assert _ranks(found) == ("1", "2-3", "2-3")
    ranking = Ranking(tuple(found), _ranks(found), "finetune")
    assert ranking.agreement() == pytest.approx({"brief fine-tuning": 1 / 3})
    lines = str(ranking).splitlines()
    assert lines[0].split("\t")[2] == "CER % after a brief fine-tuning"
    assert [len(line.split("\t")) for line in lines[:-1]] == [7] * 4
    assert lines[1].split("\t")[:3] == ["1", "a", "2.5"]
    assert lines[-1].endswith("0.33 by brief fine-tuning")


def brief(name: str, wrong: int) -> Candidate:
    return replace(candidate(name, wrong), logme=None)


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """An empty working folder and an empty folder for temporary files; brief fine-tuning takes 4 steps of 5 s."""
    work, temporary = tmp_path / "work", tmp_path / "temporary"
    work.mkdir()
    temporary.mkdir()
    monkeypatch.chdir(work)
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    monkeypatch.setattr(ranking_finetune, "STEPS", 4)
    monkeypatch.setattr(ranking_finetune, "BATCH_S", 5.0)
    return work, temporary


@pytest.fixture(scope="module")
def commands(corpus: Path) -> Path:
    """A manifest of single tones, of five pitches; each utterance is one label."""
    write_tone_corpus(corpus / "commands.jsonl", 60, letters="vwxyz", seed=5, words=(1, 1), letters_in_word=1)
    return corpus / "commands.jsonl"


FROZEN = ["finetune.freeze=encoder", "text.task=classify", "text.vocabulary=words", "data.repeats=[1, 2]"]


def test_brief_fine_tuning_puts_the_encoder_that_distinguishes_sounds_first(
    commands: Path, folders: tuple[Path, Path]
) -> None:
    """Encoders are frozen: where their outputs do not depend on the input, at most the most frequent label is right."""
    names = [str(commands.parent / "constant"), str(commands.parent / "random")]
    ranking = rank_sources([commands], names, method="finetune", config=load_config(None, FROZEN), jobs=1)
    assert [Path(one.name).name for one in ranking.candidates] == ["random", "constant"]
    assert ranking.method == "finetune"
    best, worst = (one.report for one in ranking.candidates)
    _, dev = split_train_dev(read_manifest(commands), "rank")
    assert {row.id for row in best.utterances} == {u.id for u in dev}
    most_frequent = max(Counter(u.text for u in dev).values())
    assert best.hits >= len(dev) - 1 > most_frequent >= worst.hits
    line = f"{ranking.ranks[0]}\t{names[1]}\t{100 * best.cer:.1f}\t"
    assert str(ranking).splitlines()[1].startswith(line)
    assert [list(folder.iterdir()) for folder in folders] == [[], []]


def test_a_brief_fine_tuning_reports_what_its_log_warns_of(
    commands: Path, folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """The log is deleted with the folder; a truncated recording must not be used without a word."""
    work, temporary = folders
    utterances = read_manifest(commands)
    truncated = work / "truncated.wav"
    recording = utterances[0].audio_filepath.read_bytes()
    truncated.write_bytes(recording[: len(recording) * 9 // 10])
    train = [replace(utterances[0], audio_filepath=truncated), *utterances[1:50]]
    config = ranking_finetune.brief_settings(load_config(None, FROZEN))
    source = str(commands.parent / "random")
    ranking_finetune.finetune_candidate(source, train, utterances[50:], config, temporary / "run")
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{source}: warning: {truncated}: ") and "ms are missing at the end" in line


def test_a_candidate_that_cannot_be_fine_tuned_ends_the_ranking_and_leaves_no_files(
    commands: Path, folders: tuple[Path, Path]
) -> None:
    names = [str(commands.parent / "random"), str(commands.parent / "absent")]
    with pytest.raises(InputError, match="absent"):
        rank_sources([commands], names, method="finetune", config=load_config(None, FROZEN), jobs=1)
    assert [list(folder.iterdir()) for folder in folders] == [[], []]


def test_brief_settings_keep_the_users_and_select_nothing() -> None:
    settings = ["finetune.steps=5000", "finetune.warmup_steps=900", "finetune.seed=7", "data.mono=true"]
    changed = ranking_finetune.brief_settings(load_config(None, [*settings, "finetune.patience=3"]))
    finetune = changed.finetune
    assert (finetune.steps, finetune.batch_s, finetune.warmup_steps, finetune.seed) == (300, 20.0, None, 7)
    assert (finetune.evaluate_every_steps, finetune.average_best, finetune.patience) == (300, 1, 0)
    assert changed.data.mono


def test_an_unknown_method_is_refused(corpus: Path) -> None:
    names = [str(corpus / "constant"), str(corpus / "random")]
    with pytest.raises(InputError, match="method = 'hscore'; expected one of logme, finetune"):
        rank_sources([corpus / "tones.jsonl"], names, method="hscore")  # type: ignore[arg-type]


def test_reports_after_fine_tuning_are_given_for_all_or_none(corpus: Path) -> None:
    names = [str(corpus / "constant"), str(corpus / "random")]
    with pytest.raises(InputError, match="1 reports after fine-tuning for 2 models"):
        rank_sources([corpus / "tones.jsonl"], names, finetuned=[corpus / "report.json"])


def test_batches_do_not_change_encoder_outputs(corpus: Path) -> None:
    model = load_model(corpus / "random")
    utterances = read_manifest(corpus / "tones.jsonl")[:5]
    batched = encode_utterances(model, utterances, AudioOptions(model.spec))
    for utterance, values in zip(utterances, batched, strict=True):
        [alone] = encode_utterances(model, [utterance], AudioOptions(model.spec))
        np.testing.assert_allclose(values, alone, atol=1e-4)


def test_a_ranking_needs_two_different_candidates(corpus: Path) -> None:
    for names in ([str(corpus / "constant")], [str(corpus / "constant")] * 2):
        with pytest.raises(InputError, match="name two or more, each once"):
            rank_sources([corpus / "tones.jsonl"], names)


def test_rankings_are_compared_with_rows_of_results(tmp_path: Path) -> None:
    """LogME: a, c, shipped; fine-tuning: a, shipped, c. Two of three pairs agree: tau is 1 / 3. Rows name shipped versions."""
    for source, cer in (("a", 10.0), ("c", 30.0), (resolve_source("english").name, 20.0), ("of another target", 5.0)):
        split = "other" if " " in source else "tones"
        add_row(tmp_path / "results.json", replace(ROW, source=source, split=split, cer=cer, cer_low=cer, cer_high=cer))
    table = "rank\tsource\tLogME\n1\texp/a\t0.9\n2\tmodels/c\t0.8\n3\tenglish\t0.7\n# a remark\n"
    ranking = tmp_path / "ranking-tones-logme.tsv"
    ranking.write_text(table, encoding="utf-8")
    lines = rows_agreement(tmp_path / "results.json", [ranking]).splitlines()
    assert lines[1:] == ["logme\ttones\t3\t0.33\t2 of 3", "logme\tall\t\t\t2 of 3"]
    ranking.write_text("rank\tsource\tLogME\n1\texp/a\t0.9\n", encoding="utf-8")
    with pytest.raises(InputError, match="fewer than two of its sources have a row of split 'tones'"):
        rows_agreement(tmp_path / "results.json", [ranking])
