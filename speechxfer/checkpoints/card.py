"""A model's card and the rest of its ``model.json``; of an external checkpoint, what its files state."""

import re
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from speechxfer.checkpoints.external_weights import read_object
from speechxfer.checkpoints.sources import Source, resolve_source
from speechxfer.checkpoints.weights import COPY_AGAIN
from speechxfer.errors import InputError

FORMAT = 1


@dataclass(frozen=True)
class Card:
    """Where a model comes from.

    Attributes:
        name: of the model.
        parent: the source that it was adapted from; empty if trained from random weights.
        language: language code, or "mul".
        licence: of the weights.
        details: anything else worth knowing, such as data, settings, command, cost and measured error rates.
    """

    name: str = ""
    parent: str = ""
    language: str = ""
    licence: str = ""
    details: dict[str, Any] = field(default_factory=dict)


def read_card(name: Path | str | Source) -> Card:
    """The card of a model; of an external checkpoint its name, licence (as its README states it), toolkit and revision.

    Raises:
        InputError: there is no such model, or its description is damaged or of another format.
    """
    source = resolve_source(name)
    if source.kind == "folder":
        return card_of(read_description(source.path))
    details = {"toolkit": "NeMo" if source.kind == "nemo" else "transformers"}
    if source.revision:
        details["revision"] = source.revision
    readme = source.path / "README.md"
    text = readme.read_text("utf-8", "replace") if readme.is_file() else ""
    licence = re.search(r"^license:\s*(\S+)", text, re.MULTILINE)
    return Card(source.name, licence=licence[1] if licence else "", details=details)


def read_description(folder: Path) -> dict[str, Any]:
    """The contents of ``model.json``; InputError if it is damaged or of another format."""
    path = folder / "model.json"
    description = read_object(path)
    if "format" not in description:
        raise InputError(f"{path}: damaged (no format); {COPY_AGAIN}")
    if description["format"] != FORMAT:
        raise InputError(
            f"{path}: format {description['format']}, this version of speechxfer reads {FORMAT}; upgrade speechxfer"
        )
    try:
        card_of(description)
    except (KeyError, TypeError) as error:
        raise InputError(f"{path}: damaged ({error}); {COPY_AGAIN}") from error
    return description


def card_of(description: dict[str, Any]) -> Card:
    """The card among a description's fields; KeyError if one is missing, TypeError if one has another type."""
    card = Card(**{field.name: description[field.name] for field in fields(Card)})
    texts = (card.name, card.parent, card.language, card.licence)
    if not all(isinstance(text, str) for text in texts) or not isinstance(card.details, dict):
        raise TypeError("the card has fields of another type")
    return card
