"""Ranking of source models for a target in minutes, without fine-tuning any of them.

Each candidate gets two scores on a few minutes of the target: LogME (You et al., arXiv:2102.11005), the evidence of a linear
model of the symbols given its frozen encoder's outputs, in closed form, which determines the ranks, with a paired test against
the next candidate; and the error rate of a linear probe that is trained briefly on the same outputs, with an interval. LogME
agrees better with the order after fine-tuning (``recipes/ranking``). The ranking selects candidates for fine-tuning; it does not
predict their error rates.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from speechxfer.config import Config
from speechxfer.data import read_concatenated, split_train_dev, take_seconds
from speechxfer.errors import InputError
from speechxfer.runtime import run_parallel, track
from speechxfer.scoring import WerReport, check_same_task, read_report
from speechxfer.workflows.ranking_probe import ProbeResult, jackknife_evidence, probe_candidate, symbol_means

MINUTES = 12.0


@dataclass(frozen=True)
class Candidate:
    """One source model's scores for the target.

    Attributes:
        name: as for `load_model`.
        report: of a linear probe on the frozen encoder, on utterances that it was not trained on.
        logme: nats per symbol; higher is better. Comparable between the candidates of one ranking only.
        logme_without: LogME without each tenth of the utterances (jackknife); empty where there is only one part.
        wall_s: seconds that the scores took.
        finetuned: report after fine-tuning, where that has been done, for comparison with the ranking.
    """

    name: str
    report: WerReport
    logme: float
    logme_without: tuple[float, ...]
    wall_s: float
    finetuned: WerReport | None = None


@dataclass(frozen=True)
class Ranking:
    """Candidates from the best to the worst, by LogME.

    Attributes:
        candidates: in that order.
        ranks: such as 1, 2-3, 2-3: neighbours without a significant difference share ranks.
    """

    candidates: tuple[Candidate, ...]
    ranks: tuple[str, ...]

    def __str__(self) -> str:
        finetuned = any(one.finetuned for one in self.candidates)
        columns = "\tCER % after fine-tuning\t95 %" if finetuned else ""
        lines = [f"rank\tsource\tLogME\tCER % of a linear probe\t95 %\tseconds{columns}"]
        for rank, one in zip(self.ranks, self.candidates, strict=True):
            after = f"\t{_rate(one.finetuned)}" if one.finetuned else ""
            lines.append(f"{rank}\t{one.name}\t{one.logme:.3f}\t{_rate(one.report)}\t{one.wall_s:.0f}{after}")
        if finetuned:
            by_logme, by_probe = self.agreement()
            lines.append(
                f"# Kendall's tau with the order after fine-tuning: {by_logme:.2f} by LogME, {by_probe:.2f} by probe"
            )
        return "\n".join(lines)

    def agreement(self) -> tuple[float, float]:
        """Kendall's tau-b of LogME, and of the probes' CER, with the CER after fine-tuning; 1: the same order."""
        from scipy.stats import kendalltau  # slow to import

        pairs = [(one, one.finetuned.cer) for one in self.candidates if one.finetuned]
        finetuned = [cer for _, cer in pairs]
        evidence, probes = [-one.logme for one, _ in pairs], [one.report.cer for one, _ in pairs]
        return float(kendalltau(evidence, finetuned).statistic), float(kendalltau(probes, finetuned).statistic)


def _rate(report: WerReport) -> str:
    low, high = (100 * end for end in report.cer_interval)
    return f"{100 * report.cer:.1f}\t[{low:.1f}, {high:.1f}]"


def rank_sources(
    manifests: Sequence[Path],
    models: Sequence[str],
    *,
    config: Config | None = None,
    minutes: float = MINUTES,
    finetuned: Sequence[Path] = (),
    jobs: int | None = None,
) -> Ranking:
    """Rank source models for the speech of a target.

    Args:
        manifests: transcribed speech of the target; `minutes` of it are used, a tenth of that for scoring.
        models: names as for `load_model`.
        config: ``[text]`` defines the vocabulary, ``[data]`` how audio is read.
        finetuned: report.json of each model after fine-tuning, in the order of `models`, for comparison with the ranking.
        jobs: candidates in parallel, each in a process of one thread; None: one for each core.

    Raises:
        InputError: fewer than two candidates, one named twice, too little speech, or reports for only some of them.

    >>> import speechxfer as sx
    >>> ranking = sx.rank_sources(["data/train.jsonl"], ["english", "multilingual-small"])
    >>> print(ranking)
    rank	source	LogME	...
    """
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
    config = config or Config()
    train, dev = split_train_dev(take_seconds(read_concatenated(manifests), 60 * minutes, "rank"), "rank")
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{number}.npz" for number in range(len(models))]
        tasks = [(name, train, dev, config, path) for name, path in zip(models, paths, strict=True)]
        probes: list[ProbeResult] = run_parallel(probe_candidate, tasks, jobs, "probing")
        best = min(probes, key=lambda one: (one.report.cer, one.report.wer))
        evidence = [jackknife_evidence(*symbol_means(path, best.alignments)) for path in track(paths, "LogME")]
    candidates = [
        Candidate(name, probe.report, score, without, probe.wall_s, report)
        for name, probe, (score, without), report in zip(models, probes, evidence, after, strict=True)
    ]
    ordered = tuple(sorted(candidates, key=lambda one: (-one.logme, one.report.cer, one.report.wer)))
    return Ranking(ordered, _ranks(ordered))


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
    """Whether `one`'s LogME is significantly higher (5 %), by a jackknife over parts of the same utterances.

    The standard error of the difference is that of the delete-a-group jackknife (Kott, 'The delete-a-group jackknife',
    Journal of Official Statistics 17(4), 2001).
    """
    from scipy.stats import t  # slow to import

    differences = np.subtract(one.logme_without, other.logme_without)
    if len(differences) < 2:
        return False
    error = np.sqrt((len(differences) - 1) * np.mean((differences - differences.mean()) ** 2))
    return bool(one.logme - other.logme > t.ppf(0.975, len(differences) - 1) * error)
