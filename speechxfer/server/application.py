"""The web application of a project: its routes, and what is answered to requests."""

import os
import shutil
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import soundfile
from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from speechxfer.data import decode_audio
from speechxfer.errors import InputError
from speechxfer.runtime import parse_json
from speechxfer.server import actions, review
from speechxfer.server.jobs import Jobs
from speechxfer.server.project import RECORDINGS, Project
from speechxfer.server.security import Guard, read_key
from speechxfer.server.state import describe_project, describe_suggestions
from speechxfer.server.uploads import receive_file

STATIC = Path(__file__).parent / "static"
REPORT_STYLE = (
    Path(__file__).parent.parent / "reporting" / "templates" / "page.css"
)  # its package takes seconds to import
MOST_BODY_BYTES = 1 << 20
LONGEST_CLIP_S = 120.0
FIX = "reload the page"


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Nothing(_Body):
    """No argument."""


class _Folder(_Body):
    path: str


class _Choice(_Body):
    tiers: list[str] = []
    language: str = ""


class _Data(_Body):
    data: str


class _Training(_Body):
    data: str
    source: str
    steps: int | None = None


class _JobNumber(_Body):
    job: int


class _Model(_Body):
    model: str


class _Models(_Body):
    models: list[str]


class _Text(_Body):
    transcripts: str
    id: str
    text: str


class _Utterance(_Body):
    transcripts: str
    id: str


class Pages:
    """The answers to the page's requests about one project."""

    def __init__(self, project: Project) -> None:
        self.project, self.jobs = project, Jobs(project.folder)
        self._acting = threading.Lock()  # of two clicks at once the second finds the job of the first

    def routes(self) -> list[Route]:
        """What can be requested."""
        project, jobs = self.project, self.jobs
        posts: dict[str, tuple[type[_Body], Callable[[Any], object]]] = {
            "add-folder": (_Folder, lambda body: project.add_folder(body.path)),
            "remove-folder": (_Folder, lambda body: project.remove_folder(body.path)),
            "choose": (_Choice, lambda body: project.change_settings(tiers=body.tiers, language=body.language.strip())),
            "prepare": (_Nothing, lambda _: actions.prepare(project, jobs)),
            "fix": (_Data, lambda body: actions.fix(project, jobs, body.data)),
            "train": (_Training, lambda body: actions.train(project, jobs, body.data, body.source, body.steps)),
            "stop": (_JobNumber, lambda body: jobs.stop(body.job)),
            "resume": (_JobNumber, lambda body: jobs.resume(body.job)),
            "transcribe": (_Model, lambda body: actions.transcribe(project, jobs, body.model)),
            "correct": (_Text, lambda body: review.correct(project, body.transcripts, body.id, body.text)),
            "skip": (_Utterance, lambda body: review.skip(project, body.transcripts, body.id)),
            "undo": (_Nothing, lambda _: review.undo(project)),
            "export": (_Model, lambda body: actions.export_tiers(project, jobs, body.model)),
            "report": (_Models, lambda body: actions.write_report(project, jobs, body.models)),
        }
        return [
            Route("/", lambda _: FileResponse(STATIC / "page.html")),
            Route("/page.js", lambda _: FileResponse(STATIC / "page.js")),
            Route("/page.css", lambda _: Response(_style(), media_type="text/css")),
            Route("/api/state", lambda _: JSONResponse(describe_project(project, jobs))),
            Route("/api/suggestions", lambda _: JSONResponse(describe_suggestions(project, jobs))),
            Route("/api/upload", self._upload, methods=["POST"]),
            Route("/api/try", self._try, methods=["POST"]),
            *(Route(f"/api/{name}", self._post(body, act), methods=["POST"]) for name, (body, act) in posts.items()),
            Route("/clip", self._clip),
            Route("/download/{path:path}", self._download),
        ]

    def _post(self, body: type[_Body], act: Callable[[Any], object]) -> Callable[[Request], Any]:
        async def answer(request: Request) -> Response:
            content = b""
            async for part in request.stream():
                content += part
                if len(content) > MOST_BODY_BYTES:
                    raise InputError(f"the request is larger than {MOST_BODY_BYTES:,} bytes; {FIX}")
            try:
                given = body.model_validate(parse_json(content or b"{}", "request", fix=FIX))
            except ValidationError as error:
                raise InputError(f"request: {error.errors()[0]['loc']}: {error.errors()[0]['msg']}; {FIX}") from error
            await run_in_threadpool(self._act, act, given)
            return await self._state()

        return answer

    def _act(self, act: Callable[..., object], *arguments: object) -> None:
        with self._acting:
            act(*arguments)

    async def _state(self) -> Response:
        return JSONResponse(await run_in_threadpool(describe_project, self.project, self.jobs))

    async def _upload(self, request: Request) -> Response:
        name = request.query_params.get("name", "")
        await receive_file(request.stream(), self.project.folder / RECORDINGS, name)
        self.project.forget_files()
        return JSONResponse({"ok": True})

    async def _try(self, request: Request) -> Response:
        folder = self.project.folder / "tries"
        path = await receive_file(request.stream(), folder, request.query_params.get("name", ""), numbered=True)
        model = request.query_params.get("model", "")
        await run_in_threadpool(self._act, actions.try_recording, self.project, self.jobs, model, path)
        return await self._state()

    def _clip(self, request: Request) -> Response:
        """A part of one of the project's recordings as WAV."""
        name = request.query_params.get("recording", "")
        known = {self.project.name_of(path): path for path in self.project.recordings()}
        if name not in known:
            raise InputError(f"{name!r}: is no recording of this project; {FIX}")
        start_s, end_s = (_seconds(request.query_params.get(key, "")) for key in ("start", "end"))
        duration_s = min(max(0.0, end_s - start_s), LONGEST_CLIP_S)
        decoded = decode_audio(known[name], offset_s=start_s, duration_s=duration_s)
        descriptor, file = tempfile.mkstemp(suffix=".wav")
        os.close(descriptor)
        soundfile.write(file, decoded.samples.mean(axis=1), decoded.header.rate_hz, subtype="PCM_16")
        return FileResponse(file, media_type="audio/wav", background=BackgroundTask(os.unlink, file))

    def _download(self, request: Request) -> Response:
        """A report, tiers or a model; a folder becomes a ``.zip``."""
        path = (self.project.folder / request.path_params["path"].replace("\0", "")).resolve()
        allowed = [self.project.folder / name for name in ("exports", "models")]
        if not any(path.is_relative_to(folder) and path != folder for folder in allowed) or not path.exists():
            raise InputError(f"{request.path_params['path']!r}: is no result of this project; {FIX}")
        if path.is_dir():
            folder = Path(tempfile.mkdtemp())
            archive = actions.pack_folder(path, folder / path.name)
            name = f"{path.parent.name}-{path.name}.zip" if path.name == "model" else archive.name
            task = BackgroundTask(shutil.rmtree, folder)
            return FileResponse(archive, filename=name, background=task)
        if path.suffix == ".html" and request.query_params.get("open"):
            # The report has a policy of its own; in a sandbox its script cannot reach this page.
            return FileResponse(path, headers={"Content-Security-Policy": "sandbox allow-scripts"})
        return FileResponse(path, filename=path.name)


def build_application(project: Project, *, port: int) -> Starlette:
    """The web application of a project, for requests to 127.0.0.1 at this port."""
    guard = Middleware(Guard, port=port, key=read_key(project.folder))
    handlers = {InputError: _show_error, ClientDisconnect: _show_error, OSError: _show_error}
    return Starlette(routes=Pages(project).routes(), middleware=[guard], exception_handlers=handlers)


def _show_error(_request: Request, error: Exception) -> Response:
    return JSONResponse({"error": str(error)}, 400)


def _style() -> str:
    return REPORT_STYLE.read_text("utf-8") + (STATIC / "page.css").read_text("utf-8")


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.0 <= value <= 1e9:
        raise InputError(f"{text!r}: expected a time in seconds; {FIX}")
    return value
