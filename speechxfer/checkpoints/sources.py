"""A name or path to a model: a folder, a finished run, a shipped model, a transformers folder or hub name, a NeMo archive."""

import hashlib
from pathlib import Path

from speechxfer.checkpoints.foreign_weights import weight_files
from speechxfer.errors import InputError

SHIPPED = Path(__file__).parent.parent / "shipped"


def find_model(name: Path | str) -> Path:
    """The folder of a model: a path, the ``model`` folder of a finished run, or the name of a shipped one.

    Of another toolkit's checkpoint: where it lies on this machine (see ``foreign.py``).
    """
    if is_external(name):
        return locate_external(name)
    for folder in (Path(name), Path(name) / "model", SHIPPED / str(name)):
        if (folder / "model.json").is_file():
            return folder
    if (Path(name) / "run.json").is_file():
        raise InputError(
            f"{name}: this run has not finished, so it has no model yet; give its command again, which goes on"
        )
    shipped = sorted(path.name for path in SHIPPED.iterdir() if path.is_dir()) if SHIPPED.is_dir() else []
    raise InputError(
        f"{name}: no model there (a model is a folder with model.json); give a folder, a finished run, hf:ORGANISATION/NAME, a "
        f".nemo archive, or one that is shipped: {', '.join(shipped) or 'none'}"
    )


def weights_hash(name: Path | str) -> str:
    """SHA-256 of a model's weights, or of a pack's, as they lie on disk."""
    if is_external(name):
        return external_hash(name)
    folder = find_model(name)
    paths = [folder / file for file in ("weights.safetensors", "pack.safetensors") if (folder / file).is_file()]
    if not paths:
        raise InputError(f"{folder}: its weights are missing; copy the model again")
    return hashlib.sha256(paths[0].read_bytes()).hexdigest()


HUB = "hf:"
HUB_SETTINGS = [
    "config.json", "*processor_config.json", "vocab.json", "added_tokens.json", "tokenizer.json", "tokenizer_config.json",
    "model.safetensors.index.json", "pytorch_model.bin.index.json", "README.md",
]  # fmt: skip
HUB_WEIGHTS = (("model.safetensors", "model-*.safetensors"), ("pytorch_model.bin", "pytorch_model-*.bin"))


def is_external(name: Path | str) -> bool:
    """Whether a model's name is that of another toolkit's checkpoint: on the hub, a folder of transformers, or an archive."""
    path = Path(name)
    here = (path / "config.json").is_file() and not (path / "model.json").is_file()
    return str(name).startswith(HUB) or path.suffix == ".nemo" or here


def locate_external(name: Path | str) -> Path:
    """Where the checkpoint lies on this machine; one of the hub is downloaded, once, with the library's progress bar.

    Raises:
        InputError: there is no such file, or the hub does not have it or is not reachable.
    """
    if not str(name).startswith(HUB):
        if not Path(name).exists():
            raise InputError(f"{name}: no such file; give the path of a .nemo archive")
        return Path(name)
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
    except ImportError as error:
        raise InputError(f"{name}: models of the hub need the extra hf; pip install 'speechxfer[hf]'") from error
    repository, _, revision = str(name).removeprefix(HUB).partition("@")
    try:
        for weights in HUB_WEIGHTS:  # many repositories hold the same weights twice, or those of a training beside them
            folder = Path(
                snapshot_download(repository, revision=revision or None, allow_patterns=[*HUB_SETTINGS, *weights])
            )
            if any(path.match(name) for path in folder.iterdir() for name in weights):
                break
        return folder
    except LocalEntryNotFoundError as error:
        raise InputError(
            f"{name}: not downloaded before, and the hub cannot be reached (or HF_HUB_OFFLINE is set); connect once, or give "
            "a folder"
        ) from error
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        raise InputError(
            f"{name}: the hub does not give it ({error}); write hf:ORGANISATION/NAME or hf:ORGANISATION/NAME@REVISION"
        ) from error


def external_hash(name: Path | str) -> str:
    """SHA-256 over the weights as they lie on disk."""
    place = locate_external(name)
    whole = hashlib.sha256()
    for path in [place] if place.is_file() else weight_files(place):
        with path.open("rb") as file:
            while block := file.read(1 << 22):
                whole.update(block)
    return whole.hexdigest()
