"""TODO-DOOR"""

from speechxfer.decoding.evaluation import evaluate, score_hypotheses
from speechxfer.decoding.greedy import Hypothesis, decode_batch
from speechxfer.decoding.segmentation import split_at_pauses
from speechxfer.decoding.transcription import DECODE_FRAMES, encode_utterances, transcribe

__all__ = [
    "DECODE_FRAMES",
    "Hypothesis",
    "decode_batch",
    "encode_utterances",
    "evaluate",
    "score_hypotheses",
    "split_at_pauses",
    "transcribe",
]
