"""Text: normalisation, vocabularies, and letter-to-phone tables. Never imports torch.

* `Normalizer`: the text rule of a model, for vocabulary, training and both sides of scoring.
* `Vocabulary` (of a `Kind`; symbol 0 is `BLANK`): text to symbol ids and back; `describe_symbol` names a symbol in messages;
  `load_sentencepiece` opens a BPE model.
* `LetterTable`: which phone a letter stands for. `read_letter_tables`, `select_letter_tables`, `describe_letter_tables`,
  `match_language`, `find_phone`, `find_romanised_phone`; `split_phones` and `IPA_VOWELS` for IPA text.
* `list_base_letters`, `remove_tone_marks`: letters without combining marks.
"""

from speechxfer.text.letters import list_base_letters as list_base_letters
from speechxfer.text.letters import remove_tone_marks as remove_tone_marks
from speechxfer.text.normalizer import Normalizer as Normalizer
from speechxfer.text.phones import AUTO_PHONES as AUTO_PHONES
from speechxfer.text.phones import IPA_VOWELS as IPA_VOWELS
from speechxfer.text.phones import LetterTable as LetterTable
from speechxfer.text.phones import describe_letter_tables as describe_letter_tables
from speechxfer.text.phones import find_phone as find_phone
from speechxfer.text.phones import find_romanised_phone as find_romanised_phone
from speechxfer.text.phones import match_language as match_language
from speechxfer.text.phones import select_letter_tables as select_letter_tables
from speechxfer.text.phones import split_phones as split_phones
from speechxfer.text.vocabulary import BLANK as BLANK
from speechxfer.text.vocabulary import Kind as Kind
from speechxfer.text.vocabulary import Vocabulary as Vocabulary
from speechxfer.text.vocabulary import describe_symbol as describe_symbol
from speechxfer.text.vocabulary import load_sentencepiece as load_sentencepiece
from speechxfer.text.vocabulary import read_letter_tables as read_letter_tables
