"""Tables of a page: errors by length of utterance, training curves, confusions and the head, as rows ready to be shown."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from speechxfer.adaptation import HeadTable
from speechxfer.data import Utterance
from speechxfer.reporting.charts import Chart, Point, Series, line_chart
from speechxfer.reporting.content import Content, Run
from speechxfer.scoring import Confusions, Counts, WerReport, format_counts
from speechxfer.text import describe_symbol

Key = TypeVar("Key", str, int)
SHOWN = 20  # confusions of a kind
HOW = {
    "blank": "the blank of the source",
    "map": "the user's map",
    "phone": "the phone that the letter usually stands for",
    "roman": "the phone of its romanisation",
    "exact": "the same symbol",
    "case": "the letter in the other case",
    "base": "the base letter",
    "new": "no symbol: near the mean of all",
    "random": "no symbol: random",
}


@dataclass(frozen=True)
class Group:
    """Errors of some utterances under one system."""

    utterances: int
    words: Counts
    characters: Counts

    @property
    def counts(self) -> str:
        """Word errors by kind."""
        return format_counts(self.words)


@dataclass(frozen=True)
class GroupTable:
    """Groups of utterances, such as speakers: for each its name and, by run, its errors."""

    title: str
    column: str
    rows: tuple[tuple[str, tuple[Group, ...]], ...]


def group_tables(content: Content) -> list[GroupTable]:
    """Errors by speaker, by words of the reference and, where the manifest is known, by seconds."""
    reports = [run.report for run in content.runs]
    tables = []
    speakers = {row.id: row.speaker for row in reports[0].utterances}
    if any(speakers.values()):
        by_speaker = _group(reports, lambda id_: speakers[id_] or "(none)")
        tables.append(GroupTable("Errors by speaker", "speaker", _worst_first(by_speaker)))
    lengths = {row.id: row.words.total for row in reports[0].utterances}
    tables.append(_by_size("Errors by length of the reference", "words", reports, lengths))
    if content.utterances:
        seconds = {row.id: content.utterances[row.id].duration for row in reports[0].utterances}
        tables.append(_by_size("Errors by duration", "seconds", reports, seconds))
    return tables


def _by_size(title: str, unit: str, reports: Sequence[WerReport], sizes: Mapping[str, float]) -> GroupTable:
    """Groups whose bounds double: 1, 2, 3 to 4, 5 to 8 words; up to 1, 1 to 2, 2 to 4 seconds."""
    groups = _group(reports, lambda id_: max(0, math.ceil(math.log2(sizes[id_]))) if sizes[id_] > 0 else -1)
    rows = [(_bounds(power, unit), groups[power]) for power in sorted(groups)]
    return GroupTable(title, unit, tuple(rows))


def _bounds(power: int, unit: str) -> str:
    if power < 0:
        return "0"
    high = 2**power
    if unit == "seconds":
        return f"over {high // 2} to {high}" if power else "up to 1"
    return str(high) if power < 2 else f"{high // 2 + 1} to {high}"


def _group(reports: Sequence[WerReport], key: Callable[[str], Key]) -> dict[Key, tuple[Group, ...]]:
    """Errors of each group, one entry for each report."""
    sums: dict[Key, list[Group]] = {}
    for number, report in enumerate(reports):
        for row in report.utterances:
            groups = sums.setdefault(key(row.id), [Group(0, Counts(), Counts()) for _ in reports])
            old = groups[number]
            groups[number] = Group(old.utterances + 1, old.words + row.words, old.characters + row.characters)
    return {name: tuple(groups) for name, groups in sums.items()}


def _worst_first(groups: Mapping[str, tuple[Group, ...]]) -> tuple[tuple[str, tuple[Group, ...]], ...]:
    return tuple(sorted(groups.items(), key=lambda item: (-item[1][0].words.rate, item[0])))


@dataclass(frozen=True)
class ConfusionTable:
    """The most frequent confusions of one kind: what was said, what was recognised ("" where nothing is), how often."""

    title: str
    rows: tuple[tuple[str, str, int], ...]


def confusion_tables(report: WerReport) -> list[ConfusionTable]:
    """Substitutions, deletions and insertions of characters and of words; kinds without an error are omitted."""
    tables = []
    for unit, confusions in (("Characters", report.character_confusions), ("Words", report.word_confusions)):
        for kind, rows in _confusions(confusions).items():
            shown = tuple((shown_symbol(said), shown_symbol(written), count) for said, written, count in rows[:SHOWN])
            tables.append(ConfusionTable(f"{unit}: {kind}", shown))
    return [table for table in tables if table.rows]


def _confusions(confusions: Confusions) -> dict[str, list[tuple[str, str, int]]]:
    return {
        "substitutions": list(confusions.substitutions),
        "deletions": [(unit, "", count) for unit, count in confusions.deletions],
        "insertions": [("", unit, count) for unit, count in confusions.insertions],
    }


def shown_symbol(text: str) -> str:
    """A word or character as it is, but a mark, a space or another invisible character by its code point and name."""
    return text if not text or any(character.isalnum() for character in text) else describe_symbol(text)


@dataclass(frozen=True)
class HeadSummary:
    """Where the rows of an output layer come from: how many by rule, and each row as symbol, rule and source symbol."""

    counts: tuple[tuple[str, str, int], ...]
    rows: tuple[tuple[str, str, str], ...]


def summarise_head(head: HeadTable) -> HeadSummary:
    """The rules in their order with their meaning and number of rows, and all rows."""
    counts: Counter[str] = Counter(row.how for row in head)
    named = tuple((how, meaning, counts[how]) for how, meaning in HOW.items() if counts[how])
    return HeadSummary(named, tuple((shown_symbol(row.symbol), row.how, shown_symbol(row.source)) for row in head))


def training_charts(runs: Sequence[Run]) -> list[Chart]:
    """WER on dev, CER on dev and training loss by step, a line for each run that has them."""
    charts = []
    for key, title, unit, scale in (
        ("dev_wer", "WER on dev", "percent", 100.0),
        ("dev_cer", "CER on dev", "percent", 100.0),
        ("loss", "Training loss", "loss", 1.0),
    ):
        series = []
        for number, run in enumerate(runs):
            points = tuple(
                Point(row["step"], scale * row[key], label=f"{run.name}, step {row['step']:,}: {scale * row[key]:.2f}")
                for row in run.metrics
                if key in row and math.isfinite(row[key])
            )
            if points:
                series.append(Series(run.name, points, style=number, markers=key != "loss"))
        if series:
            charts.append(line_chart(title, "step", unit, series))
    return charts


def best_step(run: Run) -> tuple[int, float, float] | None:
    """Step, WER and CER of the evaluation with the lowest CER on dev, as fractions; None without evaluations."""
    rows = [row for row in run.metrics if "dev_wer" in row and "dev_cer" in row]
    if not rows:
        return None
    best = min(rows, key=lambda row: (row["dev_cer"], row["step"]))
    return best["step"], best["dev_wer"], best["dev_cer"]


def durations(ids: Iterable[str], utterances: Mapping[str, Utterance]) -> float | None:
    """Seconds of these utterances together; None if the manifest is not known."""
    return sum(utterances[id_].duration for id_ in ids) if utterances else None
