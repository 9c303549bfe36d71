"""Checkpoints of other toolkits as acoustic models: folders and hub names of transformers, archives of NeMo.

A checkpoint brings its own front end, and is refused where that is not one of our presets. Nothing of it is run: weights
are safetensors or tensors unpickled as data only, settings are JSON or plain YAML, and of an archive members are read, never
unpacked. What it is not: the networks (``models/borrowed.py``). Sources: the configuration classes and weight names of
transformers 5; NeMo's archive (``model_config.yaml``, ``model_weights.ckpt``), the names of its weights and their
counterparts in transformers.
"""

import hashlib
import io
import json
import lzma
import pickle
import re
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from speechxfer.errors import InputError
from speechxfer.features import FeatureSpec, analysis_window, feature_preset, mel_filters
from speechxfer.models import AcousticModel, Architecture
from speechxfer.text import BLANK, Normalizer, Vocabulary, load_sentencepiece

HUB = "hf:"
MODEL_TYPES = {  # of config.json: kind of encoder, where its weights lie (the first that is there), and the head's weights
    "parakeet_ctc": ("parakeet", ("encoder.",), "ctc_head"),
    "parakeet_encoder": ("parakeet", ("encoder.", ""), ""),
    "wav2vec2-bert": ("wav2vec2-bert", ("wav2vec2_bert.", ""), "lm_head"),
    "whisper": ("whisper", ("model.encoder.", "encoder.", ""), ""),
    "speech_to_text": ("speech2text", ("model.encoder.", "encoder.", ""), ""),
}
TRANSDUCERS = ("parakeet_rnnt", "parakeet_tdt")
PRESETS = {
    "parakeet": "nemo-2025",
    "wav2vec2-bert": "seamless",
    "whisper": "whisper-filled",
    "speech2text": "speech2text",
}
# Settings of preprocessor_config.json that our presets are made for; the number of mels is the model's.
EXTRACTOR: dict[str, dict[str, Any]] = {
    "parakeet": {"sampling_rate": 16_000, "hop_length": 160, "n_fft": 512, "win_length": 400, "preemphasis": 0.97},
    "wav2vec2-bert": {"sampling_rate": 16_000, "stride": 2, "num_mel_bins": 80},
    "whisper": {"sampling_rate": 16_000, "hop_length": 160, "n_fft": 400},
    "speech2text": {
        "sampling_rate": 16_000, "num_mel_bins": 80, "do_ceptral_normalize": True, "normalize_means": True,
        "normalize_vars": True,
    },
}  # fmt: skip
WORD_DELIMITER = "|"  # the space in Wav2Vec2's vocabularies
UNKNOWN, PRIVATE_USE = "\ufffd", 0xE000
HUB_SETTINGS = [
    "config.json", "*processor_config.json", "vocab.json", "added_tokens.json", "tokenizer.json", "tokenizer_config.json",
    "model.safetensors.index.json", "pytorch_model.bin.index.json", "README.md",
]  # fmt: skip
HUB_WEIGHTS = (("model.safetensors", "model-*.safetensors"), ("pytorch_model.bin", "pytorch_model-*.bin"))
ARCHIVE_MEMBERS, CONFIG_BYTES, ARCHIVE_BYTES = 1000, 10_000_000, 40_000_000_000
LAST_OF_2024 = (2, 4)  # NeMo changed its framing and edges in July 2025
NEMO_TARGETS = ("EncDecCTCModel", "EncDecCTCModelBPE")
NEMO_PREPROCESSOR = {
    "sample_rate": 16_000, "features": 80, "window_size": 0.025, "window_stride": 0.01, "window": "hann", "n_fft": 512,
    "normalize": "per_feature", "log": True, "frame_splicing": 1, "preemph": 0.97, "mag_power": 2.0, "lowfreq": 0,
    "highfreq": None, "log_zero_guard_type": "add", "log_zero_guard_value": 2**-24, "exact_pad": False,
}  # fmt: skip
NEMO_ENCODER = {  # what of NeMo's ConformerEncoder can be rebuilt
    "self_attention_model": "rel_pos", "untie_biases": True, "conv_norm_type": "batch_norm", "att_context_style": "regular",
    "causal_downsampling": False, "reduction": None, "stochastic_depth_drop_prob": 0.0, "feat_out": -1,
}  # fmt: skip
NEMO_NAMES = (  # of weights: NeMo's, and transformers'
    (r"^pre_encode\.conv\.", "subsampling.layers."),
    (r"^pre_encode\.out\.", "subsampling.linear."),
    (r"\.self_attn\.linear_([qkv])\.", r".self_attn.\1_proj."),
    (r"\.self_attn\.linear_out\.", ".self_attn.o_proj."),
    (r"\.self_attn\.linear_pos\.", ".self_attn.relative_k_proj."),
    (r"\.self_attn\.pos_bias_([uv])$", r".self_attn.bias_\1"),
    (r"\.conv\.batch_norm\.", ".conv.norm."),
)
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


def is_foreign(name: Path | str) -> bool:
    """Whether a model's name is that of another toolkit's checkpoint: on the hub, a folder of transformers, or an archive."""
    path = Path(name)
    here = (path / "config.json").is_file() and not (path / "model.json").is_file()
    return str(name).startswith(HUB) or path.suffix == ".nemo" or here


def load_foreign(name: Path | str) -> AcousticModel:
    """The checkpoint as a model in float32 on the CPU, in evaluation mode; its front end is one of our presets.

    A checkpoint without a CTC head has a vocabulary of the blank alone: a source to adapt, not a recogniser.

    Raises:
        InputError: not there, damaged, of an architecture or with a front end that is not known, a transducer, or holding
            code in place of tensors.
    """
    place = locate(name)
    try:
        model = _of_archive(place) if place.suffix == ".nemo" else _of_folder(place)
    except InputError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError) as error:  # settings of another's hand have any shape
        raise InputError(
            f"{place}: its settings lack something or are damaged ({type(error).__name__}: {error}); copy the model again"
        ) from error
    model.name = str(name)
    return model.eval()


def locate(name: Path | str) -> Path:
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


def card_of(name: Path | str) -> dict[str, Any]:
    """What ``model.json`` would say of it: name, licence as its README states it, the revision that was taken."""
    place = locate(name)
    details: dict[str, Any] = {"toolkit": "NeMo" if place.suffix == ".nemo" else "transformers"}
    if str(name).startswith(HUB):
        details["revision"] = place.name
    readme = place / "README.md"
    stated = (
        re.search(r"^license:\s*(\S+)", readme.read_text("utf-8", "replace"), re.MULTILINE)
        if readme.is_file()
        else None
    )
    return {"name": str(name), "parent": "", "language": "", "licence": stated[1] if stated else "", "details": details}


def hash_of(name: Path | str) -> str:
    """SHA-256 over the weights as they lie on disk."""
    place = locate(name)
    whole = hashlib.sha256()
    for path in [place] if place.is_file() else _weight_files(place):
        with path.open("rb") as file:
            while block := file.read(1 << 22):
                whole.update(block)
    return whole.hexdigest()


# ------------------------------------------------------------------------------------------- a folder of transformers
def _of_folder(folder: Path) -> AcousticModel:
    config = _json(folder / "config.json")
    kind, prefixes, head = _kind(config, folder)
    inner = config.get("encoder_config", config)
    spec = _front_end(folder, kind, inner)
    tensors = dict(_tensors(folder))
    prefix = next((each for each in prefixes if any(name.startswith(each) for name in tensors)), prefixes[-1])
    weights = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
    has_head = bool(head) and f"{head}.weight" in tensors
    vocabulary, order = _vocabulary(folder, config) if has_head else (Vocabulary((BLANK,)), [])
    model = _built(kind, inner, spec, vocabulary)
    _fill_encoder(model, weights, folder)
    if has_head:
        _fill_head(model, tensors[f"{head}.weight"], tensors[f"{head}.bias"], order, folder)
    return model


def _kind(config: Tree, place: Path) -> tuple[str, tuple[str, ...], str]:
    name = config.get("model_type")
    if name in TRANSDUCERS:
        raise InputError(f"{place}: {name} is a transducer without a CTC head; take the CTC model of the same family")
    if name not in MODEL_TYPES:
        raise InputError(f"{place}: architecture {name!r} is unknown; expected one of {', '.join(MODEL_TYPES)}")
    return MODEL_TYPES[name]


def _front_end(folder: Path, kind: str, config: Tree) -> FeatureSpec:
    """The preset of this family, after its extractor's settings have been compared with it."""
    path, stated = _extractor(folder)
    _compare(stated, EXTRACTOR[kind], f"{path}: the front end")
    if kind == "whisper":  # it fills up to what the network has positions for
        _compare(stated, {"chunk_length": 2 * int(config["max_source_positions"]) // 100}, f"{path}: the front end")
    spec = feature_preset(PRESETS[kind])
    mels = config.get("num_mel_bins", spec.mels) if kind in ("whisper", "parakeet") else spec.mels
    if stated.get("feature_size", mels) != mels:
        raise InputError(
            f"{path}: feature_size is {stated['feature_size']} where the network hears {mels} bands; copy it again"
        )
    return spec if mels == spec.mels else replace(spec, name=f"{spec.name}-{mels}", mels=mels)


def _extractor(folder: Path) -> tuple[Path, Tree]:
    """The settings of the feature extractor, and their file: one of its own, or since transformers 5 the processor's."""
    for name, part in (("processor_config.json", "feature_extractor"), ("preprocessor_config.json", "")):
        if (folder / name).is_file():
            content = _json(folder / name)
            stated = content.get(part) if part else content
            if stated:
                return folder / name, stated
    return folder / "preprocessor_config.json", {}


def _compare(stated: Tree, expected: Tree, where: str) -> None:
    for key, value in expected.items():
        if key in stated and stated[key] != value:
            raise InputError(
                f"{where} has {key} = {stated[key]!r} where the preset that this network was found to use has {value!r}; such a "
                "checkpoint would hear noise here, so it is refused"
            )


def _vocabulary(folder: Path, config: Tree) -> tuple[Vocabulary, list[int]]:
    """The tokenizer's symbols with the blank first, and the row of the checkpoint's head that each comes from."""
    size, blank = int(config["vocab_size"]), int(config["pad_token_id"])
    path = folder / "vocab.json"
    if path.is_file():
        names = {int(number): str(name) for name, number in _json(path).items()}
        names |= {int(number): str(name) for name, number in _added(folder).items()}
    else:
        path = folder / "tokenizer.json"
        names = _pieces(_json(path))
    missing = [number for number in range(size) if number not in names and number != blank]
    if missing:
        raise InputError(f"{path}: symbol {missing[0]} of {size} has no name; copy the tokenizer again")
    order = [blank, *(number for number in range(size) if number != blank)]
    symbols = [names[number] for number in order[1:]]
    if path.name == "tokenizer.json":
        return Vocabulary((BLANK, *symbols), "bpe", path.read_bytes()), order
    return Vocabulary((BLANK, *_as_characters(symbols))), order


def _added(folder: Path) -> dict[str, int]:
    """What was added to the tokenizer later: in a file of its own, or since transformers 4.34 among its settings."""
    paths = folder / "tokenizer_config.json", folder / "added_tokens.json"
    settings, own = (_json(path) if path.is_file() else {} for path in paths)
    later = settings.get("added_tokens_decoder") or {}
    return {token["content"]: int(number) for number, token in later.items()} | own


def _pieces(tokenizer: Tree) -> dict[int, str]:
    vocabulary = tokenizer["model"]["vocab"]
    if isinstance(vocabulary, list):
        names = {number: str(piece) for number, (piece, _) in enumerate(vocabulary)}
    else:
        names = {int(number): str(piece) for piece, number in vocabulary.items()}
    return names | {int(token["id"]): str(token["content"]) for token in tokenizer.get("added_tokens", ())}


def _as_characters(symbols: list[str]) -> Iterator[str]:
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


def _weight_files(folder: Path) -> list[Path]:
    """The files with weights: safetensors, in parts or whole; else an older checkpoint's pickled tensors."""
    for whole in ("model.safetensors", "pytorch_model.bin"):
        index = folder / f"{whole}.index.json"
        if index.is_file():
            return [folder / Path(name).name for name in sorted(set(_json(index)["weight_map"].values()))]
        if (folder / whole).is_file():
            return [folder / whole]
    raise InputError(f"{folder}: its weights (model.safetensors) are missing; copy the model again")


def _tensors(folder: Path) -> Iterator[tuple[str, Tensor]]:
    for path in _weight_files(folder):
        if path.suffix == ".safetensors":
            try:
                yield from safetensors.torch.load_file(str(path)).items()
            except (safetensors.SafetensorError, OSError) as error:
                raise InputError(f"{path}: missing or damaged ({error}); copy the model again") from error
        else:
            if not path.is_file():
                raise InputError(f"{path}: missing; copy the model again")
            yield from _unpickled(path, path).items()


def _unpickled(content: Path | IO[bytes], where: Path) -> dict[str, Tensor]:
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


# --------------------------------------------------------------------------------------------------- an archive of NeMo
def _of_archive(path: Path) -> AcousticModel:
    with _opened(path) as archive:
        members = _members(archive, path)
        config = _yaml(_read(archive, members, "model_config.yaml", path), path)
        target = str(config.get("target", "")).rpartition(".")[2]
        if target not in NEMO_TARGETS:
            raise InputError(
                f"{path}: a model of the class {target or 'unknown'}; expected a CTC model ({' or '.join(NEMO_TARGETS)})"
            )
        vocabulary = _nemo_vocabulary(config, archive, members, path)
        state = _unpickled(_weights(archive, members, path), path)
    kind, inner = _nemo_encoder(config["encoder"], path)
    spec = _nemo_front_end(config, state, path)
    model = _built(kind, inner, spec, vocabulary)
    weights = {
        _renamed(name.removeprefix("encoder.")): value for name, value in state.items() if name.startswith("encoder.")
    }
    _fill_encoder(model, weights, path)
    rows = len(vocabulary.symbols)
    weight, bias = (state.get(f"decoder.decoder_layers.0.{part}") for part in ("weight", "bias"))
    if weight is None or bias is None:
        raise InputError(f"{path}: no CTC head (decoder.decoder_layers.0); expected a CTC model")
    _fill_head(model, weight, bias, [rows - 1, *range(rows - 1)], path)
    return model


def _opened(path: Path) -> tarfile.TarFile:
    try:
        return tarfile.open(path, "r:*")
    except UNREADABLE as error:
        raise InputError(f"{path}: no archive of NeMo ({error}); copy it again") from error


def _members(archive: tarfile.TarFile, path: Path) -> dict[str, tarfile.TarInfo]:
    """The archive's files by their last name; InputError for links, paths that lead out of it, or more than makes sense."""
    found: dict[str, tarfile.TarInfo] = {}
    total = 0
    try:
        for number, member in enumerate(archive):
            parts = Path(member.name).parts
            total += member.size
            if number >= ARCHIVE_MEMBERS or total > ARCHIVE_BYTES:
                raise InputError(
                    f"{path}: more than {ARCHIVE_MEMBERS} files or {ARCHIVE_BYTES} bytes; expected a model"
                )
            if member.name.startswith("/") or ".." in parts:
                raise InputError(
                    f"{path}: {member.name!r} leads out of the archive; no tool writes that, so it is refused"
                )
            if member.isdir():
                continue
            if not member.isfile() or not parts:
                raise InputError(f"{path}: {member.name!r} is a link or device; expected plain files, so it is refused")
            found[parts[-1]] = member
    except UNREADABLE as error:
        raise InputError(f"{path}: truncated or damaged ({error}); copy it again") from error
    return found


def _member(archive: tarfile.TarFile, members: Mapping[str, tarfile.TarInfo], name: str, path: Path) -> IO[bytes]:
    if name not in members:
        raise InputError(f"{path}: {name} is missing from the archive; copy it again")
    file = archive.extractfile(members[name])
    if file is None:
        raise InputError(f"{path}: {name} is no file; copy it again")
    return file


def _read(archive: tarfile.TarFile, members: Mapping[str, tarfile.TarInfo], name: str, path: Path) -> bytes:
    """A small member whole."""
    file = _member(archive, members, name, path)
    if members[name].size > CONFIG_BYTES:
        raise InputError(
            f"{path}: {name} has {members[name].size} bytes, more than makes sense; get the archive from its source"
        )
    try:
        return file.read()
    except UNREADABLE as error:
        raise InputError(f"{path}: truncated or damaged at {name} ({error}); copy it again") from error


def _weights(archive: tarfile.TarFile, members: Mapping[str, tarfile.TarInfo], path: Path) -> IO[bytes]:
    """The weights' member, where it lies; of a compressed archive, in which one cannot seek quickly, in memory."""
    file = _member(archive, members, "model_weights.ckpt", path)
    if isinstance(archive.fileobj, io.BufferedReader):
        return file
    try:
        return io.BytesIO(file.read())
    except UNREADABLE as error:
        raise InputError(f"{path}: truncated or damaged ({error}); copy it again") from error


def _yaml(content: bytes, path: Path) -> dict[str, Any]:
    try:
        import yaml
    except ImportError as error:
        raise InputError(f"{path}: archives of NeMo need the extra hf; pip install 'speechxfer[hf]'") from error
    try:
        config = yaml.safe_load(content)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: model_config.yaml cannot be read ({error}); copy the archive again") from error
    if not isinstance(config, dict) or not all(
        isinstance(config.get(part), dict) for part in ("encoder", "preprocessor", "decoder")
    ):
        raise InputError(f"{path}: model_config.yaml has no encoder, preprocessor and decoder; expected a CTC model")
    return config


def _nemo_vocabulary(
    config: Tree, archive: tarfile.TarFile, members: Mapping[str, tarfile.TarInfo], path: Path
) -> Vocabulary:
    """The symbols in the order of the head's rows, but for the blank, which NeMo has last."""
    tokenizer = config.get("tokenizer")
    if not tokenizer:
        labels = [str(label) for label in config["decoder"].get("vocabulary") or config.get("labels") or ()]
        return Vocabulary((BLANK, *_as_characters(labels)))
    if tokenizer.get("type") != "bpe":
        raise InputError(
            f"{path}: a tokenizer of type {tokenizer.get('type')!r}; expected bpe (sentencepiece) or characters"
        )
    model = _read(
        archive, members, Path(str(tokenizer.get("model_path", "tokenizer.model")).removeprefix("nemo:")).name, path
    )
    pieces = load_sentencepiece(model)
    return Vocabulary((BLANK, *(pieces.id_to_piece(i) for i in range(pieces.get_piece_size()))), "bpe", model)


def _nemo_encoder(settings: Tree, path: Path) -> tuple[str, dict[str, Any]]:
    """Kind and configuration, in the words of transformers, of NeMo's ConformerEncoder."""
    target = str(settings.get("_target_", "")).rpartition(".")[2]
    kinds = {
        ("striding", 4): "nemo-conformer",
        ("striding", 8): "nemo-conformer",
        ("dw_striding", 8): "parakeet",
        ("dw_striding", 4): "parakeet",
    }
    shape = (settings.get("subsampling"), settings.get("subsampling_factor"))
    if target != "ConformerEncoder" or shape not in kinds:
        raise InputError(
            f"{path}: an encoder {target or 'unknown'} with subsampling {shape[0]} by {shape[1]}; expected a ConformerEncoder "
            "with striding or dw_striding by 4 or 8"
        )
    _compare(settings, NEMO_ENCODER, f"{path}: the encoder")
    for key in ("att_context_size", "conv_context_size"):
        if settings.get(key) not in (None, [-1, -1]):
            raise InputError(f"{path}: {key} = {settings[key]}; expected an encoder that hears the whole utterance")
    width = int(settings["d_model"])
    channels = int(settings.get("subsampling_conv_channels", -1))
    bias = bool(settings.get("use_bias", True))
    return kinds[shape], {
        "hidden_size": width,
        "num_hidden_layers": int(settings["n_layers"]),
        "num_attention_heads": int(settings["n_heads"]),
        "intermediate_size": width * int(settings.get("ff_expansion_factor", 4)),
        "attention_bias": bias,
        "convolution_bias": bias,
        "conv_kernel_size": int(settings.get("conv_kernel_size", 31)),
        "subsampling_factor": int(settings["subsampling_factor"]),
        "subsampling_conv_channels": channels if channels > 0 else width,
        "num_mel_bins": int(settings["feat_in"]),
        "scale_input": bool(settings.get("xscaling", True)),
        "max_position_embeddings": int(settings.get("pos_emb_max_len", 5000)),
    }


def _nemo_front_end(config: Tree, state: Mapping[str, Tensor], path: Path) -> FeatureSpec:
    """The preset of the release that wrote the archive, held against the filterbank and window that lie in it."""
    stated = config["preprocessor"]
    _compare(stated, NEMO_PREPROCESSOR, f"{path}: the front end")
    release = re.match(r"(\d+)\.(\d+)", str(config.get("nemo_version", "")))
    newer = release is not None and (int(release[1]), int(release[2])) > LAST_OF_2024
    spec = feature_preset("nemo-2025" if newer else "nemo-2024")
    bank, shape = state.get("preprocessor.featurizer.fb"), state.get("preprocessor.featurizer.window")
    for name, theirs, ours in (("filterbank", bank, mel_filters(spec).T), ("window", shape, analysis_window(spec))):
        if theirs is None:
            continue
        theirs, ours = (
            theirs.squeeze().float(),
            ours.to(theirs.dtype).float(),
        )  # a model in half precision rounds these too
        if theirs.shape != ours.shape or (theirs - ours).abs().max() > FRONT_END_TOLERANCE * ours.abs().max():
            raise InputError(
                f"{path}: the {name} inside the archive is not that of the preset {spec.name}, so it is refused"
            )
    return spec


def _renamed(name: str) -> str:
    for pattern, replacement in NEMO_NAMES:
        name = re.sub(pattern, replacement, name)
    return name


# ------------------------------------------------------------------------------------------------------- what both share
def _built(kind: str, config: Tree, spec: FeatureSpec, vocabulary: Vocabulary) -> AcousticModel:
    """The model with random weights; a configuration that the library refuses is an InputError."""
    kept = {key: value for key, value in config.items() if key not in LEFT_OUT and not key.startswith("_")}
    architecture = Architecture(kind, "", 1, dropout=0.0, config=kept)
    model = AcousticModel(architecture, vocabulary, spec, Normalizer())
    encoder: Any = model.encoder
    model.architecture = replace(architecture, subsampling=encoder.subsampling)
    return model


def _fill_encoder(model: AcousticModel, weights: Mapping[str, Tensor], place: Path) -> None:
    encoder: Any = model.encoder
    expected = encoder.network.state_dict()
    inside = f"{encoder.parts.layers}."
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


def _fill_head(model: AcousticModel, weight: Tensor, bias: Tensor, order: list[int], place: Path) -> None:
    weight = weight.squeeze(-1) if weight.dim() == 3 else weight  # a convolution over single frames
    if weight.shape != (len(order), model.head.in_features):
        raise InputError(
            f"{place}: the head has shape {list(weight.shape)} where its vocabulary and encoder make "
            f"{[len(order), model.head.in_features]}; copy the model again"
        )
    model.head.load_state_dict({"weight": weight[order].float(), "bias": bias[order].float()})


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: missing or no JSON ({error}); copy the model again") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: no JSON object; copy the model again")
    return content
