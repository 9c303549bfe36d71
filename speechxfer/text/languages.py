"""Letter-to-phone tables by language code (Unicode CLDR language matching, package langcodes)."""

from collections.abc import Mapping

from speechxfer.text.phones import Letters, pooled_letters

SAME_LANGUAGE = 10  # distance of language codes (Unicode CLDR) up to which one's spelling serves: Bosnian for Croatian


def letter_tables(letters: Mapping[str, Letters], language: str) -> tuple[Letters, ...]:
    """The table of `language`, if there is one (see `known_language`), then what most tables say."""
    code = known_language(letters, language)
    return (*([letters[code]] if code else []), pooled_letters(letters.values()))


def known_language(letters: Mapping[str, Letters], language: str) -> str:
    """The code in `letters` that means `language`, in whichever way it is written (sw, swa, swh, sw-KE, sw_KE); "" without one.

    Codes are compared as Unicode CLDR does (package langcodes): so are the members of a macrolanguage, and the nearest relatives.
    """
    from langcodes import closest_match, tag_is_valid

    if language in letters:
        return language
    if not tag_is_valid(language):
        return ""
    code, distance = closest_match(language, list(filter(tag_is_valid, letters)), max_distance=SAME_LANGUAGE)
    return code if distance <= SAME_LANGUAGE else ""


def letter_table_summary(letters: Mapping[str, Letters], language: str) -> str:
    """One line: by whose spelling letters start from phones."""
    code = known_language(letters, language)
    if code:
        return f"letters start as the source reads them in {code}"
    unknown = language or "a language without a code"
    return f"letters start as the source reads them as most languages do, since it knows no spelling of {unknown}"
