"""Which source? Candidate models ranked for a target in minutes, without fine-tuning any of them.

Each candidate gets two scores on a few minutes of the target: LogME (You et al., arXiv:2102.11005), the evidence of a linear
model of the symbols given its frozen encoder's frames, in closed form, which decides the places, with a paired test against
its neighbour; and the error rate of a linear head that is trained briefly on the same frames, with an interval. LogME agrees
better with the order after fine-tuning (``recipes/ranking``). What it is not: the truth, which is each candidate's error rate
after fine-tuning; the ranking says which ones are worth that.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from speechxfer.config import Config
from speechxfer.data import hold_out, read_concatenated, take_seconds
from speechxfer.errors import InputError
from speechxfer.runtime import run_parallel, track
from speechxfer.scoring import WerReport, check_same_task, read_report
from speechxfer.workflows.ranking_probe import Probed, jackknife_evidence, probe_candidate, symbol_means

MINUTES = 12.0


@dataclass(frozen=True)
class Candidate:
    """One source model's scores for the target."""

    name: str
    report: WerReport
    """Of a linear head on the frozen encoder, on utterances that it was not trained on."""
    logme: float
    """Nats per symbol; the higher the better. Comparable between the candidates of one ranking only."""
    logme_without: tuple[float, ...]
    """The same without one part of the utterances, for each part: every tenth of them, the ones after these, and so on. None
    where one part is all."""
    seconds: float
    finetuned: WerReport | None = None
    """What came of fine-tuning it, where that has been done: the truth that the ranking guesses at."""


@dataclass(frozen=True)
class Ranking:
    """Candidates from the best to the worst, by LogME."""

    candidates: tuple[Candidate, ...]
    places: tuple[str, ...]
    """Such as 1, 2-3, 2-3: candidates whose neighbours the data cannot tell apart share a place."""

    def __str__(self) -> str:
        known = any(one.finetuned for one in self.candidates)
        truth = "\tCER % after fine-tuning\t95 %" if known else ""
        lines = [f"place\tsource\tLogME\tCER % of a linear head\t95 %\tseconds{truth}"]
        for place, one in zip(self.places, self.candidates, strict=True):
            after = f"\t{_rate(one.finetuned)}" if one.finetuned else ""
            lines.append(f"{place}\t{one.name}\t{one.logme:.3f}\t{_rate(one.report)}\t{one.seconds:.0f}{after}")
        if known:
            by_logme, by_head = self.agreement()
            lines.append(
                f"# Kendall's tau with the order after fine-tuning: {by_logme:.2f} by LogME, {by_head:.2f} by head"
            )
        return "\n".join(lines)

    def agreement(self) -> tuple[float, float]:
        """Kendall's tau-b of LogME, and of the heads' error rates, with the error rates after fine-tuning; 1: the same order."""
        from scipy.stats import kendalltau

        pairs = [(one, one.finetuned.cer) for one in self.candidates if one.finetuned]
        truth = [cer for _, cer in pairs]
        evidence, heads = [-one.logme for one, _ in pairs], [one.report.cer for one, _ in pairs]
        return float(kendalltau(evidence, truth).statistic), float(kendalltau(heads, truth).statistic)


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
        manifests: transcribed speech of the target; `minutes` of it are used, a tenth of them for scoring.
        models: names as for `load_model`.
        config: [text] says what is written, [data] how audio is read.
        finetuned: report.json of each model after fine-tuning, in the order of `models`, to hold the ranking against.
        jobs: candidates in parallel, each in a process of one thread; None: one for each core.

    Raises:
        InputError: fewer than two candidates, one named twice, too little speech, or reports for only some of them.
    """
    if len(set(models)) < 2 or len(set(models)) < len(models):
        raise InputError(f"rank-sources compares models: {len(models)} given; name two or more, each once")
    if finetuned and len(finetuned) != len(models):
        raise InputError(
            f"{len(finetuned)} reports after fine-tuning for {len(models)} models; give one for each, in order"
        )
    truth: list[WerReport | None] = [read_report(path) for path in finetuned] if finetuned else [None] * len(models)
    for after in truth[1:]:
        if truth[0] and after:
            check_same_task(truth[0], after)
    config = config or Config()
    train, dev = hold_out(take_seconds(read_concatenated(manifests), 60 * minutes, "rank"), "rank")
    with tempfile.TemporaryDirectory() as folder:
        places = [Path(folder) / f"{number}.npz" for number in range(len(models))]
        tasks = [(name, train, dev, config, place) for name, place in zip(models, places, strict=True)]
        probed: list[Probed] = run_parallel(probe_candidate, tasks, jobs, "probing")
        best = min(probed, key=lambda one: (one[0].cer, one[0].wer))
        evidence = [jackknife_evidence(*symbol_means(place, best[1])) for place in track(places, "weighing")]
    found = [
        Candidate(name, report, score, without, seconds, after)
        for name, (report, _, seconds), (score, without), after in zip(models, probed, evidence, truth, strict=True)
    ]
    ordered = tuple(sorted(found, key=lambda one: (-one.logme, one.report.cer, one.report.wer)))
    return Ranking(ordered, _places(ordered))


def _places(ordered: Sequence[Candidate]) -> tuple[str, ...]:
    """Numbers from 1; a run of candidates, each not to be told from the one before it, shares the numbers it spans."""
    runs: list[list[int]] = []
    for number, one in enumerate(ordered):
        tied = number > 0 and not _better(ordered[number - 1], one)
        if tied:
            runs[-1].append(number + 1)
        else:
            runs.append([number + 1])
    return tuple(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs for _ in run)


def _better(one: Candidate, other: Candidate) -> bool:
    """Whether `one`'s LogME is the higher at 5 %, by a jackknife over parts of the same utterances.

    The standard error of the difference is that of the delete-a-group jackknife (Kott, 'The delete-a-group jackknife',
    Journal of Official Statistics 17(4), 2001).
    """
    from scipy.stats import t

    apart = np.subtract(one.logme_without, other.logme_without)
    if len(apart) < 2:
        return False
    error = np.sqrt((len(apart) - 1) * np.mean((apart - apart.mean()) ** 2))
    return bool(one.logme - other.logme > t.ppf(0.975, len(apart) - 1) * error)
