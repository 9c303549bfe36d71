"""Metrics of a run, one JSON object a line in ``metrics.jsonl``, and in TensorBoard where it is installed."""

import json
from pathlib import Path
from typing import Any

from speechxfer.errors import InputError
from speechxfer.runtime import parse_json, read_text, write_atomically
from speechxfer.training.run import TrainingRun

FIX = "delete the run's folder to start anew"


def log_metrics(run: TrainingRun, row: dict[str, Any]) -> None:
    """Append a row to ``metrics.jsonl``; its key ``step`` is the number of steps done."""
    if not run.accelerator.is_main_process:
        return
    path = run.out / "metrics.jsonl"
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror}); make room and start the run again") from error
    writer = _tensorboard(run.out)
    if writer:
        for name, value in row.items():
            if name != "step":
                writer.add_scalar(name, value, row["step"])


def truncate_metrics(path: Path, step: int) -> None:
    """Remove the rows after `step`, and a last one that was not written whole.

    Raises:
        InputError: another line is damaged.
    """
    lines = read_text(path, fix=FIX).splitlines() if path.exists() else []
    kept = []
    for number, line in enumerate(lines, start=1):
        if number == len(lines) and not line.endswith("}"):
            continue
        where = f"{path}:{number}"
        row = parse_json(line, where, fix=FIX)
        if not isinstance(row, dict) or not isinstance(row.get("step"), int):
            raise InputError(f"{where}: has no whole number 'step'; {FIX}")
        if row["step"] <= step:
            kept.append(line)
    write_atomically(path, "".join(line + "\n" for line in kept))


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
