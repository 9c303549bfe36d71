"""Correction of transcripts: the utterances that the model is least certain of first; what is corrected becomes training data."""

import os
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from speechxfer.annotations import UTTERANCES
from speechxfer.data import Utterance, write_manifest
from speechxfer.errors import InputError
from speechxfer.runtime import file_lock, read_json
from speechxfer.server.project import Project

CORRECTED = "corrected.jsonl"
SKIPPED = "skipped.jsonl"
LONGEST_TEXT = 5000  # characters
OVERLAP = 0.5  # of an utterance; as much of it corrected already, and it is not shown again


@dataclass(frozen=True)
class Suggestion:
    """An utterance as a model transcribed it; `confidence` is the expected share of right words."""

    utterance: Utterance
    confidence: float


def corrected_utterances(project: Project) -> list[Utterance]:
    """The utterances whose transcripts are corrected."""
    return project.manifest(CORRECTED)


def suggestions(project: Project, transcripts: str) -> list[Suggestion]:
    """What a folder of transcripts has that is neither corrected nor skipped, the least certain first."""
    done: dict[Path, list[Utterance]] = defaultdict(list)
    for utterance in (*corrected_utterances(project), *project.manifest(SKIPPED)):
        done[utterance.audio_filepath].append(utterance)
    folder = project.folder / transcripts
    found = _read_transcripts(folder, project.folder, folder.stat().st_mtime_ns) if folder.is_dir() else ()
    language = project.settings.language
    return [
        replace(one, utterance=replace(one.utterance, lang=language))
        for one in found
        if not _is_covered(one.utterance, done[one.utterance.audio_filepath])
    ]


def correct(project: Project, transcripts: str, id_: str, text: str) -> None:
    """Keep the corrected text of an utterance.

    Raises:
        InputError: no such utterance, or a text that is empty or too long.
    """
    text = " ".join(text.split())
    if not text or len(text) > LONGEST_TEXT:
        raise InputError("write what is said, in at most 5,000 characters; an utterance without speech can be skipped")
    _append(project, CORRECTED, replace(_find(project, transcripts, id_), text=text))


def skip(project: Project, transcripts: str, id_: str) -> None:
    """Show an utterance no more: nobody speaks, or nobody can tell what is said."""
    _append(project, SKIPPED, replace(_find(project, transcripts, id_), text=""))


def undo(project: Project) -> None:
    """Forget the latest correction, so that its utterance is shown again."""
    with file_lock(project.folder / CORRECTED):
        kept = corrected_utterances(project)[:-1]
        if kept:
            write_manifest(project.folder / CORRECTED, kept)
        else:
            (project.folder / CORRECTED).unlink(missing_ok=True)


def read_transcript(path: Path) -> dict[str, Any]:
    """A JSON file of `transcribe`: utterances and words with times and confidence."""
    value = read_json(path, fix="transcribe again")
    if not isinstance(value, dict):
        raise InputError(f"{path}: is no transcript; transcribe again")
    return value


def _find(project: Project, transcripts: str, id_: str) -> Utterance:
    found = next((one.utterance for one in suggestions(project, transcripts) if one.utterance.id == id_), None)
    if found is None:
        raise InputError(f"{id_!r}: there is no such utterance to correct any more; reload the page")
    return found


def _append(project: Project, name: str, utterance: Utterance) -> None:
    with file_lock(project.folder / name):
        known = project.manifest(name)
        taken = sum(one.id.partition("#")[0] == utterance.id for one in known)  # of a recording with the same file name
        added = replace(utterance, id=f"{utterance.id}#{taken + 1}") if taken else utterance
        write_manifest(project.folder / name, [*known, added])


def _is_covered(utterance: Utterance, others: Iterable[Utterance]) -> bool:
    end_s = utterance.offset + utterance.duration
    shared_s = sum(
        max(0.0, min(end_s, other.offset + other.duration) - max(utterance.offset, other.offset)) for other in others
    )
    return shared_s > OVERLAP * utterance.duration


@lru_cache(maxsize=4)
def _read_transcripts(folder: Path, project: Path, _changed_ns: int) -> tuple[Suggestion, ...]:
    found = []
    for path in sorted(folder.glob("*.json")):
        transcript = read_transcript(path)
        media = Path(os.path.normpath(project / transcript["media"]))
        for tier in transcript["tiers"]:
            if tier["name"].split("@")[0] == UTTERANCES:
                found += [_suggestion(media, interval) for interval in tier["intervals"]]
    return tuple(sorted(found, key=lambda one: (one.confidence, one.utterance.id)))


def _suggestion(media: Path, interval: dict[str, Any]) -> Suggestion:
    start_s, end_s = float(interval["start"]), float(interval["end"])
    name = "_".join(media.stem.split())
    id_ = f"corrected-{name}-{round(1000 * start_s):08d}-{round(1000 * end_s):08d}"
    utterance = Utterance(id_, media, round(end_s - start_s, 6), interval["text"], start_s)
    return Suggestion(utterance, float(interval.get("score", 0.0)))
