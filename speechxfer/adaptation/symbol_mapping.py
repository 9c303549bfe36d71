"""Symbol mapping: from which source symbol each row of the new head is initialised.

Rows are matched by symbol, never by index or number: with a vocabulary of the same size but other symbols, rows matched
by index would be wrong. The rules, in order: the blank, the user's map, the same symbol, the same letter in the other
case, the base letter of an accented letter; if the source's symbols are phones, the phone that a letter stands for.
Initialising accented letters from their base letters follows coarse-to-fine alphabets, such as those of Yusuyin et al.,
'Whistle' (arXiv:2406.02166).
"""

import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast, get_args

from speechxfer.errors import InputError
from speechxfer.runtime import read_text
from speechxfer.text import (
    IPA_VOWELS,
    LetterTable,
    Vocabulary,
    find_phone,
    find_romanised_phone,
    list_base_letters,
    remove_tone_marks,
    select_letter_tables,
)

How = Literal["blank", "map", "phone", "roman", "exact", "case", "base", "new", "random"]
WORD_START = "\u2581"  # the space of sentencepiece


@dataclass(frozen=True)
class HeadRow:
    """Which source symbol one row of the new head is initialised from, and by which rule; `source` is empty if from none."""

    symbol: str
    how: How
    source: str = ""


class HeadTable(tuple[HeadRow, ...]):
    """The rows of a new head, one per target symbol; as text, one line each: symbol, rule and source symbol, tab-separated."""

    __slots__ = ()

    def __str__(self) -> str:
        return "\n".join(f"{row.symbol}\t{row.how}\t{row.source}" for row in self)

    def summary(self) -> str:
        """One line: how many rows each rule initialised, and which symbols are new."""
        counts = Counter(row.how for row in self)
        listed = ", ".join(f"{counts[how]} {how}" for how in get_args(How) if counts[how])
        new = " ".join(repr(row.symbol) for row in self if row.how == "new")
        return f"head: {len(self)} rows ({listed})" + (f"; new: {new[:200]}" if new else "")


def read_head_table(path: Path) -> HeadTable:
    """The table in a ``head.tsv``, which a run writes as the text of its `HeadTable`.

    Raises:
        InputError: unreadable, or a line that is not symbol, rule and source symbol; the message names file and line.
    """
    fix = "the run that wrote it is damaged; delete it to do without the table"
    rows = []
    for number, line in enumerate(read_text(path, fix=fix).removesuffix("\n").split("\n"), start=1):
        symbol, how, source = fields if len(fields := line.split("\t")) == 3 else ("", "", "")
        if how not in get_args(How):
            raise InputError(f"{path}:{number}: expected 'symbol TAB rule TAB source symbol', found {line!r}; {fix}")
        rows.append(HeadRow(symbol, cast(How, how), source))
    return HeadTable(rows)


def plan_head(
    source: Vocabulary, target: Vocabulary, symbol_map: Mapping[str, str] | None = None, language: str = ""
) -> HeadTable:
    """Which source row each target symbol is initialised from.

    In this order: the blank's own row; the user's map; the same symbol; the same symbol after case folding; the base letter
    (combining marks removed, then also case-folded); otherwise new. If the source's symbols are phones, letters are
    matched by sound instead: the phone that the letter most often stands for (in `language` if the source has a table
    for it, else in most languages, else as a letter of the IPA, see `find_phone`), then that of its base letter, then
    ('roman') that of its romanisation.

    Raises:
        InputError: the map names a symbol that its vocabulary does not have, or the blank.
    """
    symbol_map = symbol_map or {}
    for name, symbols, vocabulary in (("target", symbol_map.keys(), target), ("source", symbol_map.values(), source)):
        unknown = [symbol for symbol in symbols if symbol not in vocabulary.symbols[1:]]
        if unknown:
            raise InputError(f"symbol map: {unknown[0]!r} is not in the {name} vocabulary; correct or remove its line")
    by_sound = source.kind == "phones" and target.kind == "characters"
    tables = select_letter_tables(source.letters, language) if by_sound else ()
    rows = [HeadRow(target.symbols[0], "blank", source.symbols[0])]
    for symbol in target.symbols[1:]:
        if symbol in symbol_map:
            rows.append(HeadRow(symbol, "map", symbol_map[symbol]))
        else:
            rows.append(_match_by_sound(symbol, source, tables) if by_sound else _match_by_symbol(symbol, source))
    return HeadTable(rows)


def _match_by_sound(letter: str, source: Vocabulary, tables: Sequence[LetterTable]) -> HeadRow:
    """The row of a letter, from a source with phones: its phone, or that of its base letter or romanisation."""
    inventory, form = source.symbols[1:], letter.lower()  # as in the tables; case folding turns ß into ss
    toneless = remove_tone_marks(form)
    in_own_table = any(table.get(form) in inventory for table in tables[:-1])
    if not in_own_table and find_phone(toneless, tables, inventory) in IPA_VOWELS:
        form = toneless  # tables of other languages use these accents for other vowels; here they most often mark tone
    for candidate in (form, *list_base_letters(form)):
        phone = find_phone(candidate, tables, inventory)
        if phone:
            return HeadRow(letter, "phone", phone)
    phone = find_romanised_phone(letter, tables, inventory)
    return HeadRow(letter, "roman", phone) if phone else HeadRow(letter, "new")


def _match_by_symbol(symbol: str, source: Vocabulary) -> HeadRow:
    """The row of a symbol if the source's symbols are not phones: the same, the other case, or the base letter."""
    symbols = source.symbols[1:]
    if symbol in symbols:
        return HeadRow(symbol, "exact", symbol)
    if symbol == " " and WORD_START in symbols:
        return HeadRow(symbol, "exact", WORD_START)
    folded = {known.casefold(): known for known in reversed(symbols)}
    if symbol.casefold() in folded:
        return HeadRow(symbol, "case", folded[symbol.casefold()])
    for base in list_base_letters(symbol):  # the fewest combining marks removed, then case-folded
        found = base if base in symbols else folded.get(base.casefold())
        if found:
            return HeadRow(symbol, "base", found)
    return HeadRow(symbol, "new")


def read_symbol_map(path: Path | str) -> dict[str, str]:
    """A user's map: lines ``target symbol TAB source symbol``, UTF-8; '#' starts a comment line.

    Raises:
        InputError: unreadable, or a line that is not two fields; the message names file and line.
    """
    pairs: dict[str, str] = {}
    for number, line in enumerate(read_text(path, fix="the symbol map is a UTF-8 text file").splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        fields = line.split("\t")
        if len(fields) != 2 or not all(fields):
            raise InputError(f"{path}:{number}: expected 'target TAB source', found {line!r}")
        pairs[unicodedata.normalize("NFC", fields[0])] = unicodedata.normalize("NFC", fields[1])
    return pairs
