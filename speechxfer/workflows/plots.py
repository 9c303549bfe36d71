"""Plots: training curves and maps of embeddings."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from speechxfer.errors import InputError
from speechxfer.runtime import atomic_file
from speechxfer.training import read_metrics

MAX_IN_LEGEND = 20


def plot_curves(metrics_jsonl: Path, png: Path) -> None:
    """Draw a run: training loss above, WER and CER on dev below, by step.

    Args:
        metrics_jsonl: lines with `step` and some of `loss`, `dev_wer`, `dev_cer` (fractions; drawn as percent).
        png: the picture to write.

    Raises:
        InputError: matplotlib is not installed, or the metrics are malformed or have none of these keys.
    """
    figure = new_figure()
    rows = read_metrics(metrics_jsonl)
    loss, wer, cer = ({row["step"]: row[key] for row in rows if key in row} for key in ("loss", "dev_wer", "dev_cer"))
    if not (loss or wer or cer):
        raise InputError(f"{metrics_jsonl}: has no loss, dev_wer or dev_cer; train first, at least one step")
    above, below = figure.subplots(2, 1, sharex=True)
    above.plot(loss.keys(), loss.values(), color="tab:gray", linewidth=1)
    above.set_ylabel("training loss")
    for rates, name in ((wer, "dev WER"), (cer, "dev CER")):
        below.plot(rates.keys(), [100 * rate for rate in rates.values()], marker="o", markersize=3, label=name)
    below.set(xlabel="step", ylabel="percent")
    below.set_ylim(bottom=0)
    below.legend()
    save_figure(figure, png)


def plot_map(points: npt.NDArray[np.float32], labels: Mapping[str, Sequence[str]], png: Path) -> None:
    """Draw points `[points, 2]`, once for each kind of label, coloured by label, with a legend of at most twenty labels.

    Raises:
        InputError: matplotlib is not installed.
    """
    figure = new_figure()
    kinds = labels or {"": [""] * len(points)}
    for axes, (kind, values) in zip(figure.subplots(1, len(kinds), squeeze=False)[0], kinds.items(), strict=True):
        for label, _ in Counter(values).most_common():
            of_label = [point for point, value in zip(points, values, strict=True) if value == label]
            axes.scatter(*zip(*of_label, strict=True), s=6, label=label)
        axes.set(title=f"by {kind}" if kind else "", xlabel="component 1", ylabel="component 2")
        if 1 < len(set(values)) <= MAX_IN_LEGEND:
            axes.legend(fontsize="small", markerscale=2)
    save_figure(figure, png)


def new_figure() -> Any:
    """An empty figure of matplotlib; InputError says how to install it."""
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise InputError("matplotlib is not installed, and curves need it; pip install 'speechxfer[plot]'") from error
    return Figure(figsize=(8, 6), layout="constrained")


def save_figure(figure: Any, png: Path) -> None:
    """Write the figure as a PNG file, whole or not at all."""
    with atomic_file(png) as partial:
        figure.savefig(partial, format="png", dpi=120)
