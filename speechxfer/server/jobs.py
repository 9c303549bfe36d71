"""Jobs: commands of the command line that run in processes of their own, with all that is known of them on disk.

A job is a folder ``jobs/0001`` with ``job.json`` (kind, commands), ``state.json`` (how many commands are done, exit code),
``log.txt`` and ``lock``, which is locked while the job runs. So a job that was started before the program or the computer was
restarted is found again: it is running if its lock is held, else it has ended, or was stopped and can be continued.
"""

import fcntl
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from speechxfer.errors import InputError
from speechxfer.runtime import read_json, write_atomically
from speechxfer.server import runner

Status = Literal["running", "done", "failed", "stopped"]
PROGRAM = (sys.executable, "-P", "-m", "speechxfer")  # -P: files in the project's folder are not imported
LOG_BYTES = 32_768  # of the end of a log that are read
SHOWN_LINES = 40
NUMBER = r"\d{1,3}(?:,\d{3})*"
PROGRESS = re.compile(
    rf"(?P<what>.+?): (?P<done>{NUMBER}) of (?P<total>{NUMBER})(?:, about (?P<left>[^,]+) left)?(?:, .*)?"
)
FIX = "delete this folder to forget the job"


@dataclass(frozen=True)
class Command:
    """One command of a job.

    Attributes:
        arguments: of ``speechxfer``.
        tolerated: an exit code after which the job goes on, like 0, if `makes` is there: `check` found errors, or some of many
            files could not be read.
        makes: what the command writes, in the project's folder.
    """

    arguments: tuple[str, ...]
    tolerated: int = 0
    makes: str = ""

    @property
    def shown(self) -> str:
        """The command as it is typed in a shell, in the project's folder."""
        return shlex.join(("speechxfer", *self.arguments))


@dataclass(frozen=True)
class Job:
    """A job as it is now.

    Attributes:
        number: of its folder.
        kind: what it is for; at most one job of a kind runs.
        about: what it reads and writes, for those who look for results: names of folders in the project.
        done: how many commands are done.
        code: exit code of the last command; None: it was killed, or is running.
        stopping: whether it was asked to stop.
        log: the last lines.
    """

    number: int
    kind: str
    about: dict[str, str]
    commands: tuple[Command, ...]
    status: Status
    done: int
    code: int | None
    stopping: bool
    log: tuple[str, ...] = field(repr=False)

    @property
    def progress(self) -> dict[str, Any] | None:
        """What the running command does, how much of how much is done, and the time left, by its last line of progress."""
        for line in reversed(self.log):
            if line.startswith("$ "):
                return None
            found = PROGRESS.fullmatch(line)
            if found:
                done, total = (int(found[name].replace(",", "")) for name in ("done", "total"))
                return {"what": found["what"], "done": done, "total": total, "left": found["left"] or ""}
        return None

    @property
    def message(self) -> str:
        """What went wrong: the error of the command that failed, else its last line."""
        if self.status != "failed":
            return ""
        lines = [line for line in self.log if line.strip() and not line.startswith("$ ")]
        errors = [line.removeprefix("speechxfer: ") for line in lines if line.startswith("speechxfer: ")]
        return errors[-1] if errors else lines[-1] if lines else f"exit code {self.code}"


class Jobs:
    """The jobs of a project, in its folder ``jobs``."""

    def __init__(self, project: Path) -> None:
        self._project, self._folder = project, project / "jobs"
        self._children: list[subprocess.Popen[bytes]] = []
        self._ended: dict[Path, tuple[int, Job]] = {}  # with the time of their last change
        self._locks = threading.Lock()  # a look at a lock takes it for a moment

    def start(self, kind: str, commands: Sequence[Command], **about: str) -> Job:
        """Start a job.

        Raises:
            InputError: one of its kind is running.
        """
        self._check_none_runs(kind)
        folder = self.new_folder()
        job = {
            "kind": kind,
            "about": about,
            "program": PROGRAM,
            "commands": [asdict(one) for one in commands],
        }
        write_atomically(folder / "job.json", json.dumps(job, ensure_ascii=False, indent=1) + "\n")
        return self._run(folder, 0)

    def new_folder(self) -> Path:
        """A new folder ``jobs/NUMBER``."""
        number = max(self._numbers(), default=0) + 1
        while True:
            folder = self._folder / f"{number:04d}"
            try:
                folder.mkdir(parents=True)
            except FileExistsError:  # another program has this project open
                number += 1
                continue
            return folder

    def next_number(self) -> int:
        """The number that the next job will most probably have, for the names of its results."""
        return max(self._numbers(), default=0) + 1

    def resume(self, number: int) -> Job:
        """Continue a job with the command that was stopped or failed; commands of training continue where they stopped.

        A job with a folder ``renew`` starts from its first command: what it wrote there is removed, since `transcribe` and
        `align` replace no file.

        Raises:
            InputError: it is running or done, or one of its kind is running.
        """
        job = self.get(number)
        if job.status in ("running", "done"):
            raise InputError(f"job {number} is {job.status}; only a job that stopped or failed can be continued")
        self._check_none_runs(job.kind)
        if "renew" in job.about:
            shutil.rmtree(self._project / job.about["renew"], ignore_errors=True)
        return self._run(self._folder / f"{number:04d}", 0 if "renew" in job.about else job.done)

    def stop(self, number: int) -> Job:
        """Ask a running job to stop, as Ctrl-C does; the second time it is killed."""
        folder, job = self._folder / f"{number:04d}", self.get(number)
        if job.status == "running":
            asked = folder / "stop"
            session = int(read_json(folder / "pid", fix=FIX))
            os.killpg(session, signal.SIGKILL if asked.exists() else signal.SIGINT)
            write_atomically(asked, "")
        return self.get(number)

    def get(self, number: int) -> Job:
        """One job; InputError if there is none of that number."""
        if number not in self._numbers():
            raise InputError(f"there is no job {number}; reload the page")
        return self._read(self._folder / f"{number:04d}")

    def all(self) -> list[Job]:
        """All jobs, the latest first."""
        self._children = [child for child in self._children if child.poll() is None]
        return [self._read(self._folder / f"{number:04d}") for number in sorted(self._numbers(), reverse=True)]

    def latest(self, kinds: Iterable[str], status: Status = "done") -> Job | None:
        """The latest job of some kinds with a status."""
        return next((job for job in self.all() if job.kind in set(kinds) and job.status == status), None)

    def _numbers(self) -> list[int]:
        if not self._folder.is_dir():
            return []
        return [int(path.name) for path in self._folder.iterdir() if re.fullmatch(r"\d{4,9}", path.name)]

    def _check_none_runs(self, kind: str) -> None:
        running = next((job for job in self.all() if job.kind == kind and job.status == "running"), None)
        if running:
            raise InputError(f"this is running already (job {running.number}); wait for its end, or stop it")

    def _run(self, folder: Path, done: int) -> Job:
        lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT)
        try:
            with self._locks:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            (folder / "stop").unlink(missing_ok=True)
            write_atomically(folder / "state.json", json.dumps({"done": done, "code": None}) + "\n")
            with (folder / "log.txt").open("ab") as log:
                child = subprocess.Popen(
                    [sys.executable, "-I", runner.__file__, str(folder), str(lock)],
                    cwd=self._project,
                    env=_environment(),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    pass_fds=(lock,),
                    start_new_session=True,
                )
            write_atomically(folder / "pid", f"{child.pid}\n")
        except BlockingIOError as error:
            raise InputError(f"{folder.name}: this job is running already; wait for its end, or stop it") from error
        finally:
            os.close(lock)
        self._children.append(child)
        return self._read(folder)

    def _read(self, folder: Path) -> Job:
        state_file = folder / "state.json"
        changed_ns = state_file.stat().st_mtime_ns if state_file.exists() else 0
        if folder in self._ended and self._ended[folder][0] == changed_ns:
            return self._ended[folder][1]
        job: dict[str, Any] = {"kind": "", "about": {}, "commands": []}
        if (folder / "job.json").exists():  # a start that was killed has none
            job = read_json(folder / "job.json", fix=FIX)
        with self._locks:
            running = _is_locked(folder / "lock")  # before the state is read, which is written before the lock ends
        state = read_json(state_file, fix=FIX) if state_file.exists() else {}
        code, stopping = state.get("code"), (folder / "stop").exists()
        status: Status = "running" if running else "stopped"
        if not running and code is not None:
            status = "done" if code == 0 else "stopped" if stopping or code == runner.STOPPED else "failed"
        commands = tuple(Command(tuple(one["arguments"]), one["tolerated"], one["makes"]) for one in job["commands"])
        log = tuple(_last_lines(folder / "log.txt"))
        read = Job(
            int(folder.name), job["kind"], job["about"], commands, status, state.get("done", 0), code, stopping, log
        )
        if status == "done":
            self._ended[folder] = (state_file.stat().st_mtime_ns, read)
        return read


def _environment() -> dict[str, str]:
    """Of a job: lines of progress every second, and this package, also where it is a checkout that is not installed."""
    root = Path(__file__).parents[2]
    added = {"PYTHONUNBUFFERED": "1", "SPEECHXFER_FREQUENT_PROGRESS": "1"}
    if root.name not in ("site-packages", "dist-packages"):
        added["PYTHONPATH"] = os.pathsep.join(filter(None, (str(root), os.environ.get("PYTHONPATH", ""))))
    return os.environ | added


def _is_locked(path: Path) -> bool:
    if not path.exists():
        return False
    lock = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def _last_lines(path: Path) -> list[str]:
    if not path.exists():
        return []
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - LOG_BYTES))
        text = file.read().decode("utf-8", "replace")
    return text.splitlines()[-SHOWN_LINES:]
