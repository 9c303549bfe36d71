"""Programs of this project as forks of one process that has imported torch: real processes, without seconds of imports each.

`WarmPrograms.folder` holds executables ``python`` and ``speechxfer``, which recipes, torchrun and tests start in place of the
real ones. Each sends its arguments, folder, environment and standard streams to the server below, over a socket; the server
forks, the fork runs the program, and the executable ends as the fork did. Where an executable is killed, its fork is killed, too.
Only ``speechxfer ...``, ``python [-u] -m MODULE ...`` and ``python [-u] -c CODE ...`` run in forks; every other call of
``python``, and each call on a system other than Linux (there a fork of a process with torch may crash), starts the interpreter.
"""

import atexit
import gc
import importlib
import json
import os
import runpy
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

ROOT = Path(__file__).resolve().parents[1]
READY_S = 300  # a machine that is busy with other work needs patience
IMPORTED = (  # what the programs use, some of it not before the first training step
    "speechxfer.workflows.training_runs",
    "speechxfer.workflows.evaluation_runs",
    "torch._dynamo",
    "torch.distributed.launcher.api",
    "torch.utils.tensorboard",
    "matplotlib.figure",
    "matplotlib.backends.backend_agg",
)


class WarmPrograms:
    """The server, which starts when `folder` is first asked for; `close` ends it."""

    def __init__(self) -> None:
        self._server: subprocess.Popen[bytes] | None = None
        self._place = tempfile.TemporaryDirectory(prefix="warm")

    @property
    def folder(self) -> Path:
        """Executables ``python`` and ``speechxfer``, for the beginning of PATH."""
        folder = Path(self._place.name)
        if self._server is None:
            self._server = self._start(folder / "socket")
            for name in ("python", "speechxfer"):
                line = f'exec "{sys.executable}" -IS "{__file__}" request "{folder / "socket"}" {name} "$@"'
                (folder / name).write_text(f"#!/bin/sh\n{line}\n")
                (folder / name).chmod(0o755)
        return folder

    def _start(self, address: Path) -> "subprocess.Popen[bytes]":
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, __file__, "serve", str(address)]
        server = subprocess.Popen(command, stdin=subprocess.PIPE, env=environment, start_new_session=True)
        until_s = time.monotonic() + READY_S
        while not address.exists() and server.poll() is None and time.monotonic() < until_s:
            time.sleep(0.02)
        if not address.exists():
            raise RuntimeError("the server of warm programs did not start")
        return server

    def close(self) -> None:
        """End the server and every program that still runs."""
        if self._server is not None:
            self._server.communicate(timeout=READY_S)
        self._place.cleanup()


def request(address: str, name: str, arguments: list[str]) -> NoReturn:
    """What an executable does: run the program in a fork of the server, and end as the fork does."""
    if name == "python" and arguments[:1] == ["-u"]:
        arguments = arguments[1:]
    command = arguments if name == "python" else ["-m", "speechxfer", *arguments]
    if sys.platform != "linux" or command[:1] not in (["-m"], ["-c"]):
        os.execv(sys.executable, [sys.executable, *command])
    wanted = {"command": command, "folder": os.getcwd(), "environment": dict(os.environ)}
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(address)
        socket.send_fds(connection, [b"\n"], [0, 1, 2])
        connection.sendall(json.dumps(wanted).encode() + b"\n")
        code = int(connection.makefile().readline())
    if code < 0:
        with suppress(OSError):  # SIGKILL has no handler to be replaced
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


def serve(address: str) -> list[str]:
    """Fork for each request until the standard input ends. Returns in the forks only: what ``python`` has to run."""
    incoming = socket.create_server(f"{address}.new", family=socket.AF_UNIX)
    with selectors.DefaultSelector() as selector:
        selector.register(0, selectors.EVENT_READ)
        selector.register(incoming, selectors.EVENT_READ)
        os.rename(f"{address}.new", address)
        while True:
            key, _ = selector.select()[0]
            if key.fileobj == 0:
                os.killpg(0, signal.SIGKILL)
            elif key.fileobj is incoming:
                connection, _ = incoming.accept()
                _, streams, _, _ = socket.recv_fds(connection, 1, 3)
                wanted = json.loads(connection.makefile("rb").readline())
                process_id = os.fork()
                if process_id == 0:
                    _take_over(wanted, streams)
                    return list(wanted["command"])
                for stream in streams:
                    os.close(stream)
                selector.register(connection, selectors.EVENT_READ, process_id)
                selector.register(os.pidfd_open(process_id), selectors.EVENT_READ, (process_id, connection))
            elif isinstance(key.data, int):  # the executable was killed
                selector.unregister(key.fileobj)
                os.kill(key.data, signal.SIGKILL)
            else:  # the fork has ended
                _report_end(*key.data)
                for source in (key.fileobj, key.data[1]):
                    with suppress(KeyError):
                        selector.unregister(source)
                os.close(key.fd)
                key.data[1].close()


def _take_over(wanted: dict[str, Any], streams: list[int]) -> None:
    """Make this fork what an interpreter started with that environment, in that folder, would be."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    sys.stdin = os.fdopen(0, encoding="utf-8", closefd=False)
    sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)
    os.chdir(wanted["folder"])
    os.environ.clear()
    os.environ.update(wanted["environment"])
    from_environment = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    installed = [path for path in sys.path if path != str(ROOT)]
    sys.path[:] = ["" if wanted["command"][0] == "-c" else os.getcwd(), *from_environment, *installed]


def _report_end(process_id: int, connection: socket.socket) -> None:
    _, status = os.waitpid(process_id, 0)
    with suppress(BrokenPipeError):  # the executable was killed
        connection.sendall(b"%d\n" % os.waitstatus_to_exitcode(status))


def _run(option: str, code: str, arguments: list[str]) -> NoReturn:
    """The program, then what the interpreter does at its end, except for taking all modules apart, which takes seconds."""
    sys.argv = [code if option == "-m" else option, *arguments]
    status: object = None
    try:
        if option == "-m":
            runpy.run_module(code, run_name="__main__", alter_sys=True)
        else:
            exec(code, {"__name__": "__main__"})
    except SystemExit as end:
        status = end.code
    if status is not None and not isinstance(status, int):
        print(status, file=sys.stderr)
        status = 1
    threading._shutdown()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(BrokenPipeError):
            stream.flush()
    os._exit(int(status or 0))


def _main(role: str, address: str, arguments: list[str]) -> NoReturn:
    if role == "request":
        request(address, arguments[0], arguments[1:])
    del sys.path[0]  # the folder of this file
    for module in IMPORTED:
        importlib.import_module(module)
    gc.freeze()
    option, code, *arguments = serve(address)
    _run(option, code, arguments)


if __name__ == "__main__":
    _main(sys.argv[1], sys.argv[2], sys.argv[3:])
