"""The page of `speechxfer report` in Chromium, where one is installed: keys, filter, no request."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import sync_playwright

from speechxfer.data import write_manifest
from speechxfer.scoring import score
from speechxfer.workflows import write_page
from tests.browsers import collect_problems, launch_browser, needs_chromium
from tests.test_report_page import HOSTILE
from tests.tone_corpus import write_tone_corpus

pytestmark = needs_chromium


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A page of two runs on twelve utterances, hostile texts among them, in a window of 400 pixels; its list has the focus."""
    folder = tmp_path_factory.mktemp("page")
    utterances = write_tone_corpus(folder / "test.jsonl", 12, letters="abc", words=(9, 12))
    write_manifest(folder / "test.jsonl", utterances)
    references = {u.id: u.text for u in utterances}
    hostile = dict(zip(references, HOSTILE, strict=False))
    report = score(references, references | hostile, speakers=references | hostile)
    other = score(references, references, speakers=references | hostile)
    names = [str(folder / name) for name in ("report.json", "other.json")]
    for name, one in zip(names, (report, other), strict=True):
        Path(name).write_text(one.to_json(), encoding="utf-8")
    write_page(names, folder / "page.html", manifest=folder / "test.jsonl")
    with sync_playwright() as program:
        browser = launch_browser(program)
        opened = browser.new_page(viewport={"width": 400, "height": 800})
        opened.problems = []
        collect_problems(opened, opened.problems)
        opened.on("request", lambda request: opened.problems.append(request.url) if "http" in request.url[:4] else None)
        opened.goto((folder / "page.html").as_uri())
        opened.focus("#list")
        yield opened
        browser.close()


def selected(page: Any) -> str:
    return str(page.inner_text('#list [aria-selected="true"] .entry-text'))


def is_playing(page: Any) -> bool:
    script = "(() => { const a = document.querySelector('audio'); return !a.paused && a.currentTime > 0 })()"
    return bool(page.evaluate(script))


def test_arrows_select_and_space_plays(page: Any) -> None:
    first = selected(page)
    page.keyboard.press("ArrowDown")
    assert selected(page) != first
    assert page.evaluate("document.activeElement.getAttribute('aria-activedescendant')") == "entry-1"
    page.keyboard.press("ArrowUp")
    assert selected(page) == first == page.inner_text("#detail h3")
    assert page.evaluate("document.querySelector('audio').paused")
    page.keyboard.press("Space")
    assert any(page.wait_for_timeout(50) or is_playing(page) for _ in range(200))
    page.keyboard.press("Space")
    assert page.evaluate("document.querySelector('audio').paused")
    page.keyboard.press("End")
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.getAttribute('aria-activedescendant')") == "entry-11"


def test_filter_and_order(page: Any) -> None:
    page.fill("#search", "onerror")
    assert page.inner_text("#count") == "1 of 12 utterances, 1 with audio"
    page.fill("#search", "")
    page.fill("#least", "1")
    assert page.inner_text("#count").startswith(f"{len(HOSTILE)} of 12")
    page.fill("#least", "0")
    page.select_option("#sort", "id")
    page.focus("#list")
    page.keyboard.press("Home")
    assert "test000" in page.inner_text("#detail")


def test_nothing_is_run_or_requested_and_nothing_overflows(page: Any) -> None:
    for _ in range(12):
        page.keyboard.press("ArrowDown")
    assert page.problems == []
    assert page.evaluate("document.documentElement.scrollWidth") == 400
    assert page.evaluate("document.querySelectorAll('script').length") == 2
