"""Weights of external checkpoints, read without running code from them: safetensors, or tensors unpickled as data only.

Sources: the files that transformers' `save_pretrained` writes; torch's zip format of `torch.save`.
"""

import lzma
import pickle
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import safetensors.torch
import torch
from torch import Tensor

from speechxfer.checkpoints.weights import COPY_AGAIN
from speechxfer.errors import InputError
from speechxfer.runtime import read_json

UNREADABLE = (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError)
MAX_SHARING = 8  # times that tensors may use the same values: tied weights do it twice


def read_object(path: Path) -> dict[str, Any]:
    """The object in a JSON file; InputError if it is missing, damaged or something else."""
    content = read_json(path, fix=COPY_AGAIN)
    if not isinstance(content, dict):
        raise InputError(f"{path}: no JSON object; {COPY_AGAIN}")
    return content


def find_weight_files(folder: Path) -> list[Path]:
    """The files with weights: safetensors, whole or in parts; else an older checkpoint's pickled tensors."""
    for whole in ("model.safetensors", "pytorch_model.bin"):
        index = folder / f"{whole}.index.json"
        if index.is_file():
            parts = read_object(index).get("weight_map")
            if not isinstance(parts, dict) or not parts or not all(isinstance(part, str) for part in parts.values()):
                raise InputError(f"{index}: weight_map is missing or damaged; {COPY_AGAIN}")
            return [folder / Path(name).name for name in sorted(set(parts.values()))]
        if (folder / whole).is_file():
            return [folder / whole]
    raise InputError(f"{folder}: its weights (model.safetensors) are missing; {COPY_AGAIN}")


def read_tensors(folder: Path) -> Iterator[tuple[str, Tensor]]:
    """Names and tensors of a transformers folder's weights."""
    for path in find_weight_files(folder):
        if not path.is_file():
            raise InputError(f"{path}: missing; {COPY_AGAIN}")
        if path.suffix == ".safetensors":
            try:
                yield from safetensors.torch.load_file(str(path)).items()
            except (safetensors.SafetensorError, OSError) as error:
                raise InputError(f"{path}: missing or damaged ({error}); {COPY_AGAIN}") from error
        else:
            with path.open("rb") as file:
                yield from unpickle_tensors(file, path).items()


def unpickle_tensors(content: IO[bytes], where: Path) -> dict[str, Tensor]:
    """Tensors by name from a pickle that is read as data.

    Raises:
        InputError: it has anything but tensors, is damaged, or claims more values than it has.
    """
    _check_archive(content, where)
    try:
        state = torch.load(content, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise InputError(
            f"{where}: the weights contain code or objects besides tensors, which are never run; get them as safetensors"
        ) from error
    except (RuntimeError, ValueError, KeyError, TypeError, *UNREADABLE) as error:
        raise InputError(f"{where}: the weights are damaged ({error}); copy the file again") from error
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise InputError(f"{where}: the weights are no tensors by name; get a checkpoint of weights only")
    stored = {value.untyped_storage().data_ptr(): value.untyped_storage().nbytes() for value in state.values()}
    if sum(value.numel() * value.element_size() for value in state.values()) > MAX_SHARING * sum(stored.values()):
        raise InputError(f"{where}: the tensors claim more values than the file has; {COPY_AGAIN}")
    return state


def _check_archive(content: IO[bytes], where: Path) -> None:
    """Refuse what `torch.save` never writes and a zip bomb needs: compressed members, or more bytes than the file has."""
    try:
        size = content.seek(0, 2)
        content.seek(0)
        if zipfile.is_zipfile(content):
            members = zipfile.ZipFile(content).infolist()
            if any(member.compress_type for member in members) or sum(member.file_size for member in members) > size:
                raise InputError(
                    f"{where}: the weights are compressed or overlap, which torch never does; {COPY_AGAIN}"
                )
        content.seek(0)
    except (ValueError, *UNREADABLE) as error:
        raise InputError(f"{where}: the weights are damaged ({error}); copy the file again") from error
