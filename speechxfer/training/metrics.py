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


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The rows of a ``metrics.jsonl`` without a last one that was not written whole; none without a file.

    Raises:
        InputError: another line is damaged.
    """
    lines = read_text(path, fix=FIX).splitlines() if path.exists() else []
    if lines and not lines[-1].endswith("}"):
        lines.pop()
    rows = []
    for number, line in enumerate(lines, start=1):
        row = parse_json(line, f"{path}:{number}", fix=FIX)
        numbers = row.values() if isinstance(row, dict) else [None]
        if not all(type(value) in (int, float) for value in numbers) or type(row.get("step")) is not int:
            raise InputError(f"{path}:{number}: expected an object of numbers with a whole number 'step'; {FIX}")
        rows.append(row)
    return rows


def truncate_metrics(path: Path, step: int) -> None:
    """Remove the rows after `step`, and a last one that was not written whole; InputError if another is damaged."""
    write_atomically(path, "".join(json.dumps(row) + "\n" for row in read_metrics(path) if row["step"] <= step))


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
