"""Restriction of a phone model's output to an inventory: the phones of one language.

The blank keeps its probability in each frame. The rest goes to the phones of the inventory by a softmax over their logits: the
other phones are masked before it. If blank took part in that softmax, a frame whose phone is masked would often become blank, and
the phone would be missed; ``recipes/multilingual/notes.md`` has figures for both.

Phones are matched with the model's symbols by articulatory features: panphon (Mortensen et al., 2016), extra ``letters``.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from speechxfer.errors import InputError
from speechxfer.models import AcousticModel
from speechxfer.runtime import log_info
from speechxfer.text import AUTO_PHONES, BLANK, Vocabulary, find_phone, match_language, split_phones

PHONES_ARE = "give phones of the IPA, separated by spaces, such as 'a b d e t͡ʃ'"
MARKS = ("Mn", "Lm", "Sk")  # Unicode categories of what may stand beside a letter: diacritics, modifiers, tones


@dataclass(frozen=True)
class PhoneInventory:
    """The phones that a model may write.

    Attributes:
        rows: rows of the model's head, blank (row 0) first.
        vocabulary: blank and, in the order of `rows`, how each phone is written.
        weights: what is added to the log-probability of each row, blank's first; empty: nothing.
    """

    rows: tuple[int, ...]
    vocabulary: Vocabulary
    weights: tuple[float, ...] = ()

    @property
    def phones(self) -> tuple[str, ...]:
        """The phones for reports: as they are written, or `AUTO_PHONES` if all of the model's are weighted."""
        return (AUTO_PHONES,) if self.weights else self.vocabulary.symbols[1:]

    def restrict(self, log_probs: Tensor) -> Tensor:
        """Log-probabilities `[..., symbols]` of the model to those of the inventory, `[..., rows]`.

        Without weights, blank keeps its probability, and the phones share what remains.
        """
        if self.weights:
            return (log_probs[..., list(self.rows)] + log_probs.new_tensor(self.weights)).log_softmax(dim=-1)
        not_blank = log_probs[..., 1:].logsumexp(dim=-1, keepdim=True)
        phones = log_probs[..., list(self.rows[1:])].log_softmax(dim=-1)
        return torch.cat([log_probs[..., :1], not_blank + phones], dim=-1)


def match_phones(model: AcousticModel, phones: str | Sequence[str]) -> PhoneInventory:
    """Match the phones of a language with the symbols of a phone model.

    A phone that is a symbol of the model is that symbol. Of any other, the parts are matched: an affricate or diphthong (t͡ʃ, aɪ)
    is split into its two phones, since the models of this project write two; length, tone and other marks (aː, kʰ, ã) are
    removed; what remains is matched with the symbol nearest in articulatory features. A phone is written as it is given, an
    affricate as its parts. Where several phones match one symbol, the symbol itself is written if it is among them, else a phone
    with its letter (kʰ of k), else the phone that was given first. stderr states every difference.

    Args:
        model: writes phones.
        phones: phones, or one text in which spaces separate them.

    Raises:
        InputError: the model writes no phones, there is no phone, or one is not of the IPA. Or the nearest phone is needed and
            panphon (extra ``letters``) is not installed or does not know the phone.

    >>> import speechxfer as sx
    >>> from speechxfer.decoding import match_phones
    >>> greek = match_phones(sx.load_model("multilingual-small"), "a e i o u p t k x s n m r l θ ð")
    >>> greek.vocabulary.symbols[:4]
    ('<blank>', 'a', 'e', 'i')
    """
    check_writes_phones(model)
    listed = phones.split() if isinstance(phones, str) else list(phones)
    if not listed:
        raise InputError(f"phones: the inventory is empty; {PHONES_ARE}")
    if AUTO_PHONES in listed:
        raise InputError(
            f"phones: {AUTO_PHONES!r} estimates the phones, so no others can be given with it; give {AUTO_PHONES!r} alone"
        )
    symbols = {unicodedata.normalize("NFC", symbol): symbol for symbol in model.vocabulary.symbols[1:]}
    matched: dict[str, str] = {}  # as written -> symbol
    split: list[str] = []
    for phone in (unicodedata.normalize("NFC", phone) for phone in listed):
        parts = [phone] if phone in symbols else _parts_of(phone)
        if len(parts) > 1:
            split.append(f"{phone} as {' '.join(parts)}")
        for part in parts:
            written = phone if len(parts) == 1 else part
            matched[written] = symbols.get(part) or _nearest_symbol(phone, part, model.vocabulary)
    if split:
        log_info(f"phones: written as their parts: {', '.join(split)}")
    by_symbol = {symbol: _choose_written(symbol, matched) for symbol in dict.fromkeys(matched.values())}
    rows = [row for row, symbol in enumerate(model.vocabulary.symbols) if symbol in by_symbol]
    written_symbols = (by_symbol[model.vocabulary.symbols[row]] for row in rows)
    return PhoneInventory((0, *rows), Vocabulary((BLANK, *written_symbols), "phones"))


def list_language_phones(model: AcousticModel, language: str) -> tuple[str, ...]:
    """The phones of a language: those that the letters of its table, stored with the model, stand for.

    A letter table has one phone for each letter, the most frequent one, so rarer phones of the language may be missing. stderr
    shows the phones.

    Args:
        model: writes phones and has letter tables, as `multilingual-small` does.
        language: its code, in any notation (el, ell, el-GR); ``speechxfer info MODEL`` lists the languages.

    Raises:
        InputError: the model writes no phones, or it has no table of the language.
    """
    check_writes_phones(model)
    tables = model.vocabulary.letters
    code = match_language(tables, language)
    if not code:
        known = f"one of {' '.join(sorted(tables))}" if tables else "a model that was made with letter tables"
        raise InputError(
            f"language {language!r}: {model.name or 'the model'} has no letter table of it, so its phones are not known; "
            f"expected {known}; or list its phones (--phones)"
        )
    phones = tuple(sorted(set(tables[code].values())))
    log_info(f"phones of {code}: {' '.join(phones)}")
    return phones


def check_writes_phones(model: AcousticModel) -> None:
    """InputError if a model does not write phones."""
    if model.task != "ctc" or model.vocabulary.kind != "phones":
        raise InputError(
            f"{model.name or 'the model'} writes {model.vocabulary.kind}, so its output cannot be restricted to phones; name a "
            "model of phones, such as multilingual-small, or omit --phones and --language"
        )


def _parts_of(phone: str) -> list[str]:
    """The base letters of a phone, each once; InputError if it has none, as a tone, or if a character is not of the IPA."""
    try:
        parts = split_phones(phone)
        others = [c for c in phone if unicodedata.category(c) not in MARKS and not split_phones(c)]
    except InputError as error:
        raise InputError(f"phones: {phone!r} is no phone of the IPA; {PHONES_ARE}") from error
    if others or not parts:
        raise InputError(f"phones: {phone!r} is no phone of the IPA; {PHONES_ARE}")
    return list(dict.fromkeys(parts))


def _nearest_symbol(phone: str, part: str, vocabulary: Vocabulary) -> str:
    """The symbol nearest to a letter of the IPA."""
    symbol = find_phone(part, (), vocabulary.symbols[1:])
    if not symbol:
        raise InputError(
            f"phones: {phone!r}: panphon does not know {part!r}, so its nearest phone is unknown; replace it"
        )
    return symbol


def _choose_written(symbol: str, matched: dict[str, str]) -> str:
    """How a symbol is written, of the phones that match it (in the order in which they were given)."""
    rivals = [written for written, of in matched.items() if of == symbol]
    composed = unicodedata.normalize("NFC", symbol)
    chosen = min(rivals, key=lambda written: (written != composed, split_phones(written) != [composed]))
    if len(rivals) > 1:
        both = "both" if len(rivals) == 2 else "all"
        log_info(f"phones: {', '.join(rivals)} are {both} recognised as {symbol}; {chosen} is written")
    elif chosen != composed:
        log_info(f"phones: {chosen} is recognised as {symbol}")
    return chosen
