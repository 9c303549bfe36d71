"""The verb `split`: one manifest divided into train, dev and test."""

import shlex
from pathlib import Path

from speechxfer.data import read_manifest, split_by_hash, total_duration_s, write_manifest
from speechxfer.errors import count_of
from speechxfer.runtime import check_not_input, format_duration


def split_manifest(manifest: Path, out: Path) -> str:
    """Write ``train.jsonl``, ``dev.jsonl`` and ``test.jsonl`` into a folder: 80, 10 and 10 % of a manifest, always the same way.

    Returns:
        What was written, and the next command.

    Raises:
        InputError: fewer than three sentences (or speakers, or recordings) to divide, or `manifest` would be replaced.
    """
    splits, groups = split_by_hash(read_manifest(manifest))
    paths = {name: out / f"{name}.jsonl" for name in splits}
    for path in paths.values():
        check_not_input(path, [manifest])
    for name, path in paths.items():
        write_manifest(path, splits[name])
    lines = [
        f"{path}: {count_of(len(splits[name]), 'utterance')}, {format_duration(total_duration_s(splits[name]))}"
        for name, path in paths.items()
    ]
    check = shlex.join(["speechxfer", "check", *map(str, paths.values())])
    return "\n".join([*lines, f"divided {groups}; next: {check}"])
