"""Ranking of source models for a target in minutes, by one of two methods, on a few minutes of the target.

`logme` fine-tunes none of them. Each candidate gets two scores: LogME (You et al., arXiv:2102.11005), the evidence of a linear
model of the symbols given its frozen encoder's outputs, in closed form, which determines the ranks; and the error rate of a
linear probe that is trained briefly on the same outputs, with an interval.

`finetune` adapts each candidate with the same data, seed and 300 steps; the CER on utterances outside training determines the
ranks.

Neighbours without a significant difference, by a paired test, share ranks. Either selects candidates for fine-tuning and does
not predict their error rates.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeAlias, get_args

import numpy as np

from speechxfer.config import Config
from speechxfer.data import Utterance, read_concatenated, split_train_dev, take_seconds
from speechxfer.errors import InputError
from speechxfer.runtime import run_parallel, track
from speechxfer.scoring import WerReport, check_same_task, compare, read_report
from speechxfer.workflows.logme import Floats
from speechxfer.workflows.ranking_finetune import FinetuneResult, brief_settings, finetune_candidate
from speechxfer.workflows.ranking_probe import ProbeResult, jackknife_evidence, probe_candidate, symbol_means

MINUTES = 12.0
Method: TypeAlias = Literal["logme", "finetune"]


@dataclass(frozen=True)
class Candidate:
    """One source model's scores for the target.

    Attributes:
        name: as for `load_model`.
        report: on utterances outside training, of a linear probe on the frozen encoder (`logme`) or after a brief fine-tuning.
        wall_s: seconds that the scores took.
        logme: nats per symbol; higher is better. Comparable between the candidates of one ranking only. None: not computed.
        logme_without: LogME without each tenth of the utterances (jackknife); empty where there is only one part.
        finetuned: report after fine-tuning, where that has been done, for comparison with the ranking.
    """

    name: str
    report: WerReport
    wall_s: float
    logme: float | None = None
    logme_without: tuple[float, ...] = ()
    finetuned: WerReport | None = None


@dataclass(frozen=True)
class Ranking:
    """Candidates from the best to the worst.

    Attributes:
        candidates: in that order.
        ranks: such as 1, 2-3, 2-3: neighbours without a significant difference share ranks.
        method: what determines the order: LogME, or the CER after a brief fine-tuning.
    """

    candidates: tuple[Candidate, ...]
    ranks: tuple[str, ...]
    method: Method

    def __str__(self) -> str:
        finetuned = any(one.finetuned for one in self.candidates)
        columns = "\tCER % after fine-tuning\t95 %" if finetuned else ""
        score = "LogME\tCER % of a linear probe" if self.method == "logme" else "CER % after a brief fine-tuning"
        lines = [f"rank\tsource\t{score}\t95 %\tseconds{columns}"]
        for rank, one in zip(self.ranks, self.candidates, strict=True):
            evidence = f"{one.logme:.3f}\t" if one.logme is not None else ""
            after = f"\t{_rate(one.finetuned)}" if one.finetuned else ""
            lines.append(f"{rank}\t{one.name}\t{evidence}{_rate(one.report)}\t{one.wall_s:.0f}{after}")
        if finetuned:
            agreement = ", ".join(f"{tau:.2f} by {score}" for score, tau in self.agreement().items())
            lines.append(f"# Kendall's tau with the order after fine-tuning: {agreement}")
        return "\n".join(lines)

    def agreement(self) -> dict[str, float]:
        """Kendall's tau-b of each score with the CER after fine-tuning; 1: the same order."""
        from scipy.stats import kendalltau  # slow to import

        found = [(one, one.finetuned.cer) for one in self.candidates if one.finetuned]
        scores = {"probe" if self.method == "logme" else "brief fine-tuning": [one.report.cer for one, _ in found]}
        if self.method == "logme":
            scores = {"LogME": [-one.logme for one, _ in found if one.logme is not None]} | scores
        finetuned = [cer for _, cer in found]
        return {name: float(kendalltau(values, finetuned).statistic) for name, values in scores.items()}


def _rate(report: WerReport) -> str:
    low, high = (100 * end for end in report.cer_interval)
    return f"{100 * report.cer:.1f}\t[{low:.1f}, {high:.1f}]"


def rank_sources(
    manifests: Sequence[Path],
    models: Sequence[str],
    *,
    method: Method = "logme",
    config: Config | None = None,
    minutes: float = MINUTES,
    finetuned: Sequence[Path] = (),
    jobs: int | None = None,
) -> Ranking:
    """Rank source models for the speech of a target.

    Args:
        manifests: transcribed speech of the target; `minutes` of it are used, a tenth of that for scoring.
        models: names as for `load_model`.
        method: `logme`, or `finetune`, which takes about 70 s of processor time for each candidate. The default is `logme`:
            it takes a tenth of that, and of 30 pairs it ordered 27 as full fine-tuning does, `finetune` 26 (``recipes/ranking``).
        config: ``[text]`` defines the vocabulary, ``[data]`` how audio is read; `finetune` also uses the other settings, except
            the number of steps.
        finetuned: report.json of each model after fine-tuning, in the order of `models`, for comparison with the ranking.
        jobs: candidates in parallel, each in a process of one thread; None: one for each core.

    Raises:
        InputError: fewer than two candidates, one named twice, too little speech, or reports for only some of them.

    >>> import speechxfer as sx
    >>> ranking = sx.rank_sources(["data/train.jsonl"], ["english", "multilingual-small"])
    >>> print(ranking)
    rank	source	LogME	...
    """
    if method not in get_args(Method):
        raise InputError(f"method = {method!r}; expected one of {', '.join(get_args(Method))}")
    if len(set(models)) < 2 or len(set(models)) < len(models):
        raise InputError(f"rank-sources compares models: {len(models)} given; name two or more, each once")
    if finetuned and len(finetuned) != len(models):
        raise InputError(
            f"{len(finetuned)} reports after fine-tuning for {len(models)} models; give one for each, in order"
        )
    after: list[WerReport | None] = [read_report(path) for path in finetuned] if finetuned else [None] * len(models)
    for report in after[1:]:
        if after[0] and report:
            check_same_task(after[0], report)
    utterances = take_seconds(read_concatenated(manifests), 60 * minutes, "rank")
    train, dev = split_train_dev(utterances, "rank")
    score = _score_by_logme if method == "logme" else _score_by_finetuning
    with tempfile.TemporaryDirectory() as folder:
        candidates = score(models, train, dev, config or Config(), Path(folder), jobs)
    candidates = [replace(one, finetuned=report) for one, report in zip(candidates, after, strict=True)]
    ordered = tuple(sorted(candidates, key=lambda one: (-(one.logme or 0.0), one.report.cer, one.report.wer)))
    return Ranking(ordered, _ranks(ordered), method)


def _score_by_logme(
    models: Sequence[str],
    train: Sequence[Utterance],
    dev: Sequence[Utterance],
    config: Config,
    folder: Path,
    jobs: int | None,
) -> list[Candidate]:
    paths = [folder / f"{number}.npz" for number in range(len(models))]
    tasks = [(name, train, dev, config, path) for name, path in zip(models, paths, strict=True)]
    probes: list[ProbeResult] = run_parallel(probe_candidate, tasks, jobs, "probing")
    best = min(probes, key=lambda one: (one.report.cer, one.report.wer))
    evidence = [jackknife_evidence(*symbol_means(path, best.alignments)) for path in track(paths, "LogME")]
    return [
        Candidate(name, probe.report, probe.wall_s, score, without)
        for name, probe, (score, without) in zip(models, probes, evidence, strict=True)
    ]


def _score_by_finetuning(
    models: Sequence[str],
    train: Sequence[Utterance],
    dev: Sequence[Utterance],
    config: Config,
    folder: Path,
    jobs: int | None,
) -> list[Candidate]:
    brief = brief_settings(config)
    tasks = [(name, train, dev, brief, folder / str(number)) for number, name in enumerate(models)]
    what = f"fine-tuning for {brief.finetune.steps} steps"
    results: list[FinetuneResult] = run_parallel(finetune_candidate, tasks, jobs, what)
    return [Candidate(name, result.report, result.wall_s) for name, result in zip(models, results, strict=True)]


def _ranks(ordered: Sequence[Candidate]) -> tuple[str, ...]:
    """Ranks from 1; consecutive candidates without a significant difference form a group that shares its ranks."""
    groups: list[list[int]] = []
    for number, one in enumerate(ordered):
        tied = number > 0 and not _is_better(ordered[number - 1], one)
        if tied:
            groups[-1].append(number + 1)
        else:
            groups.append([number + 1])
    return tuple(f"{group[0]}-{group[-1]}" if len(group) > 1 else str(group[0]) for group in groups for _ in group)


def _is_better(one: Candidate, other: Candidate) -> bool:
    """Whether `one` is significantly better (5 %): by LogME if both have one, else by the CER, with the test of `compare`."""
    if one.logme is not None and other.logme is not None:
        return _has_more_evidence(one.logme - other.logme, np.subtract(one.logme_without, other.logme_without))
    cer = compare(one.report, other.report).cer
    return cer.difference < 0 and cer.significant


def _has_more_evidence(difference: float, without: Floats) -> bool:
    """Whether a difference of LogME is significant, by a jackknife: `without` has it without each part of the utterances.

    The standard error of the difference is that of the delete-a-group jackknife (Kott, 'The delete-a-group jackknife',
    Journal of Official Statistics 17(4), 2001).
    """
    from scipy.stats import t  # slow to import

    if len(without) < 2:
        return False
    error = np.sqrt((len(without) - 1) * np.mean((without - without.mean()) ** 2))
    return bool(difference > t.ppf(0.975, len(without) - 1) * error)
