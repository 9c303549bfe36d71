"""Metrics of a run, one JSON object a line in ``metrics.jsonl``, and in TensorBoard where it is installed."""

import io
import json
import os
import time
from pathlib import Path
from typing import Any

from speechxfer.errors import InputError
from speechxfer.runtime import parse_json, read_text, write_atomically
from speechxfer.training.run import TrainingRun

TIMES = ("wait_s", "step_s")  # keys of what differs between two runs of the same computation
FIX = "delete the run's folder to start anew"


def log_metrics(run: TrainingRun, row: dict[str, Any]) -> None:
    """Append a row to ``metrics.jsonl``; its key ``step`` is the number of steps done."""
    if not run.accelerator.is_main_process:
        return
    _append(run.out / "metrics.jsonl", (json.dumps(row) + "\n").encode())
    _log_to_tensorboard(run.out / "tensorboard", row)


def _append(path: Path, content: bytes) -> None:
    try:
        with path.open("ab") as file:
            file.write(content)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror}); make room and start the run again") from error


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


_event_files: dict[Path, Path] = {}  # of this process, by folder


def _log_to_tensorboard(folder: Path, row: dict[str, Any]) -> None:
    """Append a row to the event file that TensorBoard shows, where the extra is installed.

    TensorBoard's own writer writes in a thread, which prints a traceback if the disk is full.
    """
    try:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary
    except ImportError:
        return
    if not (folder in _event_files and _event_files[folder].exists()):  # with a folder that was deleted it is gone
        folder.mkdir(exist_ok=True)
        _event_files[folder] = folder / f"events.out.tfevents.{time.time():.6f}.{os.getpid()}"
        _append_event(_event_files[folder], Event(wall_time=time.time(), file_version="brain.Event:2"))
    values = [Summary.Value(tag=name, simple_value=value) for name, value in row.items() if name != "step"]
    _append_event(_event_files[folder], Event(wall_time=time.time(), step=row["step"], summary=Summary(value=values)))


def _append_event(path: Path, event: Any) -> None:
    from tensorboard.summary.writer.record_writer import RecordWriter

    record = io.BytesIO()
    RecordWriter(record).write(event.SerializeToString())
    _append(path, record.getvalue())
