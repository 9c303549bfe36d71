"""Errors of boundaries: alignments against reference times (``data_scripts/times.py``), in results and on a page.

    python -m recipes.alignment.boundaries data/timed/tr.times.jsonl exp/tr/frames --set synthetic --unit phones --method frames

The second argument is the folder of annotations (JSON) that ``speechxfer align`` wrote, each named like the utterance, or other
reference times. Adds a row to ``boundary_results.json`` in the current folder and renders ``RESULTS.md`` beside it.

A boundary is the start of a unit, and the end of a unit before a pause of the reference; those whose time is unknown do not
count. An utterance whose units differ from the reference counts as an error of all its boundaries, and is printed. Intervals are
those of a bootstrap over utterances.
"""

import argparse
import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_scripts.times import TimedUtterance, read_times
from speechxfer.errors import InputError, first_names
from speechxfer.runtime import commit, hardware, log_info, parse_json, read_json, read_text, write_atomically

RESULTS, PAGE, NOTES = Path("boundary_results.json"), Path("RESULTS.md"), Path("notes.md")
RESAMPLINGS = 1000
MAX_BYTES = 64 << 20
MISSED_S = 10.0  # the error of a boundary that was not placed
COLUMNS = (
    "speech",
    "boundaries",
    "method",
    "model",
    "number",
    "within 10 ms %",
    "within 20 ms % [95 %]",
    "within 50 ms %",
    "median absolute error ms",
    "median error ms",
)
Spans = list[tuple[str, float, float]]  # text, start and end of the units of an utterance


@dataclass(frozen=True)
class BoundaryErrors:
    """A row of the results; shares in percent, times in milliseconds; a positive error is late."""

    speech: str
    unit: str
    method: str
    model: str
    utterances: int
    boundaries: int
    within_10: float
    within_20: float
    within_20_low: float
    within_20_high: float
    within_50: float
    median_absolute: float
    median: float
    command: str
    commit: str
    date: str
    hardware: str


def read_annotations(folder: Path, tier: str) -> dict[str, Spans]:
    """The intervals of a tier by the name of the annotation; InputError if there is none."""
    spans = {}
    for path in sorted(folder.glob("*.json")):
        data = read_json(path, fix="run speechxfer align --format json", max_bytes=MAX_BYTES)
        found = [one for one in data["tiers"] if one["name"] == tier]
        if len(found) != 1:
            raise InputError(
                f"{path}: expected one tier {tier!r}; align a manifest with one utterance in each recording"
            )
        spans[path.stem] = [(one["text"], one["start"], one["end"]) for one in found[0]["intervals"]]
    if not spans:
        raise InputError(f"{folder}: it has no annotation (*.json); run speechxfer align --format json")
    return spans


def spans_of(utterance: TimedUtterance) -> Spans:
    """Units of reference times with their ends, which are the next starts."""
    starts = [unit.start_s if unit.start_s is not None else float("nan") for unit in utterance.units]
    ends = [*starts[1:], float("nan")]
    return [(u.text, a, b) for u, a, b in zip(utterance.units, starts, ends, strict=True) if u.text]


def errors_of(reference: TimedUtterance, spans: Spans) -> NDArray[np.float64] | None:
    """Signed errors of the known boundaries of an utterance in seconds; None if its units are others."""
    if [unit.text for unit in reference.units if unit.text] != [text for text, _, _ in spans]:
        return None
    errors, position = [], 0
    for unit in reference.units:
        place = spans[position][1] if unit.text else spans[position - 1][2] if position else None
        position += bool(unit.text)
        if unit.start_s is not None and place is not None and not np.isnan(place):
            errors.append(place - unit.start_s)
    return np.array(errors)


def measure(references: Sequence[TimedUtterance], spans: Mapping[str, Spans]) -> list[NDArray[np.float64]]:
    """Errors of each utterance. One that has no or other units has `MISSED_S` at each boundary."""
    errors, missed = [], []
    for reference in references:
        own = errors_of(reference, spans[reference.id]) if reference.id in spans else None
        if own is None:
            missed.append(reference.id)
            own = np.full(sum(unit.start_s is not None and bool(unit.text) for unit in reference.units), MISSED_S)
        errors.append(own)
    if len(missed) == len(references):
        raise InputError(f"no utterance has the units of its reference, such as {missed[0]}; compare the right files")
    if missed:
        log_info(f"other units than the reference, all their boundaries count as errors: {first_names(missed)}")
    return errors


def summarise(errors: Sequence[NDArray[np.float64]], names: Mapping[str, str]) -> BoundaryErrors:
    """The row of these errors."""
    joined = 1000 * np.concatenate(errors)
    counts = np.array([len(own) for own in errors], dtype=float)
    close = np.array([(np.abs(1000 * own) <= 20.0 + 1e-6).sum() for own in errors], dtype=float)
    chosen = np.random.default_rng(0).integers(len(errors), size=(RESAMPLINGS, len(errors)))
    shares = 100 * close[chosen].sum(axis=1) / counts[chosen].sum(axis=1)
    within = {limit: float(100 * (np.abs(joined) <= limit + 1e-6).mean()) for limit in (10, 20, 50)}
    return BoundaryErrors(
        **names,
        utterances=len(errors),
        boundaries=len(joined),
        within_10=within[10],
        within_20=within[20],
        within_20_low=float(np.percentile(shares, 2.5)),
        within_20_high=float(np.percentile(shares, 97.5)),
        within_50=within[50],
        median_absolute=float(np.median(np.abs(joined))),
        median=float(np.median(joined)),
        command=shlex.join(["python", "-m", "recipes.alignment.boundaries", *sys.argv[1:]]),
        commit=commit(),
        date=datetime.now(UTC).date().isoformat(),
        hardware=hardware(),
    )


def read_rows() -> list[BoundaryErrors]:
    """The rows of `RESULTS`; none if there is no such file."""
    if not RESULTS.exists():
        return []
    rows: Any = parse_json(read_text(RESULTS, fix="restore it"), str(RESULTS), fix="restore it")
    return [BoundaryErrors(**row) for row in rows]


def add_row(row: BoundaryErrors) -> None:
    """Add a row or replace the one of the same speech, unit, method and model, and render the page."""
    key = (row.speech, row.unit, row.method, row.model)
    rows = [other for other in read_rows() if (other.speech, other.unit, other.method, other.model) != key]
    rows = sorted([*rows, row], key=lambda one: (one.speech, one.unit, one.model, one.method))
    write_atomically(RESULTS, json.dumps([asdict(one) for one in rows], ensure_ascii=False, indent=1) + "\n")
    write_atomically(PAGE, render(rows))


def render(rows: Sequence[BoundaryErrors]) -> str:
    """The page of the recipe."""
    lines = [
        (
            row.speech, row.unit, row.method, row.model or "–", f"{row.boundaries:,}", f"{row.within_10:.1f}",
            f"{row.within_20:.1f} [{row.within_20_low:.1f}, {row.within_20_high:.1f}]", f"{row.within_50:.1f}",
            f"{row.median_absolute:.1f}", f"{row.median:+.1f}",
        )
        for row in rows
    ]  # fmt: skip
    table = ["| " + " | ".join(cells) + " |" for cells in (COLUMNS, ["---"] * len(COLUMNS), *lines)]
    made = [
        f"- {row.speech}, {row.unit}, {row.method}: {row.utterances} utterances; `{row.command}` at {row.commit[:7]}, "
        f"{row.date}, {row.hardware}"
        for row in rows
    ]
    parts = [
        "# Results: alignment",
        f"Rendered from `{RESULTS}`; do not edit, remarks go into `{NOTES}` beside it. Method ctc: the middle between the CTC "
        "frames of two symbols; frames: the frame classifier of `speechxfer align`. A positive error is late. The references of "
        "Mboshi are machine alignments themselves.",
        "\n".join(table),
        "## How each row was made",
        "\n".join(made),
    ]
    if NOTES.exists():
        parts.append(read_text(NOTES, fix="write it anew").strip())
    return "\n\n".join(parts) + "\n"


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("reference", type=Path)
    parser.add_argument("aligned", type=Path, help="folder of annotations, or other reference times (.jsonl)")
    parser.add_argument("--set", required=True, help="name of the speech in the row")
    parser.add_argument("--unit", required=True, help="whose boundaries: phones, words or letters")
    parser.add_argument("--method", required=True, help="how the boundaries were placed")
    parser.add_argument("--model", default="", help="name of the model in the row")
    options = parser.parse_args()
    try:
        references = read_times(options.reference)
        if options.aligned.suffix == ".jsonl":
            spans = {utterance.id: spans_of(utterance) for utterance in read_times(options.aligned)}
        else:
            spans = read_annotations(options.aligned, references[0].tier)
        names = {"speech": options.set, "unit": options.unit, "method": options.method, "model": options.model}
        row = summarise(measure(references, spans), names)
        add_row(row)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    share = f"{row.within_20:.1f} % of {row.boundaries:,} within 20 ms"
    print(f"{row.speech}, {row.unit}, {row.method}: {share}, median {row.median_absolute:.1f} ms")


if __name__ == "__main__":
    main()
