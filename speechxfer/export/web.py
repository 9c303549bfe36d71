"""Folders for a static web server: a page that transcribes the microphone and files in the browser, with onnxruntime-web.

The page is in ``page/``. The runtime (14 MB, MIT licence) is not part of this package: it is taken from an installed or unpacked
npm package, so that the folder needs no other host.
"""

import json
import shutil
from importlib.resources import as_file, files
from pathlib import Path

from speechxfer.errors import InputError
from speechxfer.export.onnx_graph import load_for_graph, waveform_graph
from speechxfer.runtime import atomic_folder, check_new_folder, log_info

INSTALLED = Path("node_modules/onnxruntime-web")
RUNTIME_FILES = {  # names of the page, which every server takes for JavaScript, and of the package
    "ort.js": "ort.wasm.min.mjs",
    "ort-wasm.js": "ort-wasm-simd-threaded.mjs",
    "ort-wasm.wasm": "ort-wasm-simd-threaded.wasm",
}


def export_web(name: str, out: Path, runtime: Path | None = None) -> None:
    """Write a folder with a page, the model's graph and onnxruntime-web; a static server is all it needs.

    Args:
        name: of the model.
        out: the folder.
        runtime: an unpacked npm package onnxruntime-web; None: the one installed in the current folder.

    Raises:
        InputError: the extra `onnx` or the runtime is not installed, the encoder cannot be converted, or `out` exists and is not
            an empty folder.
    """
    check_new_folder(out)
    sources = find_runtime(runtime)
    model = load_for_graph(name)
    settings = {
        "name": model.name or "speechxfer",
        "sample_rate_hz": model.spec.sample_rate_hz,
        "window_samples": model.spec.window_samples,
        "kind": model.vocabulary.kind,
        "symbols": model.vocabulary.symbols,
    }
    with atomic_folder(out) as partial, as_file(files("speechxfer.export") / "page") as page:
        shutil.copytree(page, partial, dirs_exist_ok=True)
        (partial / "settings.json").write_text(json.dumps(settings, ensure_ascii=False) + "\n", "utf-8")
        (partial / "runtime").mkdir()
        for file, source in sources.items():
            shutil.copyfile(source, partial / "runtime" / file)
        (partial / "model.onnx").write_bytes(waveform_graph(model).SerializeToString())
    log_info(f"wrote {out}; next: python -m http.server --directory {out}, and open http://localhost:8000")


def find_runtime(package: Path | None) -> dict[str, Path]:
    """The files of onnxruntime-web by their names in the page's folder; InputError says how to get them."""
    folder = package or INSTALLED
    found = {file: folder / "dist" / source for file, source in RUNTIME_FILES.items()}
    missing = [path for path in found.values() if not path.is_file()]
    if missing and package:
        raise InputError(f"{missing[0]}: does not exist; --runtime takes an unpacked npm package onnxruntime-web")
    if missing:
        raise InputError(
            "the page needs onnxruntime-web, which is not installed in this folder; run: npm install onnxruntime-web (or "
            "unpack that package elsewhere and name its folder with --runtime)"
        )
    return found
