"""Rendered pages: RESULTS.md of the recipes, docs/results.md, table and picture of README.md; and docs/settings.md.

python -m recipes.rendering                  # all pages of the repository, as `make results` does
python -m recipes.rendering recipes/mboshi   # the RESULTS.md of one recipe
"""

import argparse
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from recipes import keyword_results
from recipes.keyword_results import render_search
from recipes.phone_errors import GROUPS, Measurement, read_measurements
from recipes.picture import Point, Series, draw_rates
from recipes.settings_page import settings_page
from speechxfer.errors import InputError
from speechxfer.runtime import read_text, write_atomically
from speechxfer.workflows import ResultRow, read_rows

ROOT = Path(__file__).resolve().parents[1]
BEGIN, END = "<!-- results:begin -->", "<!-- results:end -->"
NOTES = "notes.md"
RANKINGS = "ranking-*.tsv"  # what rank-sources printed
SEARCH_RESULTS = "keyword_search.json"  # of `speechxfer find`
PHONE_RESULTS = "phone_results.json"  # phone errors by language
COLUMNS = (
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
LANGUAGE_COLUMNS = (
    "language",
    "model",
    "decoder",
    "speakers",
    "utterances",
    "PER %",
    "PFER %",
    "PER %, mean of utterances",
    "PFER %, mean of utterances",
)
SUMMARY_COLUMNS = (
    "task",
    "training speech",
    "from scratch: WER %, CER %",
    "adapted: WER %, CER %",
    "with language models: WER %, CER %",
    "source",
)
SUMMARY = (  # task, recipe, training hours and split of a line of README.md, and the name of the adapted model's row
    ("Mboshi, sentences", "mboshi", 0.17, "dev", "finetuned"),
    ("Mboshi, sentences", "mboshi", 3.85, "dev", "finetuned"),
    ("Yoruba, sentences", "yoruba", 0.84, "test", "finetuned"),
    ("English digits", "fsdd", 0.29, "test", "finetuned"),
    ("English digits, unseen speakers", "fsdd", 0.62, "6 folds by speaker", "crossval"),
)
GREEDY = "greedy"  # the decoder of all rows but those with language models
SUMMARY_SOURCE = "multilingual-small"  # the newest version that has the row
PICTURE = ("mboshi", "dev")  # recipe and split
PICTURE_TITLE = "Mboshi: character error rate (95 % intervals) against hours of training speech"
PICTURE_SERIES = (  # title in the legend, with the source for {}, name of the rows, and their source without its version
    ("from scratch", "scratch", ""),
    ("adapted from {}", "finetuned", "english"),
    ("adapted from {}", "finetuned", "multilingual-small"),
)


def render_all(root: Path = ROOT) -> None:
    """Render the recipes' pages, docs/results.md, docs/settings.md, docs/mboshi.svg and the table of README.md below `root`."""
    pages = sorted((root / "recipes").glob("*/results.json"))
    for results_json in pages:
        render_results(results_json, results_json.with_name("RESULTS.md"))
    write_atomically(root / "docs" / "results.md", results_page(pages))
    write_atomically(root / "docs" / "settings.md", settings_page())
    write_atomically(root / "docs" / "mboshi.svg", picture(root / "recipes"))
    update_readme(root / "README.md", root / "recipes")


def render_results(results_json: Path, results_md: Path) -> None:
    """Write the page of one recipe: the table, how each row was made, rankings of sources, and notes.

    The rankings are the files `RANKINGS` beside the page, phone errors by language `PHONE_RESULTS`, keyword search
    `SEARCH_RESULTS`, the notes `NOTES`.

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
    phone_results = results_md.parent / PHONE_RESULTS
    if phone_results.exists():
        parts += _phone_errors(read_measurements(phone_results))
    search_results = results_md.parent / SEARCH_RESULTS
    if search_results.exists():
        parts += render_search(keyword_results.read_measurements(search_results))
    notes = results_md.parent / NOTES
    if notes.exists():
        parts.append(read_text(notes, fix="write it anew").strip())
    write_atomically(results_md, "\n\n".join(parts) + "\n")


def results_page(results: Iterable[Path]) -> str:
    """All recipes' tables on one page, which lies in docs/."""
    parts = [
        "# Results of all recipes",
        "Rendered by `make results`; do not edit. Decoding is greedy, without a language model, unless said otherwise. Where "
        "source is `–`, the model was trained from scratch; `of` a date names the weights that were shipped until then. Rates "
        "are in percent, with the 95 % interval in brackets. Commands, commits, hardware and times are in each RESULTS.md.",
    ]
    for results_json in results:
        name = results_json.parent.name
        parts += [f"## [{name}](../recipes/{name}/RESULTS.md)", _page_table(read_rows(results_json))]
    return "\n\n".join(parts) + "\n"


def update_readme(readme: Path, recipes_dir: Path) -> None:
    """Write the summary of all recipes between the two markers of a README.

    Raises:
        InputError: the README lacks its two markers, one of each and in order, or a results file is malformed.
    """
    text = read_text(readme, fix="restore it")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end) or text.count(BEGIN) + text.count(END) != 2:
        raise InputError(
            f"{readme}: expected one line `{BEGIN}` and after it one line `{END}`; add them where results go"
        )
    write_atomically(readme, f"{before}{BEGIN}\n{_summary(recipes_dir)}\n{END}{after}")


def picture(recipes_dir: Path) -> str:
    """The SVG of README.md; InputError where a row is missing."""
    recipe, split = PICTURE
    rows = [
        row for row in read_rows(recipes_dir / recipe / "results.json") if (row.split, row.decoder) == (split, GREEDY)
    ]
    series = []
    for title, name, source in PICTURE_SERIES:
        named = [row for row in rows if row.name == name and _unversioned(row.source) == source]
        if not named:
            raise InputError(f"{recipe}: no row {name!r} from {source!r}; run the recipe, or correct PICTURE_SERIES")
        sources = [row.source for row in named]
        drawn = max(sources, key=lambda source: (sources.count(source), _version(source)))  # the longest curve
        found = sorted((row for row in named if row.source == drawn), key=lambda row: row.train_hours)
        points = tuple(Point(row.train_hours, row.cer, row.cer_low, row.cer_high) for row in found)
        series.append(Series(title.format(drawn), points))
    return draw_rates(PICTURE_TITLE, series)


def _summary(recipes_dir: Path) -> str:
    lines = []
    for task, recipe, hours, split, name in SUMMARY:
        rows = [
            row
            for row in read_rows(recipes_dir / recipe / "results.json")
            if (row.train_hours, row.split) == (hours, split)
        ]
        greedy = [row for row in rows if row.decoder == GREEDY]
        scratch = next((row for row in greedy if (row.name, row.source) == ("scratch", "")), None)
        versions = [row for row in greedy if row.name == name and _unversioned(row.source) == SUMMARY_SOURCE]
        if not versions:
            raise InputError(
                f"{recipe}: no row {name!r} of {hours:g} h for README.md; run the recipe, or correct SUMMARY"
            )
        adapted = max(versions, key=lambda row: _version(row.source))
        same_model = [row for row in rows if (row.name, row.source) == (name, adapted.source) and row not in greedy]
        searched = next(iter(same_model), None)
        link, length = f"[{task}](recipes/{recipe}/RESULTS.md)", f"{round(60 * hours)} min"
        rates = (_rates(scratch), _rates(adapted), _rates(searched))
        lines.append((link, length, *rates, f"`{adapted.source}`"))
    return _table(SUMMARY_COLUMNS, lines)


def _unversioned(source: str) -> str:
    """The name of a shipped model without its version: ``english`` for ``english-1``."""
    return re.sub(r"-\d+$", "", source)


def _version(source: str) -> int:
    match = re.search(r"-(\d+)$", source)
    return int(match[1]) if match else 0


def _rates(row: ResultRow | None) -> str:
    if row is None:
        return "–"
    wer = f"{row.wer:.1f} [{row.wer_low:.1f}, {row.wer_high:.1f}]"
    return f"{wer}, {row.cer:.1f} [{row.cer_low:.1f}, {row.cer_high:.1f}]"


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
    """The table of rows; where any row has them, with the source task's rates before and after."""
    if not any(row.forgetting for row in rows):
        return _table(COLUMNS, [_cells(row) for row in rows])
    lines = [(*_cells(row), str(row.forgetting or "–")) for row in rows]
    return _table((*COLUMNS, "source WER % before → after"), lines)


def _counts(row: ResultRow) -> str:
    counts = (row.substitutions, row.deletions, row.insertions, row.words)
    if None in counts:
        return "–"
    return "{} / {} / {} of {}".format(*counts)


def _table(columns: Iterable[str], lines: Iterable[Iterable[str]]) -> str:
    columns = tuple(columns)
    rows = [columns, ["---"] * len(columns), *lines]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows)


def _printed_table(path: Path) -> str:
    """A table that `rank-sources` printed: tab-separated with a header; lines that begin with # become text."""
    lines = read_text(path, fix="run rank-sources again").splitlines()
    rows = [line.split("\t") for line in lines if not line.startswith("#")]
    if not rows or any(len(row) != len(rows[0]) for row in rows):
        raise InputError(
            f"{path}: expected lines of as many columns as the first; run again what writes it, or delete it"
        )
    remarks = [line.removeprefix("# ") for line in lines if line.startswith("#")]
    return "\n\n".join([f"## {path.stem}", _table(rows[0], rows[1:]), *remarks])


def _phone_errors(measurements: Sequence[Measurement]) -> list[str]:
    """A table for each group of speakers, with the models of a language in consecutive lines; then how each was measured."""
    parts = [
        "## Phone errors by language",
        f"Real speech outside training, rendered from `{PHONE_RESULTS}`. PER: phone error rate. PFER: panphon's feature edit "
        "distance per phone of the references. Both are summed over utterances, and given as means of utterances' rates.",
    ]
    for group, meaning in GROUPS.items():
        rows = [(row, one) for one in measurements for row in one.rows if row.group == group]
        names = dict.fromkeys(row.name for row, _ in rows)
        lines = [
            (
                row.name,
                one.model,
                one.decoder,
                str(row.speakers),
                f"{row.utterances:,}",
                *map(str, (row.per, row.pfer, row.mean_per, row.mean_pfer)),
            )
            for name in names
            for row, one in rows
            if row.name == name
        ]
        if lines:
            parts += [
                f"### {group[0].upper()}{group[1:]}",
                f"{meaning[0].upper()}{meaning[1:]}.",
                _table(LANGUAGE_COLUMNS, lines),
            ]
    for one in measurements:
        facts = f"commit {one.commit}, {one.date}, on {one.hardware}; weights of SHA-256 {one.weights[:12]}"
        parts.append(f"**{one.model}, {one.decoder}**: {facts}\n\n```sh\n{one.command}\n```")
    return parts


def _provenance(number: int, row: ResultRow) -> str:
    title = f"{row.name}, {row.train_hours:g} h, {row.split}, {row.decoder}"
    facts = f"commit {row.commit}, {row.date}, {_duration(row.wall_s)} on {row.hardware}"
    return f"{number}. **{title}**: {facts}\n\n    ```sh\n" + _indented(row.command) + "\n    ```"


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.strip().split("\n"))


def _duration(seconds: float) -> str:
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:g} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min"


def main() -> None:
    """Command line: all pages, or the page of one recipe."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("recipe", nargs="?", type=Path, help="folder of one recipe (default: all pages)")
    recipe = parser.parse_args().recipe
    try:
        if recipe is None:
            render_all()
        else:
            render_results(recipe / "results.json", recipe / "RESULTS.md")
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
