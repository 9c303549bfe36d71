"""``python -m benchmarks NAME ...`` runs one of the programs of this folder."""

import runpy
import sys
from pathlib import Path

PARTS = ("commands", "page", "training_loops")  # of programs

if __name__ == "__main__":
    names = sorted(path.stem for path in Path(__file__).parent.glob("[a-z]*.py") if path.stem not in PARTS)
    if sys.argv[1:2] == [] or sys.argv[1] not in names:
        raise SystemExit(f"usage: python -m benchmarks NAME ..., one of {', '.join(names)}")
    name = sys.argv.pop(1)
    runpy.run_module(f"benchmarks.{name}", run_name="__main__", alter_sys=True)
