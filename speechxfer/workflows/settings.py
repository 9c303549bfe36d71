"""Normaliser and vocabulary as the settings in [text] say."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from speechxfer.config import Config
from speechxfer.data import Utterance
from speechxfer.text import Kind, Normalizer, Vocabulary, read_letter_tables


def normalizer_of(config: Config) -> Normalizer:
    """How transcripts are normalised, by the settings in [text]."""
    text = config.text
    return Normalizer(form=text.form, lowercase=text.lowercase, punctuation=text.punctuation)


def vocabulary_kind(config: Config) -> Kind:
    """What a symbol is, by the settings in [text]: to classify, the whole text of an utterance is one label."""
    return "labels" if config.text.task == "classify" else config.text.vocabulary


def vocabulary_of(config: Config, utterances: Sequence[Utterance]) -> Vocabulary:
    """The symbols that these utterances' texts need, by the settings in [text]."""
    text = config.text
    vocabulary = Vocabulary.from_texts(
        (u.text for u in utterances), vocabulary_kind(config), normalizer=normalizer_of(config), bpe_size=text.bpe_size
    )
    return replace(vocabulary, letters=read_letter_tables(Path(text.letters))) if text.letters else vocabulary
