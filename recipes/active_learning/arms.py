"""The arms of the simulation, each pooled over its draws: error rates, how much was written, and differences from `select30`.

    python -m recipes.active_learning.arms exp data "1 2 3" random30 select30 random45 > ranking-arms.tsv

A draw has its own random ten minutes, its own choice and its own seed of the training. Tabs separate the columns.
"""

import sys
from pathlib import Path

from speechxfer.data import read_manifest, total_duration_s
from speechxfer.errors import InputError
from speechxfer.scoring import compare, pool, read_report

CHOSEN = "select30"
HEADER = "arm\tminutes\tcharacters written\tCER % [95 %]\tCER % of the draws\tWER % [95 %]\tCER of select30 minus that of the arm"


def arms_table(runs: Path, data: Path, draws: list[str], arms: list[str]) -> str:
    """A line for each arm.

    Raises:
        InputError: a report or a manifest is missing.
    """
    reports = {arm: [read_report(runs / f"{arm}-{draw}" / "dev" / "report.json") for draw in draws] for arm in arms}
    lines = [HEADER]
    for arm in arms:
        parts = [read_manifest(data / f"{arm}-{draw}.jsonl") for draw in draws]
        written = sum(len(utterance.text) for part in parts for utterance in part) / len(draws)
        minutes = sum(map(total_duration_s, parts)) / 60 / len(draws)
        score = pool(reports[arm])
        cells = [arm, f"{minutes:.1f}", f"{written:,.0f}", _rate(score.cer, score.cer_interval)]
        cells += [", ".join(f"{100 * cer:.1f}" for cer in score.cers), _rate(score.wer, score.wer_interval)]
        both = zip(reports.get(CHOSEN, []), reports[arm], strict=False)
        differences = [100 * compare(chosen, other).cer.difference for chosen, other in both] if arm != CHOSEN else []
        each = ", ".join(f"{one:+.2f}" for one in differences)
        mean = f"{sum(differences) / len(differences):+.2f} ({each})" if differences else "–"
        lines.append("\t".join([*cells, mean]))
    return "\n".join(lines)


def _rate(rate: float, interval: tuple[float, float]) -> str:
    return f"{100 * rate:.2f} [{100 * interval[0]:.2f}, {100 * interval[1]:.2f}]"


def main() -> None:
    """Command line."""
    if len(sys.argv) < 5:
        print(__doc__, file=sys.stderr)
        sys.exit(2)
    runs, data, draws, *arms = sys.argv[1:]
    try:
        print(arms_table(Path(runs), Path(data), draws.split(), arms))
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
