"""Transfer: a new output layer on a pretrained encoder, filled by symbol; partial loading; what is frozen.

Rows of the head follow symbols, never sizes or positions: a vocabulary of the same size with other symbols must not
inherit wrong rows. `transfer` returns a new model and leaves the source as it was. What it is not: the training itself.
The idea of keeping rows goes back to the reports that a re-initialised last layer costs accuracy where alphabets overlap;
starting accented letters from their base letter to Yusuyin et al.'s and others' coarse-to-fine alphabets.
"""

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from speechxfer.config import TransferConfig
from speechxfer.errors import InputError
from speechxfer.lora import has_lora, lora_modules
from speechxfer.models import AcousticModel
from speechxfer.phones import IPA_VOWELS, Letters, phone_of_letter, phone_of_romanised, pooled_letters
from speechxfer.text import Normalizer, Vocabulary

How = Literal["blank", "map", "phone", "roman", "exact", "case", "base", "position", "new"]
Head = Literal["symbols", "position", "random"]
TONE_MARKS = frozenset("\u0300\u0301\u0302\u0304\u030b\u030c\u030f\u1dc4\u1dc5\u1dc6\u1dc7\u1dc8\u1dc9")
SAME_LANGUAGE = 10  # distance of language codes (Unicode CLDR) up to which one's spelling serves: Bosnian for Croatian
WORD_START = "\u2581"  # the space of sentencepiece
NEW_ROW_SPREAD = 0.1  # deviation of a new row's weights, as a share of the source rows' own


@dataclass(frozen=True)
class HeadRow:
    """Where one row of the new head comes from; `source` is empty for a new one."""

    symbol: str
    how: How
    source: str = ""


def plan_head(
    source: Vocabulary,
    target: Vocabulary,
    symbol_map: Mapping[str, str] | None = None,
    language: str = "",
    *,
    head: Head = "symbols",
) -> tuple[HeadRow, ...]:
    """Which source row each target symbol starts from; with `head` 'random' no row is planned.

    With 'position' it is the row of the same number, whatever its symbol: what comes of copying a state dict without looking,
    for comparison only.

    With 'symbols', in this order: the blank's own row; what the user's map says; the same symbol; the same after case folding;
    the base letter (accents and tone marks removed, then also case folded); otherwise new. From a source of phones, letters go by
    sound instead: the phone that the letter most often stands for (in `language`, where the source knows it, else in most
    languages, else as a letter of the IPA, see `phone_of_letter`), then that of its base letter, then ('roman') that of its
    romanisation.

    Raises:
        InputError: the map names a symbol that its vocabulary does not have, or the blank.
    """
    if head == "random":
        return ()
    if head == "position":
        return _rows_by_position(source, target)
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


def _rows_by_position(source: Vocabulary, target: Vocabulary) -> tuple[HeadRow, ...]:
    numbers = range(len(source.symbols))
    return tuple(
        HeadRow(symbol, "position", source.symbols[i]) if i in numbers else HeadRow(symbol, "new")
        for i, symbol in enumerate(target.symbols)
    )


def letter_tables(letters: Mapping[str, Letters], language: str) -> tuple[Letters, ...]:
    """The table of `language`, if there is one (see `known_language`), then what most tables say."""
    code = known_language(letters, language)
    return (*([letters[code]] if code else []), pooled_letters(letters.values()))


def known_language(letters: Mapping[str, Letters], language: str) -> str:
    """The code in `letters` that means `language`, in whichever way it is written (sw, swa, swh, sw-KE, sw_KE); "" without one.

    Codes are compared as Unicode CLDR does (package langcodes): so are the members of a macrolanguage, and the nearest relatives.
    """
    from langcodes import closest_match, tag_is_valid

    if language in letters:
        return language
    if not tag_is_valid(language):
        return ""
    code, distance = closest_match(language, list(filter(tag_is_valid, letters)), max_distance=SAME_LANGUAGE)
    return code if distance <= SAME_LANGUAGE else ""


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
    phone = phone_of_romanised(letter, tables, inventory)
    return HeadRow(letter, "roman", phone) if phone else HeadRow(letter, "new")


def without_tone(letter: str) -> str:
    """The letter without grave, acute, circumflex, macron, caron and their doubles; other marks stay."""
    kept = "".join(c for c in unicodedata.normalize("NFD", letter) if c not in TONE_MARKS)
    return unicodedata.normalize("NFC", kept)


def _row_by_symbol(symbol: str, source: Vocabulary) -> HeadRow:
    symbols = source.symbols[1:]
    if symbol in symbols:
        return HeadRow(symbol, "exact", symbol)
    if symbol == " " and WORD_START in symbols:
        return HeadRow(symbol, "exact", WORD_START)
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
    new = " ".join(repr(row.symbol) for row in rows if row.how == "new")
    listed = ", ".join(f"{count} {how}" for how, count in counts.items() if count)
    return f"head: {len(rows)} rows ({listed})" + (f"; new: {new[:200]}" if new else "")


def spelling_summary(letters: Mapping[str, Letters], language: str) -> str:
    """One line: by whose spelling letters start from phones."""
    code = known_language(letters, language)
    if code:
        return f"letters start as the source reads them in {code}"
    unknown = language or "a language without a code"
    return f"letters start as the source reads them as most languages do, since it knows no spelling of {unknown}"


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
    head: Head = "symbols",
    symbol_map: Mapping[str, str] | None = None,
    language: str = "",
    normalizer: Normalizer | None = None,
    task: Literal["ctc", "classify"] | None = None,
    dropout: float | None = None,
    seed: int = 0,
) -> AcousticModel:
    """A new model with the source's encoder and features and a head for `vocabulary`; the source stays untouched.

    The new model is in the source's mode (training or evaluation), on its device. It keeps the source's head among its
    `parents`.

    Args:
        source: the pretrained model.
        vocabulary: the target's symbols; the blank is symbol 0 in both.
        head: 'symbols' and 'position' fill rows as `plan_head` says, new ones small around the mean row; 'random' draws all.
        symbol_map: target symbol to source symbol, the user's own.
        language: code of the target's language, by which a source of phones reads letters.
        normalizer, task, dropout: of the new model; None: as the source's. For another task than the source's all rows are drawn.
        seed: of the new rows.

    Raises:
        InputError: from `plan_head`, a symbol map for another task than the source's, or the source has a low-rank update that
            is not merged.
    """
    _refuse_update(source)
    architecture = source.architecture if dropout is None else replace(source.architecture, dropout=dropout)
    head = head_between(source, task or source.task, head, symbol_map)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AcousticModel(
            architecture,
            vocabulary,
            source.spec,
            normalizer or source.normalizer,
            task or source.task,
            parents=(source.as_kept(), *source.parents),
        )
        model.encoder.load_state_dict(source.encoder.state_dict())
        model.extra.load_state_dict(source.extra.state_dict())
        rows = plan_head(source.vocabulary, vocabulary, symbol_map, language, head=head)
        _fill_head(model.head, source.head, source.vocabulary, rows)
        if model.pooling and source.pooling:
            model.pooling.load_state_dict(source.pooling.state_dict())
    return model.to(source.head.weight.device).train(source.training)


def head_between(source: AcousticModel, task: str, head: Head, symbol_map: Mapping[str, str] | None) -> Head:
    """How a head for `task` begins: as asked, but for another task than the source's all rows are drawn.

    One of them reads frames, the other what was gathered over them.

    Raises:
        InputError: a symbol map for another task.
    """
    if task == source.task:
        return head
    if symbol_map:
        raise InputError(
            f"the symbol map has no use: the source's task is {source.task} and the target's {task}, whose heads read "
            "different things; leave transfer.symbol_map empty"
        )
    return "random"


def _refuse_update(model: AcousticModel) -> None:
    if has_lora(model):
        raise InputError("the model has a low-rank update that is not merged into its weights; use merge_lora first")


@torch.no_grad()
def _fill_head(new: nn.Linear, old: nn.Linear, vocabulary: Vocabulary, rows: Sequence[HeadRow]) -> None:
    index = {symbol: i for i, symbol in enumerate(vocabulary.symbols)}
    if len(index) == 1:
        return  # an encoder that came without a head: nothing to start from
    weight, bias = old.weight.detach().cpu(), old.bias.detach().cpu()
    spread = weight[1:].std(dim=0, correction=0) * NEW_ROW_SPREAD
    for i, row in enumerate(rows):
        if row.how == "new":
            new.weight[i] = weight[1:].mean(dim=0) + torch.randn_like(spread) * spread
            new.bias[i] = bias[1:].mean()
        else:
            new.weight[i] = weight[index[row.source]]
            new.bias[i] = bias[index[row.source]]


def with_new_layers(
    model: AcousticModel, *, adapter_dim: int = 0, extra_layers: int = 0, seed: int = 0
) -> AcousticModel:
    """A copy of the model with bottleneck adapters after each encoder layer, or layers between encoder and head.

    Fresh adapters pass their input on; fresh layers norm it.

    Args:
        adapter_dim: width of the bottlenecks; 0: adapters as they are.
        extra_layers: how many Conformer layers are added on top of any that the model has.
        seed: of the new weights.

    Raises:
        InputError: the model has adapters of another width, or a low-rank update that is not merged.
    """
    _refuse_update(model)
    old = model.architecture
    if adapter_dim and old.adapter_dim not in (0, adapter_dim):
        raise InputError(
            f"transfer.adapter_dim = {adapter_dim}, but the source has adapters of width {old.adapter_dim}; set that, or 0 to "
            "keep them"
        )
    architecture = replace(
        old, adapter_dim=adapter_dim or old.adapter_dim, extra_layers=old.extra_layers + extra_layers
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        grown = AcousticModel(
            architecture, model.vocabulary, model.spec, model.normalizer, model.task, parents=model.parents
        )
    grown.name = model.name
    load_matching(grown, model.state_dict())
    return grown.to(model.head.weight.device).train(model.training)


@dataclass(frozen=True)
class MatchReport:
    """What `load_matching` did, by parameter or buffer name; as text, a table."""

    taken: tuple[str, ...]
    resized: tuple[str, ...]
    """Other shape; left as they were, but for those in `overlap`."""
    missing: tuple[str, ...]
    """In the module, not in the weights; left as they were."""
    unexpected: tuple[str, ...]
    """In the weights, not in the module."""
    overlap: tuple[str, ...] = ()
    """Of those in `resized`, the ones whose overlapping part was copied."""

    def __str__(self) -> str:
        parts = [f"taken: {len(self.taken)}"]
        if self.overlap:
            parts.append(_named("other shape, overlap taken", self.overlap))
        parts.append(_named("other shape", [name for name in self.resized if name not in self.overlap]))
        return "; ".join([*parts, _named("missing", self.missing), _named("unexpected", self.unexpected)])


def _named(what: str, names: Sequence[str]) -> str:
    return f"{what}: {len(names)}" + (f" ({', '.join(names)})" if names else "")


@torch.no_grad()
def load_matching(module: nn.Module, state_dict: Mapping[str, Tensor], *, overlap: bool = False) -> MatchReport:
    """Copy what fits by name and shape into any module, and say what was and was not taken.

    Args:
        module: any network; changed in place.
        state_dict: the other network's tensors by name.
        overlap: from a tensor of the same name and number of dimensions but other sizes, copy the part that both have
            (the lowest indices of every dimension). It means something only where equal indices mean equal things, such
            as the first inputs of a wider input layer; not for the rows of two vocabularies.

    Raises:
        InputError: nothing fits at all, which is never what the caller meant.
    """
    own = module.state_dict(keep_vars=True)
    shared = [name for name in own if name in state_dict]
    taken = tuple(name for name in shared if own[name].shape == state_dict[name].shape)
    resized = tuple(name for name in shared if name not in taken)
    sliced = tuple(name for name in resized if overlap and own[name].dim() == state_dict[name].dim())
    if not taken and not sliced:
        raise InputError(
            f"none of the {len(state_dict)} tensors fits this module of {len(own)}; compare the names, for example "
            f"{next(iter(state_dict), 'none')!r} with {next(iter(own), 'none')!r}"
        )
    for name in (*taken, *sliced):
        both = tuple(slice(min(sizes)) for sizes in zip(own[name].shape, state_dict[name].shape, strict=True))
        own[name].data[both].copy_(state_dict[name][both])
    missing = tuple(name for name in own if name not in state_dict)
    unexpected = tuple(name for name in state_dict if name not in own)
    return MatchReport(taken, resized, missing, unexpected, sliced)


def thaw_step(settings: TransferConfig, group: int, groups: int) -> int | None:
    """The step at which layer group `group` of `groups` (0 is next to the input) begins to learn; None: never.

    Gradual unfreezing goes from the top down (Howard & Ruder, 'ULMFiT', arXiv:1801.06146): the head alone, then one more
    group every so many steps.
    """
    if settings.lora_rank:
        return None
    if settings.unfreeze_every_steps:
        return (groups - group) * settings.unfreeze_every_steps
    lowest = {"none": 0, "encoder": groups}.get(str(settings.freeze), settings.freeze)
    if group >= int(lowest):
        return 0
    return None if settings.freeze_steps < 0 else settings.freeze_steps


def frozen_modules(model: AcousticModel, settings: TransferConfig, step: int = 0) -> list[nn.Module]:
    """The modules of the encoder that rest at `step` (from 0): none, it whole, or some of its layer groups.

    Raises:
        InputError: `settings.freeze` is more than the groups that the encoder has.
    """
    encoder: Any = model.encoder
    groups: list[nn.Module] = encoder.layer_groups()
    if settings.freeze not in ("none", "encoder") and int(settings.freeze) > len(groups):
        raise InputError(
            f'transfer.freeze = {settings.freeze}, but the encoder has {len(groups)} layer groups; set fewer or "encoder"'
        )
    thaws = [thaw_step(settings, number, len(groups)) for number in range(len(groups))]
    resting = [group for group, thaw in zip(groups, thaws, strict=True) if thaw is None or step < thaw]
    return [encoder] if len(resting) == len(groups) else resting


def set_frozen(model: AcousticModel, frozen: Sequence[nn.Module], settings: TransferConfig = TransferConfig()) -> None:
    """Training mode with these modules frozen: no gradients, and evaluation mode, so that buffers and dropout rest too.

    What `settings` added inside the encoder (adapters, a low-rank update) learns in any case, and so does all above the
    encoder. With `settings.batch_norm` "frozen", batch norms everywhere in the encoder go on norming by the source's
    statistics; their scales and shifts learn.
    """
    model.train()
    model.requires_grad_(not has_lora(model))
    encoder: Any = model.encoder
    if settings.batch_norm == "frozen":
        for module in encoder.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()
    for module in frozen:
        module.eval()
        module.requires_grad_(False)
        for parameter in module.parameters():
            parameter.grad = None
    adapters = encoder.adapters if settings.adapter_dim else []
    for module in (model.extra, model.head, *adapters, *lora_modules(model)):
        module.train()
        module.requires_grad_(True)
