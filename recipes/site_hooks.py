"""Hooks of mkdocs.yml: pages of the documentation site that are not files of docs/, and the links between all of them.

README.md is the home page; pages of the recipes, of the data scripts and of the project are included from their places, and
commands.md is written from the command line. A link in a Markdown file is relative to its place in the repository; here it
becomes relative to its page's place in the site.
"""

import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recipes.command_page import commands_page
from recipes.picture import Point, draw_rows
from speechxfer.workflows import ResultRow, read_rows

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
COMMANDS = "commands.md"
RESULTS = "results.md"
PICTURE = "recipes/{}/rates.svg"
INCLUDED = (  # files outside of docs/ that are pages
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "data_scripts/README.md",
    "benchmarks/RESULTS.md",
    "recipes/*/README.md",
    "recipes/*/RESULTS.md",
)
LINK = re.compile(r"(\]\()([^)\s#:]+)")


def included_pages(root: Path = ROOT) -> dict[str, str]:
    """Pages of the site that are files outside of docs/, with these files: ``{"index.md": "README.md", ...}``."""
    files = [path.relative_to(root).as_posix() for pattern in INCLUDED for path in sorted(root.glob(pattern))]
    return {page_of(file): file for file in files}


def page_of(file: str) -> str:
    """The page of the site that a file of the repository is."""
    return "index.md" if file == "README.md" else file.removeprefix("docs/")


def file_of(page: str) -> str:
    """The file of the repository that a page of the site is made from."""
    return included_pages().get(page, f"docs/{page}")


def relative_to_site(markdown: str, file: str) -> str:
    """Markdown of a file with its links to files of the repository changed to links between pages of the site."""
    place, page = posixpath.dirname(file), page_of(file)

    def change(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(place, link[2]))
        if not (ROOT / target).exists():
            return link[0]  # as it is, so that MkDocs reports it
        return link[1] + posixpath.relpath(page_of(target), posixpath.dirname(page) or ".")

    return LINK.sub(change, markdown)


def recipe_pages() -> list[dict[str, Any]]:
    """The recipes' part of the navigation."""
    pages = [page for page in included_pages() if page.startswith("recipes/")]
    names = sorted({page.split("/")[1] for page in pages})
    return [{name: [page for page in pages if page.split("/")[1] == name]} for name in names]


def on_config(config: "MkDocsConfig") -> "MkDocsConfig":
    """Fill the section `Recipes` of the navigation."""
    section = next(entry for entry in config.nav or [] if isinstance(entry, dict) and "Recipes" in entry)
    section["Recipes"] += recipe_pages()
    return config


def on_files(files: "Files", config: "MkDocsConfig") -> "Files":
    """Add the pages that are not in docs/."""
    from mkdocs.structure.files import File

    for page, file in included_pages().items():
        files.append(File.generated(config, page, content=(ROOT / file).read_text(encoding="utf-8")))
    files.append(File.generated(config, COMMANDS, content=commands_page()))
    for results_json in sorted(ROOT.glob("recipes/*/results.json")):
        files.append(
            File.generated(config, PICTURE.format(results_json.parent.name), content=picture_of_rows(results_json))
        )
    return files


def on_page_markdown(markdown: str, page: "Page", config: "MkDocsConfig", files: "Files") -> str:
    """Change the links of a page, and add the pictures to the page of all results."""
    uri = page.file.src_uri
    if uri == RESULTS:
        picture = "\\g<0>\n\n![\\1: error rates](" + PICTURE.format("\\1") + ")"
        markdown = re.sub(r"^## \[(\w+)\].*", picture, markdown, flags=re.MULTILINE)
    return markdown if uri == COMMANDS else relative_to_site(markdown, file_of(uri))


def picture_of_rows(results_json: Path) -> str:
    """The SVG of a recipe: the character error rate of each row, by split and training speech, the lowest last."""
    rows = sorted(read_rows(results_json), key=lambda row: (row.split, row.train_hours, -row.cer))
    named = [(_name(row), Point(row.train_hours, row.cer, row.cer_low, row.cer_high)) for row in rows]
    return draw_rows(f"{results_json.parent.name}: character error rate (95 % intervals)", named)


def _name(row: ResultRow) -> str:
    decoder = "" if row.decoder == "greedy" else "language models"
    return ", ".join(part for part in (row.split, f"{row.train_hours:g} h", row.name, row.source, decoder) if part)
