"""The brief fine-tuning by which a ranking scores a candidate: the same data, seed and number of steps for each."""

import time
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

from speechxfer.config import Config, change_settings
from speechxfer.data import Utterance
from speechxfer.decoding import evaluate
from speechxfer.runtime import default_device, log_info
from speechxfer.scoring import WerReport
from speechxfer.workflows.training_runs import adapt

STEPS, BATCH_S = 300, 20.0


@dataclass(frozen=True)
class FinetuneResult:
    """A candidate's error rates on dev after the brief fine-tuning, and the seconds it took."""

    report: WerReport
    wall_s: float


def brief_settings(config: Config) -> Config:
    """`config` with the ranking's number of steps and one evaluation, at the end, so that dev selects nothing."""
    training = {"steps": STEPS, "batch_s": BATCH_S, "warmup_steps": None}
    selection = {"evaluate_every_steps": STEPS, "average_best": 1, "patience": 0}
    changed = change_settings(config, "data", repeats=[])  # the manifests' speech has been taken together
    return change_settings(changed, "finetune", **(training | selection))


def finetune_candidate(
    name: str, train: Sequence[Utterance], dev: Sequence[Utterance], config: Config, folder: Path
) -> FinetuneResult:
    """Adapt one candidate to `train` with the settings of `brief_settings`, and score it on `dev`.

    The run and its messages (``log.txt``) are written to `folder`; warnings are also logged.

    Raises:
        InputError: as `adapt`.
    """
    started = time.monotonic()
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "log.txt").open("a", encoding="utf-8") as log, redirect_stderr(log), redirect_stdout(log):
        model = adapt(name, train, dev, out=folder, config=config, language_models=False).model.to(default_device())
        report = evaluate(model, dev, resample=config.data.resample, mono=config.data.mono)
    for line in (folder / "log.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("warning: "):
            log_info(f"{name}: {line}")
    return FinetuneResult(report, time.monotonic() - started)
