"""Measurement of recordings for `speechxfer check`: every utterance is decoded once, file after file.

Levels and shares are those of the samples as the file has them, before any resampling.
"""

import hashlib
import os
import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from speechxfer.checking.findings import Entry, Finding, Key, MeasuredAudio
from speechxfer.checking.settings import CheckSettings
from speechxfer.data import (
    AudioHeader,
    UnreadableAudioError,
    Utterance,
    archive_of,
    channels_cancel,
    decode_audio,
    read_audio_header,
)
from speechxfer.runtime import track

HEADERS = 1000  # recordings whose headers a quick check reads
LARGEST_SAMPLE = 1e6  # some float files contain 16-bit numbers; larger values are garbage
CLIPPED_RUN_SAMPLES = 3
FULL_SCALE = {"PCM_U8": 127 / 128, "PCM_S8": 127 / 128, "ULAW": 32124 / 32768, "ALAW": 32256 / 32768}


def measure_recordings(entries: Sequence[Entry]) -> tuple[list[Entry], list[Finding]]:
    """The entries with their audio measured, and a finding for each whose audio is missing or unreadable."""
    by_path: dict[Path, list[Entry]] = defaultdict(list)
    for entry in entries:
        by_path[entry.path].append(entry)
    measured: dict[Key, MeasuredAudio] = {}
    findings = []
    for path, users in track(list(by_path.items()), "reading audio"):
        missing = _is_missing(path)
        for entry in sorted(users, key=lambda entry: entry.utterance.offset):
            try:
                measured[entry.key] = _measure_segment(path, entry.utterance)
            except UnreadableAudioError as error:
                kind = "missing audio" if missing else "unreadable audio"
                reason = "the file does not exist" if missing else error.reason
                findings.append(entry.finding("error", kind, f"{path}: {reason}; expected a recording"))
    return [replace(entry, audio=measured.get(entry.key)) for entry in entries], findings


def measure_headers(entries: list[Entry], settings: CheckSettings) -> tuple[list[Finding], int]:
    """Give the entries the lengths of the manifest or, for `HEADERS` recordings, of their headers; nothing is decoded.

    Returns:
        A finding for each whose audio is missing or whose header is unreadable; the number of headers read.
    """
    paths = list(dict.fromkeys(entry.path for entry in entries))
    sample = set(random.Random(0).sample(paths, min(HEADERS, len(paths))))
    faults: dict[Path, tuple[str, str]] = {}
    headers: dict[Path, AudioHeader] = {}
    for path in track(paths, "looking for recordings"):
        if _is_missing(path):
            faults[path] = "missing audio", "the file does not exist"
        elif path in sample:
            try:
                headers[path] = read_audio_header(path)
            except UnreadableAudioError as error:
                faults[path] = "unreadable audio", error.reason
    findings = []
    for place, entry in enumerate(entries):
        if entry.path in faults:
            kind, reason = faults[entry.path]
            findings.append(entry.finding("error", kind, f"{entry.path}: {reason}; expected a recording"))
        else:
            utterance, header = entry.utterance, headers.get(entry.path)
            audio = _audio_by_header(utterance.offset, utterance.duration, header, settings.sample_rate_hz)
            entries[place] = Entry(entry.split, entry.role, entry.line, utterance, entry.text, audio)
    return findings, len(headers)


def _is_missing(path: Path) -> bool:
    """Whether a file, or the archive that a recording is in, does not exist; addresses are not asked."""
    local = archive_of(path)
    return bool(local) and not os.path.exists(local)  # unlike Path.exists, false for names that no file can have


@lru_cache(1 << 16)  # most durations occur often, and a million objects take a quarter of a gigabyte
def _audio_by_header(
    offset_s: float, duration_s: float, header: AudioHeader | None, usual_rate_hz: int
) -> MeasuredAudio:
    rate_hz = header.rate_hz if header else usual_rate_hz
    start, asked = round(offset_s * rate_hz), round(duration_s * rate_hz)
    file_samples = header.samples + header.missing_samples if header else start + asked
    return MeasuredAudio(
        rate_hz=rate_hz,
        channels=header.channels if header else 1,
        file_samples=max(file_samples, 0 if header is None or header.length_is_known else start + asked),
        start=start,
        asked=asked,
        samples=max(0, min(asked, file_samples - start)),
        truncated=header.truncated if header else False,
        missing_s=0.0,
        channels_cancel=False,
        finite=True,
        peak=1.0,
        zeros=0.0,
        clipped=0.0,
        digest="",
        is_decoded=False,
        has_header=header is not None,
    )


def _measure_segment(path: Path, utterance: Utterance) -> MeasuredAudio:
    decoded = decode_audio(path, offset_s=utterance.offset, duration_s=utterance.duration)
    header = decoded.header
    file_samples = header.samples + header.missing_samples
    if not header.length_is_known:
        file_samples = max(file_samples, decoded.start + decoded.asked)
    samples = decoded.samples if decoded.samples.size else np.zeros((1, header.channels), np.float32)
    finite = bool((np.abs(samples) <= LARGEST_SAMPLE).all())  # false for NaN too
    if not finite:
        samples = np.clip(np.nan_to_num(samples), -LARGEST_SAMPLE, LARGEST_SAMPLE)
    mixed = samples.mean(axis=1)
    full = np.max(np.abs(samples), axis=1) >= FULL_SCALE.get(header.subtype, 32767 / 32768) - 1e-6
    return MeasuredAudio(
        rate_hz=header.rate_hz,
        channels=header.channels,
        file_samples=file_samples,
        start=decoded.start,
        asked=decoded.asked,
        samples=len(decoded.samples),
        truncated=header.truncated,
        missing_s=decoded.missing_s,
        channels_cancel=channels_cancel(decoded.samples),
        finite=finite,
        peak=float(np.abs(mixed - mixed.mean(dtype=np.float64)).max()),
        zeros=float((mixed == 0).mean()),
        clipped=_share_in_runs(full, CLIPPED_RUN_SAMPLES),
        digest=hashlib.blake2b(np.ascontiguousarray(mixed).tobytes(), digest_size=16).hexdigest(),
    )


def _share_in_runs(flags: npt.NDArray[np.bool_], shortest: int) -> float:
    """Share of `[samples]` that is set in runs of at least `shortest`."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], flags.astype(np.int8), [0]))))
    lengths = edges[1::2] - edges[::2]
    return float(lengths[lengths >= shortest].sum() / flags.size)
