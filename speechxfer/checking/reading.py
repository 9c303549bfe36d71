"""Lenient reading of manifests: every line becomes an entry or a finding, and broken lines do not stop it."""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from speechxfer.checking.findings import ADVICE, Entry, Finding, Role, SplitManifest
from speechxfer.data import number_lines, parse_line
from speechxfer.errors import InputError
from speechxfer.text import Normalizer

ROLE_WORDS: dict[str, Role] = {
    "test": "test", "testing": "test", "eval": "test", "evaluation": "test",
    "dev": "dev", "val": "dev", "valid": "dev", "validation": "dev", "development": "dev",
    "train": "train", "training": "train",
}  # fmt: skip


def split_manifests(paths: Sequence[Path]) -> list[SplitManifest]:
    """Names, roles and paths; a name is that of the file, or the whole path if two files have one name."""
    if not paths:
        raise InputError("check: no manifest was given; expected one or more .jsonl files, train first; name them")
    twice = [path for path, count in Counter(paths).items() if count > 1]
    if twice:
        raise InputError(f"check: {twice[0]} was given twice; expected every manifest once; name it once")
    stems = [path.stem for path in paths]
    roles = [_role(stem) for stem in stems]
    splits = []
    for i, (path, stem, role) in enumerate(zip(paths, stems, roles, strict=True)):
        default: Role = "test" if i or "train" in roles else "train"
        splits.append(SplitManifest(stem if stems.count(stem) == 1 else str(path), role or default, path))
    return splits


def _role(stem: str) -> Role | None:
    """The role by the words of a name; test and dev come first, so that Kaldi's ``train_dev`` is dev."""
    words = re.findall(r"[a-z]+", stem.lower())
    return next((role for word, role in ROLE_WORDS.items() if word in words), None)


def read_leniently(splits: Sequence[SplitManifest], normalizer: Normalizer) -> tuple[list[Entry], list[Finding]]:
    """The entries of all manifests, and findings about broken lines, duplicate ids and empty manifests."""
    entries: list[Entry] = []
    findings: list[Finding] = []
    used: dict[str, Entry] = {}
    for split in splits:
        before = len(entries)
        for number, data in number_lines(split.path):
            try:
                utterance = parse_line(data, f"{split.path}:{number}", split.path.parent)
            except InputError as error:
                name = f"{split.path.name}:{number}"
                findings.append(Finding("error", "broken line", split.name, name, str(error), number))
                continue
            entry = Entry(split.name, split.role, number, utterance, normalizer(utterance.text))
            if entry.id in used:
                findings.append(_duplicate_id(entry, used[entry.id]))
            if entry.id not in used or used[entry.id].split != entry.split:
                used[entry.id] = entry
            entries.append(entry)
        if len(entries) == before:
            message = f"{split.path}: it has no utterance; expected one JSON object a line; {ADVICE['empty manifest']}"
            findings.append(Finding("error", "empty manifest", split.name, split.path.name, message))
    return entries, findings


def _duplicate_id(entry: Entry, other: Entry) -> Finding:
    """An error within a manifest, which could then not be read; across manifests ids may just be numbered alike."""
    what = (
        f"line {entry.line}: id {entry.id!r} was already used on line {other.line} of {other.split}; ids must be unique"
    )
    if entry.split == other.split:
        return entry.finding("error", "duplicate id", what)
    return entry.finding("warning", "duplicate id", what, "harmless if the recordings differ")
