"""Measured results as files: `results.json`, the RESULTS.md and README tables rendered from it, and training curves.

What it is: rows of figures that say how they were made, and their rendering, the same bytes for the same rows. What it
is not: scoring (``scoring.py``). Nothing here imports torch. Source of the tables' syntax: the GitHub Flavored Markdown
specification, section 4.10.
"""

import dataclasses
import json
import os
import platform
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from speechxfer.errors import InputError
from speechxfer.manifest import write_whole

BEGIN, END = "<!-- results:begin -->", "<!-- results:end -->"
MOST_ROWS = 12  # of one recipe in the README's table
NOTES = "notes.md"
RANKINGS = "ranking-*.tsv"  # what rank-sources printed
MOST_IN_LEGEND = 20


@dataclass(frozen=True)
class Forgetting:
    """The source's own task before and after the encoder was adapted, under the source's head; mean rates in percent."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    split: str
    wer_before: float
    wer_after: float
    cer_before: float
    cer_after: float

    def __str__(self) -> str:
        wer, cer = f"{self.wer_before:.1f} → {self.wer_after:.1f}", f"{self.cer_before:.1f} → {self.cer_after:.1f}"
        return f"{wer} (CER {cer}; {self.split})"


@dataclass(frozen=True)
class ResultRow:
    """One measured row: what was trained on what, how well it did, and how to do it again.

    Rates are in percent with their 95 % interval, `train_hours` in hours of audio, `wall_s` in seconds. `name` says how
    the model came about (scratch, frozen, finetuned, ...), `source` names the model it started from.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    name: str
    source: str
    train_hours: float
    split: str
    decoder: str
    seeds: list[int]
    steps: int
    wer: float
    wer_low: float
    wer_high: float
    cer: float
    cer_low: float
    cer_high: float
    command: str
    commit: str
    date: str
    hardware: str
    wall_s: float
    sub: Annotated[int | None, Field(alias="substitutions")] = None
    del_: Annotated[int | None, Field(alias="deletions")] = None
    ins: Annotated[int | None, Field(alias="insertions")] = None
    words: int | None = None
    forgetting: "Forgetting | None" = None

    def summary(self) -> str:
        """One line for a model's card."""
        return (
            f"{self.split}: WER {self.wer:.1f} % [{self.wer_low:.1f}, {self.wer_high:.1f}], "
            f"CER {self.cer:.1f} % [{self.cer_low:.1f}, {self.cer_high:.1f}] ({self.name}, {self.decoder})"
        )


Key = tuple[str, str, float, str, str]
_ROWS = TypeAdapter(list[ResultRow])


def add_row(results_json: Path, row: ResultRow) -> None:
    """Put a row into the file: in the place of the one with the same key, else at the end.

    The key is name, source, train_hours, split and decoder. Rates are kept to two decimals. The file appears whole or
    not at all.

    Raises:
        InputError: the file is there and malformed, or the row holds something that is no finite number.
    """
    row = _rounded(row)
    rows = read_rows(results_json) if results_json.exists() else []
    keys = [_key(old) for old in rows]
    if _key(row) in keys:
        older = rows[keys.index(_key(row))]
        same_model = (older.commit, older.wall_s, older.seeds) == (row.commit, row.wall_s, row.seeds)
        if row.forgetting is None and same_model:
            row = dataclasses.replace(row, forgetting=older.forgetting)
        rows[keys.index(_key(row))] = row
    else:
        rows.append(row)
    tree = _ROWS.dump_python(rows, by_alias=True, exclude_none=True, warnings="none")
    text = json.dumps(tree, ensure_ascii=False, indent=2) + "\n"
    _parse_rows(text, f"{results_json}, to be written")
    write_whole(results_json, text)


def add_forgetting(results_json: Path, name: str, source: str, train_hours: float, forgetting: Forgetting) -> None:
    """Note what became of the source's task in every row of this model: of this name, source and training hours.

    Raises:
        InputError: there is no such row.
    """
    for row in rows_of_model(results_json, name, source, train_hours):
        add_row(results_json, dataclasses.replace(row, forgetting=forgetting))


def rows_of_model(results_json: Path, name: str, source: str, train_hours: float) -> list[ResultRow]:
    """The rows of this name, source and training hours, whatever was scored; InputError if there is none."""
    rows = read_rows(results_json) if results_json.exists() else []
    mine = [row for row in rows if (row.name, row.source, row.train_hours) == (name, source, round(train_hours, 3))]
    if not mine:
        raise InputError(
            f"{results_json}: has no row {name!r} from {source!r} with {train_hours:g} training hours; evaluate the model on "
            "its own task first, with the same --row"
        )
    return mine


def read_rows(results_json: Path) -> list[ResultRow]:
    """Read the rows of a results file, in its order.

    Raises:
        InputError: the file is missing, is no JSON list of rows, or holds two rows with one key.
    """
    return _parse_rows(_read(results_json), str(results_json))


def render_results(results_json: Path, results_md: Path) -> None:
    """Write the page of one recipe: the table, how each row was made, rankings of sources, and notes.

    The rankings are the files `RANKINGS` beside the page, the notes `NOTES`.

    Raises:
        InputError: the results file is missing or malformed, or a ranking is.
    """
    rows = read_rows(results_json)
    parts = [
        f"# Results: {results_json.absolute().parent.name}",
        f"Rendered from `{results_json.name}`; do not edit, remarks go into `{NOTES}` beside it. "
        "Rates are in percent, with the 95 % interval in brackets.",
        _page_table(rows),
        "## How each row was made",
        *(_provenance(number, row) for number, row in enumerate(rows, start=1)),
        *(_printed_table(path) for path in sorted(results_md.parent.glob(RANKINGS))),
    ]
    notes = results_md.parent / NOTES
    if notes.exists():
        parts.append(_read(notes).strip())
    write_whole(results_md, "\n\n".join(parts) + "\n")


def update_readme(readme: Path, recipes_dir: Path) -> None:
    """Fill the block between the two markers of a README with the results of all recipes, sorted by recipe.

    Of a recipe with more than `MOST_ROWS` only the page is named, below the table.

    Raises:
        InputError: the README lacks its two markers, one of each and in order, or a results file is malformed.
    """
    text = _read(readme)
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end) or text.count(BEGIN) + text.count(END) != 2:
        raise InputError(
            f"{readme}: expected one line `{BEGIN}` and after it one line `{END}`; add them where results go"
        )
    lines, long = [], []
    for results_json in sorted(recipes_dir.glob("*/results.json")):
        folder = results_json.parent
        page = Path(os.path.relpath(folder.absolute() / "RESULTS.md", readme.absolute().parent)).as_posix()
        rows = read_rows(results_json)
        if len(rows) > MOST_ROWS:
            long.append(f"[{folder.name}]({page}) ({len(rows)} rows)")
        else:
            lines += [(f"[{folder.name}]({page})", *_cells(row)) for row in rows]
    parts = [_table(("recipe", *_COLUMNS), lines)] if lines else []
    parts += [f"Longer tables: {', '.join(long)}."] if long else []
    table = "\n\n".join(parts) or "No recipe has been run yet."
    write_whole(readme, f"{before}{BEGIN}\n{table}\n{END}{after}")


def render_all(root: Path = Path()) -> None:
    """Render the pages of all recipes and the table of the README of the checkout at `root`."""
    for results_json in sorted((root / "recipes").glob("*/results.json")):
        render_results(results_json, results_json.with_name("RESULTS.md"))
    update_readme(root / "README.md", root / "recipes")


def read_curves(metrics_jsonl: Path, keys: Sequence[str]) -> dict[str, list[tuple[int, float]]]:
    """Read `(step, value)` pairs of each key from a run's metrics; of several values at one step the last counts.

    Raises:
        InputError: a line is no JSON object with a whole `step`, or a value is no number. The message names the line.
    """
    curves: dict[str, dict[int, float]] = {key: {} for key in keys}
    for number, line in enumerate(_read(metrics_jsonl).split("\n"), start=1):
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
        InputError: matplotlib is not installed, or the metrics are malformed or hold none of these keys.
    """
    figure = _figure()
    curves = read_curves(metrics_jsonl, ("loss", "dev_wer", "dev_cer"))
    if not any(curves.values()):
        raise InputError(f"{metrics_jsonl}: holds no loss, dev_wer or dev_cer; train first, at least one step")
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
    """How good one kind of model is after learning from so much speech; rates are fractions, means over seeds."""

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


def plot_data_curve(points: Sequence[CurvePoint], png: Path) -> None:
    """Draw WER and CER by hours of training speech, one line a kind, with intervals.

    Raises:
        InputError: matplotlib is not installed.
    """
    figure = _figure()
    for axes, rate in zip(figure.subplots(2, 1, sharex=True), ("wer", "cer"), strict=True):
        for kind in dict.fromkeys(point.kind for point in points):
            mine = [point for point in points if point.kind == kind]
            hours = [point.hours for point in mine]
            middle = [100 * getattr(point, rate) for point in mine]
            ends = [[100 * end for end in getattr(point, f"{rate}_interval")] for point in mine]
            below = [m - low for m, (low, _) in zip(middle, ends, strict=True)]
            above = [high - m for m, (_, high) in zip(middle, ends, strict=True)]
            axes.errorbar(hours, middle, yerr=[below, above], marker="o", markersize=3, capsize=3, label=kind)
        axes.set(ylabel=f"{rate.upper()}, percent", xscale="log", ylim=(0, None))
    axes.set_xlabel("hours of training speech")
    axes.legend()
    _save(figure, png)


def plot_map(places: Any, labels: Mapping[str, Sequence[str]], png: Path) -> None:
    """Draw points `[points, 2]`, once for each kind of label, coloured by the label with a legend of up to twenty.

    Raises:
        InputError: matplotlib is not installed.
    """
    figure = _figure()
    kinds = labels or {"": [""] * len(places)}
    for axes, (kind, values) in zip(figure.subplots(1, len(kinds), squeeze=False)[0], kinds.items(), strict=True):
        for label, _ in Counter(values).most_common():
            mine = [place for place, value in zip(places, values, strict=True) if value == label]
            axes.scatter(*zip(*mine, strict=True), s=6, label=label)
        axes.set(title=f"by {kind}" if kind else "", xlabel="component 1", ylabel="component 2")
        if 1 < len(set(values)) <= MOST_IN_LEGEND:
            axes.legend(fontsize="small", markerscale=2)
    _save(figure, png)


def _figure() -> Any:
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise InputError("matplotlib is not installed, and curves need it; pip install 'speechxfer[plot]'") from error
    return Figure(figsize=(8, 6), layout="constrained")


def _save(figure: Any, png: Path) -> None:
    png.parent.mkdir(parents=True, exist_ok=True)
    partial = png.with_name(png.name + ".partial")
    figure.savefig(partial, format="png", dpi=120)
    partial.replace(png)


def hardware() -> str:
    """What this process computes on, such as 'Intel Xeon Gold 6248, 2 cores, 1 thread; NVIDIA H200'.

    Cores are those the process may use; the GPU is named once torch has set it up. Never imports torch.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads, gpu = str(os.environ.get("OMP_NUM_THREADS", cores)), ""
    torch = sys.modules.get("torch")
    if torch is not None:
        threads = str(torch.get_num_threads())
        if torch.cuda.is_initialized():
            gpu = f"; {torch.cuda.get_device_name()}"
    return f"{_cpu_model()}, {_count(str(cores), 'core')}, {_count(threads, 'thread')}{gpu}"


def commit() -> str:
    """Short hash of the commit this code stands at, with '-dirty' if tracked code differs from it, else 'unknown'.

    Results and Markdown pages do not count as code: recipes rewrite them while they run.
    """
    if _git("ls-files", "--error-unmatch", Path(__file__).name) is None:
        return "unknown"  # not a checkout of ours, though perhaps inside somebody else's
    short = _git("rev-parse", "--short", "HEAD")
    if short is None:
        return "unknown"
    clean = _git("diff", "--quiet", "HEAD", "--", ":(top)", ":(top,exclude)*.md", ":(top,exclude)*results.json")
    return short if clean is not None else f"{short}-dirty"


def _rounded(row: ResultRow) -> ResultRow:
    return dataclasses.replace(
        row,
        train_hours=round(row.train_hours, 3),
        wer=round(row.wer, 2),
        wer_low=round(row.wer_low, 2),
        wer_high=round(row.wer_high, 2),
        cer=round(row.cer, 2),
        cer_low=round(row.cer_low, 2),
        cer_high=round(row.cer_high, 2),
        wall_s=round(row.wall_s, 1),
    )


def _key(row: ResultRow) -> Key:
    return (row.name, row.source, row.train_hours, row.split, row.decoder)


def _parse_rows(text: str, where: str) -> list[ResultRow]:
    try:
        rows = _ROWS.validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = "".join(f" row {part + 1}" if isinstance(part, int) else f" {part!r}" for part in first["loc"][:2])
        raise InputError(
            f"{where}:{place}: {first['msg']}; expected a JSON list of result rows: mend it, or delete it and run again"
        ) from error
    seen: dict[Key, int] = {}
    for number, row in enumerate(rows, start=1):
        if _key(row) in seen:
            raise InputError(
                f"{where}: row {number} repeats row {seen[_key(row)]}; name, source, train_hours, split and decoder "
                "together must be unique: delete one"
            )
        seen[_key(row)] = number
    return rows


_COLUMNS = (
    "model",
    "source",
    "training h",
    "split",
    "decoder",
    "seeds",
    "steps",
    "WER % [95 %]",
    "CER % [95 %]",
    "S / D / I of words",
)


def _cells(row: ResultRow) -> tuple[str, ...]:
    return (
        row.name,
        row.source or "–",
        f"{row.train_hours:g}",
        row.split,
        row.decoder,
        ", ".join(str(seed) for seed in row.seeds),
        str(row.steps),
        f"{row.wer:.2f} [{row.wer_low:.2f}, {row.wer_high:.2f}]",
        f"{row.cer:.2f} [{row.cer_low:.2f}, {row.cer_high:.2f}]",
        _counts(row),
    )


def _page_table(rows: Sequence[ResultRow]) -> str:
    """As in the README, and where any row says so, what became of the source's task."""
    if not any(row.forgetting for row in rows):
        return _table(_COLUMNS, [_cells(row) for row in rows])
    lines = [(*_cells(row), str(row.forgetting or "–")) for row in rows]
    return _table((*_COLUMNS, "source WER % before → after"), lines)


def _counts(row: ResultRow) -> str:
    counts = (row.sub, row.del_, row.ins, row.words)
    if None in counts:
        return "–"
    return "{} / {} / {} of {}".format(*counts)


def _table(columns: Iterable[str], lines: Iterable[Iterable[str]]) -> str:
    columns = tuple(columns)
    rows = [columns, ["---"] * len(columns), *lines]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows)


def _printed_table(path: Path) -> str:
    """What a program printed: columns parted by tabs, the first line their names; lines that begin with # become text."""
    lines = _read(path).splitlines()
    rows = [line.split("\t") for line in lines if not line.startswith("#")]
    if not rows or any(len(row) != len(rows[0]) for row in rows):
        raise InputError(
            f"{path}: expected lines of as many columns as the first; run again what writes it, or delete it"
        )
    remarks = [line.removeprefix("# ") for line in lines if line.startswith("#")]
    return "\n\n".join([f"## {path.stem}", _table(rows[0], rows[1:]), *remarks])


def _provenance(number: int, row: ResultRow) -> str:
    title = f"{row.name}, {row.train_hours:g} h, {row.split}, {row.decoder}"
    facts = f"commit {row.commit}, {row.date}, {_duration(row.wall_s)} on {row.hardware}"
    return f"{number}. **{title}**: {facts}\n\n   ```sh\n" + _indented(row.command) + "\n   ```"


def _indented(text: str) -> str:
    return "\n".join(f"   {line}" for line in text.strip().split("\n"))


def _duration(seconds: float) -> str:
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:g} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min"


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


def _cpu_model() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return " ".join(value.split())
    return platform.processor() or platform.machine() or "unknown processor"


def _count(number: str, noun: str) -> str:
    return f"{number} {noun}" if number == "1" else f"{number} {noun}s"


def _git(*arguments: str) -> str | None:
    """Standard output of git in this file's folder, or None where git fails or is not there."""
    command = ["git", "-C", str(Path(__file__).resolve().parent), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: unreadable ({error.strerror}); check the path") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 at byte {error.start}; save it as UTF-8") from error
