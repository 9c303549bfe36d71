"""A project: a folder that holds all that the page shows and does, and nothing that is kept only in memory.

project.json      folders of recordings elsewhere on this computer, tiers, language
recordings/       uploaded documents and recordings
data/1/           manifests of import and split (all, train, dev, test), findings.json; clean/ of `check --fix`
models/2/         a run of `adapt`; its test/ has the scores
transcripts/3/    of recordings without transcripts, one JSON file each
corrected.jsonl   corrected transcripts, as a manifest; skipped.jsonl: utterances that nobody can correct
exports/4/        tiers and reports
jobs/             see `jobs.py`; the numbers above are those of jobs
"""

import json
import os
import threading
import time
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from speechxfer.annotations import READABLE, UTTERANCES, read_annotations
from speechxfer.data import RECORDING_SUFFIXES, Utterance, read_manifest
from speechxfer.errors import InputError, count_of
from speechxfer.runtime import read_json, write_atomically

RECORDINGS = "recordings"
SETTINGS = "project.json"
TABLES = (".tsv", ".csv")
BY_NAME = (".txt", *TABLES)  # may be anything; they are used where they were uploaded
ANNOTATED = (*(suffix.lower() for suffix in READABLE), *TABLES)
USED = (*ANNOTATED, *RECORDING_SUFFIXES)
MOST_FILES = 20_000
LISTED_S = 1.0  # for so long a list of files is used again: one state of the page needs it several times
LONGEST_NAME = 200  # bytes


class Settings(BaseModel):
    """What the user chose; in ``project.json``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    folders: tuple[str, ...] = ()
    tiers: tuple[str, ...] = ()
    language: str = ""


@dataclass(frozen=True)
class TierGroup:
    """Tiers of one kind in all documents: those named alike up to an @ (``tx@ana``, ``tx@ben``).

    Attributes:
        pattern: for ``--tier``.
        documents: how many documents have one.
        texts: how many texts they have; `phrases` of them have several words.
        characters: of all texts.
        example: one of the longest texts.
        independent: whether none depends on another tier.
    """

    pattern: str
    documents: int
    texts: int
    phrases: int
    characters: int
    example: str
    independent: bool


@dataclass(frozen=True)
class Tiers:
    """The kinds of tiers with texts, the best to train on first.

    Attributes:
        groups: the kinds.
        chosen: patterns of the tiers to import: those that the user chose, else the best of each document; none where every
            document has one tier only.
        faults: of documents that cannot be read.
    """

    groups: tuple[TierGroup, ...]
    chosen: tuple[str, ...]
    faults: tuple[str, ...]


class Project:
    """The files of a project.

    Raises:
        InputError: `folder` is a file, or has files of something else.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self._settings_lock = threading.Lock()
        self._listed: tuple[float, list[Path], list[Path]] = (0.0, [], [])  # when, of which folders, files
        if not _is_utf8(self.folder):
            raise InputError(f"{str(folder)!a}: the name is not UTF-8; choose another folder")
        if self.folder.exists() and not self.folder.is_dir():
            raise InputError(f"{folder}: is a file; name a folder for the project, which is made if missing")
        if not (self.folder / SETTINGS).exists():
            if self.folder.exists() and any(self.folder.iterdir()):
                raise InputError(
                    f"{folder}: has files that are not of a project; name a new folder, and add this one on the page "
                    "(its files stay where they are)"
                )
            self.change_settings()

    @property
    def settings(self) -> Settings:
        """What the user chose."""
        path = self.folder / SETTINGS
        try:
            return Settings.model_validate(read_json(path, fix="restore it, or start a new project"))
        except ValidationError as error:
            raise InputError(f"{path}: {error.errors()[0]['msg']}; restore it, or start a new project") from error

    def change_settings(self, **changes: Any) -> None:
        """Change some of the settings."""
        with self._settings_lock:
            current = self.settings if (self.folder / SETTINGS).exists() else Settings()
            changed = json.dumps(current.model_dump() | changes, ensure_ascii=False, indent=1)
            write_atomically(self.folder / SETTINGS, changed + "\n")

    def add_folder(self, name: str) -> None:
        """Use the files of another folder on this computer, where they are.

        Raises:
            InputError: no such folder, one that holds the project or lies in it, or one without documents and recordings.
        """
        path = Path(os.path.expanduser(name.strip()))
        if not name.strip() or "\0" in name or not path.is_absolute() or not path.is_dir():
            raise InputError(f"{name!r} is not a folder on this computer; give its whole path, such as /home/ana/elan")
        path = path.resolve()
        if path.is_relative_to(self.folder) or self.folder.is_relative_to(path):
            raise InputError(f"{path}: holds this project or lies in it; give a folder elsewhere")
        if not any(file.suffix.lower() in USED for file in _files_below(path)):
            raise InputError(f"{path}: has no document ({' '.join(ANNOTATED)}) and no recording; give another folder")
        folders = self.settings.folders
        if str(path) not in folders:
            self.change_settings(folders=[*folders, str(path)])

    def remove_folder(self, name: str) -> None:
        """Use a folder no longer; its files stay as they are."""
        self.change_settings(folders=[folder for folder in self.settings.folders if folder != name])

    def sources(self) -> list[Path]:
        """The folders of documents and recordings: that of uploads, and those elsewhere."""
        return [self.folder / RECORDINGS, *map(Path, self.settings.folders)]

    def documents(self) -> list[Path]:
        """All documents with annotations; of text files and tables those that were uploaded."""
        uploaded = self.folder / RECORDINGS
        kinds = [path for path in self._files() if path.suffix.lower() in ANNOTATED]
        return [path for path in kinds if path.suffix.lower() not in BY_NAME or path.parent == uploaded]

    def recordings(self) -> list[Path]:
        """All recordings."""
        return [path for path in self._files() if path.suffix.lower() in RECORDING_SUFFIXES]

    def forget_files(self) -> None:
        """Look for files anew: some were added."""
        self._listed = (0.0, [], [])

    def _files(self) -> list[Path]:
        sources = self.sources()
        when_s, listed, files = self._listed
        if listed != sources or time.monotonic() - when_s > LISTED_S:
            files = [path for folder in sources for path in _files_below(folder) if _is_utf8(path)]
            self._listed = (time.monotonic(), sources, files)
        return files

    def name_of(self, path: Path) -> str:
        """A path as commands name it: relative in the project's folder, else absolute."""
        return str(path.relative_to(self.folder) if path.is_relative_to(self.folder) else path)

    def tiers(self) -> Tiers:
        """The kinds of tiers in all documents."""
        found: dict[str, TierGroup] = {}
        of_documents: list[list[str]] = []
        faults = [
            f"{folder}: {count_of(count, 'file')} not used, since names are not UTF-8; rename them"
            for folder in self.sources()
            if (count := sum(not _is_utf8(path) for path in _files_below(folder)))
        ]
        for path in self.documents():
            status = path.stat()
            try:
                groups = _read_tier_groups(path, status.st_mtime_ns, status.st_size)
            except InputError as error:
                faults.append(str(error))
                continue
            of_documents.append([group.pattern for group in groups])
            for group in groups:
                found[group.pattern] = _merge(found[group.pattern], group) if group.pattern in found else group
        groups = sorted(found.values(), key=_rank)
        order = [group.pattern for group in groups]
        chosen = [pattern for pattern in self.settings.tiers if pattern in found]
        if not chosen and any(len(patterns) > 1 for patterns in of_documents):
            best = {min(patterns, key=order.index) for patterns in of_documents if patterns}
            chosen = [pattern for pattern in order if pattern in best]
        return Tiers(tuple(groups), tuple(chosen), tuple(faults))

    def manifest(self, name: str) -> list[Utterance]:
        """The utterances of a manifest in the project; none where there is no such file."""
        path = self.folder / name
        if not path.exists():
            return []
        status = path.stat()
        return list(_read_manifest(path, status.st_mtime_ns, status.st_size))


def safe_name(name: str) -> str:
    """A name for an uploaded file: the last part of `name` without control characters, at most `LONGEST_NAME` bytes long.

    Raises:
        InputError: nothing remains, or the suffix is none of documents and recordings.
    """
    last = unicodedata.normalize("NFC", name).replace("\\", "/").rsplit("/", 1)[-1]
    shown = "".join(character for character in last if unicodedata.category(character)[0] != "C").strip().lstrip(".-~ ")
    stem, suffix = os.path.splitext(shown)
    if not stem or suffix.lower() not in USED:
        raise InputError(
            f"{last[:80]!r}: files of this kind are not used; give documents and recordings: {' '.join(USED)}"
        )
    room = LONGEST_NAME - len(suffix.encode())
    return stem.encode()[:room].decode("utf-8", "ignore").rstrip() + suffix


def _is_utf8(path: Path) -> bool:
    """Whether a path can be written into manifests and sent to the browser; names of other encodings cannot."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def _files_below(folder: Path) -> Iterator[Path]:
    """The files in a folder and below it, without hidden ones, in order; InputError if there are too many."""
    count = 0
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and not name.endswith(".partial"))
        for name in sorted(names):
            count += 1
            if count > MOST_FILES:
                raise InputError(f"{folder}: has more than {MOST_FILES:,} files; give a folder with fewer")
            if not name.startswith(".") and not name.endswith(".partial"):
                yield Path(parent, name)


def _rank(group: TierGroup) -> tuple[bool, bool, bool, int]:
    """Tiers of ours first, then those of phrases (not words or numbers), then independent ones, then by amount of text."""
    of_words = 2 * group.phrases < group.texts
    return group.pattern.rstrip("@*") != UTTERANCES, of_words, not group.independent, -group.characters


def _merge(one: TierGroup, other: TierGroup) -> TierGroup:
    return replace(
        one,
        documents=one.documents + other.documents,
        texts=one.texts + other.texts,
        phrases=one.phrases + other.phrases,
        characters=one.characters + other.characters,
        example=max(one.example, other.example, key=len),
        independent=one.independent and other.independent,
    )


@lru_cache(maxsize=4096)
def _read_tier_groups(path: Path, _changed_ns: int, _size: int) -> list[TierGroup]:
    found: dict[str, TierGroup] = {}
    if path.suffix.lower() in TABLES:
        return []
    for annotation in read_annotations(path):
        for tier in annotation.tiers:
            texts = [interval.text for interval in tier.intervals if interval.text.strip()]
            if texts:
                stem, at, _ = tier.name.partition("@")
                pattern = _escape(stem) + ("@*" if at else "")
                example = max(texts, key=len)[:200]
                phrases, characters = sum(len(text.split()) > 1 for text in texts), sum(map(len, texts))
                group = TierGroup(pattern, 0, len(texts), phrases, characters, example, not tier.parent)
                found[pattern] = _merge(found[pattern], group) if pattern in found else group
    return [replace(group, documents=1) for group in found.values()]


def _escape(name: str) -> str:
    """A name as a pattern that fits it alone."""
    return "".join(f"[{character}]" if character in "*?[" else character for character in name)


@lru_cache(maxsize=64)
def _read_manifest(path: Path, _changed_ns: int, _size: int) -> tuple[Utterance, ...]:
    return tuple(read_manifest(path))
