"""Manifests for KTuberling: nouns such as "nose" and "camel" in 20 languages, recorded by KDE's translators, 12 minutes.

Story: the potato-man game KTuberling has named what a child places since 2003; each language has one or two speakers.
Address: https://github.com/KDE/ktuberling; its repository has no texts of what is said, only English names, so
the words are those that GCompris has for the same names (see ``prepare_gcompris.py``).
Licence: GPL 2 or later (``sounds/*/copyright.info`` and ``README``).
Layout: ``sounds/<language>/<language>.soundtheme`` (English: ``sounds/en.soundtheme``), XML with
``<sound name="egypt_camel" file="<language>/camel.ogg"/>``; files of English lie in ``sounds`` itself. Ogg Vorbis or
Opus.

Written: ``unseen`` = Greek; ``development`` = Basque; ``train`` = the others. Excluded and counted: names that GCompris has
no word for, names without a file, and languages that espeak-ng does not read. A speaker may have said another word than
GCompris writes: run ``drop_mismatches.py``.

    python -m data_scripts.prepare_ktuberling ktuberling DEBIAN_DIR data/ktuberling
"""

import argparse
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from xml.etree import ElementTree

from data_scripts.corpus import (
    Segment,
    enforce_count,
    exit_on_bad_input,
    measure,
    path_argument,
    print_line,
    write_splits,
)
from data_scripts.prepare_gcompris import DEVELOPMENT, LANGUAGES, LONGEST_S, PROGRAM, UNSEEN, Texts
from speechxfer.data import Utterance
from speechxfer.errors import InputError

RECORDINGS = 702
UNREADABLE = ("gl", "nds", "wa")
SPELT_AS = {"nn": "nb"}  # espeak-ng's voice for a language that it does not have
SCENE = re.compile(r"^(egypt|moon|pizzeria|tv|xmas|robot_workshop|butterflies)_")


def prepare(corpus_dir: Path, debian_dir: Path, out_dir: Path, *, partial: bool = False) -> dict[str, Path]:
    """Write the manifests and return them by split.

    Raises:
        InputError: the layout, the package or the counts are not the published ones.
    """
    texts = Texts(debian_dir / PROGRAM)
    sounds = corpus_dir / "sounds"
    themes = sorted(sounds.rglob("*.soundtheme"))
    if not themes:
        raise InputError(f"{sounds}: no *.soundtheme; expected a clone of ktuberling: check the path")
    omitted: Counter[str] = Counter()
    segments = [segment for theme in themes for segment in _segments(sounds, theme, texts, omitted)]
    utterances = [u.utterance for u in measure(segments, partial=partial) if u.utterance.duration <= LONGEST_S]
    omitted[f"longer than {LONGEST_S:g} s"] += len(segments) - len(utterances)
    print_line("excluded: " + ", ".join(f"{count:,} ({reason})" for reason, count in omitted.most_common() if count))
    enforce_count("ktuberling: recordings", len(utterances), RECORDINGS, partial=partial)
    return write_splits(out_dir, {name: members for name, members in _split(utterances).items() if members})


def _segments(sounds: Path, theme: Path, texts: Texts, omitted: Counter[str]) -> Iterator[Segment]:
    """The nouns of a language that have a word and a file; a file that two names share is taken once."""
    try:
        root = ElementTree.parse(theme).getroot()
    except ElementTree.ParseError as error:
        raise InputError(f"{theme}: not readable XML ({error}); expected ktuberling's own file") from error
    locale = root.get("code", "")
    words = texts.of(locale)["words"]
    used = set()
    for sound in root.iter("sound"):
        name, file = sound.get("name", ""), sound.get("file", "")
        path = sounds / (file.removeprefix("en/") if locale == "en" else file)
        text = words.get(SCENE.sub("", name.lower()), "")
        if not path.is_file():
            omitted["no file"] += 1
        elif locale in UNREADABLE:
            omitted["espeak-ng does not read it"] += 1
        elif not text:
            omitted["GCompris has no word for it"] += 1
        elif path not in used:
            used.add(path)
            lang = SPELT_AS.get(locale, LANGUAGES.get(locale, locale))
            identifier = f"ktuberling-{locale}-{name}"
            yield Segment(identifier, path, text, str(theme), speaker=f"ktuberling-{locale}", lang=lang)


def _split(utterances: Iterable[Utterance]) -> dict[str, list[Utterance]]:
    splits: dict[str, list[Utterance]] = {"train": [], "development": [], "unseen": []}
    for utterance in sorted(utterances, key=lambda utterance: utterance.id):
        split = "unseen" if utterance.lang in UNSEEN else "development" if utterance.lang in DEVELOPMENT else "train"
        splits[split].append(utterance)
    return splits


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("corpus_dir", type=path_argument, help="a clone of ktuberling")
    parser.add_argument("debian_dir", type=path_argument, help="where gcompris-qt-data was unpacked")
    parser.add_argument("out_dir", type=path_argument, help="folder for the manifests")
    parser.add_argument("--partial", action="store_true", help="accept other counts than the published ones")
    exit_on_bad_input(lambda: prepare(**vars(parser.parse_args())))


if __name__ == "__main__":
    main()
