"""Letter tables by language code. Source: Unicode CLDR language matching, by the package langcodes."""

from collections.abc import Mapping

from speechxfer.text.phones import LetterTable, merge_letter_tables

MAX_DISTANCE = 10  # between language codes (Unicode CLDR) that share a letter table, such as Bosnian and Croatian


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
    missing = language or "a language without a code"
    return f"letters are initialised with the merged letter table of all languages, as the source has none of {missing}"
