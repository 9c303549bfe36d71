"""Removal of combining marks from letters."""

import unicodedata

TONE_MARKS = frozenset("\u0300\u0301\u0302\u0304\u030b\u030c\u030f\u1dc4\u1dc5\u1dc6\u1dc7\u1dc8\u1dc9")


def remove_tone_marks(letter: str) -> str:
    """The letter without grave, acute, circumflex, macron, caron and their doubles; other marks are kept."""
    kept = "".join(c for c in unicodedata.normalize("NFD", letter) if c not in TONE_MARKS)
    return unicodedata.normalize("NFC", kept)


def list_base_letters(symbol: str) -> list[str]:
    """The symbol with one combining mark fewer each time, outermost first: 'ế' gives ['ê', 'e']; a mark alone gives []."""
    letters, bases = list(unicodedata.normalize("NFD", symbol)), []
    while marks := [place for place, character in enumerate(letters) if unicodedata.category(character) == "Mn"]:
        del letters[marks[-1]]
        bases.append(unicodedata.normalize("NFC", "".join(letters)))
    return [base for base in bases if base]
