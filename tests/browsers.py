"""The Chromium that tests of pages drive; Playwright's own is not downloaded."""

import shutil
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
NO_CHROMIUM = f"none of {', '.join(NAMES)} is installed on this machine"
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason=NO_CHROMIUM)


def launch_browser(program: Any, microphone: Path | None = None) -> Any:
    """Playwright's browser; its microphone plays a recording."""
    devices = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    options = [*devices, f"--use-file-for-fake-audio-capture={microphone}"] if microphone else []
    return program.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", *options])


def collect_problems(page: Any, problems: list[str]) -> None:
    """Have what a page writes to the console, its uncaught errors and its dialogs appended to a list."""
    page.on("console", lambda message: problems.append(message.text))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("dialog", lambda dialog: problems.append(dialog.message))
