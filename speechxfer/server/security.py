"""What protects the page: only this computer, only this user's browser, only the page's own script, only small requests.

* The port is open on 127.0.0.1 only. Requests must name that host (else a page of another site could reach it under a name that
  it resolves to 127.0.0.1: DNS rebinding), and those that change something must come from the page itself (the header Origin).
* A key in ``FOLDER/key``, which only the user can read, is part of the printed address and becomes a cookie: other users of the
  computer can connect to the port too. The browser is started with the file ``FOLDER/open.html``, which leads to that address,
  since they can see the arguments of programs.
* A content-security policy permits the page's own script, style, sound and requests, and nothing else.
"""

import hmac
import os
import re
import secrets
from pathlib import Path

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from speechxfer.errors import InputError
from speechxfer.runtime import file_lock

KEY_FILE = "key"
KEY_BYTES = 24
KEY = r"[\w-]{32}"  # of so many bytes, in base 64
OPENER = "open.html"
YEAR_S = 365 * 24 * 3600
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src 'self' blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
    "Cache-Control": "no-store",
}
NO_KEY = "Open the address that `speechxfer serve` printed when it started: it contains the key to this page.\n"


def read_key(folder: Path) -> str:
    """The key to the page of a project, readable by the user only; made if it is missing or not whole.

    Raises:
        InputError: the file cannot be read or written.
    """
    path = folder / KEY_FILE
    try:
        with file_lock(path):
            key = path.read_bytes().decode("ascii", "replace").strip() if path.exists() else ""
            if not re.fullmatch(KEY, key, re.ASCII):
                key = secrets.token_urlsafe(KEY_BYTES)
                _write_private(path, key)
            path.chmod(0o600)  # of a copied project it may be otherwise
    except OSError as error:
        raise _cannot_write(path, error) from error
    return key


def write_opener(folder: Path, address: str) -> Path:
    """A page that leads to `address`, readable by the user only."""
    path = folder / OPENER
    try:
        _write_private(
            path, f'<!doctype html><title>speechxfer</title><meta http-equiv="refresh" content="0; url={address}">\n'
        )
    except OSError as error:
        raise _cannot_write(path, error) from error
    return path


def _write_private(path: Path, content: str) -> None:
    """Write a file, whole or not at all, that only the user can read."""
    partial = path.with_name(f".{path.name}.partial")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(content)
    partial.replace(path)


def _cannot_write(path: Path, error: OSError) -> InputError:
    return InputError(f"{path}: cannot be read or written ({error.strerror}); give a folder of your own that can")


class Guard:
    """Lets requests of the page itself through to `app`, and answers all others."""

    def __init__(self, app: ASGIApp, *, port: int, key: str) -> None:
        self._app, self._key, self._cookie = app, key, f"speechxfer-{port}"
        self._hosts = {f"{name}:{port}" for name in ("127.0.0.1", "localhost")}
        self._hosts |= {"127.0.0.1", "localhost"} if port == 80 else set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return  # no web sockets

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        answer = self._refusal(Request(scope))
        await (answer or self._app)(scope, receive, send_with_headers)

    def _refusal(self, request: Request) -> Response | None:
        """The answer to a request that is not of the page; None for one that is."""
        headers = request.headers
        if headers.get("host", "").lower() not in self._hosts:
            return PlainTextResponse("This page is only for this computer: open it at 127.0.0.1.\n", 421)
        if request.method not in ("GET", "HEAD") and not self._is_own_origin(headers):
            return JSONResponse({"error": "this request does not come from the page; reload it"}, 403)
        given = request.query_params.get("key", "")
        if given and request.method == "GET" and request.url.path == "/" and self._is_key(given):
            answer = RedirectResponse("/", 303)
            answer.set_cookie(self._cookie, self._key, max_age=YEAR_S, httponly=True, samesite="lax")
            return answer
        if not self._is_key(request.cookies.get(self._cookie, "")):
            return PlainTextResponse(NO_KEY, 403)
        return None

    def _is_own_origin(self, headers: Headers) -> bool:
        return headers.get("origin", "").lower() in {f"http://{host}" for host in self._hosts}

    def _is_key(self, given: str) -> bool:
        return hmac.compare_digest(given.encode(), self._key.encode())
