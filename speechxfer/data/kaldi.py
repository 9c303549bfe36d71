"""Kaldi's data folders: ``wav.scp``, ``text``, and where present ``segments``, ``utt2spk`` and ``utt2lang``.

Source: Kaldi documentation, "Data preparation". Commands in ``wav.scp`` (lines that end with "|") are never run.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from speechxfer.data.decoder import read_audio_header, read_duration_s
from speechxfer.data.importing import AFTER_THE_END, NO_DURATION, NO_TEXT, ROUNDING_S, ImportedSpeech
from speechxfer.data.manifest import Utterance
from speechxfer.errors import InputError
from speechxfer.runtime import read_text

FIX = "give a data folder of Kaldi's"


def is_kaldi_folder(folder: Path) -> bool:
    """Whether a folder has the file that every data folder of Kaldi's has."""
    return (folder / "wav.scp").is_file()


def read_kaldi_folder(folder: Path, language: str = "") -> ImportedSpeech:
    """The utterances of a data folder, in the order of its ids.

    Without ``segments`` a recording is one utterance; without ``text`` all texts are empty, with it an utterance without a line
    in it is skipped. Paths are relative to the current folder, as for Kaldi, or to the data folder.

    Raises:
        InputError: a file is missing or damaged, a recording is a command, missing or unreadable, or an id occurs twice.
    """
    recordings = {name: _recording(path, folder, name) for name, path in _table(folder / "wav.scp").items()}
    texts = _table(folder / "text") if (folder / "text").exists() else None
    speakers, languages = (
        _table(folder / name) if (folder / name).exists() else {} for name in ("utt2spk", "utt2lang")
    )
    lengths: dict[Path, float] = {}
    imported = ImportedSpeech()
    for name, (recording, start_s, end_s) in sorted(_segments(folder, recordings).items()):
        path = recordings[recording]
        if path not in lengths and end_s is None:
            lengths[path] = read_duration_s(path)
        elif path not in lengths:
            header = read_audio_header(path)
            lengths[path] = header.samples / header.rate_hz
        stop_s = lengths[path] if end_s is None or end_s > lengths[path] > end_s - ROUNDING_S else end_s
        text = "" if texts is None else texts.get(name, "")
        reason = _reason_to_skip(start_s, stop_s, lengths[path], text, has_texts=texts is not None)
        if reason:
            imported.skipped.setdefault(reason, []).append(name)
            continue
        imported.append(
            Utterance(
                id=name,
                audio_filepath=path,
                duration=round(stop_s - start_s, 6),
                text=text,
                offset=round(start_s, 6),
                speaker=speakers.get(name, ""),
                lang=language or languages.get(name, ""),
            )
        )
    return imported


def _reason_to_skip(start_s: float, stop_s: float, length_s: float, text: str, *, has_texts: bool) -> str:
    if has_texts and not text.strip():
        return NO_TEXT
    if stop_s <= start_s:
        return NO_DURATION
    return AFTER_THE_END if stop_s > length_s else ""


def _table(path: Path) -> dict[str, str]:
    """Key and rest of each line."""
    rows: dict[str, str] = {}
    for number, line in enumerate(read_text(path, fix=FIX).replace("\r\n", "\n").split("\n"), start=1):
        if not line.strip():
            continue
        key, *rest = line.split(maxsplit=1)
        if key in rows:
            raise InputError(f"{path}:{number}: {key!r} occurs twice; each line needs a key of its own")
        rows[key] = rest[0].strip() if rest else ""
    return rows


def _recording(value: str, folder: Path, name: str) -> Path:
    if not value or value.endswith("|"):
        kind = "is a command, which is not run" if value else "has no path"
        raise InputError(
            f"{folder / 'wav.scp'}: recording {name!r} {kind}; write the recordings to files and name them there"
        )
    candidates = [Path(value), folder / value]
    found = next((path for path in candidates if os.path.isfile(path)), None)
    if found is None:
        raise InputError(f"{folder / 'wav.scp'}: recording {name!r} is missing at {value}; correct the path")
    return Path(os.path.abspath(found))


def _segments(folder: Path, recordings: Mapping[str, Path]) -> dict[str, tuple[str, float, float | None]]:
    """Recording, start and end of each utterance; an end of None or -1 is the end of the recording."""
    path = folder / "segments"
    if not path.exists():
        return {name: (name, 0.0, None) for name in recordings}
    segments: dict[str, tuple[str, float, float | None]] = {}
    for name, rest in _table(path).items():
        fields = rest.split()
        try:
            recording, start_s, end_s = fields[0], float(fields[1]), float(fields[2])
        except (IndexError, ValueError) as error:
            raise InputError(f"{path}: {name!r}: expected recording, start and end, found {rest[:60]!r}") from error
        if recording not in recordings:
            raise InputError(
                f"{path}: {name!r}: recording {recording!r} is not in wav.scp; add it, or remove the segment"
            )
        segments[name] = (recording, start_s, None if end_s == -1 else end_s)
    return segments
