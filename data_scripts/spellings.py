"""Phones from spelling, for languages that espeak-ng does not read, and corrections of espeak-ng's phones.

What it is: `read` turns a text into phones by rules, for Kinyarwanda, Malagasy and Mandarin in pinyin; `mandarin`
rewrites espeak-ng's Mandarin; `CORRECTIONS` are for
real speech in Amharic, German and Scottish Gaelic. What it is not: a pronunciation dictionary: tone, length, devoicing and
elision are not written.
Sources: for Kinyarwanda, A. Kimenyi, *Studies in Kinyarwanda and Bantu Phonology* (1979); for Malagasy, P. Howe,
"Central Malagasy", Journal of the International Phonetic Association 51 (2021); for Mandarin, W.-S. Lee and E. Zee,
"Standard Chinese (Beijing)", the same journal, 33 (2003); for Amharic, K. Hayward and R. Hayward, "Amharic", the same
journal, 22 (1992). Aspirated consonants are those of their base letter, as everywhere in `speechxfer.text`.
"""

import re
import unicodedata

KINYARWANDA = {
    "shy": "ç", "sh": "ʃ", "cy": "c", "jy": "ɟ", "ny": "ɲ", "ts": "ts", "pf": "pf", "nk": "ŋk", "ng": "ŋɡ", "mb": "mb",
    "a": "a", "b": "β", "c": "tʃ", "d": "d", "e": "e", "f": "f", "g": "ɡ", "h": "h", "i": "i", "j": "ʒ", "k": "k",
    "l": "ɾ", "m": "m", "n": "n", "o": "o", "p": "p", "r": "ɾ", "s": "s", "t": "t", "u": "u", "v": "v", "w": "w",
    "y": "j", "z": "z", "q": "k", "x": "ks",  # the last two in loaned names
}  # fmt: skip
MALAGASY = {
    "tr": "ʈʂ", "dr": "ɖʐ", "ts": "ts", "nk": "ŋk", "ng": "ŋɡ", "ai": "aj", "ay": "aj", "ei": "ej", "ey": "ej",
    "oi": "uj", "oy": "uj", "ao": "aw",
    "a": "a", "à": "a", "á": "a", "b": "b", "d": "d", "e": "e", "é": "e", "è": "e", "f": "f", "g": "ɡ", "h": "h",
    "i": "i", "ì": "i", "í": "i", "j": "dz", "k": "k", "l": "l", "m": "m", "n": "n", "o": "u", "ô": "o", "ò": "o",
    "p": "p", "r": "r", "s": "s", "t": "t", "v": "v", "y": "i", "ý": "i", "z": "z",
    "c": "k", "q": "k", "u": "u", "w": "w", "x": "ks", "ê": "e", "î": "i", "ç": "s",  # in loaned names
}  # fmt: skip
INITIALS = {
    "zh": "ʈʂ", "ch": "ʈʂ", "sh": "ʂ", "b": "p", "p": "p", "m": "m", "f": "f", "d": "t", "t": "t", "n": "n", "l": "l",
    "g": "k", "k": "k", "h": "x", "j": "tɕ", "q": "tɕ", "x": "ɕ", "r": "ɻ", "z": "ts", "c": "ts", "s": "s",
}  # fmt: skip
FINALS = {
    "a": "a", "o": "o", "e": "ɤ", "ai": "ai", "ei": "ei", "ao": "ɑu", "ou": "ou", "an": "an", "en": "ən", "ang": "ɑŋ",
    "eng": "əŋ", "ong": "ʊŋ", "er": "əɻ", "i": "i", "ia": "jɑ", "ie": "jɛ", "iao": "jɑu", "iu": "jou", "ian": "jɛn",
    "in": "in", "iang": "jɑŋ", "ing": "iŋ", "iong": "jʊŋ", "u": "u", "ua": "wa", "uo": "wo", "uai": "wai", "ui": "wei",
    "uan": "wan", "un": "wən", "uang": "wɑŋ", "v": "y", "ve": "ɥɛ", "van": "ɥɛn", "vn": "yn",
}  # fmt: skip
WHOLE = {  # syllables without a consonant at their start
    "yi": "i", "ya": "jɑ", "ye": "jɛ", "yao": "jɑu", "you": "jou", "yan": "jɛn", "yin": "in", "yang": "jɑŋ",
    "ying": "iŋ", "yong": "jʊŋ", "yo": "jo", "wu": "u", "wa": "wa", "wo": "wo", "wai": "wai", "wei": "wei", "wan": "wan",
    "wen": "wən", "wang": "wɑŋ", "weng": "wəŋ", "yu": "y", "yue": "ɥɛ", "yuan": "ɥɛn", "yun": "yn",
}  # fmt: skip
APICAL = ("z", "c", "s", "zh", "ch", "sh", "r")  # before these -i is the apical vowel, here ɨ
PALATAL = ("j", "q", "x")  # after these u is written for ü
ESPEAK = (  # what espeak-ng 1.52 writes in Mandarin, tones taken out, and its usual letters; in this order
    ("ts.h", "ʈʂ"), ("ts.", "ʈʂ"), ("s.", "ʂ"), ("h", ""), ("i.", "ɨ"), ("i\u032a", "ɨ"), ("onɡ", "ʊŋ"), ("o-", "ɤ"),
    ("χ", "x"), ("ər", "əɻ"), ("ʐ", "ɻ"), ("yæ", "ɥɛ"), ("yɛ", "ɥɛ"), ("yə", "y"), ("iɛ", "jɛ"), ("iɑ", "jɑ"),
    ("io", "jo"), ("uo", "wo"), ("uei", "wei"), ("ua", "wa"), ("uə", "wə"), ("jɥ", "ɥ"), ("jy", "y"), ("ji", "i"),
    ("jj", "j"), ("ww", "w"),
)  # fmt: skip
_MARKS = re.compile("[ˈˌːʰ\u0361]")
_AMHARIC_CONSONANTS = "bβcdfɡhjklmnɲŋprɾsʃtvwzʒʔxqθðɓɗʄʤʧʼ"
TONES = re.compile(r"[0-9ɜˈˌ]")  # espeak-ng writes the rising tone's 3 as the look-alike vowel


def read(text: str, lang: str) -> str:
    """IPA of a text, words separated by spaces; "" where a character has no rule (digits, letters of other languages).

    Args:
        text: in the language's Latin spelling.
        lang: ``rw``, ``mg`` or ``cmn-pinyin``.
    """
    words = re.findall(r"[^\W_]+", unicodedata.normalize("NFC", text.lower().replace("’", "").replace("'", "")))
    if lang == "cmn-pinyin":
        read_words = [_syllable(word) for word in words]
    else:
        read_words = [_greedy(word, KINYARWANDA if lang == "rw" else MALAGASY) for word in words]
    return " ".join(read_words) if all(read_words) else ""


def mandarin(ipa: str) -> str:
    """espeak-ng's Mandarin without tones, in the letters of the table above.

    >>> mandarin("ts.oŋ5kˈuoɜ")
    'ʈʂoŋkwo'
    """
    ipa = TONES.sub("", ipa)
    for written, meant in ESPEAK:
        ipa = ipa.replace(written, meant)
    return ipa


def amharic(ipa: str) -> str:
    """espeak-ng's Amharic as it is pronounced: fewer ɨ, no glottal stop at the start of a word.

    The script has a sign of the sixth order for a consonant with ɨ and for one without a vowel; espeak-ng reads nearly all
    with it. Here ɨ goes where its consonant can close the syllable before: after a vowel and one consonant, and before one
    consonant and a vowel, or a vowel.

    >>> amharic("hˈajɨlunɨna ʔɨsˈum")
    'hajlunna ɨsum'
    """
    return " ".join(_closed(_MARKS.sub("", word).removeprefix("ʔ")) for word in ipa.split())


def german(ipa: str) -> str:
    """espeak-ng's German with r as it is pronounced: ʁ before a vowel, else ɐ, and -er as ɐ.

    >>> german("ʔˈʊnzɜ vˈɛɾt ɾˈoːt")
    'ʔˈʊnzɐ vˈɛɐt ʁˈoːt'
    """
    return re.sub("[ɾrɜ]", "ɐ", re.sub("[ɾr](?=[ˈˌ]?[aeiouyøœɑɐɔəɛɪʊʏ])", "ʁ", ipa))


def gaelic(ipa: str) -> str:
    """espeak-ng's Scottish Gaelic with b, d, ɡ as the unaspirated p, t, k that they are."""
    return ipa.translate(str.maketrans("bdɡɟ", "ptkc"))


def _closed(word: str) -> str:
    result = ""
    for place, phone in enumerate(word):
        remainder = word[place + 1 :]
        onset = len(remainder) - len(remainder.lstrip(_AMHARIC_CONSONANTS))
        coda = len(result) - len(result.rstrip(_AMHARIC_CONSONANTS))
        closes = coda == 1 and len(result) > 1 and onset <= 1 and onset < len(remainder)
        if phone != "ɨ" or not closes:
            result += phone
    return result


def _greedy(word: str, table: dict[str, str]) -> str:
    """The longest match from the left; "" where none fits."""
    phones, place = [], 0
    longest = max(map(len, table))
    while place < len(word):
        match = next((n for n in range(longest, 0, -1) if word[place : place + n] in table), 0)
        if not match:
            return ""
        phones.append(table[word[place : place + match]])
        place += match
    return "".join(phones)


def _syllable(pinyin: str) -> str:
    syllable = pinyin.rstrip("12345").replace("ü", "v")
    if syllable in WHOLE:
        return WHOLE[syllable]
    initial = next((start for start in INITIALS if syllable.startswith(start)), "")
    final = syllable.removeprefix(initial)
    if initial in PALATAL and final.startswith("u"):
        final = "v" + final[1:]
    if final == "i" and initial in APICAL:
        return INITIALS[initial] + "ɨ"
    return INITIALS.get(initial, "") + FINALS[final] if final in FINALS else ""


LANGUAGES = ("rw", "mg", "cmn-pinyin")
CORRECTIONS = {"am": amharic, "de": german, "gd": gaelic}  # by espeak-ng's voice
