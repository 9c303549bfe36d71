"""Results as Markdown: RESULTS.md of a recipe and the tables of the README."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from speechxfer.errors import InputError
from speechxfer.runtime import write_atomically
from speechxfer.workflows.results import ResultRow, read_rows, read_text_file

BEGIN, END = "<!-- results:begin -->", "<!-- results:end -->"
MOST_ROWS = 12  # of one recipe in the README's table
NOTES = "notes.md"
RANKINGS = "ranking-*.tsv"  # what rank-sources printed


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
        parts.append(read_text_file(notes).strip())
    write_atomically(results_md, "\n\n".join(parts) + "\n")


def update_readme(readme: Path, recipes_dir: Path) -> None:
    """Fill the block between the two markers of a README with the results of all recipes, sorted by recipe.

    Of a recipe with more than `MOST_ROWS` only the page is named, below the table.

    Raises:
        InputError: the README lacks its two markers, one of each and in order, or a results file is malformed.
    """
    text = read_text_file(readme)
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
    write_atomically(readme, f"{before}{BEGIN}\n{table}\n{END}{after}")


def render_all(root: Path = Path()) -> None:
    """Render the pages of all recipes and the table of the README of the checkout at `root`."""
    for results_json in sorted((root / "recipes").glob("*/results.json")):
        render_results(results_json, results_json.with_name("RESULTS.md"))
    update_readme(root / "README.md", root / "recipes")


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
    lines = read_text_file(path).splitlines()
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
