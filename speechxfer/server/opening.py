"""The verb `serve`: opens the page of a project on this computer."""

import socket
import webbrowser
from contextlib import suppress
from pathlib import Path

from speechxfer.errors import InputError
from speechxfer.runtime import import_extra, log_info
from speechxfer.server.project import Project

DEFAULT_PORT = 8750
USER = "the page of `serve`"


def serve(folder: Path, *, port: int | None = None, open_browser: bool = True) -> None:
    """Open the page of a project on this computer, until Ctrl-C; jobs that run go on, and are shown when it is opened again.

    Args:
        folder: of the project; made if missing.
        port: on 127.0.0.1; None: 8750, or a free one; 0: a free one.
        open_browser: also show the page in the browser.

    Raises:
        InputError: the extra ``serve`` is not installed, the folder has other files, or the port is in use.
    """
    import_extra("starlette", "serve", USER)
    uvicorn = import_extra("uvicorn", "serve", USER)
    from speechxfer.server.application import build_application
    from speechxfer.server.security import read_key, write_opener

    project = Project(folder)
    with _open_port(port) as connection:
        number = connection.getsockname()[1]
        application = build_application(project, port=number)
        address = f"http://127.0.0.1:{number}/?key={read_key(project.folder)}"
        log_info(f"{project.folder}: open {address} (Ctrl-C ends the page; trainings go on)")
        if open_browser:
            webbrowser.open(write_opener(project.folder, address).as_uri())
        with suppress(KeyboardInterrupt):  # which uvicorn raises again after it has ended
            uvicorn.Server(uvicorn.Config(application, log_level="error", timeout_graceful_shutdown=2)).run(
                [connection]
            )
    log_info(f"{project.folder}: the page is closed; the same command opens it again")


def _open_port(port: int | None) -> socket.socket:
    """The port, open on 127.0.0.1; a free one where none is wanted and the usual one is in use."""
    try:
        return socket.create_server(("127.0.0.1", DEFAULT_PORT if port is None else port))
    except OSError as error:
        if port is None:
            return socket.create_server(("127.0.0.1", 0))
        reason = error.strerror or str(error)
        raise InputError(f"--port {port}: cannot be opened ({reason}); choose another, or omit it") from error
