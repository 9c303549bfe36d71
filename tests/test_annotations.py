"""Writers of annotations: the files open in Praat (parselmouth) and pympi with the same tiers, times and texts."""

import json
import re
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import pytest

from speechxfer.annotations import (
    SUFFIXES,
    Annotation,
    Interval,
    Tier,
    render_annotation,
    render_ctm,
    render_stm,
    render_trn,
    tier_name,
    write_annotation,
)
from speechxfer.annotations.elan import render_eaf
from speechxfer.errors import InputError

parselmouth = pytest.importorskip("parselmouth")
pympi = pytest.importorskip("pympi")

DIFFICULT = (
    'say "yes"',
    "]]> & <b>",
    "שלום עולם",
    "e\u0301 a\u0323\u0302",
    "two\nlines\tand a tab",
    "\U0001f600",
    '"',
)


def annotation(*tiers: Tier, duration_s: float = 3.0, media: str = "new.wav") -> Annotation:
    return Annotation(Path(media), duration_s, tiers)


def in_praat(path: Path) -> dict[str, list[tuple[float, float, str]]]:
    """Tiers of a TextGrid as Praat reads it; points have one time."""
    grid, call = parselmouth.read(str(path)), parselmouth.praat.call
    tiers = {}
    for tier in range(1, int(call(grid, "Get number of tiers")) + 1):
        rows = []
        if call(grid, "Is interval tier", tier):
            for i in range(1, int(call(grid, "Get number of intervals", tier)) + 1):
                times = (call(grid, f"Get {end} point", tier, i) for end in ("starting", "end"))
                rows.append((*times, call(grid, "Get label of interval", tier, i)))
        else:
            for i in range(1, int(call(grid, "Get number of points", tier)) + 1):
                time = call(grid, "Get time of point", tier, i)
                rows.append((time, time, call(grid, "Get label of point", tier, i)))
        tiers[call(grid, "Get tier name", tier)] = rows
    return tiers


def in_pympi(path: Path) -> dict[str, list[tuple[int, int, str]]]:
    document = pympi.Eaf(str(path), suppress_version_warning=True)
    return {
        name: [row[:3] for row in document.get_annotation_data_for_tier(name)] for name in document.get_tier_names()
    }


# --------------------------------------------------------------------------------------------------------- TextGrid
def test_textgrid_opens_in_praat_with_gaps_filled(tmp_path: Path) -> None:
    words = Tier("words", (Interval(0.1, 0.4, "good"), Interval(0.4, 0.9, "day"), Interval(1.25, 3.0, "sir")))
    points = Tier("tones", (Interval(0.2, 0.2, "H"), Interval(0.6, 0.6, "L")), type="point")
    write_annotation(tmp_path / "new.TextGrid", annotation(words, Tier("empty", ()), points))
    assert in_praat(tmp_path / "new.TextGrid") == {
        "words": [(0, 0.1, ""), (0.1, 0.4, "good"), (0.4, 0.9, "day"), (0.9, 1.25, ""), (1.25, 3, "sir")],
        "empty": [(0, 3, "")],
        "tones": [(0.2, 0.2, "H"), (0.6, 0.6, "L")],
    }


@pytest.mark.parametrize("text", DIFFICULT)
def test_difficult_texts_are_the_same_in_praat_and_pympi(tmp_path: Path, text: str) -> None:
    given = annotation(Tier(text.replace("\n", " "), (Interval(0.0, 3.0, text),)))
    write_annotation(tmp_path / "a.TextGrid", given)
    write_annotation(tmp_path / "a.eaf", given)
    name = text.replace("\n", " ")
    assert in_praat(tmp_path / "a.TextGrid") == {name: [(0, 3, text)]}
    assert in_pympi(tmp_path / "a.eaf") == {name: [(0, 3000, text)]}


def test_control_characters_are_replaced_visibly(tmp_path: Path) -> None:
    given = annotation(Tier("words", (Interval(0.0, 3.0, "a\x00b\x07c\ufffe\x85d"),)))
    write_annotation(tmp_path / "a.TextGrid", given)
    write_annotation(tmp_path / "a.eaf", given)
    assert in_praat(tmp_path / "a.TextGrid")["words"][0][2] == "a\ufffdb\ufffdc\ufffd\ufffdd"
    assert in_pympi(tmp_path / "a.eaf")["words"][0][2] == "a\ufffdb\ufffdc\ufffd\ufffdd"


def test_overlapping_and_empty_intervals_keep_their_texts(tmp_path: Path) -> None:
    words = (Interval(0.0, 1.0, "a"), Interval(0.5, 1.5, "b"), Interval(1.0, 1.0, "c"), Interval(2.0, 2.5, "d"))
    write_annotation(tmp_path / "a.TextGrid", annotation(Tier("words", words), Tier("words 2", ())))
    write_annotation(tmp_path / "a.eaf", annotation(Tier("words", words), Tier("words 2", ())))
    praat = in_praat(tmp_path / "a.TextGrid")
    spoken = {name: [row for row in rows if row[2]] for name, rows in praat.items()}
    assert spoken == {
        "words": [(0, 1, "a"), (1, 1.001, "c"), (2, 2.5, "d")],
        "words 3": [(0.5, 1.5, "b")],
        "words 2": [],
    }
    for rows in praat.values():  # what Praat needs: from 0 to the end, each interval beginning where the last one ends
        assert rows[0][0] == 0 and rows[-1][1] == 3
        assert all(one[1] == other[0] for one, other in pairwise(rows))
    assert in_pympi(tmp_path / "a.eaf") == {
        "words": [(0, 1000, "a"), (1000, 1001, "c"), (2000, 2500, "d")],
        "words 3": [(500, 1500, "b")],
        "words 2": [],
    }


def test_textgrid_ends_with_its_last_interval(tmp_path: Path) -> None:
    write_annotation(tmp_path / "a.TextGrid", annotation(Tier("words", (Interval(2.5, 3.25, "late"),)), Tier("x", ())))
    praat = in_praat(tmp_path / "a.TextGrid")
    assert [rows[-1][1] for rows in praat.values()] == [3.25, 3.25]


# ------------------------------------------------------------------------------------------------------------- ELAN
ID_ATTRIBUTES = ("TIME_SLOT_ID", "ANNOTATION_ID", "STEREOTYPE", "LANGUAGE_CODE", "LANG_ID", "EXT_REF_ID", "LEX_REF_ID")
ORDER = ["LICENSE", "HEADER", "TIME_ORDER", "TIER", "LINGUISTIC_TYPE", "LOCALE", "LANGUAGE", "CONSTRAINT"]
REQUIRED = {
    "ANNOTATION_DOCUMENT": {"DATE", "AUTHOR", "VERSION"},
    "MEDIA_DESCRIPTOR": {"MEDIA_URL", "MIME_TYPE"},
    "TIME_SLOT": {"TIME_SLOT_ID"},
    "TIER": {"TIER_ID", "LINGUISTIC_TYPE_REF"},
    "ALIGNABLE_ANNOTATION": {"ANNOTATION_ID", "TIME_SLOT_REF1", "TIME_SLOT_REF2"},
    "REF_ANNOTATION": {"ANNOTATION_ID", "ANNOTATION_REF"},
    "LINGUISTIC_TYPE": {"LINGUISTIC_TYPE_ID"},
    "CONSTRAINT": {"STEREOTYPE"},
}


def check_eaf(path: Path) -> ElementTree.Element:
    """What ELAN's schema EAFv3.0.xsd demands of the elements that occur here, written down by hand."""
    document = ElementTree.parse(path).getroot()
    assert document.tag == "ANNOTATION_DOCUMENT" and document.attrib["FORMAT"] == "3.0"
    datetime.fromisoformat(document.attrib["DATE"])
    tags = [child.tag for child in document]
    assert tags == sorted(tags, key=ORDER.index) and tags.count("HEADER") == tags.count("TIME_ORDER") == 1
    for element in document.iter():
        assert set(element.attrib) >= REQUIRED.get(element.tag, set()), element.tag
    ids = [element.attrib[key] for element in document.iter() for key in ID_ATTRIBUTES if key in element.attrib]
    assert len(ids) == len(set(ids)) and all(re.fullmatch(r"[^\W\d][\w.-]*", name) for name in ids)
    slots = {slot.attrib["TIME_SLOT_ID"]: slot.attrib.get("TIME_VALUE") for slot in document.iter("TIME_SLOT")}
    assert all(value is None or re.fullmatch(r"\d+", value) for value in slots.values())
    for aligned in document.iter("ALIGNABLE_ANNOTATION"):
        assert {aligned.attrib["TIME_SLOT_REF1"], aligned.attrib["TIME_SLOT_REF2"]} <= set(slots)
        assert [child.tag for child in aligned] == ["ANNOTATION_VALUE"]
    tiers = [tier.attrib["TIER_ID"] for tier in document.iter("TIER")]
    types = [kind.attrib["LINGUISTIC_TYPE_ID"] for kind in document.iter("LINGUISTIC_TYPE")]
    assert len(tiers) == len(set(tiers)) and len(types) == len(set(types))
    assert {tier.attrib["LINGUISTIC_TYPE_REF"] for tier in document.iter("TIER")} <= set(types)
    assert {tier.attrib["PARENT_REF"] for tier in document.iter("TIER") if "PARENT_REF" in tier.attrib} <= set(tiers)
    return document


def test_eaf_satisfies_the_schema_and_names_media_both_ways(tmp_path: Path) -> None:
    words = Tier(tier_name("words", "ana"), (Interval(0.1, 0.4, "good"), Interval(0.4, 0.9, "day")), "ana")
    other = Tier("notes", (Interval(0.0, 3.0, "laughs"),))
    media = tmp_path / "sound files" / "née.wav"
    write_annotation(tmp_path / "elan" / "a.eaf", Annotation(media, 3.0, (words, other)))
    document = check_eaf(tmp_path / "elan" / "a.eaf")
    descriptor = document.find("HEADER/MEDIA_DESCRIPTOR")
    assert descriptor is not None
    assert descriptor.attrib["MEDIA_URL"] == f"file://{media}"  # ELAN writes spaces as they are
    assert descriptor.attrib["RELATIVE_MEDIA_URL"] == "../sound files/née.wav"
    assert descriptor.attrib["MIME_TYPE"] == "audio/x-wav"
    values = [int(slot.attrib["TIME_VALUE"]) for slot in document.iter("TIME_SLOT")]
    assert values == [0, 100, 400, 400, 900, 3000]
    tiers = {tier.attrib["TIER_ID"]: tier.attrib for tier in document.iter("TIER")}
    assert tiers["words@ana"]["PARTICIPANT"] == "ana" and tiers["words@ana"]["LINGUISTIC_TYPE_REF"] == "words"
    assert in_pympi(tmp_path / "elan" / "a.eaf") == {
        "words@ana": [(100, 400, "good"), (400, 900, "day")],
        "notes": [(0, 3000, "laughs")],
    }
    assert pympi.Eaf(str(tmp_path / "elan" / "a.eaf")).get_linked_files()[0]["MEDIA_URL"] == f"file://{media}"


def test_the_same_annotation_and_date_give_the_same_eaf() -> None:
    given, date = annotation(Tier("words", (Interval(0.1, 0.4, "good"),))), datetime(2020, 2, 3, tzinfo=UTC)
    assert render_eaf(given, date=date) == render_eaf(given, date=date)
    assert 'DATE="2020-02-03T00:00:00+00:00"' in render_eaf(given, date=date)


# ------------------------------------------------------------------------------------------------------- line formats
TWO = annotation(
    Tier("utterances@ana", (Interval(0.5, 1.25, "good  day"), Interval(1.25, 1.5, " ")), "ana"),
    Tier("utterances@Bo B", (Interval(0.25, 3725.0, "yes & <no> -->"),), "Bo B"),
    Tier("words@ana", (Interval(0.5, 0.75, "good", 0.5), Interval(0.75, 1.25, "day"))),
    media="a tape.wav",
)


def test_ctm_stm_trn() -> None:
    assert render_ctm([TWO]) == "a_tape A 0.500 0.250 good 0.5000\na_tape A 0.750 0.500 day\n"
    assert render_stm([TWO]) == ("a_tape A Bo_B 0.250 3725.000 yes & <no> -->\na_tape A ana 0.500 1.250 good day\n")
    assert render_trn([("ana-1", "good\nday"), ("b(2)", ""), ("c", ";; x")]) == "good day (ana-1)\n(b_2_)\n ;; x (c)\n"
    assert render_annotation(TWO, "trn").splitlines()[1] == "good day (ana-a_tape_00000500_00001250)"


def test_srt_and_vtt() -> None:
    assert render_annotation(TWO, "srt") == (
        "1\n00:00:00,250 --> 01:02:05,000\nBo B: yes & <no> -->\n\n2\n00:00:00,500 --> 00:00:01,250\nana: good day\n"
    )
    assert render_annotation(TWO, "vtt") == (
        "WEBVTT\n\n00:00:00.250 --> 01:02:05.000\n<v Bo B>yes &amp; &lt;no&gt; --&gt;</v>\n\n"
        "00:00:00.500 --> 00:00:01.250\n<v ana>good day</v>\n"
    )
    alone = annotation(Tier("anything", (Interval(0.5, 0.5, "good"),)))
    assert render_annotation(alone, "srt") == "1\n00:00:00,500 --> 00:00:00,501\ngood\n"


def test_tsv_and_json() -> None:
    rows = [line.split("\t") for line in render_annotation(TWO, "tsv").splitlines()]
    assert rows[0] == ["recording", "tier", "speaker", "start", "end", "text", "score"]
    assert rows[1] == ["a tape.wav", "utterances@ana", "ana", "0.500", "1.250", "good day", ""]
    assert len(rows) == 5 and rows[3][-1] == "0.5000"
    data = json.loads(render_annotation(TWO, "json"))
    assert data["media"] == "a tape.wav" and data["duration"] == 3.0
    assert data["tiers"][2] == {
        "name": "words@ana",
        "intervals": [
            {"start": 0.5, "end": 0.75, "text": "good", "score": 0.5},
            {"start": 0.75, "end": 1.25, "text": "day"},
        ],
    }


# ----------------------------------------------------------------------------------------------------------- refusals
@pytest.mark.parametrize(
    ("given", "message"),
    [
        (annotation(Tier("w", (Interval(-0.1, 0.4, "a"),))), r"'w': an interval from -0.1 to 0.4"),
        (annotation(Tier("w", (Interval(0.5, 0.4, "a"),))), r"expected 0 <= start <= end"),
        (annotation(Tier("w", (Interval(0.5, float("nan"), "a"),))), r"expected 0 <= start <= end"),
        (annotation(Tier("w", ()), Tier("w", ())), r"two tiers are named 'w'"),
        (annotation(Tier(" ", ())), r"a tier has no name"),
        (annotation(Tier("w", ()), duration_s=0.0), r"a duration of 0.0 s"),
    ],
)
def test_what_no_file_can_hold_is_refused(given: Annotation, message: str) -> None:
    for name in SUFFIXES:
        with pytest.raises(InputError, match=message):
            render_annotation(given, name)


def test_formats_are_named_by_suffix_and_missing_tiers_by_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"suffix names no format .* \.TextGrid, \.eaf"):
        write_annotation(tmp_path / "a.doc", TWO)
    two = annotation(Tier("a", (Interval(0, 1, "x y"),)), Tier("b", ()))
    with pytest.raises(InputError, match=r"no tier is named 'utterances' \(there are 'a', 'b'\)"):
        render_annotation(two, "srt")
    with pytest.raises(InputError, match="CTM has one word a line"):
        render_ctm([annotation(Tier("words", (Interval(0, 1, "x y"),)))])
    with pytest.raises(InputError, match="half a surrogate pair"):
        write_annotation(tmp_path / "a.json", annotation(Tier("words", (Interval(0, 1, "x\ud800"),))))
    assert not list(tmp_path.iterdir())
