"""TODO-DOOR"""

from speechxfer.features.augmentation import change_speed, spec_augment
from speechxfer.features.batches import Batch, collate, load_in_background, plan_batches
from speechxfer.features.cache import FeatureStore, SampleStore, store_features, store_samples
from speechxfer.features.distortion import distort
from speechxfer.features.extraction import AudioOptions, report_resampling, utterance_features, utterance_samples
from speechxfer.features.fingerprint import feature_fingerprint
from speechxfer.features.log_mel import Filterbank, filterbank
from speechxfer.features.mel_filters import analysis_window, mel_filters
from speechxfer.features.padding import padding_mask
from speechxfer.features.presets import PRESETS, feature_preset
from speechxfer.features.spec import FeatureSpec

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
