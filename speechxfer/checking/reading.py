"""Lenient reading of manifests: every line becomes an entry or a finding, and broken lines do not stop it."""

import codecs
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from speechxfer.checking.findings import ADVICE, Entry, Finding, Role, SplitManifest
from speechxfer.data import LONGEST_S, MAX_MANIFEST_BYTES, Utterance, parse_line
from speechxfer.errors import InputError
from speechxfer.runtime import read_bytes
from speechxfer.text import Normalizer

ROLE_WORDS: dict[str, Role] = {
    "test": "test", "testing": "test", "eval": "test", "evaluation": "test",
    "dev": "dev", "val": "dev", "valid": "dev", "validation": "dev", "development": "dev",
    "train": "train", "training": "train",
}  # fmt: skip


def in_order(findings: Iterable[Finding], splits: Sequence[SplitManifest]) -> tuple[Finding, ...]:
    """Errors first, then by kind as in `ADVICE`, by split as given, by line."""
    kinds = {kind: i for i, kind in enumerate(ADVICE)}
    places = {split.name: i for i, split in enumerate(splits)}
    return tuple(sorted(findings, key=lambda f: (f.severity, kinds[f.kind], places.get(f.split, len(places)), f.line)))


def split_manifests(paths: Mapping[str, Path] | Sequence[Path]) -> list[SplitManifest]:
    """Names, roles and paths; a name is the key, or the file's name, or the whole path if two files have one name."""
    if isinstance(paths, Mapping):
        named = [(name, Path(path)) for name, path in paths.items()]
    else:
        stems = Counter(Path(path).stem for path in paths)
        named = [(Path(path).stem if stems[Path(path).stem] == 1 else str(path), Path(path)) for path in paths]
    if not named:
        raise InputError("check: no manifest was given; expected one or more .jsonl files, train first; name them")
    twice = [name for name, count in Counter(name for name, _ in named).items() if count > 1]
    if twice:
        raise InputError(f"check: {twice[0]} was given twice; expected every manifest once; name it once")
    roles = [(_role(name) if isinstance(paths, Mapping) else None) or _role(path.stem) for name, path in named]
    defaults: list[Role] = ["test" if i or "train" in roles else "train" for i in range(len(named))]
    return [
        SplitManifest(name, role or defaults[i], path)
        for i, ((name, path), role) in enumerate(zip(named, roles, strict=True))
    ]


def _role(name: str) -> Role | None:
    """The role by the words of a name; test and dev come first, so that Kaldi's ``train_dev`` is dev."""
    words = re.findall(r"[a-z]+", name.lower())
    return next((role for word, role in ROLE_WORDS.items() if word in words), None)


def read_leniently(splits: Sequence[SplitManifest], normalizer: Normalizer) -> tuple[list[Entry], list[Finding]]:
    """The entries of all manifests, and findings about broken lines, duplicate ids and empty manifests."""
    entries: list[Entry] = []
    findings: list[Finding] = []
    used: dict[str, Entry] = {}
    for split in splits:
        before = len(entries)
        for number, data in _numbered_lines(split.path):
            utterance = _read_line(data, f"{split.path}:{number}", split.path.parent)
            if isinstance(utterance, str):
                name = f"{split.path.name}:{number}"
                findings.append(Finding("error", "broken line", split.name, name, utterance, number))
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


def _numbered_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    data = read_bytes(path, fix="give the path of a manifest (.jsonl, UTF-8)", max_bytes=MAX_MANIFEST_BYTES)
    data = data.removeprefix(codecs.BOM_UTF8).replace(b"\r\n", b"\n").replace(b"\r", b"\n")  # as `read_manifest` does
    lines = data.split(b"\n")
    return ((number, line) for number, line in enumerate(lines, start=1) if line.strip())


def _read_line(data: bytes, where: str, folder: Path) -> Utterance | str:
    """The utterance, or why there is none."""
    try:
        utterance = parse_line(data.decode("utf-8"), where, folder)
    except InputError as error:
        return str(error)
    except (ValueError, OverflowError, RecursionError) as error:  # not UTF-8, or numbers or nesting beyond all limits
        return f"{where}: not a manifest line ({error}); expected a JSON object in UTF-8; correct it"
    if utterance.offset + utterance.duration > LONGEST_S:
        return f"{where}: offset and duration exceed 30 years; expected seconds; correct them"
    return utterance


def _duplicate_id(entry: Entry, other: Entry) -> Finding:
    """An error within a manifest, which could then not be read; across manifests ids may just be numbered alike."""
    what = (
        f"line {entry.line}: id {entry.id!r} was already used on line {other.line} of {other.split}; ids must be unique"
    )
    if entry.split == other.split:
        return entry.finding("error", "duplicate id", what)
    return entry.finding("warning", "duplicate id", what, "harmless if the recordings differ")
