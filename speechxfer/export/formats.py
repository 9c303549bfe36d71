"""The export formats by name. A new format is a function `(model name or path, place to write)`, entered here."""

from collections.abc import Callable
from pathlib import Path

from speechxfer.checkpoints import resolve_source
from speechxfer.errors import InputError
from speechxfer.export.onnx_graph import export_onnx
from speechxfer.export.sherpa import export_sherpa
from speechxfer.export.transformers_models import export_hf
from speechxfer.export.web import export_web

EXPORT_FORMATS: dict[str, Callable[..., None]] = {
    "hf": export_hf,
    "onnx": export_onnx,
    "sherpa-onnx": export_sherpa,
    "web": export_web,
}


def export(name: str, to: str, out: Path | str, *, runtime: Path | None = None) -> None:
    """Write a model in the format of another toolkit.

    Args:
        name: model folder, finished run, shipped model or name on the hub.
        to: ``hf`` (a folder for transformers), ``onnx`` (one graph from samples to log-probabilities), ``sherpa-onnx``
            (a folder for sherpa-onnx) or ``web`` (a page for browsers).
        out: file (onnx) or folder to write.
        runtime: of ``web``: an unpacked npm package onnxruntime-web; None: the one installed in the current folder.

    Raises:
        InputError: the format is unknown or cannot represent the model, or `out` cannot be written or is part of the model.
    """
    if to not in EXPORT_FORMATS:
        raise InputError(f"export format {to!r} is unknown; expected one of {', '.join(EXPORT_FORMATS)}")
    if not str(out).strip() or str(out) == ".":
        raise InputError("export: no place to write was given; name a folder or file with --out")
    if runtime and to != "web":
        raise InputError(f"--runtime is of the format web only, and {to} was chosen; remove it")
    source = resolve_source(name)
    if Path(out).resolve().is_relative_to(source.path.resolve()):
        raise InputError(f"{out}: is part of the model that is exported; choose another place")
    EXPORT_FORMATS[to](name, Path(out), **({"runtime": runtime} if runtime else {}))
