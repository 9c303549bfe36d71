"""Scoring by sclite's conventions: hand-worked cases, brute force, and sclite's own stored outputs where they are present."""

import random
import re
import sys
from collections.abc import Iterator
from functools import cache
from itertools import product
from pathlib import Path

import pytest

from speechxfer import cli
from speechxfer.annotations import CtmWord, StmSegment, read_ctm, read_stm, read_trn
from speechxfer.errors import InputError
from speechxfer.scoring import (
    NistOptions,
    NistReport,
    compare,
    read_report,
    render_nist_table,
    score_segments,
    score_transcripts,
)
from speechxfer.scoring.counts import Counts
from speechxfer.scoring.network_alignment import align_networks
from speechxfer.scoring.word_networks import Alternatives, Item, NetWord, build_network, parse_transcript
from speechxfer.workflows import score_files

STORED = Path(__file__).resolve().parents[2] / "shared" / "data" / "refvectors" / "sclite"
needs_stored = pytest.mark.skipif(not STORED.is_dir(), reason="sclite's stored outputs are not here")


def counts_of(reference: str, hypothesis: str, options: NistOptions = NistOptions()) -> tuple[int, int, int, int]:  # noqa: B008
    """Hits, substitutions, deletions and insertions of words; a second utterance makes an empty reference possible."""
    scored = score_transcripts({"a-1": reference, "a-2": "x"}, {"a-1": hypothesis, "a-2": "x"}, options)
    words = scored.report.utterances[0].words
    return words.hits, words.substitutions, words.deletions, words.insertions


# ---------------------------------------------------------------------------------------------------- worked by hand
@pytest.mark.parametrize(
    ("reference", "hypothesis", "expected"),
    [
        ("a b", "b a", (1, 0, 1, 1)),  # 6; two substitutions would cost 8
        ("a b c", "x y", (0, 2, 1, 0)),
        ("", "a b", (0, 0, 0, 2)),
        ("a b", "", (0, 0, 2, 0)),
        ("Good DAY", "good day", (2, 0, 0, 0)),
        ("i { um / @ } see", "i see", (2, 0, 0, 0)),
        ("i { um / @ } see", "i um see", (3, 0, 0, 0)),
        ("i { um / @ } see", "i uh see", (2, 0, 0, 1)),  # @ and an insertion (3.001) cost less than a substitution (4)
        ("{a b/c} d", "c d", (2, 0, 0, 0)),
        ("{ a { b / c d } / e } f", "a c d f", (4, 0, 0, 0)),
        ("a b", "{ a / x } { y / b }", (2, 0, 0, 0)),
        ("a @ b", "a b", (2, 0, 0, 0)),
        ("a (b) c", "a c", (2, 0, 1, 0)),
        ("a b- c", "a bad c", (2, 1, 0, 0)),
        ("a;noun b\\;b;x;y c*", "a b;b;z c", (2, 1, 0, 0)),  # b\;b is the word b;b, in b;b;z the word is b
        ("-", "@", (0, 0, 1, 0)),
    ],
)
def test_hand_worked_counts(reference: str, hypothesis: str, expected: tuple[int, int, int, int]) -> None:
    assert counts_of(reference, hypothesis) == expected


@pytest.mark.parametrize(
    ("reference", "hypothesis", "options", "expected"),
    [
        ("a (b) c", "a c", NistOptions(optional_words=True), (3, 0, 0, 0)),  # a missing optional word is correct
        ("a (b) c", "a b c", NistOptions(optional_words=True), (3, 0, 0, 0)),
        ("a (b) c", "a x c", NistOptions(optional_words=True), (2, 1, 0, 0)),  # 4, not 2 + 3
        ("a b- -d f-", "a bad bad e", NistOptions(fragments=True), (3, 1, 0, 0)),
        ("good day", "Good day", NistOptions(case_sensitive=True), (1, 1, 0, 0)),
        ("IŞIK İzmir", "ışık izmir", NistOptions(language="tr-TR"), (2, 0, 0, 0)),
        ("IŞIK", "ışık", NistOptions(), (0, 1, 0, 0)),
    ],
)
def test_options(reference: str, hypothesis: str, options: NistOptions, expected: tuple[int, int, int, int]) -> None:
    assert counts_of(reference, hypothesis, options) == expected


def test_characters_have_no_spaces_and_hyphens_may_be_deleted() -> None:
    texts = {"a-1": "ab c-d { efg / e }"}, {"a-1": "abc d e"}
    scored = score_transcripts(*texts).report.utterances[0]
    assert scored.characters == Counts(5, 0, 1, 0)  # a b c - d e against a b c d e
    assert score_transcripts(*texts, NistOptions(delete_hyphens=True)).report.utterances[0].characters == Counts(5)
    marked = score_transcripts({"a-1": "àb"}, {"a-1": "ab"}).report.utterances[0]
    assert (marked.characters, marked.base_letters) == (Counts(1, 1), Counts(2))


def segment(start_s: float, end_s: float, text: str, speaker: str = "ana", labels: str = "") -> StmSegment:
    return StmSegment("tape", "A", speaker, start_s, end_s, labels, text, 1)


def spoken(*words: tuple[float | None, float | None, str]) -> list[CtmWord]:
    return [CtmWord("TAPE", "a", start_s, duration_s, text, None, 1) for start_s, duration_s, text in words]


def test_words_belong_to_the_segment_that_ends_after_their_middle() -> None:
    segments = [
        segment(0, 1, "a", labels="<o,f1>"),
        segment(1, 2, "IGNORE_TIME_SEGMENT_IN_SCORING"),
        segment(2, 3, "b", "bo", "<o>"),
        segment(2.5, 3.5, "c"),  # overlaps
    ]
    words = spoken((0.7, 0.5, "a"), (0.8, 0.5, "noise"), (2.6, 0.7, "b"), (2.9, 0.4, "c"), (9.0, 0.5, "late"))
    scored = score_segments(segments, words)
    rows = {row.id: (row.reference, row.hypothesis) for row in scored.report.utterances}
    assert rows == {"ana-000": ("a", "a"), "bo-000": ("b", "b"), "ana-001": ("c", "c late")}
    assert scored.speakers == ("ana", "bo") and (scored.ignored_segments, scored.ignored_words) == (1, 1)
    assert scored.labels == {"o": Counts(2), "f1": Counts(1)}


def test_alternatives_of_a_ctm_count_as_one_and_stay_together() -> None:
    alternatives = (
        (None, None, "<ALT_BEGIN>"),
        (0.1, 0.2, "um"),
        (None, None, "<ALT>"),
        (0.1, 1.2, "uh"),
        (1.4, 0.2, "huh"),  # the latest middle is 1.5
        (None, None, "<ALT>"),
        (None, None, "<ALT_END>"),
    )
    for text, expected in (("uh huh", Counts(2)), ("um", Counts(1)), ("x", Counts(0, 0, 1))):  # x: @ and a deletion
        scored = score_segments([segment(0, 1, ""), segment(1, 2, text)], spoken(*alternatives))
        assert scored.report.word_counts == expected
    [row] = [row for row in scored.report.utterances if row.id == "ana-001"]
    assert row.hypothesis == "{ um / uh huh / @ }"
    for broken in (alternatives[1:3], alternatives[:2], (alternatives[0], *alternatives)):
        with pytest.raises(InputError, match="correct the alternatives"):
            score_segments([segment(0, 1, "a")], spoken(*broken))


def test_the_table_by_speaker() -> None:
    references = {"b-1": "one two", "b-2": "three four", "a_1": "five six", "c-1": ""}
    hypotheses = {"b-1": "one two", "b-2": "three four", "a_1": "five too", "c-1": "uh"}
    rows = [
        line.split()
        for line in render_nist_table(score_transcripts(references, hypotheses)).replace("|", " ").splitlines()
    ]
    assert [row for row in rows if len(row) == 9] == [
        ["b", "2", "4", "100.0", "0.0", "0.0", "0.0", "0.0", "0.0"],
        ["a", "1", "2", "50.0", "50.0", "0.0", "0.0", "50.0", "100.0"],
        ["c", "1", "0", "0*", "0*", "0*", "1*", "1*", "100.0"],
        ["Sum/Avg", "4", "6", "83.3", "16.7", "0.0", "16.7", "33.3", "50.0"],
        ["Mean", "1.3", "2.0", "75.0+", "25.0+", "0.0+", "0.0+", "25.0+", "66.7"],
        ["S.D.", "0.6", "2.0", "35.4+", "35.4+", "0.0+", "0.0+", "35.4+", "57.7"],
        ["Median", "1.0", "2.0", "75.0+", "25.0+", "0.0+", "0.0+", "25.0+", "100.0"],
    ]
    raw = render_nist_table(score_transcripts(references, hypotheses), as_counts=True)
    assert ["Sum", "4", "6", "5", "1", "0", "1", "2", "2"] in [
        line.replace("|", " ").split() for line in raw.splitlines()
    ]


@pytest.mark.parametrize(
    ("reference", "hypothesis", "message"),
    [
        ({"a-1": "x", "a-2": "y"}, {"a-1": "x"}, "1 ids have no hypothesis: a-2"),
        ({"a-1": "x"}, {"a-1": "x", "a-2": "y"}, "1 ids have no reference: a-2"),
        ({"a1": "x"}, {"a1": "x"}, "id 'a1' names no speaker"),
        ({"a-1": "x { y"}, {"a-1": "x"}, "reference a-1: a brace without its partner"),
        ({"a-1": "x { / } y"}, {"a-1": "x"}, "reference a-1: alternatives without a word"),
        ({"a-1": "{ " * 99 + "}" * 99}, {"a-1": "x"}, "nested deeper than 50"),
        ({"a-1": "@"}, {"a-1": "x"}, "no word at all"),
    ],
)
def test_what_cannot_be_scored_is_named(reference: dict[str, str], hypothesis: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        score_transcripts(reference, hypothesis)


def test_words_without_a_segment_are_named() -> None:
    with pytest.raises(InputError, match="without a segment: tape b"):
        score_segments([segment(0, 1, "a")], [CtmWord("tape", "B", 0.0, 1.0, "a", None, 1)])


# ------------------------------------------------------------------------------------------------------- brute force
def paths(items: tuple[Item, ...]) -> Iterator[tuple[str, ...]]:
    """Every sequence of words of a transcript."""
    choices = [
        [words for choice in item.choices for words in paths(choice)]
        if isinstance(item, Alternatives)
        else [(item.text,)]
        for item in items
    ]
    for combination in product(*choices):
        yield tuple(word for words in combination for word in words)


@cache
def cheapest(reference: tuple[str, ...], hypothesis: tuple[str, ...]) -> float:
    """Cost of the best alignment of two texts, by recursion."""
    if not reference or not hypothesis:
        return sum(0.001 if word == "@" else 3 for word in reference + hypothesis)
    first, second = reference[0], hypothesis[0]
    pair = (1 if first == "@" else 0) if first == second else 4
    return min(
        pair + cheapest(reference[1:], hypothesis[1:]),
        (0.001 if first == "@" else 3) + cheapest(reference[1:], hypothesis),
        (0.001 if second == "@" else 3) + cheapest(reference, hypothesis[1:]),
    )


def random_items(draw: random.Random, depth: int = 0) -> tuple[Item, ...]:
    items: list[Item] = []
    for _ in range(draw.randint(0 if depth == 0 else 1, 3)):
        if depth < 2 and draw.random() < 0.4:
            items.append(Alternatives(tuple(random_items(draw, depth + 1) for _ in range(draw.randint(1, 2)))))
        else:
            word = draw.choice("abc@")
            items.append(NetWord(word, word))
    return tuple(items)


def test_the_cost_is_that_of_the_best_pair_of_paths() -> None:
    draw = random.Random(1)
    for number in range(100):
        reference = random_items(draw)
        hypothesis = (
            random_items(draw)
            if number % 2
            else parse_transcript(draw.choice(("a b", "c", "b a @ c")), NistOptions(), "")
        )
        expected = min(cheapest(one, other) for one in paths(reference) for other in paths(hypothesis))
        pairs = align_networks(build_network(reference), build_network(hypothesis))
        cost = sum(3 if None in pair else 4 if pair[0] != pair[1] else 0 for pair in pairs)
        assert cost <= expected < cost + 1.02  # the rest are the costs of @


# ----------------------------------------------------------------------------------------------------------- the verb
def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str | Path
) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["speechxfer", *map(str, arguments)])
    with pytest.raises(SystemExit) as end:
        cli.main()
    return (int(end.value.code or 0), *capsys.readouterr())


def test_the_verb_score(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "ref.trn").write_text("good day (a-1)\nsir (b-1)\n", encoding="utf-8")
    (tmp_path / "hyp.trn").write_text("good (a-1)\nsir (b-1)\n", encoding="utf-8")
    code, shown, _ = run(
        monkeypatch, capsys, "score", tmp_path / "ref.trn", tmp_path / "hyp.trn", "--out", tmp_path / "out"
    )
    assert code == 0
    assert shown.startswith("WER 33.3 % [") and "(0 sub, 1 del, 0 ins of 3 words, 2 utterances)" in shown
    assert "CER 30.0 % [" in shown and "conventions: sclite's weights" in shown and "Sum/Avg" in shown
    report = read_report(tmp_path / "out" / "report.json")
    assert report.wer == pytest.approx(1 / 3)
    assert compare(report, report).wer.p_value == 1
    assert {path.name for path in (tmp_path / "out").iterdir()} >= {
        "report.txt",
        "words.sys",
        "words.raw",
        "characters.sys",
    }
    code, _, error = run(monkeypatch, capsys, "score", tmp_path / "ref.trn", tmp_path / "hyp.txt")
    assert code == 2 and "the suffixes name no format" in error and error.count("\n") == 1


def test_manifests_and_segments_are_scored_by_suffix(tmp_path: Path) -> None:
    for name, text in (("ref", "good day"), ("hyp", "good")):
        row = f'{{"id": "u1", "audio_filepath": "x.wav", "duration": 1, "text": "{text}", "speaker": "a"}}\n'
        (tmp_path / f"{name}.jsonl").write_text(row, encoding="utf-8")
    assert "(0 sub, 1 del, 0 ins of 2 words" in score_files(tmp_path / "ref.jsonl", tmp_path / "hyp.jsonl")
    (tmp_path / "ref.stm").write_text(
        "x A ana 0 2 <o> good day\nx A ana 2 3 ignore_time_segment_in_scoring\n", encoding="utf-8"
    )
    (tmp_path / "hyp.ctm").write_text("x A 0 0.5 good\nx A 2.2 0.5 what\n", encoding="utf-8")
    shown = score_files(tmp_path / "ref.stm", tmp_path / "hyp.ctm")
    assert "(0 sub, 1 del, 0 ins of 2 words" in shown and "o                   2    50.0" in shown
    assert "excluded by the reference: 1 segment with 1 word of the hypothesis" in shown


# --------------------------------------------------------------------------------------------- sclite's stored outputs
def stored_trn(reference: str, hypothesis: str, **options: object) -> NistReport:
    return score_transcripts(read_trn(STORED / reference), read_trn(STORED / hypothesis), NistOptions(**options))  # type: ignore[arg-type]


def stored_segments(name: str, encoding: str = "utf-8", **options: object) -> NistReport:
    segments, words = read_stm(STORED / f"{name}_ref.stm", encoding), read_ctm(STORED / f"{name}_hyp.ctm", encoding)
    return score_segments(segments, words, NistOptions(**options))  # type: ignore[arg-type]


CASES = {
    "test1": lambda: stored_trn("csrnab.ref", "csrnab.hyp", speaker_ids="wsj"),
    "test3": lambda: stored_segments("lvc"),
    "test7_noD": lambda: stored_trn("tests.ref", "tests.hyp", fragments=True),
    "test8": lambda: stored_trn("csrnab1.ref", "csrnab1.hyp", speaker_ids="wsj"),
    "test9_1": lambda: stored_segments("mand", "gb18030", delete_hyphens=True),
    "test15_c": lambda: stored_trn("test.turkish.ref", "test.turkish.hyp", language="tr"),
    "test15_d": lambda: stored_trn("test.ukranian.ref", "test.ukranian.hyp"),
    "test17": lambda: stored_trn("test.vietnamese.ref.trn", "test.vietnamese.hyp.trn"),
}
OF_CHARACTERS = ("test8", "test9_1")


@needs_stored
@pytest.mark.parametrize("name", CASES)
def test_every_segment_and_table_equals_sclites(name: str) -> None:
    scored = CASES[name]()
    unit = "characters" if name in OF_CHARACTERS else "words"
    for suffix in ("sys", "raw"):
        lines = (STORED / "expected" / f"{name}.{suffix}").read_text(errors="replace").replace("|", " ").splitlines()
        expected = [line.split() for line in lines if len(line.split()) == 9]
        table = render_nist_table(scored, unit, as_counts=suffix == "raw").replace("|", " ")
        assert [line.split() for line in table.splitlines() if len(line.split()) == 9] == expected and len(
            expected
        ) >= 5
    alignment = (STORED / "expected" / f"{name}.pra").read_text(errors="replace")
    found = re.findall(
        r"^id: \((\S+)\)\n(?:(?:Labels|File|Channel):.*\n)*Scores: \(#C #S #D #I\) (\d+) (\d+) (\d+) (\d+)",
        alignment,
        re.MULTILINE,
    )
    rows = {row.id: row.words if unit == "words" else row.characters for row in scored.report.utterances}
    assert rows == {name: Counts(*map(int, counts)) for name, *counts in found}


@needs_stored
def test_optional_words_equal_sclites() -> None:
    scored = stored_trn("tests.ref", "tests.hyp", fragments=True, optional_words=True)
    text = (STORED / "expected" / "test7_6.sgml").read_text(encoding="utf-8")
    expected = {}
    for name, path in re.findall(r'<PATH id="\((.*?)\)"[^>]*>\n(.*?)\n?</PATH>', text, re.DOTALL):
        operations = re.findall(r"(?:^|(?<=:))([CSDI]),", path)
        expected[name] = Counts(*(operations.count(kind) for kind in "CSDI"))
    assert {row.id: row.words for row in scored.report.utterances} == expected and len(expected) == 58
