"""Remove utterances whose text and recording disagree, according to a phone model.

    speechxfer evaluate multilingual-small --on data/phones/gcompris/train.jsonl --out exp/recognised
    python -m data_scripts.drop_mismatches data/phones/gcompris/train.jsonl exp/recognised/report.json \\
        data/clean/gcompris/train.jsonl

What it is: a test by rank. What the model recognised is compared with the utterance's own text and with the texts of
40 other utterances of the same language (edit distance over the longer of the two). A text that belongs to its
recording is nearer than nearly all others, however poor the model: it stays if at most `MOST_NEARER` of the 40 are
nearer. What it is not: a judge of single phones, or of very short texts: with three phones or fewer only empty output
and `LONG` times too many phones are tested. A group (``--group``, a pattern with one pair of brackets that finds the
group's name in the id, such as a session) of which more than half is removed is removed whole.

Written: the manifest without these, and beside it ``<name>.removed.tsv`` with id, distance, number of texts nearer,
text and what the model recognised, sorted by id.
"""

import argparse
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rapidfuzz.distance import Levenshtein

from data_scripts.corpus import exit_on_bad_input, path_argument, print_line
from speechxfer.data import Utterance, digest, read_manifest, write_manifest
from speechxfer.errors import InputError
from speechxfer.runtime import read_json, write_atomically

OTHERS = 40  # texts of other utterances to compare with
MOST_NEARER = 10  # of them may be nearer than the own text
SHORT = 3  # phones; below, ranks mean little
LONG = 4.0  # times as many phones recognised as written


@dataclass(frozen=True)
class Verdict:
    """What the test found for one utterance."""

    utterance: Utterance
    recognised: str
    distance: float  # edit distance over the longer sequence, 0 to 1
    nearer: int  # of the other texts
    kept: bool


def drop_mismatches(manifest: Path, report: Path, out: Path, *, group: str = "") -> list[Verdict]:
    """Write `out` and the list of what was removed, and return the verdicts.

    Raises:
        InputError: a bad manifest or report, an utterance that the report lacks, a pattern without one pair of brackets, or
            nothing is left.
    """
    utterances = read_manifest(manifest)
    recognised = _recognised(report)
    missing = [utterance.id for utterance in utterances if utterance.id not in recognised]
    if missing:
        raise InputError(
            f"{report}: no utterance {missing[0]!r} ({len(missing)} missing); evaluate this manifest first"
        )
    verdicts = _verdicts(utterances, recognised)
    if group:
        verdicts = _whole_groups(verdicts, group)
    kept = [verdict.utterance for verdict in verdicts if verdict.kept]
    if not kept:
        raise InputError(f"{manifest}: no text fits its recording; check that the report is of the same language")
    write_manifest(out, kept)
    removed = sorted((verdict for verdict in verdicts if not verdict.kept), key=lambda verdict: verdict.utterance.id)
    rows = [f"{v.utterance.id}\t{v.distance:.2f}\t{v.nearer}\t{v.utterance.text}\t{v.recognised}\n" for v in removed]
    write_atomically(out.with_suffix(".removed.tsv"), "id\tdistance\tnearer\ttext\trecognised\n" + "".join(rows))
    print_line(
        f"{out}: {len(kept):,} utterances kept, {len(removed):,} removed ({out.with_suffix('.removed.tsv').name})"
    )
    return verdicts


def _recognised(report: Path) -> dict[str, str]:
    content: Any = read_json(report, fix="evaluate again")
    try:
        return {row["id"]: row["hypothesis"] for row in content["utterances"]}
    except (KeyError, TypeError) as error:
        raise InputError(f"{report}: not a report of `speechxfer evaluate` ({error!r}): evaluate again") from error


def _verdicts(utterances: Sequence[Utterance], recognised: Mapping[str, str]) -> list[Verdict]:
    by_language: dict[str, list[Utterance]] = defaultdict(list)
    for utterance in utterances:
        by_language[utterance.lang].append(utterance)
    samples = {
        lang: [u.text.split() for u in sorted(members, key=lambda u: digest("others", u.id))[: 2 * OTHERS]]
        for lang, members in by_language.items()
    }
    verdicts = []
    for utterance in utterances:
        own, output = utterance.text.split(), recognised[utterance.id].split()
        distance = Levenshtein.normalized_distance(own, output)
        others = [text for text in samples[utterance.lang] if text != own][:OTHERS]
        nearer = sum(Levenshtein.normalized_distance(text, output) < distance for text in others)
        if len(own) <= SHORT:
            kept = 0 < len(output) <= LONG * len(own)
        else:
            kept = bool(output) and nearer <= MOST_NEARER
        verdicts.append(Verdict(utterance, " ".join(output), distance, nearer, kept))
    return verdicts


def _whole_groups(verdicts: Sequence[Verdict], pattern: str) -> list[Verdict]:
    """The verdicts; groups of which more than half is removed are removed whole."""
    finder = re.compile(pattern)
    if finder.groups != 1:
        raise InputError(f"--group {pattern!r}: expected one pair of brackets, which finds the group's name in an id")
    groups: dict[str, list[Verdict]] = defaultdict(list)
    for verdict in verdicts:
        match = finder.search(verdict.utterance.id)
        groups[match[1] if match else ""].append(verdict)
    bad = {name for name, members in groups.items() if 2 * sum(v.kept for v in members) < len(members)}
    for name in sorted(bad):
        print_line(f"removed whole: {name or 'ids without a group'} ({len(groups[name])} utterances)")
    return [
        Verdict(v.utterance, v.recognised, v.distance, v.nearer, v.kept and name not in bad)
        for name, members in groups.items()
        for v in members
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("manifest", type=path_argument, help="of phones")
    parser.add_argument("report", type=path_argument, help="report.json that `speechxfer evaluate` wrote for it")
    parser.add_argument("out", type=path_argument)
    parser.add_argument("--group", default="", help=r"for example '^(\d+-\d+)_' for a session")
    exit_on_bad_input(lambda: drop_mismatches(**vars(parser.parse_args(arguments))))


if __name__ == "__main__":
    main()
