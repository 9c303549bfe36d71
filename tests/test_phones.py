"""Phones: the rule that cleans IPA, letter tables learned from spelling, and which phone a letter starts from."""

import pytest

from speechxfer.adaptation.symbol_mapping import plan_head
from speechxfer.errors import InputError
from speechxfer.text.languages import known_language, letter_table_summary, letter_tables
from speechxfer.text.letters import without_tone
from speechxfer.text.phones import learn_letters, nearest_phone, phone_of_letter, pooled_letters, segments
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
def test_segments_by_hand(ipa: str, phones: str) -> None:
    assert segments(ipa) == phones.split()


def test_what_is_not_ipa_is_refused() -> None:
    with pytest.raises(InputError, match="'ж' is not a letter of the IPA"):
        segments("aжa")


# --- Learning from spelling --------------------------------------------------------------------------------------------


def test_letters_are_learned_from_words() -> None:
    # Turkish: one letter a phone.
    words = {
        "çok": "tʃok", "şey": "ʃej", "yeşil": "jeʃil", "kış": "kɯʃ", "kol": "kol", "ekşi": "ekʃi", "yol": "jol"
    }  # fmt: skip
    learned = learn_letters((word, segments(ipa), 1) for word, ipa in words.items())
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
    assert learn_letters([("x", ["s"], 1), ("x", ["k"], 3)]) == {"x": "k"}
    assert learn_letters([("x", ["s"], 4), ("x", ["k"], 3)]) == {"x": "s"}
    assert learn_letters([]) == {}


def test_each_language_has_one_vote() -> None:
    assert pooled_letters([{"j": "x"}, {"j": "ʒ"}, {"j": "ʒ"}, {"y": "j"}]) == {"j": "ʒ", "y": "j"}


# --- Which phone a letter starts from ----------------------------------------------------------------------------------


def test_a_known_language_reads_its_letters_its_own_way() -> None:
    assert starts("yjñé", "es") == {"y": "ʝ", "j": "x", "ñ": "ɲ", "é": "e"}
    assert starts("yjöß", "de") == {"y": "y", "j": "j", "ö": "ø", "ß": "s"}  # de-1996 is German
    assert starts("è", "vi") == {"è": "ɛ"}


def test_mboshi_and_yoruba_letters() -> None:
    # Mboshi writes open vowels with Greek letters, accents are its tones; Yoruba's dots below are open vowels.
    assert starts("abdeikmnosuyáéεέ", "mdw") == {
        **{letter: letter for letter in "abdeikmnosu"}, "y": "j", "á": "a", "é": "e", "ε": "ɛ", "έ": "ɛ",
    }  # fmt: skip
    assert starts("ẹọèńyh", "yo") == {"ẹ": "ɛ", "ọ": "ɔ", "è": "e", "ń": "n", "y": "j", "h": "h"}


def test_tone_marks_go_and_others_stay() -> None:
    assert [without_tone(letter) for letter in "áèîǔöñẹ"] == list("aeiuöñẹ")


def test_a_letter_of_the_ipa_goes_to_itself_or_the_nearest() -> None:
    assert starts("ŋɓ") == {"ŋ": "ŋ", "ɓ": "b"}
    # panphon: an implosive differs from its plosive in one feature.
    assert nearest_phone("ɓ", ("b", "m", "s")) == "b"


def test_a_phone_that_the_source_lacks_is_not_promised() -> None:
    assert phone_of_letter("q", [{"q": "q"}], ["k", "a"]) in ("k", "")
    assert phone_of_letter("ö", [{"ö": "ø"}], ["o"]) == ""


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
def test_letters_of_scripts_that_no_table_has_go_by_their_romanisation(letters: str, phones: str) -> None:
    rows = plan_head(SOURCE, Vocabulary((BLANK, *letters)))
    assert [(row.how, row.source) for row in rows[1:]] == [("roman", phone) for phone in phones.split()]


def test_what_romanises_to_no_phone_of_the_source_starts_new() -> None:
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
def test_a_language_is_known_by_any_of_its_codes(language: str, code: str) -> None:
    """ISO 639-3 has swa for the macrolanguage and swh for its standard; 639-2 and 639-3 deu for de."""
    assert known_language(LETTERS | {"no code": {}}, language) == code


def test_tables_of_a_users_own_name_are_found() -> None:
    assert known_language({"my village": {}, "sw": {}}, "my village") == "my village"


@pytest.mark.parametrize(
    ("language", "said"), [("swa", "in sw"), ("mdw", "no spelling of mdw"), ("", "without a code")]
)
def test_whose_spelling_it_is_is_told(language: str, said: str) -> None:
    assert letter_table_summary(LETTERS, language).endswith(said)


def test_phones_to_phones_and_users_maps_go_before_sound() -> None:
    phones = Vocabulary((BLANK, "y", "j"), "phones")
    assert [row.how for row in plan_head(SOURCE, phones)] == ["blank", "exact", "exact"]
    rows = plan_head(SOURCE, Vocabulary((BLANK, "y")), {"y": "ʒ"}, "es")
    assert (rows[1].how, rows[1].source) == ("map", "ʒ")


def test_tables_end_with_what_most_languages_say() -> None:
    own, pooled = letter_tables(LETTERS, "sw-KE")
    assert own is LETTERS["sw"]
    assert pooled["y"] == "j"
    assert len(letter_tables(LETTERS, "")) == 1
