"""Keyword search in CTC log-probabilities: where words or phrases occur in speech that nobody has transcribed.

A CTC model's frames are independent, so the expected number of occurrences of a keyword is a sum over all paths that a
recursion computes exactly: over the start and end frames of the occurrence, over the keyword's alignments between them, and over
everything that may be recognised before and after it (Graves et al., ICML 2006, for the alignments). This is the keyword's
likelihood relative to that of all texts. Most words that greedy decoding misspells still have a clearly larger sum there than
elsewhere, so they are found.

Word boundaries are exact too: an occurrence counts with the probability that the last symbol before it is a space or that there
is no symbol before it, and likewise after it. Both are recursions over frames that do not depend on the keyword.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from speechxfer.decoding.posteriors import space_contexts
from speechxfer.errors import InputError, first_names
from speechxfer.text import Normalizer, Vocabulary, describe_symbol, remove_tone_marks

Floats: TypeAlias = NDArray[np.float64]
WINDOW_S = 20.0  # of a long recording: windows are searched together
MAX_DURATION_S, MAX_SYMBOL_S = (
    1.0,
    0.3,
)  # an occurrence across the start of a window lasts at most the first + the second a symbol
NEGLIGIBLE = 0.01  # ends with less than this share of the threshold are not added up
MAX_CELLS = 1_000_000  # of a block of windows: frames x keywords
KEYWORDS_AT_ONCE = 64


@dataclass(frozen=True)
class KeywordOptions:
    """How keywords are searched for.

    Attributes:
        threshold: smallest score of a hit.
        within_words: also find a keyword inside of words, if the model has a space symbol.
        ignore_tones: let tone marks of the keyword and of the speech differ.

    Raises:
        InputError: the threshold is not above 0 and at most 1.
    """

    threshold: float = 0.01
    within_words: bool = False
    ignore_tones: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.threshold <= 1:
            raise InputError(f"threshold is {self.threshold:g}; expected a score above 0 and at most 1, such as 0.01")


@dataclass(frozen=True)
class KeywordHit:
    """One place where a keyword may occur.

    Attributes:
        keyword: as it was given.
        start_s, end_s: from the start of the utterance; of the symbols, without spaces around them.
        score: the probability of an occurrence there under the model, in (0, 1].
    """

    keyword: str
    start_s: float
    end_s: float
    score: float


@dataclass(frozen=True)
class KeywordSearch:
    """A search for some keywords in the log-probabilities of one model; made by `prepare_search`.

    Attributes:
        keywords: as they were given.
        symbols: of each keyword, classes of the model's symbols.
        columns: the model's symbols that matter: those of the keywords, blank and the space.
        classes: class of each of these, 0: blank. Symbols that differ in tone marks share one if these are ignored.
        space: class of the space, if the model has one.
        whole_words: whether spaces, or the ends of the utterance, must surround a hit.
        frame_s: seconds between frames.
    """

    keywords: tuple[str, ...]
    symbols: tuple[tuple[int, ...], ...]
    columns: tuple[int, ...]
    classes: tuple[int, ...]
    space: int | None
    whole_words: bool
    frame_s: float
    threshold: float

    def find(self, log_probs: Sequence[Tensor]) -> list[list[KeywordHit]]:
        """Hits in each utterance's log-probabilities `[frames, symbols]`, by keyword and, the best first, by score."""
        probs = [self._class_probs(each) for each in log_probs]
        found: list[list[KeywordHit]] = [[] for _ in probs]
        in_order = sorted(range(len(self.keywords)), key=lambda number: (len(self.symbols[number]), number))
        hits: dict[tuple[int, int], list[KeywordHit]] = {}
        for first in range(0, len(in_order), KEYWORDS_AT_ONCE):
            numbers = in_order[first : first + KEYWORDS_AT_ONCE]
            occurrences = _Occurrences([self.symbols[number] for number in numbers], self.space, self.whole_words)
            for index, column, ends in occurrences.search(probs, self.frame_s, NEGLIGIBLE * self.threshold):
                hits[index, numbers[column]] = self._hits(self.keywords[numbers[column]], ends)
        for index, number in sorted(hits):
            found[index] += hits[index, number]
        return found

    def _class_probs(self, log_probs: Tensor) -> Tensor:
        """Probabilities `[frames, classes]`, float64, of log-probabilities `[frames, symbols]`."""
        probs = log_probs[:, list(self.columns)].double().exp()
        sums = probs.new_zeros(len(probs), max(self.classes) + 1)
        return sums.index_add_(1, torch.tensor(self.classes, device=probs.device), probs)

    def _hits(self, keyword: str, ends: Floats) -> list[KeywordHit]:
        """Hits from possible occurrences `[ends, 3]` (start frame, end frame, probability): overlapping ones are one hit.

        The most probable occurrence gives a hit its times; the probabilities of those that overlap it by more than half of the
        shorter one are added to its own.
        """
        hits = []
        while len(ends):
            chosen = ends[:, 2].argmax()
            best = ends[chosen]
            shared = np.minimum(ends[:, 1], best[1]) - np.maximum(ends[:, 0], best[0])
            shorter = np.minimum(ends[:, 1] - ends[:, 0], best[1] - best[0])
            same = 2 * shared > shorter
            same[chosen] = True
            score = min(1.0, float(ends[same, 2].sum()))
            if score >= self.threshold:
                hits.append(KeywordHit(keyword, float(best[0]) * self.frame_s, float(best[1]) * self.frame_s, score))
            ends = ends[~same]
        return sorted(hits, key=lambda hit: (-hit.score, hit.start_s))


def prepare_search(
    vocabulary: Vocabulary,
    normalizer: Normalizer,
    keywords: Sequence[str],
    frame_s: float,
    options: KeywordOptions = KeywordOptions(),
) -> KeywordSearch:
    """Translate keywords into the symbols of a model; for a phone model a keyword is phones, separated by spaces.

    Raises:
        InputError: there is no keyword, one is given twice or is empty after normalisation, or has symbols that the vocabulary
            lacks; or the vocabulary is that of a classifier.
    """
    if vocabulary.kind == "labels":
        raise InputError(
            "the model classifies whole utterances and has no times to search; name a model of the task 'ctc'"
        )
    if not keywords:
        raise InputError("there is no keyword to search for; give at least one word or phrase")
    texts = [normalizer(keyword) for keyword in keywords]
    seen: dict[str, str] = {}
    for keyword, text in zip(keywords, texts, strict=True):
        if not text:
            raise InputError(f"keyword {keyword!r} is empty after normalisation; give a word or phrase with letters")
        if text in seen:
            raise InputError(
                f"keyword {keyword!r} is the same as {seen[text]!r} after normalisation; remove one of them"
            )
        seen[text] = keyword
    classes, names = _symbol_classes(vocabulary, options.ignore_tones)
    folded = Vocabulary(names, vocabulary.kind, vocabulary.bpe_model) if options.ignore_tones else vocabulary
    texts = [remove_tone_marks(text) if options.ignore_tones else text for text in texts]
    _check_symbols(keywords, texts, folded)
    encoded = [folded.encode(text) for text in texts]
    space = names.index(" ") if vocabulary.kind == "characters" and " " in names else None
    used = sorted({0, *(symbol for ids in encoded for symbol in ids), *([space] if space is not None else [])})
    columns = [row for row, symbol_class in enumerate(classes) if symbol_class in used]
    return KeywordSearch(
        tuple(keywords),
        tuple(tuple(map(used.index, ids)) for ids in encoded),
        tuple(columns),
        tuple(used.index(classes[row]) for row in columns),
        used.index(space) if space is not None else None,
        space is not None and not options.within_words,
        frame_s,
        options.threshold,
    )


def _symbol_classes(vocabulary: Vocabulary, ignore_tones: bool) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Class of each symbol, and the symbol that stands for each class. Without its marks a lone tone mark is a blank."""
    if not ignore_tones:
        return tuple(range(len(vocabulary.symbols))), vocabulary.symbols
    if vocabulary.kind == "bpe":
        raise InputError("tone marks cannot be ignored with a BPE vocabulary, whose pieces differ with the marks")
    bare = [vocabulary.symbols[0], *(remove_tone_marks(symbol) for symbol in vocabulary.symbols[1:])]
    names = tuple(dict.fromkeys(name for name in bare if name))
    return tuple(names.index(name) if name else 0 for name in bare), names


def _check_symbols(keywords: Sequence[str], texts: Sequence[str], vocabulary: Vocabulary) -> None:
    unknown = [(keyword, vocabulary.unknown(text)) for keyword, text in zip(keywords, texts, strict=True)]
    wrong = [f"{keyword!r} ({', '.join(map(describe_symbol, symbols))})" for keyword, symbols in unknown if symbols]
    if wrong:
        known = "phones, separated by spaces" if vocabulary.kind == "phones" else vocabulary.kind
        raise InputError(
            f"keywords with symbols that the model lacks: {first_names(wrong)}; write them with the model's {known} "
            "(`speechxfer info` lists them), or remove them"
        )


class _Occurrences:
    """The recursion for keywords of similar length.

    State 2i of a keyword is its symbol i, state 2i + 1 the blank after it. `[keywords, states]` tensors hold the symbol of each
    state (padded with blanks), whether a state can be reached from the symbol before it without a blank, and whether it can be
    reached from the blank after it: a space can, since several spaces are one.
    """

    def __init__(self, keywords: Sequence[Sequence[int]], space: int | None, whole_words: bool) -> None:
        states = 2 * max(map(len, keywords)) - 1
        self.space, self.whole_words = space, whole_words
        self.symbols = torch.zeros(len(keywords), states, dtype=torch.long)
        self.skips = torch.zeros(len(keywords), states, dtype=torch.float64)
        self.last_states = torch.tensor([2 * len(symbols) - 2 for symbols in keywords])
        for row, symbols in enumerate(keywords):
            for place, symbol in enumerate(symbols):
                self.symbols[row, 2 * place] = symbol
                self.skips[row, 2 * place] = float(place > 0 and symbols[place - 1] != symbol)
        self.returns = (self.symbols == space).double() if space is not None else torch.zeros_like(self.skips)
        self.first = self.symbols[:, 0]
        self.last = self.symbols.gather(1, self.last_states[:, None])[:, 0]

    def search(self, probs: Sequence[Tensor], frame_s: float, at_least: float) -> Iterator[tuple[int, int, Floats]]:
        """Utterance, keyword and its possible occurrences `[ends, 3]`: start frame, end frame (exclusive), probability.

        Args:
            probs: of each utterance, `[frames, classes]`.
            at_least: ends with a smaller probability are not listed.
        """
        overlap = round((MAX_DURATION_S + MAX_SYMBOL_S * (self.symbols.shape[1] + 1) / 2) / frame_s)
        windows = _windows([len(each) for each in probs], max(1, round(WINDOW_S / frame_s)), overlap)
        weights = [self._context(each) for each in probs]
        parts: dict[tuple[int, int], list[Floats]] = {}
        for block in _blocks(windows, len(self.symbols)):
            masses, starts = self._recursion(
                [probs[w.index][w.begin : w.end] for w in block],
                [tuple(weight[w.begin : w.end] for weight in weights[w.index]) for w in block],
            )
            for row, window in enumerate(block):
                own = masses[row, window.owned - window.begin : window.end - window.begin]
                frames, columns = (own >= at_least).nonzero(as_tuple=True)
                for column in sorted(set(columns.tolist())):
                    ends = frames[columns == column]
                    begun = starts[row, ends + (window.owned - window.begin), column]
                    table = torch.stack([window.begin + begun, window.owned + ends + 1.0, own[ends, column]], dim=1)
                    parts.setdefault((window.index, column), []).append(table.cpu().numpy())
        for (index, column), tables in parts.items():
            yield index, column, np.concatenate(tables)

    def _context(self, probs: Tensor) -> tuple[Tensor, Tensor]:
        """Probability that an occurrence may start at, and end with, each frame: `[frames, keywords]`, or `[frames, 1]`."""
        if self.space is not None and self.whole_words:
            preceding, following = space_contexts(*(probs[:, row].cpu().numpy() for row in (0, self.space)))
            return probs.new_tensor(preceding)[:, None], probs.new_tensor(following)[:, None]
        edge = probs.new_ones(1, len(self.symbols))
        before, after = 1 - probs[:-1, self.first], 1 - probs[1:, self.last]
        return torch.cat([edge, before]), torch.cat([after, edge])

    def _recursion(self, probs: Sequence[Tensor], contexts: Sequence[Sequence[Tensor]]) -> tuple[Tensor, Tensor]:
        """Probability that a keyword ends with each frame and, if it does, the mean frame in which it starts.

        Both float64 `[windows, frames, keywords]`.
        """
        padded = torch.nn.utils.rnn.pad_sequence(list(probs), batch_first=True)
        before, after = (
            torch.nn.utils.rnn.pad_sequence(list(each), batch_first=True) for each in zip(*contexts, strict=True)
        )
        windows, frames, _ = padded.shape
        count, states = self.symbols.shape
        device = padded.device
        symbols, skips, returns = (each.to(device) for each in (self.symbols, self.skips[:, 2:], self.returns[:, :-1]))
        has_spaces = bool(returns.any())
        last = self.last_states.to(device).expand(2, windows, count)[..., None]
        alphas = padded.new_zeros(
            2, windows, count, states
        )  # probability of the paths, and that times their start frame
        ended = padded.new_zeros(2, windows, frames, count)
        for frame in range(frames):
            arriving = alphas.clone()
            arriving[..., 1:] += alphas[..., :-1]
            arriving[..., 2:] += alphas[..., :-2] * skips
            if has_spaces:
                arriving[..., :-1] += alphas[..., 1:] * returns
            arriving[0, ..., 0] += before[:, frame]
            arriving[1, ..., 0] += before[:, frame] * frame
            alphas = arriving * padded[:, frame][:, symbols]
            ended[:, :, frame] = alphas.gather(3, last)[..., 0] * after[:, frame]
        masses, weighted = ended
        return masses, torch.where(masses > 0, weighted / masses, 0.0)


@dataclass(frozen=True)
class _Window:
    """Frames `begin` to `end` of an utterance, of which those before `owned` also belong to the previous window."""

    index: int
    begin: int
    owned: int
    end: int


def _windows(lengths: Sequence[int], size: int, overlap: int) -> list[_Window]:
    """Windows of all utterances: whole short ones, and parts of `size` frames, after `overlap` earlier ones, of the others."""
    windows = []
    for index, length in enumerate(lengths):
        owned = 0
        while owned < length:
            end = length if length - owned <= size + overlap and owned == 0 else min(length, owned + size)
            windows.append(_Window(index, max(0, owned - overlap), owned, end))
            owned = end
    return windows


def _blocks(windows: Sequence[_Window], keywords: int) -> Iterator[list[_Window]]:
    """Windows of similar length together, at most `MAX_CELLS` frames x keywords in each block."""
    block: list[_Window] = []
    for window in sorted(windows, key=lambda one: one.end - one.begin):
        if block and (len(block) + 1) * (window.end - window.begin) * keywords > MAX_CELLS:
            yield block
            block = []
        block.append(window)
    if block:
        yield block
