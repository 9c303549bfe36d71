"""Reader of NeMo archives (`model_config.yaml`, `model_weights.ckpt`, tokenizer): CTC Conformers and FastConformers.

Nothing in an archive is executed and nothing is unpacked to disk: members are read in place, the settings are plain YAML, the
weights are unpickled as data. Sources: NeMo's `ConformerEncoder` and preprocessor, its archives, and the names that its
weights have in transformers' conversion.
"""

import io
import re
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, cast

from torch import Tensor

from speechxfer.checkpoints.external_models import (
    ExternalHead,
    Settings,
    build_external,
    compare_settings,
    single_characters,
)
from speechxfer.checkpoints.external_weights import UNREADABLE, unpickle_tensors
from speechxfer.errors import InputError
from speechxfer.features import FeatureSpec, analysis_window, feature_preset, mel_filters
from speechxfer.models import AcousticModel
from speechxfer.runtime import parse_yaml
from speechxfer.text import BLANK, Vocabulary, load_sentencepiece

MAX_MEMBERS, MAX_SMALL_BYTES, MAX_ARCHIVE_BYTES = 1000, 10_000_000, 40_000_000_000
MAX_COMPRESSION = 20  # weights hardly compress
FRONT_END_TOLERANCE = 1e-4
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


def load_nemo_archive(path: Path) -> AcousticModel:
    """The archive's encoder and CTC head.

    Raises:
        InputError: damaged, no CTC model, members that no tool writes, or an encoder or front end that is not supported.
    """
    with _open(path) as archive:
        members = _members(archive, path)
        config = _parse_config(_member(archive, members, "model_config.yaml", path).read(), path)
        target = str(config.get("target", "")).rpartition(".")[2]
        if target not in NEMO_TARGETS:
            raise InputError(
                f"{path}: a model of the class {target or 'unknown'}; expected a CTC model ({' or '.join(NEMO_TARGETS)})"
            )
        vocabulary = _nemo_vocabulary(config, archive, members, path)
        state = unpickle_tensors(_member(archive, members, "model_weights.ckpt", path, small=False), path)
    kind, inner = _nemo_encoder(config["encoder"], path)
    spec = _nemo_front_end(config, state, path)
    weights = {
        _transformers_name(name.removeprefix("encoder.")): value
        for name, value in state.items()
        if name.startswith("encoder.")
    }
    weight, bias = (state.get(f"decoder.decoder_layers.0.{part}") for part in ("weight", "bias"))
    if weight is None or bias is None:
        raise InputError(f"{path}: no CTC head (decoder.decoder_layers.0); expected a CTC model")
    rows = len(vocabulary.symbols)
    head = ExternalHead(weight, bias, [rows - 1, *range(rows - 1)])  # NeMo's blank is the last row
    return build_external(kind, inner, weights, spec, vocabulary, head, str(path))


def _open(path: Path) -> tarfile.TarFile:
    try:
        return tarfile.open(path, "r:*")
    except (ValueError, *UNREADABLE) as error:
        raise InputError(f"{path}: no archive of NeMo ({error}); copy it again") from error


def _members(archive: tarfile.TarFile, path: Path) -> dict[str, tarfile.TarInfo]:
    """The archive's files by their last name; links, paths that lead out of it, and more than a model has are refused."""
    found: dict[str, tarfile.TarInfo] = {}
    total, size = 0, path.stat().st_size
    most = min(MAX_ARCHIVE_BYTES, size if _is_plain(archive) else MAX_COMPRESSION * size + MAX_SMALL_BYTES)
    try:
        for number, member in enumerate(archive):
            parts = Path(member.name).parts
            total += member.size
            if number >= MAX_MEMBERS or total > most:
                raise InputError(
                    f"{path}: more than {MAX_MEMBERS} files, or its files claim more bytes than it can have "
                    f"({total:,}); get the archive from its source"
                )
            if member.name.startswith("/") or ".." in parts:
                raise InputError(
                    f"{path}: {member.name!r} leads out of the archive; no tool writes that, so it is refused"
                )
            if member.isdir():
                continue
            if not member.isfile() or member.issparse() or not parts:
                raise InputError(f"{path}: {member.name!r} is a link or device; expected plain files, so it is refused")
            found[parts[-1]] = member
    except (ValueError, *UNREADABLE) as error:
        raise InputError(f"{path}: truncated or damaged ({error}); copy it again") from error
    return found


def _is_plain(archive: tarfile.TarFile) -> bool:
    return isinstance(archive.fileobj, io.BufferedReader)


def _member(
    archive: tarfile.TarFile, members: Mapping[str, tarfile.TarInfo], name: str, path: Path, *, small: bool = True
) -> IO[bytes]:
    """A member: in memory if it is small or the archive is compressed, so that seeking in it would be slow; else in place."""
    if name not in members:
        raise InputError(f"{path}: {name} is missing from the archive; copy it again")
    if small and members[name].size > MAX_SMALL_BYTES:
        raise InputError(
            f"{path}: {name} has {members[name].size} bytes, more than makes sense; get the archive from its source"
        )
    file = cast(IO[bytes], archive.extractfile(members[name]))  # not None, since `_members` has files only
    try:
        return io.BytesIO(file.read()) if small or not _is_plain(archive) else file
    except UNREADABLE as error:
        raise InputError(f"{path}: truncated or damaged at {name} ({error}); copy it again") from error


def _parse_config(content: bytes, path: Path) -> dict[str, Any]:
    config = parse_yaml(content, f"{path}: model_config.yaml", fix="copy the archive again")
    if not isinstance(config, dict) or not all(
        isinstance(config.get(part), dict) for part in ("encoder", "preprocessor", "decoder")
    ):
        raise InputError(f"{path}: model_config.yaml has no encoder, preprocessor and decoder; expected a CTC model")
    return config


def _nemo_vocabulary(
    config: Settings, archive: tarfile.TarFile, members: Mapping[str, tarfile.TarInfo], path: Path
) -> Vocabulary:
    """The symbols in the order of the head's rows, without the blank, which is NeMo's last row."""
    tokenizer = config.get("tokenizer")
    if not tokenizer:
        labels = [str(label) for label in config["decoder"].get("vocabulary") or config.get("labels") or ()]
        return Vocabulary((BLANK, *single_characters(labels)))
    if tokenizer.get("type") != "bpe":
        raise InputError(
            f"{path}: a tokenizer of type {tokenizer.get('type')!r}; expected bpe (sentencepiece) or characters"
        )
    name = Path(str(tokenizer.get("model_path", "tokenizer.model")).removeprefix("nemo:")).name
    model = _member(archive, members, name, path).read()
    pieces = load_sentencepiece(model)
    return Vocabulary((BLANK, *(pieces.id_to_piece(i) for i in range(pieces.get_piece_size()))), "bpe", model)


def _nemo_encoder(settings: Settings, path: Path) -> tuple[str, dict[str, Any]]:
    """Family and transformers' configuration of NeMo's ConformerEncoder."""
    target = str(settings.get("_target_", "")).rpartition(".")[2]
    kinds = {"striding": "nemo-conformer", "dw_striding": "parakeet"}
    subsampling, factor = settings.get("subsampling"), settings.get("subsampling_factor")
    if target != "ConformerEncoder" or subsampling not in kinds or factor not in (4, 8):
        raise InputError(
            f"{path}: an encoder {target or 'unknown'} with subsampling {subsampling} by {factor}; expected a ConformerEncoder "
            "with striding or dw_striding by 4 or 8"
        )
    compare_settings(settings, NEMO_ENCODER, f"{path}: the encoder")
    for key in ("att_context_size", "conv_context_size"):
        if settings.get(key) not in (None, [-1, -1]):
            raise InputError(
                f"{path}: {key} = {settings[key]}; expected an encoder that attends to the whole utterance"
            )
    width = int(settings["d_model"])
    channels = int(settings.get("subsampling_conv_channels", -1))
    bias = bool(settings.get("use_bias", True))
    return kinds[subsampling], {
        "hidden_size": width,
        "num_hidden_layers": int(settings["n_layers"]),
        "num_attention_heads": int(settings["n_heads"]),
        "intermediate_size": width * int(settings.get("ff_expansion_factor", 4)),
        "attention_bias": bias,
        "convolution_bias": bias,
        "conv_kernel_size": int(settings.get("conv_kernel_size", 31)),
        "subsampling_factor": int(factor),
        "subsampling_conv_channels": channels if channels > 0 else width,
        "num_mel_bins": int(settings["feat_in"]),
        "scale_input": bool(settings.get("xscaling", True)),
        "max_position_embeddings": int(settings.get("pos_emb_max_len", 5000)),
    }


def _nemo_front_end(config: Settings, state: Mapping[str, Tensor], path: Path) -> FeatureSpec:
    """The preset of the release that wrote the archive, compared with the filterbank and window in the archive."""
    stated = config["preprocessor"]
    compare_settings(stated, NEMO_PREPROCESSOR, f"{path}: the front end")
    release = re.match(r"(\d+)\.(\d+)", str(config.get("nemo_version", "")))
    newer = release is not None and (int(release[1]), int(release[2])) > LAST_OF_2024
    spec = feature_preset("nemo-2025" if newer else "nemo-2024")
    bank, window = (state.get(f"preprocessor.featurizer.{part}") for part in ("fb", "window"))
    for name, found, preset in (("filterbank", bank, mel_filters(spec).T), ("window", window, analysis_window(spec))):
        if found is None:
            continue
        found = found.squeeze()
        expected = preset.to(found.dtype).float()  # a model in half precision has these rounded too
        tolerance = FRONT_END_TOLERANCE * expected.abs().max()
        if found.shape != preset.shape or not (found.float() - expected).abs().max() <= tolerance:
            raise InputError(
                f"{path}: the {name} inside the archive is not that of the preset {spec.name}, so it is refused"
            )
    return spec


def _transformers_name(name: str) -> str:
    for pattern, replacement in NEMO_NAMES:
        name = re.sub(pattern, replacement, name)
    return name
