"""The page of `speechxfer serve` in Chromium: import an ELAN project, train, try, correct, train again and export.

Skipped only where no Chromium is installed. ``SCREENSHOTS=docs/images`` also writes the pictures of the documentation.
"""

import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import uvicorn
from playwright.sync_api import Page, expect, sync_playwright

from speechxfer.annotations import read_annotations
from speechxfer.data import read_manifest
from speechxfer.server import jobs as jobs_module
from speechxfer.server.application import build_application
from speechxfer.server.jobs import Jobs
from speechxfer.server.project import Project
from speechxfer.server.security import read_key, write_opener
from tests.browsers import collect_problems, launch_browser, needs_chromium
from tests.elan_projects import play, random_texts, say, swahili_texts, write_elan_project, write_recording

pytestmark = needs_chromium
HOSTILE = "<img src=x onerror=alert(1)> <script>alert(2)</script> ‮abc‬ שלום 🎤"
MINUTES = 60_000
SCREENSHOTS = os.environ.get("SCREENSHOTS", "")  # pictures are of speech and of a model that was trained on it
STEPS = "40" if SCREENSHOTS else "4"


class Server:
    """The page's program, in a thread; `stop` ends it as Ctrl-C does."""

    def __init__(self, folder: Path, port: int = 0) -> None:
        self._socket = socket.create_server(("127.0.0.1", port))
        self.port = self._socket.getsockname()[1]
        application = build_application(Project(folder), port=self.port)
        self._server = uvicorn.Server(uvicorn.Config(application, log_level="error", timeout_graceful_shutdown=1))
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],))
        self._thread.start()
        self.address = f"http://127.0.0.1:{self.port}"

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join()
        self._socket.close()


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, warm_programs: Path) -> Iterator[Path]:
    monkeypatch.setattr(jobs_module, "PROGRAM", (str(warm_programs / "python"), "-m", "speechxfer"))
    folder = tmp_path / "Mboshi"
    yield folder
    jobs = Jobs(folder)
    for job in [
        job for job in jobs.all() if job.status == "running"
    ] * 2:  # of a test that failed; the second stop kills
        jobs.stop(job.number)


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    """A browser whose microphone plays a recording; what it reports and every address that it requests are collected."""
    texts, speak = (swahili_texts(1, 7), say) if SCREENSHOTS else (["abcd abcd abcd"], play)
    write_recording(tmp_path / "spoken.wav", texts, speak=speak)
    with sync_playwright() as program:
        browser = launch_browser(program, tmp_path / "spoken.wav")
        context = browser.new_context(viewport={"width": 1000, "height": 760}, permissions=["microphone"])
        page = context.new_page()
        page.set_default_timeout(3 * MINUTES)
        page.problems = []  # type: ignore[attr-defined]
        page.requested = set()  # type: ignore[attr-defined]
        watch(page)
        context.on("page", watch)
        yield page
        browser.close()


def watch(page: Any) -> None:
    first = page.context.pages[0]
    collect_problems(page, first.problems)
    page.on(
        "request", lambda request: first.requested.add(urlsplit(request.url).hostname or urlsplit(request.url).scheme)
    )


def picture(page: Page, section: str, name: str) -> None:
    if SCREENSHOTS:
        box = page.locator(section).bounding_box()
        assert box
        clip = {"x": 0, "y": box["y"] + page.evaluate("scrollY"), "width": 1000, "height": box["height"]}
        page.screenshot(path=Path(SCREENSHOTS) / name, clip=clip, full_page=True)  # type: ignore[arg-type]


def open_page(page: Page, server: Server, project: Path) -> None:
    page.goto(write_opener(project, f"{server.address}/?key={read_key(project)}").as_uri())
    expect(page.locator("#folder")).to_have_text(str(project))


def wait_for(page: Page, kind: str, status: str = "done") -> None:
    expect(page.locator(f"#job-{kind} .job.{status}")).to_be_visible(timeout=(60 if SCREENSHOTS else 4) * MINUTES)


def count_clicks(page: Page) -> None:
    page.add_init_script("window.clicks = 0; window.onclick = (event) => { if (event.isTrusted) clicks += 1 }")


def train_briefly(page: Page) -> None:
    page.select_option("#length", "other")
    page.fill("#steps", STEPS)
    page.click("#start")


def test_from_an_elan_project_to_corrected_tiers(page: Page, project: Path, tmp_path: Path) -> None:
    files = write_elan_project(tmp_path / "elan", 2, 60 if SCREENSHOTS else 8, spoken=bool(SCREENSHOTS))
    texts, speak = (swahili_texts(16, 9), say) if SCREENSHOTS else (random_texts(16, 9), play)
    write_recording(tmp_path / "elan" / "new.wav", texts, 9, speak)  # long enough to be cut at its pauses
    originals = {path.name: path.read_bytes() for path in (tmp_path / "elan").iterdir()}
    server = Server(project)
    try:
        count_clicks(page)
        open_page(page, server, project)

        # 1 to 3: six clicks at most from the fresh page to a training
        page.set_input_files("#files", [*files, tmp_path / "elan" / "new.wav"])  # one click, on the button for files
        wait_for(page, "prepare")
        expect(page.locator("#check-summary")).to_contain_text("96 utterances" if SCREENSHOTS else "12 utterances")
        expect(page.locator("#counts")).to_have_text(
            "2 documents, 3 recordings, 1 of them without imported transcripts"
        )
        expect(page.locator('#tiers input[value="tx@*"]')).to_be_checked()
        picture(page, "#data", "page-data.png")
        picture(page, "#check", "page-check.png")
        page.click("#start")
        wait_for(page, "train", "running")
        assert 1 + page.evaluate("clicks") <= 6
        expect(page.locator("#job-train .note")).to_have_text(
            re.compile(r"training: step: \d+ of [\d,]+, about .+ left"), timeout=6 * MINUTES
        )
        picture(page, "#train", "page-train.png")

        # the program is restarted while the training runs
        server.stop()
        server = Server(project, server.port)
        page.reload()
        wait_for(page, "train", "running")
        page.click("#job-train button:has-text('Stop')")
        wait_for(page, "train", "stopped")
        expect(page.locator("#job-train")).to_contain_text("Continue")
        train_briefly(page)
        wait_for(page, "train")
        expect(page.locator("#models tbody tr").first).to_contain_text("%")
        page.click("#job-train summary:has-text('speechxfer')")
        expect(page.locator("#job-train pre").first).to_contain_text("--set=finetune.steps=")

        # 4: by microphone, and a file
        page.click("#record")
        page.wait_for_timeout(4000 if SCREENSHOTS else 1500)
        page.click("#record")
        expect(page.locator("#tries .job.done")).to_have_count(1, timeout=3 * MINUTES)
        page.set_input_files("#try-file", tmp_path / "elan" / "new.wav")
        expect(page.locator("#tries .job.done")).to_have_count(2, timeout=3 * MINUTES)
        picture(page, "#try", "page-try.png")

        # 5: by keyboard
        page.click("#suggest button")
        wait_for(page, "transcribe")
        expect(page.locator("#text")).to_be_visible()
        picture(page, "#correct", "page-correct.png")
        page.locator("#text").fill(HOSTILE)
        before = page.inner_text("#place")
        page.keyboard.press("Enter")
        expect(page.locator("#correct-summary")).to_contain_text("1 utterance corrected")
        expect(page.locator("#place")).not_to_have_text(before)
        page.locator("#text").fill("ab cd")
        page.keyboard.press("Enter")
        expect(page.locator("#correct-summary")).to_contain_text("2 utterances corrected")
        assert [row.text for row in read_manifest(project / "corrected.jsonl")] == [HOSTILE, "ab cd"]
        train_briefly(page)
        wait_for(page, "train", "running")
        wait_for(page, "train")
        expect(page.locator("#job-train pre").first).to_contain_text("corrected-")

        # 6
        page.click("#export-tiers")
        wait_for(page, "export")
        page.click("#export-report")
        wait_for(page, "report")
        picture(page, "#export", "page-export.png")
        with page.expect_download() as weights:
            page.click("#export-weights")
        assert weights.value.suggested_filename.endswith("model.zip")
        with page.expect_popup() as opened:
            page.click("#exports a:has-text('Open the report')")
        expect(opened.value.locator("#list li").first).to_be_visible()
        if SCREENSHOTS:
            opened.value.screenshot(path=Path(SCREENSHOTS) / "report.png")
    finally:
        server.stop()
    assert page.problems == []  # type: ignore[attr-defined]
    assert page.requested <= {"127.0.0.1", "file", "data", "blob"}  # type: ignore[attr-defined]
    assert {path.name: path.read_bytes() for path in (tmp_path / "elan").iterdir()} == originals
    check_exports(project, files[0])


def check_exports(project: Path, document: Path) -> None:
    exported = max((project / "exports").glob("*/tiers"), key=lambda path: int(path.parent.name))
    [before], [after] = read_annotations(document), read_annotations(exported / document.name)
    names = [tier.name for tier in after.tiers]
    assert names[:2] == ["tx@ana", "ft@ana"] and "auto-utterances" in names
    assert after.tiers[:2] == before.tiers
    [predicted] = read_annotations(exported.parent / "predicted" / "new.eaf")
    corrected = next(tier for tier in predicted.tiers if tier.name == "corrected-utterances")
    assert {interval.text for interval in corrected.intervals} == {HOSTILE, "ab cd"}


def test_hostile_names_and_texts_are_shown_as_text(page: Page, project: Path, tmp_path: Path) -> None:
    name = "<img src=x onerror=alert(1)>‮ שלום 🎤.wav"
    write_recording(tmp_path / "a.wav", ["ab cd"])
    label = tmp_path / "a.txt"  # a label track of Audacity
    label.write_text(f"0.0\t0.5\t{HOSTILE}\n", encoding="utf-8")
    server = Server(project)
    try:
        open_page(page, server, project)
        page.set_input_files("#files", label)
        expect(page.locator("#tiers")).to_contain_text("<script>alert(2)</script>")
        wait_for(page, "prepare", "failed")
        expect(page.locator("#job-prepare .fault")).to_be_visible()
        page.set_input_files(
            "#files", [{"name": name, "mimeType": "audio/wav", "buffer": (tmp_path / "a.wav").read_bytes()}]
        )
        page.click("#files-details summary")
        expect(page.locator("#file-list")).to_contain_text("<img src=x onerror=alert(1)>")
        assert page.evaluate("document.querySelectorAll('img').length") == 0
        assert page.evaluate("document.querySelectorAll('script').length") == 1
    finally:
        server.stop()
    assert page.problems == []  # type: ignore[attr-defined]


def test_the_page_is_readable_at_every_width_and_named_for_screen_readers(page: Page, project: Path) -> None:
    server = Server(project)
    try:
        for width, scheme in ((400, "dark"), (1000, "light")):
            page.set_viewport_size({"width": width, "height": 800})
            page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            open_page(page, server, project)
            assert page.evaluate("document.documentElement.scrollWidth") == width
        unnamed = "[...document.querySelectorAll('input, select, textarea')].filter((one) => !one.labels.length).length"
        assert page.evaluate(unnamed) == 0
    finally:
        server.stop()
    assert page.problems == []  # type: ignore[attr-defined]


def test_serve_is_a_program_that_ends_with_ctrl_c(project: Path) -> None:
    command = [sys.executable, "-m", "speechxfer", "serve", str(project), "--port", "0", "--no-browser"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as program:
        assert program.stderr is not None
        line = program.stderr.readline()
        assert f"{project}: open http://127.0.0.1:" in line
        time.sleep(0.5)
        program.send_signal(2)
        assert "the same command opens it again" in program.stderr.read()
    assert program.returncode == 0
