"""Alignments as annotations: one for each recording, with tiers of utterances, words, symbols and flags."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from speechxfer.alignment.results import Alignment
from speechxfer.annotations import SYMBOLS, UTTERANCES, WORDS, Annotation, Interval, Tier, tier_name
from speechxfer.data import Utterance, read_audio_header

MISSING, UNTRANSCRIBED = "missing", "untranscribed"


def annotate(
    utterances: Sequence[Utterance], alignments: Mapping[str, Alignment], *, always_utterances: bool = False
) -> list[Annotation]:
    """The annotation of each recording of the utterances, in their order; times count from the start of the recording.

    Tiers: ``utterances`` (none where a recording is one utterance, unless `always_utterances`), ``words``, ``symbols`` (none
    where every word is one symbol, as in transcripts of phones), each for each speaker; ``missing`` and ``untranscribed`` where
    there is such.
    """
    by_recording: dict[Path, list[Utterance]] = {}
    for utterance in utterances:
        by_recording.setdefault(utterance.audio_filepath, []).append(utterance)
    annotations = []
    for recording, own in by_recording.items():
        header = read_audio_header(recording)
        speakers = dict.fromkeys(utterance.speaker for utterance in own)
        tiers: list[Tier] = []
        for speaker in speakers:
            name = speaker if len(speakers) > 1 else ""
            spoken = [utterance for utterance in own if utterance.speaker == speaker]
            tiers += _speech_tiers(spoken, alignments, name, with_utterances=always_utterances or len(own) > 1)
        tiers += _flag_tiers(own, alignments)
        annotations.append(Annotation(recording, header.samples / header.rate_hz, tuple(tiers)))
    return annotations


def _speech_tiers(
    utterances: Sequence[Utterance], alignments: Mapping[str, Alignment], name: str, *, with_utterances: bool
) -> list[Tier]:
    speaker = utterances[0].speaker
    whole, words, symbols = [], [], []
    for utterance in utterances:
        start_s = utterance.offset
        whole.append(Interval(start_s, start_s + utterance.duration, utterance.text))
        for word in alignments[utterance.id].words:
            words.append(Interval(start_s + word.start_s, start_s + word.end_s, word.text, word.score))
            symbols += [Interval(start_s + s.start_s, start_s + s.end_s, s.text, s.score) for s in word.symbols]
    tiers = [Tier(tier_name(UTTERANCES, name), _ordered(whole), speaker)] if with_utterances else []
    tiers.append(Tier(tier_name(WORDS, name), _ordered(words), speaker))
    if len(symbols) > len(words):
        tiers.append(Tier(tier_name(SYMBOLS, name), _ordered(symbols), speaker))
    return tiers


def _flag_tiers(utterances: Sequence[Utterance], alignments: Mapping[str, Alignment]) -> list[Tier]:
    tiers = []
    for name in (MISSING, UNTRANSCRIBED):
        flags = [
            Interval(utterance.offset + flag.start_s, utterance.offset + flag.end_s, flag.text)
            for utterance in utterances
            for flag in getattr(alignments[utterance.id], name)
        ]
        if flags:
            tiers.append(Tier(name, _ordered(flags)))
    return tiers


def _ordered(intervals: Iterable[Interval]) -> tuple[Interval, ...]:
    return tuple(sorted(intervals, key=lambda interval: (interval.start_s, interval.end_s)))
