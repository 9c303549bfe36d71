"""Data: manifests, splits and audio.

- `Utterance`, `read_manifest`, `read_manifests`, `read_concatenated`, `write_manifest`, `number_lines`, `parse_line`,
  `paused_collection`: manifests
- `read_audio`, `decode_audio`, `read_audio_header`, `resample_audio`, `hash_audio_file`, `existing_name`: the only reader of
  audio files
- `address_of`, `archive_of`: recordings that are no file of their own
- `collect_audio_warnings`, `channels_cancel`: what reading reports
- `split_by_hash`, `split_train_dev`, `split_into_folds`, `choose_group_key`, `check_disjoint`, `count_shared_sentences`: splits
  without overlap
- `take_seconds`, `order_proportionally`, `total_duration_s`, `digest`: subsets by duration, in an order that ids alone determine;
  `sample_seconds`: a random subset.
- `import_annotation`, `read_kaldi_folder`, `read_lhotse_manifest`, `read_arrow_table`: annotations and other toolkits' corpora as
  `ImportedSpeech`; `TableOptions`, `is_arrow_table`, `read_tar`, `TierChoice`, `EVERY_TIER`, `describe_places`,
  `is_kaldi_folder`, `is_lhotse_manifest`, `is_tar`, `find_addresses`
- `import_table`, `is_table`, `read_segments`, `TABLE_NAME`, `MAX_UNREADABLE`: tables of recordings and texts
- `Segment`, `Placed`, `measure_segments`, `SPLIT_NAMES`, `read_lines`, `one_space`, `print_line`, `skip`: for data scripts
"""

from speechxfer.data.arrow_tables import TableOptions as TableOptions
from speechxfer.data.arrow_tables import is_arrow_table as is_arrow_table
from speechxfer.data.arrow_tables import read_arrow_table as read_arrow_table
from speechxfer.data.audio import channels_cancel as channels_cancel
from speechxfer.data.audio import collect_audio_warnings as collect_audio_warnings
from speechxfer.data.audio import read_audio as read_audio
from speechxfer.data.audio import resample_audio as resample_audio
from speechxfer.data.containers import address_of as address_of
from speechxfer.data.containers import archive_of as archive_of
from speechxfer.data.decoder import UNKNOWN_LENGTH as UNKNOWN_LENGTH
from speechxfer.data.decoder import decode_audio as decode_audio
from speechxfer.data.decoder import existing_name as existing_name
from speechxfer.data.decoder import hash_audio_file as hash_audio_file
from speechxfer.data.decoder import read_audio_header as read_audio_header
from speechxfer.data.headers import MISSING_AT_MOST as MISSING_AT_MOST
from speechxfer.data.headers import RECORDING_SUFFIXES as RECORDING_SUFFIXES
from speechxfer.data.headers import AudioHeader as AudioHeader
from speechxfer.data.headers import Samples as Samples
from speechxfer.data.headers import UnreadableAudioError as UnreadableAudioError
from speechxfer.data.importing import EVERY_TIER as EVERY_TIER
from speechxfer.data.importing import ImportedSpeech as ImportedSpeech
from speechxfer.data.importing import TierChoice as TierChoice
from speechxfer.data.importing import describe_places as describe_places
from speechxfer.data.importing import import_annotation as import_annotation
from speechxfer.data.kaldi import is_kaldi_folder as is_kaldi_folder
from speechxfer.data.kaldi import read_kaldi_folder as read_kaldi_folder
from speechxfer.data.lhotse_manifests import is_lhotse_manifest as is_lhotse_manifest
from speechxfer.data.lhotse_manifests import read_lhotse_manifest as read_lhotse_manifest
from speechxfer.data.manifest import LONGEST_S as LONGEST_S
from speechxfer.data.manifest import Utterance as Utterance
from speechxfer.data.manifest import number_lines as number_lines
from speechxfer.data.manifest import parse_line as parse_line
from speechxfer.data.manifest import paused_collection as paused_collection
from speechxfer.data.manifest import read_concatenated as read_concatenated
from speechxfer.data.manifest import read_manifest as read_manifest
from speechxfer.data.manifest import read_manifests as read_manifests
from speechxfer.data.manifest import write_manifest as write_manifest
from speechxfer.data.segments import SPLIT_NAMES as SPLIT_NAMES
from speechxfer.data.segments import Placed as Placed
from speechxfer.data.segments import Segment as Segment
from speechxfer.data.segments import measure_segments as measure_segments
from speechxfer.data.segments import one_space as one_space
from speechxfer.data.segments import print_line as print_line
from speechxfer.data.segments import read_lines as read_lines
from speechxfer.data.segments import skip as skip
from speechxfer.data.shards import find_addresses as find_addresses
from speechxfer.data.shards import is_tar as is_tar
from speechxfer.data.shards import read_tar as read_tar
from speechxfer.data.splits import GroupKey as GroupKey
from speechxfer.data.splits import check_disjoint as check_disjoint
from speechxfer.data.splits import choose_group_key as choose_group_key
from speechxfer.data.splits import count_shared_sentences as count_shared_sentences
from speechxfer.data.splits import digest as digest
from speechxfer.data.splits import order_proportionally as order_proportionally
from speechxfer.data.splits import sample_seconds as sample_seconds
from speechxfer.data.splits import split_by_hash as split_by_hash
from speechxfer.data.splits import split_into_folds as split_into_folds
from speechxfer.data.splits import split_train_dev as split_train_dev
from speechxfer.data.splits import take_seconds as take_seconds
from speechxfer.data.splits import total_duration_s as total_duration_s
from speechxfer.data.tables import MAX_UNREADABLE as MAX_UNREADABLE
from speechxfer.data.tables import TABLE_NAME as TABLE_NAME
from speechxfer.data.tables import import_table as import_table
from speechxfer.data.tables import is_table as is_table
from speechxfer.data.tables import read_segments as read_segments
