"""Phones: reduction of IPA to one small inventory, and the phone that a letter most likely stands for.

`split_phones` turns the IPA of a synthesiser or dictionary into symbols; `estimate_letter_phones` estimates a letter table from
spelt and transcribed words; `find_phone` looks a letter up. This is no pronunciation dictionary: one phone a letter is an
initialisation for training, not a transcription.

Sources: the IPA chart (2020); ASCII letters in espeak-ng's output follow Kirshenbaum's ASCII-IPA; alignment: IBM model 1 (Brown
et al., 1993) with a diagonal prior (Dyer, Chahuneau and Smith, 2013); articulatory distance: panphon (Mortensen et al., 2016);
romanisation of scripts that no table covers: the package anyascii. The last two are in the extra ``letters``.
"""

import math
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import Any

from speechxfer.errors import InputError

LetterTable = Mapping[str, str]  # letter -> phone, of one language
IPA_LETTERS = frozenset(
    "abcdefhijklmnopqrstuvwxyzæçðøħŋœɐɑɒɓɔɕɖɗɘəɛɜɞɟɠɡɢɣɤɥɦɧɨɪɫɬɭɮɯɰɱɲɳɴɵɶɸɹɺɻɽɾʀʁʂʃʄʈʉʊʋʌʍʎʏʐʑʒʔʕʘʙʛʜʝʟʡʢǀǁǂǃβθχⱱ"
)
IPA_VOWELS = frozenset("iyɨʉɯuɪʏʊeøɘɵɤoəɛœɜɞʌɔæɐaɶɑɒ")
EQUIVALENT = {  # look-alikes and other notations
    "g": "ɡ", "ε": "ɛ", "ɚ": "ə", "ɝ": "ɜ", "ᵻ": "ɨ", "ɫ": "l", "ᵐ": "m", "ⁿ": "n", "ᵑ": "ŋ",
    "S": "ʃ", "Z": "ʒ", "N": "ŋ", "?": "ʔ",
}  # fmt: skip
ROMAN_PAIRS = {"sh": "ʃ", "zh": "ʒ", "ch": "ʃ", "ng": "ŋ"}  # of romanisations; ch, like č, gets one phone
INSTALL = "install it with: pip install 'speechxfer[letters]'"
ITERATIONS = 8  # of expectation maximisation
DIAGONAL = 8.0  # how strongly letters and phones at the same relative position are preferred


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


def estimate_letter_phones(words: Iterable[tuple[str, Sequence[str], int]]) -> dict[str, str]:
    """For every letter the phone that it is aligned with most often: a letter table.

    Args:
        words: each with its letters (composed and in lower case), its phones, and how often it occurs.
    """
    pairs = [(word, tuple(phones), count) for word, phones, count in words if word and phones]
    probability: dict[tuple[str, str], float] = defaultdict(lambda: 1.0)
    expected: dict[str, dict[str, float]] = {}
    for _ in range(ITERATIONS):
        expected = _expected_counts(pairs, probability)
        probability = defaultdict(float)
        for letter, phones_of in expected.items():
            total = sum(phones_of.values())
            for phone, value in phones_of.items():
                probability[letter, phone] = value / total
    return {letter: max(sorted(phones), key=phones.__getitem__) for letter, phones in sorted(expected.items())}


def _expected_counts(
    pairs: Sequence[tuple[str, tuple[str, ...], int]], probability: Mapping[tuple[str, str], float]
) -> dict[str, dict[str, float]]:
    """Expected number of times that each letter produced each phone; every phone of a word comes from one of its letters."""
    expected: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for word, phones, count in pairs:
        for place, phone in enumerate(phones):
            weights = [
                probability[letter, phone]
                * math.exp(-DIAGONAL * abs((i + 0.5) / len(word) - (place + 0.5) / len(phones)))
                for i, letter in enumerate(word)
            ]
            total = sum(weights)
            for letter, weight in zip(word, weights, strict=True) if total > 0 else ():
                expected[letter][phone] += count * weight / total
    return expected


def merge_letter_tables(tables: Iterable[LetterTable]) -> dict[str, str]:
    """The phone of each letter in most languages; each language has one vote, ties go to the first phone by code point."""
    votes: dict[str, Counter[str]] = defaultdict(Counter)
    for table in tables:
        for letter, phone in table.items():
            votes[letter][phone] += 1
    return {letter: max(sorted(phones), key=phones.__getitem__) for letter, phones in sorted(votes.items())}


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
    roman = "" if letter.isascii() else _romanise(letter)
    if roman[:2] in ROMAN_PAIRS:
        roman = ROMAN_PAIRS[roman[:2]]
    first = roman.replace("'", "ʔ")[:1]
    return find_phone(first, tables, inventory) if first.isalpha() else ""


def _romanise(letter: str) -> str:
    try:
        from anyascii import anyascii
    except ImportError as error:
        raise InputError(f"{letter!r}: romanising this script needs the package anyascii; {INSTALL}") from error
    return anyascii(letter).lower()


@cache
def nearest_phone(phone: str, inventory: tuple[str, ...]) -> str:
    """The member of `inventory` with the smallest weighted feature edit distance; "" if panphon does not know the phone."""
    try:
        import panphon.distance
    except ImportError as error:
        raise InputError(f"{phone!r}: the nearest phone needs the package panphon; {INSTALL}") from error
    distance = _instance(panphon.distance.Distance)
    if not distance.fm.seg_known(phone):  # it would be equally far from all phones
        return ""
    return min(sorted(inventory), key=lambda other: distance.weighted_feature_edit_distance(phone, other))


@cache
def _instance(distance: Callable[[], Any]) -> Any:
    """The one instance of panphon's distance, which reads its tables for a second."""
    return distance()
