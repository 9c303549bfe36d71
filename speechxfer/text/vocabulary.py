"""Vocabularies: the symbols that a model can emit, and conversion between normalised text and symbol ids.

Symbol 0 is the CTC blank; the others are in order of code points (so the space, if any, is symbol 1). Kinds: characters, words,
sentencepiece BPE, phones, and labels, whole texts that a classifier distinguishes.

Sources: BPE: Sennrich, Haddow and Birch, ACL 2016; sentencepiece: Kudo and Richardson, EMNLP 2018.
"""

import base64
import binascii
import io
import itertools
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

from speechxfer.errors import InputError, first_names
from speechxfer.runtime import import_extra, read_json, write_atomically
from speechxfer.text.normalizer import Normalizer

Kind = Literal["characters", "words", "bpe", "phones", "labels"]
BLANK = "<blank>"
VOCABULARY_FORMAT = "speechxfer-vocabulary-1"
MAX_VOCABULARY_BYTES = 64 << 20


@dataclass(frozen=True)
class Vocabulary:
    """The symbols a model can emit; symbol i is row i of its head. Equal when kind and symbols are equal.

    `encode`, `unknown` and `from_texts` split text in the same way: "characters" into code points, the space included; "words"
    and "phones" at spaces; "bpe" into sentencepiece's pieces; "labels" not at all. `encode` and `unknown` take *normalised* text.

    Attributes:
        symbols: ``symbols[0]`` is "<blank>", also for words and phones (a classifier never uses label 0).
        kind: what a symbol is.
        bpe_model: for kind "bpe" the sentencepiece model (protocol buffer), or the ``tokenizer.json`` of the tokenizers
            library; else empty.
        letters: for kind "phones", letter tables by language: the phone that a letter most often stands for; may be empty.

    Raises:
        InputError: no blank first, a symbol twice or empty, or a BPE vocabulary without its model.

    >>> import speechxfer as sx
    >>> vocabulary = sx.Vocabulary.from_texts(["a cab", "bad"])
    >>> vocabulary.symbols
    ('<blank>', ' ', 'a', 'b', 'c', 'd')
    >>> vocabulary.encode("dab"), vocabulary.decode([5, 2, 3])
    ([5, 2, 3], 'dab')
    """

    symbols: tuple[str, ...]
    kind: Kind = "characters"
    bpe_model: bytes = field(default=b"", compare=False, repr=False)
    letters: Mapping[str, Mapping[str, str]] = field(default_factory=dict, compare=False, repr=False)

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise InputError(f"vocabulary: kind is {self.kind!r}; expected {', '.join(get_args(Kind))}; correct it")
        if not self.symbols or self.symbols[0] != BLANK:
            raise InputError(f"vocabulary: the first symbol must be {BLANK!r}; put it in front of the others")
        repeated = [symbol for symbol, count in Counter(self.symbols).items() if count > 1 or not symbol]
        if repeated:
            raise InputError(f"vocabulary: symbol {repeated[0]!r} is empty or occurs twice; write every symbol once")
        if self.kind == "characters":
            long = [symbol for symbol in self.symbols[1:] if len(symbol) != 1]
            if long:
                raise InputError(f"vocabulary: {long[0]!r} is not one character; use kind 'phones' or 'words' for it")
        if (self.kind == "bpe") != bool(self.bpe_model):
            raise InputError("vocabulary: kind 'bpe', and no other, needs bpe_model; load it with Vocabulary.load")

    @classmethod
    def from_texts(
        cls,
        texts: Iterable[str],
        kind: Kind = "characters",
        *,
        normalizer: Normalizer = Normalizer(),
        bpe_size: int = 500,
    ) -> "Vocabulary":
        """Collect the symbols of the *training* texts; the same texts in any order give the same symbols.

        Args:
            texts: as in the corpus; `normalizer` is applied here.
            kind: what a symbol is.
            normalizer: the model's. For X-SAMPA or other phones in which case or punctuation matters, pass
                ``Normalizer(lowercase=False, punctuation="keep")``.
            bpe_size: maximum number of symbols, including the blank, for kind "bpe" (extra ``bpe``); a short text gives fewer.

        Raises:
            InputError: there is no text, it is empty after normalisation, it contains "<blank>" as a word, or `bpe_size` is
                less than the number of characters needs.
        """
        lines: Iterable[str] = map(normalizer, texts)
        if kind == "bpe":
            lines = sorted(filter(None, lines))
        symbols: set[str] = set()
        for line in lines:
            symbols.update(_split(line, kind))
        if not symbols:
            raise InputError(
                "vocabulary: there is no text to take symbols from (none given, or only punctuation); "
                "give the training transcripts"
            )
        if kind == "bpe":
            model = train_bpe(list(lines), bpe_size)
            pieces = load_sentencepiece(model)
            return cls((BLANK, *(pieces.id_to_piece(i) for i in range(1, pieces.get_piece_size()))), kind, model)
        if BLANK in symbols:
            raise InputError(f"vocabulary: the text contains {BLANK!r}, the name of symbol 0; remove it")
        return cls((BLANK, *sorted(symbols)), kind)

    def encode(self, text: str, *, utterance_id: str = "", unknown: Literal["error", "skip"] = "error") -> list[int]:
        """Label ids of a *normalised* text, without blanks.

        Args:
            text: what the model's normaliser returned.
            utterance_id: named in the error.
            unknown: "error", or "skip" to skip symbols that the vocabulary lacks (count them with `unknown`).

        Raises:
            InputError: a symbol is not in the vocabulary, and `unknown` is "error".
        """
        missing = self.unknown(text)
        if missing and unknown == "error":
            raise InputError(self._missing_message(missing, text, utterance_id))
        if not missing and self.kind != "bpe":
            return list(map(self._ids.__getitem__, _split(text, self.kind)))
        if self.kind == "bpe":
            return [self._ids[piece] for piece in self._pieces("".join(c for c in text if c not in missing))]
        symbols = [symbol for symbol in _split(text, self.kind) if symbol not in missing]
        if missing and self.kind == "characters":
            symbols = list(" ".join("".join(symbols).split()))  # no double space where a whole word was skipped
        return [self._ids[symbol] for symbol in symbols]

    def unknown(self, text: str) -> "Counter[str]":
        """The symbols of a normalised text that the vocabulary lacks (for BPE: characters), counted."""
        if self.kind == "bpe":
            return Counter(character for character in text if character not in self._bpe_characters)
        symbols = _split(text, self.kind)
        return Counter() if self._known.issuperset(symbols) else Counter(s for s in symbols if s not in self._known)

    def decode(self, ids: Iterable[int]) -> str:
        """Text of label ids (CTC's repeats already merged); blanks are skipped; composed (NFC), single spaces.

        Raises:
            InputError: an id is not a row of this vocabulary.
        """
        symbols = []
        for i in ids:
            if not 0 <= i < len(self.symbols):
                raise InputError(
                    f"vocabulary: id {i} of {len(self.symbols)} symbols; expected 0 to {len(self.symbols) - 1}; "
                    "use the vocabulary that was saved with the model"
                )
            if i:
                symbols.append(self.symbols[i])
        if self.kind == "bpe":
            text = "".join(symbols).replace("▁", " ")
        else:
            text = ("" if self.kind == "characters" else " ").join(symbols)
        return unicodedata.normalize("NFC", " ".join(text.split()))

    def split_words(self, ids: Sequence[int]) -> list[tuple[str, int, int]]:
        """The words of label ids without blanks: text (as in `decode`), position of the first and of the last of its ids.

        >>> import speechxfer as sx
        >>> sx.Vocabulary.from_texts(["a cab", "bad"]).split_words([3, 2, 1, 5])
        [('ba', 0, 1), ('d', 3, 3)]
        """
        words: list[list[Any]] = []  # text, first, last
        inside = False
        for position, i in enumerate(ids):
            symbol = self.symbols[i]
            if self.kind not in ("characters", "bpe"):
                words.append([symbol, position, position])
                continue
            for character in symbol.replace("▁", " ") if self.kind == "bpe" else symbol:
                if character.isspace():
                    inside = False
                elif inside:
                    words[-1][0] += character
                    words[-1][2] = position
                else:
                    words.append([character, position, position])
                    inside = True
        return [(unicodedata.normalize("NFC", text), first, last) for text, first, last in words]

    def to_dict(self) -> dict[str, Any]:
        """The vocabulary as plain values, for JSON."""
        data: dict[str, Any] = {"format": VOCABULARY_FORMAT, "kind": self.kind, "symbols": list(self.symbols)}
        if self.bpe_model:
            data["bpe_model"] = base64.b64encode(self.bpe_model).decode("ascii")
        if self.letters:
            data["letters"] = {language: dict(table) for language, table in self.letters.items()}
        return data

    def save(self, path: Path | str) -> None:
        """Write one JSON file, a symbol a line; it is written whole or not at all."""
        write_atomically(Path(path), json.dumps(self.to_dict(), ensure_ascii=False, indent=1) + "\n")

    @classmethod
    def load(cls, path: Path | str) -> "Vocabulary":
        """Read what `save` wrote.

        Raises:
            InputError: the file is missing or is no vocabulary.
        """
        fix = "give the path of a file that Vocabulary.save wrote"
        return cls.from_dict(read_json(path, fix=fix, max_bytes=MAX_VOCABULARY_BYTES), path)

    @classmethod
    def from_dict(cls, data: Any, path: Path | str) -> "Vocabulary":
        """The vocabulary that `to_dict` described, as read from `path`; InputError if it is not one."""
        if not isinstance(data, dict) or data.get("format") != VOCABULARY_FORMAT:
            raise InputError(f"{path}: 'format' is not {VOCABULARY_FORMAT!r}; expected what Vocabulary.save writes")
        symbols = data.get("symbols")
        if not isinstance(symbols, list) or not all(isinstance(symbol, str) for symbol in symbols):
            raise InputError(f"{path}: 'symbols' must be a list of strings; write the file again with Vocabulary.save")
        try:
            model = base64.b64decode(data.get("bpe_model", ""), validate=True)
            return cls(tuple(symbols), data.get("kind", ""), model, validate_letter_tables(data.get("letters", {})))
        except (binascii.Error, TypeError) as error:
            raise InputError(f"{path}: 'bpe_model' is not base64; write the file again with Vocabulary.save") from error
        except InputError as error:
            raise InputError(f"{path}: {error}") from error

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {symbol: i for i, symbol in enumerate(self.symbols)}

    @cached_property
    def _known(self) -> frozenset[str]:
        return frozenset(self.symbols[1:])

    def _pieces(self, text: str) -> list[str]:
        if self.bpe_model.startswith(b"{"):
            return list(self._bpe.encode(text, add_special_tokens=False).tokens)
        return list(self._bpe.encode(text, out_type=str))

    @cached_property
    def _bpe(self) -> Any:
        return load_tokenizer(self.bpe_model) if self.bpe_model.startswith(b"{") else load_sentencepiece(self.bpe_model)

    @cached_property
    def _bpe_characters(self) -> frozenset[str]:
        special = re.compile("<.+>")  # <unk>, <pad>: names, not letters
        pieces = (symbol for symbol in self.symbols[1:] if not special.fullmatch(symbol))
        return frozenset("".join(pieces).replace("▁", " ")) | {" "}

    def _missing_message(self, missing: "Counter[str]", text: str, utterance_id: str) -> str:
        shown = first_names([f"{describe_symbol(symbol)} x{count}" for symbol, count in missing.most_common()])
        where = f"utterance {utterance_id!r}" if utterance_id else f"text {text[:60]!r}"
        return (
            f"{where}: not in the vocabulary of {len(self.symbols)} symbols: {shown}; expected only symbols of "
            "the training text; correct the transcript, normalise it with the model's normalizer, add such text to the "
            "training set, or skip these symbols (unknown='skip')"
        )


def validate_letter_tables(data: object) -> dict[str, dict[str, str]]:
    """Letter tables as in JSON (language to letter to phone); InputError for anything else."""
    if isinstance(data, dict) and all(isinstance(table, dict) for table in data.values()):
        pairs = [pair for table in data.values() for pair in table.items()]
        if all(isinstance(text, str) for text in itertools.chain(data, *pairs)):
            return data
    raise InputError("'letters' must map languages to letters to phones, all of them strings; write the file again")


def describe_symbol(symbol: str) -> str:
    """A symbol with its code point and name: ``'ŋ' (U+014B LATIN SMALL LETTER ENG)``."""
    if len(symbol) != 1:
        return repr(symbol)
    return f"{symbol!r} (U+{ord(symbol):04X} {unicodedata.name(symbol, 'no name')})"


def _split(text: str, kind: Kind) -> Sequence[str]:
    if kind == "labels":
        return [text] if text else []
    return text if kind == "characters" else text.split()


def read_letter_tables(path: Path) -> dict[str, dict[str, str]]:
    """The JSON file that `text.letters` names: language to letter to phone; InputError if it is missing or damaged."""
    fix = "name a file of letter tables, or leave text.letters empty"
    data = read_json(path, fix=fix, max_bytes=MAX_VOCABULARY_BYTES)
    try:
        return validate_letter_tables(data)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def train_bpe(lines: list[str], size: int) -> bytes:
    """Train a BPE model on sorted, normalised lines: one thread, every character covered, no byte pieces.

    Raises:
        InputError: `size` is less than the number of characters needs, or sentencepiece (extra ``bpe``) is not installed.
    """
    needed = len(set("".join(lines)) | {" "}) + 1
    if size < needed:
        raise InputError(
            f"vocabulary: bpe_size is {size}, but the text has {needed - 1} different characters; "
            f"expected at least {needed} (one more, for the blank); raise bpe_size, or use kind 'characters'"
        )
    model = io.BytesIO()
    _sentencepiece().SentencePieceTrainer.train(
        sentence_iterator=iter(lines),
        model_writer=model,
        model_type="bpe",
        vocab_size=size,
        hard_vocab_limit=False,  # a short text gives fewer pieces
        character_coverage=1.0,
        byte_fallback=False,
        normalization_rule_name="identity",  # the lines are normalised already
        split_by_unicode_script=False,  # marks and apostrophes do not end a piece
        num_threads=1,
        shuffle_input_sentence=False,
        max_sentence_length=max(10, *(len(line.encode()) + 1 for line in lines)),  # longer ones would be skipped
        unk_id=0,  # row 0, which becomes the blank
        bos_id=-1,
        eos_id=-1,
        pad_id=-1,
        minloglevel=2,
    )
    return model.getvalue()


def load_sentencepiece(model: bytes) -> Any:
    """The library's processor of a sentencepiece model; InputError if it is not installed."""
    return _sentencepiece().SentencePieceProcessor(model_proto=model)


def load_tokenizer(description: bytes) -> Any:
    """The tokenizers library's tokenizer of a ``tokenizer.json``; InputError if the library (extra ``hf``) is not installed."""
    tokenizers = import_extra("tokenizers", "hf", "vocabulary: a tokenizer.json")
    tokenizer = tokenizers.Tokenizer.from_buffer(description)
    tokenizer.no_padding()  # a saved tokenizer may be set to pad or truncate
    tokenizer.no_truncation()
    return tokenizer


def _sentencepiece() -> Any:
    return import_extra("sentencepiece", "bpe", "vocabulary: kind 'bpe'")
