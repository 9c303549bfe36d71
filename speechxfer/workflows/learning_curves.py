"""Learning curves: error rate against hours of training speech, adapted and from scratch."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from speechxfer.data import Utterance, read_concatenated, take_seconds, total_duration_s, write_manifest
from speechxfer.errors import InputError
from speechxfer.reporting import Curve
from speechxfer.runtime import log_info, read_text, write_atomically
from speechxfer.scoring import MeasuredRate, pool
from speechxfer.workflows.baselines import baseline_settings
from speechxfer.workflows.plots import new_figure, save_figure
from speechxfer.workflows.results import ResultRow, read_rows
from speechxfer.workflows.studies import Splits, StudyRun, StudySettings, run_study

MINUTES = (10.0, 30.0, 60.0)
COLUMNS = "kind\tpart\thours\twer\twer_low\twer_high\tcer\tcer_low\tcer_high"


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


@dataclass(frozen=True)
class LearningCurve:
    """Error rates of adapted models and of models trained from scratch, by hours of training speech."""

    points: tuple[CurvePoint, ...]

    def __str__(self) -> str:
        lines = [COLUMNS]
        for p in self.points:
            rates = (p.wer, *p.wer_interval, p.cer, *p.cer_interval)
            lines.append("\t".join([p.kind, p.part, f"{p.hours:g}", *(f"{100 * rate:.2f}" for rate in rates)]))
        return "\n".join(lines)


def learning_curve(
    settings: StudySettings,
    splits: Splits,
    out: Path,
    *,
    minutes: Sequence[float] = MINUTES,
    seeds: int = 3,
    jobs: int | None = None,
) -> LearningCurve:
    """Adapt and train from scratch on growing parts of the training data, each with several seeds; score all on one test set.

    Writes ``curve.tsv`` and ``curve.png`` to `out`.

    Args:
        minutes: sizes of the parts; smaller ones are subsets of larger ones. Sizes that are not smaller than all of the data
            are skipped, and all of it comes last.
        seeds: number of seeds, from 1.
        jobs: runs in parallel; None: one for each core.

    Raises:
        InputError: a size that is not a positive number; otherwise as `adapt` and `baseline_settings`.
    """
    wrong = [size for size in minutes if not (math.isfinite(size) and size > 0)]
    if wrong:
        raise InputError(f"minutes = {wrong[0]:g}; the size of a part of the data is a positive number of minutes")
    kinds = {"adapted": settings, "scratch": baseline_settings(settings)}
    parts = _parts(read_concatenated(splits.train), minutes)
    runs = []
    for name, part in parts.items():
        path = out / "data" / f"{name}.jsonl"
        write_manifest(path, part)
        for kind, kind_settings in kinds.items():
            for seed in range(1, seeds + 1):
                with_seed = kind_settings.with_settings("finetune", seed=seed)
                runs.append(StudyRun(with_seed, replace(splits, train=(path,)), out / name / f"{kind}-{seed}"))
    reports = iter(run_study(runs, jobs, f"{len(runs)} runs"))
    points = []
    for name, part in parts.items():
        for kind in kinds:
            score = pool([next(reports) for _ in range(seeds)])
            hours = round(total_duration_s(part) / 3600, 3)
            points.append(CurvePoint(kind, name, hours, score.wer, score.wer_interval, score.cer, score.cer_interval))
    curve = LearningCurve(tuple(points))
    write_atomically(out / "curve.tsv", f"{curve}\n")
    _plot(points, out / "curve.png")
    log_info(f"wrote {out / 'curve.tsv'} and {out / 'curve.png'}")
    return curve


def read_curves(path: Path) -> list[Curve]:
    """Learning curves for a forecast: those in a ``curve.tsv``, or rows of a ``results.json`` that differ in hours only.

    Curves with one point are omitted where there are longer ones.

    Raises:
        InputError: the file is neither; the message names the line.
    """
    if path.suffix == ".json":
        rows = [(_curve_name(row), row.train_hours, _row_rates(row)) for row in read_rows(path)]
    else:
        rows = [_read_line(line, f"{path}:{number}") for number, line in _lines_of_curve(path)]
    curves = []
    for name in dict.fromkeys(name for name, _, _ in rows):
        points = sorted((hours, rates) for other, hours, rates in rows if other == name)
        wer, cer = (
            tuple(MeasuredRate(hours, rates[at], (rates[at + 1], rates[at + 2])) for hours, rates in points)
            for at in (0, 3)
        )
        curves.append(Curve(name, wer, cer))
    return [curve for curve in curves if len(curve.wer) > 1] or curves


def _curve_name(row: ResultRow) -> str:
    decoder = "" if row.decoder == "greedy" else f", {row.decoder}"
    return f"{row.name} from {row.source or 'random weights'} on {row.split}{decoder}"


def _row_rates(row: ResultRow) -> tuple[float, ...]:
    percent = (row.wer, row.wer_low, row.wer_high, row.cer, row.cer_low, row.cer_high)
    return tuple(rate / 100 for rate in percent)


def _lines_of_curve(path: Path) -> list[tuple[int, str]]:
    lines = read_text(path, fix="give the curve.tsv that `speechxfer curve` writes").splitlines()
    if not lines or lines[0] != COLUMNS:
        raise InputError(f"{path}:1: expected {COLUMNS!r}; give the curve.tsv that `speechxfer curve` writes")
    return list(enumerate(lines[1:], start=2))


def _read_line(line: str, where: str) -> tuple[str, float, tuple[float, ...]]:
    kind, _, *numbers = line.split("\t")
    try:
        hours, *percent = map(float, numbers)
    except ValueError as error:
        raise InputError(f"{where}: expected numbers after kind and part, found {line!r}; run `curve` again") from error
    if len(percent) != 6 or not all(map(math.isfinite, (hours, *percent))):
        raise InputError(f"{where}: expected hours and six rates, found {line!r}; run `curve` again")
    return kind, hours, tuple(rate / 100 for rate in percent)


def _parts(utterances: Sequence[Utterance], minutes: Sequence[float]) -> dict[str, list[Utterance]]:
    parts = {f"{size:g}min": take_seconds(utterances, 60 * size, "curve") for size in sorted(set(minutes))}
    return {name: part for name, part in parts.items() if 0 < len(part) < len(utterances)} | {"all": list(utterances)}


def _plot(points: Sequence[CurvePoint], png: Path) -> None:
    """Draw WER and CER by hours of training speech, one line for each kind, with intervals."""
    figure = new_figure()
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
    save_figure(figure, png)
