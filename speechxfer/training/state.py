"""The saved state of a run and exact resumption."""

import json
import shutil
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import nn

from speechxfer.checkpoints import load_weights, write_weights
from speechxfer.errors import InputError
from speechxfer.runtime import log_info, write_atomically
from speechxfer.training.preparation import Job


@dataclass
class Progress:
    """Where a run stands: all that is needed, beside weights and optimiser, to go on as if nothing had happened."""

    step: int = 0
    epoch: int = 0
    position: int = 0
    """Steps done in this epoch."""
    best: list[tuple[float, float, int]] = field(default_factory=list)
    """(first, second score, step), best first; the weights of each are kept."""
    since_best: int = 0
    """Evaluations since the best one."""
    loss_sum: float = 0.0
    """Of the steps since the last line of metrics.jsonl."""
    loss_steps: int = 0
    warned_blank: bool = False
    wall_s: float = 0.0
    """Time spent training and evaluating, over all calls."""


def training_cost(out: Path) -> tuple[int, float]:
    """Steps that the run in this folder has taken, and its wall time in seconds, over all calls."""
    progress = json.loads((out / "state" / "current.json").read_text())["progress"]
    return progress["step"], progress["wall_s"]


def log_metrics(job: Job, row: dict[str, Any]) -> None:
    if not job.accelerator.is_main_process:
        return
    with (job.out / "metrics.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")
    writer = _tensorboard(job.out)
    if writer:
        for name, value in row.items():
            if name != "step":
                writer.add_scalar(name, value, row["step"])


_writers: dict[Path, Any] = {}


def _tensorboard(out: Path) -> Any:
    """A TensorBoard writer for the run, or None where the extra is not installed."""
    if out not in _writers:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            _writers[out] = None
        else:
            _writers[out] = SummaryWriter(str(out / "tensorboard"))
    return _writers[out]


def best_weights_path(job: Job, step: int) -> Path:
    return job.out / "best" / f"step-{step:07d}.safetensors"


def save_weights(model: nn.Module, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    write_weights(model.state_dict(), partial)
    partial.replace(path)


def save_state(job: Job, optimizer: torch.optim.Optimizer, progress: Progress) -> None:
    """Write a new state folder, then point to it, then delete what nothing points to: a kill at any moment is harmless."""
    if job.accelerator.is_main_process:
        folder = job.out / "state" / f"step-{progress.step:07d}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        save_weights(job.model, folder / "weights.safetensors")
        torch.save(optimizer.state_dict(), folder / "optimizer.pt")
        pointer = job.out / "state" / "current.json"
        state = {"folder": folder.name, "progress": asdict(progress), "identity": job.identity}
        write_atomically(pointer, json.dumps(state))
        for other in (job.out / "state").glob("step-*"):
            if other != folder:
                shutil.rmtree(other)
        kept = {best_weights_path(job, step) for _, _, step in progress.best}
        for path in (job.out / "best").glob("*.safetensors"):
            if path not in kept:
                path.unlink()
    job.accelerator.wait_for_everyone()


def resume_state(job: Job, optimizer: torch.optim.Optimizer) -> Progress:
    """The state of an earlier call, put into model and optimiser; or a fresh start."""
    job.out.mkdir(parents=True, exist_ok=True)
    pointer = job.out / "state" / "current.json"
    if not pointer.exists():
        if job.accelerator.is_main_process:
            (job.out / "metrics.jsonl").unlink(missing_ok=True)
        job.accelerator.wait_for_everyone()
        return Progress()
    try:
        current = json.loads(pointer.read_text())
        earlier = dict(current["identity"])
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{pointer}: damaged ({error}); delete {job.out} to start anew") from error
    differing = [key for key, value in json.loads(json.dumps(job.identity)).items() if earlier.get(key) != value]
    if differing:
        raise InputError(
            f"{job.out}: holds a run that began otherwise ({', '.join(differing)} differ); choose another `out`, delete that "
            "folder to start anew, or give what it began with (a model made at random: the same torch.manual_seed before)"
        )
    folder = pointer.parent / current["folder"]
    load_weights(job.model, folder / "weights.safetensors")
    try:
        optimizer.load_state_dict(torch.load(folder / "optimizer.pt", map_location="cpu", weights_only=True))
    except (RuntimeError, EOFError, UnpicklingError, OSError) as error:
        raise InputError(f"{folder / 'optimizer.pt'}: damaged ({error}); delete {job.out} to start anew") from error
    saved = current["progress"]
    progress = replace(Progress(**saved), best=[(a, b, step) for a, b, step in saved["best"]])
    if job.accelerator.is_main_process:
        _truncate_metrics(job.out / "metrics.jsonl", progress.step)
    job.accelerator.wait_for_everyone()
    log_info(f"resuming at step {progress.step} of {job.steps}")
    return progress


def _truncate_metrics(path: Path, step: int) -> None:
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    kept = [line for line in lines if line.endswith("}") and json.loads(line)["step"] <= step]
    write_atomically(path, "".join(line + "\n" for line in kept))
