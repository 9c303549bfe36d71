"""Questions that take several runs: did the transfer help, how good is it over all the data, how much data is enough?

Each study plans its runs, has them done side by side by processes of one thread each (so that any number of them gives the
same bytes), and puts the reports together. A study that was stopped and is started again keeps what is finished. What it
is not: training or scoring (``runs.py``, ``scoring.py``).
"""

from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

from speechxfer.config import Config
from speechxfer.errors import InputError
from speechxfer.runtime import run_parallel
from speechxfer.scoring import WerReport


@dataclass(frozen=True)
class StudyRun:
    """One run of a study: what `train_run` is asked, and what its model is scored on."""

    config: Config
    out: Path
    source: str = ""
    language: str = ""
    licence: str = ""
    train: tuple[Path, ...] = ()
    dev: tuple[Path, ...] = ()
    test: Path | None = None


def run_trainings(trainings: Sequence[StudyRun], jobs: int, what: str) -> list[WerReport]:
    """Train and score all, `jobs` at a time, each in a process of its own; the reports in the order of `trainings`.

    What a run has to say goes into ``log.txt`` of its folder. Errors are those of `run_parallel`.
    """
    return run_parallel(_train_and_score, [(training,) for training in trainings], jobs, what)


def _train_and_score(training: StudyRun) -> WerReport:
    from speechxfer.workflows.evaluation_runs import evaluate_models
    from speechxfer.workflows.training_runs import adapt, train_from_scratch

    if training.test is None:
        raise InputError(f"{training.out}: a study scores its runs, and no test manifest is named; give one")
    training.out.mkdir(parents=True, exist_ok=True)
    with (training.out / "log.txt").open("a", encoding="utf-8") as log, redirect_stderr(log), redirect_stdout(log):
        train, dev, out, config = training.train, training.dev, training.out, training.config
        if training.source:
            adapt(
                training.source,
                train,
                dev,
                out=out,
                config=config,
                language=training.language,
                licence=training.licence,
            )
        else:
            train_from_scratch(train, dev, out=out, config=config, language=training.language, licence=training.licence)
        report = evaluate_models([str(out)], training.test, out / "scored")
    if not isinstance(report, WerReport):
        raise TypeError("one model has one report")
    return report
