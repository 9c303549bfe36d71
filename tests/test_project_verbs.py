"""`split`, `check --json`, and `add-tiers` for folders: what the page of `serve` also uses."""

import json
from pathlib import Path

import pytest

from speechxfer import InputError
from speechxfer.annotations import Annotation, Interval, Tier, read_annotations, write_annotation
from speechxfer.data import read_manifest, write_manifest
from speechxfer.workflows import copy_tiers, split_manifest
from tests.test_cli import Speechxfer, speechxfer  # noqa: F401
from tests.tone_corpus import write_tone_corpus


def test_split_divides_by_sentence_and_names_the_next_command(tmp_path: Path, speechxfer: Speechxfer) -> None:  # noqa: F811
    utterances = write_tone_corpus(tmp_path / "all.jsonl", 30, words=(4, 6))
    done = speechxfer("split", tmp_path / "all.jsonl", "--out", tmp_path / "parts")
    assert done.code == 0
    parts = {name: read_manifest(tmp_path / "parts" / f"{name}.jsonl") for name in ("train", "dev", "test")}
    assert {name: len(part) for name, part in parts.items()} == {"train": 24, "dev": 3, "test": 3}
    assert sorted(u.id for part in parts.values() for u in part) == [u.id for u in utterances]
    assert "next: speechxfer check " in done.out and "by sentence (30 in all)" in done.out
    first = {path.name: path.read_bytes() for path in (tmp_path / "parts").iterdir()}
    write_manifest(tmp_path / "all.jsonl", utterances[::-1])
    split_manifest(tmp_path / "all.jsonl", tmp_path / "parts")
    again = {path.name: {*path.read_bytes().splitlines()} for path in (tmp_path / "parts").iterdir()}
    assert again == {name: {*content.splitlines()} for name, content in first.items()}


def test_split_refuses_to_replace_its_input_and_too_few_sentences(tmp_path: Path) -> None:
    utterances = write_tone_corpus(tmp_path / "train.jsonl", 12, words=(4, 6))
    with pytest.raises(InputError, match="is an input"):
        split_manifest(tmp_path / "train.jsonl", tmp_path)
    assert read_manifest(tmp_path / "train.jsonl") == utterances
    write_manifest(tmp_path / "test.jsonl", utterances)
    write_manifest(tmp_path / "train.jsonl", utterances[:1])
    with pytest.raises(InputError, match=r"test\.jsonl: is an input"):
        split_manifest(tmp_path / "test.jsonl", tmp_path)
    assert read_manifest(tmp_path / "train.jsonl") == utterances[:1] and not (tmp_path / "dev.jsonl").exists()
    write_manifest(tmp_path / "two.jsonl", utterances[:2])
    with pytest.raises(InputError, match="only 2 different sentences"):
        split_manifest(tmp_path / "two.jsonl", tmp_path / "parts")


def test_check_writes_its_findings_as_json(tmp_path: Path, speechxfer: Speechxfer) -> None:  # noqa: F811
    utterances = write_tone_corpus(tmp_path / "train.jsonl", 4)
    utterances[2].audio_filepath.unlink()
    done = speechxfer("check", tmp_path / "train.jsonl", "--json", tmp_path / "found.json")
    assert done.code == 1
    found = json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))
    assert [
        (one["severity"], one["kind"], one["id"], one["line"])
        for one in found["findings"]
        if one["severity"] == "error"
    ] == [("error", "missing audio", "train002", 3)]
    assert found["splits"][0]["utterances"] == 4
    done = speechxfer("check", tmp_path / "train.jsonl", "--json", tmp_path / "train.jsonl")
    assert done.code == 2 and "is an input" in done.err
    assert len(read_manifest(tmp_path / "train.jsonl")) == 4


def write_document(path: Path, name: str, text: str) -> bytes:
    tier = Tier(name, (Interval(0.0, 1.0, text),))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_annotation(path, Annotation(Path(f"{path.stem}.wav"), 2.0, (tier,)))
    return path.read_bytes()


def test_tiers_of_a_folder_are_added_to_the_documents_of_another(tmp_path: Path) -> None:
    project, texts, out = tmp_path / "project", tmp_path / "texts", tmp_path / "out"
    originals = {
        "a.eaf": write_document(project / "a.eaf", "tx", "one"),
        "deep/b.TextGrid": write_document(project / "deep" / "b.TextGrid", "tx", "two"),
        "c.eaf": write_document(project / "c.eaf", "tx", "three"),
    }
    for name in ("a.eaf", "b.eaf"):
        write_document(texts / name, "words", name)
    wanted = {
        "a.eaf": {"tx": ["one"], "auto-words": ["a.eaf"]},
        "deep/b.TextGrid": {"tx": ["two"], "auto-words": ["b.eaf"]},
        "c.eaf": {"tx": ["three"]},
    }
    shown = copy_tiers(project, texts, prefix="auto-", out=out)
    assert shown.count("added 'auto-words' (1 interval)") == 2
    for name, content in originals.items():
        assert (project / name).read_bytes() == content
        [annotation] = read_annotations(out / name)
        found = {tier.name: [one.text for one in tier.intervals if one.text] for tier in annotation.tiers}
        assert found == wanted[name]
    with pytest.raises(InputError, match="has no file for a document"):
        copy_tiers(project, out / "deep" / "nothing", out=tmp_path / "more")
    write_document(texts / "more" / "a.TextGrid", "words", "x")
    with pytest.raises(InputError, match="has the same name"):
        copy_tiers(project, texts, out=tmp_path / "more")
    assert not (tmp_path / "more").exists()


def test_added_tiers_replace_no_document_and_go_to_one_recording(tmp_path: Path) -> None:
    own = Annotation(Path("01.wav"), 1.0, (Tier("tx", (Interval(0.0, 1.0, "by hand"),)),))
    new = Annotation(Path("01.wav"), 1.0, (Tier("p", (Interval(0.0, 1.0, "predicted"),)),))
    documents, texts, out = tmp_path / "documents", tmp_path / "texts", tmp_path / "out"
    for folder, annotation in ((documents / "ana", own), (texts, new)):
        folder.mkdir(parents=True)
        write_annotation(folder / "01.eaf", annotation)
    copy_tiers(documents, texts, out=out)
    corrected = (out / "ana" / "01.eaf").read_text("utf-8").replace("predicted", "corrected")
    (out / "ana" / "01.eaf").write_text(corrected, "utf-8")
    with pytest.raises(InputError, match=r"01\.eaf exists and would be replaced"):
        copy_tiers(documents, texts, out=out)
    assert (out / "ana" / "01.eaf").read_text("utf-8") == corrected
    (documents / "ben").mkdir()
    write_annotation(documents / "ben" / "01.eaf", own)
    with pytest.raises(InputError, match=r"ben/01\.eaf: .*ana/01\.eaf has the same name"):
        copy_tiers(documents, texts)
    for name in ("ana", "ben"):
        assert [tier.name for tier in read_annotations(documents / name / "01.eaf")[0].tiers] == ["tx"]
