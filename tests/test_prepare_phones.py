"""Phones from spelling, Mandarin's phones, and the test that finds texts of other recordings.

Expected values: transcriptions of single words in the sources that `data_scripts.spellings` names, without tone, length and
aspiration; cases of the rank test are worked by hand.
"""

import json
from pathlib import Path

import pytest

from data_scripts import spellings
from data_scripts.drop_mismatches import drop_mismatches, main
from data_scripts.synthesize_multilingual import phones_of
from speechxfer.data import Utterance, read_manifest, write_manifest
from speechxfer.errors import InputError


# --------------------------------------------------------------------------------------------------------- spellings
@pytest.mark.parametrize(
    ("lang", "text", "phones"),
    [
        ("rw", "umugabo", "umuɡaβo"),  # b is a fricative
        ("rw", "imbwa", "imbwa"),  # and a stop after m
        ("rw", "Ikinyarwanda, ni", "ikiɲaɾwanda ni"),
        ("rw", "n'icyo", "nico"),
        ("rw", "ishyamba", "içamba"),
        ("mg", "Tantara", "tantara"),
        ("mg", "olona", "uluna"),  # o is read u
        ("mg", "vatravatra", "vaʈʂavaʈʂa"),
        ("mg", "andro", "anɖʐu"),
        ("mg", "vao jiro", "vaw dziru"),
        ("cmn-pinyin", "zhong1 guo2", "ʈʂʊŋ kwo"),
        ("cmn-pinyin", "shi4", "ʂɨ"),
        ("cmn-pinyin", "qu4", "tɕy"),
        ("cmn-pinyin", "lü4", "ly"),
        ("cmn-pinyin", "lve4", "lɥɛ"),
        ("cmn-pinyin", "yuan2", "ɥɛn"),
        ("cmn-pinyin", "er2", "əɻ"),
    ],
)
def test_read(lang, text, phones):
    assert spellings.read(text, lang) == phones


@pytest.mark.parametrize(("lang", "text"), [("rw", "imyaka 50"), ("mg", "taona 1990"), ("cmn-pinyin", "hng1")])
def test_read_refuses_what_has_no_rule(lang, text):
    assert spellings.read(text, lang) == ""


def test_every_syllable_of_pinyin_is_read():
    """Simple initials with simple finals, and one syllable of each other kind."""
    initials = ("b", "p", "m", "f", "d", "t", "n", "l", "g", "k", "h")
    syllables = [initial + final for initial in initials for final in ("a", "ai", "an", "ang", "u")]
    syllables += ["jiong", "qun", "xue", "zhuang", "chi", "shui", "rou", "zi", "ceng", "suo", "ang", "wu", "yi", "lve"]
    assert all(spellings.read(f"{syllable}{tone}", "cmn-pinyin") for syllable in syllables for tone in range(1, 6))


@pytest.mark.parametrize(
    ("characters", "pinyin"),
    [("中", "zhong1"), ("吃", "chi1"), ("国", "guo2"), ("全", "quan2"), ("水", "shui3"), ("电", "dian4"), ("绿", "lv4"),
     ("一", "yi1"), ("留", "liu2"), ("二", "er4"), ("雪", "xue3"), ("军", "jun1"), ("想", "xiang3"), ("四", "si4")],
)  # fmt: skip
def test_espeak_and_pinyin_agree(characters, pinyin):
    assert phones_of(characters, "cmn") == phones_of(pinyin, "cmn-pinyin")


@pytest.mark.parametrize(
    ("espeak", "said"),
    [
        ("sˈərawitɨ nəw", "sərawitɨ nəw"),  # at the end of a word it stays
        ("ʔˈɨwɨnətəɲa", "ɨwnətəɲa"),  # እውነተኛ, true
        ("təmɨhɨrɨt", "təmhɨrɨt"),  # one consonant closes the syllable, not two
        ("bɨrɨhan nəɡərɨ", "bɨrhan nəɡərɨ"),
    ],
)
def test_amharic_as_it_is_pronounced(espeak, said):
    assert spellings.amharic(espeak) == said


def test_german_and_gaelic_as_they_are_pronounced():
    assert spellings.german("ʔˈʊnzɜ vˈɛɾt ɾˈoːt bəɾˈiːçt") == "ʔˈʊnzɐ vˈɛɐt ʁˈoːt bəʁˈiːçt"
    assert spellings.gaelic("bˈɔd ɡˈuɟ") == "pˈɔt kˈuc"


def test_only_labels_of_real_speech_are_corrected():
    assert phones_of("wert", "de", real_speech=True) != phones_of("wert", "de")
    assert phones_of("wert", "nl", real_speech=True) == phones_of("wert", "nl")


def test_doubled_phones_are_one():
    assert phones_of("anna", "it") == ["a", "n", "a"]
    assert "".join(phones_of("umuuntu", "rw")) == "umuntu"


# ---------------------------------------------------------------------------------------------------- the rank test
def corpus(folder: Path, output: dict[str, str], groups: tuple[str, ...] = ("one",)) -> tuple[Path, Path]:
    """Fifty utterances whose texts have nothing in common; `output` replaces what was recognised."""
    utterances, rows = [], []
    for number in range(50):
        name = f"{groups[number % len(groups)]}-{number:02}"
        text = " ".join(f"{symbol}{number}" for symbol in "abcdef")
        utterances.append(Utterance(id=name, audio_filepath=folder / "a.wav", duration=1.0, text=text, lang="xx"))
        rows.append({"id": name, "hypothesis": output.get(name, text.replace("b", "q"))})
    write_manifest(folder / "train.jsonl", utterances)
    (folder / "report.json").write_text(json.dumps({"utterances": rows}), encoding="utf-8")
    return folder / "train.jsonl", folder / "report.json"


def test_texts_of_other_recordings_are_removed(tmp_path):
    other = " ".join(f"{symbol}30" for symbol in "abcdef")
    output = {"one-03": other, "one-07": "", "one-09": "a9 z z z z z"}  # another's, nothing, one phone right
    verdicts = drop_mismatches(*corpus(tmp_path, output), tmp_path / "clean" / "train.jsonl")
    kept = {utterance.id for utterance in read_manifest(tmp_path / "clean" / "train.jsonl")}
    assert {f"one-{n:02}" for n in range(50)} - kept == {"one-07"}  # one text nearer is no proof
    assert next(v for v in verdicts if v.utterance.id == "one-03").distance == 1.0


def test_most_texts_nearer_is_a_mismatch(tmp_path):
    output = {"one-03": "c1 c2 c4 c5 c6 c8 " * 3}  # longer than its own text, nearer to six others
    manifest, report = corpus(tmp_path, output)
    utterances = [
        Utterance(**{**u.__dict__, "text": "x"} if u.id == "one-03" else u.__dict__) for u in read_manifest(manifest)
    ]
    write_manifest(manifest, utterances)
    drop_mismatches(manifest, report, tmp_path / "out.jsonl")
    assert "one-03" not in {u.id for u in read_manifest(tmp_path / "out.jsonl")}  # 18 phones for 1
    rows = (tmp_path / "out.removed.tsv").read_text("utf-8").splitlines()
    assert rows[0].split("\t") == ["id", "distance", "nearer", "text", "recognised"]
    assert rows[1].startswith("one-03\t1.00\t")


def test_a_text_farther_than_a_quarter_of_the_others_is_removed(tmp_path):
    manifest, report = corpus(tmp_path, {})
    rows = json.loads(report.read_text("utf-8"))
    utterances = []
    for number, utterance in enumerate(read_manifest(manifest)):
        text = "k l m n o p" if number else "u v w x y z"  # the first has another text than all the others
        utterances.append(Utterance(**{**utterance.__dict__, "text": f"{text} e{number}"}))
        rows["utterances"][number]["hypothesis"] = "k l m n o p"
    write_manifest(manifest, utterances)
    report.write_text(json.dumps(rows), encoding="utf-8")
    drop_mismatches(manifest, report, tmp_path / "out.jsonl")
    assert len(read_manifest(tmp_path / "out.jsonl")) == 49


def test_groups_of_which_more_than_half_is_removed(tmp_path, capsys):
    output = {f"bad-{n:02}": "" for n in range(1, 50, 2) if n > 20}  # 15 of the 25
    manifest, report = corpus(tmp_path, output, ("good", "bad"))
    drop_mismatches(manifest, report, tmp_path / "out.jsonl", group="^([a-z]+)-")
    assert {u.id.split("-")[0] for u in read_manifest(tmp_path / "out.jsonl")} == {"good"}
    assert "removed whole: bad (25 utterances)" in capsys.readouterr().out
    with pytest.raises(InputError, match="one pair of brackets"):
        drop_mismatches(manifest, report, tmp_path / "out.jsonl", group="bad")


def test_reports_of_something_else(tmp_path, capsys):
    manifest, _ = corpus(tmp_path, {})
    (tmp_path / "other.json").write_text('{"utterances": [{"id": "one-00", "hypothesis": "a0"}]}', encoding="utf-8")
    with pytest.raises(InputError, match=r"no utterance 'one-01' \(49 missing\)"):
        drop_mismatches(manifest, tmp_path / "other.json", tmp_path / "out.jsonl")
    with pytest.raises(InputError, match="evaluate again"):
        drop_mismatches(manifest, manifest, tmp_path / "out.jsonl")
    with pytest.raises(SystemExit) as stop:
        main([str(manifest), str(tmp_path / "none.json"), str(tmp_path / "out.jsonl")])
    assert stop.value.code == 2 and "none.json" in capsys.readouterr().err
    assert not (tmp_path / "out.jsonl").exists()
