"""Warm programs do as the real interpreter does: arguments, folder, environment, streams, exit codes, signals."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

SHOW = "import os, sys; print(sys.argv, os.getcwd(), os.fsencode(os.environ['GIVEN']), __name__, sys.path[0], sys.stdin.read())"


def ended(python: Path | str, *words: str, folder: Path) -> tuple[int, str, list[str]]:
    """Exit code, output, and the last line of errors."""
    environment = {**os.environ, "GIVEN": "é \udce9"}
    done = subprocess.run(
        [python, *words], cwd=folder, env=environment, input="typed", capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout, done.stderr.splitlines()[-1:]


@pytest.mark.parametrize(
    "words",
    [
        ("-c", SHOW, "a", "b c"),
        ("-u", "-c", "import atexit, sys; atexit.register(print, 'end'); sys.exit(3)"),
        ("-c", "import sys; sys.exit('a message')"),
        ("-c", "raise ValueError('wrong')"),
        ("-c", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"),
        ("-c", "import os, signal; os.kill(os.getpid(), signal.SIGTERM)"),
        ("-m", "program", "a"),
        ("-m", "program", "--wrong"),
        ("-m", "speechxfer", "info", "klingon"),
        ("-", "a"),
    ],
)
def test_a_warm_program_ends_as_the_real_one(warm_programs: Path, tmp_path: Path, words: tuple[str, ...]) -> None:
    (tmp_path / "program.py").write_text(
        "import sys\nif '--wrong' in sys.argv: sys.exit(2)\nprint(sys.argv, __name__)\n"
    )
    warm = ended(warm_programs / "python", *words, folder=tmp_path)
    assert warm == ended(sys.executable, *words, folder=tmp_path)
    assert warm[0] or warm[1]


def test_a_warm_program_has_imported_torch(warm_programs: Path, tmp_path: Path) -> None:
    code, out, _ = ended(warm_programs / "python", "-c", "import sys; print('torch' in sys.modules)", folder=tmp_path)
    assert (code, out) == (0, str(sys.platform == "linux") + "\n")


def test_the_program_ends_where_its_executable_is_killed(warm_programs: Path) -> None:
    code = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
    process = subprocess.Popen([warm_programs / "python", "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    program = int(process.stdout.readline())
    assert program != process.pid or sys.platform != "linux"
    process.kill()
    process.communicate(timeout=120)
    until_s = time.monotonic() + 120
    while Path(f"/proc/{program}").exists() and time.monotonic() < until_s:
        time.sleep(0.01)
    assert not Path(f"/proc/{program}").exists()
