"""Vocabularies: the symbols that a model can emit, and the conversion between normalised text and symbol ids."""

import base64
import binascii
import itertools
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

from speechxfer.errors import InputError
from speechxfer.runtime import write_atomically
from speechxfer.text.normalizer import Normalizer
from speechxfer.text.sentencepieces import load_sentencepiece, load_tokenizer, train_bpe

Kind = Literal["characters", "words", "bpe", "phones"]
BLANK = "<blank>"
VOCABULARY_FORMAT = "speechxfer-vocabulary-1"


@dataclass(frozen=True)
class Vocabulary:
    """The symbols a model can emit; symbol i is row i of its head. Equal when kind and symbols are equal.

    `encode`, `unknown` and `from_texts` split text alike: "characters" into code points, the space included; "words"
    and "phones" at spaces; "bpe" into sentencepiece's pieces. `encode` and `unknown` take *normalised* text.

    Attributes:
        symbols: ``symbols[0]`` is "<blank>", also for words and phones (a classifier simply never labels with 0).
        kind: what a symbol is.
        bpe_model: for kind "bpe" the sentencepiece model (protocol buffer), or the ``tokenizer.json`` of the tokenizers
            library; else empty.
        letters: for kind "phones", by language which phone a letter most often stands for; may be empty.

    Raises:
        InputError: no blank first, a symbol twice or empty, or a BPE vocabulary without its model.
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
        twice = [symbol for symbol, count in Counter(self.symbols).items() if count > 1 or not symbol]
        if twice:
            raise InputError(f"vocabulary: symbol {twice[0]!r} is empty or there twice; every symbol stands once")
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
            texts: as the corpus has them; `normalizer` is applied here.
            kind: what a symbol is.
            normalizer: the model's. For X-SAMPA or other phones in which case or punctuation matters, pass
                ``Normalizer(lowercase=False, punctuation="keep")``.
            bpe_size: most symbols, the blank included, for kind "bpe" (needs the extra ``bpe``); a text that does not
                yield that many pieces gives fewer.

        Raises:
            InputError: there is no text, nothing is left of it after normalisation, it holds "<blank>" as a word, or
                `bpe_size` is less than what the single characters need.
        """
        lines = sorted(line for line in map(normalizer, texts) if line)
        if not lines:
            raise InputError(
                "vocabulary: there is no text to take symbols from (none given, or only punctuation); "
                "give the training transcripts"
            )
        if kind == "bpe":
            model = train_bpe(lines, bpe_size)
            pieces = load_sentencepiece(model)
            return cls((BLANK, *(pieces.id_to_piece(i) for i in range(1, pieces.get_piece_size()))), kind, model)
        symbols = {symbol for line in lines for symbol in _split(line, kind)}
        if BLANK in symbols:
            raise InputError(f"vocabulary: the text holds {BLANK!r}, the name of symbol 0; expected none; take it out")
        return cls((BLANK, *sorted(symbols)), kind)

    def encode(self, text: str, *, utterance_id: str = "", unknown: Literal["error", "skip"] = "error") -> list[int]:
        """Label ids of a *normalised* text, without blanks.

        Args:
            text: what the model's normaliser returned.
            utterance_id: named in the error.
            unknown: "error", or "skip" to leave symbols out that the vocabulary lacks (count them with `unknown`).

        Raises:
            InputError: a symbol is not in the vocabulary, and `unknown` is "error".
        """
        strange = self.unknown(text)
        if strange and unknown == "error":
            raise InputError(self._complaint(strange, text, utterance_id))
        if self.kind == "bpe":
            return [self._ids[piece] for piece in self._pieces("".join(c for c in text if c not in strange))]
        symbols = [symbol for symbol in _split(text, self.kind) if symbol not in strange]
        if strange and self.kind == "characters":
            symbols = list(" ".join("".join(symbols).split()))  # a word that went whole leaves no double space behind
        return [self._ids[symbol] for symbol in symbols]

    def unknown(self, text: str) -> "Counter[str]":
        """The symbols of a normalised text that the vocabulary lacks (for BPE: characters), counted."""
        if self.kind == "bpe":
            return Counter(character for character in text if character not in self._bpe_characters)
        return Counter(symbol for symbol in _split(text, self.kind) if symbol == BLANK or symbol not in self._ids)

    def decode(self, ids: Iterable[int]) -> str:
        """Text of label ids (CTC's repeats already merged); blanks give nothing; composed (NFC), single spaces.

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

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        data: dict[str, Any] = {"format": VOCABULARY_FORMAT, "kind": self.kind, "symbols": list(self.symbols)}
        if self.bpe_model:
            data["bpe_model"] = base64.b64encode(self.bpe_model).decode("ascii")
        if self.letters:
            data["letters"] = {language: dict(table) for language, table in self.letters.items()}
        return data

    def save(self, path: Path | str) -> None:
        """Write one JSON file, a symbol a line; it appears whole or not at all."""
        write_atomically(Path(path), json.dumps(self.to_dict(), ensure_ascii=False, indent=1) + "\n")

    @classmethod
    def load(cls, path: Path | str) -> "Vocabulary":
        """Read what `save` wrote.

        Raises:
            InputError: the file is missing or is no vocabulary.
        """
        try:
            data = json.loads(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror}); give a vocabulary's path") from error
        except ValueError as error:
            raise InputError(f"{path}: not JSON in UTF-8 ({error}); write it anew with Vocabulary.save") from error
        return cls.from_dict(data, path)

    @classmethod
    def from_dict(cls, data: Any, path: Path | str) -> "Vocabulary":
        """What `to_dict` gave, as read from `path`; InputError if it is no vocabulary."""
        if not isinstance(data, dict) or data.get("format") != VOCABULARY_FORMAT:
            raise InputError(f"{path}: 'format' is not {VOCABULARY_FORMAT!r}; expected what Vocabulary.save writes")
        symbols = data.get("symbols")
        if not isinstance(symbols, list) or not all(isinstance(symbol, str) for symbol in symbols):
            raise InputError(f"{path}: 'symbols' must be a list of strings; write the file anew with Vocabulary.save")
        try:
            model = base64.b64decode(data.get("bpe_model", ""), validate=True)
            return cls(tuple(symbols), data.get("kind", ""), model, checked_letters(data.get("letters", {})))
        except (binascii.Error, TypeError) as error:
            raise InputError(f"{path}: 'bpe_model' is not base64; write the file anew with Vocabulary.save") from error
        except InputError as error:
            raise InputError(f"{path}: {error}") from error

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {symbol: i for i, symbol in enumerate(self.symbols)}

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

    def _complaint(self, strange: "Counter[str]", text: str, utterance_id: str) -> str:
        shown = ", ".join(f"{describe_symbol(symbol)} x{count}" for symbol, count in strange.most_common(5))
        more = f" and {len(strange) - 5} more" if len(strange) > 5 else ""
        where = f"utterance {utterance_id!r}" if utterance_id else f"text {text[:60]!r}"
        return (
            f"{where}: not in the vocabulary of {len(self.symbols)} symbols: {shown}{more}; expected only symbols of "
            "the training text; correct the transcript, normalise it with the model's normalizer, add such text to the "
            "training set, or go on without these symbols (unknown='skip')"
        )


def checked_letters(data: object) -> dict[str, dict[str, str]]:
    """Letter tables as JSON holds them (language to letter to phone); InputError for anything else."""
    if isinstance(data, dict) and all(isinstance(table, dict) for table in data.values()):
        pairs = [pair for table in data.values() for pair in table.items()]
        if all(isinstance(text, str) for text in itertools.chain(data, *pairs)):
            return data
    raise InputError("'letters' must map languages to letters to phones, all of them strings; write the file anew")


def describe_symbol(symbol: str) -> str:
    """A symbol as a person can recognise it: ``'ŋ' (U+014B LATIN SMALL LETTER ENG)``."""
    if len(symbol) != 1:
        return repr(symbol)
    return f"{symbol!r} (U+{ord(symbol):04X} {unicodedata.name(symbol, 'no name')})"


def _split(text: str, kind: Kind) -> list[str]:
    return list(text) if kind == "characters" else text.split()


def read_letters(path: Path) -> dict[str, dict[str, str]]:
    """The JSON file that `text.letters` names: language to letter to phone; InputError if it is missing or damaged."""
    try:
        return checked_letters(json.loads(path.read_text(encoding="utf-8-sig")))
    except (OSError, ValueError, InputError) as error:
        raise InputError(f"{path}: no letter tables ({error}); write them anew, or leave text.letters empty") from error
