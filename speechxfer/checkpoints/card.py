"""A model's card: where it comes from."""

import json
import re
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from speechxfer.checkpoints.sources import HUB, find_model, is_external, locate_external
from speechxfer.errors import InputError

FORMAT = 1


@dataclass(frozen=True)
class Card:
    """Where a model comes from; free-form values that a person or a results table wants to know."""

    name: str = ""
    parent: str = ""
    language: str = ""
    licence: str = ""
    details: dict[str, Any] = field(default_factory=dict)


def read_card(name: Path | str) -> dict[str, Any]:
    """The contents of ``model.json``; InputError if it is damaged or of a newer format."""
    if is_external(name):
        return external_card(name)
    path = find_model(name) / "model.json"
    try:
        description: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        version = description["format"]
        card = card_from_description(description)
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise InputError(f"{path}: damaged ({error}); copy the model again") from error
    if not isinstance(card.details, dict):
        raise InputError(f"{path}: damaged ('details' is no object); copy the model again")
    if version != FORMAT:
        raise InputError(f"{path}: format {version}, this version of speechxfer reads {FORMAT}; upgrade speechxfer")
    return description


def card_from_description(description: dict[str, Any]) -> Card:
    """The card among a description's fields; KeyError where one is missing."""
    return Card(**{field.name: description[field.name] for field in fields(Card)})


def external_card(name: Path | str) -> dict[str, Any]:
    """What ``model.json`` would say of it: name, licence as its README states it, the revision that was taken."""
    place = locate_external(name)
    details: dict[str, Any] = {"toolkit": "NeMo" if place.suffix == ".nemo" else "transformers"}
    if str(name).startswith(HUB):
        details["revision"] = place.name
    readme = place / "README.md"
    stated = (
        re.search(r"^license:\s*(\S+)", readme.read_text("utf-8", "replace"), re.MULTILINE)
        if readme.is_file()
        else None
    )
    return {"name": str(name), "parent": "", "language": "", "licence": stated[1] if stated else "", "details": details}
