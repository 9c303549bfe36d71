"""Features: samples to log-mel filterbanks, stored, batched and augmented.

- `FeatureSpec`, `PRESETS`, `feature_preset`: what is computed, and the specifications of other toolkits by name
- `filterbank`, `Filterbank`, `mel_filters`, `analysis_window`: the computation, of one utterance, a batch or an ONNX graph
- `feature_fingerprint`, `front_end_version`: values and version by which features are recognised
- `AudioOptions`, `utterance_samples`, `utterance_features`, `report_resampling`: from an utterance to its features
- `store_features`, `store_samples`, `FeatureStore`, `SampleStore`: features of a manifest, computed once
- `plan_batches`, `collate`, `Batch`, `padding_mask`, `load_in_background`: padded batches
- `change_speed`, `spec_augment`, `distort`: data augmentation
"""

from speechxfer.features.augmentation import change_speed, spec_augment
from speechxfer.features.batches import Batch, collate, load_in_background, plan_batches
from speechxfer.features.distortion import distort
from speechxfer.features.extraction import AudioOptions, report_resampling, utterance_features, utterance_samples
from speechxfer.features.fingerprint import feature_fingerprint, front_end_version
from speechxfer.features.log_mel import Filterbank, filterbank
from speechxfer.features.mel_filters import analysis_window, mel_filters
from speechxfer.features.padding import padding_mask
from speechxfer.features.presets import PRESETS, feature_preset
from speechxfer.features.spec import FeatureSpec
from speechxfer.features.store import FeatureStore, SampleStore, store_features, store_samples

__all__ = [
    "PRESETS",
    "AudioOptions",
    "Batch",
    "FeatureSpec",
    "FeatureStore",
    "Filterbank",
    "SampleStore",
    "analysis_window",
    "change_speed",
    "collate",
    "distort",
    "feature_fingerprint",
    "feature_preset",
    "filterbank",
    "front_end_version",
    "load_in_background",
    "mel_filters",
    "padding_mask",
    "plan_batches",
    "report_resampling",
    "spec_augment",
    "store_features",
    "store_samples",
    "utterance_features",
    "utterance_samples",
]
