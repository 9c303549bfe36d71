"""Measurement of recordings: every recording is decoded once."""

import hashlib
import os
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile

from speechxfer.checking.findings import Entry, Finding, Key, MeasuredAudio
from speechxfer.data import Utterance
from speechxfer.runtime import track

Samples = npt.NDArray[np.float32]
LARGEST_SAMPLE = 1e6  # some float files hold 16-bit numbers; beyond this it is garbage
CLIPPED_RUN_SAMPLES = 3
LOSSY_SLACK_S = 0.1  # headers of lossy files may promise this much more than decodes
LONGEST_FILE_S = 1e9
UNKNOWN_LENGTH = 2**40  # frames; libsndfile gives a number near 2**63 where it does not know
STREAMED_BYTES = 0x7FF00000  # sizes from here on stand in WAV headers written to a pipe, and mean nothing
LOSSY_FORMATS = {"OGG", "MP3"}  # seeking in them is not sample-exact: decoded whole, then sliced
FULL_SCALE = {"PCM_U8": 127 / 128, "PCM_S8": 127 / 128, "ULAW": 32124 / 32768, "ALAW": 32256 / 32768}
MISSING = "the file does not exist"
CUT_WAV = re.compile(r"^\s*data\s*:\s*(\d+) \(should be (\d+)\)", re.MULTILINE)


def measure_recordings(entries: Sequence[Entry]) -> tuple[list[Entry], list[Finding]]:
    """The entries with their audio measured; file after file, so no more than one is in memory."""
    by_path: dict[Path, list[Entry]] = defaultdict(list)
    for entry in entries:
        by_path[entry.path].append(entry)
    heard: dict[Key, MeasuredAudio] = {}
    findings = []
    for path, users in track(list(by_path.items()), "listening"):
        for entry, result in zip(users, _measure_file(path, users), strict=True):
            if isinstance(result, MeasuredAudio):
                heard[entry.key] = result
            else:
                kind = "missing audio" if result == MISSING else "unreadable audio"
                findings.append(entry.finding("error", kind, f"{path}: {result}; expected a recording"))
    return [replace(entry, audio=heard.get(entry.key)) for entry in entries], findings


def _measure_file(path: Path, entries: Sequence[Entry]) -> list[MeasuredAudio | str]:
    """What each entry covers, measured, or why it cannot be."""
    if not os.path.exists(path):  # unlike Path.exists, false for names that no file can have
        return [MISSING] * len(entries)
    whole: Samples | None = None
    try:
        with soundfile.SoundFile(str(path)) as file:
            if file.format in LOSSY_FORMATS:
                whole = file.read(dtype="float32", always_2d=True)
    except TypeError:  # soundfile's answer to a name that ends in .raw
        return ["it has no header, so its rate is not known"] * len(entries)
    except (soundfile.SoundFileError, OSError, MemoryError) as error:
        return [_reason(error)] * len(entries)
    results: list[MeasuredAudio | str] = []
    for entry in entries:
        try:
            with soundfile.SoundFile(str(path)) as file:
                results.append(_measure_segment(file, entry.utterance, whole))
        except (soundfile.SoundFileError, OSError, MemoryError) as error:  # it may be broken in one place only
            results.append(_reason(error))
    return results


def _reason(error: Exception) -> str:
    return f"not readable as audio ({str(getattr(error, 'error_string', error)).strip().rstrip('.')})"


def _measure_segment(file: Any, utterance: Utterance, whole: Samples | None) -> MeasuredAudio | str:
    """Measure a stretch of an open file; `whole` is the decoded file where seeking is not exact."""
    rate_hz = file.samplerate
    file_samples = file.frames if whole is None else len(whole)
    if file_samples > UNKNOWN_LENGTH:
        return "it does not say how long it is"
    start, asked = round(utterance.offset * rate_hz), round(utterance.duration * rate_hz)
    end = max(start, min(start + asked, file_samples))
    if whole is not None:
        samples = whole[start:end]
    elif start < end:
        file.seek(start)
        samples = file.read(end - start, dtype="float32", always_2d=True)
    else:
        samples = np.zeros((0, file.channels), dtype=np.float32)
    missing = _cut_off(file, file_samples) if start + asked >= file_samples - 1 else ""
    if whole is None and len(samples) < end - start:
        missing = f"{(end - start - len(samples)) / rate_hz:.2f} s"
    return MeasuredAudio(
        rate_hz,
        file.channels,
        file_samples,
        start,
        asked,
        len(samples),
        missing,
        **_measure(samples, FULL_SCALE.get(file.subtype, 32767 / 32768)),
    )


def _measure(samples: Samples, full_scale: float) -> dict[str, Any]:
    """Of `[samples, channels]`: whether all are finite, peak (without DC), shares of zeros and clipping, and a hash."""
    if not samples.size:
        return {"finite": True, "peak": 0.0, "zeros": 0.0, "clipped": 0.0, "digest": ""}
    finite = bool((np.abs(samples) <= LARGEST_SAMPLE).all())  # false for NaN too
    if not finite:
        samples = np.clip(np.nan_to_num(samples), -LARGEST_SAMPLE, LARGEST_SAMPLE)
    mixed = samples.mean(axis=1)
    full = np.max(np.abs(samples), axis=1) >= full_scale - 1e-6
    return {
        "finite": finite,
        "peak": float(np.abs(mixed - mixed.mean(dtype=np.float64)).max()),
        "zeros": float((mixed == 0).mean()),
        "clipped": _share_in_runs(full, CLIPPED_RUN_SAMPLES),
        "digest": hashlib.blake2b(np.ascontiguousarray(mixed).tobytes(), digest_size=16).hexdigest(),
    }


def _share_in_runs(flags: npt.NDArray[np.bool_], shortest: int) -> float:
    """Share of `[samples]` that is set in runs of at least `shortest`."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], flags.astype(np.int8), [0]))))
    lengths = edges[1::2] - edges[::2]
    return float(lengths[lengths >= shortest].sum() / flags.size)


def _cut_off(file: Any, file_samples: int) -> str:
    """How much less there is than the header promises: a copy that was interrupted; empty where it agrees."""
    if file.format in LOSSY_FORMATS:
        missing_s = (file.frames - file_samples) / file.samplerate
        return f"{missing_s:.2f} s" if missing_s > LOSSY_SLACK_S else ""
    sizes = CUT_WAV.search(file.extra_info) if file.format in ("WAV", "WAVEX") else None
    promised, present = (int(size) for size in sizes.groups()) if sizes else (0, 0)
    return f"{promised - present:,} bytes" if present + 8 < promised < STREAMED_BYTES else ""
