"""Did the transfer help? An adapted model against the same network trained from scratch."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from speechxfer.config import change_settings, settings_from_scratch
from speechxfer.data import read_concatenated, write_manifest
from speechxfer.errors import InputError
from speechxfer.runtime import log_info, write_atomically
from speechxfer.scoring import Comparison, compare
from speechxfer.workflows.studies import StudyRun, run_trainings

SCRATCH_LR = 1e-3  # what random weights learn best with in our recipes, encoder and head alike, and without dropout


def from_scratch(training: StudyRun, out: Path) -> StudyRun:
    """The same network, data and budget of steps from random weights, at the learning rates that suit those.

    Of a borrowed network, which random weights would need thousands of hours for, the network that [model] names.

    Raises:
        InputError: the source hears with features that are no preset, with which nothing can be trained from scratch.
    """
    from speechxfer.checkpoints import load_model
    from speechxfer.features import PRESETS
    from speechxfer.models import ENCODER_FAMILIES

    source = load_model(training.source)
    asked: dict[str, Any] = {"dropout": 0.0}
    if source.architecture.encoder in ENCODER_FAMILIES:
        settings = training.config.model
        log_info(
            f"from scratch: the {settings.encoder} of size {settings.size} in place of the source's {source.architecture.encoder}"
        )
    elif PRESETS.get(source.spec.name) != source.spec:
        raise InputError(
            f"{training.source}: its features {source.spec.name} are none of the presets, so no baseline can hear with them; "
            "train one with `speechxfer train` and compare, or leave the baseline out"
        )
    else:
        asked |= {name: getattr(source.architecture, name) for name in ("encoder", "size", "subsampling")}
        asked["features"] = source.spec.name
    config = change_settings(
        change_settings(training.config, "model", **asked), "finetune", encoder_lr=SCRATCH_LR, head_lr=SCRATCH_LR
    )
    config = settings_from_scratch(config)
    return replace(training, config=config, out=out, source="")


@dataclass(frozen=True)
class AgainstBaseline:
    """An adapted model against the same network from random weights."""

    comparison: Comparison

    def __str__(self) -> str:
        return f"{verdict(self.comparison)}\n{self.comparison}"


def against_baseline(training: StudyRun, jobs: int) -> AgainstBaseline:
    """Adapt, train the same network from random weights at the same budget beside it, and test the difference.

    Both are scored on `training.test`, or on dev where there is none (then both have been chosen by what they are scored on).

    The baseline lies in ``baseline`` of the run's folder; the verdict is also written to ``baseline.txt``.
    """
    if training.test is None:
        path = training.out / "baseline" / "data" / "dev.jsonl"
        write_manifest(path, read_concatenated(training.dev))
        training = replace(training, test=path)
    baseline = from_scratch(training, training.out / "baseline")
    adapted, scratch = run_trainings([training, baseline], jobs, "adapting, and training the baseline")
    found = AgainstBaseline(compare(adapted, scratch, names=("adapted", "from scratch")))
    write_atomically(training.out / "baseline.txt", f"{found}\n")
    return found


def verdict(comparison: Comparison) -> str:
    """Whether the transfer helped, in a sentence; characters decide, being many more than words."""
    difference = comparison.cer
    if not difference.significant:
        return (
            "The transfer made no difference that the data can show: from scratch is as good at this budget, or there is too "
            "little to score on."
        )
    if difference.difference < 0:
        return "The transfer helped, with this seed (`speechxfer curve` takes several)."
    return (
        "The transfer hurt, with this seed (`speechxfer curve` takes several): from scratch is better at this budget. Try "
        "another source, or a higher encoder_lr."
    )
