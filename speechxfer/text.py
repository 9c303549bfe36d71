"""Text: the one normaliser, and the vocabulary that turns normalised text into label ids and back.

What it is: `Normalizer` (used alike for the vocabulary, for training and for *both* sides of scoring; stored with every
model) and `Vocabulary` (characters, words, sentencepiece BPE, phones). What it is not: a tokenizer for language models,
a transliterator, or a speller-out of numbers and units ("5 km" stays "5 km"; write them out in the corpus).

Conventions:
    * A character is one Unicode code point of the normalised text. Combining marks (Mn, Mc) belong to their letter and
      are never dropped: without them Hindi loses its vowels and Yoruba its tones.
    * ``Normalizer`` is idempotent: normalising twice changes nothing (a property test holds it to that).
    * Symbol 0 is the CTC blank; the others stand in order of code points (so the space, if any, is symbol 1).
    * Dropped as carrying nothing spoken: control and format characters, lone surrogates, variation selectors, the
      combining grapheme joiner, the Arabic and N'Ko letter stretchers. The zero-width joiner and non-joiner stay behind
      a letter or mark (Persian and Indic spelling needs them).
    * Lower-casing is Unicode's default one, but the Turkish and Azeri dotted capital (U+0130) becomes a plain i. The
      dotless i (U+0131) cannot be told from the other in capitals: a text in Turkish capitals wants lower-casing by
      Turkish rules first.

Sources: Unicode Standard Annex 15 (normalisation forms) and 44 (general categories), Unicode 15 section 23 (format
characters); sentencepiece: Kudo and Richardson, EMNLP 2018; BPE: Sennrich, Haddow and Birch, ACL 2016.
"""

import base64
import binascii
import io
import itertools
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Literal, get_args

from speechxfer.errors import InputError
from speechxfer.manifest import write_whole

Form = Literal["NFC", "NFD"]
Punctuation = Literal["strip", "keep"]
Kind = Literal["characters", "words", "bpe", "phones"]

BLANK = "<blank>"
NORMALIZER_VERSION = 1
VOCABULARY_FORMAT = "speechxfer-vocabulary-1"

# Written for the apostrophe: quotation marks, prime, acute, grave, fullwidth, Armenian. (U+02BC, U+02BB and U+A78C look
# like it but are letters, of African, American and Pacific alphabets.)
APOSTROPHES = "'\u2019\u2018\u201b\u2032\u00b4\u0060\uff07\u055a"
HYPHENS = "-\u2010\u2011"  # the dashes are punctuation
MIDDLE_DOT = "\u00b7"  # inside a word: Catalan l·l
IGNORABLE = frozenset(
    "\u034f\u0640\u07fa" + "".join(map(chr, (*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0))))
)  # grapheme joiner, tatweel, N'Ko lajanyalan, variation selectors
ARMENIAN_INNER = "\u055b\u055c\u055e"  # emphasis, exclamation, question: inside a word, so no space replaces them
MYANMAR_WORDS = "\u104c\u104d\u104e\u104f"  # punctuation by category, spoken words in fact
JOINERS = "\u200c\u200d"
_MISPLACED_JOINER = re.compile(rf"(?<![^ '{MIDDLE_DOT}-])[{JOINERS}]+")
_LONE_INNER = re.compile(rf"(?<![^ '{MIDDLE_DOT}-])['{MIDDLE_DOT}-]+|['{MIDDLE_DOT}-]{{2,}}|['{MIDDLE_DOT}-]+(?= |$)")


@dataclass(frozen=True)
class Normalizer:
    """The text rule of a model: ``normalizer(text)`` gives the text that is learnt, recognised and scored.

    Attributes:
        version: of the rule; a model keeps the one it was trained with.
        form: "NFC" composes letters with their marks; "NFD" takes them apart, so that tone marks become symbols.
        lowercase: whether capitals are lower-cased.
        punctuation: "strip" makes punctuation and symbols (dashes too) a space, but keeps a single apostrophe, hyphen
            or middle dot between two characters of a word; curly apostrophes become '. Modifier letters (U+02BC) and
            tone letters (U+02E5) are letters. "keep" leaves punctuation as it is written.

    Raises:
        InputError: a field has a value that is not one of these.
    """

    version: int = NORMALIZER_VERSION
    form: Form = "NFC"
    lowercase: bool = True
    punctuation: Punctuation = "strip"

    def __post_init__(self) -> None:
        allowed: dict[str, tuple[Any, ...]] = {
            "version": (NORMALIZER_VERSION,),
            "form": get_args(Form),
            "lowercase": (True, False),
            "punctuation": get_args(Punctuation),
        }
        for name, values in allowed.items():
            value = getattr(self, name)
            if not any(type(value) is type(other) and value == other for other in values):
                raise InputError(
                    f"normalizer: {name} is {value!r}; expected one of {', '.join(map(repr, values))}; "
                    "correct it, or use the release of speechxfer that wrote it"
                )

    def __call__(self, text: str) -> str:
        """Normalise `text`; words end up separated by single spaces, with none at the ends."""
        strip = self.punctuation == "strip"
        text = "".join(character for character in text if not _carries_nothing(character))
        text = unicodedata.normalize("NFC", text)
        if self.lowercase:
            text = text.replace("\u0130", "i").lower()
        text = "".join(_mapped(character, strip) for character in text)
        text = _MISPLACED_JOINER.sub("", text)
        if strip:
            text = _LONE_INNER.sub(" ", text)
        return unicodedata.normalize(self.form, " ".join(word for word in text.split(" ") if word))

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain data, for a model's JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "Normalizer":
        """The normaliser that `to_dict` described.

        Raises:
            InputError: an unknown or a missing key, or a version or value this release does not know.
        """
        known = [entry.name for entry in fields(cls)]
        strange = sorted(set(data) ^ set(known))
        if strange:
            what = "unknown" if strange[0] in data else "missing"
            raise InputError(
                f"normalizer: {what} key {strange[0]!r}; expected {', '.join(known)}; "
                "mend it, or use the release of speechxfer that wrote it"
            )
        return cls(**data)


@cache
def _carries_nothing(character: str) -> bool:
    if character.isspace() or character in JOINERS:
        return False
    return character in IGNORABLE or unicodedata.category(character) in ("Cc", "Cf", "Cs")


@cache
def _mapped(character: str, strip: bool) -> str:
    """What one character becomes: itself, a space, an apostrophe, a hyphen, or nothing."""
    if character.isspace():
        return " "
    if not strip or character == MIDDLE_DOT or character in MYANMAR_WORDS:
        return character
    if character in APOSTROPHES:
        return "'"
    if character in HYPHENS:
        return "-"
    if character in ARMENIAN_INNER:
        return ""
    category = unicodedata.category(character)
    if category == "Sk" and unicodedata.name(character, "").startswith("MODIFIER LETTER"):
        return character  # tone letters and the like: symbols by category, letters in use
    return " " if category[0] in "PS" else character


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
            model = _train_bpe(lines, bpe_size)
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
        write_whole(Path(path), json.dumps(self.to_dict(), ensure_ascii=False, indent=1) + "\n")

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
        return (
            _load_tokenizer(self.bpe_model) if self.bpe_model.startswith(b"{") else load_sentencepiece(self.bpe_model)
        )

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


def _train_bpe(lines: list[str], size: int) -> bytes:
    """Train sentencepiece's BPE on sorted, normalised lines: one thread, every character covered, no byte pieces."""
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
        hard_vocab_limit=False,  # little text: as many pieces as there are
        character_coverage=1.0,
        byte_fallback=False,
        normalization_rule_name="identity",  # ours has been applied
        split_by_unicode_script=False,  # a mark or apostrophe never ends a piece for its script's sake
        num_threads=1,
        shuffle_input_sentence=False,
        max_sentence_length=max(10, *(len(line.encode()) + 1 for line in lines)),  # longer ones would be left out
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


def _load_tokenizer(description: bytes) -> Any:
    try:
        import tokenizers
    except ImportError as error:
        raise InputError(
            "vocabulary: these pieces need the package tokenizers, which is not installed; "
            "install it with: pip install 'speechxfer[hf]'"
        ) from error
    tokenizer = tokenizers.Tokenizer.from_buffer(description)
    tokenizer.no_padding()  # a tokenizer that was saved after use may pad or cut what it spells
    tokenizer.no_truncation()
    return tokenizer


def _sentencepiece() -> Any:
    try:
        import sentencepiece
    except ImportError as error:
        raise InputError(
            "vocabulary: kind 'bpe' needs the package sentencepiece, which is not installed; "
            "install it with: pip install 'speechxfer[bpe]'"
        ) from error
    return sentencepiece
