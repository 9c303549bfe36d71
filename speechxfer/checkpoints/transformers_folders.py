"""Reader of folders in the format of the transformers library (also its hub's repositories) as acoustic models.

A checkpoint is refused if its front end (feature extraction) is none of our presets. Nothing in it is executed: weights
are safetensors or tensors unpickled as data, settings are JSON. Sources: the configuration classes, weight names and
tokenizer files of transformers 5.
"""

from dataclasses import replace
from pathlib import Path

from speechxfer.checkpoints.external_models import (
    ExternalHead,
    Settings,
    build_external,
    compare_settings,
    single_characters,
)
from speechxfer.checkpoints.external_weights import read_object, read_tensors
from speechxfer.errors import InputError
from speechxfer.features import FeatureSpec, feature_preset
from speechxfer.models import CHECKPOINT_TYPES, ENCODER_FAMILIES, AcousticModel
from speechxfer.text import BLANK, Vocabulary

TRANSDUCERS = ("parakeet_rnnt", "parakeet_tdt")
MAX_SYMBOLS = 10_000_000


def load_transformers_folder(folder: Path) -> AcousticModel:
    """The folder's encoder and CTC head; without a CTC head the vocabulary is the blank alone.

    Raises:
        InputError: files are missing or damaged, or the architecture, front end or tokenizer is not supported.
    """
    config = read_object(folder / "config.json")
    name = config.get("model_type")
    if name in TRANSDUCERS:
        raise InputError(f"{folder}: {name} is a transducer without a CTC head; take the CTC model of the same family")
    if name not in CHECKPOINT_TYPES:
        raise InputError(f"{folder}: architecture {name!r} is unknown; expected one of {', '.join(CHECKPOINT_TYPES)}")
    kind, layout = CHECKPOINT_TYPES[name]  # the encoder's name and where its weights are
    inner = config.get("encoder_config", config)
    spec = _front_end(folder, kind, inner)
    tensors = dict(read_tensors(folder))
    prefix = next(
        (each for each in layout.encoder_prefixes if any(name.startswith(each) for name in tensors)),
        layout.encoder_prefixes[-1],
    )
    weights = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
    vocabulary, head = Vocabulary((BLANK,)), None
    if layout.head and f"{layout.head}.weight" in tensors:
        vocabulary, order = _vocabulary(folder, config)
        head = ExternalHead(tensors[f"{layout.head}.weight"], tensors[f"{layout.head}.bias"], order)
    return build_external(kind, inner, weights, spec, vocabulary, head, str(folder))


def _front_end(folder: Path, kind: str, config: Settings) -> FeatureSpec:
    """The preset of this family, after its extractor's settings have been compared with it."""
    path, stated = _extractor(folder)
    compare_settings(stated, ENCODER_FAMILIES[kind].extractor_settings, f"{path}: the front end")
    if kind == "whisper":  # its extractor pads to the number of positions of the network
        compare_settings(
            stated, {"chunk_length": 2 * int(config["max_source_positions"]) // 100}, f"{path}: the front end"
        )
    spec = feature_preset(ENCODER_FAMILIES[kind].preset)
    mels = config.get("num_mel_bins", spec.mels) if kind in ("whisper", "parakeet") else spec.mels
    if stated.get("feature_size", mels) != mels:
        raise InputError(
            f"{path}: feature_size is {stated['feature_size']} where the network has {mels} mel bands; copy it again"
        )
    return spec if mels == spec.mels else replace(spec, name=f"{spec.name}-{mels}", mels=mels)


def _extractor(folder: Path) -> tuple[Path, Settings]:
    """The settings of the feature extractor, and their file: one of its own, or since transformers 5 the processor's."""
    for name, part in (("processor_config.json", "feature_extractor"), ("preprocessor_config.json", "")):
        if (folder / name).is_file():
            content = read_object(folder / name)
            stated = content.get(part) if part else content
            if stated:
                return folder / name, stated
    return folder / "preprocessor_config.json", {}


def _vocabulary(folder: Path, config: Settings) -> tuple[Vocabulary, list[int]]:
    """The tokenizer's symbols with the blank first, and the row of the checkpoint's head that each comes from."""
    size, blank = int(config["vocab_size"]), int(config["pad_token_id"])
    if not 0 <= blank < size <= MAX_SYMBOLS:
        raise InputError(f"{folder}: vocab_size is {size} and pad_token_id {blank}; copy the model again")
    path = folder / "vocab.json"
    if path.is_file():
        names = {int(number): str(name) for name, number in read_object(path).items()}
        names |= {int(number): str(name) for name, number in _added(folder).items()}
    else:
        path = folder / "tokenizer.json"
        names = _pieces(read_object(path))
    missing = [number for number in range(size) if number not in names and number != blank]
    if missing:
        raise InputError(f"{path}: symbol {missing[0]} of {size} has no name; copy the tokenizer again")
    order = [blank, *(number for number in range(size) if number != blank)]
    symbols = [names[number] for number in order[1:]]
    if path.name == "tokenizer.json":
        return Vocabulary((BLANK, *symbols), "bpe", path.read_bytes()), order
    return Vocabulary((BLANK, *single_characters(symbols))), order


def _added(folder: Path) -> dict[str, int]:
    """Symbols added to the tokenizer: in a file of their own, or since transformers 4.34 among its settings."""
    paths = folder / "tokenizer_config.json", folder / "added_tokens.json"
    settings, own = (read_object(path) if path.is_file() else {} for path in paths)
    later = settings.get("added_tokens_decoder") or {}
    return {token["content"]: int(number) for number, token in later.items()} | own


def _pieces(tokenizer: Settings) -> dict[int, str]:
    vocabulary = tokenizer["model"]["vocab"]
    if isinstance(vocabulary, list):
        names = {number: str(piece) for number, (piece, _) in enumerate(vocabulary)}
    else:
        names = {int(number): str(piece) for piece, number in vocabulary.items()}
    return names | {int(token["id"]): str(token["content"]) for token in tokenizer.get("added_tokens", ())}
