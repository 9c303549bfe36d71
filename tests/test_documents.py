"""README.md and the pages of the documentation site: navigation, links, and commands, settings and names that exist.

Command lines are parsed by the program's own parser, without running them. In a block of code a command line must be complete;
in a sentence it must name a verb and options that exist. Of blocks with prompts (``$ ``) the lines without one are output.
"""

import ast
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

import speechxfer as sx
from recipes.command_page import commands_page
from recipes.site_hooks import COMMANDS, included_pages, recipe_pages, relative_to_site
from speechxfer.cli.program import USAGE_ERRORS, app
from speechxfer.config import Config, load_config
from tests.test_structure import PACKAGE, ROOT, exported_names

DOCS = ROOT / "docs"
PAGES = sorted({*DOCS.rglob("*.md"), *(ROOT / file for file in included_pages().values())})
RECORDS = ("RESULTS.md", "results.md", "CHANGELOG.md")  # state what was done, with the commands of that time
INSTRUCTIONS = [path for path in PAGES if path.name not in RECORDS]
OPTION = re.compile(r"--[a-z][a-z-]*")
COMMAND = typer.main.get_command(app)
CONFIG = Config()
SUFFIXES = ("json", "jsonl", "txt", "new")  # of files, such as model.json


def name_of(path: Path) -> str:
    """A file as messages name it."""
    return path.relative_to(ROOT).as_posix()


@cache
def text_of(path: Path) -> str:
    """A document."""
    return path.read_text(encoding="utf-8")


# --------------------------------------------------------------------------------------------------------- commands
def verb_of(words: list[str]) -> tuple[Any, str, list[str]] | None:
    """Verb, its name and what follows it, of the words behind ``speechxfer``; None if there is no such verb."""
    group: Any = COMMAND
    for number, word in enumerate(words):
        command = group.commands.get(word)
        if command is None:
            return None
        if not hasattr(command, "commands"):
            return command, " ".join(words[: number + 1]), words[number + 1 :]
        group = command
    return None


def options_of(verb: Any) -> set[str]:
    """All names of a verb's options."""
    names = {name for parameter in verb.params for name in (*parameter.opts, *parameter.secondary_opts)}
    return {name for name in names if name.startswith("--")} | {"--help"}


def block_lines(text: str) -> Iterator[tuple[int, str]]:
    """Number and text of each line that a block of code says to type; lines that end in a backslash are joined."""
    for number, block in blocks(text):
        joined, first = "", number
        prompts = any(line.startswith("$ ") for line in block)
        for offset, line in enumerate(block):
            if joined or not prompts or line.startswith("$ "):
                first = first if joined else number + offset
                joined += line.removeprefix("$ ")
                if joined.endswith("\\"):
                    joined = joined[:-1]
                else:
                    yield first, joined
                    joined = ""


def blocks(text: str) -> Iterator[tuple[int, list[str]]]:
    """Number of the first line, and the lines, of each block of code: fenced, but of Python or TOML, or indented."""
    block: list[str] = []
    language = None
    for number, line in enumerate([*text.splitlines(), ""], start=1):
        fence = re.match(r"\s*```(\w*)", line)
        if not fence and (language is not None or line.startswith("    ")):
            block.append(line.strip())
        elif block or fence:
            if language not in ("python", "toml"):
                yield number - len(block), block
            block = []
            language = fence[1] if fence and language is None else None


def commands_of(line: str) -> Iterator[list[str]]:
    """The words behind ``speechxfer`` of each command of a shell's line."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;<>")
    lexer.whitespace_split = True
    command: list[str] = []
    try:
        words = [*lexer, ";"]
    except ValueError:  # a quotation mark of prose
        return
    for word in words:
        if word in ("|", "&&", "&", ";", "||", ">", "<", ">>"):
            if command[:1] == ["speechxfer"]:
                yield command[1:]
            command = []
        elif command or "=" not in word:  # not NAME=value before the command
            command.append(word)


def faults_of_whole(words: list[str]) -> Iterator[str]:
    """What is wrong with a complete command line, by the program's parser; of settings, by their own."""
    if words and words[0] in ("VERB", "--help"):
        return
    found = verb_of(words)
    if found is None:
        yield f"no verb: speechxfer {' '.join(words)}"
        return
    verb, name, rest = found
    try:
        context = verb.make_context(name, list(rest))
        load_config(None, context.params.get("settings") or [])
    except USAGE_ERRORS as error:
        yield f"speechxfer {' '.join(words)}: {error.format_message()}"
    except sx.InputError as error:
        yield f"speechxfer {' '.join(words)}: {error}"
    except typer.Exit:  # --help
        return


def faults_of_part(words: list[str]) -> Iterator[str]:
    """What is wrong with a command line of a sentence: verb and options, not what is missing."""
    if words and (words[0] in ("VERB", "--help") or words[0].startswith("lm ")):
        return
    found = verb_of(words)
    if found is None:
        if words != ["lm"]:
            yield f"no verb: {' '.join(words)}"
        return
    verb, name, rest = found
    yield from (f"{name} has no {word}" for word in rest if OPTION.fullmatch(word) and word not in options_of(verb))


def faults_of_commands(text: str) -> Iterator[str]:
    """Line and fault of every command of a document that the program would refuse."""
    for number, line in block_lines(text):
        yield from (f"{number}: {fault}" for words in commands_of(line) for fault in faults_of_whole(words))
    for number, line in enumerate(text.splitlines(), start=1):
        for code in re.findall(r"`([^`]+)`", line):
            words = code.split()
            if words[0] == "speechxfer" and len(words) > 1:
                yield from (f"{number}: {fault}" for fault in faults_of_part(words[1:]))
            elif len(words) > 1 and words[0] in COMMAND.commands and OPTION.match(words[1]):
                yield from (f"{number}: {fault}" for fault in faults_of_part(words))
            for section, key in re.findall(r"\b(data|text|model|transfer|finetune)\.(\w+)", code):
                if key not in SUFFIXES and not hasattr(getattr(CONFIG, section), key):
                    yield f"{number}: no setting {section}.{key}"


@pytest.mark.parametrize("path", INSTRUCTIONS, ids=name_of)
def test_commands_exist_with_their_options(path: Path) -> None:
    assert list(faults_of_commands(text_of(path))) == []


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("    speechxfer adapt --trian x --dev y --out z\n", "1: speechxfer adapt --trian x .*No such option: --trian"),
        ("```console\nspeechxfer adapt --train x --dev y\n```\n", "2: .*Missing option '--out'"),
        ("```console\n$ ls\n$ speechxfer transcribe m a.wav --format docx\n```\n", "3: .*'docx' is not one of"),
        (
            "```sh\nspeechxfer train --train a \\\n  --dev b --out c \\\n --set finetune.stepz=3\n```",
            "2: .*'finetune.stepz'",
        ),
        ("    OMP_NUM_THREADS=1 cat x | speechxfer transcribe m - --formt json > y\n", "1: .*No such option: --formt"),
        ("    speechxfer lm trian x --out y\n", "1: no verb: speechxfer lm trian"),
        ("    speechxfer curve --train x --dev y --test z --out o --seeds 0\n", "1: .*--seeds"),
        ("- then `speechxfer evaluate x --tunes`", "1: evaluate has no --tunes"),
        ("\n| `evaluate --tunes` |", "2: evaluate has no --tunes"),
        ("see `speechxfer bogus`", "1: no verb: bogus"),
        ("`finetune.l3_sp = 0.5` is", "1: no setting finetune.l3_sp"),
        ('`SETTINGS="--set finetune.stepz=9"` is', "1: no setting finetune.stepz"),
    ],
)
def test_faults_of_commands_are_found(text: str, fault: str) -> None:
    (found,) = faults_of_commands(text)
    assert re.match(fault, found)


@pytest.mark.parametrize(
    "text",
    [
        "```console\n$ speechxfer info english\nspeechxfer bogus\n```\n",  # output
        "```python\nspeechxfer bogus\n```\n",
        '    speechxfer evaluate exp/x --on t.jsonl --out e && speechxfer find exp/x "a word" 2019/*.wav > hits.tsv\n',
        "`speechxfer VERB --help`, `speechxfer lm train`, `evaluate --tune`, `finetune.steps = 3`, `text.txt`",
    ],
)
def test_right_commands_have_no_faults(text: str) -> None:
    assert list(faults_of_commands(text)) == []


def test_the_reference_names_every_verb_option_and_an_example() -> None:
    sections = dict(part.split("\n", 1) for part in commands_page().split("\n## ")[1:])
    registered = {command.name or command.callback.__name__ for command in app.registered_commands if command.callback}
    for group in app.registered_groups:
        assert group.typer_instance
        registered |= {f"{group.name} {command.name}" for command in group.typer_instance.registered_commands}
    assert set(sections) == registered
    for name, section in sections.items():
        found = verb_of(name.split())
        assert found and options_of(found[0]) - {"--help"} <= set(OPTION.findall(section))
        examples = re.findall(r"^- `(.+?)`: ", section, re.MULTILINE)
        assert examples and not [fault for line in examples for fault in faults_of_whole(shlex.split(line)[1:])]
    assert "| `--format text|tsv|" in sections["transcribe"] and "| text |" in sections["transcribe"]  # its default


# ------------------------------------------------------------------------------------------------------------ names
@pytest.mark.parametrize("path", INSTRUCTIONS, ids=name_of)
def test_python_names_exist(path: Path) -> None:
    text = text_of(path)
    code = "\n".join(re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL))
    faults = [name for name in re.findall(r"\bsx\.(\w+)", text) if name not in sx.__all__]
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("speechxfer."):
            package = node.module.split(".")[1]
            faults += [f"{package}.{one.name}" for one in node.names if one.name not in exported_names(package)]
    dotted = re.findall(r"`speechxfer\.(\w+)\.(\w+)", text)
    faults += [f"{package}.{name}" for package, name in dotted if name not in exported_names(package)]
    assert faults == []


def test_the_python_reference_has_all_public_names() -> None:
    names = re.findall(r"^::: speechxfer\.(\w+)$", text_of(DOCS / "python.md"), re.MULTILINE)
    assert sorted(names) == sx.__all__


# ------------------------------------------------------------------------------------------------ pages and links
def leaves(nav: Any) -> Iterator[str]:
    """The pages of a navigation."""
    if isinstance(nav, str):
        yield nav
    else:
        for entry in nav.values() if isinstance(nav, dict) else nav:
            yield from leaves(entry)


def test_the_navigation_names_every_page_once() -> None:
    nav = yaml.safe_load(text_of(ROOT / "mkdocs.yml"))["nav"]
    pages = [path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")]
    assert sorted([*leaves(nav), *leaves(recipe_pages())]) == sorted([*pages, *included_pages(), COMMANDS])


def anchors_of(path: Path) -> set[str]:
    """The anchors of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", text_of(path), re.MULTILINE)
    return {re.sub(r"[^\w\s-]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


def faults_of_links(path: Path) -> Iterator[str]:
    """The links of a page to files that are neither pages nor in docs/, and to headings that do not exist."""
    for file, anchor in re.findall(r"\]\(([^)\s#:]*)(?:#([^)\s]+))?\)", text_of(path)):
        target = (path.parent / file).resolve() if file else path
        if target not in PAGES and not (target.is_relative_to(DOCS) and target.is_file()):
            yield file
        elif anchor and anchor not in anchors_of(target):
            yield f"{file}#{anchor}"


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_links_lead_to_pages(path: Path) -> None:
    assert list(faults_of_links(path)) == []


def test_quoted_paths_and_modules_exist() -> None:
    faults = []
    for page in INSTRUCTIONS:
        quoted = re.findall(
            r"`((?:speechxfer|recipes|data_scripts|docs|tests|benchmarks)/[\w./-]+|\w+/\w+\.py)`", text_of(page)
        )
        modules = re.findall(
            r"python -m (?!\w+\.NAME)((?:data_scripts|recipes|benchmarks)\.\w+)(?!\w*<)", text_of(page)
        )
        paths = [*quoted, *(f"{module.replace('.', '/')}.py" for module in modules)]
        faults += [
            f"{name_of(page)}: {path}" for path in paths if not any((top / path).exists() for top in (ROOT, PACKAGE))
        ]
    assert faults == []


@pytest.mark.parametrize("path", INSTRUCTIONS, ids=name_of)
def test_targets_of_make_and_stages_of_recipes_exist(path: Path) -> None:
    code = "\n".join([*re.findall(r"`([^`\n]+)`", text_of(path)), *(line for _, line in block_lines(text_of(path)))])
    targets = set(re.findall(r"^(\w+):", text_of(ROOT / "Makefile"), re.MULTILINE))
    faults = [name for name in re.findall(r"^make (\w+)", code, re.MULTILINE) if name not in targets]
    for recipe, rest in re.findall(r"bash recipes/(\w+)/run\.sh(.*)", code):
        script = ROOT / "recipes" / recipe / "run.sh"
        if not script.exists():
            faults.append(recipe)
            continue
        names = re.search(r'^names="(.*)"', text_of(script), re.MULTILINE)
        stages = names[1].split() if names else []
        faults += [f"{recipe} {stage}" for stage in re.findall(r"--(?:from|to) (\w+)", rest) if stage not in stages]
    assert faults == []


@pytest.mark.parametrize(
    ("file", "link", "changed"),
    [
        ("README.md", "docs/usage.md#language-models", "usage.md#language-models"),
        ("README.md", "recipes/mboshi/RESULTS.md", "recipes/mboshi/RESULTS.md"),
        ("docs/usage.md", "../recipes/mboshi/RESULTS.md", "recipes/mboshi/RESULTS.md"),
        ("docs/usage.md", "formats.md", "formats.md"),
        ("docs/usage.md", "../README.md", "index.md"),
        ("recipes/own/README.md", "../../docs/usage.md#importing-annotations", "../../usage.md#importing-annotations"),
        ("recipes/own/README.md", "../../data_scripts/README.md", "../../data_scripts/README.md"),
        ("docs/usage.md", "https://arxiv.org/abs/1804.03209", "https://arxiv.org/abs/1804.03209"),
        ("docs/usage.md", "absent.md", "absent.md"),
    ],
)
def test_links_between_files_become_links_between_pages(file: str, link: str, changed: str) -> None:
    assert relative_to_site(f"a [b]({link}), c", file) == f"a [b]({changed}), c"


def test_documents_are_short() -> None:
    lines = {name: len(text_of(ROOT / name).splitlines()) for name in ("README.md", "docs/architecture.md")}
    assert lines["README.md"] <= 60 and lines["docs/architecture.md"] <= 100
    assert len(re.findall(r"^\| (?!term|---)", text_of(DOCS / "glossary.md"), re.MULTILINE)) <= 25
