"""Repair: manifests without the utterances that have errors."""

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from speechxfer.checking.findings import ADVICE, Finding, Key
from speechxfer.checking.report import CheckReport, check_command, is_removed
from speechxfer.data import Utterance, write_manifest
from speechxfer.errors import InputError
from speechxfer.runtime import write_atomically

SHOWN_LEFT_OUT = 50
FEW_LEFT = 0.75  # of a split; with less of it a person should know before training


def repair(report: CheckReport, out_dir: Path | str) -> list[Path]:
    """Write the manifests without the utterances that have errors, and ``left_out.jsonl`` saying which and why.

    Durations that were rounded past the end of their file are corrected, not left out. What was done is printed.

    Args:
        report: what `check_manifests` found.
        out_dir: folder for manifests of the same file names; made if missing.

    Returns:
        The files written, ``left_out.jsonl`` last.

    Raises:
        InputError: a manifest would overwrite one that was checked, two have one file name, a manifest would be empty,
            or the folder cannot be made. Then nothing has been written.
    """
    out_dir = Path(out_dir)
    left_out: dict[Key, list[Finding]] = defaultdict(list)
    for finding in filter(is_removed, report.errors):
        left_out[finding.split, finding.line].append(finding)
    durations = {(f.split, f.line): f.correct_duration_s for f in report.errors if f.correct_duration_s is not None}
    kept: dict[str, list[Utterance]] = {split.name: [] for split in report.splits}
    corrected = []
    for entry in report.entries:
        if entry.key in left_out:
            continue
        duration_s = durations.get(entry.key, entry.utterance.duration)
        kept[entry.split].append(replace(entry.utterance, duration=duration_s))
        if entry.key in durations:
            change = f"{entry.utterance.duration:g} to {duration_s:g} s"
            corrected.append(f"duration corrected: {entry.id} ({entry.split}): {change}")
    paths = _clean_paths(report, out_dir, kept)
    for split, path in zip(report.splits, paths, strict=False):
        write_manifest(path, kept[split.name])
    _write_left_out(paths[-1], left_out)
    _print_rows([*map(_left_out_row, left_out.values()), *corrected], paths[-1])
    counts = ", ".join(f"{len(kept[split.name]):,} of {split.utterances:,} in {split.name}" for split in report.splits)
    for split in report.splits:
        if len(kept[split.name]) < FEW_LEFT * split.utterances:
            kind, count = Counter(f.kind for f in report.errors if f.split == split.name).most_common(1)[0]
            left = f"{split.utterances - len(kept[split.name]):,} of {split.utterances:,} in {split.name} are left out"
            print(f"warning: {left}, most often for {kind!r} (x{count:,}): {ADVICE[kind]}")
    print(f"written to {out_dir}: {counts}; reasons in {paths[-1]}; next: {check_command(report, paths[:-1])}")
    return paths


def _clean_paths(report: CheckReport, out_dir: Path, kept: Mapping[str, Sequence[Utterance]]) -> list[Path]:
    """Where the clean manifests and left_out.jsonl go; refuses what would be lost or useless."""
    paths = [*(out_dir / split.path.name for split in report.splits), out_dir / "left_out.jsonl"]
    inputs = {split.path.resolve() for split in report.splits}
    for path in paths:
        if path.resolve() in inputs:
            raise InputError(f"{path}: it was checked, and is never overwritten; expected another folder; name one")
        if paths.count(path) > 1:
            raise InputError(f"{path}: two files would have this name; expected different names; rename a manifest")
    for split in report.splits:
        if not kept[split.name]:
            kinds = Counter(f.kind for f in report.errors if f.split == split.name).most_common(3)
            shown = ", ".join(f"{kind} x{count:,}" for kind, count in kinds)
            raise InputError(
                f"{split.path}: no utterance would be left ({shown}); expected some; {ADVICE[kinds[0][0]]}"
            )
    try:
        out_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{out_dir}: it cannot be made ({error.strerror}); expected a folder; name another") from error
    return paths


def _write_left_out(path: Path, left_out: Mapping[Key, Sequence[Finding]]) -> None:
    lines = []
    for (split, number), findings in left_out.items():
        reasons = [{"kind": finding.kind, "message": finding.message} for finding in findings]
        row = {"id": findings[0].id, "split": split, "line": number, "reasons": reasons}
        lines.append(json.dumps(row, ensure_ascii=False) + "\n")
    write_atomically(path, "".join(lines))


def _left_out_row(findings: Sequence[Finding]) -> str:
    kinds = ", ".join(dict.fromkeys(finding.kind for finding in findings))
    return f"left out: {findings[0].id} ({findings[0].split}): {kinds}"


def _print_rows(rows: Sequence[str], where: Path) -> None:
    for row in rows[:SHOWN_LEFT_OUT]:
        print(row)
    if len(rows) > SHOWN_LEFT_OUT:
        print(f"and {len(rows) - SHOWN_LEFT_OUT:,} more (all that were left out: {where})")
