"""The saved state of a run (``state``, ``best``) and exact resumption.

Random choices depend on (seed, epoch, step) and learning rates on the step, so weights, optimiser, position and best scores
are the whole state. Every file appears whole or not at all: a kill or a full disk at any moment leaves the previous state.
"""

import json
import shutil
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from speechxfer.checkpoints import load_weights, write_weights
from speechxfer.errors import InputError
from speechxfer.models import AcousticModel
from speechxfer.runtime import atomic_folder, log_info, read_json, write_atomically
from speechxfer.training.fingerprint import compare_fingerprints
from speechxfer.training.metrics import FIX, truncate_metrics
from speechxfer.training.run import TrainingRun


@dataclass
class Progress:
    """Position of a run and its best scores: with weights and optimiser, all that is needed to resume it."""

    step: int = 0
    epoch: int = 0
    position: int = 0
    """Steps done in this epoch."""
    best: list[tuple[float, float, int]] = field(default_factory=list)
    """(first score, second score, step), best first; the weights of each are kept."""
    since_best: int = 0
    """Evaluations since the best one."""
    loss_sum: float = 0.0
    """Of the steps since the last row of metrics.jsonl."""
    loss_steps: int = 0
    warned_blank: bool = False
    wall_s: float = 0.0
    """Time spent training and evaluating, over all calls."""


def training_cost(out: Path) -> tuple[int, float]:
    """Number of steps that the run in this folder has taken, and its wall time in seconds, over all calls.

    Raises:
        InputError: its state is missing or damaged.
    """
    progress = _read_state(out / "state" / "current.json")[2]
    return progress.step, progress.wall_s


def best_weights_path(out: Path, step: int) -> Path:
    """Where the weights of one of the best evaluations are."""
    return out / "best" / f"step-{step:07d}.safetensors"


def save_best_weights(model: AcousticModel, out: Path, step: int) -> None:
    """Keep the weights of an evaluation; InputError if the disk is full or a weight is not finite."""
    write_weights(model.state_dict(), best_weights_path(out, step))


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
        content = {"folder": folder.name, "progress": asdict(progress), "fingerprint": run.fingerprint}
        write_atomically(states / "current.json", json.dumps(content))
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
        return Progress()
    recorded, folder, progress = _read_state(pointer)
    differing = compare_fingerprints(recorded, run.fingerprint)
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


def _read_state(pointer: Path) -> tuple[dict[str, Any], Path, Progress]:
    """Fingerprint, state folder and progress that ``current.json`` records."""
    content = read_json(pointer, fix=FIX)
    entries = content if isinstance(content, dict) else {}
    fingerprint, name, progress = (entries.get(key) for key in ("fingerprint", "folder", "progress"))
    if not (isinstance(fingerprint, dict) and isinstance(name, str) and isinstance(progress, dict)):
        raise InputError(f"{pointer}: damaged (fingerprint, folder or progress is missing or of the wrong type); {FIX}")
    if Path(name).name != name or not name.startswith("step-"):
        raise InputError(f"{pointer}: damaged (folder: {name!r}); {FIX}")
    return fingerprint, pointer.parent / name, _parse_progress(progress, pointer)


def _parse_progress(saved: dict[str, Any], pointer: Path) -> Progress:
    wrong = [each.name for each in fields(Progress) if not _fits(saved.get(each.name), getattr(Progress(), each.name))]
    if wrong or len(saved) != len(fields(Progress)):
        raise InputError(f"{pointer}: damaged (progress: {', '.join(wrong) or 'unknown entries'}); {FIX}")
    best = saved["best"]
    if not all(isinstance(row, list) and len(row) == 3 and isinstance(row[2], int) for row in best):
        raise InputError(f"{pointer}: damaged (progress: best); {FIX}")
    return replace(Progress(**saved), best=[(float(a), float(b), step) for a, b, step in best])


def _fits(value: object, default: object) -> bool:
    if isinstance(default, float):
        return isinstance(value, int | float) and not isinstance(value, bool)
    return type(value) is type(default)
