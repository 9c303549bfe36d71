"""ELAN annotation documents (.eaf, format 3.0): writing.

Source: "EAF Annotation Format 3.0 and ELAN" and its schema EAFv3.0.xsd, Max Planck Institute for Psycholinguistics. Times are
whole milliseconds. All tiers are time-aligned and independent; the linguistic type tells utterances, words and symbols from
each other. Annotations of one tier may not overlap: overlapping intervals go to an added tier.
"""

import os
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from xml.etree import ElementTree

from speechxfer.annotations.tiers import (
    POINT,
    SYMBOLS,
    UTTERANCES,
    WORDS,
    Annotation,
    Interval,
    Tier,
    check_annotation,
    separate_overlaps,
    without_control_characters,
)

SCHEMA_INSTANCE = "http://www.w3.org/2001/XMLSchema-instance"
SCHEMA = "http://www.mpi.nl/tools/elan/EAFv3.0.xsd"
DEFAULT_TYPE = "default-lt"
SHORTEST_S = 0.001
CONSTRAINTS = {
    "Time_Subdivision": (
        "Time subdivision of parent annotation's time interval, no time gaps allowed within this interval"
    ),
    "Symbolic_Subdivision": (
        "Symbolic subdivision of a parent annotation. Annotations refering to the same parent are ordered"
    ),
    "Symbolic_Association": "1-1 association with a parent annotation",
    "Included_In": "Time alignable annotations within the parent annotation's time interval, gaps are allowed",
}
MIME_TYPES = {
    ".wav": "audio/x-wav",
    ".mp3": "audio/mpeg",
    ".flac": "audio/flac",
    ".ogg": "audio/ogg",
    ".opus": "audio/ogg",
    ".m4a": "audio/mp4",
    ".mp4": "video/mp4",
    ".webm": "video/webm",
    ".mpg": "video/mpeg",
    ".mov": "video/quicktime",
}

ElementTree.register_namespace("xsi", SCHEMA_INSTANCE)


def render_eaf(annotation: Annotation, folder: Path = Path(), date: datetime | None = None) -> str:
    """The annotation as an ELAN document; scores are not stored.

    Args:
        annotation: what to write; a speaker becomes ELAN's participant.
        folder: where the document will be: ELAN looks for the recording relative to it first, then at its absolute path.
        date: of the document; None: now.

    Raises:
        InputError: see `check_annotation`.
    """
    tiers = milliseconds_tiers(check_annotation(annotation).tiers)
    count = sum(len(tier.intervals) for tier in tiers)
    document = ElementTree.Element(
        "ANNOTATION_DOCUMENT",
        {
            "AUTHOR": "",
            "DATE": (date or datetime.now(UTC)).isoformat(timespec="seconds"),
            "FORMAT": "3.0",
            "VERSION": "3.0",
            f"{{{SCHEMA_INSTANCE}}}noNamespaceSchemaLocation": SCHEMA,
        },
    )
    header = ElementTree.SubElement(document, "HEADER", MEDIA_FILE="", TIME_UNITS="milliseconds")
    ElementTree.SubElement(header, "MEDIA_DESCRIPTOR", _media_descriptor(annotation.media, folder))
    last = ElementTree.SubElement(header, "PROPERTY", NAME="lastUsedAnnotationId")
    last.text = str(count)
    order = ElementTree.SubElement(document, "TIME_ORDER")
    slots, elements = tier_elements(tiers, first_slot=1, first_annotation=1)
    order.extend(slots)
    document.extend(elements)
    document.extend(
        type_element(name) for name in sorted({element.attrib["LINGUISTIC_TYPE_REF"] for element in elements})
    )
    for stereotype, description in CONSTRAINTS.items():
        ElementTree.SubElement(document, "CONSTRAINT", DESCRIPTION=description, STEREOTYPE=stereotype)
    return serialize(document)


def milliseconds_tiers(tiers: Iterable[Tier]) -> list[Tier]:
    """Tiers with times in whole milliseconds (as float seconds), without overlaps; points become intervals of one."""
    rounded = [
        Tier(
            tier.name,
            tuple(
                Interval(round(interval.start_s * 1000), round(interval.end_s * 1000), interval.text)
                for interval in tier.intervals
            ),
            tier.speaker,
            "" if tier.type == POINT else tier.type,
        )
        for tier in tiers
    ]
    return separate_overlaps(rounded, shortest_s=1)


def tier_elements(
    tiers: Sequence[Tier], first_slot: int, first_annotation: int
) -> tuple[list[ElementTree.Element], list[ElementTree.Element]]:
    """TIME_SLOT elements, in order of time, and TIER elements of tiers whose times are milliseconds; ids count from the first."""
    times = sorted((time, index) for index, time in enumerate(_times(tiers)))
    names = [""] * len(times)
    slots = []
    for number, (time, index) in enumerate(times, start=first_slot):
        names[index] = f"ts{number}"
        slots.append(ElementTree.Element("TIME_SLOT", TIME_SLOT_ID=names[index], TIME_VALUE=str(int(time))))
    unused, number = iter(names), first_annotation
    elements = []
    for tier in tiers:
        attributes = {"LINGUISTIC_TYPE_REF": _type_of(tier), "TIER_ID": without_control_characters(tier.name)}
        if tier.speaker:
            attributes["PARTICIPANT"] = without_control_characters(tier.speaker)
        element = ElementTree.Element("TIER", attributes)
        for interval in tier.intervals:
            aligned = ElementTree.SubElement(
                ElementTree.SubElement(element, "ANNOTATION"),
                "ALIGNABLE_ANNOTATION",
                ANNOTATION_ID=f"a{number}",
                TIME_SLOT_REF1=next(unused),
                TIME_SLOT_REF2=next(unused),
            )
            ElementTree.SubElement(aligned, "ANNOTATION_VALUE").text = without_control_characters(interval.text)
            number += 1
        elements.append(element)
    return slots, elements


def type_element(name: str) -> ElementTree.Element:
    """A linguistic type for time-aligned independent tiers."""
    attributes = {"GRAPHIC_REFERENCES": "false", "LINGUISTIC_TYPE_ID": name, "TIME_ALIGNABLE": "true"}
    return ElementTree.Element("LINGUISTIC_TYPE", attributes)


def serialize(document: ElementTree.Element) -> str:
    """The text of an XML document, elements on lines of their own."""
    ElementTree.indent(document, " " * 4)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(document, encoding="unicode") + "\n"


def _times(tiers: Sequence[Tier]) -> list[float]:
    return [time for tier in tiers for interval in tier.intervals for time in (interval.start_s, interval.end_s)]


def _type_of(tier: Tier) -> str:
    kind = tier.name.partition("@")[0].rstrip(" 0123456789")
    return tier.type or (kind if kind in (UTTERANCES, WORDS, SYMBOLS) else DEFAULT_TYPE)


def _media_descriptor(media: Path, folder: Path) -> dict[str, str]:
    """Absolute and relative address of the recording, written as ELAN does: paths without percent signs for spaces."""
    absolute = PurePosixPath(media.absolute().as_posix())
    relative = PurePosixPath(Path(os.path.relpath(media.absolute(), folder.absolute())).as_posix())
    return {
        "MEDIA_URL": without_control_characters(f"file://{absolute}"),
        "MIME_TYPE": MIME_TYPES.get(media.suffix.lower(), "unknown"),
        "RELATIVE_MEDIA_URL": without_control_characters(
            str(relative) if relative.parts[0] == ".." else f"./{relative}"
        ),
    }
