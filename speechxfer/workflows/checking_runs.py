"""The verb `check`: manifests against the settings and the model of a training."""

from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path

import torch

from speechxfer.checking import CheckReport, CheckSettings, check_manifests, repair, subsampled_frames
from speechxfer.checkpoints import load_model
from speechxfer.config import Config
from speechxfer.errors import InputError
from speechxfer.features import feature_preset
from speechxfer.runtime import check_not_input, write_atomically
from speechxfer.workflows.run_inputs import build_normalizer, vocabulary_kind


def check_run(
    manifests: Sequence[Path],
    config: Config,
    *,
    fix_dir: Path | None = None,
    model: str = "",
    options: Sequence[str] = (),
    json_file: Path | None = None,
    quick: bool = False,
) -> CheckReport:
    """Check manifests for what `config` would train, from random weights or from `model`; print what is found.

    With `fix_dir`, clean manifests are written there, and what was removed is printed too. `options` are those of the
    command line that the commands suggested by the report repeat. `json_file` gets all findings. `quick`: nothing is decoded, as
    for `check_manifests`.

    Raises:
        InputError: a manifest cannot be opened, `fix_dir` or `json_file` would overwrite one, or `fix_dir` is given for a quick
            check.
    """
    if quick and fix_dir:
        raise InputError(
            "check: --quick does not look at the sound, so --fix would keep damaged recordings; give one of them"
        )
    if json_file:
        check_not_input(json_file, manifests)
    loaded = load_model(model) if model else None
    spec = loaded.spec if loaded else feature_preset(config.model.features)
    settings = CheckSettings(
        sample_rate_hz=spec.sample_rate_hz,
        feature_frames=spec.frames,
        encoder_frames=cache(lambda frames: int(loaded.encoder.output_lengths(torch.tensor(frames))))
        if loaded
        else partial(subsampled_frames, factor=config.model.subsampling),
        normalizer=build_normalizer(config),
        vocabulary_kind=vocabulary_kind(config),
        bpe_size=config.text.bpe_size,
        classify=config.text.task == "classify",
        resample=config.data.resample,
        mono=config.data.mono,
        max_duration_s=config.data.max_duration_s,
    )
    report = check_manifests(manifests, settings, options=options, quick=quick)
    print(report)
    if json_file:
        write_atomically(json_file, report.to_json())
    if fix_dir:
        repair(report, fix_dir)
    return report
