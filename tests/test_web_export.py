"""The page of `export --to web` in Chromium: it transcribes files and the microphone, and requests nothing of other hosts.

Skipped where no Chromium or no onnxruntime-web is installed: `npm install onnxruntime-web` in the folder of the repository, or
the folder of an unpacked package in ONNXRUNTIME_WEB.
"""

import functools
import http.server
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from speechxfer.checkpoints.card import Card
from speechxfer.checkpoints.loading import load_model
from speechxfer.checkpoints.model_folders import save_model
from speechxfer.errors import InputError
from speechxfer.export import export
from speechxfer.scoring import error_rates
from speechxfer.text.vocabulary import Vocabulary
from tests import external_models as external
from tests.browsers import CHROMIUM, NO_CHROMIUM, collect_problems, launch_browser
from tests.small_models import source_model
from tests.test_sherpa_export import log_probs_of, written_here

playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
RUNTIME = Path(os.environ.get("ONNXRUNTIME_WEB", Path(__file__).parents[1] / "node_modules" / "onnxruntime-web"))
SYMBOLS = ("<blank>", " ", "<", ">", "a", "b", "ش", "ש", "🎤")  # markup, right-to-left letters and emoji are text
CLIP = external.speech(2.4, 5)


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None: ...


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("onnxscript")
    if CHROMIUM is None:
        pytest.skip(NO_CHROMIUM)
    if not RUNTIME.is_dir():
        pytest.skip("no onnxruntime-web is installed (npm install onnxruntime-web)")
    folder = tmp_path_factory.mktemp("web")
    model = source_model("cnn", Vocabulary(SYMBOLS))
    with torch.no_grad():  # all symbols alike often, so that the text has many of them
        model.head.bias -= log_probs_of(model, CLIP).mean(dim=0)
    save_model(model, folder / "model", Card("<i>small</i>"))
    export(str(folder / "model"), "web", folder / "page", runtime=RUNTIME)
    soundfile.write(str(folder / "clip.wav"), CLIP, 16_000, subtype="PCM_16")
    stereo = np.repeat(np.stack([CLIP, CLIP], axis=1), 3, axis=0)
    soundfile.write(str(folder / "stereo 48 kHz.flac"), stereo, 48_000, subtype="PCM_16")
    parts = [external.speech(20.0, 6), np.zeros(16_000, np.float32), external.speech(14.0, 7)]
    soundfile.write(str(folder / "long.wav"), np.concatenate(parts), 16_000, subtype="PCM_16")
    (folder / "text.wav").write_text("no recording")
    return folder


@pytest.fixture
def page(folder: Path) -> Iterator[Any]:
    """The page in a browser whose microphone plays the clip; what it reports and what it requests are collected."""
    handler = functools.partial(QuietHandler, directory=str(folder / "page"))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://localhost:{server.server_port}/"
    with playwright.sync_playwright() as program:
        browser = launch_browser(program, folder / "clip.wav")
        context = browser.new_context(permissions=["microphone"])
        page = context.new_page()
        page.set_default_timeout(120_000)
        page.problems, page.requested = [], []
        collect_problems(page, page.problems)
        context.on("request", lambda request: page.requested.append(request.url))
        page.goto(address)
        playwright.expect(page.locator("#status")).to_have_text("Ready", timeout=120_000)
        yield page
        assert page.problems == []
        assert all(url.startswith((address, f"blob:{address}")) for url in page.requested)
        browser.close()
    server.shutdown()
    server.server_close()


def open_files(page: Any, *files: Path) -> list[str]:
    """The texts that the page shows for these files, in their order."""
    page.locator("#file").set_input_files([str(file) for file in files])
    rows = page.locator("#results li")
    playwright.expect(rows).to_have_count(len(files), timeout=120_000)
    playwright.expect(page.locator("#results li[aria-busy=false]")).to_have_count(len(files), timeout=120_000)
    return [text for text in reversed(page.locator(".text").all_text_contents())]


def text_here(folder: Path, clip: Path, start: int = 0, stop: int | None = None) -> str:
    samples, _ = soundfile.read(clip, dtype="float32", start=start, stop=stop)
    return written_here(load_model(folder / "model").eval(), samples).text


def test_files_are_transcribed_as_here(page: Any, folder: Path) -> None:
    clip = folder / "clip.wav"
    expected = text_here(folder, clip)
    assert len(expected.split()) > 3 and "<" in expected
    [text, of_stereo] = open_files(page, clip, folder / "stereo 48 kHz.flac")
    assert text == expected
    assert error_rates([(expected, of_stereo)])[1] < 0.5  # three equal samples in a row are no speech, but like it
    assert page.locator("#model").text_content() == "<i>small</i>"


def test_a_long_recording_is_cut_at_the_quietest_place(page: Any, folder: Path) -> None:
    [text] = open_files(page, folder / "long.wav")
    middle = 20 * 16_000 + 800  # of the first tenth of a second of silence
    pieces = [text_here(folder, folder / "long.wav", *places) for places in ((0, middle), (middle, None))]
    assert error_rates([(" ".join(pieces), text)])[1] < 0.01  # near ties


def test_what_is_no_recording_is_said_to_be_none(page: Any, folder: Path) -> None:
    page.locator("#file").set_input_files(str(folder / "text.wav"))
    playwright.expect(page.locator("#status")).to_have_text("text.wav: this browser cannot read it as a recording")
    assert page.locator("#results li").count() == 0


def test_the_microphone_is_transcribed(page: Any, folder: Path) -> None:
    page.locator("#record").click()
    playwright.expect(page.locator("#record")).to_have_text("Stop")
    page.wait_for_timeout(2400)
    page.locator("#record").click()
    playwright.expect(page.locator("#results li[aria-busy=false]")).to_have_count(1)
    said, found = (
        text.replace(" ", "") for text in (text_here(folder, folder / "clip.wav"), page.locator(".text").inner_text())
    )
    assert len(found) > len(said) / 2  # the device begins anywhere in the clip, and the browser codes what it records


def test_without_the_runtime_nothing_is_converted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_model(source_model("dnn"), tmp_path / "model", Card("model"))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="run: npm install onnxruntime-web"):
        export("model", "web", tmp_path / "page")
    with pytest.raises(InputError, match=r"empty/dist/ort\.wasm\.min\.mjs: does not exist; --runtime takes"):
        export("model", "web", tmp_path / "page", runtime=Path("empty"))
    with pytest.raises(InputError, match="--runtime is of the format web only"):
        export("model", "onnx", tmp_path / "x.onnx", runtime=Path("empty"))
    assert not (tmp_path / "page").exists()
