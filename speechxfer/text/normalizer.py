"""The text normaliser: one rule for vocabulary, training and both sides of scoring, stored with every model.

It is neither a transliterator nor a speller of numbers and units ("5 km" stays "5 km"; spell them out in the corpus).

Conventions:
    * A character is one Unicode code point of the normalised text. Combining marks (Mn, Mc) belong to their letter and are never
      removed: without them Hindi loses its vowels and Yoruba its tones.
    * `Normalizer` is idempotent: normalising twice changes nothing (a property test checks it).
    * Removed because they are not spoken: control and format characters, lone surrogates, variation selectors, the combining
      grapheme joiner, the Arabic tatweel and the N'Ko lajanyalan. The zero-width joiner and non-joiner are kept after a letter or
      mark (Persian and Indic spelling needs them).
    * Lower-casing is Unicode's default, except that the Turkish and Azeri dotted capital (U+0130) becomes a plain i. The dotless
      i (U+0131) has the same capital as i: lower-case a text in Turkish capitals by Turkish rules first.

Sources: Unicode Standard Annex 15 (normalisation forms) and 44 (general categories), Unicode 15 section 23 (format characters).
"""

import re
import unicodedata
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from functools import partial
from typing import Any, Literal, get_args

from speechxfer.errors import InputError

Form = Literal["NFC", "NFD"]
Punctuation = Literal["strip", "keep"]
NORMALIZER_VERSION = 1
# Written in place of the apostrophe: quotation marks, prime, acute, grave, fullwidth, Armenian. (U+02BC, U+02BB and U+A78C look
# like it but are letters, of African, American and Pacific alphabets.)
APOSTROPHES = "'\u2019\u2018\u201b\u2032\u00b4\u0060\uff07\u055a"
HYPHENS = "-\u2010\u2011"  # the dashes are punctuation
MIDDLE_DOT = "\u00b7"  # inside a word: Catalan l·l
IGNORED = frozenset(
    "\u034f\u0640\u07fa" + "".join(map(chr, (*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0))))
)  # grapheme joiner, tatweel, N'Ko lajanyalan, variation selectors
ARMENIAN_INNER = "\u055b\u055c\u055e"  # emphasis, exclamation, question: inside a word, so no space replaces them
MYANMAR_WORDS = "\u104c\u104d\u104e\u104f"  # of the punctuation category, but spoken as words
JOINERS = "\u200c\u200d"
_MISPLACED_JOINER = re.compile(rf"(?<![^ '{MIDDLE_DOT}-])[{JOINERS}]+")
_LONE_INNER = re.compile(rf"(?<![^ '{MIDDLE_DOT}-])['{MIDDLE_DOT}-]+|['{MIDDLE_DOT}-]{{2,}}|['{MIDDLE_DOT}-]+(?= |$)")


@dataclass(frozen=True)
class Normalizer:
    """The text rule of a model: ``normalizer(text)`` is the text that is trained on, recognised and scored.

    Attributes:
        version: of the rule; stored with a model, which is always used with the version it was trained with.
        form: "NFC" composes letters with their marks; "NFD" decomposes them, so that tone marks become symbols.
        lowercase: whether capitals are lower-cased.
        punctuation: "strip" replaces punctuation and symbols (dashes too) by a space, but keeps a single apostrophe, hyphen
            or middle dot between two characters of a word; curly apostrophes become '. Modifier letters (U+02BC) and
            tone letters (U+02E5) are letters. "keep" leaves punctuation unchanged.

    Raises:
        InputError: a field has a value that is not one of these.

    >>> import speechxfer as sx
    >>> normalizer = sx.Normalizer()
    >>> normalizer("  Don’t  STOP — now!")
    "don't stop now"
    >>> len(sx.Normalizer(form="NFC")("ẹ́")), len(sx.Normalizer(form="NFD")("ẹ́"))
    (2, 3)
    """

    version: int = NORMALIZER_VERSION
    form: Form = "NFC"
    lowercase: bool = True
    punctuation: Punctuation = "strip"

    def __post_init__(self) -> None:
        allowed: dict[str, tuple[Any, ...]] = {
            "version": (NORMALIZER_VERSION,),
            "form": get_args(Form),
            "lowercase": (True, False),
            "punctuation": get_args(Punctuation),
        }
        for name, values in allowed.items():
            value = getattr(self, name)
            if not any(type(value) is type(other) and value == other for other in values):
                raise InputError(
                    f"normalizer: {name} is {value!r}; expected one of {', '.join(map(repr, values))}; "
                    "correct it, or use the release of speechxfer that wrote it"
                )

    def __call__(self, text: str) -> str:
        """Normalise `text`; words end up separated by single spaces, with none at the ends."""
        strip = self.punctuation == "strip"
        text = unicodedata.normalize("NFC", text.translate(_SPOKEN))
        if self.lowercase:
            text = text.replace("\u0130", "i").lower()
        text = text.translate(_STRIPPED if strip else _KEPT)
        if JOINERS[0] in text or JOINERS[1] in text:
            text = _MISPLACED_JOINER.sub("", text)
        if strip and ("'" in text or "-" in text or MIDDLE_DOT in text):
            text = _LONE_INNER.sub(" ", text)
        if "  " in text or text[:1] == " " or text[-1:] == " ":
            text = " ".join(word for word in text.split(" ") if word)
        return unicodedata.normalize(self.form, text)

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain data, for a model's JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Any) -> "Normalizer":
        """The normaliser that `to_dict` described.

        Raises:
            InputError: an unknown or a missing key, or a version or value this release does not know.
        """
        known = {entry.name for entry in fields(cls)}
        if not isinstance(data, dict) or data.keys() != known:
            raise InputError(
                f"normalizer: {data!r:.200}; expected the keys {', '.join(sorted(known))}; "
                "correct it, or use the release of speechxfer that wrote it"
            )
        return cls(**data)


class _Table(dict[int, str]):
    """A table for `str.translate` that is filled by a function of the character, at its first occurrence."""

    def __init__(self, replace: Callable[[str], str]) -> None:
        super().__init__()
        self._replace = replace

    def __missing__(self, code_point: int) -> str:
        self[code_point] = replacement = self._replace(chr(code_point))
        return replacement


def _without_unspoken(character: str) -> str:
    if character.isspace() or character in JOINERS:
        return character
    return "" if character in IGNORED or unicodedata.category(character) in ("Cc", "Cf", "Cs") else character


def _replacement(character: str, strip: bool) -> str:
    """What replaces one character: itself, a space, an apostrophe, a hyphen, or nothing."""
    if character.isspace():
        return " "
    if not strip or character == MIDDLE_DOT or character in MYANMAR_WORDS:
        return character
    if character in APOSTROPHES:
        return "'"
    if character in HYPHENS:
        return "-"
    if character in ARMENIAN_INNER:
        return ""
    category = unicodedata.category(character)
    if category == "Sk" and unicodedata.name(character, "").startswith("MODIFIER LETTER"):
        return character  # such as tone letters: of the symbol category, but used as letters
    return " " if category[0] in "PS" else character


_SPOKEN = _Table(_without_unspoken)
_STRIPPED = _Table(partial(_replacement, strip=True))
_KEPT = _Table(partial(_replacement, strip=False))
