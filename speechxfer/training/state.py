"""The saved state of a run (``state``, ``best``) and exact resumption.

Random choices depend on (seed, epoch, step) and learning rates on the step, so weights, optimiser, position and best scores
are the whole state. Every file appears whole or not at all: a kill or a full disk at any moment leaves the previous state.
"""

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Annotated, Any, ClassVar

import torch
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from speechxfer.checkpoints import load_weights, write_weights
from speechxfer.errors import InputError
from speechxfer.runtime import atomic_folder, log_info, read_json, write_atomically
from speechxfer.training.fingerprint import compare_fingerprints
from speechxfer.training.metrics import FIX, truncate_metrics
from speechxfer.training.run import TrainingRun

RESOLVED_SETTINGS = ("batch_s", "encoder_lr", "head_lr")  # of [finetune]: their defaults depend on the model


@dataclass
class Progress:
    """Position of a run and its best scores: with weights and optimiser, all that is needed to resume it."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", strict=True)

    step: int
    epoch: int
    position: int
    """Steps done in this epoch."""
    best: list[tuple[float, float, int]]
    """(first score, second score, step), best first; the weights of each are kept."""
    since_best: int
    """Evaluations since the best one."""
    loss_sum: float
    """Of the steps since the last row of metrics.jsonl."""
    loss_steps: int
    warned_blank: bool
    wall_s: float
    """Time spent training and evaluating, over all calls."""
    valid_frames: int = 0
    """Of the utterances in this process's batches since the last row of losses."""
    padded_frames: int = 0
    """Of these batches, with padding."""


@dataclass(frozen=True)
class _SavedState:
    """The contents of ``current.json``."""

    folder: Annotated[str, Field(pattern=r"^step-\d+$")]
    progress: Progress
    fingerprint: dict[str, Any]


def training_cost(out: Path) -> tuple[int, float]:
    """Number of steps that the run in this folder has taken, and its wall time in seconds, over all calls.

    Raises:
        InputError: its state is missing or damaged.
    """
    progress = _read_state(out / "state" / "current.json").progress
    return progress.step, progress.wall_s


def planned_steps(out: Path) -> int:
    """Number of steps after which the run in this folder ends, if it does not stop early.

    Raises:
        InputError: its state is missing or damaged.
    """
    return int(_read_state(out / "state" / "current.json").fingerprint["steps"])


def resolved_settings(out: Path) -> dict[str, float]:
    """`RESOLVED_SETTINGS` as the run in this folder has them.

    Raises:
        InputError: its state is missing or damaged.
    """
    settings = _read_state(out / "state" / "current.json").fingerprint["config"]["finetune"]
    return {name: settings[name] for name in RESOLVED_SETTINGS}


def has_state(out: Path) -> bool:
    """Whether the run in this folder has saved a state."""
    return (out / "state" / "current.json").exists()


def training_precision(out: Path) -> str:
    """The number format in which the run in this folder computes, as in the settings: fp32 or bf16.

    Raises:
        InputError: its state is missing or damaged.
    """
    return "bf16" if _read_state(out / "state" / "current.json").fingerprint.get("bf16") else "fp32"


def best_weights_path(out: Path, step: int) -> Path:
    """Where the weights of one of the best evaluations are."""
    return out / "best" / f"step-{step:07d}.safetensors"


def save_state(run: TrainingRun, optimizer: torch.optim.Optimizer, progress: Progress) -> None:
    """Write a new state folder, then point to it, then delete the previous one and weights that are no longer among the best.

    Raises:
        InputError: the disk is full or a weight is not finite; the previous state is intact.
    """
    if run.accelerator.is_main_process:
        states = run.out / "state"
        folder = states / f"step-{progress.step:07d}"
        with atomic_folder(folder) as partial:
            write_weights(run.model.state_dict(), partial / "weights.safetensors")
            torch.save(optimizer.state_dict(), partial / "optimizer.pt")
        saved = _SavedState(folder.name, progress, dict(run.fingerprint))
        write_atomically(states / "current.json", json.dumps(asdict(saved)))
        for other in states.glob("step-*"):
            if other != folder:
                shutil.rmtree(other)
        kept = {best_weights_path(run.out, step) for _, _, step in progress.best}
        for path in (run.out / "best").glob("*.safetensors"):
            if path not in kept:
                path.unlink()
    run.accelerator.wait_for_everyone()


def resume_state(run: TrainingRun, optimizer: torch.optim.Optimizer) -> Progress:
    """Load the state of an earlier call into model and optimiser; without one, start from step 0.

    Raises:
        InputError: the earlier run differs, or its state is damaged; nothing is changed then.
    """
    run.out.mkdir(parents=True, exist_ok=True)
    pointer = run.out / "state" / "current.json"
    if not pointer.exists():
        if run.accelerator.is_main_process:
            (run.out / "metrics.jsonl").unlink(missing_ok=True)
        run.accelerator.wait_for_everyone()
        return Progress(
            step=0,
            epoch=0,
            position=0,
            best=[],
            since_best=0,
            loss_sum=0.0,
            loss_steps=0,
            warned_blank=False,
            wall_s=0.0,
        )
    saved = _read_state(pointer)
    folder, progress = pointer.parent / saved.folder, saved.progress
    differing = compare_fingerprints(saved.fingerprint, run.fingerprint)
    if differing == ["processes"]:
        before, now = saved.fingerprint["processes"], run.fingerprint["processes"]
        raise InputError(
            f"{run.out}: this run has been trained by {before} process(es), and now there are {now}, which would divide its "
            "batches otherwise; start as many as before, or choose another `out`"
        )
    if differing:
        raise InputError(
            f"{run.out}: holds a run that was started differently ({', '.join(differing[:5])} differ); choose another `out`, "
            "delete that folder to start anew, or give what it started with (for random weights: the same torch.manual_seed)"
        )
    load_weights(run.model, folder / "weights.safetensors")
    try:
        optimizer.load_state_dict(torch.load(folder / "optimizer.pt", map_location="cpu", weights_only=True))
    except (RuntimeError, EOFError, UnpicklingError, OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{folder / 'optimizer.pt'}: damaged ({error}); {FIX}") from error
    if run.accelerator.is_main_process:
        truncate_metrics(run.out / "metrics.jsonl", progress.step)
    run.accelerator.wait_for_everyone()
    log_info(f"resuming at step {progress.step} of {run.steps}")
    return progress


def _read_state(pointer: Path) -> _SavedState:
    content = read_json(pointer, fix=FIX)
    try:
        saved = TypeAdapter(_SavedState).validate_json(json.dumps(content))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        reason = " ".join(map(str, (*first["loc"], first["msg"])))
        raise InputError(f"{pointer}: damaged ({reason}); {FIX}") from error
    missing = [name for name in ("config", "steps") if name not in saved.fingerprint]
    if missing:
        raise InputError(f"{pointer}: damaged (the fingerprint lacks {' and '.join(missing)}); {FIX}")
    return saved
