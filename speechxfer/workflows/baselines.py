"""Baselines: does adaptation improve on training the same network from scratch?"""

from dataclasses import dataclass, replace
from pathlib import Path

from speechxfer.checkpoints import load_model
from speechxfer.config import change_settings, settings_from_scratch
from speechxfer.data import read_concatenated, write_manifest
from speechxfer.errors import InputError
from speechxfer.features import PRESETS
from speechxfer.models import ENCODER_FAMILIES
from speechxfer.runtime import log_info, write_atomically
from speechxfer.scoring import Comparison, compare
from speechxfer.training import RANDOM_LR, step_audio_s
from speechxfer.workflows.studies import Splits, StudyRun, StudySettings, run_study


def baseline_settings(settings: StudySettings) -> StudySettings:
    """Settings that train the source's network from random weights, with the same data and number of steps.

    Learning rates and dropout are those that suit random weights. In place of a transformers encoder, which from random
    weights would need thousands of hours of speech, the network that ``[model]`` names is trained.

    Raises:
        InputError: the source's features are not a preset, so that nothing can be trained on them from scratch.
    """
    if not settings.source:
        return settings
    source = load_model(settings.source)
    network: dict[str, object] = {"dropout": 0.0}
    if source.architecture.encoder in ENCODER_FAMILIES:
        model = settings.config.model
        log_info(
            f"baseline: {model.encoder} of size {model.size} instead of the source's {source.architecture.encoder}"
        )
    elif PRESETS.get(source.spec.name) != source.spec:
        raise InputError(
            f"{settings.source}: its features {source.spec.name} are not a preset, so no baseline can be trained on them; "
            "train one with `speechxfer train` and compare, or omit the baseline"
        )
    else:
        network |= {name: getattr(source.architecture, name) for name in ("encoder", "size", "subsampling")}
        network["features"] = source.spec.name
    config = change_settings(settings.config, "model", **network)
    batch_s = step_audio_s(config.finetune, source)
    config = change_settings(config, "finetune", encoder_lr=RANDOM_LR, head_lr=RANDOM_LR, batch_s=batch_s)
    return replace(settings, source=None, config=settings_from_scratch(config))


@dataclass(frozen=True)
class BaselineComparison:
    """An adapted model compared with the same network trained from scratch."""

    comparison: Comparison

    def __str__(self) -> str:
        return f"{conclusion(self.comparison)}\n{self.comparison}"


def compare_with_baseline(
    settings: StudySettings, splits: Splits, out: Path, *, jobs: int | None = None
) -> BaselineComparison:
    """Adapt in `out`, train the same network from scratch in ``out/baseline``, and test the difference.

    Both are scored on ``splits.test``, or on dev where there is none (which has then also selected their weights). The
    conclusion is also written to ``baseline.txt``.

    Args:
        jobs: runs in parallel; None: one for each core.

    Raises:
        InputError: as `adapt` and `baseline_settings`.
    """
    folder = out / "baseline"
    from_scratch = baseline_settings(settings)
    if splits.test is None:
        splits = replace(splits, test=folder / "data" / "dev.jsonl")
        write_manifest(folder / "data" / "dev.jsonl", read_concatenated(splits.dev))
    runs = [StudyRun(settings, splits, out), StudyRun(from_scratch, splits, folder)]
    adapted, scratch = run_study(runs, jobs, "adapting, and training the baseline")
    result = BaselineComparison(compare(adapted, scratch, names=("adapted", "from scratch")))
    write_atomically(out / "baseline.txt", f"{result}\n")
    return result


def conclusion(comparison: Comparison) -> str:
    """Whether adaptation helped, in one sentence; by CER, because there are many more characters than words."""
    difference = comparison.cer
    if not difference.significant:
        return "Adaptation made no significant difference: from scratch is as good, or the test set is too small."
    if difference.difference < 0:
        return "Adaptation helped, with this seed (`speechxfer curve` trains several)."
    return (
        "Adaptation hurt, with this seed (`speechxfer curve` trains several): from scratch is better with these steps. Try "
        "another source, or a higher encoder_lr."
    )
