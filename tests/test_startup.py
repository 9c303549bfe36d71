"""Starting is quick, and what needs no torch does not load it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

LIMIT_S = 0.5
HEAVY = ("torch", "torchaudio", "librosa", "accelerate", "matplotlib")
LIGHT = ("errors", "config", "runtime", "text", "data", "scoring", "checking", "server")
# The script that pip makes of the entry point, spelt out; -X importtime and the like would count against it.
PROGRAM = "import sys; sys.argv = ['speechxfer', *sys.argv[1:]]; from speechxfer.cli import main; main()"


def seconds(code: str, *arguments: str) -> float:
    """Processor seconds of the quickest of five runs: wall time without the wait for whatever else this machine does."""
    best = float("inf")
    for _ in range(5):
        process = subprocess.Popen([sys.executable, "-c", code, *arguments], stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0
        best = min(best, usage.ru_utime + usage.ru_stime)
    return best


def loaded(code: str, *arguments: str) -> set[str]:
    """The heavy packages among the modules that a fresh interpreter holds after running `code`."""
    report = f"import atexit, json, sys\natexit.register(lambda: print(json.dumps(sorted(sys.modules)), file=sys.stderr))\n{code}"
    run = subprocess.run([sys.executable, "-c", report, *arguments], capture_output=True, text=True, check=True)
    names = set(json.loads(run.stderr.splitlines()[-1]))
    assert "speechxfer" in names
    return names & set(HEAVY)


def test_importing_the_package_is_quick() -> None:
    assert seconds("import speechxfer") < LIMIT_S


def test_help_is_quick() -> None:
    assert seconds(PROGRAM, "--help") < LIMIT_S


@pytest.mark.parametrize("verb", ["", "train", "adapt", "transcribe", "evaluate", "compare", "info", "check", "lm"])
def test_help_loads_nothing_heavy(verb: str) -> None:
    assert loaded(PROGRAM, *([verb] if verb else []), "--help") == set()


def test_the_package_and_its_lower_packages_load_nothing_heavy() -> None:
    assert loaded("import speechxfer") == set()
    assert loaded("\n".join(f"import speechxfer.{name}" for name in LIGHT)) == set()
    assert loaded("import speechxfer.server.application") == set()


def test_public_names_are_there_and_load_only_what_they_need() -> None:
    code = (
        "import speechxfer as sx\nfrom pathlib import Path\n"
        "sx.Vocabulary.from_texts(['a b'])\nsx.score({'x': 'a b'}, {'x': 'a'}, normalizer=sx.Normalizer())\n"
        "sx.read_manifest, sx.Utterance, sx.InputError, sx.Config\nassert 'finetune' in dir(sx)"
    )
    assert loaded(code) == set()
    run = subprocess.run(
        [sys.executable, "-c", "import speechxfer as sx; [getattr(sx, name) for name in sx.__all__]; sx.nothing"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.stderr.splitlines()[-1] == "AttributeError: module 'speechxfer' has no attribute 'nothing'"


def test_the_installed_program_says_the_same_as_the_module() -> None:
    program = Path(sys.executable).parent / "speechxfer"
    if not program.exists():
        pytest.skip("the package is not installed in this interpreter's environment")
    as_program = subprocess.run([program, "--help"], capture_output=True, text=True, check=True)
    as_module = subprocess.run(
        [sys.executable, "-m", "speechxfer", "--help"], capture_output=True, text=True, check=True
    )
    assert as_program.stdout.splitlines()[1].split()[:2] == ["Usage:", "speechxfer"]
    assert as_module.stdout.splitlines()[2:] == as_program.stdout.splitlines()[2:]
