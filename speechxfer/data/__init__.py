"""Data: manifests, splits and audio.

- `Utterance`, `read_manifest`, `read_manifests`, `read_concatenated`, `write_manifest`, `parse_line`: manifests
- `read_audio`, `decode_audio`, `read_audio_header`, `resample_audio`, `hash_audio_file`: the only reader of audio files
- `collect_audio_warnings`, `channels_cancel`: what reading reports
- `split_train_dev`, `split_into_folds`, `choose_group_key`, `check_disjoint`, `count_shared_sentences`: splits without overlap
- `take_seconds`, `order_proportionally`, `total_duration_s`, `digest`: subsets by duration, in an order that depends on ids alone
"""

from speechxfer.data.audio import channels_cancel, collect_audio_warnings, read_audio, resample_audio
from speechxfer.data.decoder import (
    MISSING_AT_MOST,
    UNKNOWN_LENGTH,
    AudioHeader,
    DecodedAudio,
    Samples,
    UnreadableAudioError,
    decode_audio,
    hash_audio_file,
    read_audio_header,
)
from speechxfer.data.manifest import (
    LONGEST_S,
    MAX_MANIFEST_BYTES,
    Utterance,
    parse_line,
    read_concatenated,
    read_manifest,
    read_manifests,
    write_manifest,
)
from speechxfer.data.splits import (
    GroupKey,
    check_disjoint,
    choose_group_key,
    count_shared_sentences,
    digest,
    order_proportionally,
    split_into_folds,
    split_train_dev,
    take_seconds,
    total_duration_s,
)

__all__ = [
    "LONGEST_S",
    "MAX_MANIFEST_BYTES",
    "MISSING_AT_MOST",
    "UNKNOWN_LENGTH",
    "AudioHeader",
    "DecodedAudio",
    "GroupKey",
    "Samples",
    "UnreadableAudioError",
    "Utterance",
    "channels_cancel",
    "check_disjoint",
    "choose_group_key",
    "collect_audio_warnings",
    "count_shared_sentences",
    "decode_audio",
    "digest",
    "hash_audio_file",
    "order_proportionally",
    "parse_line",
    "read_audio",
    "read_audio_header",
    "read_concatenated",
    "read_manifest",
    "read_manifests",
    "resample_audio",
    "split_into_folds",
    "split_train_dev",
    "take_seconds",
    "total_duration_s",
    "write_manifest",
]
