"""Scripts for GCompris, KTuberling and Artikulate, and the reader of Qt's files, on miniature layouts.

Expected values: written by hand; the Qt files are put together here byte by byte as Qt's sources describe the formats.
"""

import json
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import soundfile

from data_scripts import prepare_artikulate, prepare_gcompris, prepare_ktuberling
from data_scripts.qt_files import resources, translations
from speechxfer.data import read_manifest
from speechxfer.errors import InputError

MAGIC = bytes.fromhex("3cb86418caef9c95cd211cbf60a1bddd")


def ogg(path: Path, seconds: float = 1.0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(len(path.name)).uniform(-0.1, 0.1, int(16000 * seconds))
    soundfile.write(path, noise, 16000, format="OGG", subtype="VORBIS")


def rcc(files: Mapping[str, bytes], *, compressed: bool = False, flag: int = 1) -> bytes:
    """A resource file of version 1 with all files in one folder, ``/data``."""
    names, contents, offsets = b"", b"", {}
    for name in ("data", *files):
        offsets[name] = len(names)
        names += struct.pack(">HI", len(name), 0) + name.encode("utf-16-be")
    tree = struct.pack(">IHII", 0, 2, 1, 1)  # the root: a folder with one child, which is node 1
    tree += struct.pack(">IHII", offsets["data"], 2, len(files), 2)
    for name, content in files.items():
        packed = struct.pack(">I", len(content)) + zlib.compress(content) if compressed else content
        tree += struct.pack(">IHHHI", offsets[name], flag if compressed else 0, 0, 0, len(contents))
        contents += struct.pack(">I", len(packed)) + packed
    start = 20
    places = (1, start, start + len(tree), start + len(tree) + len(contents))
    return b"qres" + struct.pack(">4I", *places) + tree + contents + names


def qm(texts: Mapping[str, str]) -> bytes:
    """A translation file: a section of the language, then the messages."""
    section = b""
    for source, translation in texts.items():
        written = translation.encode("utf-16-be")
        section += b"\x03" + struct.pack(">I", len(written)) + written
        for tag, value in ((6, source.encode()), (7, b"board"), (8, b"")):
            section += bytes([tag]) + struct.pack(">I", len(value)) + value
        section += b"\x01"
    return MAGIC + b"\xa7" + struct.pack(">I", 2) + b"tr" + b"\x69" + struct.pack(">I", len(section)) + section


# ----------------------------------------------------------------------------------------------------------- Qt files
@pytest.mark.parametrize("compressed", [False, True])
def test_resources(tmp_path, compressed):
    path = tmp_path / "a.rcc"
    files = {"one.json": b'{"x": 1}', "zwei.qml": "ä".encode() * 500}
    path.write_bytes(rcc(files, compressed=compressed))
    assert resources(path) == {f"/data/{name}": content for name, content in files.items()}


def test_resources_that_cannot_be_read(tmp_path):
    path = tmp_path / "a.rcc"
    path.write_bytes(rcc({"one": b"1" * 100}, compressed=True, flag=4))
    with pytest.raises(InputError, match="Zstandard"):
        resources(path)
    path.write_bytes(rcc({"one": b"1" * 100})[:90])
    with pytest.raises(InputError, match="damaged"):
        resources(path)
    path.write_bytes(b"PK\3\4 and more than twenty bytes")
    with pytest.raises(InputError, match="not a Qt resource file"):
        resources(path)
    with pytest.raises(InputError, match="cannot be read"):
        resources(tmp_path / "none.rcc")


def test_translations(tmp_path):
    path = tmp_path / "a.qm"
    path.write_bytes(qm({"Albania": "Arnavutluk", "Chad": "Çad", "Peru": ""}))
    assert translations(path) == {"Albania": "Arnavutluk", "Chad": "Çad"}
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(InputError, match="damaged"):
        translations(path)
    path.write_bytes(b"# text")
    with pytest.raises(InputError, match="not a compiled Qt translation"):
        translations(path)


# ---------------------------------------------------------------------------------------------------------- GCompris
BOARD = """
    { "soundFile": "voices-$CA/$LOCALE/geography/albania.$CA",
      "toolTipText": qsTr("Albania"), "x": "0.3" },
    { "soundFile": "voices-$CA/$LOCALE/geography/chad.$CA", "toolTipText": qsTr("Chad") }
"""


def gcompris(folder: Path) -> tuple[Path, Path]:
    program, voices = folder / "debian" / prepare_gcompris.PROGRAM, folder / "voices"
    (program / "rcc").mkdir(parents=True)
    (program / "translations").mkdir()
    words = {
        "content-en.json": {"apple.ogg": "apple", "red.ogg": "red", "U0031.ogg": "one"},
        "content-de.json": {"apple.ogg": "Apfel", "U0031.ogg": "eins"},
        "content-ar.json": {"red.ogg": "أحمر"},
        "words.json": {},
    }
    lists = {name: json.dumps(content).encode() for name, content in words.items()}
    (program / "rcc" / "lang.rcc").write_bytes(rcc(lists, compressed=True))
    (program / "rcc" / "geography.rcc").write_bytes(rcc({"board1_0.qml": BOARD.encode()}))
    (program / "translations" / "gcompris_tr.qm").write_bytes(qm({"Albania": "Arnavutluk"}))
    for name in (
        "en/words/apple", "en/words/pear", "en/colors/red", "en/geography/chad", "en/alphabet/U0031",
        "de/words/apple", "de/alphabet/U0063U0068", "de/alphabet/10", "de/alphabet/README",
        "tr/alphabet/U0061", "tr/geography/albania", "tr/geography/chad",
        "el/alphabet/U03B1", "ar/alphabet/U0628", "ar/colors/red", "so/alphabet/U0061", "zh_CN/alphabet/5",
    ):  # fmt: skip
        ogg(voices / f"{name}.ogg")
    for code in ("de", "tr", "el", "so", "zh_CN"):
        (voices / code / "colors").mkdir()
    ogg(voices / "de" / "alphabet" / "U0061.ogg", seconds=7)
    (voices / "de" / "words" / "pear.ogg").symlink_to("apple.ogg")
    (voices / "nn").symlink_to("de", target_is_directory=True)
    return voices, folder / "debian"


def test_gcompris(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(prepare_gcompris, "DEV_RECORDINGS", 1)
    monkeypatch.setattr(prepare_gcompris, "RECORDINGS", 12)
    paths = prepare_gcompris.prepare(*gcompris(tmp_path), tmp_path / "out")
    found = {name: {u.id: (u.lang, u.text) for u in read_manifest(path)} for name, path in paths.items()}
    assert found["unseen"] == {"gcompris-el-alphabet-U03B1": ("el", "α")}
    assert found["development"] == {
        "gcompris-tr-alphabet-U0061": ("tr", "a"),
        "gcompris-tr-geography-albania": ("tr", "Arnavutluk"),
    }
    assert found["train"] | found["dev"] == {
        "gcompris-en-words-apple": ("en-us", "apple"),
        "gcompris-en-colors-red": ("en-us", "red"),
        "gcompris-en-geography-chad": ("en-us", "Chad"),
        "gcompris-en-alphabet-U0031": ("en-us", "one"),
        "gcompris-de-words-apple": ("de", "Apfel"),
        "gcompris-de-alphabet-U0063U0068": ("de", "ch"),
        "gcompris-de-alphabet-10": ("de", "10"),
        "gcompris-ar-alphabet-U0628": ("ar", "ب"),
        "gcompris-zh_CN-alphabet-5": ("cmn", "5"),
    }
    assert sorted(lang for lang, _ in found["dev"].values()) == ["ar", "cmn", "de", "en-us"]
    out = capsys.readouterr().out
    for part in ("3 (no text)", "1 (a link)", "1 (written without vowels)", "1 (espeak-ng does not read it)",
                 "1 (longer than 6 s)"):  # fmt: skip
        assert part in out


def test_gcompris_bad_input(tmp_path):
    voices, debian = gcompris(tmp_path)
    with pytest.raises(InputError, match=r"gcompris: recordings: found 12, expected 9,178"):
        prepare_gcompris.prepare(voices, debian, tmp_path / "out")
    with pytest.raises(InputError, match="no <locale>/colors"):
        prepare_gcompris.prepare(debian, debian, tmp_path / "out")
    (debian / prepare_gcompris.PROGRAM / "rcc" / "geography.rcc").write_bytes(rcc({"board1_0.qml": b"{}"}))
    with pytest.raises(InputError, match="no word lists or no places"):
        prepare_gcompris.prepare(voices, debian, tmp_path / "out")


# -------------------------------------------------------------------------------------------------------- KTuberling
def test_ktuberling_takes_its_words_from_gcompris(tmp_path, monkeypatch, capsys):
    _, debian = gcompris(tmp_path)
    words = {"content-en.json": {"camel.ogg": "camel", "nose.ogg": "nose"}, "content-nn.json": {"nose.ogg": "nase"}}
    words |= {"content-el.json": {"nose.ogg": "μύτη"}, "content-gl.json": {"nose.ogg": "nariz"}}
    lists = {name: json.dumps(content).encode() for name, content in words.items()}
    (debian / prepare_gcompris.PROGRAM / "rcc" / "lang.rcc").write_bytes(rcc(lists))
    themes = {
        "en": [("egypt_camel", "en/egypt_camel.ogg"), ("nose", "en/nose.ogg"), ("eye", "en/eye.ogg")],
        "nn": [("Nose", "nn/nase.ogg"), ("camel", "nn/none.ogg")],
        "el": [("nose", "el/nose.ogg")],
        "gl": [("nose", "gl/nose.ogg")],
    }
    sounds = tmp_path / "ktuberling" / "sounds"
    for code, rows in themes.items():
        for _, file in rows:
            if "none" not in file:
                ogg(sounds / file.removeprefix("en/"))
        items = "".join(f'<sound name="{name}" file="{file}" />' for name, file in rows)
        theme = sounds / ("" if code == "en" else code) / f"{code}.soundtheme"
        theme.write_text(f'<language code="{code}">{items}</language>', encoding="utf-8")
    monkeypatch.setattr(prepare_ktuberling, "RECORDINGS", 4)
    paths = prepare_ktuberling.prepare(tmp_path / "ktuberling", debian, tmp_path / "out")
    assert {u.id: (u.lang, u.text) for u in read_manifest(paths["train"])} == {
        "ktuberling-en-egypt_camel": ("en-us", "camel"),
        "ktuberling-en-nose": ("en-us", "nose"),
        "ktuberling-nn-Nose": ("nb", "nase"),
    }
    assert [u.text for u in read_manifest(paths["unseen"])] == ["μύτη"]
    out = capsys.readouterr().out
    for part in ("1 (no file)", "1 (GCompris has no word for it)", "1 (espeak-ng does not read it)"):
        assert part in out
    (sounds / "nn" / "nn.soundtheme").write_text("<language", encoding="utf-8")
    with pytest.raises(InputError, match=r"nn\.soundtheme: not readable XML"):
        prepare_ktuberling.prepare(tmp_path / "ktuberling", debian, tmp_path / "out")
    with pytest.raises(InputError, match=r"no \*\.soundtheme"):
        prepare_ktuberling.prepare(debian, debian, tmp_path / "out")


# -------------------------------------------------------------------------------------------------------- Artikulate
def artikulate(folder: Path) -> Path:
    phrases = {
        "pl": [("zero", "{a}.ogg", "word"), ("dzień  dobry", "{b}.ogg", "expression"), ("7", "{c}.ogg", "word")],
        "gr": [("μηδέν", "{a}.ogg", "word")],
        "ba": [("শূন্য", "{a}.ogg", "word"), ("এক", "{a}.ogg", "word"), ("দুই", "{none}.ogg", "word")],
        "fr": [("zéro", "{a}.ogg", "word"), ("Je ne sais pas.", "{b}.ogg", "sentence")],
    }
    for code, rows in phrases.items():
        course = folder / "courses" / "basic" / code
        items = "".join(
            f"<phrase><text>{t}</text><soundFile>{f}</soundFile><type>{k}</type></phrase>" for t, f, k in rows
        )
        for _, file, _ in rows:
            if "none" not in file:
                ogg(course / file)
        (course / f"{code}.xml").write_text(f"<course><units><unit>{items}</unit></units></course>", encoding="utf-8")
    return folder


def test_artikulate(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(prepare_artikulate, "RECORDINGS", 5)
    monkeypatch.setattr(prepare_artikulate, "DEV_RECORDINGS", 1)
    monkeypatch.setattr(prepare_artikulate, "_split", lambda utterances: {"all": list(utterances)})
    paths = prepare_artikulate.prepare(artikulate(tmp_path), tmp_path / "out")
    assert {u.id: (u.lang, u.text) for u in read_manifest(paths["all"])} == {
        "artikulate-pl-a": ("pl", "zero"),
        "artikulate-pl-b": ("pl", "dzień dobry"),
        "artikulate-el-a": ("el", "μηδέν"),
        "artikulate-bn-a": ("bn", "শূন্য"),
        "artikulate-fr-a": ("fr", "zéro"),
    }
    out = capsys.readouterr().out
    for part in ("1 (no recording)", "1 (its recording was named before)", "1 (digits, brackets or alternatives)",
                 "1 (French, and not a word)"):  # fmt: skip
        assert part in out


def test_artikulate_puts_greek_into_unseen(tmp_path, monkeypatch):
    monkeypatch.setattr(prepare_artikulate, "RECORDINGS", 5)
    monkeypatch.setattr(prepare_artikulate, "DEV_RECORDINGS", 1)
    paths = prepare_artikulate.prepare(artikulate(tmp_path), tmp_path / "out")
    found = {name: sorted(u.lang for u in read_manifest(path)) for name, path in paths.items()}
    assert found == {"unseen": ["el"], "dev": ["bn", "fr", "pl"], "train": ["pl"]}


def test_artikulate_excludes_texts_of_implausible_length(tmp_path, monkeypatch, capsys):
    folder = artikulate(tmp_path)
    ogg(folder / "courses" / "basic" / "pl" / "{a}.ogg", seconds=8)
    monkeypatch.setattr(prepare_artikulate, "RECORDINGS", 4)
    monkeypatch.setattr(prepare_artikulate, "_split", lambda utterances: {"all": list(utterances)})
    prepare_artikulate.prepare(folder, tmp_path / "out")
    assert "1 (too long, or too many or too few letters for its length)" in capsys.readouterr().out


def test_artikulate_bad_course(tmp_path):
    folder = artikulate(tmp_path)
    (folder / "courses" / "basic" / "pl" / "pl.xml").write_text("<course>", encoding="utf-8")
    with pytest.raises(InputError, match=r"pl\.xml: not a readable course"):
        prepare_artikulate.prepare(folder, tmp_path / "out")
