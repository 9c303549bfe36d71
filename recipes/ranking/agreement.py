"""Kendall's tau of rankings by ``rank-sources`` with the error rates after fine-tuning that results.json has.

    python -m recipes.ranking.agreement recipes/ranking/results.json recipes/ranking/ranking-*-{logme,finetune}.tsv

The table ``ranking-TARGET-METHOD.tsv`` is compared with the rows whose split is TARGET, by the names of the sources; sources
without such a row are not compared. The last lines sum the pairs of sources over all targets, for each method. Tabs separate
the columns, as in the rankings.
"""

import argparse
import re
import sys
from collections import defaultdict
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

from speechxfer.checkpoints import resolve_source
from speechxfer.errors import InputError
from speechxfer.runtime import read_text
from speechxfer.workflows import read_rows

NAME = re.compile(r"ranking-(?P<target>[^-]+)-(?P<method>[^-]+)")
SCORES = {
    "logme": ("LogME", -1.0),
    "finetune": ("CER % after a brief fine-tuning", 1.0),
}  # column, and the sign of an error


def agreement(results_json: Path, rankings: Sequence[Path]) -> str:
    """A table with a line for each ranking and one for each method.

    Raises:
        InputError: a table whose name or columns are not those of a ranking, or with fewer than two sources to compare.
    """
    from scipy.stats import kendalltau  # slow to import

    rates = {(row.split, row.source): row.cer for row in read_rows(results_json)}
    pairs: dict[str, list[bool]] = defaultdict(list)
    lines = ["method\ttarget\tsources\tKendall's tau\tpairs in the right order"]
    for path in rankings:
        target, method, scores = _read_ranking(path)
        known = [(score, rates[target, name]) for name, score in scores.items() if (target, name) in rates]
        if len(known) < 2:
            raise InputError(f"{path}: fewer than two of its sources have a row of split {target!r} in {results_json}")
        tau = kendalltau(*zip(*known, strict=True)).statistic
        right = [(a[0] < b[0]) == (a[1] < b[1]) for a, b in combinations(known, 2)]
        lines.append(f"{method}\t{target}\t{len(known)}\t{tau:.2f}\t{sum(right)} of {len(right)}")
        pairs[method] += right
    lines += [f"{method}\tall\t\t\t{sum(right)} of {len(right)}" for method, right in pairs.items()]
    return "\n".join(lines)


def _read_ranking(path: Path) -> tuple[str, str, dict[str, float]]:
    """Target, method, and the errors (lower is better) by name of the source in rows of results."""
    name = NAME.fullmatch(path.stem)
    header, *rows = (
        line.split("\t") for line in read_text(path, fix="run rank-sources").splitlines() if line[:1] != "#"
    )
    if not name or name["method"] not in SCORES or SCORES[name["method"]][0] not in header:
        raise InputError(f"{path}: expected a table of rank-sources, named ranking-TARGET-METHOD.tsv")
    column, sign = SCORES[name["method"]]
    scores = {_name_in_rows(row[header.index("source")]): sign * float(row[header.index(column)]) for row in rows}
    return name["target"], name["method"], scores


def _name_in_rows(source: str) -> str:
    """Name of a source in rows of results: of a shipped model with its version, else of its folder."""
    return Path(source).name if "/" in source else resolve_source(source).name


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("rankings", type=Path, nargs="+")
    options = parser.parse_args()
    try:
        print(agreement(options.results, options.rankings))
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
