"""Readers of annotations, and tiers added to existing files: Praat (parselmouth) and pympi see the old tiers unchanged."""

import codecs
import os
import random
from pathlib import Path
from xml.etree import ElementTree

import pytest

from speechxfer.annotations import (
    Annotation,
    Interval,
    Tier,
    add_tiers,
    read_annotations,
    read_ctm,
    read_stm,
    read_trn,
    render_annotation,
    render_ctm,
    render_stm,
    render_trn,
)
from speechxfer.errors import InputError
from tests.test_annotations import check_eaf, in_praat, pympi

LONG = """File type = "ooTextFile"
Object class = "TextGrid"

xmin = 0
xmax = 2.3
tiers? <exists>
size = 2
item []:
    item [1]:
        class = "IntervalTier"
        name = "Mary ""M"" 2"
        xmin = 0
        xmax = 2.3
        intervals: size = 2
        intervals [1]:
            xmin = 0
            xmax = 1.5
            text = "say ""hi""! 5
twice"
        intervals [2]:
            xmin = 1.5
            xmax = 2.3
            text = ""
    item [2]:
        class = "TextTier"
        name = "tones"
        xmin = 0
        xmax = 2.3
        points: size = 1
        points [1]:
            number = 0.25
            mark = "Hé*"
"""
SHORT = """File type = "ooTextFile short"
"TextGrid"

0
2.3 ! the end, not 5
<exists>
2
"IntervalTier"
"Mary ""M"" 2"
0
2.3s
2 intervals "
0
1.5
"say ""hi""! 5
twice"
1.5
2.3
""
"TextTier"
"tones"
0
2.3
1
0.25
"Hé*"
""".replace('2 intervals "', '2 intervals ! a stray "')
TIERS = (
    Tier('Mary "M" 2', (Interval(0.0, 1.5, 'say "hi"! 5\ntwice'),)),
    Tier("tones", (Interval(0.25, 0.25, "Hé*"),), type="point"),
)
NEW = Tier("predicted", (Interval(0.5, 1.0, 'a "b" ]]>'), Interval(1.0, 2.35, "שלום")), "ana")
ENCODINGS = {
    "utf-8": lambda text: text.encode(),
    "utf-8 with a mark": lambda text: codecs.BOM_UTF8 + text.encode(),
    "utf-16 LE": lambda text: codecs.BOM_UTF16_LE + text.encode("utf-16-le"),
    "utf-16 BE": lambda text: codecs.BOM_UTF16_BE + text.encode("utf-16-be"),
    "CRLF": lambda text: text.replace("\n", "\r\n").encode(),
}


# --------------------------------------------------------------------------------------------------------- TextGrid
@pytest.mark.parametrize("text", [LONG, SHORT], ids=["long", "short"])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_textgrids_of_all_kinds_are_read_and_extended(tmp_path: Path, text: str, encoding: str) -> None:
    path = tmp_path / "Mary.TextGrid"
    path.write_bytes(ENCODINGS[encoding](text))
    (tmp_path / "Mary.WAV").touch()
    newline = "\r\n" if encoding == "CRLF" else "\n"
    expected = tuple(
        Tier(
            t.name, tuple(Interval(i.start_s, i.end_s, i.text.replace("\n", newline)) for i in t.intervals), type=t.type
        )
        for t in TIERS
    )
    assert read_annotations(path) == [Annotation(tmp_path / "Mary.WAV", 2.3, expected)]
    before = in_praat(path)

    add_tiers(path, [NEW])
    spoken = [(0, 0.5, ""), (0.5, 1, 'a "b" ]]>'), (1, 2.3, "שלום")]  # ends with the TextGrid
    assert in_praat(path) == before | {"predicted": spoken}
    old, new = ENCODINGS[encoding](text), path.read_bytes()
    changed = [i for i, (one, other) in enumerate(zip(old, new, strict=False)) if one != other]
    assert len(changed) == 1 and new[changed[0] : changed[0] + 1] == b"3"  # all bytes but the number of tiers


def test_only_a_tier_of_another_name_that_fits_is_added(tmp_path: Path) -> None:
    path = tmp_path / "Mary.TextGrid"
    path.write_text(LONG, encoding="utf-8")
    with pytest.raises(InputError, match="has a tier 'tones'; give the new tier another name"):
        add_tiers(path, [Tier("tones", ())])
    with pytest.raises(InputError, match=r"is from 0 to 2\.3 s, but the new tier 'x' has an interval from 2 to 9 s"):
        add_tiers(path, [Tier("x", (Interval(2, 9, "a"),))])
    assert path.read_text(encoding="utf-8") == LONG
    add_tiers(path, [Tier("x", ())], out=tmp_path / "out.TextGrid")
    assert path.read_text(encoding="utf-8") == LONG and "x" in in_praat(tmp_path / "out.TextGrid")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected the file type"),
        ('"ooTextFile" "PitchTier" 0 1', "is no TextGrid"),
        ("ooBinaryFile\x08TextGrid", "is a binary TextGrid"),
        (LONG.replace("<exists>", "<absent>"), ":6: has no tiers"),
        (LONG.replace("intervals: size = 2", "intervals: size = 999999999"), ":25: expected a time .*, found text"),
        (LONG.replace("xmax = 1.5", 'xmax = "1.5"'), ":17: expected the end of an interval"),
        (LONG.replace("xmin = 1.5", "xmin = 3/2"), "fractions"),
        (LONG.replace('"Hé*"', '"Hé*'), ":32: a quotation mark without its partner"),
        (LONG.replace('"TextTier"', '"PointTier"'), "a tier of class 'PointTier'"),
        (LONG[:300], "found the end of the file|without its partner"),
    ],
)
def test_damaged_textgrids_are_one_error_with_the_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.TextGrid").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=message) as raised:
        read_annotations(tmp_path / "a.TextGrid")
    assert "a.TextGrid" in str(raised.value)


def test_another_encoding_must_be_named(tmp_path: Path) -> None:
    (tmp_path / "a.TextGrid").write_text(LONG, encoding="latin-1")
    with pytest.raises(InputError, match=r"is not utf-8 at byte \d+; name its encoding"):
        read_annotations(tmp_path / "a.TextGrid")
    assert read_annotations(tmp_path / "a.TextGrid", encoding="latin-1")[0].tiers[1].intervals[0].text == "Hé*"


# ------------------------------------------------------------------------------------------------------------- ELAN
EAF = """<?xml version="1.0" encoding="UTF-8"?>
<!-- made by hand -->
<ANNOTATION_DOCUMENT AUTHOR="me" DATE="2020-01-02T03:04:05+01:00" FORMAT="3.0" VERSION="3.0"
    xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
    xsi:noNamespaceSchemaLocation="http://www.mpi.nl/tools/elan/EAFv3.0.xsd">
    <HEADER MEDIA_FILE="" TIME_UNITS="milliseconds">
        <MEDIA_DESCRIPTOR MEDIA_URL="file:///C:/Field%20notes/film.mp4" MIME_TYPE="video/mp4"
            RELATIVE_MEDIA_URL="./film.mp4"/>
        <MEDIA_DESCRIPTOR MEDIA_URL="file:///C:/Field%20notes/tape%201.wav" MIME_TYPE="audio/x-wav"/>
        <PROPERTY NAME="URN">urn:nl-mpi-tools-elan-eaf:1</PROPERTY>
        <PROPERTY NAME="lastUsedAnnotationId">9</PROPERTY>
    </HEADER>
    <TIME_ORDER>
        <TIME_SLOT TIME_SLOT_ID="ts1" TIME_VALUE="1000"/>
        <TIME_SLOT TIME_SLOT_ID="ts5" TIME_VALUE="1000"/>
        <TIME_SLOT TIME_SLOT_ID="ts2"/>
        <TIME_SLOT TIME_SLOT_ID="ts3"/>
        <TIME_SLOT TIME_SLOT_ID="ts4" TIME_VALUE="4000"/>
        <TIME_SLOT TIME_SLOT_ID="ts6" TIME_VALUE="4000"/>
    </TIME_ORDER>
    <TIER LINGUISTIC_TYPE_REF="phrase" TIER_ID="tx@ana" PARTICIPANT="Ana">
        <ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a1" TIME_SLOT_REF1="ts5" TIME_SLOT_REF2="ts6">
            <ANNOTATION_VALUE>one &lt;two&gt; three</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION>
    </TIER>
    <TIER LINGUISTIC_TYPE_REF="word" TIER_ID="w@ana" PARTICIPANT="Ana" PARENT_REF="tx@ana">
        <ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a2" TIME_SLOT_REF1="ts1" TIME_SLOT_REF2="ts2">
            <ANNOTATION_VALUE>one</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION>
        <ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a3" TIME_SLOT_REF1="ts2" TIME_SLOT_REF2="ts3">
            <ANNOTATION_VALUE>two</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION>
        <ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a4" TIME_SLOT_REF1="ts3" TIME_SLOT_REF2="ts4">
            <ANNOTATION_VALUE>three</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION>
    </TIER>
    <TIER LINGUISTIC_TYPE_REF="gloss" TIER_ID="mb@ana" PARENT_REF="w@ana">
        <ANNOTATION><REF_ANNOTATION ANNOTATION_ID="a6" ANNOTATION_REF="a2" PREVIOUS_ANNOTATION="a5">
            <ANNOTATION_VALUE>-SG</ANNOTATION_VALUE></REF_ANNOTATION></ANNOTATION>
        <ANNOTATION><REF_ANNOTATION ANNOTATION_ID="a5" ANNOTATION_REF="a2">
            <ANNOTATION_VALUE>ONE</ANNOTATION_VALUE></REF_ANNOTATION></ANNOTATION>
    </TIER>
    <TIER LINGUISTIC_TYPE_REF="gloss" TIER_ID="note" PARENT_REF="mb@ana">
        <ANNOTATION><REF_ANNOTATION ANNOTATION_ID="a7" ANNOTATION_REF="a6">
            <ANNOTATION_VALUE></ANNOTATION_VALUE></REF_ANNOTATION></ANNOTATION>
    </TIER>
    <LINGUISTIC_TYPE GRAPHIC_REFERENCES="false" LINGUISTIC_TYPE_ID="phrase" TIME_ALIGNABLE="true"/>
    <LINGUISTIC_TYPE CONSTRAINTS="Time_Subdivision" LINGUISTIC_TYPE_ID="word" TIME_ALIGNABLE="true"/>
    <LINGUISTIC_TYPE CONSTRAINTS="Symbolic_Subdivision" LINGUISTIC_TYPE_ID="gloss" TIME_ALIGNABLE="false"/>
    <CONSTRAINT DESCRIPTION="Time" STEREOTYPE="Time_Subdivision"/>
    <CONSTRAINT DESCRIPTION="Symbolic" STEREOTYPE="Symbolic_Subdivision"/>
</ANNOTATION_DOCUMENT>
"""


def test_eaf_gives_the_times_of_unaligned_and_reference_annotations(tmp_path: Path) -> None:
    (tmp_path / "a.eaf").write_text(EAF, encoding="utf-8")
    (tmp_path / "film.mp4").touch()
    (tmp_path / "tape 1.wav").touch()  # moved beside the document; a recording is preferred to a film
    [annotation] = read_annotations(tmp_path / "a.eaf")
    assert annotation == Annotation(
        tmp_path / "tape 1.wav",
        4.0,
        (
            Tier("tx@ana", (Interval(1, 4, "one <two> three"),), "Ana", "phrase"),
            Tier(
                "w@ana",
                (Interval(1, 2, "one"), Interval(2, 3, "two"), Interval(3, 4, "three")),
                "Ana",
                "word",
                "tx@ana",
            ),
            Tier("mb@ana", (Interval(1, 1.5, "ONE"), Interval(1.5, 2, "-SG")), "", "gloss", "w@ana"),
            Tier("note", (Interval(1.5, 2, ""),), "", "gloss", "mb@ana"),
        ),
    )
    (tmp_path / "tape 1.wav").unlink()
    assert read_annotations(tmp_path / "a.eaf")[0].media == tmp_path / "film.mp4"
    (tmp_path / "film.mp4").unlink()
    assert read_annotations(tmp_path / "a.eaf")[0].media == tmp_path / "film.mp4"  # where it is expected


def test_addresses_of_media_that_no_file_can_have_are_missing_files(tmp_path: Path) -> None:
    for name in ("x" * 300, "http://host/x", "\u202e", "..", "a%00b", "file:"):
        text = EAF.replace("./film.mp4", name).replace("file:///C:/Field%20notes/film.mp4", name)
        (tmp_path / "a.eaf").write_text(text, encoding="utf-8")
        [annotation] = read_annotations(tmp_path / "a.eaf")
        assert not os.path.isfile(annotation.media) and len(annotation.tiers) == 4


def test_a_tier_added_to_an_eaf_changes_no_other(tmp_path: Path) -> None:
    path = tmp_path / "a.eaf"
    path.write_text(EAF, encoding="utf-8")
    before, seen = read_annotations(path)[0], pympi.Eaf(str(path), suppress_version_warning=True)
    words = Tier("words", (Interval(0.5, 1.0, 'a "b" ]]> & <'), Interval(2.5, 5.0, "שלום")), "Ana")
    add_tiers(path, [words, Tier("empty", ())])
    after, document = read_annotations(path)[0], check_eaf(path)
    assert after.tiers[: len(before.tiers)] == before.tiers and len(after.tiers) == len(before.tiers) + 2
    assert after.tiers[4] == Tier("words", words.intervals, "Ana", "words")
    now = pympi.Eaf(str(path), suppress_version_warning=True)
    assert {name: now.tiers[name] for name in seen.tiers} == seen.tiers and len(now.tiers) == 6
    rows = now.get_annotation_data_for_tier("words")
    assert rows == [(500, 1000, 'a "b" ]]> & <'), (2500, 5000, "שלום")]
    old = [ElementTree.tostring(tier).strip() for tier in ElementTree.fromstring(EAF.encode()).iter("TIER")]
    assert [ElementTree.tostring(tier).strip() for tier in document.iter("TIER")][:4] == old
    assert document.findtext("HEADER/PROPERTY[@NAME='lastUsedAnnotationId']") == "9"  # a8 and a9 are the new ones
    slots = [slot.attrib["TIME_SLOT_ID"] for slot in document.iter("TIME_SLOT")]
    assert slots == [
        "ts7",
        "ts1",
        "ts5",
        "ts2",
        "ts3",
        "ts8",
        "ts9",
        "ts4",
        "ts6",
        "ts10",
    ]  # each before the next later
    with pytest.raises(InputError, match="has a tier 'words'"):
        add_tiers(path, [words])
    path.write_text(EAF.replace('"4000"', '"4.x"'), encoding="utf-8")
    with pytest.raises(InputError, match=r"time slot 'ts4' has the time '4\.x'"):
        add_tiers(path, [words])


BOMB = '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "b">]><ANNOTATION_DOCUMENT>&a;</ANNOTATION_DOCUMENT>'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not XML"),
        (BOMB, "has a document type declaration"),
        ("<a>" * 100 + "</a>" * 100, "nested deeper than 16 elements"),
        ("<html/>", "is no ELAN document"),
        (
            EAF.replace('ANNOTATION_REF="a6"', 'ANNOTATION_REF="a77"'),
            "annotation 'a7' refers to 'a77', which has no time",
        ),
        (
            EAF.replace('ANNOTATION_REF="a6"', 'ANNOTATION_REF="a7"'),
            "annotation 'a7' refers to 'a7', which has no time",
        ),
        (EAF.replace('TIME_SLOT_REF2="ts6"', 'TIME_SLOT_REF2="ts66"'), "annotation 'a1' refers to a time slot"),
        (EAF.replace('"4000"', '"4.x"'), "time slot 'ts4' has the time '4.x'; expected milliseconds"),
        (EAF.replace("milliseconds", "PAL-frames"), "its times are in 'PAL-frames'"),
        (EAF[:900], "is not XML"),
    ],
)
def test_damaged_or_hostile_eaf_is_one_error(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.eaf").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=message) as raised:
        read_annotations(tmp_path / "a.eaf")
    assert "a.eaf" in str(raised.value)


def test_random_damage_is_an_input_error_or_harmless(tmp_path: Path) -> None:
    draw = random.Random(0)
    for name, text in (("a.eaf", EAF), ("a.TextGrid", LONG), ("b.TextGrid", SHORT), ("a.srt", SRT), ("a.ctm", CTM)):
        path = tmp_path / name
        for _ in range(150):
            content = bytearray(text.encode())
            for _ in range(draw.randint(1, 4)):
                at = draw.randrange(len(content))
                content[at : at + draw.choice((0, 1, 9))] = bytes(draw.choices(b'"<>&/ 0a\xff\n', k=draw.randint(0, 3)))
            path.write_bytes(bytes(content))
            try:
                read_annotations(path)
            except InputError as error:
                assert name in str(error)


# ------------------------------------------------------------------------------------------------------- line formats
CTM = ";; a comment\ntape A 0.5 0.25 good 0.5\ntape A * * <ALT_BEGIN>\ntape A 1 0.5 uh NA\ntape A * * <ALT>\n" + (
    "tape A 1 0.5 um\ntape A * * <ALT_END>\ntape B 2.0 1 day\n"
)
STM = ";; x\ntape A ana 0.5 1.5 <o,f1> good { day / @ }\ntape A bo 2 3\n"
SRT = """\ufeff1
00:00:01,500 --> 00:00:02,000 X1:5
<i>good</i>
day

2
00:01:00,000 --> 01:00:01,5
{\\an8}a < b

"""
VTT = """WEBVTT - title

NOTE 00:00:09.000 --> 00:00:10.000
not a cue

intro
00:01.500 --> 00:02.000 align:left
<v.loud Bo B>good &amp; <00:00:01.900><c.x>day</c></v>

00:03.000 --> 00:04.000
plain
"""


def test_ctm_stm_trn_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.ctm").write_text(CTM, encoding="utf-8")
    (tmp_path / "a.stm").write_text(STM, encoding="utf-8")
    (tmp_path / "a.trn").write_text(";; x\ngood (uh) day (ana-1)\n(bo-2)\n", encoding="utf-8")
    assert [(w.start_s, w.text, w.score) for w in read_ctm(tmp_path / "a.ctm")][:3] == [
        (0.5, "good", 0.5),
        (None, "<ALT_BEGIN>", None),
        (1.0, "uh", None),
    ]
    assert [(s.speaker, s.labels, s.text) for s in read_stm(tmp_path / "a.stm")] == [
        ("ana", "<o,f1>", "good { day / @ }"),
        ("bo", "", ""),
    ]
    assert read_trn(tmp_path / "a.trn") == {"ana-1": "good (uh) day", "bo-2": ""}
    [ctm], [stm] = read_annotations(tmp_path / "a.ctm"), read_annotations(tmp_path / "a.stm")
    assert [(t.name, [i.text for i in t.intervals]) for t in ctm.tiers] == [
        ("words@A", ["good", "uh"]),
        ("words@B", ["day"]),
    ]
    assert [(t.name, t.speaker, t.intervals[0].end_s) for t in stm.tiers] == [
        ("utterances@ana", "ana", 1.5),
        ("utterances@bo", "bo", 3.0),
    ]


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    words = Tier("words", (Interval(0.5, 0.75, "good", 0.5), Interval(0.75, 1.25, "day")))
    speech = Tier("utterances", (Interval(0.5, 1.25, "good day"),))
    given = Annotation(Path("tape.wav"), 1.25, (words,))
    (tmp_path / "a.ctm").write_text(render_ctm([given]), encoding="utf-8")
    assert read_annotations(tmp_path / "a.ctm")[0].tiers == (words,)
    (tmp_path / "a.stm").write_text(render_stm([Annotation(Path("tape.wav"), 1.25, (speech,))]), encoding="utf-8")
    assert read_annotations(tmp_path / "a.stm")[0].tiers[0].intervals == speech.intervals
    (tmp_path / "a.trn").write_text(render_trn([("a-1", ";; no comment"), ("a-2", "")]), encoding="utf-8")
    assert read_trn(tmp_path / "a.trn") == {"a-1": ";; no comment", "a-2": ""}
    for name in ("srt", "vtt"):
        difficult = Tier("utterances", (Interval(0.5, 1.25, "a < b & c --> 5"), Interval(2.0, 3.5, "שלום")))
        text = render_annotation(Annotation(Path("tape.wav"), 4.0, (difficult,)), name)  # type: ignore[arg-type]
        (tmp_path / f"a.{name}").write_text(text, encoding="utf-8")
        assert read_annotations(tmp_path / f"a.{name}")[0].tiers == (difficult,)


def test_subtitles_and_labels_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.srt").write_text(SRT, encoding="utf-8")
    (tmp_path / "a.vtt").write_text(VTT, encoding="utf-8")
    (tmp_path / "a.txt").write_bytes(b"0.5\t1.5\tgood day\r\n\\\t100\t200\r\n2,5\t2,5\r\n")
    assert [(i.start_s, i.end_s, i.text) for i in read_annotations(tmp_path / "a.srt")[0].tiers[0].intervals] == [
        (1.5, 2.0, "good day"),
        (60.0, 3601.5, "a < b"),
    ]
    vtt = read_annotations(tmp_path / "a.vtt")[0]
    assert [(t.name, t.speaker, [i.text for i in t.intervals]) for t in vtt.tiers] == [
        ("utterances@Bo B", "Bo B", ["good & day"]),
        ("utterances", "", ["plain"]),
    ]
    assert read_annotations(tmp_path / "a.txt")[0].tiers[0].intervals == (
        Interval(0.5, 1.5, "good day"),
        Interval(2.5, 2.5, ""),
    )


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.ctm", "tape A 0.5 word\n", r"a\.ctm:1: expected recording, channel, start, duration and word"),
        ("a.ctm", "tape A x 0.5 word\n", r"a\.ctm:1: 'x' is no number of seconds"),
        ("a.ctm", "tape A 0 0.5 word high\n", r"a\.ctm:1: the confidence 'high' is no number"),
        ("a.ctm", ";; nothing\n", r"a\.ctm: has no word"),
        ("a.stm", "tape A ana 0.5\n", r"a\.stm:1: expected recording, channel, speaker, start, end"),
        ("a.stm", "\ntape A ana 0.5 0.25 x\n", r"a\.stm:2: ends at 0\.25 s, before its start"),
        ("a.srt", "hello\n", r"a\.srt: has no cue"),
        ("a.txt", "hello\n", r"a\.txt:1: expected start TAB end TAB text"),
        ("a.doc", "hello\n", r"a\.doc: annotations of this kind cannot be read"),
    ],
)
def test_bad_lines_are_named(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        read_annotations(tmp_path / name)


def test_bad_trn_lines_are_named(tmp_path: Path) -> None:
    for text, message in (
        ("a b\n", "a.trn:1: expected a text and an id"),
        ("(x)\na (x)\n", "a.trn:2: id 'x' occurs twice"),
    ):
        (tmp_path / "a.trn").write_text(text, encoding="utf-8")
        with pytest.raises(InputError, match=message):
            read_trn(tmp_path / "a.trn")
