"""Running a verb: exit codes, and one line on stderr for every mistake of the user.

Exit codes: 0 success, 1 `check` found errors, 2 bad input or usage, 130 Ctrl-C, 141 stdout closed (`| head`).
"""

import os
import sys
import warnings
from typing import Any

import typer

from speechxfer.cli import verbs  # noqa: F401  (registers its verbs; the order is that of the help)

# isort: split
from speechxfer.cli import decoding_verbs  # noqa: F401

# isort: split
from speechxfer.cli import language_model_verbs  # noqa: F401

# isort: split
from speechxfer.cli import report_verbs  # noqa: F401

# isort: split
from speechxfer.cli import project_verbs  # noqa: F401

# isort: split
from speechxfer.cli.application import app
from speechxfer.errors import InputError
from speechxfer.runtime import check_process_environment, escape_unencodable_output, is_main_process

BAD_INPUT = 2
INTERRUPTED = 130
BROKEN_PIPE = 141  # 128 + SIGPIPE, as in the shell
USAGE_ERRORS: Any = typer.BadParameter.__mro__[2]  # ClickException, of whichever copy of click typer uses
RESUMABLE = ("train", "adapt", "crossval", "curve", "self-train")


def _invoke(arguments: list[str]) -> int:
    """Run one verb; typer's own `main` is not used, as it prints errors in boxes of several lines."""
    command = typer.main.get_command(app)
    try:
        with command.make_context("speechxfer", arguments or ["--help"]) as context:
            command.invoke(context)
    except typer.Exit as end:
        return int(end.exit_code)
    return 0


def _report(message: str, code: int = BAD_INPUT) -> int:
    print(f"speechxfer: {' '.join(message.split())}", file=sys.stderr)
    return code


def main() -> None:
    """Run the command line; errors of the user or the system give one line on stderr and exit code 2."""
    escape_unencodable_output()
    if not sys.warnoptions:
        warnings.simplefilter("ignore")  # of libraries; the package's own warnings are lines on stderr
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    verb = next((argument for argument in sys.argv[1:] if not argument.startswith("-")), "")
    try:
        check_process_environment()
        if not is_main_process():  # of several processes the first one prints
            sys.stdout = open(os.devnull, "w")  # noqa: SIM115
        code = _invoke(sys.argv[1:])
        sys.stdout.flush()
    except InputError as error:
        code = _report(str(error))
    except USAGE_ERRORS as error:
        context = getattr(error, "ctx", None)  # of the verb, or of the program where the verb is unknown
        program = context.command_path if context else "speechxfer"
        code = _report(f"{error.format_message().rstrip('.')} (see: {program} --help)")
    except (KeyboardInterrupt, typer.Abort):
        rest = "; the same command continues where it stopped" if verb in RESUMABLE else ""
        code = _report(f"stopped{rest}", INTERRUPTED)
    except BrokenPipeError:  # the reader of stdout has ended, such as `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = BROKEN_PIPE
    except OSError as error:
        name = error.filename if isinstance(error.filename, str) else ""
        code = _report(f"{name}: {error.strerror}" if name and error.strerror else str(error))
    sys.exit(code)
