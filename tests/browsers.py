"""The Chromium that tests of pages drive; Playwright's own is not downloaded."""

import shutil

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason=f"none of {', '.join(NAMES)} is installed on this machine")
