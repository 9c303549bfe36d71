"""Weights and settings files of other toolkits, read without running code from them."""

import json
import lzma
import pickle
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import safetensors.torch
import torch
from torch import Tensor

from speechxfer.errors import InputError
from speechxfer.features import FeatureSpec
from speechxfer.models import AcousticModel, Architecture, TransformersEncoder
from speechxfer.text import Normalizer, Vocabulary

WORD_DELIMITER = "|"  # the space in Wav2Vec2's vocabularies
UNKNOWN, PRIVATE_USE = "\ufffd", 0xE000
ARCHIVE_MEMBERS, CONFIG_BYTES, ARCHIVE_BYTES = 1000, 10_000_000, 40_000_000_000
LEFT_OUT = (
    "architectures",
    "transformers_version",
    "dtype",
    "torch_dtype",
    "model_type",
)  # of a configuration: what builds no network
FRONT_END_TOLERANCE = 1e-4
UNREADABLE = (tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, OSError)
Tree = Mapping[str, Any]


def compare_settings(stated: Tree, expected: Tree, where: str) -> None:
    for key, value in expected.items():
        if key in stated and stated[key] != value:
            raise InputError(
                f"{where} has {key} = {stated[key]!r} where the preset that this network was found to use has {value!r}; such a "
                "checkpoint would hear noise here, so it is refused"
            )


def single_characters(symbols: list[str]) -> Iterator[str]:
    """One character a symbol: special ones, which no transcript holds, become code points for private use."""
    taken: set[str] = set()
    special = 0
    for symbol in symbols:
        character = {WORD_DELIMITER: " ", "[UNK]": UNKNOWN, "<unk>": UNKNOWN}.get(symbol, symbol)
        if len(character) != 1 or character in taken:
            character = chr(PRIVATE_USE + special)
            special += 1
        taken.add(character)
        yield character


def weight_files(folder: Path) -> list[Path]:
    """The files with weights: safetensors, in parts or whole; else an older checkpoint's pickled tensors."""
    for whole in ("model.safetensors", "pytorch_model.bin"):
        index = folder / f"{whole}.index.json"
        if index.is_file():
            return [folder / Path(name).name for name in sorted(set(read_json_file(index)["weight_map"].values()))]
        if (folder / whole).is_file():
            return [folder / whole]
    raise InputError(f"{folder}: its weights (model.safetensors) are missing; copy the model again")


def read_tensors(folder: Path) -> Iterator[tuple[str, Tensor]]:
    for path in weight_files(folder):
        if path.suffix == ".safetensors":
            try:
                yield from safetensors.torch.load_file(str(path)).items()
            except (safetensors.SafetensorError, OSError) as error:
                raise InputError(f"{path}: missing or damaged ({error}); copy the model again") from error
        else:
            if not path.is_file():
                raise InputError(f"{path}: missing; copy the model again")
            yield from unpickle_tensors(path, path).items()


def unpickle_tensors(content: Path | IO[bytes], where: Path) -> dict[str, Tensor]:
    """Tensors by name from a pickle that is read as data; InputError if it holds anything else."""
    try:
        state = torch.load(content, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise InputError(
            f"{where}: the weights hold code or objects beside tensors, which are never run; get them as safetensors"
        ) from error
    except (RuntimeError, ValueError, KeyError, *UNREADABLE) as error:
        raise InputError(f"{where}: the weights are damaged ({error}); copy the file again") from error
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise InputError(f"{where}: the weights are no tensors by name; get a checkpoint of weights only")
    return state


def build_model(kind: str, config: Tree, spec: FeatureSpec, vocabulary: Vocabulary) -> AcousticModel:
    """The model with random weights; a configuration that the library refuses is an InputError."""
    kept = {key: value for key, value in config.items() if key not in LEFT_OUT and not key.startswith("_")}
    architecture = Architecture(kind, "", 1, dropout=0.0, config=kept)
    model = AcousticModel(architecture, vocabulary, spec, Normalizer())
    model.architecture = replace(architecture, subsampling=model.encoder.subsampling)
    return model


def fill_encoder(model: AcousticModel, weights: Mapping[str, Tensor], place: Path) -> None:
    encoder = model.encoder
    if not isinstance(encoder, TransformersEncoder):
        raise TypeError(f"{type(encoder).__name__} is no encoder of transformers")
    expected = encoder.network.state_dict()
    inside = f"{encoder.family.layers}."
    strange = [name for name in weights if name.startswith(inside) and name not in expected]
    if strange:
        raise InputError(
            f"{place}: the weights do not fit the architecture that its settings state ({strange[0]} has no place in it); copy "
            "the model again"
        )
    missing = [name for name in expected if name not in weights]
    misshapen = [name for name in expected if name in weights and weights[name].shape != expected[name].shape]
    if missing or misshapen:
        raise InputError(
            f"{place}: the weights do not fit the architecture that its settings state ({(misshapen or missing)[0]} "
            f"{'has another shape' if misshapen else 'is missing'}); copy the model again"
        )
    for name, value in expected.items():
        value.copy_(weights[name])  # in place, from whatever precision: large weights are held no third time


def fill_head_rows(model: AcousticModel, weight: Tensor, bias: Tensor, order: list[int], place: Path) -> None:
    weight = weight.squeeze(-1) if weight.dim() == 3 else weight  # a convolution over single frames
    if weight.shape != (len(order), model.head.in_features):
        raise InputError(
            f"{place}: the head has shape {list(weight.shape)} where its vocabulary and encoder make "
            f"{[len(order), model.head.in_features]}; copy the model again"
        )
    model.head.load_state_dict({"weight": weight[order].float(), "bias": bias[order].float()})


def read_json_file(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: missing or no JSON ({error}); copy the model again") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: no JSON object; copy the model again")
    return content
