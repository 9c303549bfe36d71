"""Plots: training curves, error rate against hours, maps of embeddings."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from speechxfer.errors import InputError
from speechxfer.runtime import atomic_file, read_text

MAX_IN_LEGEND = 20


def read_curves(metrics_jsonl: Path, keys: Sequence[str]) -> dict[str, list[tuple[int, float]]]:
    """Read `(step, value)` pairs of each key from a run's metrics; of several values at one step the last is used.

    Raises:
        InputError: a line is no JSON object with a whole `step`, or a value is no number. The message names the line.
    """
    curves: dict[str, dict[int, float]] = {key: {} for key in keys}
    for number, line in enumerate(read_text(metrics_jsonl, fix="train again").split("\n"), start=1):
        if not line.strip():
            continue
        where = f"{metrics_jsonl}:{number}"
        step, values = _metrics_line(line, where)
        for key in curves.keys() & values.keys():
            curves[key][step] = _number(values[key], key, where)
    return {key: sorted(points.items()) for key, points in curves.items()}


def plot_curves(metrics_jsonl: Path, png: Path) -> None:
    """Draw a run: training loss above, WER and CER on dev below, by step.

    Args:
        metrics_jsonl: lines with `step` and some of `loss`, `dev_wer`, `dev_cer` (fractions; drawn as percent).
        png: the picture to write.

    Raises:
        InputError: matplotlib is not installed, or the metrics are malformed or have none of these keys.
    """
    figure = _figure()
    curves = read_curves(metrics_jsonl, ("loss", "dev_wer", "dev_cer"))
    if not any(curves.values()):
        raise InputError(f"{metrics_jsonl}: has no loss, dev_wer or dev_cer; train first, at least one step")
    above, below = figure.subplots(2, 1, sharex=True)
    above.plot(*_xy(curves["loss"]), color="tab:gray", linewidth=1)
    above.set_ylabel("training loss")
    below.plot(*_percent(curves["dev_wer"]), marker="o", markersize=3, label="dev WER")
    below.plot(*_percent(curves["dev_cer"]), marker="o", markersize=3, label="dev CER")
    below.set(xlabel="step", ylabel="percent")
    below.set_ylim(bottom=0)
    below.legend()
    _save(figure, png)


@dataclass(frozen=True)
class CurvePoint:
    """Error rates of one kind of model trained on so many hours; rates are fractions, means over seeds."""

    kind: str
    part: str
    hours: float
    wer: float
    wer_interval: tuple[float, float]
    cer: float
    cer_interval: tuple[float, float]


def curve_table(points: Sequence[CurvePoint]) -> str:
    """The points as tab-separated text, rates in percent."""
    header = "kind\tpart\thours\twer\twer_low\twer_high\tcer\tcer_low\tcer_high\n"
    rates = ((p, (p.wer, *p.wer_interval, p.cer, *p.cer_interval)) for p in points)
    return header + "".join(
        f"{p.kind}\t{p.part}\t{p.hours:g}\t" + "\t".join(f"{100 * rate:.2f}" for rate in each) + "\n"
        for p, each in rates
    )


def plot_learning_curve(points: Sequence[CurvePoint], png: Path) -> None:
    """Draw WER and CER by hours of training speech, one line for each kind, with intervals.

    Raises:
        InputError: matplotlib is not installed.
    """
    figure = _figure()
    for axes, rate in zip(figure.subplots(2, 1, sharex=True), ("wer", "cer"), strict=True):
        for kind in dict.fromkeys(point.kind for point in points):
            of_kind = [point for point in points if point.kind == kind]
            hours = [point.hours for point in of_kind]
            means = [100 * getattr(point, rate) for point in of_kind]
            intervals = [[100 * end for end in getattr(point, f"{rate}_interval")] for point in of_kind]
            below = [mean - low for mean, (low, _) in zip(means, intervals, strict=True)]
            above = [high - mean for mean, (_, high) in zip(means, intervals, strict=True)]
            axes.errorbar(hours, means, yerr=[below, above], marker="o", markersize=3, capsize=3, label=kind)
        axes.set(ylabel=f"{rate.upper()}, percent", xscale="log", ylim=(0, None))
    axes.set_xlabel("hours of training speech")
    axes.legend()
    _save(figure, png)


def plot_map(points: npt.NDArray[np.float32], labels: Mapping[str, Sequence[str]], png: Path) -> None:
    """Draw points `[points, 2]`, once for each kind of label, coloured by label, with a legend of at most twenty labels.

    Raises:
        InputError: matplotlib is not installed.
    """
    figure = _figure()
    kinds = labels or {"": [""] * len(points)}
    for axes, (kind, values) in zip(figure.subplots(1, len(kinds), squeeze=False)[0], kinds.items(), strict=True):
        for label, _ in Counter(values).most_common():
            of_label = [point for point, value in zip(points, values, strict=True) if value == label]
            axes.scatter(*zip(*of_label, strict=True), s=6, label=label)
        axes.set(title=f"by {kind}" if kind else "", xlabel="component 1", ylabel="component 2")
        if 1 < len(set(values)) <= MAX_IN_LEGEND:
            axes.legend(fontsize="small", markerscale=2)
    _save(figure, png)


def _figure() -> Any:
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise InputError("matplotlib is not installed, and curves need it; pip install 'speechxfer[plot]'") from error
    return Figure(figsize=(8, 6), layout="constrained")


def _save(figure: Any, png: Path) -> None:
    with atomic_file(png) as partial:
        figure.savefig(partial, format="png", dpi=120)


def _metrics_line(line: str, where: str) -> tuple[int, dict[str, object]]:
    try:
        values = json.loads(line)
    except json.JSONDecodeError as error:
        raise InputError(f"{where}: not JSON ({error.msg}); expected one object a line: delete the line") from error
    step = values.get("step") if isinstance(values, dict) else None
    if not isinstance(step, int) or isinstance(step, bool):
        raise InputError(f"{where}: expected an object with a whole number 'step'; delete the line")
    return step, values


def _number(value: object, key: str, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InputError(f"{where}: {key!r} must be a number, found {value!r}; delete the line")
    return float(value)


def _xy(points: list[tuple[int, float]]) -> tuple[list[int], list[float]]:
    return [step for step, _ in points], [value for _, value in points]


def _percent(points: list[tuple[int, float]]) -> tuple[list[int], list[float]]:
    return _xy([(step, 100 * value) for step, value in points])
