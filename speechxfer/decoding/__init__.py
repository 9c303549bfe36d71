"""Decoding: from features to text and scores.

- `transcribe`, `Hypothesis`: text of utterances or a recording.
- `evaluate`, `score_hypotheses`: error rates on utterances with texts.
- `encode_utterances`: encoder outputs of utterances.
- `segment_utterances`, `SegmentedUtterances`, `transcribe_segments`, `recording_utterance`: the steps of `transcribe`.
- `match_phones`, `list_language_phones`, `PhoneInventory`, `PhoneOptions`: restriction of a phone model to a language's phones.
- `decode_batch`, `DECODE_FRAMES`: greedy decoding of one batch, and the frames that a batch has at most.
"""

from speechxfer.decoding.evaluation import evaluate as evaluate
from speechxfer.decoding.evaluation import score_hypotheses as score_hypotheses
from speechxfer.decoding.greedy import Hypothesis as Hypothesis
from speechxfer.decoding.greedy import decode_batch as decode_batch
from speechxfer.decoding.inventory import PhoneInventory as PhoneInventory
from speechxfer.decoding.inventory import PhoneOptions as PhoneOptions
from speechxfer.decoding.inventory import list_language_phones as list_language_phones
from speechxfer.decoding.inventory import match_phones as match_phones
from speechxfer.decoding.segmentation import SegmentedUtterances as SegmentedUtterances
from speechxfer.decoding.segmentation import segment_utterances as segment_utterances
from speechxfer.decoding.transcription import DECODE_FRAMES as DECODE_FRAMES
from speechxfer.decoding.transcription import encode_utterances as encode_utterances
from speechxfer.decoding.transcription import recording_utterance as recording_utterance
from speechxfer.decoding.transcription import transcribe as transcribe
from speechxfer.decoding.transcription import transcribe_segments as transcribe_segments
