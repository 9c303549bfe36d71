"""TODO-DOOR"""

from speechxfer.text.languages import letter_table_summary, letter_tables
from speechxfer.text.letters import base_letters, without_tone
from speechxfer.text.normalizer import Normalizer
from speechxfer.text.phones import IPA_VOWELS, Letters, learn_letters, phone_of_letter, phone_of_romanised, segments
from speechxfer.text.sentencepieces import load_sentencepiece
from speechxfer.text.vocabulary import BLANK, Kind, Vocabulary, describe_symbol, read_letters

__all__ = [
    "BLANK",
    "IPA_VOWELS",
    "Kind",
    "Letters",
    "Normalizer",
    "Vocabulary",
    "base_letters",
    "describe_symbol",
    "learn_letters",
    "letter_table_summary",
    "letter_tables",
    "load_sentencepiece",
    "phone_of_letter",
    "phone_of_romanised",
    "read_letters",
    "segments",
    "without_tone",
]
