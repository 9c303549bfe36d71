"""Normaliser and vocabulary from the settings in ``[text]``."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from speechxfer.config import Config
from speechxfer.data import Utterance
from speechxfer.text import Kind, Normalizer, Vocabulary, read_letter_tables


def build_normalizer(config: Config) -> Normalizer:
    """The normaliser of transcripts that ``[text]`` describes."""
    text = config.text
    return Normalizer(form=text.form, lowercase=text.lowercase, punctuation=text.punctuation)


def vocabulary_kind(config: Config) -> Kind:
    """The kind of symbols; a classifier's symbols are labels, each the whole text of an utterance."""
    return "labels" if config.text.task == "classify" else config.text.vocabulary


def build_vocabulary(config: Config, utterances: Sequence[Utterance]) -> Vocabulary:
    """The vocabulary of these utterances' texts, of the kind that ``[text]`` describes."""
    text = config.text
    vocabulary = Vocabulary.from_texts(
        (u.text for u in utterances),
        vocabulary_kind(config),
        normalizer=build_normalizer(config),
        bpe_size=text.bpe_size,
    )
    return replace(vocabulary, letters=read_letter_tables(Path(text.letters))) if text.letters else vocabulary
