"""Decoding: from features to text and scores.

- `transcribe`, `Hypothesis`: text of utterances or a recording.
- `evaluate`, `score_hypotheses`: error rates on utterances with texts.
- `encode_utterances`: encoder outputs of utterances.
- `segment_utterances`, `SegmentedUtterances`, `transcribe_segments`, `recording_utterance`: the steps of `transcribe`.
- `match_phones`, `list_language_phones`, `PhoneInventory`, `PhoneOptions`: restriction of a phone model to a language's phones.
- `decode_batch`, `DECODE_FRAMES`: greedy decoding of one batch, and the frames that a batch has at most.
"""

from speechxfer.decoding.evaluation import evaluate, score_hypotheses
from speechxfer.decoding.greedy import Hypothesis, decode_batch
from speechxfer.decoding.inventory import PhoneInventory, PhoneOptions, list_language_phones, match_phones
from speechxfer.decoding.segmentation import SegmentedUtterances, segment_utterances
from speechxfer.decoding.transcription import (
    DECODE_FRAMES,
    encode_utterances,
    recording_utterance,
    transcribe,
    transcribe_segments,
)

__all__ = [
    "DECODE_FRAMES",
    "Hypothesis",
    "PhoneInventory",
    "PhoneOptions",
    "SegmentedUtterances",
    "decode_batch",
    "encode_utterances",
    "evaluate",
    "list_language_phones",
    "match_phones",
    "recording_utterance",
    "score_hypotheses",
    "segment_utterances",
    "transcribe",
    "transcribe_segments",
]
