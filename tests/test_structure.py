"""The structure of the repository: import directions, package doors, sizes, module docstrings and retired words.

Source files are parsed with `ast`, not imported. A failure names every file and line. The reasons are in ``docs/architecture.md``
and ``CONTRIBUTING.md``.
"""

import ast
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import speechxfer

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "speechxfer"
LAYERS = (  # top to bottom: an import may only point downward
    "__main__",
    "cli",
    "__init__",
    "server",
    "workflows",
    "reporting",
    "export",
    "training",
    "alignment",
    "decoding",
    "adaptation",
    "checkpoints",
    "models",
    "checking",
    "scoring",
    "features",
    "data",
    "annotations",
    "language_models",
    "text",
    "config",
    "runtime",
    "errors",
)
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60  # without the docstring
MAX_PARAMETERS = 8
PYTHON_FOLDERS = ("speechxfer", "data_scripts", "recipes", "benchmarks")
PROSE_SUFFIXES = (".py", ".md", ".sh", ".toml", ".cfg")

RETIRED_WORDS = (  # compared with text whose names are split at underscores and capitals
    r"hear(s|d|ing)?\b",
    r"(rests|resting)\b",
    r"thaw",
    r"(wake|wakes|woken)\b",
    r"(draw|draws|drawn|drawing|pull|pulls|pulled)( (it|them|the encoder|a model|nothing))? back\b",
    r"hold(s|ing)? on\b",
    r"put out\b",
    r"(what )?keeps apart\b",
    r"kept apart\b",
    r"told\b",
    r"borrowed\b",
    r"foreign\b",
    r"stretch",
    r"people\b",
    r"spoil",
    r"mend(s|ed|ing)?\b",
    r"side by side\b",
    r"listen(s|er|ers|ing)?\b",
    r"retention\b",
    r"(pass|passes|passed) over in silence\b",
    r"(left|leave|leaves|leaving)( \w+)? out\b",
    r"as kept\b",
    r"alone in\b",
    r"start alike\b",
)
_RETIRED = re.compile(r"(?<![a-z])(" + "|".join(RETIRED_WORDS) + ")", re.IGNORECASE)
LEGITIMATE: tuple[tuple[str, str], ...] = ()  # (file, quotation or name in which a retired word may stay)


# ---------------------------------------------------------------------------------------------------------- imports
def python_files(*folders: str) -> list[Path]:
    """The Python files below some folders of the repository, in order."""
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py") if "exp" not in path.parts)


@cache
def parse(path: Path) -> ast.Module:
    """The syntax tree of a file."""
    return ast.parse(path.read_text(encoding="utf-8"))


def at(path: Path, line: int) -> str:
    """A place in a file, as messages name it."""
    return f"{path.relative_to(ROOT)}:{line}"


def imported_modules(path: Path) -> Iterator[tuple[int, str, str | None]]:
    """Every import of speechxfer in a file: line, module, and the imported name (None for ``import module``)."""
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name, None) for alias in node.names if alias.name.startswith("speechxfer"))
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{at(path, node.lineno)}: relative import; write the whole name"
            if node.module and node.module.split(".")[0] == "speechxfer":
                yield from ((node.lineno, node.module, alias.name) for alias in node.names)


def package_of(path: Path) -> str:
    """The package (or top-level module) of speechxfer that a file belongs to; "" for a file outside of it."""
    if not path.is_relative_to(PACKAGE):
        return ""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@cache
def exported_names(package: str) -> frozenset[str]:
    """The names that a package of speechxfer exports, as ``import name as name``; none for a module."""
    init = PACKAGE / package / "__init__.py"
    if not package or not init.exists():
        return frozenset()
    aliases = [alias for node in parse(init).body if isinstance(node, ast.ImportFrom) for alias in node.names]
    return frozenset(alias.name for alias in aliases if alias.name == alias.asname)


def target_of(module: str, name: str | None) -> tuple[str, list[str]]:
    """The package that an import reaches, and the parts of the module below it."""
    parts = module.split(".")[1:]
    if name is not None and name not in exported_names(parts[0] if parts else ""):
        below = PACKAGE.joinpath(*parts, name)
        parts += [name] if below.is_dir() or below.with_suffix(".py").exists() else []
    return (parts[0] if parts else "__init__"), parts[1:]


def test_the_layers_are_complete() -> None:
    packages = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert packages | {path.stem for path in PACKAGE.glob("*.py")} == set(LAYERS)


def test_imports_point_downward() -> None:
    faults = [
        f"{at(path, line)}: {package_of(path)} imports {target}"
        for path in python_files("speechxfer")
        for line, module, name in imported_modules(path)
        if (target := target_of(module, name)[0]) != package_of(path)
        and (target, name) != ("__init__", "__version__")
        and LAYERS.index(target) < LAYERS.index(package_of(path))
    ]
    assert not faults


def test_other_packages_are_imported_through_their_init() -> None:
    faults = []
    for path in python_files(*PYTHON_FOLDERS):
        for line, module, name in imported_modules(path):
            package, below = target_of(module, name)
            if package != package_of(path) and below:
                faults.append(f"{at(path, line)}: imports {package}.{'.'.join(below)}; use speechxfer.{package}")
    assert not faults


def test_no_module_is_named_like_a_public_name() -> None:
    modules = {name for path in python_files("speechxfer") for name in (path.stem, path.parent.name)}
    assert not modules & set(speechxfer.__all__)


# ------------------------------------------------------------------------------------------------------------ sizes
def test_files_are_short_and_open_with_a_docstring() -> None:
    faults = []
    for path in python_files(*PYTHON_FOLDERS):
        if not ast.get_docstring(parse(path)):
            faults.append(f"{at(path, 1)}: no docstring")
        lines = len(path.read_text(encoding="utf-8").splitlines())
        if lines > MAX_FILE_LINES:
            faults.append(f"{at(path, lines)}: more than {MAX_FILE_LINES} lines")
    assert not faults


def test_functions_are_short_and_take_few_parameters() -> None:
    faults = []
    for path in python_files(*PYTHON_FOLDERS):
        is_command_line = path.parent == PACKAGE / "cli" and path.stem.endswith(
            "verbs"
        )  # a verb has as many options as it has
        for node in ast.walk(parse(path)):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            lines, parameters = line_count(node), parameter_count(node)
            if lines > MAX_FUNCTION_LINES:
                faults.append(f"{at(path, node.lineno)}: {node.name} has {lines} lines")
            if parameters > MAX_PARAMETERS and not is_command_line:
                faults.append(f"{at(path, node.lineno)}: {node.name} has {parameters} parameters")
    assert not faults


def line_count(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function without those of its docstring."""
    docstring = function.body[0] if ast.get_docstring(function) is not None else None
    lines = (docstring.end_lineno or 0) - docstring.lineno + 1 if docstring else 0
    return (function.end_lineno or 0) - function.lineno + 1 - lines


def parameter_count(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Parameters of a function without `self` and `cls`."""
    arguments = (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs)
    variable = (function.args.vararg, function.args.kwarg)
    return sum(argument.arg not in ("self", "cls") for argument in arguments) + sum(map(bool, variable))


# ------------------------------------------------------------------------------------------------------------ words
def prose_files() -> list[Path]:
    """The files whose names and prose must be in the language of the field."""
    listing = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    tracked = [ROOT / name for name in listing.splitlines() if name.endswith(PROSE_SUFFIXES)]
    return [path for path in tracked if path.exists() and path != Path(__file__).resolve()]


def retired_words(text: str) -> Iterator[tuple[int, str]]:
    """Line number and word of every retired word in a text; names are split into their words first."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])|_", " ", text)
    for found in _RETIRED.finditer(spaced):
        yield spaced.count("\n", 0, found.start()) + 1, found.group(0)


def test_no_retired_word_is_used() -> None:
    faults = []
    for path in prose_files():
        text = path.read_text(encoding="utf-8")
        for file, quotation in LEGITIMATE:
            if file == str(path.relative_to(ROOT)):
                assert quotation in text, f"{quotation!r} is no longer in {file}: remove it from LEGITIMATE"
                text = text.replace(quotation, "")
        faults += [f"{at(path, line)}: {word}" for line, word in retired_words(text)]
    assert not faults


@pytest.mark.parametrize(
    "text",
    ["encoder_rests", "is_foreign", "class Listener", "it leaves nine out", "heard_in", "what_keeps_apart", "pullBack"],
)
def test_retired_words_are_found_in_names_and_prose(text: str) -> None:
    assert list(retired_words(text))


@pytest.mark.parametrize("text", ["the rest of it", "amend", "recommended", "shear", "awake", "the head", "interests"])
def test_other_words_are_allowed(text: str) -> None:
    assert not list(retired_words(text))
