"""Features: samples to log-mel filterbanks, stored, batched and augmented.

- `FeatureSpec`, `PRESETS`, `feature_preset`: what is computed, and the specifications of other toolkits by name
- `filterbank`, `Filterbank`, `mel_filters`, `analysis_window`: the computation, of one utterance, a batch or an ONNX graph
- `feature_fingerprint`, `front_end_version`: values and version by which features are recognised
- `AudioOptions`, `utterance_samples`, `utterance_features`, `report_resampling`: from an utterance to its features
- `store_features`, `store_samples`, `FeatureStore`: features of a manifest, computed once
- `stream_features`, `stream_samples`, `StreamedFeatures`, `FrameCounts`, `Flags`: features of a large corpus, computed as needed
- `FeatureSource`, `ComputedFeatures`: features by index, from a store or in memory
- `plan_batches`, `collate`, `Batch`, `padding_mask`, `load_in_background`: padded batches
- `change_speed`, `spec_augment`, `distort`: data augmentation of an utterance
- `collate_samples`, `augment_batch`, `Augmentation`: data augmentation of a batch on the device that trains
"""

from speechxfer.features.augmentation import change_speed as change_speed
from speechxfer.features.augmentation import distort as distort
from speechxfer.features.augmentation import spec_augment as spec_augment
from speechxfer.features.batch_augmentation import Augmentation as Augmentation
from speechxfer.features.batch_augmentation import augment_batch as augment_batch
from speechxfer.features.batch_augmentation import collate_samples as collate_samples
from speechxfer.features.batches import Batch as Batch
from speechxfer.features.batches import collate as collate
from speechxfer.features.batches import load_in_background as load_in_background
from speechxfer.features.batches import padding_mask as padding_mask
from speechxfer.features.batches import plan_batches as plan_batches
from speechxfer.features.extraction import AudioOptions as AudioOptions
from speechxfer.features.extraction import ComputedFeatures as ComputedFeatures
from speechxfer.features.extraction import FeatureSource as FeatureSource
from speechxfer.features.extraction import report_resampling as report_resampling
from speechxfer.features.extraction import utterance_features as utterance_features
from speechxfer.features.extraction import utterance_samples as utterance_samples
from speechxfer.features.log_mel import Filterbank as Filterbank
from speechxfer.features.log_mel import feature_fingerprint as feature_fingerprint
from speechxfer.features.log_mel import filterbank as filterbank
from speechxfer.features.log_mel import front_end_version as front_end_version
from speechxfer.features.mel_filters import analysis_window as analysis_window
from speechxfer.features.mel_filters import mel_filters as mel_filters
from speechxfer.features.presets import PRESETS as PRESETS
from speechxfer.features.presets import feature_preset as feature_preset
from speechxfer.features.spec import FeatureSpec as FeatureSpec
from speechxfer.features.store import FeatureStore as FeatureStore
from speechxfer.features.store import store_features as store_features
from speechxfer.features.store import store_samples as store_samples
from speechxfer.features.streaming import Flags as Flags
from speechxfer.features.streaming import FrameCounts as FrameCounts
from speechxfer.features.streaming import StreamedFeatures as StreamedFeatures
from speechxfer.features.streaming import stream_features as stream_features
from speechxfer.features.streaming import stream_samples as stream_samples
