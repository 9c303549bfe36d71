"""Checkpoints that claim too much or are not finite: one clear refusal, before memory is allocated or code is run."""

import gzip
import io
import json
import resource
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from speechxfer.checkpoints.card import Card
from speechxfer.checkpoints.loading import load_model
from speechxfer.checkpoints.model_folders import save_model
from speechxfer.checkpoints.weights import read_weights, write_weights
from speechxfer.errors import InputError
from tests import external_models as other
from tests.pipes import unread_pipe
from tests.small_models import source_model

ROOM_BYTES = 3 << 30  # of address space beyond what the process has, more than any of these small models needs
HUGE = 10**15


@pytest.fixture(autouse=True)
def little_memory() -> Iterator[None]:
    """Allocating what an attack claims fails at once instead of filling the machine's memory."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + ROOM_BYTES, hard))
    yield
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    save_model(source_model("cnn"), tmp_path / "model", Card("model"))
    return tmp_path / "model"


def refuse(place: Path, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        load_model(place)
    assert len(str(caught.value).splitlines()) == 1


# --- Values that are not finite -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_weights_that_are_not_finite_are_not_saved(tmp_path: Path, value: float) -> None:
    model = source_model("cnn")
    with torch.no_grad():
        model.head.bias[1] = value
    with pytest.raises(InputError, match=r"the tensor head\.bias has values that are NaN or infinite"):
        save_model(model, tmp_path / "model", Card("model"))
    assert list(tmp_path.iterdir()) == []


def test_weights_that_overflow_in_half_precision_are_not_saved(tmp_path: Path) -> None:
    write_weights({"scale": torch.tensor([1e6])}, tmp_path / "weights.safetensors")
    with pytest.raises(InputError, match="the tensor scale has values that are NaN or infinite"):
        write_weights({"scale": torch.tensor([1e6])}, tmp_path / "half.safetensors", half=True)


def test_weights_that_are_not_finite_are_not_loaded(saved: Path) -> None:
    weights = read_weights(saved / "weights.safetensors")
    weights["head.weight"][0, 0] = float("nan")
    safetensors.torch.save_file(weights, saved / "weights.safetensors")
    refuse(saved, r"weights\.safetensors: the tensor head\.weight has values that are NaN or infinite")


def test_external_weights_that_are_not_finite_are_not_loaded(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    other.write_whisper(tmp_path / "whisper")
    path = tmp_path / "whisper" / "model.safetensors"
    weights = safetensors.torch.load_file(path)
    weights["encoder.conv1.bias"][0] = float("inf")
    safetensors.torch.save_file(weights, path, {"format": "pt"})
    refuse(tmp_path / "whisper", r"conv1\.bias has values that are NaN or infinite")


def test_a_pipe_in_place_of_weights_is_refused_at_once(saved: Path) -> None:
    (saved / "weights.safetensors").unlink()
    with unread_pipe(saved / "weights.safetensors"):
        refuse(saved, r"weights\.safetensors: missing or damaged \(no file\)")


# --- Sizes that are claimed -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("section", "field", "value", "message"),
    [
        ("architecture", "adapter_dim", 4096, "does not fit its own architecture"),
        ("architecture", "adapter_dim", HUGE, "adapter_dim is 1000000000000000; expected a whole number"),
        ("architecture", "adapter_dim", 10**30, "a whole number of 31 digits"),
        ("architecture", "adapter_dim", -1, "adapter_dim is -1; expected a whole number"),
        ("architecture", "adapter_dim", "8", "adapter_dim is '8'; expected a whole number"),
        ("architecture", "extra_layers", 10**6, "extra_layers is 1000000; expected a whole number"),
        ("architecture", "dropout", 2.0, "dropout is 2"),
        ("features", "mels", 10**9, "mels"),
        ("features", "fft_size", 10**9, "fft_size"),
        ("features", "sample_rate_hz", 10**12, "sample_rate_hz"),
        ("features", "hop_samples", 10**9, "hop_samples"),
        ("features", "shortest_samples", 10**12, "shortest_samples"),
        ("features", "stack", 10**9, "stack"),
        ("", "details", "\ud800", "surrogate"),
    ],
)
def test_claimed_sizes_of_a_model_are_refused(saved: Path, section: str, field: str, value: Any, message: str) -> None:
    description = json.loads((saved / "model.json").read_text())
    (description[section] if section else description)[field] = value
    (saved / "model.json").write_text(json.dumps(description))
    refuse(saved, message)


@pytest.mark.parametrize("content", ["[" * 10**6, '{"format": ' * 10**5, '{"format": 1, "format": 2}'])
def test_a_description_that_is_nested_or_ambiguous_is_refused(saved: Path, content: str) -> None:
    (saved / "model.json").write_text(content)
    refuse(saved, r"model\.json: (nested deeper|not JSON)")


@pytest.mark.parametrize(
    ("write", "field", "value"),
    [
        (other.write_w2v_bert, "hidden_size", 2**30),
        (other.write_w2v_bert, "hidden_size", HUGE),
        (other.write_w2v_bert, "intermediate_size", 2**31),
        (other.write_w2v_bert, "num_hidden_layers", 10**9),
        (other.write_w2v_bert, "num_attention_heads", 0),
        (other.write_w2v_bert, "vocab_size", 10**9),
        (other.write_whisper, "max_source_positions", 2**31),
        (other.write_whisper, "encoder_layers", 10**9),
        (other.write_whisper, "d_model", -32),
        (other.write_speech2text, "max_source_positions", 2**31),
        (other.write_speech2text, "conv_kernel_sizes", [3] * 10**5),
    ],
)
def test_claimed_sizes_of_a_transformers_folder_are_refused(
    tmp_path: Path, write: Callable[[Path], Any], field: str, value: Any
) -> None:
    pytest.importorskip("transformers")
    write(tmp_path / "model")
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    (tmp_path / "model" / "config.json").write_text(json.dumps(config | {field: value}))
    refuse(tmp_path / "model", r"/model\S*: ")


def test_tensors_that_repeat_one_stored_value_are_refused(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    other.write_whisper(tmp_path / "model")
    (tmp_path / "model" / "model.safetensors").unlink()
    torch.save({"encoder.conv1.bias": torch.zeros(1).expand(10**13)}, tmp_path / "model" / "pytorch_model.bin")
    refuse(tmp_path / "model", "the tensors claim more values than the file has")


def test_a_compressed_pickle_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    other.write_whisper(tmp_path / "model")
    (tmp_path / "model" / "model.safetensors").unlink()
    with zipfile.ZipFile(tmp_path / "model" / "pytorch_model.bin", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(10**8))
    refuse(tmp_path / "model", "the weights are compressed or overlap")


# --- NeMo archives --------------------------------------------------------------------------------------------------------


def nemo(path: Path, content: bytes, mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        member = tarfile.TarInfo("model_config.yaml")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return path


def test_a_gzip_bomb_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    size = 200_000_000
    member = tarfile.TarInfo("model_weights.ckpt")
    member.size = size
    with gzip.open(tmp_path / "m.nemo", "wb", compresslevel=1) as file:
        file.write(member.tobuf())
        for _ in range(size // 10**6):
            file.write(bytes(10**6))
    refuse(tmp_path / "m.nemo", "its files claim more bytes than it can have")


def test_a_sparse_member_is_refused(tmp_path: Path) -> None:
    member = tarfile.TarInfo("model_weights.ckpt")
    member.size, member.type = 10**12, tarfile.REGTYPE
    (tmp_path / "m.nemo").write_bytes(member.tobuf())
    refuse(tmp_path / "m.nemo", "its files claim more bytes than it can have")


@pytest.mark.parametrize(
    "content",
    [
        b"l0: &l0 [x, x]\n" + b"".join(b"l%d: &l%d [*l%d, *l%d]\n" % (i, i, i - 1, i - 1) for i in range(1, 40)),
        b"[" * 10**5,
        b"encoder: " + b"9" * 10**5,
        b"\xff\xfe",
    ],
    ids=["aliases", "nesting", "digits", "bytes"],
)
def test_yaml_bombs_are_refused(tmp_path: Path, content: bytes) -> None:
    pytest.importorskip("yaml")
    refuse(nemo(tmp_path / "m.nemo", content), r"m\.nemo: model_config\.yaml")


@pytest.mark.parametrize(
    ("section", "field", "value"),
    [
        ("encoder", "d_model", 2**30),
        ("encoder", "d_model", HUGE),
        ("encoder", "n_layers", 10**9),
        ("encoder", "feat_in", 10**12),
        ("encoder", "conv_kernel_size", HUGE),
        ("encoder", "pos_emb_max_len", HUGE),
        ("encoder", "n_heads", 0),
        ("preprocessor", "n_fft", 10**12),
    ],
)
def test_claimed_sizes_of_a_nemo_archive_are_refused(tmp_path: Path, section: str, field: str, value: int) -> None:
    transformers = pytest.importorskip("transformers")
    labels = [" ", *other.LETTERS]
    config = transformers.ParakeetCTCConfig(
        vocab_size=len(labels) + 1, pad_token_id=len(labels), encoder_config=other.parakeet_encoder()
    )
    settings = other.nemo_config(labels)
    settings[section][field] = value
    weights = other.nemo_weights(transformers.ParakeetForCTC(config))
    refuse(other.write_nemo(tmp_path / "m.nemo", settings, weights), r"m\.nemo: ")
