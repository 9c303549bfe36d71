"""Manifests for the speech in Debian's packages: 22 languages, 7 hours, recorded for free programs.

Story: recorded speech of four free programs, which also have its text: Asterisk's telephone prompts (English, Italian,
Russian, Spanish; one professional each; 8 kHz), the two fish and the rest of Fish Fillets NG (Czech, Dutch; acted), the
names of Tux Paint's stamps (Belarusian, Bulgarian, Catalan, Danish, Dutch, French, Greek, Romanian, Russian, Spanish), and
KLettres, which teaches letters and syllables (17 languages, one person each, at home).
Packages: asterisk-core-sounds-{en,es,it,ru}{,-wav}, fillets-ng-data, fillets-ng-data-{cs,nl}, tuxpaint-stamps-default,
klettres-data.
Licences: CC BY-SA 3.0 (Asterisk; Russian CC BY 3.0), GPL 2 (Fish Fillets, Tux Paint, KLettres).
Asterisk's French prompts are not read: French sentences are test material elsewhere, so they are never trained on.
Of KLettres, Hebrew and Low German are not used: espeak-ng reads the one without its vowels and does not know the other.
Layout, below the folder into which the packages were unpacked (``dpkg-deb -x PACKAGE.deb DIR``; ``/`` where they are
installed): ``usr/share/asterisk/sounds/xx_*/**.wav`` with
``usr/share/doc/asterisk-core-sounds-xx/core-sounds-xx.txt.gz``; ``usr/share/games/fillets-ng/sound/LEVEL/xx/ID.ogg``
with ``script/LEVEL/dialogs_xx.lua``; ``usr/share/tuxpaint/stamps/**/NAME_desc_xx.ogg`` with ``NAME.txt``;
``usr/share/klettres/xx/sounds.xml``, which names files.

Written: ``unseen`` = Greek, whole, as a language without training speech; ``dev`` = 20 utterances of
every program and language, 3 of a language of KLettres; ``train`` = the others. Excluded and counted: recordings without
text or with another recording's audio, repetitions by the same speaker, texts with digits, signs or remarks in brackets, and
texts that are too long or too short for the duration of their recording. Texts may still differ from
what was said; nobody has checked them.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from xml.etree import ElementTree

from data_scripts.corpus import (
    Segment,
    command_line,
    enforce_count,
    measure,
    one_space,
    print_line,
    read_lines,
    write_splits,
)
from speechxfer.data import Utterance, digest
from speechxfer.errors import InputError

UNSEEN = "el"
DEV_UTTERANCES = 20  # of a program and language
DEV_SYLLABLES = 3  # of a language of KLettres
UTTERANCES = 12_136  # of the packages of Debian 12
FOLDERS = {
    "asterisk": "asterisk/sounds",
    "fillets": "games/fillets-ng",
    "tuxpaint": "tuxpaint/stamps",
    "klettres": "klettres",
}
VOICES = {"en": "en_US_f_Allison", "es": "es_MX_f_Allison", "it": "it_IT_m_Carlo", "ru": "ru_RU_f_IvrvoiceRU"}  # fmt: skip
LANGUAGES = {  # as espeak-ng calls them, where that is another name
    "asterisk": {"en": "en-us", "es": "es-419"},
    "klettres": {"en": "en-us", "en_GB": "en-gb", "pt_BR": "pt-br"},
}
UNREADABLE = ("he", "nds")
FISH = ("cs", "nl")
NOT_READABLE = re.compile(r"[\d\[\](){}<>$%#*@&=+/_|~^°€£§]")
LETTERS_PER_S = (4.0, 22.0)
SILENCE_LETTERS = {"klettres": 12}  # allowance for silence around the speech, in letters at the slow rate
LONGEST_S = 30.0
COPIES = {  # the recording of another stamp, which is there too
    "tuxpaint-el-animals-birds-silver-gull",
    "tuxpaint-el-animals-marsupials-kangaroo",
    "tuxpaint-el-food-nuts-walnut",
    "tuxpaint-el-seasonal-easter-chick-in-egg",
}
LINE = re.compile(r'dialogId\("(?P<id>[^"]+)", "(?P<who>[^"]*)".*\)\s+dialogStr\("(?P<text>(?:[^"\\]|\\.)*)"\)')


def prepare(corpus_dir: Path, out_dir: Path, *, partial: bool = False) -> dict[str, Path]:
    """Write the manifests and return them by split.

    Raises:
        InputError: a package is missing, a table cannot be read, or the counts differ (without `partial`).
    """
    share = corpus_dir / "usr" / "share"
    readers = {"asterisk": _asterisk, "fillets": _fillets, "tuxpaint": _tuxpaint, "klettres": _klettres}
    omitted: Counter[str] = Counter()
    segments: list[Segment] = []
    for name, read in readers.items():
        found = [_usable(segment, omitted) for segment in read(share)] if (share / FOLDERS[name]).is_dir() else []
        if not found:
            raise InputError(
                f"{share / FOLDERS[name]}: no recordings; expected {name}'s packages unpacked there: see --help"
            )
        segments += [segment for segment in found if segment is not None]
    segments = _without_repetitions(segments, omitted)
    utterances = [item.utterance for item in measure(segments)]
    possible = [utterance for utterance in utterances if _has_plausible_length(utterance)]
    implausible = f"longer than {LONGEST_S:g} s, or too many or too few letters for its length"
    omitted[implausible] += len(utterances) - len(possible)
    print_line("excluded: " + ", ".join(f"{count:,} ({reason})" for reason, count in omitted.most_common() if count))
    enforce_count("utterances", len(possible), UTTERANCES, partial=partial)
    return write_splits(out_dir, _split(possible))


def _usable(segment: Segment, omitted: Counter[str]) -> Segment | None:
    """The segment if its text can be read as written; else None, and it is counted."""
    if not segment.text or segment.id in COPIES:
        omitted["no text of their own"] += 1
    elif NOT_READABLE.search(segment.text):
        omitted["digits, signs or remarks"] += 1
    else:
        return segment
    return None


def _without_repetitions(segments: Iterable[Segment], omitted: Counter[str]) -> list[Segment]:
    """The first recording of each text by a speaker; files of equal bytes count as repetitions too."""
    kept: list[Segment] = []
    seen: set[str] = set()
    for segment in segments:
        marks = {hashlib.sha256(segment.path.read_bytes()).hexdigest(), digest(segment.speaker, segment.text)}
        if marks & seen:
            omitted["said by the same speaker before"] += 1
        else:
            kept.append(segment)
        seen |= marks
    return kept


def _has_plausible_length(utterance: Utterance) -> bool:
    low, high = LETTERS_PER_S
    letters = sum(character.isalpha() for character in utterance.text)
    silence = SILENCE_LETTERS.get(_program(utterance), 4)
    plausible = utterance.duration * low <= letters + silence and letters <= utterance.duration * high + 2
    return plausible and utterance.duration <= LONGEST_S


def _split(utterances: Iterable[Utterance]) -> dict[str, list[Utterance]]:
    splits: dict[str, list[Utterance]] = {"train": [], "dev": [], "unseen": []}
    taken: Counter[tuple[str, str]] = Counter()
    for utterance in sorted(utterances, key=lambda u: digest("debian dev", u.id)):
        group = (_program(utterance), utterance.lang)
        taken[group] += 1
        wanted = DEV_SYLLABLES if group[0] == "klettres" else DEV_UTTERANCES
        split = "unseen" if utterance.lang == UNSEEN else "dev" if taken[group] <= wanted else "train"
        splits[split].append(utterance)
    return {name: sorted(members, key=lambda u: u.id) for name, members in splits.items()}


def _program(utterance: Utterance) -> str:
    return utterance.id.partition("-")[0]


# ------------------------------------------------------------------------------------------------------------ programs
def _asterisk(share: Path) -> Iterator[Segment]:
    """``name: text`` a line; names are paths below the voice's folder."""
    for lang, voice in VOICES.items():
        table = share / "doc" / f"asterisk-core-sounds-{lang}" / f"core-sounds-{lang}.txt.gz"
        texts = {}
        for line in read_lines(table):
            name, colon, text = line.partition(":")
            if colon and not line.startswith(";"):
                texts[name.strip()] = one_space(text)
        folder = share / FOLDERS["asterisk"] / voice
        for path in sorted(folder.rglob("*.wav")):
            name = path.relative_to(folder).with_suffix("").as_posix()
            yield _segment("asterisk", lang, name, path, texts.get(name, ""), table, f"asterisk-{voice}")


def _fillets(share: Path) -> Iterator[Segment]:
    """``dialogId("id", "who", ...)`` and ``dialogStr("text")`` by turns, one file a level and language."""
    base = share / FOLDERS["fillets"]
    for lang in FISH:
        for folder in sorted((base / "sound").glob(f"*/{lang}")):
            level = folder.parent.name
            table = base / "script" / level / f"dialogs_{lang}.lua"
            lines = (
                {match["id"]: match for match in LINE.finditer("\n".join(read_lines(table)))} if table.exists() else {}
            )
            for path in sorted(folder.glob("*.ogg")):
                match = lines.get(path.stem)
                text = one_space(match["text"].replace("\\n", " ").replace("\\", "")) if match else ""
                who = match["who"] if match else ""
                yield _segment("fillets", lang, f"{level}-{path.stem}", path, text, table, f"fillets-{lang}-{who}")


def _tuxpaint(share: Path) -> Iterator[Segment]:
    """English on the first line, then ``xx.utf8=text``; one file a stamp."""
    base = share / FOLDERS["tuxpaint"]
    texts: dict[Path, dict[str, str]] = {}
    for path in sorted(base.rglob("*_desc_*.ogg")):
        stem, _, lang = path.stem.partition("_desc_")
        table = path.with_name(f"{stem}.txt")
        if table not in texts:
            rows = (line.partition(".utf8=") for line in read_lines(table)[1:]) if table.exists() else ()
            texts[table] = {code: one_space(text) for code, _, text in rows}
        name = path.relative_to(base).with_name(stem).as_posix()
        yield _segment("tuxpaint", lang, name, path, texts[table].get(lang, ""), table, f"tuxpaint-{lang}")


def _klettres(share: Path) -> Iterator[Segment]:
    """``<sound name="text" file="xx/.../NAME.ogg"/>``; some files that are named are not there."""
    base = share / FOLDERS["klettres"]
    for table in sorted(base.glob("*/sounds.xml")):
        lang = table.parent.name
        if lang in UNREADABLE:
            continue
        try:
            sounds = ElementTree.parse(table).iter("sound")
        except (OSError, ElementTree.ParseError) as error:
            raise InputError(f"{table}: not readable XML ({error}); expected klettres-data's own file") from error
        for sound in sounds:
            path = base / sound.get("file", "")
            if path.is_file():
                name = path.relative_to(base / lang).with_suffix("").as_posix()
                yield _segment(
                    "klettres", lang, name, path, one_space(sound.get("name", "")), table, f"klettres-{lang}"
                )


def _segment(program: str, lang: str, name: str, path: Path, text: str, table: Path, speaker: str) -> Segment:
    return Segment(
        id=f"{program}-{lang}-{name.replace('/', '-')}",
        path=path,
        text=text,
        where=str(table),
        speaker=speaker,
        lang=LANGUAGES.get(program, {}).get(lang, lang),
    )


if __name__ == "__main__":
    command_line(prepare, __doc__)
