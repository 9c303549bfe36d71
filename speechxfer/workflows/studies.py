"""Studies: questions that take several training runs.

A study plans its runs, trains and scores them in parallel processes of one thread each (so that the number of processes changes
no result), and summarises the reports. A study that was stopped and is started again keeps the runs that are finished.
"""

from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import cast

from speechxfer.config import Config, change_settings
from speechxfer.errors import InputError
from speechxfer.runtime import run_parallel
from speechxfer.scoring import WerReport
from speechxfer.workflows.decoders import DecodingOptions
from speechxfer.workflows.evaluation_runs import evaluate_models
from speechxfer.workflows.training_runs import adapt, train_from_scratch


@dataclass(frozen=True)
class StudySettings:
    """How the runs of a study are trained.

    Attributes:
        source: name of the source model as for `load_model`; None: random weights.
        config: all settings.
        language, licence: for the models' cards, as for `adapt`.
        language_models: as for `adapt`; the reports of a study are of greedy decoding.
    """

    source: str | None
    config: Config = field(default_factory=Config)
    language: str = ""
    licence: str = ""
    language_models: bool = False

    def with_settings(self, section: str, **values: object) -> "StudySettings":
        """A copy with other values in one section of `config`."""
        return replace(self, config=change_settings(self.config, section, **values))


@dataclass(frozen=True)
class Splits:
    """Paths of the manifests that a run trains on, selects by and is scored on."""

    train: tuple[Path, ...]
    dev: tuple[Path, ...]
    test: Path | None = None


@dataclass(frozen=True)
class StudyRun:
    """One run of a study, in the folder `out`."""

    settings: StudySettings
    splits: Splits
    out: Path


def run_study(runs: Sequence[StudyRun], jobs: int | None, description: str) -> list[WerReport]:
    """Train and score all runs, `jobs` at a time (None: one for each core); the reports in the order of `runs`.

    A run's messages go to ``log.txt`` in its folder. Errors are those of `run_parallel`.
    """
    return run_parallel(_train_and_score, [(run,) for run in runs], jobs, description)


def _train_and_score(run: StudyRun) -> WerReport:
    settings, splits, out = run.settings, run.splits, run.out
    if splits.test is None:
        raise InputError(f"{out}: a study scores its runs, but no test manifest is given; give one")
    out.mkdir(parents=True, exist_ok=True)
    with (out / "log.txt").open("a", encoding="utf-8") as log, redirect_stderr(log), redirect_stdout(log):
        train = partial(adapt, settings.source) if settings.source else train_from_scratch
        train(
            splits.train,
            splits.dev,
            out=out,
            config=settings.config,
            language=settings.language,
            licence=settings.licence,
            language_models=settings.language_models,
        )
        greedy = DecodingOptions(language_models=())  # compares acoustic models
        scored = evaluate_models([str(out)], splits.test, out / "scored", decoding=greedy)
        return cast(WerReport, scored)  # one model has one report
