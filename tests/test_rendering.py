"""Rendered pages of results: expected texts are written out by hand, positions in the picture computed from its axes."""

import dataclasses
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

import pytest

from recipes import rendering
from recipes.picture import Point, Series, draw_rates, draw_rows
from recipes.rendering import render_results, results_page, update_readme
from speechxfer.errors import InputError
from speechxfer.workflows import Forgetting, add_row
from tests.test_results import ROW, SCRATCH

ROOT = Path(__file__).resolve().parents[1]

TABLE = """\
| model | source | training h | split | decoder | seeds | steps | WER % [95 %] | CER % [95 %] | S / D / I of words |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
| finetuned | english | 1 | dev | greedy | 1, 2 | 2000 | 31.26 [29.60, 32.94] | 10.00 [9.00, 11.00] | – |
| scratch | – | 1 | dev | greedy | 1, 2 | 2000 | 60.00 [29.60, 32.94] | 10.00 [9.00, 11.00] | 5 / 3 / 2 of 40 |
"""

PAGE = f"""\
# Results: mboshi

Rendered from `results.json`; do not edit, remarks go into `notes.md` beside it. Rates are in percent, with the 95 % \
interval in brackets.

{TABLE}
## How each row was made

1. **finetuned, 1 h, dev, greedy**: commit abc1234, 2026-01-02, 1 h 02 min on A processor, 2 cores, 2 threads

    ```sh
    speechxfer adapt english data/train.jsonl \\
      --out exp/1h
    ```

2. **scratch, 1 h, dev, greedy**: commit abc1234, 2026-01-02, 3 min 20 s on A processor, 2 cores, 2 threads

    ```sh
    speechxfer adapt english data/train.jsonl \\
      --out exp/1h
    ```
"""


@pytest.fixture
def results_json(tmp_path: Path) -> Path:
    path = tmp_path / "recipes" / "mboshi" / "results.json"
    add_row(path, ROW)
    add_row(path, SCRATCH)
    return path


def test_the_page_holds_table_provenance_and_notes(results_json: Path) -> None:
    page = results_json.parent / "RESULTS.md"
    render_results(results_json, page)
    assert page.read_text(encoding="utf-8") == PAGE
    (results_json.parent / "notes.md").write_text("## Tried, did not help\n\n- larger batches\n\n", encoding="utf-8")
    render_results(results_json, page)
    assert page.read_text(encoding="utf-8") == PAGE + "\n## Tried, did not help\n\n- larger batches\n"


def test_the_page_holds_rankings_and_no_other_table(results_json: Path) -> None:
    page = results_json.parent / "RESULTS.md"
    (results_json.parent / "ranking-x.tsv").write_text("place\tsource\n1\ta|b\n2-3\tc\n# tau: 0.67\n", encoding="utf-8")
    (results_json.parent / "recordings.tsv").write_text("path\ttext\nmine.wav\thello\n", encoding="utf-8")
    render_results(results_json, page)
    table = "## ranking-x\n\n| place | source |\n| --- | --- |\n| 1 | a\\|b |\n| 2-3 | c |\n\ntau: 0.67\n"
    assert page.read_text(encoding="utf-8") == f"{PAGE}\n{table}"
    for broken in ("", "place\tsource\n1\n"):
        (results_json.parent / "ranking-x.tsv").write_text(broken, encoding="utf-8")
        with pytest.raises(InputError, match=r"ranking-x\.tsv: expected lines of as many columns"):
            render_results(results_json, page)


def test_a_page_without_results_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        render_results(tmp_path / "results.json", tmp_path / "RESULTS.md")


def test_pipes_in_cells_do_not_break_the_table(results_json: Path) -> None:
    add_row(results_json, dataclasses.replace(ROW, name="a|b"))
    page = results_json.parent / "RESULTS.md"
    render_results(results_json, page)
    assert "| a\\|b | english |" in page.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (4.2, "4.2 s"),
        (59.6, "1 min 00 s"),
        (61.0, "1 min 01 s"),
        (3599.6, "1 h 00 min"),
        (3723.0, "1 h 02 min"),
        (90_000, "25 h 00 min"),
    ],
)
def test_wall_time_is_rounded(seconds: float, text: str) -> None:
    assert rendering._duration(seconds) == text


def test_a_page_shows_the_source_task_before_and_after(results_json: Path) -> None:
    add_row(results_json, dataclasses.replace(ROW, forgetting=Forgetting("own speech", 10.04, 20.0, 5.0, 8.0)))
    render_results(results_json, results_json.with_name("RESULTS.md"))
    page = results_json.with_name("RESULTS.md").read_text(encoding="utf-8")
    assert "| source WER % before → after |" in page
    assert page.count("| 10.0 → 20.0 (CER 5.0 → 8.0; own speech) |") == 1 and page.count("of 40 | – |") == 1


def test_the_page_of_all_recipes_has_a_section_each(results_json: Path, tmp_path: Path) -> None:
    other = tmp_path / "recipes" / "english" / "results.json"
    add_row(other, dataclasses.replace(ROW, name="source"))
    page = results_page([other, results_json])
    assert re.findall("^## .*", page, re.MULTILINE) == [
        "## [english](../recipes/english/RESULTS.md)",
        "## [mboshi](../recipes/mboshi/RESULTS.md)",
    ]
    assert page.endswith(f"\n\n{TABLE}")


def test_the_readme_has_one_line_per_task(results_json: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rendering, "SUMMARY", (("Mboshi, words", "mboshi", 1.0, "dev", "finetuned"),))
    monkeypatch.setattr(rendering, "SUMMARY_SOURCE", "english")
    for version, cer in ((9, 9.5), (10, 9.25)):  # numbers, not texts: 10 is newer than 9
        add_row(results_json, dataclasses.replace(ROW, source=f"english-{version}", cer=cer))
    searched = dataclasses.replace(ROW, source="english-10", decoder="beam 16, word 4-gram", wer=20.0, cer=7.0)
    add_row(results_json, searched)
    readme = tmp_path / "README.md"
    readme.write_text("# Title\n<!-- results:begin -->\nold\n<!-- results:end -->\nafter\n", encoding="utf-8")
    update_readme(readme, tmp_path / "recipes")
    assert readme.read_text(encoding="utf-8") == (
        "# Title\n<!-- results:begin -->\n"
        "| task | training speech | from scratch: WER %, CER % | adapted: WER %, CER % "
        "| with language models: WER %, CER % | source |\n"
        "| --- | --- | --- | --- | --- | --- |\n"
        "| [Mboshi, words](recipes/mboshi/RESULTS.md) | 60 min | 60.0 [29.6, 32.9], 10.0 [9.0, 11.0] "
        "| 31.3 [29.6, 32.9], 9.2 [9.0, 11.0] | 20.0 [29.6, 32.9], 7.0 [9.0, 11.0] | `english-10` |\n"
        "<!-- results:end -->\nafter\n"
    )
    monkeypatch.setattr(rendering, "SUMMARY", (("Mboshi, words", "mboshi", 2.0, "dev", "finetuned"),))
    with pytest.raises(InputError, match="no row 'finetuned' of 2 h"):
        update_readme(readme, tmp_path / "recipes")


@pytest.mark.parametrize(
    "text",
    [
        "no markers",
        "<!-- results:begin -->",
        "<!-- results:end --><!-- results:begin -->",
        "<!-- results:begin --><!-- results:begin --><!-- results:end -->",
    ],
)
def test_a_readme_with_wrong_markers_is_refused_and_unchanged(tmp_path: Path, text: str) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match="results:begin"):
        update_readme(readme, tmp_path / "recipes")
    assert readme.read_text(encoding="utf-8") == text


def test_the_picture_shows_rates_at_their_places() -> None:
    lower = Series("adapted", (Point(1.0, 10.0, 5.0, 20.0), Point(4.0, 5.0, 4.0, 6.0)))
    svg = draw_rates("Rates & hours", [Series("from scratch", (Point(1.0, 40.0, 30.0, 50.0),)), lower])
    circles = [node for node in ElementTree.fromstring(svg).iter() if node.tag.endswith("circle")]
    (high, low, last) = [(float(node.attrib["cx"]), float(node.attrib["cy"])) for node in circles]
    assert high[0] == low[0] < last[0] and high[1] < low[1] < last[1]
    grid = {round(100 * (1 - (y - 44) / (400 - 44 - 52))) for _, y in (high, low, last)}
    assert grid == {80, 20, 10}  # of an axis that ends at 50 %
    assert svg.count("<text") == 6 + 2 + 1 + 1 + 3 + 2  # rates, hours, axis, title, labels, legend
    assert "1 h" in svg and "4 h" in svg and "from scratch" in svg


def test_the_picture_of_rows_shows_each_rate_on_the_axis() -> None:
    rows = [("dev, scratch", Point(1.0, 15.0, 10.0, 20.0)), ("<dev>", Point(1.0, 5.0, 5.0, 5.0))]
    svg = draw_rows("Rates", rows)
    nodes = list(ElementTree.fromstring(svg).iter())
    texts = {node.text: float(node.attrib["x"]) for node in nodes if node.tag.endswith("text") and node.text}
    assert {"Rates", "dev, scratch", "<dev>"} <= set(texts)
    percent = (texts["20 %"] - texts["0 %"]) / 20  # pixels
    places = [(node.attrib["cx"], node.attrib["cy"]) for node in nodes if node.tag.endswith("circle")]
    assert [round((float(x) - texts["0 %"]) / percent) for x, _ in places] == [15, 5]
    assert float(places[0][1]) < float(places[1][1])
    bars = [node.attrib["d"] for node in nodes if node.tag.endswith("path")]
    ends = [[float(number) for number in re.findall(r"[MH]([\d.]+)", bar)[:2]] for bar in bars]
    assert [[round((x - texts["0 %"]) / percent) for x in pair] for pair in ends] == [[10, 20], [5, 5]]


@pytest.mark.parametrize(
    ("hours_of_new", "drawn"), [((1.0,), "adapted from english-1"), ((1.0, 4.0), "adapted from english-2")]
)
def test_the_picture_draws_the_version_with_most_points_then_the_newest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hours_of_new: Sequence[float], drawn: str
) -> None:
    monkeypatch.setattr(rendering, "PICTURE_SERIES", (("adapted from {}", "finetuned", "english"),))
    for source, hours in [*(("english-1", hours) for hours in (1.0, 4.0)), *(("english-2", h) for h in hours_of_new)]:
        add_row(tmp_path / "mboshi" / "results.json", dataclasses.replace(ROW, source=source, train_hours=hours))
    assert re.findall("adapted from [^<]+", rendering.picture(tmp_path)) == [drawn]


def test_pages_of_the_repository_are_up_to_date(tmp_path: Path) -> None:
    for name in ("recipes", "docs"):
        (tmp_path / name).mkdir()
    pages = [Path("README.md"), Path("docs/results.md"), Path("docs/settings.md"), Path("docs/mboshi.svg")]
    for results_json in ROOT.glob("recipes/*/results.json"):
        folder = results_json.parent.relative_to(ROOT)
        (tmp_path / folder).mkdir()
        pages.append(folder / "RESULTS.md")
        for pattern in ("*results.json", "ranking-*.tsv", "keyword_search.json", "notes.md"):
            for path in results_json.parent.glob(pattern):
                (tmp_path / folder / path.name).write_bytes(path.read_bytes())
    (tmp_path / "README.md").write_bytes((ROOT / "README.md").read_bytes())
    rendering.render_all(tmp_path)
    different = [str(page) for page in pages if (tmp_path / page).read_bytes() != (ROOT / page).read_bytes()]
    assert not different, "run `make results`"


def test_the_command_renders_the_page_of_one_recipe(results_json: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "recipes.rendering", results_json.parent]
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == 0
    assert results_json.with_name("RESULTS.md").read_text(encoding="utf-8") == PAGE
    done = subprocess.run([*command[:-1], tmp_path], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1) and done.stderr.startswith("error: ")
