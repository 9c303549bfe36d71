"""The report of a check: a table, findings by kind, next steps and a verdict."""

import json
import math
import shlex
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from speechxfer.checking.findings import SHOWN_IDS, Entry, Finding, Role, SplitSummary, UnseenSymbol
from speechxfer.checking.settings import CheckSettings
from speechxfer.errors import count_of, first_names
from speechxfer.text import describe_symbol

SHOWN_SYMBOLS = 20
SHOWN_INVENTORY = 100
LITTLE_SPEECH_S = 300.0
RARE = 5  # occurrences of a symbol in train


@dataclass(frozen=True)
class CheckReport:
    """All findings; ``str`` gives a summary."""

    splits: tuple[SplitSummary, ...]
    findings: tuple[Finding, ...]
    unseen_symbols: tuple[UnseenSymbol, ...]
    settings: CheckSettings
    entries: tuple[Entry, ...] = field(repr=False)
    options: tuple[str, ...] = ()
    """Of the command line, which the suggested commands repeat."""
    headers_read: int | None = None
    """In a quick check, the number of recordings whose headers were read."""

    @property
    def errors(self) -> tuple[Finding, ...]:
        """Findings that stop training, harm it, or invalidate a score."""
        return tuple(finding for finding in self.findings if finding.severity == "error")

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """Findings for a person to look at."""
        return tuple(finding for finding in self.findings if finding.severity == "warning")

    def to_json(self) -> str:
        """All findings, and the size of each split."""
        splits = [
            {"name": one.name, "utterances": one.utterances, "seconds": round(one.seconds, 3)} for one in self.splits
        ]
        fields = ("severity", "kind", "split", "id", "message", "line")
        findings = [{name: getattr(finding, name) for name in fields} for finding in self.findings]
        return json.dumps({"splits": splits, "findings": findings}, ensure_ascii=False, indent=1) + "\n"

    def __str__(self) -> str:
        parts = [_table(self), *_quick_lines(self)]
        parts += _section("errors (they stop training, harm it, or invalidate scores):", self.errors)
        parts += _section("warnings (please look at them; these utterances are kept):", self.warnings)
        parts += _unseen_lines(self.unseen_symbols)
        parts += _inventory_lines(self)
        parts += _little_speech_lines(self)
        return "\n".join([*parts, *_next_steps(self), _verdict(self)])


def _table(report: CheckReport) -> str:
    rows = [("split", "role", "utterances", "hours", "speakers", "symbols", "rate_hz", "errors", "warnings")]
    errors, warnings = (Counter(finding.split for finding in some) for some in (report.errors, report.warnings))
    for split in report.splits:
        amounts = (f"{split.utterances:,}", f"{split.seconds / 3600:.3f}", f"{split.speakers or 'unnamed'}")
        rates = "+".join(map(str, split.rates_hz)) or "-"
        counts = (f"{errors[split.name]:,}", f"{warnings[split.name]:,}")
        rows.append((split.name, split.role, *amounts, f"{split.symbols}", rates, *counts))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    alignments = "<<" + ">" * (len(widths) - 2)
    return "\n".join(
        "  ".join(f"{cell:{side}{width}}" for cell, side, width in zip(row, alignments, widths, strict=True))
        for row in rows
    )


def _quick_lines(report: CheckReport) -> list[str]:
    """What a quick check did not look at."""
    if report.headers_read is None:
        return []
    recordings = len({entry.path for entry in report.entries})
    return [
        "",
        f"quick check: of {count_of(recordings, 'recording')} the headers of {report.headers_read:,} were read, and no sound; "
        "lengths are those of the manifest. Not checked: silence, clipping, damage, truncation, recordings that occur twice "
        f"under other names. All of it: {check_command(report, [split.path for split in report.splits])}",
    ]


def _section(title: str, findings: Sequence[Finding]) -> list[str]:
    """For each kind a line with its ids, and the first one's message; nothing without findings."""
    lines = ["", title] if findings else []
    by_kind: dict[str, list[Finding]] = defaultdict(list)
    for finding in findings:
        by_kind[finding.kind].append(finding)
    for kind, some in by_kind.items():
        if some[0].id:
            lines += [f"  {kind}: {len(some):,} ({_places(some)})", f"      {some[0].id}: {some[0].message}"]
        else:
            lines += [f"  {kind}: {finding.message}" for finding in some]
    return lines


def _places(findings: Sequence[Finding]) -> str:
    """Up to five ids with their splits."""
    by_split: dict[str, list[str]] = defaultdict(list)
    for finding in findings[:SHOWN_IDS]:
        by_split[finding.split].append(finding.id)
    text = "; ".join(f"{split}: {', '.join(ids)}" for split, ids in by_split.items())
    return text + (f" and {len(findings) - SHOWN_IDS:,} more" if len(findings) > SHOWN_IDS else "")


def _unseen_lines(symbols: Sequence[UnseenSymbol]) -> list[str]:
    lines = ["", "symbols that are not in the vocabulary:"] if symbols else []
    for symbol in symbols[:SHOWN_SYMBOLS]:
        what = f"{symbol.split}: {describe_symbol(symbol.symbol)} x{symbol.count:,}"
        lines.append(f"  {what} in {count_of(len(symbol.ids), 'utterance')}: {first_names(symbol.ids, SHOWN_IDS)}")
    return lines + ([f"  and {len(symbols) - SHOWN_SYMBOLS:,} more"] if len(symbols) > SHOWN_SYMBOLS else [])


def _inventory_lines(report: CheckReport) -> list[str]:
    """The characters of train, and those to look at: rare ones, which are often typing errors, and digits."""
    if report.settings.vocabulary_kind != "characters":
        return []
    train = [entry for entry in report.entries if entry.role == "train"]
    counts: Counter[str] = Counter()
    for entry in train:
        counts.update(entry.text)
    del counts[" "]
    if not counts:
        return []
    common = [f"{symbol} x{count:,}" for symbol, count in counts.most_common()]
    lines = ["", f"symbols of train: {first_names(common, SHOWN_INVENTORY)}"]
    for title, chosen in (
        (f"fewer than {RARE} times, too few to train on; typing errors?", [s for s in counts if counts[s] < RARE]),
        ("digits, better written as they are said", [s for s in counts if s.isnumeric()]),
    ):
        lines += [f"  {title}:"] if chosen else []
        for symbol in sorted(chosen, key=lambda symbol: (counts[symbol], symbol))[:SHOWN_SYMBOLS]:
            names = first_names([entry.id for entry in train if symbol in entry.text], SHOWN_IDS)
            lines.append(f"    {describe_symbol(symbol)} x{counts[symbol]:,}: {names}")
    return lines


def _little_speech_lines(report: CheckReport) -> list[str]:
    duration_s = math.fsum(split.seconds for split in report.splits if split.role == "train")
    if not 0 < duration_s < LITTLE_SPEECH_S:
        return []
    least = f"{LITTLE_SPEECH_S / 60:.0f} minutes"
    return [
        "",
        f"train has {duration_s:.0f} s of speech; with less than {least}, error rates stay high; record more if you can",
    ]


def _next_steps(report: CheckReport) -> list[str]:
    """Commands to copy: first options that may settle most errors, then --fix; without errors, adapting."""
    kinds = {finding.kind for finding in report.errors}
    paths = [split.path for split in report.splits]
    wanted = [flag for kind, flag in (("wrong rate", "--resample"), ("several channels", "--mono")) if kind in kinds]
    steps = [f"to convert while reading: {check_command(report, paths, *wanted)}"] if wanted else []
    if kinds:
        removed = len({(finding.split, finding.line) for finding in report.errors if finding.removes_utterance})
        what = f"remove {count_of(removed, 'line')}" if removed else "correct the rounded durations"
        fix = check_command(report, paths, "--fix", str(paths[0].parent / "clean"))
        steps.append(f"correct what you can; to {what}: {fix}")
    else:
        steps.append(adapt_command(report) or _division(paths))
    return ["", *(f"next: {step}" for step in steps)]


def _division(paths: Sequence[Path]) -> str:
    """What to do about manifests without dev: one can be divided."""
    if len(paths) > 1:
        return "adapting also needs a manifest for dev"
    divide = shlex.join(["speechxfer", "split", str(paths[0]), "--out", str(paths[0].with_suffix(""))])
    return f"adapting also needs a manifest for dev; to divide this one: {divide}"


def check_command(report: CheckReport, paths: Sequence[Path], *flags: str) -> str:
    """The command that checks `paths` with the options of this report, quoted for the shell."""
    return shlex.join(["speechxfer", "check", *map(str, paths), *report.options, *_permissions(report), *flags])


def adapt_command(report: CheckReport) -> str:
    """The command that adapts a model on these manifests, quoted for the shell; empty without train or dev."""
    manifests = [(split.role, str(split.path)) for split in report.splits]
    wanted: tuple[Role, ...] = ("train", "dev")
    given = [part for role in wanted for own, path in manifests if own == role for part in (f"--{role}", path)]
    if not all(f"--{role}" in given for role in wanted):
        return ""
    options = ["--source" if option == "--model" else option for option in report.options]
    return shlex.join(["speechxfer", "adapt", *given, "--out", "exp/adapted", *options, *_permissions(report)])


def _permissions(report: CheckReport) -> list[str]:
    return [f"--{name}" for name in ("resample", "mono") if getattr(report.settings, name)]


def _verdict(report: CheckReport) -> str:
    total = sum(split.utterances for split in report.splits)
    counts = f"{count_of(len(report.warnings), 'warning')} in {count_of(total, 'utterance')}"
    if not report.errors:
        return f"ready: no errors, {counts}"
    return f"not ready: {count_of(len(report.errors), 'error')}, {counts}"
