"""Resolution of a name or path, as a user gives it, to the model it means; done once, by `resolve_source`.

A source is a model's folder, a finished run, a model of this package by its name, a folder of the transformers library, a
repository of its hub, or a NeMo archive. Shipped models are immutable: their names end in a version (``english-1``), and a name
without version means the newest one.
"""

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from speechxfer.checkpoints.external_weights import find_weight_files
from speechxfer.errors import InputError
from speechxfer.runtime import recover_folder

SHIPPED = Path(__file__).parent.parent / "shipped"
OWN_WEIGHTS = ("weights.safetensors", "pack.safetensors")
HUB = "hf:"
SETTINGS_FILES = [
    "config.json", "*processor_config.json", "vocab.json", "added_tokens.json", "tokenizer.json", "tokenizer_config.json",
    "model.safetensors.index.json", "pytorch_model.bin.index.json", "README.md",
]  # fmt: skip
WEIGHT_FILES = (("model.safetensors", "model-*.safetensors"), ("pytorch_model.bin", "pytorch_model-*.bin"))
Kind = Literal["folder", "transformers", "nemo"]


@dataclass(frozen=True)
class Source:
    """A model on this machine.

    Attributes:
        name: how to refer to it: a shipped model with its version, else as the user named it.
        kind: 'folder' with ``model.json``, folder of the 'transformers' library, or 'nemo' archive.
        path: the folder or archive.
        revision: commit of a hub's repository; empty for others.
    """

    name: str
    kind: Kind
    path: Path
    revision: str = ""

    @property
    def is_shipped(self) -> bool:
        """Whether the model is part of this package."""
        return self.path.parent == SHIPPED


def resolve_source(name: "Path | str | Source") -> Source:
    """The model that a name or path means; a repository of the hub is downloaded, once, with the library's progress bar.

    Raises:
        InputError: there is no such model, the run there is not finished, or the hub cannot deliver it.
    """
    if isinstance(name, Source):
        return name
    if str(name).startswith(HUB):
        folder = _download(str(name))
        return Source(str(name), "transformers", folder, revision=folder.name)
    path = Path(name)
    if path.suffix == ".nemo":
        if not os.path.isfile(path):
            raise InputError(f"{name}: no such file; give the path of a .nemo archive")
        return Source(str(name), "nemo", path)
    if found := _find_folder(path):
        kind: Kind = "folder" if os.path.isfile(found / "model.json") else "transformers"
        return Source(str(name), kind, found)
    if os.path.isfile(path / "run.json"):
        raise InputError(
            f"{name}: this run is not finished, so it has no model yet; give its command again to resume it"
        )
    if versions := shipped_versions(str(name)):
        return Source(versions[-1].name, "folder", versions[-1])
    shipped = sorted(path.name for path in SHIPPED.iterdir() if path.is_dir())
    raise InputError(
        f"{name}: no model there; give a folder with model.json, a finished run, hf:ORGANISATION/NAME, a .nemo archive, or a "
        f"shipped model: {', '.join(shipped)}"
    )


def _download(name: str) -> Path:
    """The local folder of a repository's settings and weights, downloaded if needed; its name is the commit.

    Raises:
        InputError: the library is missing, or the hub does not have the repository or cannot be reached.
    """
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
    except ImportError as error:
        raise InputError(f"{name}: models of the hub need the extra hf; pip install 'speechxfer[hf]'") from error
    repository, _, revision = name.removeprefix(HUB).partition("@")
    try:
        for weights in WEIGHT_FILES:  # many repositories have the same weights in both formats, or training states
            patterns = [*SETTINGS_FILES, *weights]
            folder = Path(snapshot_download(repository, revision=revision or None, allow_patterns=patterns))
            if any(path.match(pattern) for path in folder.iterdir() for pattern in weights):
                break
        return folder
    except LocalEntryNotFoundError as error:
        raise InputError(
            f"{name}: not downloaded before, and the hub cannot be reached (or HF_HUB_OFFLINE is set); connect once, or give "
            "a folder"
        ) from error
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        raise InputError(
            f"{name}: the hub refuses it ({error}); write hf:ORGANISATION/NAME or hf:ORGANISATION/NAME@REVISION"
        ) from error


def _find_folder(path: Path) -> Path | None:
    """The folder with a model at `path`: itself or, of a finished run, its subfolder; None if there is none."""
    for folder in (path, path / "model"):
        if folder.name:
            recover_folder(folder)
        if any(os.path.isfile(folder / file) for file in ("model.json", "config.json")):
            return folder
    return None


def shipped_versions(name: str) -> list[Path]:
    """The folders of a shipped model, oldest version first: all versions of a name without version, else that one or none."""
    versions = {}
    for folder in SHIPPED.iterdir():
        match = re.fullmatch(r"(.+)-(\d+)", folder.name)
        if match and name in (match[0], match[1]):
            versions[int(match[2])] = folder
    return [versions[number] for number in sorted(versions)]


def weights_hash(name: Path | str | Source) -> str:
    """SHA-256 over a model's weights, or those of a language pack, as they are on disk."""
    source = resolve_source(name)
    if source.kind == "nemo":
        paths = [source.path]
    elif source.kind == "transformers":
        paths = find_weight_files(source.path)
    else:
        paths = [source.path / file for file in OWN_WEIGHTS if (source.path / file).is_file()][:1]
    if not paths:
        raise InputError(f"{source.path}: its weights are missing; copy the model again")
    digest = hashlib.sha256()
    for path in paths:
        try:
            with path.open("rb") as file:
                hashlib.file_digest(file, lambda: digest)
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror}); copy the model again") from error
    return digest.hexdigest()
