"""Sentences in 88 languages to be spoken: the Universal Declaration of Human Rights, clause by clause.

Story: the United Nations' text of 1948 in its translations, marked up by the project 'UDHR in XML'.
Address: https://github.com/eric-muller/udhr (earlier efele.net/udhr), folder ``data/udhr``.
Licence: the United Nations publish the texts for free distribution; the repository states none of its own.
Layout: ``udhr_<key>.xml``; root attributes ``xml:lang`` and ``n`` (the language's name); text in ``para`` elements,
namespace ``http://efele.net/udhr``. Read are the files of `VOICES`, in the folder given or in its ``data/udhr``.

Written: ``sentences.tsv`` with the columns ``id``, ``lang``, ``voice`` (of espeak-ng) and ``text``, and ``words.tsv``, the same
with `WORDS` single words per language, chosen by hash. They are texts only; ``synthesize_multilingual.py`` makes speech of
them. Excluded: Vietnamese (espeak-ng 1.52 crashes on
some sentences); Hebrew, Japanese and Thai (it guesses most vowels, spells characters, or reads letters singly). Ten Bantu
languages that espeak-ng does not know are read by its Swahili voice: their words and syllables with a related sound system.

    python -m data_scripts.prepare_udhr udhr data/udhr
"""

import re
import shlex
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path
from xml.etree import ElementTree

from data_scripts.corpus import command_line, one_space, print_line, skip
from speechxfer.data import digest
from speechxfer.errors import InputError
from speechxfer.runtime import write_atomically
from speechxfer.text import Normalizer

PARAGRAPH = "{http://efele.net/udhr}para"
FEWEST_PARAGRAPHS = 25  # Chuvash has 27, most have about 60
WORDS = 150  # single words per language
SHORTEST_WORD = 2  # letters
UNSPACED = ("CJK", "KHMER", "LAO", "MYANMAR", "THAI")  # scripts without spaces between words
LONGEST = 110  # letters of a clause; about eight seconds
SHORTEST = 8  # letters; shorter remainders of a sentence are dropped
CHARACTER_LETTERS = {"CJK": 4, "HANGUL": 3}  # how many letters' time one character of these scripts takes
CLAUSE_END = re.compile(r"(?<=[.;:!?،؛؟।۔։።፤、。；：？！])\s*")
PAUSE = re.compile(r"(?<=[,،፣，])\s*")

# key of the file: voice of espeak-ng
VOICES = {
    "afr": "af", "als": "sq", "amh": "am", "arb": "ar", "azj_latn": "az", "bel": "be", "ben": "bn", "bul": "bg",
    "cat": "ca", "ces": "cs", "chv": "cv", "cmn_hans": "cmn", "cym": "cy", "dan": "da", "deu_1996": "de",
    "ell_monotonic": "el", "eng": "en-us", "epo": "eo", "est": "et", "eus": "eu", "fin": "fi", "fra": "fr", "gla": "gd",
    "gle": "ga", "gug": "gn", "guj": "gu", "hat_popular": "ht", "hin": "hi", "hrv": "hr", "hun": "hu", "hye": "hy",
    "ido": "io", "ina": "ia", "ind": "id", "isl": "is", "ita": "it", "kal": "kl", "kan": "kn", "kat": "ka", "kaz": "kk",
    "kir": "ky", "kmr": "ku", "kor": "ko", "lat": "la", "lit": "lt", "mal": "ml", "mar": "mr", "mkd": "mk", "mlt": "mt",
    "mri": "mi", "nep": "ne", "nld": "nl", "nob": "nb", "pan": "pa", "pap": "pap", "pes_1": "fa", "pol": "pl",
    "por_BR": "pt-br", "por_PT": "pt", "ron_2006": "ro", "rus": "ru", "sin": "si", "slk": "sk", "slv": "sl", "spa": "es",
    "srp_latn": "sr", "swe": "sv", "swh": "sw", "tam": "ta", "tat": "tt", "tel": "te", "tsn": "tn", "tur": "tr",
    "uig_latn": "ug", "ukr": "uk", "urd": "ur", "uzn_latn": "uz", "yue": "yue",
    "bem": "sw", "kin": "sw", "lin": "sw", "lug": "sw", "nya_chechewa": "sw", "run": "sw", "sna": "sw", "ssw": "sw",
    "xho": "sw", "zul": "sw",
}  # fmt: skip


def prepare(corpus_dir: Path, out_dir: Path, *, partial: bool = False) -> Path:
    """Write ``sentences.tsv`` and return its path.

    Args:
        corpus_dir: the repository as cloned, or a folder with its XML files.
        out_dir: folder for the table.
        partial: accept missing files and short texts.

    Raises:
        InputError: a file of `VOICES` is missing, damaged, or shorter than the Declaration (without `partial`).
    """
    folder = corpus_dir / "data" / "udhr" if (corpus_dir / "data" / "udhr").is_dir() else corpus_dir
    rows: list[str] = []
    word_rows: list[str] = []
    languages = 0
    for key, voice in VOICES.items():
        found = _paragraphs(folder / f"udhr_{key}.xml", partial=partial)
        if found is None:
            continue
        languages += 1
        lang, paragraphs = found
        clauses = dict.fromkeys(clause for paragraph in paragraphs for clause in clauses_of(paragraph))
        rows += [f"{key}-{number:03d}\t{lang}\t{voice}\t{text}\n" for number, text in enumerate(clauses)]
        words = sample_words(key, clauses)
        word_rows += [f"{key}_word-{number:03d}\t{lang}\t{voice}\t{word}\n" for number, word in enumerate(words)]
    if not rows:
        raise InputError(f"{folder}: no text found; expected files such as udhr_swh.xml: give the repository's folder")
    path = out_dir / "sentences.tsv"
    write_atomically(path, "id\tlang\tvoice\ttext\n" + "".join(rows))
    write_atomically(out_dir / "words.tsv", "id\tlang\tvoice\ttext\n" + "".join(word_rows))
    print_line(f"{path}: {len(rows):,} clauses in {languages} languages; words.tsv: {len(word_rows):,} words")
    print_line(
        f"written to {out_dir}; next: python -m data_scripts.synthesize_multilingual {shlex.quote(str(path))} OUT_DIR"
    )
    return path


def _paragraphs(path: Path, *, partial: bool) -> tuple[str, list[str]] | None:
    """Language code and paragraphs of one file; None where it is missing and that is accepted."""
    try:
        root = ElementTree.parse(path).getroot()
    except (OSError, ElementTree.ParseError) as error:
        if partial and isinstance(error, FileNotFoundError):
            skip(path.stem, "no such file")
            return None
        raise InputError(f"{path}: cannot be read ({error}); fetch the repository again, or pass --partial") from error
    lang = root.get("{http://www.w3.org/XML/1998/namespace}lang", path.stem.removeprefix("udhr_"))
    texts = [one_space("".join(element.itertext())) for element in root.iter(PARAGRAPH)]
    if len(texts) < FEWEST_PARAGRAPHS and not partial:
        raise InputError(
            f"{path}: {len(texts)} paragraphs; expected at least {FEWEST_PARAGRAPHS}: fetch the repository again, or pass "
            "--partial"
        )
    return lang, texts


def clauses_of(paragraph: str) -> Iterator[str]:
    """Pieces of at most `LONGEST` characters: whole sentences, else clauses, else runs of words; none under `SHORTEST`."""
    for sentence in CLAUSE_END.split(paragraph):
        piece = ""
        for clause in PAUSE.split(sentence):
            for word in clause.split():
                if piece and _letters(piece) + 1 + _letters(word) > LONGEST:
                    yield piece
                    piece = ""
                piece = f"{piece} {word}" if piece else word
            if _letters(piece) > LONGEST // 2:
                yield piece
                piece = ""
        if _letters(piece) >= SHORTEST:
            yield piece


def sample_words(key: str, clauses: Iterable[str]) -> list[str]:
    """At most `WORDS` different words of the clauses in lower case, the same ones at every run; none in unspaced scripts."""
    normalizer = Normalizer()
    words = {word for clause in clauses for word in normalizer(clause).split()}
    spelt = [
        word
        for word in words
        if len(word) >= SHORTEST_WORD
        and all(unicodedata.category(letter)[0] in "LM" for letter in word)
        and not unicodedata.name(word[0], "").startswith(UNSPACED)
    ]
    return sorted(spelt, key=lambda word: digest("word", key, word))[:WORDS]


def _letters(text: str) -> int:
    """Length of a text in letters, characters that stand for syllables counted by the time they take."""
    return sum(CHARACTER_LETTERS.get(unicodedata.name(character, "").split(" ")[0], 1) for character in text)


if __name__ == "__main__":
    command_line(prepare, __doc__)
