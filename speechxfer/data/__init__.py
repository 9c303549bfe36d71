"""TODO-DOOR"""

from speechxfer.data.audio import Samples, audio_rate_hz, read_audio, resampled
from speechxfer.data.manifest import (
    LONGEST_S,
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
    cut_into_folds,
    digest,
    hold_out,
    proportional_order,
    shared_sentences,
    take_seconds,
    total_duration_s,
)

__all__ = [
    "LONGEST_S",
    "GroupKey",
    "Samples",
    "Utterance",
    "audio_rate_hz",
    "check_disjoint",
    "choose_group_key",
    "cut_into_folds",
    "digest",
    "hold_out",
    "parse_line",
    "proportional_order",
    "read_audio",
    "read_concatenated",
    "read_manifest",
    "read_manifests",
    "resampled",
    "shared_sentences",
    "take_seconds",
    "total_duration_s",
    "write_manifest",
]
