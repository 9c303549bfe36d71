"""docs/settings.md: every setting with its type, default and meaning, from the settings' own descriptions."""

import json
import typing

from pydantic.fields import FieldInfo

from speechxfer.config import Config


def settings_page() -> str:
    """The page as Markdown."""
    parts = [
        "# Settings",
        "Rendered by `make results` from `speechxfer/config/settings.py`; do not edit. Settings are read from a TOML file with "
        "these sections; `--set section.key=value` has precedence. An unknown key, a wrong type, a value out of range or a "
        "contradiction is an error. An absent key is not set.",
    ]
    for section, field in Config.model_fields.items():
        assert isinstance(field.annotation, type)
        _, _, meaning = (field.annotation.__doc__ or "").strip().split("\n")[0].partition(": ")
        rows = [_row(name, setting) for name, setting in field.annotation.model_fields.items()]
        table = ["| setting | default | values | meaning |", "| --- | --- | --- | --- |", *rows]
        parts += [f"## [{section}]", meaning[:1].upper() + meaning[1:], "\n".join(table)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _row(name: str, setting: FieldInfo) -> str:
    default = setting.get_default(call_default_factory=True)
    shown = "not set" if default is None else f"`{json.dumps(default)}`"  # as TOML writes them, too
    description = " ".join((setting.description or "").split()).replace("|", "\\|")
    return f"| `{name}` | {shown} | {_values(setting)} | {description} |"


def _values(setting: FieldInfo) -> str:
    """Allowed values: the choices, else type and bounds."""
    choices = [str(choice) for choice in typing.get_args(setting.annotation) if isinstance(choice, str | int)]
    if choices:
        return ", ".join(choices)
    types = [part for part in typing.get_args(setting.annotation) if part is not type(None)] or [setting.annotation]
    kind = getattr(types[0], "__name__", "")
    kind = kind if kind in ("int", "float", "bool", "str") else "list"
    bounds = []
    for constraint in setting.metadata:
        for key, sign in (("ge", "≥"), ("gt", ">"), ("le", "≤"), ("lt", "<")):
            if getattr(constraint, key, None) is not None:
                bounds.append(f"{sign} {getattr(constraint, key):g}")
    return " ".join([kind, ", ".join(bounds)]).strip()
