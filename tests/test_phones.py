"""Phones: reduction of IPA, letter tables estimated from transcribed words, and the phone of a letter."""

import sys

import pytest

from data_scripts.letter_phones import estimate_letter_phones
from speechxfer.adaptation.symbol_mapping import plan_head
from speechxfer.errors import InputError
from speechxfer.text.letters import remove_tone_marks
from speechxfer.text.phones import (
    describe_letter_tables,
    find_phone,
    find_romanised_phone,
    match_language,
    merge_letter_tables,
    nearest_phone,
    select_letter_tables,
    split_phones,
)
from speechxfer.text.vocabulary import BLANK, Vocabulary

# How some languages' spelling is read, from their standard grammars; one phone a letter.
LETTERS = {
    "sw": {"y": "j", "j": "ɟ", "a": "a", "e": "e"},
    "es": {"y": "ʝ", "j": "x", "a": "a", "e": "e", "ñ": "ɲ", "é": "e"},
    "de-1996": {"y": "y", "j": "j", "z": "s", "ö": "ø", "a": "a", "ß": "s"},
    "tr": {"y": "j", "j": "ʒ", "ş": "ʃ", "ı": "ɯ", "ö": "œ"},
    "vi": {"ẹ": "ɛ", "ọ": "ɔ", "đ": "ɗ", "è": "ɛ"},
}
PHONES = tuple("abdehijkmnosuxyøœŋɔɛɟɯɲʃʒʝɗ")
SOURCE = Vocabulary((BLANK, *PHONES), "phones", letters=LETTERS)


def starts(letters: str, language: str = "") -> dict[str, str]:
    rows = plan_head(SOURCE, Vocabulary((BLANK, *letters)), language=language)
    assert rows[0].how == "blank"
    assert all((row.how == "phone") == bool(row.source) for row in rows[1:])
    return {row.symbol: row.source for row in rows[1:]}


# --- Cleaning IPA ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ipa", "phones"),
    [
        ("həlˈoʊ", "h ə l o ʊ"),  # stress goes, a diphthong is two
        ("wˈɜːld", "w ɜ l d"),  # length goes
        ("t͡ʃˈaɪ", "t ʃ a ɪ"),  # a tie goes, an affricate is two
        ("mˌo_j", "m o j"),
        ("ã tʰ dʲ n̪ l̩", "a t d n l"),  # nasal, aspirated, palatalised, dental, syllabic
        ("ⁿdˈa", "n d a"),  # prenasalisation is a nasal
        ("ma˥˩2", "m a"),  # tone letters and digits go
        ("gɚ", "ɡ ə"),  # look-alikes
        ("ɪ\u00e7 ɪc\u0327", "ɪ ç ɪ ç"),  # a letter with a mark of its own, composed or not
        ("", ""),
    ],
)
def test_phones_of_ipa_as_worked_by_hand(ipa: str, phones: str) -> None:
    assert split_phones(ipa) == phones.split()


def test_letters_that_are_not_ipa_are_refused() -> None:
    with pytest.raises(InputError, match="'ж' is not a letter of the IPA"):
        split_phones("aжa")


# --- Learning from spelling --------------------------------------------------------------------------------------------


def test_letter_tables_are_estimated_from_words() -> None:
    # Turkish: one letter a phone.
    words = {
        "çok": "tʃok", "şey": "ʃej", "yeşil": "jeʃil", "kış": "kɯʃ", "kol": "kol", "ekşi": "ekʃi", "yol": "jol"
    }  # fmt: skip
    learned = estimate_letter_phones((word, split_phones(ipa), 1) for word, ipa in words.items())
    assert learned == {
        "ş": "ʃ",
        "y": "j",
        "k": "k",
        "ı": "ɯ",
        "e": "e",
        "i": "i",
        "l": "l",
        "o": "o",
        "ç": learned["ç"],
    }
    assert learned["ç"] in ("t", "ʃ")


def test_frequent_words_count_more() -> None:
    assert estimate_letter_phones([("x", ["s"], 1), ("x", ["k"], 3)]) == {"x": "k"}
    assert estimate_letter_phones([("x", ["s"], 4), ("x", ["k"], 3)]) == {"x": "s"}
    assert estimate_letter_phones([]) == {}


def test_each_language_has_one_vote() -> None:
    assert merge_letter_tables([{"j": "x"}, {"j": "ʒ"}, {"j": "ʒ"}, {"y": "j"}]) == {"j": "ʒ", "y": "j"}


# --- Which phone a letter starts from ----------------------------------------------------------------------------------


def test_the_table_of_the_language_is_preferred() -> None:
    assert starts("yjñé", "es") == {"y": "ʝ", "j": "x", "ñ": "ɲ", "é": "e"}
    assert starts("yjöß", "de") == {"y": "y", "j": "j", "ö": "ø", "ß": "s"}  # de-1996 is German
    assert starts("è", "vi") == {"è": "ɛ"}


def test_mboshi_and_yoruba_letters() -> None:
    # Mboshi writes open vowels with Greek letters, accents are its tones; Yoruba's dots below are open vowels.
    assert starts("abdeikmnosuyáéεέ", "mdw") == {
        **{letter: letter for letter in "abdeikmnosu"}, "y": "j", "á": "a", "é": "e", "ε": "ɛ", "έ": "ɛ",
    }  # fmt: skip
    assert starts("ẹọèńyh", "yo") == {"ẹ": "ɛ", "ọ": "ɔ", "è": "e", "ń": "n", "y": "j", "h": "h"}


def test_only_tone_marks_are_removed() -> None:
    assert [remove_tone_marks(letter) for letter in "áèîǔöñẹ"] == list("aeiuöñẹ")


def test_a_letter_of_the_ipa_gives_itself_or_the_nearest_phone() -> None:
    assert starts("ŋɓ") == {"ŋ": "ŋ", "ɓ": "b"}
    # panphon: an implosive differs from its plosive in one feature.
    assert nearest_phone("ɓ", ("b", "m", "s")) == "b"


def test_a_phone_that_the_source_lacks_is_not_returned() -> None:
    assert find_phone("q", [{"q": "q"}], ["k", "a"]) in ("k", "")
    assert find_phone("ö", [{"ö": "ø"}], ["o"]) == ""


@pytest.mark.parametrize(
    ("letters", "phones"),
    [  # the national romanisations; of a syllable its consonant, of a digraph one phone
        ("აბკმნჟშ", "a b k m n ʒ ʃ"),  # Georgian
        ("ಕಮನಸಾ", "k m n s a"),  # Kannada, with a vowel sign
        ("המנס", "h m n s"),  # Hebrew
        ("กขงมนา", "k k ŋ m n a"),  # Thai
        ("にかま", "n k m"),  # hiragana
        ("ⴰⴱⴽⵎⵓ", "a b k m u"),  # Tifinagh
        ("эмн", "e m n"),  # Cyrillic
        ("ƙ", "k"),  # Hausa, which is no letter of the IPA
    ],
)
def test_letters_of_other_scripts_are_romanised(letters: str, phones: str) -> None:
    rows = plan_head(SOURCE, Vocabulary((BLANK, *letters)))
    assert [(row.how, row.source) for row in rows[1:]] == [("roman", phone) for phone in phones.split()]


def test_letters_without_a_romanised_phone_are_new() -> None:
    """A virama and a digit have no sound of their own; ASCII is not romanised."""
    rows = plan_head(SOURCE, Vocabulary((BLANK, *"\u0ccd५'")))
    assert [row.how for row in rows[1:]] == ["new"] * 3
    glottal = Vocabulary((BLANK, "ʔ", "l"), "phones", letters=LETTERS)
    assert [row.source for row in plan_head(glottal, Vocabulary((BLANK, *"אʼל")))[1:]] == ["ʔ", "ʔ", "l"]


@pytest.mark.parametrize(
    ("language", "code"),
    [
        ("sw", "sw"), ("swa", "sw"), ("swh", "sw"), ("SW", "sw"), ("sw_KE", "sw"), ("de", "de-1996"), ("deu", "de-1996"),
        ("cy", ""), ("mdw", ""), ("", ""), ("Swahili", ""), ("Mboshi of Congo", ""),
    ],
)  # fmt: skip
def test_any_code_of_a_language_matches(language: str, code: str) -> None:
    """ISO 639-3 has swa for the macrolanguage and swh for its standard; 639-2 and 639-3 deu for de."""
    assert match_language(LETTERS | {"no code": {}}, language) == code


def test_tables_of_a_private_name_are_found() -> None:
    assert match_language({"my village": {}, "sw": {}}, "my village") == "my village"


@pytest.mark.parametrize(
    ("language", "ending"), [("swa", "table of sw"), ("mdw", "has none of mdw"), ("", "as no language was named")]
)
def test_the_letter_table_in_use_is_reported(language: str, ending: str) -> None:
    assert describe_letter_tables(LETTERS, language).endswith(ending)


def test_same_phones_and_the_symbol_map_precede_letter_tables() -> None:
    phones = Vocabulary((BLANK, "y", "j"), "phones")
    assert [row.how for row in plan_head(SOURCE, phones)] == ["blank", "exact", "exact"]
    rows = plan_head(SOURCE, Vocabulary((BLANK, "y")), {"y": "ʒ"}, "es")
    assert (rows[1].how, rows[1].source) == ("map", "ʒ")


def test_the_last_table_is_the_merged_one() -> None:
    own, pooled = select_letter_tables(LETTERS, "sw-KE")
    assert own is LETTERS["sw"]
    assert pooled["y"] == "j"
    assert len(select_letter_tables(LETTERS, "")) == 1


@pytest.mark.parametrize(("letter", "package"), [("ɓ", "panphon"), ("ശ", "anyascii")])
def test_missing_packages_are_named_with_their_extra(
    monkeypatch: pytest.MonkeyPatch, letter: str, package: str
) -> None:
    nearest_phone.cache_clear()
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setitem(sys.modules, "panphon.distance", None)
    with pytest.raises(InputError, match=rf"{package}; install it with: pip install 'speechxfer\[letters\]'"):
        find_phone(letter, (), ["b", "d"]) if package == "panphon" else find_romanised_phone(letter, (), ["b", "d"])
