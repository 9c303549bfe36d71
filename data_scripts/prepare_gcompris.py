"""Manifests for the voices of GCompris: letters, numbers, words, colours and places in 38 languages, recorded by volunteers.

Story: since 2003 translators of the learning program GCompris have recorded what it says, mostly one person a
language, at home.
Address: https://github.com/gcompris/GCompris-voices; the texts are those of the program's version 3.1, in Debian 12's
package ``gcompris-qt-data`` (``apt-get download gcompris-qt-data; dpkg-deb -x gcompris-qt-data_*.deb DEBIAN_DIR``).
Licence: by file, as the corpus's ``LICENSE`` says: public domain, CC BY-SA, GPL; the texts are GPL 3 and AGPL 3.
Layout: ``<locale>/{alphabet,colors,geography,words}/<name>.ogg``. A letter's name is its code point (``U0061``).
Words, colours and numbers are in ``content-<locale>.json`` inside ``rcc/lang.rcc``. Places: ``rcc/geography.rcc``
says which text belongs to a recording, ``translations/gcompris_<locale>.qm`` what it is in the language. Not read:
``intro`` and ``misc``, whose texts are not in the package, and links to other recordings.

Written: ``unseen`` = Greek; ``development`` = Basque, Kannada and Turkish, whose synthetic speech is in no training
data either (``synthesize_multilingual.UNSEEN``); ``dev`` = 8 recordings of every other language; ``train`` = the
others. Excluded and counted: recordings without text, languages that espeak-ng does not read (Asturian, Breton,
Somali) or not well enough (Thai), and texts written without vowels (Arabic and Hebrew but for their letters). Texts
are the program's; nobody has checked what was said.

    python -m data_scripts.prepare_gcompris GCompris-voices DEBIAN_DIR data/gcompris
"""

import argparse
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from data_scripts.corpus import (
    Segment,
    enforce_count,
    exit_on_bad_input,
    measure,
    one_space,
    path_argument,
    print_line,
    write_splits,
)
from data_scripts.qt_files import resources, translations
from speechxfer.data import Utterance, digest
from speechxfer.errors import InputError

UNSEEN = ("el",)
DEVELOPMENT = ("eu", "kn", "tr")
DEV_RECORDINGS = 8  # of a language
RECORDINGS = 9178
LANGUAGES = {"en": "en-us", "pt_BR": "pt-br", "zh_CN": "cmn", "zh_TW": "cmn"}  # as espeak-ng calls them, if otherwise
UNREADABLE = ("ast", "br", "so", "th")
VOWELLESS = ("ar", "he")
LONGEST_S = 6.0
PROGRAM = "usr/share/gcompris-qt"
PLACE = re.compile(r'geography/(?P<name>[^".]+)\.\$CA",\s*"toolTipText":\s*qsTr\("(?P<text>[^"]+)"\)')
CODE_POINTS = re.compile(r"(U[0-9A-F]{4})+")


def prepare(corpus_dir: Path, debian_dir: Path, out_dir: Path, *, partial: bool = False) -> dict[str, Path]:
    """Write the manifests and return them by split.

    Raises:
        InputError: the layout, the package or the counts are not the published ones.
    """
    texts = Texts(debian_dir / PROGRAM)
    locales = sorted(path.name for path in corpus_dir.iterdir() if path.is_dir() and not path.is_symlink())
    locales = [name for name in locales if (corpus_dir / name / "colors").is_dir()]
    if not locales:
        raise InputError(f"{corpus_dir}: no <locale>/colors; expected a clone of GCompris-voices: check the path")
    omitted: Counter[str] = Counter()
    segments = [s for locale in locales for s in _segments(corpus_dir / locale, texts, omitted)]
    utterances = [item.utterance for item in measure(segments, partial=True)]
    short = [utterance for utterance in utterances if utterance.duration <= LONGEST_S]
    omitted[f"longer than {LONGEST_S:g} s"] += len(utterances) - len(short)
    print_line("excluded: " + ", ".join(f"{count:,} ({reason})" for reason, count in omitted.most_common() if count))
    enforce_count("gcompris: recordings", len(short), RECORDINGS, partial=partial)
    return write_splits(out_dir, _split(short))


class Texts:
    """What the program writes, by language and the name of the recording."""

    def __init__(self, program: Path) -> None:
        self._folder = program / "translations"
        lists = resources(program / "rcc" / "lang.rcc")
        self._words = {
            Path(name).stem.removeprefix("content-"): json.loads(content)
            for name, content in lists.items()
            if Path(name).name.startswith("content-")
        }
        boards = resources(program / "rcc" / "geography.rcc")
        self._places = {
            match["name"]: match["text"]
            for name, content in sorted(boards.items())
            if name.endswith(".qml")
            for match in PLACE.finditer(content.decode("utf-8"))
        }
        if not (self._words and self._places):
            raise InputError(f"{program}: no word lists or no places in it; take gcompris-qt-data of Debian 12")

    def of(self, locale: str) -> dict[str, Mapping[str, str]]:
        """Text by recording for each folder of a language."""
        words = {name.removesuffix(".ogg"): text for name, text in self._words.get(locale, {}).items()}
        path = self._folder / f"gcompris_{locale}.qm"
        translated = translations(path) if path.is_file() else {}
        places = {name: text if locale == "en" else translated.get(text, "") for name, text in self._places.items()}
        return {"words": words, "colors": words, "alphabet": words, "geography": places}


def _segments(folder: Path, texts: Texts, omitted: Counter[str]) -> Iterator[Segment]:
    """The recordings of a language that have a text which says how it is read."""
    locale = folder.name
    for kind, written in texts.of(locale).items():
        for path in sorted(folder.glob(f"{kind}/*.ogg")):
            text = one_space(written.get(path.stem, "")) or (_symbol(path.stem) if kind == "alphabet" else "")
            if path.is_symlink():
                omitted["a link"] += 1
            elif locale in UNREADABLE:
                omitted["espeak-ng does not read it"] += 1
            elif locale in VOWELLESS and kind != "alphabet":
                omitted["written without vowels"] += 1
            elif not text:
                omitted["no text"] += 1
            else:
                yield Segment(
                    id=f"gcompris-{locale}-{kind}-{path.stem}",
                    path=path,
                    text=text,
                    where=str(path),
                    speaker=f"gcompris-{locale}",
                    lang=LANGUAGES.get(locale, locale),
                )


def _symbol(stem: str) -> str:
    """The letters that a name gives by code point, or the number that it is; "" for another name."""
    if CODE_POINTS.fullmatch(stem):
        return "".join(chr(int(code, 16)) for code in stem.split("U")[1:])
    return stem if stem.isdigit() else ""


def _split(utterances: Iterable[Utterance]) -> dict[str, list[Utterance]]:
    splits: dict[str, list[Utterance]] = {"train": [], "dev": [], "development": [], "unseen": []}
    taken: Counter[str] = Counter()
    for utterance in sorted(utterances, key=lambda utterance: digest("gcompris dev", utterance.id)):
        if utterance.lang in UNSEEN or utterance.lang in DEVELOPMENT:
            split = "unseen" if utterance.lang in UNSEEN else "development"
        else:
            taken[utterance.lang] += 1
            split = "dev" if taken[utterance.lang] <= DEV_RECORDINGS else "train"
        splits[split].append(utterance)
    return {name: sorted(members, key=lambda utterance: utterance.id) for name, members in splits.items()}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("corpus_dir", type=path_argument, help="a clone of GCompris-voices")
    parser.add_argument("debian_dir", type=path_argument, help="where gcompris-qt-data was unpacked")
    parser.add_argument("out_dir", type=path_argument, help="folder for the manifests")
    parser.add_argument("--partial", action="store_true", help="accept other counts than the published ones")
    exit_on_bad_input(lambda: prepare(**vars(parser.parse_args())))


if __name__ == "__main__":
    main()
