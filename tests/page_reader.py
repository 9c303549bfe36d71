"""Reads a page of `speechxfer report` with Python's HTML parser, as a browser would: elements, texts, data, policy."""

import json
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

VOID = {"meta", "input"}  # of those on the page; elements of SVG are closed


@dataclass
class Element:
    """An element: its name, attributes and the text in it, that of its descendants included."""

    name: str
    attributes: dict[str, str | None]
    text: str = ""


@dataclass
class PageReader(HTMLParser):
    """All elements of a page in their order."""

    elements: list[Element] = field(default_factory=list)
    comments: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._open: list[Element] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, dict(attrs))
        self.elements.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(Element(tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open[-1].name == tag, f"</{tag}> closes <{self._open[-1].name}>"
        self._open.pop()

    def handle_data(self, data: str) -> None:
        for element in self._open:
            element.text += data

    def handle_comment(self, data: str) -> None:
        self.comments.append(data)

    def named(self, name: str, **attributes: str) -> list[Element]:
        """Elements of this name with these attributes."""
        wanted = {key.replace("_", "-"): value for key, value in attributes.items()}
        return [e for e in self.elements if e.name == name and wanted.items() <= e.attributes.items()]

    def data(self) -> dict[str, Any]:
        """The data of the utterance browser."""
        [script] = self.named("script", id="data")
        found: dict[str, Any] = json.loads(script.text)
        return found

    def policy(self) -> dict[str, list[str]]:
        """The content-security policy: sources by directive."""
        [meta] = self.named("meta", http_equiv="Content-Security-Policy")
        parts = [part.split() for part in (meta.attributes["content"] or "").split(";")]
        return {directive: sources for directive, *sources in parts}

    def rows(self, caption: str) -> list[list[str]]:
        """The cells of the body of the table with this caption."""
        found: list[list[str]] = []
        inside = False
        for element in self.elements:
            if element.name == "table":
                inside = element.text.strip().startswith(caption)
            elif inside and element.name == "tr":
                found.append([])
            elif inside and element.name in ("th", "td") and found:
                found[-1].append(element.text.strip())
        return [row for row in found if row]


def read_page(html: str) -> PageReader:
    """The page, with every element closed."""
    reader = PageReader()
    reader.feed(html)
    reader.close()
    assert not reader._open
    return reader
