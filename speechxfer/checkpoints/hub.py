"""Download of checkpoints from the hub of Hugging Face by ``hf:ORGANISATION/NAME[@REVISION]``."""

from pathlib import Path

from speechxfer.errors import InputError

HUB = "hf:"
SETTINGS_FILES = [
    "config.json", "*processor_config.json", "vocab.json", "added_tokens.json", "tokenizer.json", "tokenizer_config.json",
    "model.safetensors.index.json", "pytorch_model.bin.index.json", "README.md",
]  # fmt: skip
WEIGHT_FILES = (("model.safetensors", "model-*.safetensors"), ("pytorch_model.bin", "pytorch_model-*.bin"))


def download(name: str) -> Path:
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
