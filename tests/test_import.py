"""The verb `import`: annotations and Kaldi's data folders as manifests; what is skipped is counted with its reason."""

import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from speechxfer import cli
from speechxfer.annotations import Annotation, Interval, Tier, read_annotations, write_annotation
from speechxfer.data import TierChoice, Utterance, read_manifest
from speechxfer.errors import InputError
from speechxfer.workflows import ImportOptions, copy_tiers, import_files
from tests.test_annotation_reading import EAF


def write_sound(path: Path, seconds: float = 5.0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.zeros(round(8000 * seconds), dtype=np.float32), 8000)
    return path


def rows(path: Path) -> list[tuple[str, str, float, float, str, str]]:
    return [
        (row.id, row.text, row.offset, row.duration, row.speaker, row.audio_filepath.name)
        for row in read_manifest(path)
    ]


def test_an_elan_document_by_tier_type_or_name(tmp_path: Path) -> None:
    (tmp_path / "elan").mkdir()
    (tmp_path / "elan" / "a.eaf").write_text(EAF, encoding="utf-8")
    write_sound(tmp_path / "elan" / "tape 1.wav")
    options = ImportOptions(TierChoice(types=("phrase",)), language="xyz")
    shown = import_files([tmp_path / "elan" / "a.eaf"], tmp_path / "a.jsonl", options)
    assert shown == f"{tmp_path / 'a.jsonl'}: 1 utterance, 3 s, 1 recording, 1 speaker"
    [utterance] = read_manifest(tmp_path / "a.jsonl")
    assert utterance == Utterance(
        "tape_1-00001000-00004000", tmp_path / "elan" / "tape 1.wav", 3.0, "one <two> three", 1.0, "Ana", "xyz"
    )
    assert '"audio_filepath": "elan/tape 1.wav"' in (tmp_path / "a.jsonl").read_text(encoding="utf-8")

    shown = import_files(
        [tmp_path / "elan"], tmp_path / "b.jsonl", ImportOptions(TierChoice(names=("[mw]*@ana", "note")))
    )
    assert "skipped: 1 without text (a.eaf 'note' 1.5 s)" in shown
    assert [row[:5] for row in rows(tmp_path / "b.jsonl")] == [
        ("tape_1-ana-00001000-00001500", "ONE", 1.0, 0.5, "ana"),  # no participant: what follows the @
        ("tape_1-Ana-00001000-00002000", "one", 1.0, 1.0, "Ana"),
        ("tape_1-ana-00001500-00002000", "-SG", 1.5, 0.5, "ana"),
        ("tape_1-Ana-00002000-00003000", "two", 2.0, 1.0, "Ana"),
        ("tape_1-Ana-00003000-00004000", "three", 3.0, 1.0, "Ana"),
    ]


def test_several_tiers_must_be_chosen_and_are_described(tmp_path: Path) -> None:
    (tmp_path / "a.eaf").write_text(EAF, encoding="utf-8")
    write_sound(tmp_path / "tape 1.wav")
    for choice, fault in ((TierChoice(), "has several tiers with text"), (TierChoice(("x",)), "no tier fits")):
        with pytest.raises(InputError, match="no utterance: 1 of 1 file could not be imported"):
            import_files([tmp_path / "a.eaf"], tmp_path / "a.jsonl", ImportOptions(choice))
        assert not (tmp_path / "a.jsonl").exists()
        message = error_of(tmp_path / "a.eaf", choice)
        assert fault in message and "'tx@ana' (type phrase, 1 text, such as 'one <two> three')" in message


def error_of(path: Path, choice: TierChoice) -> str:
    from speechxfer.data import import_annotation

    with pytest.raises(InputError) as raised:
        import_annotation(read_annotations(path)[0], path, choice)
    return str(raised.value)


def test_what_is_no_utterance_is_skipped_with_counts_and_reasons(tmp_path: Path) -> None:
    write_sound(tmp_path / "t.wav", seconds=4)
    intervals = (
        Interval(0.0, 1.0, "one\ntwo"),
        Interval(1.0, 1.5, " "),
        Interval(2.0, 4.02, "rounded"),
        Interval(3.0, 6.0, "too long"),
        Interval(4.5, 5.0, "late"),
        Interval(5.0, 5.5, "later"),
    )
    (tmp_path / "t.srt").write_text("1\n00:00:03,000 --> 00:00:01,000\nbackwards\n", encoding="utf-8")
    write_annotation(
        tmp_path / "t.TextGrid", Annotation(tmp_path / "t.wav", 6.0, (Tier("a", intervals[:3]), Tier("b", ())))
    )
    write_annotation(tmp_path / "t.vtt", Annotation(tmp_path / "t.wav", 6.0, (Tier("a", intervals[3:]),)))
    shown = import_files([tmp_path], tmp_path / "m.jsonl")
    assert shown.splitlines()[1:] == [
        "skipped: 1 without text (t.TextGrid 'a' 1 s), 1 without duration (t.srt 'utterances' 3 s), "
        "2 after the end of the recording (t.vtt 'utterances' 4.5 s, t.vtt 'utterances' 5 s)",
        "changed: 1 shortened to the end of the recording (t.vtt 'utterances' 3 s)",
    ]
    assert [row[:4] for row in rows(tmp_path / "m.jsonl")] == [
        ("t-00000000-00001000", "one\ntwo", 0.0, 1.0),
        ("t-00002000-00004000", "rounded", 2.0, 2.0),
        ("t-00003000-00004000", "too long", 3.0, 1.0),
    ]


def test_a_bad_file_does_not_stop_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_sound(tmp_path / "sound" / "x.flac")
    (tmp_path / "x.txt").write_text("0.5\t1.5\tgood\n0.5\t1.5\tday\n", encoding="utf-8")
    (tmp_path / "y.txt").write_text("0.5\t1.5\tgood\n", encoding="utf-8")
    arguments = [
        "import",
        tmp_path / "x.txt",
        tmp_path / "y.txt",
        "--audio",
        tmp_path / "sound",
        "--out",
        tmp_path / "m.jsonl",
    ]
    monkeypatch.setattr(sys, "argv", ["speechxfer", *map(str, arguments)])
    with pytest.raises(SystemExit) as end:
        cli.main()
    shown = capsys.readouterr()
    assert end.value.code == 2 and shown.out == ""
    assert f"not imported: {tmp_path / 'y.txt'}: its recording {tmp_path / 'y.wav'} is missing" in shown.err
    assert (
        "speechxfer: import: 1 of 2 files could not be imported (causes above); the manifest has the others"
        in shown.err
    )
    assert [row[0] for row in rows(tmp_path / "m.jsonl")] == ["x-00000500-00001500", "x-00000500-00001500-2"]


def test_stm_and_ctm_files_have_several_recordings(tmp_path: Path) -> None:
    write_sound(tmp_path / "one.wav")
    write_sound(tmp_path / "two.wav")
    (tmp_path / "a.stm").write_text("one A ana 0 1 good\none A bo 0.5 2 day\ntwo A ana 1 2 sir\n", encoding="utf-8")
    import_files([tmp_path / "a.stm"], tmp_path / "m.jsonl")
    assert rows(tmp_path / "m.jsonl") == [
        ("one-ana-00000000-00001000", "good", 0.0, 1.0, "ana", "one.wav"),
        ("one-bo-00000500-00002000", "day", 0.5, 1.5, "bo", "one.wav"),
        ("two-00001000-00002000", "sir", 1.0, 1.0, "ana", "two.wav"),
    ]


# -------------------------------------------------------------------------------------------------------- back again
def test_predictions_go_back_as_new_tiers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.eaf").write_text(EAF, encoding="utf-8")
    words = Tier("tx@ana", (Interval(1.0, 2.5, "won"), Interval(2.5, 4.0, "too")), "Ana")
    predicted = Annotation(
        tmp_path / "tape 1.wav", 5.0, (words, Tier("empty", ()), Tier("note", (Interval(0, 1, "x"),)))
    )
    write_annotation(tmp_path / "p.eaf", predicted)
    [before] = read_annotations(tmp_path / "a.eaf")
    arguments = ["add-tiers", tmp_path / "a.eaf", tmp_path / "p.eaf", "--prefix", "auto-"]
    monkeypatch.setattr(sys, "argv", ["speechxfer", *map(str, arguments)])
    with pytest.raises(SystemExit) as end:
        cli.main()
    shown = capsys.readouterr().out
    assert not end.value.code
    assert shown == f"{tmp_path / 'a.eaf'}: added 'auto-tx@ana' (2 intervals), 'auto-note' (1 interval)\n"
    [after] = read_annotations(tmp_path / "a.eaf")
    assert after.tiers[:4] == before.tiers
    assert [(tier.name, tier.intervals, tier.speaker) for tier in after.tiers[4:]] == [
        ("auto-tx@ana", words.intervals, "Ana"),
        ("auto-note", (Interval(0, 1, "x"),), ""),
    ]
    for names, prefix, message in (
        (("w",), "", "has no tier 'w'; its tiers: 'tx@ana'"),
        ((), "", "has a tier 'tx@ana'"),
    ):
        with pytest.raises(InputError, match=message):
            copy_tiers(tmp_path / "a.eaf", tmp_path / "p.eaf", names=names, prefix=prefix)
    with pytest.raises(InputError, match=r"b\.TextGrid: the file written is of the same kind as .*a\.eaf"):
        copy_tiers(tmp_path / "a.eaf", tmp_path / "p.eaf", prefix="x-", out=tmp_path / "b.TextGrid")
    assert not (tmp_path / "b.TextGrid").exists()


# ------------------------------------------------------------------------------------------------------------ Kaldi
def kaldi_folder(folder: Path, **files: str) -> Path:
    write_sound(folder / "sound" / "r1.wav")
    write_sound(folder / "sound" / "r2.wav")
    default = {
        "wav.scp": "r1 sound/r1.wav\nr2 sound/r2.wav\n",
        "text": "u1 good  day\nu2 sir\nu4 late\nu5 inverse\nu6 all\n",
        "segments": "u1 r1 0.5 1.5\nu2 r2 4.0 5.04\nu3 r1 2 3\nu4 r1 4 7\nu5 r1 4 3\nu6 r2 3 -1\n",
        "utt2spk": "u1 ana\nu2 bo\nu3 ana\nu4 bo\nu5 bo\n",
    }
    for name, text in (default | files).items():
        if text:
            (folder / name).write_text(text, encoding="utf-8")
    return folder


def test_a_kaldi_data_folder(tmp_path: Path) -> None:
    shown = import_files([kaldi_folder(tmp_path / "data", utt2lang="u1 yor\n")], tmp_path / "m.jsonl")
    assert rows(tmp_path / "m.jsonl") == [
        ("u1", "good  day", 0.5, 1.0, "ana", "r1.wav"),
        ("u2", "sir", 4.0, 1.0, "bo", "r2.wav"),
        ("u6", "all", 3.0, 2.0, "", "r2.wav"),
    ]
    assert [row.lang for row in read_manifest(tmp_path / "m.jsonl")] == ["yor", "", ""]
    assert "skipped: 1 without text (u3), 1 after the end of the recording (u4), 1 without duration (u5)" in shown
    import_files([kaldi_folder(tmp_path / "whole", segments="", text="r1 all of it\nr2 more\n")], tmp_path / "w.jsonl")
    assert [row[:4] for row in rows(tmp_path / "w.jsonl")] == [("r1", "all of it", 0, 5), ("r2", "more", 0, 5)]
    import_files([kaldi_folder(tmp_path / "untranscribed", segments="", text="")], tmp_path / "u.jsonl")
    assert [row[1] for row in rows(tmp_path / "u.jsonl")] == ["", ""]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"wav.scp": "r1 sox r1.mp3 -t wav - |\n"}, "recording 'r1' is a command, which is not run"),
        ({"wav.scp": "r1 sound/r9.wav\n"}, "recording 'r1' is missing at sound/r9.wav"),
        ({"wav.scp": f"r1 {'x' * 300}.wav\n"}, "recording 'r1' is missing at xxx"),
        ({"segments": "u1 r7 0 1\n"}, "'u1': recording 'r7' is not in wav.scp"),
        ({"segments": "u1 r1 0\n"}, "'u1': expected recording, start and end"),
        ({"segments": "u1 r1 a b\n"}, "'u1': expected recording, start and end"),
        ({"text": "u1 a\nu1 b\n"}, r"text:2: 'u1' occurs twice"),
    ],
)
def test_damaged_kaldi_folders_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], files: dict[str, str], message: str
) -> None:
    from speechxfer.data import read_kaldi_folder

    with pytest.raises(InputError, match=message):
        read_kaldi_folder(kaldi_folder(tmp_path / "data", **files))


def test_other_mistakes(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a manifest needs the suffix \.jsonl"):
        import_files([tmp_path], tmp_path / "m.csv")
    with pytest.raises(InputError, match="has no file of annotations"):
        import_files([tmp_path], tmp_path / "m.jsonl")


def test_a_table_by_its_columns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_sound(tmp_path / "sound" / "a.wav")
    table = tmp_path / "texts.csv"
    table.write_text(
        "file;sentence;start;end;speaker;split\na.wav;one, two;0,5;1,25;Ana;test\na.wav;;2;3;Ana;train\n",
        encoding="utf-8",
    )
    shown = import_files([table], tmp_path / "a.jsonl", ImportOptions(audio_dir=tmp_path / "sound", language="xyz"))
    assert shown == f"{tmp_path / 'a.jsonl'}: 1 utterance, 1 s, 1 recording, 1 speaker"
    assert "excluded: a_2: its text is empty" in capsys.readouterr().out
    [utterance] = read_manifest(tmp_path / "a.jsonl")
    assert utterance == Utterance("a_0,5", tmp_path / "sound" / "a.wav", 0.75, "one, two", 0.5, "Ana", "xyz")


def test_a_table_without_its_recordings_or_columns_is_one_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for content, fault in (
        ("path\ttext\nmissing.wav\tone\n", "missing.wav"),
        ("name\ttext\na.wav\tone\n", "no path column"),
    ):
        (tmp_path / "t.tsv").write_text(content, encoding="utf-8")
        with pytest.raises(InputError, match="no utterance: 1 of 1 file could not be imported"):
            import_files([tmp_path / "t.tsv"], tmp_path / "a.jsonl")
        assert f"not imported: {tmp_path / 't.tsv'}:" in (printed := capsys.readouterr().err) and fault in printed
    assert not (tmp_path / "a.jsonl").exists()
