"""Transcripts as NIST's sclite reads them: words, alternatives and optional words, as a network of words.

Source: SCTK's documentation, "sclite", "stm" and "trn" formats:
    * ``{ a b / c / @ }``: one of these; ``@`` is no word at all. Alternatives may contain alternatives, on both sides.
    * ``(a)``: a word that may be missing (`NistOptions.optional_words`).
    * ``a-`` and ``-a``: a fragment, which fits every word that begins or ends so (`NistOptions.fragments`).
    * ``word;tag;tag``: only the word counts; ``\\;`` is a semicolon. A ``*`` at the end of a word (mispronounced) is ignored.
    * Upper and lower case are the same (`NistOptions.case_sensitive`).
"""

import re
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from speechxfer.errors import InputError
from speechxfer.scoring.alignment import remove_marks

NULL = "@"
TURKISH = ("tr", "tur", "az", "aze", "azj", "azb")
_TAGS = re.compile(r"(?<!\\);")


@dataclass(frozen=True)
class NistOptions:
    """How transcripts are read; the defaults are sclite's.

    Attributes:
        case_sensitive: whether capitals differ from small letters; sclite's ``-s``.
        optional_words: whether ``(a)`` is a word that may be missing; sclite's ``-D``. Otherwise it is the word "(a)".
        fragments: whether a fragment counts as correct if it fits the word; sclite's ``-F``.
        delete_hyphens: whether hyphens are no characters; sclite's ``-c DH``.
        language: code of the language; Turkish and Azeri have capitals of their own for i and ı.
        speaker_ids: how a speaker is named in the ids of TRN files; "spu_id": before the first "-", or else "_"; "wsj": the
            first three characters; "sp": the whole id.
    """

    case_sensitive: bool = False
    optional_words: bool = False
    fragments: bool = False
    delete_hyphens: bool = False
    language: str = ""
    speaker_ids: Literal["spu_id", "wsj", "sp"] = "spu_id"

    def fold(self, text: str) -> str:
        """The text in small letters, or as it is if case matters."""
        if self.case_sensitive:
            return text
        if self.language.lower().replace("_", "-").split("-")[0] in TURKISH:
            text = text.replace("İ", "i").replace("I", "ı")
        return text.lower()


@dataclass(frozen=True)
class NetWord:
    """A word of a transcript; `shown` is how it was written."""

    text: str
    shown: str
    is_optional: bool = False
    is_fragment: bool = False

    @property
    def is_null(self) -> bool:
        """Whether it stands for no word."""
        return self.shown == NULL


Item: TypeAlias = "NetWord | Alternatives"


@dataclass(frozen=True)
class Alternatives:
    """Sequences of which one is spoken."""

    choices: tuple[tuple[Item, ...], ...]


@dataclass(frozen=True)
class WordNetwork:
    """The words of a transcript in topological order; index 0 stands for the start, before any word.

    Attributes:
        words: the words; None at index 0.
        before: for each word the indices of those that may stand right before it, in sclite's order.
        last: indices of those that may be the last one.
        is_linear: whether there are no alternatives.
    """

    words: tuple[NetWord | None, ...]
    before: tuple[tuple[int, ...], ...]
    last: tuple[int, ...]
    is_linear: bool


def parse_transcript(text: str, options: NistOptions, where: str) -> tuple[Item, ...]:
    """The items of a transcript.

    Raises:
        InputError: a brace without its partner; the message begins with `where`.
    """
    return _parse(options.fold(text), options, where)


def _parse(text: str, options: NistOptions, where: str) -> tuple[Item, ...]:
    items: list[Item] = []
    position = 0
    while position < len(text):
        if text[position].isspace():
            position += 1
        elif text[position] == "{":
            end = _closing_brace(text, position, where)
            inner = _split(text[position + 1 : end - 1])
            choices = tuple(_parse(choice, options, where) for choice in inner if choice.strip())
            if not choices:
                raise InputError(f"{where}: alternatives without a word: {text[position:end][:60]!r}; write @ for none")
            items.append(Alternatives(choices))
            position = end
        else:
            end = position
            while end < len(text) and not text[end].isspace():
                end += 1
            items.append(make_word(text[position:end], options))
            position = end
    return tuple(items)


def _closing_brace(text: str, start: int, where: str) -> int:
    """Position after the brace that closes the one at `start`."""
    depth = 0
    for position in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[position], 0)
        if depth == 0:
            return position + 1
        if depth > 50:
            raise InputError(f"{where}: alternatives nested deeper than 50 levels; simplify {text[start:][:60]!r}")
    raise InputError(f"{where}: a brace without its partner at {text[start:][:60]!r}; expected {{ a / b }}")


def _split(text: str) -> list[str]:
    """The parts of a text between slashes that stand in no inner braces."""
    parts, depth = [""], 0
    for character in text:
        depth += {"{": 1, "}": -1}.get(character, 0)
        if character == "/" and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return parts


def make_word(token: str, options: NistOptions) -> NetWord:
    """The word of a token: without tags, marks of mispronunciation and the parentheses of an optional word."""
    shown = _TAGS.split(token, maxsplit=1)[0].replace("\\;", ";")
    shown = shown[:-1] if len(shown) > 1 and shown.endswith("*") else shown
    is_optional = options.optional_words and len(shown) > 2 and shown[0] == "(" and shown[-1] == ")"
    text = shown[1:-1] if is_optional else shown
    is_fragment = options.fragments and len(text) > 1 and (text[0] == "-" or text[-1] == "-")
    return NetWord(text, shown, is_optional, is_fragment)


def words_match(reference: NetWord, hypothesis: NetWord) -> bool:
    """Whether two words count as the same; a fragment fits the words that begin with it, or end with it."""
    if reference.is_fragment or hypothesis.is_fragment:
        for fragment, word in ((reference.text, hypothesis.text), (hypothesis.text, reference.text)):
            if len(fragment) > 1 and fragment.startswith("-"):
                return word.endswith(fragment[1:])
            if len(fragment) > 1 and fragment.endswith("-"):
                return word.startswith(fragment[:-1])
    return reference.text == hypothesis.text


def to_characters(items: Sequence[Item], options: NistOptions, *, without_marks: bool = False) -> tuple[Item, ...]:
    """Items whose words are single characters; spaces are not among them, as in sclite's ``-c``."""
    found: list[Item] = []
    for item in items:
        if isinstance(item, Alternatives):
            choices = (to_characters(choice, options, without_marks=without_marks) for choice in item.choices)
            found.append(Alternatives(tuple(choices)))
        elif item.is_null:
            found.append(item)
        else:
            text = remove_marks(item.text) if without_marks else item.text
            letters = text.replace("-", "") if options.delete_hyphens and len(text) > 1 else text
            shown = "({})" if item.is_optional else "{}"
            found += (NetWord(letter, shown.format(letter), item.is_optional) for letter in letters if letter != " ")
    return tuple(found)


@dataclass
class _Node:
    out_arcs: list["_Arc"] = field(default_factory=list)
    in_arcs: list["_Arc"] = field(default_factory=list)


@dataclass
class _Arc:
    word: NetWord | None
    end: _Node
    index: int = -1


def build_network(items: Sequence[Item]) -> WordNetwork:
    """The network of a transcript's items, its words in sclite's order."""
    start, first = _Node(), _Node()
    _connect(start, first, None)
    stop = _add(items, first)
    arcs: list[tuple[_Node, _Arc]] = []
    waiting = {id(start): 0}
    queue = deque([start])
    while queue:
        node = queue.popleft()
        for arc in node.out_arcs:
            waiting[id(arc.end)] = waiting.get(id(arc.end), len(arc.end.in_arcs)) - 1
            if waiting[id(arc.end)] == 0:
                queue.append(arc.end)
        for arc in node.out_arcs:
            arc.index = len(arcs)
            arcs.append((node, arc))
    return WordNetwork(
        words=tuple(arc.word for _, arc in arcs),
        before=tuple(tuple(previous.index for previous in node.in_arcs) for node, _ in arcs),
        last=tuple(arc.index for arc in stop.in_arcs),
        is_linear=all(isinstance(item, NetWord) for item in items),
    )


def _connect(start: _Node, end: _Node, word: NetWord | None) -> None:
    arc = _Arc(word, end)
    start.out_arcs.append(arc)
    end.in_arcs.append(arc)


def _add(items: Sequence[Item], start: _Node, end: _Node | None = None) -> _Node:
    """Add items between two nodes; without an end node a new one, which is returned."""
    node = start
    for position, item in enumerate(items):
        target = end if end is not None and position == len(items) - 1 else _Node()
        for choice in item.choices if isinstance(item, Alternatives) else ((item,),):
            if isinstance(item, Alternatives):
                _add(choice or (NetWord(NULL, NULL),), node, target)
            else:
                _connect(node, target, item)
        node = target
    return node
