"""Settings from a TOML file (TOML 1.0) and overrides `section.key=value`, with messages that name the setting and the fix."""

import datetime
import difflib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from speechxfer.config.settings import Config, Section
from speechxfer.errors import InputError
from speechxfer.runtime import parse_toml, read_toml

Tree = dict[str, object]  # settings before validation: nested tables as TOML and JSON give them
SECTIONS: dict[str, type[Section]] = {name: type(section) for name, section in Config()}
SOURCE_SETTINGS = (  # of [finetune]; they refer to the weights, outputs or data of a source model
    "freeze",
    "unfreeze_every_steps",
    "layer_decay",
    "batch_norm",
    "l2_sp",
    "distillation",
    "replay",
    "source_manifests",
)
TYPE_NAMES = {
    "bool_type": "true or false",
    "int_type": "a whole number",
    "float_type": "a number",
    "string_type": "a text in quotes",
    "tuple_type": "a list in brackets",
}


def load_config(path: Path | None, overrides: Sequence[str] = ()) -> Config:
    """Read settings: defaults, then the TOML file if there is one, then the overrides, the last of equal keys winning.

    Args:
        path: a TOML file, or None for the defaults.
        overrides: texts ``section.key=value``; the value is read as TOML or, if it is not TOML, as a string. An empty
            value (``section.key=``) resets the setting to its default.

    Raises:
        InputError: the file cannot be read or is not TOML, an override has no ``=`` or no section, a key is unknown, a
            value has the wrong type or range, or two settings contradict each other.
    """
    tree: Tree = read_toml(path, fix="expected lines like `steps = 2000` under [finetune]") if path else {}
    overridden = {}
    for override in overrides:
        overridden[_apply_override(tree, override)] = override
    return parse_config(tree, str(path) if path else "settings", overridden)


def parse_config(tree: Mapping[str, object], where: str = "settings", overridden: Mapping[str, str] = {}) -> Config:
    """Validate nested tables, such as the JSON dump of a `Config`.

    Args:
        tree: the tables.
        where: names their origin in errors.
        overridden: the override that gave the value of a ``section.key``; named in place of `where`.

    Raises:
        InputError: as `load_config`.
    """
    try:
        return Config.model_validate(tree)
    except ValidationError as error:
        problems: dict[str, list[ErrorDetails]] = {}
        for detail in error.errors(include_url=False):
            problems.setdefault(".".join(str(part) for part in detail["loc"][:2]), []).append(detail)
        lines = [_explain(key, details, where, overridden) for key, details in problems.items()]
        raise InputError("; ".join(lines)) from error


def change_settings(config: Config, section: str, **values: object) -> Config:
    """A copy of the settings with other values in one section, validated.

    Raises:
        InputError: as `load_config`.
    """
    tree = config.model_dump()
    return parse_config(tree | {section: tree[section] | values})


def settings_from_scratch(config: Config) -> Config:
    """The same settings for training from random weights: everything that needs a source model is at its default."""
    tree = config.model_dump()
    training = {name: value for name, value in tree["finetune"].items() if name not in SOURCE_SETTINGS}
    return parse_config(tree | {"transfer": {}, "finetune": training})


def _apply_override(tree: Tree, override: str) -> str:
    """Put one ``section.key=value`` into the tree; returns ``section.key``."""
    name, equals, text = override.partition("=")
    section, dot, key = (part.strip() for part in name.partition("."))
    if not (equals and dot and section and key):
        raise InputError(f"--set {override}: expected section.key=value, such as finetune.steps=500")
    if section not in SECTIONS:
        raise InputError(f"--set {override}: unknown setting {section!r}; {_suggest(section)}")
    table = tree.setdefault(section, {})
    if not isinstance(table, dict):
        raise InputError(f"--set {override}: {section!r} is not a table; put its settings under [{section}]")
    if text.strip():
        table[key] = _override_value(text.strip())
    elif key in SECTIONS[section].model_fields:
        table.pop(key, None)
    else:
        table[key] = ""  # reported as unknown
    return f"{section}.{key}"


def _override_value(text: str) -> object:
    try:
        parsed = parse_toml(f"value = {text}", "", fix="")
    except InputError:  # such as a path without quotes
        return text
    value = parsed["value"]
    is_date = isinstance(value, datetime.date | datetime.time)  # no setting is a date; a folder may be named like one
    return text if len(parsed) > 1 or is_date else value


def _explain(key: str, details: list[ErrorDetails], where: str, overridden: Mapping[str, str]) -> str:
    """One line for all errors of one key; each alternative of a union reports its own."""
    origin = f"--set {overridden[key]}" if key in overridden else where
    first = details[0]
    if first["type"] == "extra_forbidden":
        return f"{origin}: unknown setting {key!r}; {_suggest(key)}"
    if first["type"] == "value_error":
        return f"{where}: {first['ctx']['error']}"
    section, _, name = key.partition(".")
    if not name:
        return f"{origin}: {section!r} must be a table; write its settings under [{section}]"
    expectations = [TYPE_NAMES.get(d["type"]) or d["msg"].removeprefix("Input should be ") for d in details]
    expected = " or ".join(dict.fromkeys(expectations))
    value = json.dumps(first["input"], ensure_ascii=False, default=str)
    value = value if len(value) <= 100 else f"{value[:100]}..."
    meaning = " ".join((SECTIONS[section].model_fields[name].description or "").split())
    return f"{origin}: {key} = {value} is not allowed: expected {expected} ({meaning})"


def _suggest(key: str) -> str:
    """What an unknown ``section.key`` (or ``section``) may have been meant to be."""
    section, _, name = key.partition(".")
    if section not in SECTIONS:
        section, name = "", key
    sections = [other for other, model in SECTIONS.items() if name in model.model_fields]
    if sections:
        return f"it belongs to another section: write {sections[0]}.{name}"
    choices = list(SECTIONS[section].model_fields if section else SECTIONS)
    near = difflib.get_close_matches(name, choices, n=1)
    if near:
        return f"did you mean {f'{section}.' if section else ''}{near[0]}?"
    place = f"[{section}]" if section else "the file"
    return f"{place} has {', '.join(choices)}"
