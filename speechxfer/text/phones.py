"""Phones: IPA brought to one small inventory, and the phone that a letter most likely stands for.

What it is: the rule that turns a synthesiser's or a dictionary's IPA into symbols, letter tables learned from spelt and
transcribed words, and the search for a letter's phone. What it is not: a pronunciation dictionary; one phone a letter
is a starting point for training, no transcription. Sources: the IPA chart (2020); ASCII letters that espeak-ng leaves in
its output follow Kirshenbaum's ASCII-IPA; the alignment is IBM model 1 (Brown et al., 1993) with a diagonal prior (Dyer,
Chahuneau and Smith, 2013); articulatory distance is panphon's (Mortensen et al., 2016); letters of scripts that no table
has are read as the package anyascii romanises them.
"""

import math
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import cache

from speechxfer.errors import InputError

Letters = Mapping[str, str]  # letter -> phone, of one language
IPA_LETTERS = frozenset(
    "abcdefhijklmnopqrstuvwxyzæçðøħŋœɐɑɒɓɔɕɖɗɘəɛɜɞɟɠɡɢɣɤɥɦɧɨɪɫɬɭɮɯɰɱɲɳɴɵɶɸɹɺɻɽɾʀʁʂʃʄʈʉʊʋʌʍʎʏʐʑʒʔʕʘʙʛʜʝʟʡʢǀǁǂǃβθχⱱ"
)
IPA_VOWELS = frozenset("iyɨʉɯuɪʏʊeøɘɵɤoəɛœɜɞʌɔæɐaɶɑɒ")
SAME = {  # written alike or meant alike
    "g": "ɡ", "ε": "ɛ", "ɚ": "ə", "ɝ": "ɜ", "ᵻ": "ɨ", "ɫ": "l", "ᵐ": "m", "ⁿ": "n", "ᵑ": "ŋ",
    "S": "ʃ", "Z": "ʒ", "N": "ŋ", "?": "ʔ",
}  # fmt: skip
ROMAN_PAIRS = {"sh": "ʃ", "zh": "ʒ", "ch": "ʃ", "ng": "ŋ"}  # of romanisations; ch as tables read č: one phone a letter
ROUNDS = 8  # of the alignment's estimation
DIAGONAL = 8.0  # how sharply letters and phones are expected at the same share of the word


def segments(ipa: str) -> list[str]:
    """The phones of an IPA transcription, one base letter each.

    The rule: stress, length, ties, tones and all diacritics are dropped, so a long or nasal vowel and an aspirated or
    palatalised consonant are those of their base letter; affricates and diphthongs are two phones; prenasalisation is a
    nasal of its own.

    Raises:
        InputError: a letter that is not of the IPA.
    """
    marks_apart = unicodedata.normalize("NFD", ipa).replace("c\u0327", "ç")  # a letter of its own
    phones = [SAME.get(character, character) for character in marks_apart]
    phones = [phone for phone in phones if unicodedata.category(phone) in ("Ll", "Lu", "Lt", "Lo")]  # Lm: modifiers
    strange = [phone for phone in phones if phone not in IPA_LETTERS]
    if strange:
        raise InputError(f"{ipa!r}: {strange[0]!r} is not a letter of the IPA; correct the transcription")
    return phones


def learn_letters(words: Iterable[tuple[str, Sequence[str], int]]) -> dict[str, str]:
    """For every letter the phone that it is aligned with most often.

    Args:
        words: each with its letters (composed and in lower case), its phones, and how often it occurs.
    """
    pairs = [(word, tuple(phones), count) for word, phones, count in words if word and phones]
    likely: dict[tuple[str, str], float] = defaultdict(lambda: 1.0)
    expected: dict[str, dict[str, float]] = {}
    for _ in range(ROUNDS):
        expected = _aligned(pairs, likely)
        likely = defaultdict(float)
        for letter, phones_of in expected.items():
            total = sum(phones_of.values())
            for phone, value in phones_of.items():
                likely[letter, phone] = value / total
    return {letter: max(sorted(phones), key=phones.__getitem__) for letter, phones in sorted(expected.items())}


def _aligned(
    pairs: Sequence[tuple[str, tuple[str, ...], int]], likely: Mapping[tuple[str, str], float]
) -> dict[str, dict[str, float]]:
    """How often each letter is expected to have made each phone: every phone of a word came from one of its letters."""
    expected: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for word, phones, count in pairs:
        for place, phone in enumerate(phones):
            weights = [
                likely[letter, phone] * math.exp(-DIAGONAL * abs((i + 0.5) / len(word) - (place + 0.5) / len(phones)))
                for i, letter in enumerate(word)
            ]
            total = sum(weights)
            for letter, weight in zip(word, weights, strict=True) if total > 0 else ():
                expected[letter][phone] += count * weight / total
    return expected


def pooled_letters(tables: Iterable[Letters]) -> dict[str, str]:
    """What most languages read each letter as; each language has one vote, ties go to the first phone by code point."""
    votes: dict[str, Counter[str]] = defaultdict(Counter)
    for table in tables:
        for letter, phone in table.items():
            votes[letter][phone] += 1
    return {letter: max(sorted(phones), key=phones.__getitem__) for letter, phones in sorted(votes.items())}


def phone_of_letter(letter: str, tables: Sequence[Letters], inventory: Sequence[str]) -> str:
    """The phone of `inventory` that a letter most likely stands for, or "" where nothing speaks for any.

    In this order: what the first table that knows it says (its own language's before those of others); the letter as IPA
    (and look-alikes, such as Greek epsilon for open e); the phone nearest in articulation, if the letter is IPA.
    """
    for table in tables:
        if table.get(letter) in inventory:
            return table[letter]
    phone = SAME.get(letter, letter)
    if phone in inventory:
        return phone
    return nearest_phone(phone, tuple(inventory)) if phone in IPA_LETTERS else ""


def phone_of_romanised(letter: str, tables: Sequence[Letters], inventory: Sequence[str]) -> str:
    """The phone that the letter's romanisation begins with, as `phone_of_letter` reads it; "" where it has none.

    A syllable's sign gives its consonant; an apostrophe, as for Hebrew alef, is a glottal stop. Georgian შ (sh) is ʃ, Thai ข (kh)
    is k, Kannada ಕ (k) is k. ASCII is no romanisation.
    """
    from anyascii import anyascii

    roman = "" if letter.isascii() else anyascii(letter).lower()
    if roman[:2] in ROMAN_PAIRS:
        roman = ROMAN_PAIRS[roman[:2]]
    first = roman.replace("'", "ʔ")[:1]
    return phone_of_letter(first, tables, inventory) if first.isalpha() else ""


@cache
def nearest_phone(phone: str, inventory: tuple[str, ...]) -> str:
    """The member of `inventory` with the smallest weighted feature edit distance."""
    import panphon.distance

    distance = panphon.distance.Distance()
    return min(sorted(inventory), key=lambda other: distance.weighted_feature_edit_distance(phone, other))
