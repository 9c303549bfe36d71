"""Phone errors by language, from reports that ``speechxfer evaluate`` wrote, as a table in Markdown.

    python by_language.py exp/multilingual-small/phones/*/unseen/report.json --manifests data/phones

PER: substitutions, deletions and insertions over the phones of the reference, in %. PFER: panphon's feature edit distance
(Mortensen et al., 2016; a wrong feature costs 1/24, a missing or added phone 1) over the phones of the reference, in %.
Both are summed over the utterances of a language. The interval (95 %) is a bootstrap over utterances; speakers are too
few in most languages. The language of an utterance is its manifest's.
"""

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import panphon.distance
from rapidfuzz.distance import Levenshtein

RESAMPLES = 1000


def table(reports: Sequence[Path], manifests: Path) -> list[str]:
    """The rows of the table: a line for each language and one for all of them."""
    languages, speakers = {}, {}
    for path in sorted(manifests.rglob("*.jsonl")):
        for line in path.read_text("utf-8").splitlines():
            row = json.loads(line)
            languages[row["id"]] = row.get("lang", "")
            speakers[row["id"]] = row.get("speaker", "")
    distance = panphon.distance.Distance()
    found: dict[str, list[tuple[int, int, float]]] = defaultdict(list)
    voices: dict[str, set[str]] = defaultdict(set)
    for report in reports:
        for row in json.loads(report.read_text("utf-8"))["utterances"]:
            own, output = row["reference"].split(), row["hypothesis"].split()
            errors = Levenshtein.distance(own, output)
            features = distance.feature_edit_distance("".join(own), "".join(output))
            found[languages[row["id"]]].append((len(own), errors, features))
            voices[languages[row["id"]]].add(speakers[row["id"]])
    lines = ["| language | speakers | utterances | PER % | PFER % |", "|---|---|---|---|---|"]
    for language, rows in sorted(found.items()):
        lines.append(f"| {language} | {len(voices[language])} | {len(rows):,} | {_rate(rows, 1)} | {_rate(rows, 2)} |")
    everything = [row for rows in found.values() for row in rows]
    count = sum(map(len, voices.values()))
    lines.append(f"| all | {count} | {len(everything):,} | {_rate(everything, 1)} | {_rate(everything, 2)} |")
    return lines


def _rate(rows: Sequence[tuple[int, int, float]], column: int) -> str:
    values = np.array(rows)
    random = np.random.default_rng(0)
    picks = random.integers(len(values), size=(RESAMPLES, len(values)))
    sampled = values[picks][:, :, column].sum(1) / values[picks][:, :, 0].sum(1)
    low, high = np.quantile(sampled, (0.025, 0.975))
    return f"{100 * values[:, column].sum() / values[:, 0].sum():.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("reports", type=Path, nargs="+")
    parser.add_argument("--manifests", type=Path, required=True, help="folder whose manifests have been evaluated")
    options = parser.parse_args()
    try:
        print("\n".join(table(options.reports, options.manifests)))
    except (OSError, ValueError, KeyError) as error:
        print(f"error: {error!r}; give reports of `evaluate` and the folder of their manifests", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
