"""Repair of manifests: copies without the utterances that have errors, and a list of what was removed and why."""

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from speechxfer.checking.findings import ADVICE, Finding, Key
from speechxfer.checking.report import CheckReport, check_command
from speechxfer.data import Utterance, write_manifest
from speechxfer.errors import InputError
from speechxfer.runtime import write_atomically

SHOWN_REMOVED = 50
FEW_KEPT = 0.75  # of a split; with a smaller share there is a warning
REMOVED = "removed.jsonl"


def repair(report: CheckReport, out_dir: Path | str) -> list[Path]:
    """Write the manifests without the utterances that have errors, and ``removed.jsonl`` with their ids and reasons.

    A duration that was rounded past the end of its file is corrected. What was done is printed.

    Args:
        report: from `check_manifests`.
        out_dir: folder for manifests of the same file names; made if missing.

    Returns:
        The files written, ``removed.jsonl`` last.

    Raises:
        InputError: a manifest would overwrite one that was checked, two have one file name, a manifest would be empty,
            or the folder cannot be made. Then nothing has been written.
    """
    out_dir = Path(out_dir)
    removed: dict[Key, list[Finding]] = defaultdict(list)
    for finding in report.findings:
        if finding.removes_utterance:
            removed[finding.split, finding.line].append(finding)
    kept, corrections = _kept_utterances(report, removed)
    paths = _clean_paths(report, out_dir, kept)
    for split, path in zip(report.splits, paths, strict=False):
        write_manifest(path, kept[split.name])
    changes = [*_write_removed(paths[-1], removed), *corrections]
    print(*changes[:SHOWN_REMOVED], sep="\n", end="\n" if changes else "")
    if len(changes) > SHOWN_REMOVED:
        print(f"and {len(changes) - SHOWN_REMOVED:,} more (all that were removed: {paths[-1]})")
    _print_warnings(report, kept)
    counts = ", ".join(f"{len(kept[split.name]):,} of {split.utterances:,} in {split.name}" for split in report.splits)
    print(f"written to {out_dir}: {counts}; reasons in {paths[-1]}; next: {check_command(report, paths[:-1])}")
    return paths


def _kept_utterances(
    report: CheckReport, removed: Mapping[Key, Sequence[Finding]]
) -> tuple[dict[str, list[Utterance]], list[str]]:
    """The remaining utterances of each split with corrected durations, and a line for each correction."""
    durations = {(f.split, f.line): f.correct_duration_s for f in report.errors if f.correct_duration_s is not None}
    kept: dict[str, list[Utterance]] = {split.name: [] for split in report.splits}
    corrections = []
    for entry in report.entries:
        if entry.key in removed:
            continue
        duration_s = durations.get(entry.key, entry.utterance.duration)
        kept[entry.split].append(replace(entry.utterance, duration=duration_s))
        if entry.key in durations:
            change = f"{entry.utterance.duration:g} to {duration_s:g} s"
            corrections.append(f"duration corrected: {entry.id} ({entry.split}): {change}")
    return kept, corrections


def _clean_paths(report: CheckReport, out_dir: Path, kept: Mapping[str, Sequence[Utterance]]) -> list[Path]:
    """The paths of the clean manifests and of ``removed.jsonl``; refuses to overwrite inputs and to write empty manifests."""
    paths = [*(out_dir / split.path.name for split in report.splits), out_dir / REMOVED]
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
            raise InputError(f"{split.path}: no utterance would remain ({shown}); expected some; {ADVICE[kinds[0][0]]}")
    return paths


def _write_removed(path: Path, removed: Mapping[Key, Sequence[Finding]]) -> list[str]:
    """Write which lines were removed and why; returns a short text for each."""
    lines, shown = [], []
    for (split, number), findings in removed.items():
        reasons = [{"kind": finding.kind, "message": finding.message} for finding in findings]
        row = {"id": findings[0].id, "split": split, "line": number, "reasons": reasons}
        lines.append(json.dumps(row, ensure_ascii=False) + "\n")
        kinds = ", ".join(dict.fromkeys(finding.kind for finding in findings))
        shown.append(f"removed: {findings[0].id} ({split}): {kinds}")
    write_atomically(path, "".join(lines))
    return shown


def _print_warnings(report: CheckReport, kept: Mapping[str, Sequence[Utterance]]) -> None:
    """Warn of splits that lose many utterances."""
    for split in report.splits:
        if len(kept[split.name]) < FEW_KEPT * split.utterances:
            kind, count = Counter(f.kind for f in report.errors if f.split == split.name).most_common(1)[0]
            lost = f"{split.utterances - len(kept[split.name]):,} of {split.utterances:,} in {split.name} are removed"
            print(f"warning: {lost}, most often for {kind!r} (x{count:,}): {ADVICE[kind]}")
