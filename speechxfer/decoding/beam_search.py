"""CTC prefix beam search on tensors: many utterances and all their prefixes advance by one frame at a time.

The score of a text is the sum over all its alignments, computed from two masses for each prefix, of the alignments that end in
blank and of those that do not (Graves, 2012, section 7.5.3; Hannun et al., arXiv:1408.2873), plus what scorers add to it
(`scorers.py`). A prefix is identified by a 64-bit hash of its symbols, so equal prefixes are found by one comparison of a beam
with itself. No operation waits for the device, and none is repeated for each prefix or utterance in Python.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from speechxfer.decoding.scorers import Scorer, States

MULTIPLIER = 6364136223846793005  # of Knuth's MMIX generator: odd, so that the product modulo 2**64 loses nothing
INCREMENT = 1442695040888963407
NO_PREFIX, NO_PARENT = -1, -2  # hashes of slots of the beam that hold no prefix; they never equal each other
BATCH_ELEMENTS = 1 << 19  # utterances * beam * symbols in one step: more is no faster, and needs more memory
NEGATIVE_INFINITY = -math.inf


@dataclass(frozen=True)
class SearchSettings:
    """What the search may skip.

    Attributes:
        beam: prefixes that stay after each frame.
        symbols: the most probable symbols of each frame by which prefixes are extended; None: all.
        certain_blank: frames in which blank has more than this probability extend no prefix; 1: all frames extend.
    """

    beam: int = 16
    symbols: int | None = 32
    certain_blank: float = 0.999


@dataclass(frozen=True)
class Candidate:
    """One text of an utterance.

    Attributes:
        ids: its symbols.
        frames: for each symbol the frame in which the best prefix was extended by it.
        score: log-probability of all alignments plus the scores of the scorers.
        acoustic: log-probability of all alignments.
    """

    ids: tuple[int, ...]
    frames: tuple[int, ...]
    score: float
    acoustic: float


@dataclass(frozen=True)
class _Frames:
    """The frames of a batch that extend prefixes, longest utterance first; those with a certain blank are summed up.

    Attributes:
        log_probs: ``[frames, batch, symbols]``.
        values, symbols: those of the symbols that extend prefixes, ``[frames, batch, chosen]``.
        skipped: log-probability of blank in the frames skipped before each, ``[frames, batch, 1]``.
        follows_blank: whether there were any.
        numbers: number of each in its utterance, ``[batch, frames]``.
        lengths: of each utterance.
        tail: log-probability of blank in the frames skipped at the end, ``[batch]``.
    """

    log_probs: Tensor
    values: Tensor
    symbols: Tensor
    skipped: Tensor
    follows_blank: Tensor
    numbers: Tensor
    lengths: list[int]
    tail: Tensor


@dataclass(frozen=True)
class _Beam:
    """The prefixes of a batch, each field ``[batch, beam]``.

    Attributes:
        total: log-probability of all alignments.
        blank, symbol: of those that end in blank, and of the others.
        added: what the scorers have added.
        prefix, parent: hash of the prefix and of the prefix without its last symbol.
        last: last symbol; 0 of the empty prefix.
        states: of each scorer, tensors ``[batch * beam]``.
    """

    total: Tensor
    blank: Tensor
    symbol: Tensor
    added: Tensor
    prefix: Tensor
    parent: Tensor
    last: Tensor
    states: list[States]


PREFIX_FIELDS = ("total", "blank", "symbol", "added", "prefix", "parent", "last")


def beam_search(
    log_probs: Sequence[Tensor],
    scorers: Sequence[Scorer] = (),
    settings: SearchSettings = SearchSettings(),
    *,
    nbest: int = 1,
) -> list[list[Candidate]]:
    """The best texts of each utterance, best first; on the device of the log-probabilities.

    Args:
        log_probs: of each utterance, ``[frames, symbols]``; symbol 0 is blank.
        scorers: add scores to texts; their tensors are on the same device.
        settings: width of the beam, and what may be skipped.
        nbest: texts wanted; fewer come if the beam holds fewer.
    """
    kept = [_kept_frames(values, settings.certain_blank) for values in log_probs]
    order = sorted(range(len(log_probs)), key=lambda index: -len(kept[index]))
    found: dict[int, list[Candidate]] = {}
    position = 0
    while position < len(order):
        symbols = log_probs[order[position]].shape[1] - 1
        chosen = min(settings.symbols or symbols, symbols)
        size = max(1, BATCH_ELEMENTS // (settings.beam * max(chosen, settings.beam)))
        batch = order[position : position + size]
        frames = _pack([log_probs[index].float() for index in batch], [kept[index] for index in batch], chosen)
        found |= dict(zip(batch, _search(frames, scorers, settings.beam, nbest), strict=True))
        position += size
    return [found[index] for index in range(len(log_probs))]


def _kept_frames(log_probs: Tensor, certain_blank: float) -> Tensor:
    """Numbers of the frames that extend prefixes."""
    limit = math.log(certain_blank) if certain_blank < 1 else 1.0
    return (log_probs[:, 0] <= limit).nonzero().flatten()


def _pack(log_probs: Sequence[Tensor], kept: Sequence[Tensor], chosen: int) -> _Frames:
    lengths = [len(numbers) for numbers in kept]
    frames, batch, symbols, device = max(lengths), len(kept), log_probs[0].shape[1], log_probs[0].device
    packed = torch.full((batch, frames, symbols), 0.0, device=device)
    skipped = torch.zeros(batch, frames, device=device)
    numbers = torch.zeros(batch, frames, dtype=torch.long, device=device)
    tail = torch.zeros(batch, device=device)
    for row, (values, kept_row) in enumerate(zip(log_probs, kept, strict=True)):
        length = len(kept_row)
        packed[row, :length] = values[kept_row]
        numbers[row, :length] = kept_row
        is_skipped = torch.ones(len(values), dtype=torch.bool, device=device)
        is_skipped[kept_row] = False
        before = torch.where(is_skipped, values[:, 0], 0.0).cumsum(0)
        at_kept = torch.cat([before.new_zeros(1), before[kept_row]])
        skipped[row, :length] = at_kept.diff()
        tail[row] = before[-1] - at_kept[-1] if len(values) else 0.0
    gaps = torch.diff(numbers, dim=1, prepend=numbers.new_full((batch, 1), -1)) > 1
    packed = packed.transpose(0, 1).contiguous()
    if chosen < symbols - 1:
        best, ids = packed[..., 1:].topk(chosen, dim=-1)
        ids += 1
    else:
        best = packed[..., 1:].contiguous()
        ids = torch.arange(1, symbols, device=device).expand(frames, batch, -1)
    return _Frames(packed, best, ids, skipped.t()[..., None], gaps.t()[..., None], numbers, lengths, tail)


def _search(frames: _Frames, scorers: Sequence[Scorer], beam_size: int, nbest: int) -> list[list[Candidate]]:
    """The best texts of one batch."""
    beam = _start(len(frames.lengths), beam_size, scorers, frames.tail)
    finished: list[_Beam] = []
    parents: list[Tensor] = []
    symbols: list[Tensor] = []
    active = len(frames.lengths)
    for number in range(max(frames.lengths)):
        still = sum(length > number for length in frames.lengths[:active])
        if still < active:
            finished.append(_rows(beam, still, active))
            beam, active = _rows(beam, 0, still), still
        beam, parent, symbol = _advance(beam, frames, number, scorers)
        parents.append(parent)
        symbols.append(symbol)
    finished.append(beam)
    return _best_texts(_join(finished[::-1]), frames, parents, symbols, scorers, nbest)


def _start(batch: int, beam_size: int, scorers: Sequence[Scorer], like: Tensor) -> _Beam:
    """Only the empty prefix, in the first slot."""
    impossible = like.new_full((batch, beam_size), NEGATIVE_INFINITY)
    certain = impossible.clone()
    certain[:, 0] = 0.0
    hashes = torch.full((batch, beam_size), NO_PREFIX, dtype=torch.long, device=like.device)
    prefix = hashes.clone()
    prefix[:, 0] = INCREMENT
    states = [scorer.start(batch * beam_size) for scorer in scorers]
    return _Beam(
        total=certain,
        blank=certain,
        symbol=impossible,
        added=torch.zeros_like(impossible),
        prefix=prefix,
        parent=torch.full_like(hashes, NO_PARENT),
        last=torch.zeros_like(hashes),
        states=states,
    )


def _rows(beam: _Beam, start: int, stop: int) -> _Beam:
    """The part of a beam that belongs to some of the utterances."""
    size = beam.total.shape[1]
    states = [tuple(values[start * size : stop * size] for values in states) for states in beam.states]
    return replace(beam, **{name: getattr(beam, name)[start:stop] for name in PREFIX_FIELDS}, states=states)


def _join(parts: Sequence[_Beam]) -> _Beam:
    """Beams of consecutive utterances as one."""
    states = [
        tuple(torch.cat(values) for values in zip(*of_scorer, strict=True))
        for of_scorer in zip(*(part.states for part in parts), strict=True)
    ]
    fields = {name: torch.cat([getattr(part, name) for part in parts]) for name in PREFIX_FIELDS}
    return replace(parts[0], **fields, states=states)


@dataclass(frozen=True)
class _Extensions:
    """What may follow the prefixes of a beam: themselves, then each prefix with each symbol; ``[batch, beam * (1 + chosen)]``.

    Attributes:
        acoustic: log-probability of all alignments.
        added: what scorers add.
        score: the sum of both, by which they are ranked; of extensions that are in the beam already, minus infinity.
        stay_blank, stay_symbol: masses of the prefixes that stay, ``[batch, beam]``.
    """

    acoustic: Tensor
    added: Tensor
    score: Tensor
    stay_blank: Tensor
    stay_symbol: Tensor


def _advance(beam: _Beam, frames: _Frames, number: int, scorers: Sequence[Scorer]) -> tuple[_Beam, Tensor, Tensor]:
    """The beam after one more frame, and for each of its slots the slot it comes from and the symbol added (0: none)."""
    batch, size = beam.total.shape
    symbols = frames.symbols[number, :batch]
    chosen = symbols.shape[1]
    options = _extend(beam, frames, number, scorers)
    score, best = options.score.topk(size, dim=1)
    extension = best - size
    is_extended = extension >= 0
    slot = torch.where(is_extended, torch.div(extension, chosen, rounding_mode="floor"), best)
    symbol = symbols.gather(1, extension.clamp_(min=0).remainder_(chosen)).masked_fill_(~is_extended, 0)
    is_prefix = score > NEGATIVE_INFINITY
    total = options.acoustic.gather(1, best).masked_fill_(~is_prefix, NEGATIVE_INFINITY)
    prefix = beam.prefix.gather(1, slot)
    longer = (prefix + symbol) * MULTIPLIER + INCREMENT
    rows = (slot + torch.arange(0, batch * size, size, device=slot.device)[:, None]).flatten()
    follower = _Beam(
        total=total,
        blank=options.stay_blank.gather(1, slot).masked_fill_(is_extended, NEGATIVE_INFINITY),
        symbol=torch.where(is_extended, total, options.stay_symbol.gather(1, slot)),
        added=options.added.gather(1, best),
        prefix=torch.where(is_extended, longer, prefix).masked_fill_(~is_prefix, NO_PREFIX),
        parent=torch.where(is_extended, prefix, beam.parent.gather(1, slot)).masked_fill_(~is_prefix, NO_PARENT),
        last=torch.where(is_extended, symbol, beam.last.gather(1, slot)),
        states=[
            scorer.follow(tuple(values[rows] for values in states), symbol.flatten())
            for scorer, states in zip(scorers, beam.states, strict=True)
        ],
    )
    return follower, slot, symbol


def _extend(beam: _Beam, frames: _Frames, number: int, scorers: Sequence[Scorer]) -> _Extensions:
    """Masses and scores of the prefixes and their extensions after one more frame."""
    batch, size = beam.total.shape
    log_probs, values, symbols = (part[number, :batch] for part in (frames.log_probs, frames.values, frames.symbols))
    after_blank = frames.follows_blank[number, :batch]
    total = beam.total + frames.skipped[number, :batch]
    blank = torch.where(after_blank, total, beam.blank)
    symbol = beam.symbol.masked_fill(after_blank, NEGATIVE_INFINITY)

    # A prefix stays by blank, by its last symbol, or as the extension of another prefix of the beam.
    is_child = beam.parent[:, :, None] == beam.prefix[:, None, :]  # [batch, child, its parent]
    repeats = beam.last[:, :, None] == beam.last[:, None, :]
    from_parent = torch.where(repeats, blank[:, None], total[:, None]).masked_fill_(~is_child, NEGATIVE_INFINITY)
    stay_blank = total + log_probs[:, :1]
    stay_symbol = torch.logaddexp(symbol, from_parent.amax(dim=2)) + log_probs.gather(1, beam.last)

    # An extension by the last symbol needs a blank between them; one that is in the beam already was counted above.
    is_last = symbols[:, None, :] == beam.last[:, :, None]
    extended = torch.where(is_last, blank[:, :, None], total[:, :, None]) + values[:, None, :]
    is_counted = torch.bmm(is_child.transpose(1, 2).float(), is_last.float()) > 0
    ids = symbols[:, None, :].expand(-1, size, -1).reshape(batch * size, -1)
    added = beam.added[:, :, None].expand_as(extended)
    for scorer, states in zip(scorers, beam.states, strict=True):
        added = added + scorer.extend(states, ids).view_as(extended)

    acoustic = torch.cat([torch.logaddexp(stay_blank, stay_symbol), extended.flatten(1)], dim=1)
    added = torch.cat([beam.added, added.flatten(1)], dim=1)
    score = acoustic + added
    score[:, size:].masked_fill_(is_counted.flatten(1), NEGATIVE_INFINITY)
    return _Extensions(acoustic, added, score, stay_blank, stay_symbol)


def _best_texts(
    beam: _Beam,
    frames: _Frames,
    slots: Sequence[Tensor],
    symbols: Sequence[Tensor],
    scorers: Sequence[Scorer],
    nbest: int,
) -> list[list[Candidate]]:
    """The best prefixes at the end of each utterance, with their symbols traced from the last frame to the first."""
    batch, size = beam.total.shape
    acoustic = beam.total + frames.tail[:, None]
    unfinished = acoustic + beam.added
    score = unfinished
    for scorer, states in zip(scorers, beam.states, strict=True):
        score = score + scorer.finish(states).view(batch, size)
    is_permitted = score.amax(dim=1, keepdim=True) > NEGATIVE_INFINITY
    score = torch.where(is_permitted, score, unfinished)  # where no prefix of the beam may end, as amid a known word
    score, slot = score.topk(min(nbest, size), dim=1)
    acoustic = acoustic.gather(1, slot)
    traced = torch.zeros(len(slots), *slot.shape, dtype=torch.long, device=slot.device)
    for number in reversed(range(len(slots))):
        active = len(slots[number])
        traced[number, :active] = symbols[number].gather(1, slot[:active])
        slot[:active] = slots[number].gather(1, slot[:active])
    rows = zip(
        traced.permute(1, 2, 0).tolist(), frames.numbers.tolist(), score.tolist(), acoustic.tolist(), strict=True
    )
    return [
        [
            Candidate(
                tuple(symbol for symbol in path if symbol),
                tuple(frame for frame, symbol in zip(numbers, path, strict=True) if symbol),
                *scores,
            )
            for path, *scores in zip(paths, *of_row, strict=True)
            if scores[0] > NEGATIVE_INFINITY
        ]
        for paths, numbers, *of_row in rows
    ]
