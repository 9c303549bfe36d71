"""Decoding: from features to text and scores.

- `transcribe`, `Hypothesis`, `Word`: text of utterances or a recording, with times and confidence.
- `evaluate`, `score_hypotheses`: error rates on utterances with texts; `fit_confidences`: a calibration of confidences.
- `KeywordSearch`, `prepare_search`, `KeywordOptions`, `KeywordHit`: search for words and phrases in log-probabilities.
- `compute_log_probs`, `encode_utterances`, `compute_outputs` (both), `frame_duration_s`: outputs of the model and of its encoder;
  `find_symbol_spans`: the symbols of a best path.
- `Decoder`, `GreedyDecoder`, `BeamDecoder`, `ScoredText`: log-probabilities to hypotheses, or to the n best texts.
- `beam_search`, `SearchSettings`: CTC prefix beam search; `prepare_fusion`, `Fusion`, `FusionWeights`, `read_phrases`, `Phrase`:
  language models and boosted phrases in it.
- `recording_utterance`, `segment_recording`, `segment_utterances`, `SegmentedUtterances`, `detect_speech`, `window_utterances`,
  `read_features`, `decode_utterances`: the steps of `transcribe`.
- `band_levels`, `find_speech`: the rule of `detect_speech`, on samples.
- `match_phones`, `list_language_phones`, `PhoneInventory`, `PhoneOptions`: restriction of a phone model to a language's phones;
  `estimate_phones`, `check_writes_phones`: phones weighted by how often the recordings have them; `FREQUENCY_WEIGHT` and `BONUS`:
  the weights of their log frequencies.
- `DECODE_FRAMES`: the frames that a batch has at most.
"""

from speechxfer.decoding.beam_decoder import BeamDecoder as BeamDecoder
from speechxfer.decoding.beam_search import SearchSettings as SearchSettings
from speechxfer.decoding.beam_search import beam_search as beam_search
from speechxfer.decoding.boosting import Phrase as Phrase
from speechxfer.decoding.boosting import read_phrases as read_phrases
from speechxfer.decoding.decoder import Decoder as Decoder
from speechxfer.decoding.evaluation import evaluate as evaluate
from speechxfer.decoding.evaluation import fit_confidences as fit_confidences
from speechxfer.decoding.evaluation import score_hypotheses as score_hypotheses
from speechxfer.decoding.fusion import Fusion as Fusion
from speechxfer.decoding.fusion import FusionWeights as FusionWeights
from speechxfer.decoding.fusion import prepare_fusion as prepare_fusion
from speechxfer.decoding.greedy import GreedyDecoder as GreedyDecoder
from speechxfer.decoding.hypotheses import Hypothesis as Hypothesis
from speechxfer.decoding.hypotheses import ScoredText as ScoredText
from speechxfer.decoding.hypotheses import Word as Word
from speechxfer.decoding.hypotheses import find_symbol_spans as find_symbol_spans
from speechxfer.decoding.inventory import PhoneInventory as PhoneInventory
from speechxfer.decoding.inventory import check_writes_phones as check_writes_phones
from speechxfer.decoding.inventory import list_language_phones as list_language_phones
from speechxfer.decoding.inventory import match_phones as match_phones
from speechxfer.decoding.keyword_search import KeywordHit as KeywordHit
from speechxfer.decoding.keyword_search import KeywordOptions as KeywordOptions
from speechxfer.decoding.keyword_search import KeywordSearch as KeywordSearch
from speechxfer.decoding.keyword_search import prepare_search as prepare_search
from speechxfer.decoding.log_probs import DECODE_FRAMES as DECODE_FRAMES
from speechxfer.decoding.log_probs import compute_log_probs as compute_log_probs
from speechxfer.decoding.log_probs import compute_outputs as compute_outputs
from speechxfer.decoding.log_probs import encode_utterances as encode_utterances
from speechxfer.decoding.log_probs import frame_duration_s as frame_duration_s
from speechxfer.decoding.log_probs import read_features as read_features
from speechxfer.decoding.phone_options import BONUS as BONUS
from speechxfer.decoding.phone_options import FREQUENCY_WEIGHT as FREQUENCY_WEIGHT
from speechxfer.decoding.phone_options import PhoneOptions as PhoneOptions
from speechxfer.decoding.phone_options import estimate_phones as estimate_phones
from speechxfer.decoding.segmentation import SegmentedUtterances as SegmentedUtterances
from speechxfer.decoding.segmentation import segment_recording as segment_recording
from speechxfer.decoding.segmentation import segment_utterances as segment_utterances
from speechxfer.decoding.transcription import decode_utterances as decode_utterances
from speechxfer.decoding.transcription import recording_utterance as recording_utterance
from speechxfer.decoding.transcription import transcribe as transcribe
from speechxfer.decoding.voice_activity import band_levels as band_levels
from speechxfer.decoding.voice_activity import detect_speech as detect_speech
from speechxfer.decoding.voice_activity import find_speech as find_speech
from speechxfer.decoding.windows import window_utterances as window_utterances
