"""The training text of a language model as word ids on disk: ``<s> words </s>`` for every sentence, one after the other."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from speechxfer.errors import InputError
from speechxfer.language_models.scratch import Scratch
from speechxfer.language_models.tables import BEGIN_ID, END_ID, MAX_NGRAMS, SPECIAL, WORD_BOUNDARY, Unit
from speechxfer.text import Normalizer

TOKENS_AT_ONCE = 1 << 20


@dataclass(frozen=True)
class Corpus:
    """A text as ids.

    Attributes:
        words: the vocabulary: `SPECIAL`, then in order of first occurrence.
        tokens: int32, in a file: the sentences, each between `BEGIN_ID` and `END_ID`.
        sentences: number of sentences.
        empty: number of texts without a word, which are no sentences.
    """

    words: tuple[str, ...]
    tokens: NDArray[np.int32]
    sentences: int
    empty: int


def write_corpus(texts: Iterable[str], scratch: Scratch, unit: Unit, normalizer: Normalizer | None) -> Corpus:
    """Write the ids of some texts to a file; memory contains the vocabulary only.

    Raises:
        InputError: there is no word, or a text contains one of `SPECIAL`, or, in characters, the word boundary.
    """
    ids: defaultdict[str, int] = defaultdict()
    ids.default_factory = ids.__len__
    for word in SPECIAL:
        ids[word]
    waiting: list[int] = []
    sentences = empty = 0
    with scratch.growing(np.int32) as tokens:
        for words in split_texts(texts, unit, normalizer):
            if not words:
                empty += 1
                continue
            sentences += 1
            waiting.append(BEGIN_ID)
            waiting.extend(map(ids.__getitem__, words))
            waiting.append(END_ID)
            if len(waiting) >= TOKENS_AT_ONCE:
                tokens.append(waiting)
                waiting.clear()
        tokens.append(waiting)
        if not sentences:
            raise InputError("language model: no text to train on (none given, or only punctuation); give sentences")
        if tokens.length > MAX_NGRAMS:
            raise InputError(
                f"language model: a text of {tokens.length:,} words; expected at most {MAX_NGRAMS:,}; train on a part"
            )
        return Corpus(tuple(ids), tokens.finish(), sentences, empty)


def split_texts(texts: Iterable[str], unit: Unit, normalizer: Normalizer | None) -> Iterator[list[str] | str]:
    """The words of each text, normalised if a normaliser is given; for "character" a string with word boundaries for spaces.

    Raises:
        InputError: a text contains a word, or a character, that has a meaning of its own in the model.
    """
    reserved = frozenset(SPECIAL)
    for text in texts:
        words = (normalizer(text) if normalizer else text).split()
        if not reserved.isdisjoint(words):
            word = next(word for word in words if word in reserved)
            raise InputError(f"text {text[:60]!r}: contains {word!r}, which has a meaning in the model; remove it")
        if unit == "word":
            yield words
        else:
            if WORD_BOUNDARY in text:
                raise InputError(f"text {text[:60]!r}: contains {WORD_BOUNDARY!r}, the word boundary; remove it")
            yield WORD_BOUNDARY.join(words)
