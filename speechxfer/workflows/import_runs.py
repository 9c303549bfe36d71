"""The verb `import`: annotations, subtitles, tables, Kaldi's data folders, lhotse's manifests and tar shards as a manifest."""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from speechxfer.annotations import READABLE, read_annotations
from speechxfer.data import (
    EVERY_TIER,
    ImportedSpeech,
    TierChoice,
    address_of,
    describe_places,
    find_addresses,
    import_annotation,
    import_table,
    is_kaldi_folder,
    is_lhotse_manifest,
    is_table,
    is_tar,
    read_kaldi_folder,
    read_lhotse_manifest,
    read_tar,
    total_duration_s,
    write_manifest,
)
from speechxfer.errors import InputError, count_of
from speechxfer.runtime import check_not_input, format_duration, log_info, track

IN_FOLDERS = tuple(suffix.lower() for suffix in READABLE if suffix != ".txt")  # any text file may end with .txt


@dataclass(frozen=True)
class ImportOptions:
    """How files are imported.

    Attributes:
        tiers: which tiers.
        audio_dir: where the recordings are, if not where the files say or beside them.
        language: code of the language of all utterances.
        encoding: of TextGrids, subtitles and labels that are neither UTF-8 nor UTF-16.
    """

    tiers: TierChoice = EVERY_TIER
    audio_dir: Path | None = None
    language: str = ""
    encoding: str | None = None


DEFAULTS = ImportOptions()


def import_files(inputs: Sequence[Path], out: Path, options: ImportOptions = DEFAULTS) -> str:
    """Write a manifest of the speech in annotated files, tables, Kaldi's data folders, lhotse's manifests and tar shards.

    A folder stands for all annotated files in it (label tracks, ``.txt``, tables and lhotse's manifests only by name). What
    cannot be imported is reported on stderr and does not stop the others; an error follows at the end.

    Args:
        inputs: files and folders.
        out: the manifest (``.jsonl``).
        options: choice of tiers, place of the recordings and so on.

    Returns:
        What was written, what was skipped and why.

    Raises:
        InputError: nothing was imported, `out` is an input, or, after the manifest is written, some files could not be.
    """
    if out.suffix != ".jsonl":
        raise InputError(f"{out}: a manifest needs the suffix .jsonl; rename --out")
    given = list(_files(inputs))
    files = list({os.path.realpath(path): path for path in reversed(given)}.values())[::-1]
    if len(files) < len(given):
        log_info(f"given more than once, imported once: {count_of(len(given) - len(files), 'file')}")
    check_not_input(out, files)
    imported, failed = ImportedSpeech(), 0
    for path in track(files, "files"):
        try:
            for part in _import_file(path, options):
                imported.add(part)
        except InputError as error:
            failed += 1
            log_info(f"not imported: {error}")
    faults = f"{failed:,} of {count_of(len(files), 'file')} could not be imported (causes above)" if failed else ""
    if not imported.utterances:
        reasons = describe_places(imported.skipped)
        raise InputError(f"import: no utterance: {faults or reasons or 'no file'}; no manifest was written")
    write_manifest(out, imported.utterances)
    if failed:
        log_info(_summary(imported, out))
        raise InputError(f"import: {faults}; the manifest has the others")
    return _summary(imported, out)


def _files(inputs: Iterable[Path]) -> Iterator[Path]:
    """Files, addresses and Kaldi's data folders, those in other folders in order of their names."""
    for path in inputs:
        if address_of(path):
            yield from find_addresses(address_of(path))
            continue
        if not path.is_dir() or is_kaldi_folder(path):
            yield path
            continue
        found = sorted(file for file in path.rglob("*") if file.suffix.lower() in IN_FOLDERS and file.is_file())
        if not found:
            raise InputError(f"{path}: has no file of annotations ({', '.join(IN_FOLDERS)}); name a folder that has")
        yield from found


def _import_file(path: Path, options: ImportOptions) -> Iterator[ImportedSpeech]:
    if path.is_dir():
        yield read_kaldi_folder(path, options.language)
        return
    if is_lhotse_manifest(path):
        yield read_lhotse_manifest(path, options.language)
        return
    if is_table(path):
        yield import_table(path, options.language, options.audio_dir)
        return
    if is_tar(path):
        yield read_tar(path, options.language)
        return
    for annotation in read_annotations(path, options.encoding):
        yield import_annotation(annotation, path, options.tiers, options.audio_dir, options.language)


def _summary(imported: ImportedSpeech, out: Path) -> str:
    utterances = imported.utterances
    recordings = len({utterance.audio_filepath for utterance in utterances})
    speakers = len({utterance.speaker for utterance in utterances if utterance.speaker})
    lines = [
        f"{out}: {count_of(len(utterances), 'utterance')}, {format_duration(total_duration_s(utterances))}, "
        f"{count_of(recordings, 'recording')}, {count_of(speakers, 'speaker')}"
    ]
    lines += [f"skipped: {describe_places(imported.skipped)}"] if imported.skipped else []
    lines += [f"changed: {describe_places(imported.changed)}"] if imported.changed else []
    return "\n".join(lines)
