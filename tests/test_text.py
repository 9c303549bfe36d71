"""The text rule and the vocabulary, on many scripts; expected values are worked by hand or from Unicode's own data."""

import json
import subprocess
import sys
import unicodedata
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speechxfer.errors import InputError
from speechxfer.text.normalizer import Normalizer
from speechxfer.text.vocabulary import BLANK, Vocabulary

NORMALIZERS = [
    Normalizer(form=form, lowercase=lowercase, punctuation=punctuation)
    for form in ("NFC", "NFD")
    for lowercase in (True, False)
    for punctuation in ("strip", "keep")
]
TRICKY = (
    " \t\u00a0'’-–·.,!=<`´aAeIİıΣσςẹʼ˥՞ा한ﬁ❤①"
    "\u0301\u0307\u0338\u0323\u200b\u200c\u200d\ufe0f\u034f\u0640\u093f\u1100\u1161\u212a"
)
nasty_text = st.text(st.one_of(st.sampled_from(TRICKY), st.characters(codec=None)), max_size=30)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("हिन्दी में", "हिन्दी में"),  # vowel signs and virama are Mc and Mn; a well-known rule maps them to spaces
        ("Ẹ́ kú àárọ̀!", "ẹ́ kú àárọ̀"),
        ("ภาษาไทย ๆ น้ำ", "ภาษาไทย ๆ น้ำ"),
        ("مَرْحَبًا، كيف؟", "مَرْحَبًا كيف"),
        ("كـــتاب", "كتاب"),  # the tatweel, which lengthens a word, is no letter
        ("می\u200cخواهم", "می\u200cخواهم"),  # Persian: the non-joiner is spelling
        ("x \u200cy\u200d z", "x y\u200d z"),
        ("İstanbul'da IŞIK", "istanbul'da işik"),
        ("Ισχύς! Ο Ά;", "ισχύς ο ά"),
        ("ΟΔΟΣ", "οδος"),  # final sigma
        ("A Α А", "a α а"),  # Latin, Greek and Cyrillic look-alikes stay what they are
        ("qaʼa Hawaiʻi ꞌUzi", "qaʼa hawaiʻi ꞌuzi"),  # letters, not apostrophes
        ("ma˥ ma˨˩", "ma˥ ma˨˩"),  # tone letters
        ("Don’t ‘quote’ it’s dogs’ 'tis", "don't quote it's dogs tis"),
        ("well-known – or — so - -x x- a--b", "well-known or so x x a b"),
        ("rock 'n' roll, l'été… (ok)?", "rock n roll l'été ok"),
        ("col·lecció", "col·lecció"),
        ("ինչո՞ւ՞ այո՛։", "ինչու այո"),  # Armenian marks its question inside the word
        ("ပုဂ္ဂိုလ်၏ အိမ်။", "ပုဂ္ဂိုလ်၏ အိမ်"),  # Burmese genitive: punctuation by category, a word in speech
        ("ሰላም፡ለዓለም።", "ሰላም ለዓለም"),
        ("a\u00adb\u200bc\ufeffd\x07e", "abcde"),  # soft hyphen, zero-width space, byte-order mark, bell
        ("one\r\ntwo\u2028three\u3000four", "one two three four"),
        ("I ❤\ufe0f it 100 %", "i it 100"),
        ("\u212bngstro\u0308m", "ångström"),
        ("I\u0307zmir \u2260 =\u0338", "izmir"),  # the decomposed spellings of the dotted capital and of a symbol
        ("J\u030c", "\u01f0"),  # composes only after lower-casing
        (" ... ", ""),
        ("", ""),
    ],
)
def test_normalizes_as_worked_by_hand(text: str, expected: str) -> None:
    assert Normalizer()(text) == expected


def test_options() -> None:
    assert Normalizer(punctuation="keep")("“Don’t”,  he\tsaid.\u200b") == "“don’t”, he said."
    assert Normalizer(lowercase=False)("Abc, İ!") == "Abc İ"
    assert Normalizer(form="NFD")("Ẹ́!") == "e\u0323\u0301"


@given(nasty_text)
@settings(max_examples=400, deadline=None)
def test_twice_is_once(text: str) -> None:
    for normalizer in NORMALIZERS:
        once = normalizer(text)
        assert normalizer(once) == once
        assert unicodedata.is_normalized(normalizer.form, once)
        assert once == " ".join(once.split())


@given(nasty_text)
@settings(max_examples=200, deadline=None)
def test_canonically_equal_texts_become_equal(text: str) -> None:
    for normalizer in NORMALIZERS:
        assert normalizer(unicodedata.normalize("NFD", text)) == normalizer(text)


def test_no_letter_or_mark_of_any_script_is_lost() -> None:
    normalizer = Normalizer(form="NFD", lowercase=False)
    invisible = {0x034F, 0x0640, 0x07FA, *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)}
    for code in set(range(sys.maxunicode + 1)) - invisible:
        character = chr(code)
        if unicodedata.category(character)[0] in "LMN":
            assert normalizer(f"a{character}b") == unicodedata.normalize("NFD", f"a{character}b"), hex(code)


def test_normalizer_to_plain_data_and_back() -> None:
    normalizer = Normalizer(form="NFD", punctuation="keep")
    assert Normalizer.from_dict(json.loads(json.dumps(normalizer.to_dict()))) == normalizer


@pytest.mark.parametrize(
    "data",
    [
        {"form": "NFKC"},
        {"version": 2},
        {"version": True},
        {"lowercase": "yes"},
        {"punctuation": ""},
        {"casefold": True},
    ],
)
def test_unknown_normalizer_settings_are_refused(data: dict[str, object]) -> None:
    with pytest.raises(InputError, match=next(iter(data))):
        Normalizer.from_dict(data)


def test_symbols_stand_in_order_of_code_points_space_first() -> None:
    vocabulary = Vocabulary.from_texts(["b a", "ʼç", "A!"])
    assert vocabulary.symbols == (BLANK, " ", "a", "b", "ç", "ʼ")
    assert vocabulary == Vocabulary.from_texts(["a ʼb", "ç"])
    assert Vocabulary.from_texts(["ab"]).symbols == (BLANK, "a", "b")  # no space where there is none


def test_decomposed_vocabulary_shares_letters_and_shows_composed_text() -> None:
    normalizer = Normalizer(form="NFD")
    vocabulary = Vocabulary.from_texts(["ẹ́ é", "è"], normalizer=normalizer)
    assert vocabulary.symbols == (BLANK, " ", "e", "\u0300", "\u0301", "\u0323")
    assert vocabulary.decode(vocabulary.encode(normalizer("Ẹ́ è"))) == "ẹ́ è"


@given(st.lists(nasty_text, min_size=1, max_size=4), st.sampled_from(NORMALIZERS))
@settings(max_examples=150, deadline=None)
def test_decoding_what_was_encoded_gives_the_text_back(texts: list[str], normalizer: Normalizer) -> None:
    normalized = [normalizer(text) for text in texts]
    if not any(normalized):
        with pytest.raises(InputError, match="no text"):
            Vocabulary.from_texts(texts, normalizer=normalizer)
        return
    for kind in ("characters",) if any("<blank>" in text for text in normalized) else ("characters", "words"):
        vocabulary = Vocabulary.from_texts(texts, kind, normalizer=normalizer)
        for text in normalized:
            assert vocabulary.decode(vocabulary.encode(text)) == unicodedata.normalize("NFC", text)


def test_words_and_phones() -> None:
    words = Vocabulary.from_texts(["seven", "zero", "Seven zero"], "words")
    assert words.symbols == (BLANK, "seven", "zero")
    assert words.encode("zero seven zero") == [2, 1, 2]
    assert words.decode([2, 1]) == "zero seven"
    phones = Vocabulary.from_texts(["t͡ʃ aː E"], "phones", normalizer=Normalizer(lowercase=False, punctuation="keep"))
    assert phones.symbols == (BLANK, "E", "aː", "t͡ʃ")
    assert phones.decode(phones.encode("t͡ʃ E aː")) == "t͡ʃ E aː"


def test_an_unknown_symbol_is_named_with_utterance_and_fix() -> None:
    vocabulary = Vocabulary.from_texts(["abc"])
    with pytest.raises(
        InputError, match=r"'u7'.*'ŋ' \(U\+014B LATIN SMALL LETTER ENG\) x2.*normalizer.*unknown='skip'"
    ):
        vocabulary.encode("aŋŋ", utterance_id="u7")


def test_unknown_symbols_are_counted_and_skipped_on_request() -> None:
    vocabulary = Vocabulary.from_texts(["a b"])
    assert vocabulary.unknown("a xx b y") == Counter(x=2, y=1)
    assert vocabulary.decode(vocabulary.encode("a xx b y", unknown="skip")) == "a b"
    assert vocabulary.encode("a xx b y", unknown="skip") == [2, 1, 3]  # one space, not two
    words = Vocabulary.from_texts(["yes no"], "words")
    assert words.unknown("yes maybe") == Counter(maybe=1)
    assert words.encode("maybe yes", unknown="skip") == [2]


def test_the_blank_is_no_word() -> None:
    vocabulary = Vocabulary((BLANK, "yes"), "words")
    assert vocabulary.unknown(f"{BLANK} yes") == Counter({BLANK: 1})
    assert vocabulary.decode([0, 1, 0]) == "yes"
    with pytest.raises(InputError, match="the text contains '<blank>'"):
        Vocabulary.from_texts(["a <blank>"], "words", normalizer=Normalizer(punctuation="keep"))


@pytest.mark.parametrize("texts", [[], [""], ["...", " \u200b"]])
def test_an_empty_vocabulary_is_refused(texts: list[str]) -> None:
    with pytest.raises(InputError, match="no text"):
        Vocabulary.from_texts(texts)


@pytest.mark.parametrize(
    ("symbols", "kind", "message"),
    [
        ((), "characters", "first symbol"),
        (("a", BLANK), "characters", "first symbol"),
        ((BLANK, "a", "a"), "characters", "twice"),
        ((BLANK, ""), "words", "empty"),
        ((BLANK, "ab"), "characters", "not one character"),
        ((BLANK, "a"), "bpe", "bpe_model"),
        ((BLANK, "a"), "letters", "kind"),
    ],
)
def test_malformed_vocabularies_are_refused(symbols: tuple[str, ...], kind: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Vocabulary(symbols, kind)  # type: ignore[arg-type]


@pytest.mark.parametrize("ids", [[3], [-1]])
def test_ids_outside_are_refused(ids: list[int]) -> None:
    with pytest.raises(InputError, match="of 3 symbols"):
        Vocabulary.from_texts(["ab"]).decode(ids)


def test_saving_and_loading(tmp_path) -> None:
    vocabulary = Vocabulary.from_texts(["हिन्दी में", "ẹ́ ʼ\u200d"])
    vocabulary.save(tmp_path / "vocabulary.json")
    assert Vocabulary.load(tmp_path / "vocabulary.json") == vocabulary
    assert [path.name for path in tmp_path.iterdir()] == ["vocabulary.json"]


def vocabulary_file(kind: object, symbols: object, model: object = "") -> str:
    return json.dumps({"format": "speechxfer-vocabulary-1", "kind": kind, "symbols": symbols, "bpe_model": model})


@pytest.mark.parametrize(
    "content",
    [
        *("", "[1]", "{}", '{"format": "speechxfer-vocabulary-1"}', "\udcff"),
        *(vocabulary_file("words", [1]), vocabulary_file("words", ["a"]), vocabulary_file(3, [BLANK])),
        *(vocabulary_file("bpe", [BLANK], "?"), vocabulary_file("bpe", [BLANK], 1)),
    ],
)
def test_files_that_are_no_vocabulary_are_named(tmp_path, content: str) -> None:
    path = tmp_path / "v.json"
    path.write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(InputError, match=r"v\.json"):
        Vocabulary.load(path)
    with pytest.raises(InputError, match="absent"):
        Vocabulary.load(tmp_path / "absent.json")


def test_bpe_is_deterministic_and_reads_back(tmp_path) -> None:
    sentencepiece = pytest.importorskip("sentencepiece")
    texts = ["she sells sea shells", "by the sea shore", "ẹ́ shells she sells", "Sea, sea!"] * 3
    vocabulary = Vocabulary.from_texts(texts, "bpe", bpe_size=30)
    again = Vocabulary.from_texts(reversed(texts), "bpe", bpe_size=30)
    assert vocabulary == again
    assert vocabulary.bpe_model == again.bpe_model
    assert (len(vocabulary.symbols), vocabulary.symbols[0]) == (30, BLANK)
    ids = vocabulary.encode("she sells ẹ́")
    reference = sentencepiece.SentencePieceProcessor(model_proto=vocabulary.bpe_model)
    assert ids == reference.encode("she sells ẹ́")
    assert vocabulary.decode(ids) == reference.decode(ids) == "she sells ẹ́"
    assert len(ids) < len("she sells ẹ́")
    vocabulary.save(tmp_path / "v.json")
    assert Vocabulary.load(tmp_path / "v.json").encode("the sea") == vocabulary.encode("the sea")
    assert vocabulary.unknown("sea x▁") == Counter({"x": 1, "▁": 1})  # sentencepiece would take the latter for a space
    assert vocabulary.decode(vocabulary.encode("sxea", unknown="skip")) == "sea"
    with pytest.raises(InputError, match=r"U\+0078"):
        vocabulary.encode("x")


def test_bpe_of_little_text_has_fewer_symbols_and_too_few_are_refused() -> None:
    pytest.importorskip("sentencepiece")
    vocabulary = Vocabulary.from_texts(["ab", "a b"], "bpe")  # asked for 500
    assert {"a", "b", "▁"} < set(vocabulary.symbols)
    assert len(vocabulary.symbols) < 10
    with pytest.raises(InputError, match=r"3 different characters; expected at least 4"):
        Vocabulary.from_texts(["ab", "a b"], "bpe", bpe_size=3)
    assert len(Vocabulary.from_texts(["ab", "a b"], "bpe", bpe_size=4).symbols) == 4


def test_bpe_without_sentencepiece_says_what_to_install(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "sentencepiece", None)
    with pytest.raises(InputError, match=r"speechxfer\[bpe\]"):
        Vocabulary.from_texts(["a b"], "bpe")


def test_text_and_scoring_never_import_torch() -> None:
    code = (
        "import sys, speechxfer.text, speechxfer.scoring; sys.exit(bool({'torch', 'sentencepiece'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
