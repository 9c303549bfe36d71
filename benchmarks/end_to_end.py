"""`speechxfer adapt` from its start to the finished model, of this checkout beside an older one: CPU and wall seconds.

Both adapt the same shipped model to ten minutes of Mboshi on 8,000 s of augmented speech (``--trained-s``; by default `adapt`
takes 36,000 s), in bfloat16, with an evaluation every 1,600 s, about as often as in a run of default length, and otherwise with
their own defaults: the older one takes 20 s in a step, this one 40 s at higher rates (``--batch-s`` gives both the same).
Neither makes language models, which the older one cannot do. The two alternate, each in a new process whose features are computed
anew. Both run in the Python that runs this program. Where the machine does other work, CPU seconds tell more than those of the
clock.

    git worktree add OLD_CHECKOUT COMMIT
    python -m benchmarks end_to_end OLD_CHECKOUT CORPUS_DIR
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.commands import Cost, run_command
from benchmarks.page import spread, table, write_section
from data_scripts.prepare_mboshi import prepare
from speechxfer.runtime import commit
from speechxfer.training import read_metrics

SOURCE, EVALUATE_EVERY_S = "multilingual-small-2", 1600


def adapt(checkout: Path, data: Path, seed: int, batch_s: float, trained_s: float) -> tuple[Cost, float]:
    """What a run costs, and its last CER on dev; SystemExit if it fails."""
    steps, every = round(trained_s / batch_s), round(EVALUATE_EVERY_S / batch_s)
    training = {"steps": steps, "batch_s": batch_s, "evaluate_every_steps": every, "precision": "bf16"}
    with tempfile.TemporaryDirectory(dir=data) as name:
        settings = [f"finetune.{key}={value}" for key, value in (training | {"seed": seed}).items()]
        settings.append(f"data.cache_dir={name}/features")
        command = [sys.executable, "-m", "speechxfer", "adapt", "--source", SOURCE, "--out", f"{name}/run"]
        command += ["--train", str(data / "train_10min.jsonl"), "--dev", str(data / "valid.jsonl")]
        command += [word for setting in settings for word in ("--set", setting)]
        command += ["--no-lm"] if (checkout / "speechxfer/workflows/run_language_models.py").exists() else []
        environment = {**os.environ, "PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        cost = run_command(command, environment, folder=checkout)
        if cost.code:
            raise SystemExit(f"{checkout}: adapt failed with code {cost.code}")
        scores = [row["dev_cer"] for row in read_metrics(Path(name) / "run" / "metrics.jsonl") if "dev_cer" in row]
        return cost, scores[-1]


def commit_of(checkout: Path) -> str:
    """Short hash of the commit of another checkout."""
    command = ["git", "-C", str(checkout), "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def main() -> None:
    """Measure and write the section of the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old_checkout", type=Path)
    parser.add_argument("corpus_dir", type=Path, help="Mboshi, as data_scripts.prepare_mboshi reads it")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch-s", type=float, help="for both")
    parser.add_argument(
        "--trained-s", type=float, default=8000.0, help="seconds of augmented speech that each trains on"
    )
    arguments = parser.parse_args()
    batch_s = {name: arguments.batch_s or usual for name, usual in (("old", 20.0), ("new", 40.0))}
    checkouts = {"old": arguments.old_checkout.resolve(), "new": Path(__file__).resolve().parents[1]}
    found: dict[str, list[tuple[Cost, float]]] = {name: [] for name in checkouts}
    with tempfile.TemporaryDirectory() as folder:
        prepare(arguments.corpus_dir, Path(folder))
        for number in range(arguments.rounds):
            for name in list(checkouts)[:: -1 if number % 2 else 1]:
                cost, cer = adapt(checkouts[name], Path(folder), 1 + number, batch_s[name], arguments.trained_s)
                found[name].append((cost, cer))
                print(
                    f"round {number}, {name}: {cost.cpu_s:.1f} s of CPU, {cost.wall_s:.1f} s, CER {100 * cer:.1f} %",
                    flush=True,
                )
    rows = []
    for name, runs in found.items():
        hash_ = commit() if name == "new" else commit_of(checkouts[name])
        columns = [
            spread([cost.cpu_s for cost, _ in runs], 1),
            spread([cost.wall_s for cost, _ in runs], 1),
            spread([cost.peak_gib for cost, _ in runs], 2),
            " ".join(f"{100 * cer:.1f}" for _, cer in runs),
        ]
        rows.append((f"{name}, {hash_}", f"{batch_s[name]:g}", *columns))
    pairs = list(zip(found["old"], found["new"], strict=True))
    lines = [
        f"{arguments.trained_s:,.0f} s of speech, bfloat16, an evaluation every {EVALUATE_EVERY_S:,} s, features computed anew; "
        f"{arguments.rounds} rounds, each with another seed. Median, least and greatest of the rounds.",
        "",
        *table(("checkout", "s a step", "s of CPU", "s", "peak memory, GiB", "CER % on dev, by round"), rows),
        "",
        f"- old over new, CPU: {spread([old.cpu_s / new.cpu_s for (old, _), (new, _) in pairs], 2)}",
        f"- old over new, wall: {spread([old.wall_s / new.wall_s for (old, _), (new, _) in pairs], 2)}",
    ]
    print("\n".join(lines))
    write_section("Adapt, end to end", lines, ["torch", "numpy"])


if __name__ == "__main__":
    main()
