"""Transfer: a new output layer on a pretrained encoder, filled by symbol; partial loading; what is frozen.

Rows of the head follow symbols, never sizes or positions: a vocabulary of the same size with other symbols must not
inherit wrong rows. `transfer` returns a new model and leaves the source as it was. What it is not: the training itself.
The idea of keeping rows goes back to the reports that a re-initialised last layer costs accuracy where alphabets overlap;
starting accented letters from their base letter to Yusuyin et al.'s and others' coarse-to-fine alphabets.
"""

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from speechxfer.errors import InputError
from speechxfer.models import AcousticModel, Architecture
from speechxfer.phones import IPA_VOWELS, Letters, phone_of_letter, pooled_letters
from speechxfer.text import Normalizer, Vocabulary

How = Literal["blank", "map", "phone", "exact", "case", "base", "new"]
Freeze = Literal["none", "encoder"] | int
TONE_MARKS = frozenset("\u0300\u0301\u0302\u0304\u030b\u030c\u030f\u1dc4\u1dc5\u1dc6\u1dc7\u1dc8\u1dc9")
NEW_ROW_SPREAD = 0.1  # deviation of a new row's weights, as a share of the source rows' own


@dataclass(frozen=True)
class HeadRow:
    """Where one row of the new head comes from; `source` is empty for a new one."""

    symbol: str
    how: How
    source: str = ""


def plan_head(
    source: Vocabulary, target: Vocabulary, symbol_map: Mapping[str, str] | None = None, language: str = ""
) -> tuple[HeadRow, ...]:
    """Which source row each target symbol starts from.

    In this order: the blank's own row; what the user's map says; the same symbol; the same after case folding; the base
    letter (accents and tone marks removed, then also case folded); otherwise new. From a source of phones, letters go by
    sound instead: the phone that the letter most often stands for (in `language`, where the source knows it, else in most
    languages, else as a letter of the IPA, see `phone_of_letter`), then that of its base letter.

    Raises:
        InputError: the map names a symbol that its vocabulary does not have, or the blank.
    """
    symbol_map = symbol_map or {}
    for name, symbols, vocabulary in (("target", symbol_map.keys(), target), ("source", symbol_map.values(), source)):
        strange = [symbol for symbol in symbols if symbol not in vocabulary.symbols[1:]]
        if strange:
            raise InputError(f"symbol map: {strange[0]!r} is not in the {name} vocabulary; correct or remove its line")
    by_sound = source.kind == "phones" and target.kind == "characters"
    tables = letter_tables(source.letters, language) if by_sound else ()
    rows = [HeadRow(target.symbols[0], "blank", source.symbols[0])]
    for symbol in target.symbols[1:]:
        if symbol in symbol_map:
            rows.append(HeadRow(symbol, "map", symbol_map[symbol]))
        else:
            rows.append(_row_by_sound(symbol, source, tables) if by_sound else _row_by_symbol(symbol, source))
    return tuple(rows)


def letter_tables(letters: Mapping[str, Letters], language: str) -> tuple[Letters, ...]:
    """The table of `language`, if there is one (codes are compared up to the first hyphen), then what most tables say."""
    own = [table for code, table in letters.items() if language and code.split("-")[0] == language.split("-")[0]]
    return (*own[:1], pooled_letters(letters.values()))


def _row_by_sound(letter: str, source: Vocabulary, tables: Sequence[Letters]) -> HeadRow:
    inventory, form = source.symbols[1:], letter.lower()  # as in the tables; case folding would make ß two letters
    toneless = without_tone(form)
    own_language_knows = any(table.get(form) in inventory for table in tables[:-1])
    if not own_language_knows and phone_of_letter(toneless, tables, inventory) in IPA_VOWELS:
        form = toneless  # in other languages' tables a vowel's accent is no tone; here it most often is
    for candidate in (form, *base_letters(form)):
        phone = phone_of_letter(candidate, tables, inventory)
        if phone:
            return HeadRow(letter, "phone", phone)
    return HeadRow(letter, "new")


def without_tone(letter: str) -> str:
    """The letter without grave, acute, circumflex, macron, caron and their doubles; other marks stay."""
    kept = "".join(c for c in unicodedata.normalize("NFD", letter) if c not in TONE_MARKS)
    return unicodedata.normalize("NFC", kept)


def _row_by_symbol(symbol: str, source: Vocabulary) -> HeadRow:
    symbols = source.symbols[1:]
    if symbol in symbols:
        return HeadRow(symbol, "exact", symbol)
    folded = {known.casefold(): known for known in reversed(symbols)}
    if symbol.casefold() in folded:
        return HeadRow(symbol, "case", folded[symbol.casefold()])
    for base in base_letters(symbol):
        if base in symbols:
            return HeadRow(symbol, "base", base)
        if base.casefold() in folded:
            return HeadRow(symbol, "base", folded[base.casefold()])
    return HeadRow(symbol, "new")


def base_letters(symbol: str) -> list[str]:
    """The symbol with ever fewer combining marks, the outermost going first: 'ế' gives ['ê', 'e']; a lone mark nothing."""
    letters, bases = list(unicodedata.normalize("NFD", symbol)), []
    while marks := [place for place, character in enumerate(letters) if unicodedata.category(character) == "Mn"]:
        del letters[marks[-1]]
        bases.append(unicodedata.normalize("NFC", "".join(letters)))
    return [base for base in bases if base]


def head_table(rows: Sequence[HeadRow]) -> str:
    """The plan as tab-separated text, for people and files: symbol, how, source."""
    return "".join(f"{row.symbol}\t{row.how}\t{row.source}\n" for row in rows)


def head_summary(rows: Sequence[HeadRow]) -> str:
    """One line: how many rows of each origin, and which are new."""
    counts = {how: sum(row.how == how for row in rows) for how in get_args(How)}
    new = " ".join(row.symbol for row in rows if row.how == "new")
    listed = ", ".join(f"{count} {how}" for how, count in counts.items() if count)
    return f"head: {len(rows)} rows ({listed})" + (f"; new: {new[:200]}" if new else "")


def read_symbol_map(path: Path | str) -> dict[str, str]:
    """A user's map: lines ``target symbol TAB source symbol``, UTF-8; '#' starts a comment line.

    Raises:
        InputError: unreadable, or a line that is not two fields; the message names file and line.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: the symbol map cannot be read ({error}); expected a UTF-8 text file") from error
    pairs: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith("#"):
            continue
        fields = line.split("\t")
        if len(fields) != 2 or not all(fields):
            raise InputError(f"{path}:{number}: expected 'target TAB source', found {line!r}")
        pairs[unicodedata.normalize("NFC", fields[0])] = unicodedata.normalize("NFC", fields[1])
    return pairs


def transfer(
    source: AcousticModel,
    vocabulary: Vocabulary,
    *,
    head: Literal["symbols", "random"] = "symbols",
    symbol_map: Mapping[str, str] | None = None,
    language: str = "",
    normalizer: Normalizer | None = None,
    task: Literal["ctc", "classify"] | None = None,
    dropout: float | None = None,
    seed: int = 0,
) -> AcousticModel:
    """A new model with the source's encoder and features and a head for `vocabulary`; the source stays untouched.

    The new model is in the source's mode (training or evaluation), on its device.

    Args:
        source: the pretrained model.
        vocabulary: the target's symbols; the blank is symbol 0 in both.
        head: 'symbols' fills rows as `plan_head` says, new ones small around the mean row; 'random' draws all of them.
        symbol_map: target symbol to source symbol, the user's own.
        language: code of the target's language, by which a source of phones reads letters.
        normalizer, task, dropout: of the new model; None: as the source's.
        seed: of the new rows.

    Raises:
        InputError: from `plan_head`.
    """
    old = source.architecture
    architecture = old if dropout is None else Architecture(old.encoder, old.size, old.subsampling, dropout)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AcousticModel(
            architecture, vocabulary, source.spec, normalizer or source.normalizer, task or source.task
        )
        model.encoder.load_state_dict(source.encoder.state_dict())
        if head == "symbols":
            rows = plan_head(source.vocabulary, vocabulary, symbol_map, language)
            _fill_head(model.head, source.head, source.vocabulary, rows)
    return model.to(source.head.weight.device).train(source.training)


@torch.no_grad()
def _fill_head(new: nn.Linear, old: nn.Linear, vocabulary: Vocabulary, rows: Sequence[HeadRow]) -> None:
    index = {symbol: i for i, symbol in enumerate(vocabulary.symbols)}
    weight, bias = old.weight.detach().cpu(), old.bias.detach().cpu()
    spread = weight[1:].std(dim=0, correction=0) * NEW_ROW_SPREAD
    for i, row in enumerate(rows):
        if row.how == "new":
            new.weight[i] = weight[1:].mean(dim=0) + torch.randn_like(spread) * spread
            new.bias[i] = bias[1:].mean()
        else:
            new.weight[i] = weight[index[row.source]]
            new.bias[i] = bias[index[row.source]]


@dataclass(frozen=True)
class MatchReport:
    """What `load_matching` did, by parameter or buffer name."""

    taken: tuple[str, ...]
    resized: tuple[str, ...]
    """Other shape; left as they were."""
    missing: tuple[str, ...]
    """In the module, not in the weights; left as they were."""
    unexpected: tuple[str, ...]
    """In the weights, not in the module."""

    def __str__(self) -> str:
        parts = []
        for what, names in (
            ("taken", self.taken),
            ("other shape", self.resized),
            ("missing", self.missing),
            ("unexpected", self.unexpected),
        ):
            parts.append(f"{what}: {len(names)}" + (f" ({', '.join(names)})" if names and what != "taken" else ""))
        return "; ".join(parts)


@torch.no_grad()
def load_matching(module: nn.Module, state_dict: Mapping[str, Tensor]) -> MatchReport:
    """Copy what fits by name and shape into any module, and say what was and was not taken.

    Raises:
        InputError: nothing fits at all, which is never what the caller meant.
    """
    own = module.state_dict(keep_vars=True)
    shared = [name for name in own if name in state_dict]
    taken = tuple(name for name in shared if own[name].shape == state_dict[name].shape)
    if not taken:
        raise InputError(
            f"none of the {len(state_dict)} tensors fits this module of {len(own)}; compare the names, for example "
            f"{next(iter(state_dict), 'none')!r} with {next(iter(own), 'none')!r}"
        )
    for name in taken:
        own[name].data.copy_(state_dict[name])
    resized = tuple(name for name in shared if name not in taken)
    missing = tuple(name for name in own if name not in state_dict)
    return MatchReport(taken, resized, missing, tuple(name for name in state_dict if name not in own))


def frozen_modules(model: AcousticModel, freeze: Freeze) -> list[nn.Module]:
    """The modules that `freeze` names: none, the encoder, or its lowest N layer groups.

    Raises:
        InputError: more layers than the encoder has.
    """
    if freeze == "none":
        return []
    if freeze == "encoder":
        return [model.encoder]
    groups: list[nn.Module] = model.encoder.layer_groups()
    if int(freeze) > len(groups):
        raise InputError(
            f'transfer.freeze = {freeze}, but the encoder has {len(groups)} layer groups; set fewer or "encoder"'
        )
    return groups[: int(freeze)]


def set_frozen(model: nn.Module, frozen: Sequence[nn.Module]) -> None:
    """Training mode with these modules frozen: no gradients, and evaluation mode, so that buffers and dropout rest too."""
    model.train()
    model.requires_grad_(True)
    for module in frozen:
        module.eval()
        module.requires_grad_(False)
        for parameter in module.parameters():
            parameter.grad = None
