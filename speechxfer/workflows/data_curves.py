"""Learning curves: error rate against hours of training speech, adapted and from scratch."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from speechxfer.config import change_settings
from speechxfer.data import read_concatenated, take_seconds, total_duration_s, write_manifest
from speechxfer.runtime import log_info, write_atomically
from speechxfer.scoring import pool
from speechxfer.workflows.baselines import from_scratch
from speechxfer.workflows.plots import CurvePoint, curve_table, plot_data_curve
from speechxfer.workflows.studies import StudyRun, run_trainings


@dataclass(frozen=True)
class LearningCurve:
    """How good adapted models and models from scratch are by hours of training speech."""

    points: tuple[CurvePoint, ...]

    def __str__(self) -> str:
        return curve_table(self.points).rstrip("\n")


def learning_curve(
    training: StudyRun, *, minutes: Sequence[float] = (10.0, 30.0, 60.0), seeds: int = 3, jobs: int = 0
) -> LearningCurve:
    """Adapt and train from scratch on growing parts of a corpus, each with several seeds, and score all on one test set.

    Writes ``curve.tsv`` and, where matplotlib is there, ``curve.png`` to the study's folder.

    Args:
        training: what the runs share; its `out` is the study's folder.
        minutes: sizes of the parts, smaller ones inside larger ones; parts that would be all of it or more are left out, and
            all of it comes last.
        seeds: 1 to this many.
    """
    kinds = {"adapted": training, "scratch": from_scratch(training, training.out)}
    utterances = read_concatenated(training.train)
    parts = {f"{size:g}min": take_seconds(utterances, 60 * size, "curve") for size in sorted(set(minutes))}
    parts = {name: part for name, part in parts.items() if 0 < len(part) < len(utterances)} | {"all": list(utterances)}
    trainings: list[StudyRun] = []
    for name, part in parts.items():
        path = training.out / "data" / f"{name}.jsonl"
        write_manifest(path, part)
        for kind, asked in kinds.items():
            for seed in range(1, seeds + 1):
                out = training.out / name / f"{kind}-{seed}"
                trainings.append(
                    replace(asked, config=change_settings(asked.config, "finetune", seed=seed), train=(path,), out=out)
                )
    reports = iter(run_trainings(trainings, jobs, f"{len(trainings)} runs"))
    points = []
    for name, part in parts.items():
        for kind in kinds:
            scored = pool([next(reports) for _ in range(seeds)])
            hours = round(total_duration_s(part) / 3600, 3)
            points.append(
                CurvePoint(kind, name, hours, scored.wer, scored.wer_interval, scored.cer, scored.cer_interval)
            )
    write_atomically(training.out / "curve.tsv", curve_table(points))
    plot_data_curve(points, training.out / "curve.png")
    log_info(f"wrote {training.out / 'curve.tsv'} and {training.out / 'curve.png'}")
    return LearningCurve(tuple(points))
