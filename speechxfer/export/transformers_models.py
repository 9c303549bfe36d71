"""Folders of the transformers library: model, tokenizer and processor of an adapted CTC model.

The exported model computes the same logits from the same audio. What transformers cannot represent is refused. Source: the
configurations, processors and tokenizers of transformers 5; which families can be exported stands in
``models/transformers_families.py``.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from speechxfer.adaptation import WORD_START
from speechxfer.checkpoints import WORD_DELIMITER, load_model
from speechxfer.errors import InputError
from speechxfer.features import feature_preset
from speechxfer.models import ENCODER_FAMILIES, AcousticModel, CtcModel, TransformersEncoder, import_transformers
from speechxfer.runtime import atomic_folder, check_new_folder, log_info
from speechxfer.text import Vocabulary

PAD = "<pad>"


def export_hf(name: str, out: Path) -> None:
    """Write an adapted model as a folder that transformers loads without this package: model and processor.

    Raises:
        InputError: the encoder's family has no CTC model in transformers; the model has adapters or extra layers (there is no
            place for them), another task than CTC, or features that the library's extractor does not compute; or `out`
            exists and is not an empty folder.
    """
    model = load_model(name)
    ctc_model = _ctc_model(model, name)
    check_new_folder(out)
    library = import_transformers()
    with atomic_folder(out) as partial:
        network = _network(library, model, ctc_model)
        extractor = getattr(library, ctc_model.extractor_class)(feature_size=model.spec.mels)
        tokenizer = _tokenizer(library, model.vocabulary, ctc_model, partial)
        getattr(library, ctc_model.processor_class)(extractor, tokenizer).save_pretrained(partial)
        library.utils.logging.disable_progress_bar()
        network.save_pretrained(partial)
    log_info(f"wrote {out}; next: transformers.{ctc_model.network_class}.from_pretrained({str(out)!r})")


def _ctc_model(model: AcousticModel, name: str) -> CtcModel:
    """The library's CTC model for this encoder; InputError where it could not compute the same."""
    architecture = model.architecture
    family = ENCODER_FAMILIES.get(architecture.encoder)
    if family is None or family.ctc_model is None:
        known = ", ".join(encoder for encoder, family in ENCODER_FAMILIES.items() if family.ctc_model)
        raise InputError(
            f"{name}: transformers has no CTC model for the encoder {architecture.encoder}; expected one of {known}; "
            "`--to onnx` takes all"
        )
    if architecture.adapter_dim or architecture.extra_layers:
        raise InputError(
            f"{name}: transformers has no place for adapters and extra layers; adapt with lora_rank or all weights"
        )
    if model.task != "ctc":
        raise InputError(f"{name}: the task is {model.task}; transformers' CTC models transcribe")
    if model.spec != feature_preset(family.preset):
        raise InputError(
            f"{name}: its features are {model.spec.name}, but transformers' {family.ctc_model.extractor_class} computes "
            f"{family.preset}; adapt from the checkpoint that transformers has of it"
        )
    return family.ctc_model


def _network(library: Any, model: AcousticModel, ctc_model: CtcModel) -> Any:
    """The library's CTC model with the weights of `model`."""
    encoder = cast(TransformersEncoder, model.encoder)
    inner = encoder.config.to_dict()
    size = len(model.vocabulary.symbols)
    common = {"vocab_size": size, "pad_token_id": 0, "ctc_loss_reduction": "mean", "ctc_zero_infinity": False}
    is_nested = (
        ctc_model.encoder == "encoder"
    )  # Parakeet's configuration contains the encoder's; others are one flat list
    settings = {"encoder_config": inner, **common} if is_nested else inner | common
    network = getattr(library, ctc_model.network_class)(getattr(library, ctc_model.config_class)(**settings))
    state = {f"{ctc_model.encoder}.{key}": value for key, value in encoder.network.state_dict().items()}
    weight = model.head.weight.detach()
    is_convolution = ctc_model.head == "ctc_head"  # of width 1
    state[f"{ctc_model.head}.weight"] = weight[..., None] if is_convolution else weight
    state[f"{ctc_model.head}.bias"] = model.head.bias.detach()
    network.load_state_dict(state)
    return network.eval()


def _tokenizer(library: Any, vocabulary: Vocabulary, ctc_model: CtcModel, out: Path) -> Any:
    """The library's tokenizer in which token i is symbol i; the blank has the name of the library's padding."""
    if vocabulary.kind not in ("characters", "bpe"):
        raise InputError(
            f"transformers' CTC tokenizers have characters or pieces, and this vocabulary is of {vocabulary.kind}; adapt with "
            "text.vocabulary characters or bpe"
        )
    if ctc_model.head == "lm_head" and vocabulary.kind == "characters":
        names = {WORD_DELIMITER if symbol == " " else symbol: i for i, symbol in enumerate(vocabulary.symbols)}
        names = {PAD if i == 0 else symbol: i for symbol, i in names.items()}
        path = out / "vocab.json"
        path.write_text(json.dumps(names, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        return library.Wav2Vec2CTCTokenizer(
            str(path), pad_token=PAD, unk_token=PAD, bos_token=None, eos_token=None, word_delimiter_token=WORD_DELIMITER
        )
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    symbols = [PAD, *(WORD_START if symbol == " " else symbol for symbol in vocabulary.symbols[1:])]
    is_bpe = vocabulary.kind == "bpe"
    tokenizer = Tokenizer(
        models.BPE({symbol: i for i, symbol in enumerate(symbols)}, _merges(symbols) if is_bpe else [])
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always" if is_bpe else "never", split=False)
    tokenizer.decoder = decoders.Metaspace()
    return library.ParakeetTokenizer(tokenizer_object=tokenizer, pad_token=PAD)


def _merges(symbols: Sequence[str]) -> list[tuple[str, str]]:
    """The two pieces that each longer piece is merged from, in the order in which sentencepiece's BPE was trained."""
    number = {symbol: i for i, symbol in enumerate(symbols)}
    merges = []
    for symbol in symbols[1:]:
        halves = [
            (symbol[:i], symbol[i:]) for i in range(1, len(symbol)) if symbol[:i] in number and symbol[i:] in number
        ]
        merges += sorted(halves, key=lambda pair: (number[pair[0]], number[pair[1]]))
    return merges
