"""Phones: reduction of IPA to one small inventory, and the phone that a letter most likely stands for.

`split_phones` turns the IPA of a synthesiser or dictionary into symbols; `find_phone` looks a letter up in letter tables, which
``data_scripts/letter_phones.py`` estimates. This is no pronunciation dictionary: one phone a letter is an initialisation for
training, not a transcription.

Sources: the IPA chart (2020); ASCII letters in espeak-ng's output follow Kirshenbaum's ASCII-IPA; articulatory distance: panphon
(Mortensen et al., 2016); romanisation of scripts that no table covers: the package anyascii (both in the extra ``letters``);
languages with one letter table: Unicode CLDR language matching, by the package langcodes.
"""

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import Any

from speechxfer.errors import InputError
from speechxfer.runtime import import_extra

LetterTable = Mapping[str, str]  # letter -> phone, of one language
AUTO_PHONES = "auto"  # in place of listed phones: those that recordings seem to have
IPA_LETTERS = frozenset(
    "abcdefhijklmnopqrstuvwxyzæçðøħŋœɐɑɒɓɔɕɖɗɘəɛɜɞɟɠɡɢɣɤɥɦɧɨɪɫɬɭɮɯɰɱɲɳɴɵɶɸɹɺɻɽɾʀʁʂʃʄʈʉʊʋʌʍʎʏʐʑʒʔʕʘʙʛʜʝʟʡʢǀǁǂǃβθχⱱ"
)
IPA_VOWELS = frozenset("iyɨʉɯuɪʏʊeøɘɵɤoəɛœɜɞʌɔæɐaɶɑɒ")
EQUIVALENT = {  # look-alikes and other notations
    "g": "ɡ", "ε": "ɛ", "ɚ": "ə", "ɝ": "ɜ", "ᵻ": "ɨ", "ɫ": "l", "ᵐ": "m", "ⁿ": "n", "ᵑ": "ŋ",
    "S": "ʃ", "Z": "ʒ", "N": "ŋ", "?": "ʔ",
}  # fmt: skip
ROMAN_PAIRS = {"sh": "ʃ", "zh": "ʒ", "ch": "ʃ", "ng": "ŋ"}  # of romanisations; ch, like č, gets one phone
MAX_DISTANCE = 10  # between language codes (Unicode CLDR) that share a letter table, such as Bosnian and Croatian


def split_phones(ipa: str) -> list[str]:
    """The phones of an IPA transcription, one base letter each.

    Stress, length, ties, tones and all diacritics are removed, so a long or nasal vowel and an aspirated or palatalised
    consonant become their base letter; affricates and diphthongs become two phones; prenasalisation becomes a separate nasal.

    Raises:
        InputError: a letter that is not of the IPA.
    """
    decomposed = unicodedata.normalize("NFD", ipa).replace("c\u0327", "ç")  # a letter of its own
    phones = [EQUIVALENT.get(character, character) for character in decomposed]
    phones = [phone for phone in phones if unicodedata.category(phone) in ("Ll", "Lu", "Lt", "Lo")]  # Lm: modifiers
    unknown = [phone for phone in phones if phone not in IPA_LETTERS]
    if unknown:
        raise InputError(f"{ipa!r}: {unknown[0]!r} is not a letter of the IPA; correct the transcription")
    return phones


def merge_letter_tables(tables: Iterable[LetterTable]) -> dict[str, str]:
    """The phone of each letter in most languages; each language has one vote, ties go to the first phone by code point."""
    votes: dict[str, Counter[str]] = defaultdict(Counter)
    for table in tables:
        for letter, phone in table.items():
            votes[letter][phone] += 1
    return {letter: max(sorted(phones), key=phones.__getitem__) for letter, phones in sorted(votes.items())}


def select_letter_tables(letters: Mapping[str, LetterTable], language: str) -> tuple[LetterTable, ...]:
    """The table of `language`, if there is one (see `match_language`), then the merged table of all languages."""
    code = match_language(letters, language)
    return (*([letters[code]] if code else []), merge_letter_tables(letters.values()))


def match_language(letters: Mapping[str, LetterTable], language: str) -> str:
    """The code in `letters` that means `language`, in any of its notations (sw, swa, swh, sw-KE, sw_KE); "" if there is none.

    Members of a macrolanguage match, and so do closely related languages.
    """
    from langcodes import closest_match, tag_is_valid

    if language in letters:
        return language
    if not tag_is_valid(language):
        return ""
    code, distance = closest_match(language, list(filter(tag_is_valid, letters)), max_distance=MAX_DISTANCE)
    return code if distance <= MAX_DISTANCE else ""


def describe_letter_tables(letters: Mapping[str, LetterTable], language: str) -> str:
    """One line: which letter table initialises the letters."""
    code = match_language(letters, language)
    if code:
        return f"letters are initialised with the source's letter table of {code}"
    reason = f"the source has none of {language}" if language else "no language was named"
    return f"letters are initialised with the merged letter table of all languages, as {reason}"


def find_phone(letter: str, tables: Sequence[LetterTable], inventory: Sequence[str]) -> str:
    """The phone of `inventory` that a letter most likely stands for, or "" if none is known.

    In this order: the first of the tables that has the letter (its own language's comes first); the letter as IPA (and
    look-alikes, such as Greek epsilon for open e); if the letter is IPA, the phone nearest in articulation.

    Raises:
        InputError: the nearest phone is needed, and panphon (extra ``letters``) is not installed.
    """
    for table in tables:
        if table.get(letter) in inventory:
            return table[letter]
    phone = EQUIVALENT.get(letter, letter)
    if phone in inventory:
        return phone
    return nearest_phone(phone, tuple(inventory)) if phone in IPA_LETTERS else ""


def find_romanised_phone(letter: str, tables: Sequence[LetterTable], inventory: Sequence[str]) -> str:
    """The phone that `find_phone` gives for the first letter of the letter's romanisation; "" if it has none.

    A syllabic sign gives its consonant; an apostrophe, as for Hebrew alef, is a glottal stop. Georgian შ (sh) is ʃ, Thai ข (kh)
    is k, Kannada ಕ (k) is k. ASCII letters are not romanised.

    Raises:
        InputError: anyascii (extra ``letters``) is not installed.
    """
    roman = ""
    if not letter.isascii():
        anyascii = import_extra("anyascii", "letters", f"{letter!r}: romanising this script").anyascii
        roman = anyascii(letter).lower()
    if roman[:2] in ROMAN_PAIRS:
        roman = ROMAN_PAIRS[roman[:2]]
    first = roman.replace("'", "ʔ")[:1]
    return find_phone(first, tables, inventory) if first.isalpha() else ""


@cache
def nearest_phone(phone: str, inventory: tuple[str, ...]) -> str:
    """The member of `inventory` with the smallest weighted feature edit distance; "" if panphon does not know the phone."""
    module = import_extra("panphon.distance", "letters", f"{phone!r}: the nearest phone")
    distance = _instance(module.Distance)
    if not distance.fm.seg_known(phone):  # it would be equally far from all phones
        return ""
    return min(sorted(inventory), key=lambda other: distance.weighted_feature_edit_distance(phone, other))


@cache
def _instance(distance: Callable[[], Any]) -> Any:
    """The one instance of panphon's distance, which reads its tables for a second."""
    return distance()
