"""ELAN annotation documents (.eaf): reading, and adding tiers to an existing one.

Source: "EAF Annotation Format 3.0 and ELAN", Max Planck Institute for Psycholinguistics. Time slots without a time divide the
time between their neighbours evenly; an annotation that refers to another one has its times, and several that refer to the same
one divide them evenly, as ELAN shows them. The XML is untrusted: document types (and so entities) and deep nesting are refused.
"""

import os
import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from urllib.parse import unquote
from xml.etree import ElementTree
from xml.parsers import expat

from speechxfer.annotations.elan import MIME_TYPES, milliseconds_tiers, tier_elements, type_element
from speechxfer.annotations.tiers import Annotation, Interval, Tier
from speechxfer.errors import InputError

FIX = "open it in ELAN and save it again"
MAX_DEPTH = 16
_Times = tuple[float, float]


def parse_eaf(content: bytes, path: Path) -> Annotation:
    """The annotation in an ELAN document, with all tiers; its duration is the latest time.

    The recording is the first linked sound file that exists, else the first video; where there is none, the path at which the
    first linked file is expected.

    Raises:
        InputError: the content is no ELAN document, or refers to what it does not contain.
    """
    document = _parse_xml(content, path)
    slots = _slot_times(document, path)
    times = _aligned_times(document, slots, path)
    _add_reference_times(document, times, path)
    tiers = tuple(_tier_of(element, times) for element in document.iterfind("TIER"))
    latest = max([value for value in slots.values() if value is not None], default=0.0)
    return Annotation(_choose_media(linked_media(document, path)), latest / 1000, tiers)


def add_to_eaf(content: bytes, tiers: Sequence[Tier], path: Path) -> bytes:
    """The content of an ELAN document with tiers added behind the others, which stay as they are.

    Raises:
        InputError: the content is no ELAN document or has a damaged time, or a tier's name is taken.
    """
    document = _parse_xml(content, path)
    taken = {element.attrib.get("TIER_ID", "") for element in document.iterfind("TIER")}
    added = milliseconds_tiers(tiers)
    for tier in added:
        if tier.name in taken:
            raise InputError(
                f"{path}: has a tier {tier.name!r}; give the new tier another name (--prefix) or delete that one"
            )
    first_slot, first_annotation = _first_free(document, "ts"), _first_free(document, "a")
    slots, elements = tier_elements(added, first_slot, first_annotation)
    types = {element.attrib.get("LINGUISTIC_TYPE_ID", "") for element in document.iterfind("LINGUISTIC_TYPE")}
    needed = sorted({element.attrib["LINGUISTIC_TYPE_REF"] for element in elements} - types)
    order = document.find("TIME_ORDER")
    if order is None:
        raise InputError(f"{path}: has no TIME_ORDER; {FIX}")
    _slot_times(document, path)  # whose times are compared with the new ones
    _merge_slots(order, slots)
    _insert_after(document, elements, ("TIER", "TIME_ORDER"))
    _insert_after(document, [type_element(name) for name in needed], ("LINGUISTIC_TYPE", "TIER", "TIME_ORDER"))
    last = document.find("HEADER/PROPERTY[@NAME='lastUsedAnnotationId']")
    if last is not None:
        last.text = str(first_annotation + sum(len(tier.intervals) for tier in added) - 1)
    text = ElementTree.tostring(document, encoding="unicode").replace("\r", "&#13;")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'.encode()


def linked_media(document: ElementTree.Element, path: Path) -> list[Path]:
    """Where the linked recordings may be: relative to the document, at their absolute paths, and beside the document.

    Names are tried as they are and with percent signs decoded. Without a link: the document's name with the suffix .wav.
    """
    links = [
        (d.attrib.get("RELATIVE_MEDIA_URL", ""), d.attrib.get("MEDIA_URL", ""))
        for d in document.iter("MEDIA_DESCRIPTOR")
    ]
    found: list[Path] = []
    for relative, absolute in links:
        names = [name.replace("\\", "/") for name in (relative, absolute) if name and "\0" not in unquote(name)]
        for decode in (str, unquote):
            for name in map(decode, names):
                if name.startswith("file:"):
                    found.append(Path(re.sub(r"^file:/*(?=/|[A-Za-z]:)", "", name)))
                elif "://" not in name:
                    found.append(path.parent / name)
            found += [path.parent / PurePosixPath(decode(name)).name for name in names]
    return found or [path.with_suffix(".wav")]


def _choose_media(candidates: list[Path]) -> Path:
    """The first sound file that exists, else the first file that exists, else the first candidate."""
    existing = [file for file in candidates if os.path.isfile(file)]
    sounds = [file for file in existing if MIME_TYPES.get(file.suffix.lower(), "").startswith("audio/")]
    return [*sounds, *existing, candidates[0]][0]


# -------------------------------------------------------------------------------------------------------------- XML
def _parse_xml(content: bytes, path: Path) -> ElementTree.Element:
    """The root of an ELAN document; comments are kept."""
    _check_xml(content, path)
    builder = ElementTree.TreeBuilder(insert_comments=True, insert_pis=True)
    parser = ElementTree.XMLParser(target=builder)
    parser.feed(content)
    document: ElementTree.Element = parser.close()
    if document.tag != "ANNOTATION_DOCUMENT":
        raise InputError(f"{path}: is no ELAN document (its root is {document.tag[:40]!r}); {FIX}")
    header = document.find("HEADER")
    unit = header.attrib.get("TIME_UNITS", "milliseconds") if header is not None else "milliseconds"
    if unit != "milliseconds":
        raise InputError(f"{path}: its times are in {unit[:40]!r}; expected milliseconds; {FIX}")
    return document


def _check_xml(content: bytes, path: Path) -> None:
    """Refuse document types, which could define entities that expand without bound, and deep nesting."""
    parser = expat.ParserCreate(namespace_separator="}")
    depth = 0

    def refuse(*_: object) -> None:
        raise InputError(f"{path}: has a document type declaration; expected none in an ELAN document; {FIX}")

    def start(*_: object) -> None:
        nonlocal depth
        depth += 1
        if depth > MAX_DEPTH:
            raise InputError(f"{path}: nested deeper than {MAX_DEPTH} elements; {FIX}")

    def end(*_: object) -> None:
        nonlocal depth
        depth -= 1

    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    try:
        parser.Parse(content, True)
    except (expat.ExpatError, LookupError, UnicodeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: is not XML ({error}); {FIX}") from error


# ------------------------------------------------------------------------------------------------------------ times
def _slot_times(document: ElementTree.Element, path: Path) -> dict[str, float | None]:
    """Times of the slots in milliseconds, in the order of the document; None: to be interpolated."""
    slots: dict[str, float | None] = {}
    for slot in document.iterfind("TIME_ORDER/TIME_SLOT"):
        value = slot.attrib.get("TIME_VALUE", "")
        name = slot.attrib.get("TIME_SLOT_ID", "")
        if value and not re.fullmatch(r"[0-9]{1,12}", value):
            raise InputError(f"{path}: time slot {name!r} has the time {value!r}; expected milliseconds; {FIX}")
        slots[name] = float(value) if value else None
    return slots


def _aligned_times(document: ElementTree.Element, slots: dict[str, float | None], path: Path) -> dict[str, _Times]:
    """Start and end of every time-aligned annotation by id, in milliseconds."""
    neighbours = _neighbouring_times(slots)
    times: dict[str, _Times] = {}
    for tier in document.iterfind("TIER"):
        rows = [
            (a.attrib.get("ANNOTATION_ID", ""), a.attrib.get("TIME_SLOT_REF1", ""), a.attrib.get("TIME_SLOT_REF2", ""))
            for a in tier.iterfind("ANNOTATION/ALIGNABLE_ANNOTATION")
        ]
        for name, start, end in rows:
            if start not in slots or end not in slots:
                raise InputError(f"{path}: annotation {name!r} refers to a time slot that does not exist; {FIX}")
        resolved = _interpolate([(start, end) for _, start, end in rows], slots)
        for name, start, end in rows:
            times[name] = (resolved.get(start, neighbours[start][0]), resolved.get(end, neighbours[end][1]))
    return times


def _interpolate(pairs: list[tuple[str, str]], slots: dict[str, float | None]) -> dict[str, float]:
    """Times of the slots of one tier; chains of annotations without times between two times are of equal length."""
    resolved = {slot: time for pair in pairs for slot in pair if (time := slots[slot]) is not None}
    following = dict(pairs)
    for start, end in pairs:
        if start not in resolved or end in resolved:
            continue
        chain = [start, end]
        while (next_slot := following.get(chain[-1])) is not None and len(chain) <= len(pairs):
            chain.append(next_slot)
            if next_slot in resolved:
                break
        if chain[-1] in resolved:
            first, last, steps = resolved[start], resolved[chain[-1]], len(chain) - 1
            resolved |= {slot: first + (last - first) * i / steps for i, slot in enumerate(chain[1:-1], start=1)}
    return resolved


def _neighbouring_times(slots: dict[str, float | None]) -> dict[str, _Times]:
    """The last time before and the first one after each slot, in the order of the document."""
    before, after = 0.0, max([time for time in slots.values() if time is not None], default=0.0)
    earlier: dict[str, float] = {}
    for slot, time in slots.items():
        before = before if time is None else time
        earlier[slot] = before
    found: dict[str, _Times] = {}
    for slot, time in reversed(slots.items()):
        after = after if time is None else time
        found[slot] = (earlier[slot], after)
    return found


def _add_reference_times(document: ElementTree.Element, times: dict[str, _Times], path: Path) -> None:
    """Add the times of annotations that refer to others, parents first."""
    waiting = [_children_by_parent(tier) for tier in document.iterfind("TIER")]
    waiting = [groups for groups in waiting if groups]
    while waiting:
        rest = []
        for groups in waiting:
            ready = {parent: children for parent, children in groups.items() if parent in times}
            for parent, children in ready.items():
                start, end = times[parent]
                step = (end - start) / len(children)
                for index, child in enumerate(_in_order(children)):
                    times[child] = (start + index * step, start + (index + 1) * step)
            remaining = {parent: children for parent, children in groups.items() if parent not in ready}
            if remaining:
                rest.append(remaining)
        if sum(map(len, rest)) == sum(map(len, waiting)):
            child, parent = next((c[0][0], p) for groups in rest for p, c in groups.items())
            raise InputError(f"{path}: annotation {child!r} refers to {parent!r}, which has no time; {FIX}")
        waiting = rest


def _children_by_parent(tier: ElementTree.Element) -> dict[str, list[tuple[str, str]]]:
    """(id, previous id) of the annotations of a tier by the annotation that they refer to."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for row in tier.iterfind("ANNOTATION/REF_ANNOTATION"):
        child = (row.attrib.get("ANNOTATION_ID", ""), row.attrib.get("PREVIOUS_ANNOTATION", ""))
        groups.setdefault(row.attrib.get("ANNOTATION_REF", ""), []).append(child)
    return groups


def _in_order(children: list[tuple[str, str]]) -> list[str]:
    """Ids in the order of their links to the previous ones; in the order of the document where there are none."""
    following = {previous: child for child, previous in children if previous}
    names = dict.fromkeys(child for child, _ in children)
    ordered: dict[str, None] = {}  # a set that keeps the order
    for child, previous in children:
        current = None if previous in names else child
        while current is not None and current not in ordered:
            ordered[current] = None
            current = following.get(current)
    return list(ordered | names)


def _tier_of(element: ElementTree.Element, times: dict[str, _Times]) -> Tier:
    intervals = []
    for row in element.iterfind("ANNOTATION/*"):
        if row.tag in ("ALIGNABLE_ANNOTATION", "REF_ANNOTATION"):
            start, end = times[row.attrib.get("ANNOTATION_ID", "")]
            intervals.append(Interval(start / 1000, end / 1000, row.findtext("ANNOTATION_VALUE") or ""))
    return Tier(
        element.attrib.get("TIER_ID", ""),
        tuple(sorted(intervals, key=lambda interval: (interval.start_s, interval.end_s))),
        speaker=element.attrib.get("PARTICIPANT", ""),
        type=element.attrib.get("LINGUISTIC_TYPE_REF", ""),
        parent=element.attrib.get("PARENT_REF", ""),
    )


# ----------------------------------------------------------------------------------------------------------- adding
def _first_free(document: ElementTree.Element, prefix: str) -> int:
    """The number after the largest of all ids ``PREFIX<number>``; ids of all kinds share one space."""
    pattern = re.compile(re.escape(prefix) + r"(\d{1,18})")
    values = (value for element in document.iter() for value in element.attrib.values())
    return 1 + max((int(found[1]) for value in values if (found := pattern.fullmatch(value))), default=0)


def _merge_slots(order: ElementTree.Element, slots: list[ElementTree.Element]) -> None:
    """Insert slots with times, which are in order, before the first later slot of the document."""
    merged: list[ElementTree.Element] = []
    waiting = list(reversed(slots))
    for child in order:
        value = child.attrib.get("TIME_VALUE", "") if isinstance(child.tag, str) else ""
        while waiting and value and int(waiting[-1].attrib["TIME_VALUE"]) < int(value):
            merged.append(waiting.pop())
        merged.append(child)
    merged += reversed(waiting)
    for slot in slots:
        slot.tail = "\n        "
    order[:] = merged


def _insert_after(document: ElementTree.Element, elements: list[ElementTree.Element], tags: tuple[str, ...]) -> None:
    """Insert elements behind the last child that has the first of the tags that occurs."""
    if not elements:
        return
    children = [child.tag for child in document]
    tag = next((tag for tag in tags if tag in children), None)
    position = len(children) - children[::-1].index(tag) if tag else 0
    for offset, element in enumerate(elements):
        ElementTree.indent(element, " " * 4, level=1)
        element.tail = "\n    "
        document.insert(position + offset, element)
