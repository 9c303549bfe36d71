"""Text: normalisation, vocabularies, and letter-to-phone tables. Never imports torch.

* `Normalizer`: the text rule of a model, for vocabulary, training and both sides of scoring.
* `Vocabulary` (of a `Kind`; symbol 0 is `BLANK`): text to symbol ids and back; `describe_symbol` names a symbol in messages;
  `load_sentencepiece` opens a BPE model.
* `LetterTable`: which phone a letter stands for. `read_letter_tables`, `select_letter_tables`, `describe_letter_tables`,
  `match_language`, `estimate_letter_phones` (from transcribed words), `find_phone`, `find_romanised_phone`; `split_phones` and
  `IPA_VOWELS` for IPA text.
* `list_base_letters`, `remove_tone_marks`: letters without combining marks.
"""

from speechxfer.text.languages import describe_letter_tables, match_language, select_letter_tables
from speechxfer.text.letters import list_base_letters, remove_tone_marks
from speechxfer.text.normalizer import Normalizer
from speechxfer.text.phones import (
    IPA_VOWELS,
    LetterTable,
    estimate_letter_phones,
    find_phone,
    find_romanised_phone,
    split_phones,
)
from speechxfer.text.sentencepieces import load_sentencepiece
from speechxfer.text.vocabulary import BLANK, Kind, Vocabulary, describe_symbol, read_letter_tables

__all__ = [
    "BLANK",
    "IPA_VOWELS",
    "Kind",
    "LetterTable",
    "Normalizer",
    "Vocabulary",
    "describe_letter_tables",
    "describe_symbol",
    "estimate_letter_phones",
    "find_phone",
    "find_romanised_phone",
    "list_base_letters",
    "load_sentencepiece",
    "match_language",
    "read_letter_tables",
    "remove_tone_marks",
    "select_letter_tables",
    "split_phones",
]
