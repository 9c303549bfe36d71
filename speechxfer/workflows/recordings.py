"""What the verb `transcribe` is given: recordings, folders, patterns, standard input and manifests, found and opened.

A folder stands for all recordings below it, by `RECORDING_SUFFIXES`. A pattern such as ``"2019/*.wav"`` is expanded where
no file has that name, for shells that do not. ``-`` stands for the bytes of a recording on standard input.
"""

import glob
import os
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from speechxfer.data import RECORDING_SUFFIXES, AudioHeader, Utterance, read_audio_header, read_manifest
from speechxfer.errors import InputError, count_of, first_names
from speechxfer.features import AudioOptions
from speechxfer.runtime import log_info, track

STANDARD_INPUT = "-"
MANIFEST_SUFFIX = ".jsonl"


@dataclass(frozen=True)
class Input:
    """One recording, or one manifest.

    Attributes:
        path: of the file.
        name: as in the output: the path, or ``stdin``.
        utterances: of a manifest; of a recording the whole of it, with its name as id.
        header: of a recording; None for a manifest.
    """

    path: Path
    name: str
    utterances: tuple[Utterance, ...]
    header: AudioHeader | None = None

    @property
    def duration_s(self) -> float:
        """Seconds of speech."""
        return sum(utterance.duration for utterance in self.utterances)


def expand_inputs(arguments: Sequence[Path]) -> list[Path]:
    """The files that the arguments stand for, each once, in their order; in folders and patterns sorted by name.

    Raises:
        InputError: a folder without recordings, or a pattern that nothing matches.
    """
    files: dict[Path, Path] = {}  # by the resolved path, which tells a repeated file
    repeated = []
    for argument in arguments:
        for path in _expand(argument):
            key = path if str(path) == STANDARD_INPUT else Path(os.path.realpath(path))  # links may form a loop
            if key in files:
                repeated.append(str(path))
            files.setdefault(key, path)
    if repeated:
        log_info(f"given more than once, transcribed once: {first_names(repeated)}")
    return list(files.values())


def _expand(argument: Path) -> list[Path]:
    if argument.is_dir():
        return _recordings_below(argument)
    if os.path.lexists(argument) or not glob.has_magic(str(argument)):
        return [argument]
    found = [Path(name) for name in sorted(glob.glob(str(argument), recursive=True))]
    if not found:
        raise InputError(f"{argument}: no file matches; correct the pattern")
    return [path for one in found for path in (_recordings_below(one) if one.is_dir() else [one])]


def _recordings_below(folder: Path) -> list[Path]:
    """The recordings in a folder and those below it, without hidden ones; stderr says what else is there."""
    found: list[Path] = []
    others: Counter[str] = Counter()
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(name for name in names if not name.startswith(".")):
            path = Path(parent, name)
            if path.suffix.lower() in RECORDING_SUFFIXES:
                found.append(path)
            else:
                others[path.suffix.lower() or "without suffix"] += 1
    kinds = ", ".join(f"{count} {suffix}" for suffix, count in others.most_common(5))
    skipped = (
        f"; {count_of(others.total(), 'other file')} skipped ({kinds}{' ...' if len(others) > 5 else ''})"
        if others
        else ""
    )
    if not found:
        raise InputError(f"{folder}: no recording is in the folder or below it{skipped}; name files of sound")
    log_info(f"{folder}: {len(found)} recording{'s' if len(found) > 1 else ''}{skipped}")
    return found


def save_standard_input(folder: Path) -> Path:
    """The bytes of standard input as a file in `folder`: decoding needs to seek. InputError if there are none."""
    path = folder / "stdin"
    with path.open("wb") as file:
        shutil.copyfileobj(sys.stdin.buffer, file, 1 << 20)
    if not path.stat().st_size:
        raise InputError("-: standard input is empty; pipe the bytes of a recording into it")
    return path


def open_inputs(
    paths: Sequence[Path], folder: Path, audio: AudioOptions, report: Callable[[InputError, str], None]
) -> list[Input]:
    """The files, opened; one line says which recordings will be converted.

    Args:
        folder: for what is read from standard input.
        audio: how recordings will be read.
        report: gets the error and the name of each file that cannot be opened.

    Raises:
        InputError: an id in two manifests, or what `report` raises.
    """
    opened: list[Input] = []
    for path in track(paths, "reading audio headers"):
        try:
            if path.suffix == MANIFEST_SUFFIX:
                opened.append(Input(path, str(path), tuple(read_manifest(path))))
            elif str(path) == STANDARD_INPUT:
                opened.append(_open_recording(save_standard_input(folder), "stdin"))
            else:
                opened.append(_open_recording(path, str(path)))
        except InputError as error:
            report(error, str(path))
    _check_ids(opened)
    _report_conversion(opened, audio)
    return opened


def _open_recording(path: Path, name: str) -> Input:
    header = read_audio_header(path)
    return Input(path, name, (Utterance(name, path, header.samples / header.rate_hz),), header)


def _check_ids(inputs: Sequence[Input]) -> None:
    """InputError if an id occurs in two manifests."""
    counts = Counter(utterance.id for one in inputs if one.header is None for utterance in one.utterances)
    repeated = [id_ for id_, count in counts.items() if count > 1]
    if repeated:
        raise InputError(
            f"id {repeated[0]!r} occurs twice in the manifests; ids must be unique: transcribe them separately"
        )


def _report_conversion(inputs: Sequence[Input], audio: AudioOptions) -> None:
    """One line that says which recordings will be resampled or mixed to one channel."""
    headers, rate_hz = [one.header for one in inputs if one.header], audio.spec.sample_rate_hz
    rates = Counter(header.rate_hz for header in headers if header.rate_hz != rate_hz) if audio.resample else Counter()
    several = sum(header.channels > 1 for header in headers) if audio.mono else 0
    parts = [f"{_recordings(count)} from {rate} Hz to {rate_hz} Hz" for rate, count in sorted(rates.items())]
    parts += [f"{_recordings(several)} to one channel, the mean of all"] if several else []
    if parts:
        log_info(f"converting {', '.join(parts)}")


def _recordings(count: int) -> str:
    return f"{count} recording{'s' if count > 1 else ''}"
