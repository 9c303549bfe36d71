"""Models for other people's programs: folders of transformers, NeMo's manifests with hypotheses, ONNX graphs.

What goes out computes what the model computes: the same logits from the same speech. What it is not: a converter of any
network into any other; what the other side cannot say is refused. Sources: transformers' configurations and processors; the
field names of NeMo's evaluation tools (``pred_text``); the ONNX operator set 18.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from speechxfer.adaptation import WORD_START
from speechxfer.checkpoints import WORD_DELIMITER, load_model
from speechxfer.data import read_manifest
from speechxfer.decoding import transcribe
from speechxfer.errors import InputError
from speechxfer.export.onnx_graph import export_onnx
from speechxfer.features import feature_preset
from speechxfer.models import AcousticModel, TransformersEncoder, import_transformers
from speechxfer.runtime import default_device, log_info, write_atomically
from speechxfer.text import Vocabulary

PAD = "<pad>"


@dataclass(frozen=True)
class Family:
    """How transformers calls the CTC model of one kind of encoder, and what makes its processor."""

    config: str
    network: str
    encoder: str
    head: str
    extractor: str
    processor: str
    preset: str


FAMILIES = {
    "parakeet": Family(
        "ParakeetCTCConfig",
        "ParakeetForCTC",
        "encoder",
        "ctc_head",
        "ParakeetFeatureExtractor",
        "ParakeetProcessor",
        "nemo-2025",
    ),
    "wav2vec2-bert": Family(
        "Wav2Vec2BertConfig",
        "Wav2Vec2BertForCTC",
        "wav2vec2_bert",
        "lm_head",
        "SeamlessM4TFeatureExtractor",
        "Wav2Vec2BertProcessor",
        "seamless",
    ),
}


def export(
    name: str, to: str, out: Path, *, manifest: Path | None = None, resample: bool = False, mono: bool = False
) -> None:
    """One of the exports below by its name: ``hf``, ``nemo-manifest`` (of `manifest`) or ``onnx``."""
    if to == "hf":
        export_hf(name, out)
    elif to == "onnx":
        export_onnx(name, out)
    elif manifest is None:
        raise InputError("a NeMo manifest is made of one of ours; name it with --on")
    else:
        export_nemo_manifest(name, manifest, out, resample=resample, mono=mono)


def export_hf(name: str, out: Path) -> None:
    """Write an adapted Parakeet or W2v-BERT as a folder that plain transformers loads: model and processor.

    Raises:
        InputError: another encoder, adapters or extra layers (transformers has no place for them), a task other than CTC, a
            front end that the library's extractor does not compute, or `out` holds something already.
    """
    model = load_model(name)
    family = _family(model, name)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out}: holds something already; choose another folder")
    library = import_transformers()
    network = _network(library, model, family)
    extractor = getattr(library, family.extractor)(feature_size=model.spec.mels)
    out.mkdir(parents=True, exist_ok=True)
    tokenizer = _tokenizer(library, model.vocabulary, family, out)
    getattr(library, family.processor)(extractor, tokenizer).save_pretrained(out)
    network.save_pretrained(out)
    log_info(f"wrote {out}; next: transformers.{family.network}.from_pretrained({str(out)!r})")


def _family(model: AcousticModel, name: str) -> Family:
    architecture = model.architecture
    if architecture.encoder not in FAMILIES:
        raise InputError(
            f"{name}: transformers has no CTC model for the encoder {architecture.encoder}; expected one of "
            f"{', '.join(FAMILIES)}; `--to onnx` takes conformer, cnn and dnn"
        )
    if architecture.adapter_dim or architecture.extra_layers:
        raise InputError(
            f"{name}: transformers has no place for adapters and extra layers; adapt with lora_rank or all weights"
        )
    if model.task != "ctc":
        raise InputError(f"{name}: the task is {model.task}; transformers' CTC models transcribe")
    family = FAMILIES[architecture.encoder]
    if model.spec != feature_preset(family.preset):
        raise InputError(
            f"{name}: hears {model.spec.name}, but transformers' {family.extractor} computes {family.preset}, with which it "
            "would hear noise; adapt from the checkpoint that transformers has of it"
        )
    return family


def _network(library: Any, model: AcousticModel, family: Family) -> Any:
    encoder = model.encoder
    if not isinstance(encoder, TransformersEncoder):
        raise TypeError(f"{type(encoder).__name__} is no encoder of transformers")
    inner = encoder.settings.to_dict()
    size = len(model.vocabulary.symbols)
    of_all = {"vocab_size": size, "pad_token_id": 0, "ctc_loss_reduction": "mean", "ctc_zero_infinity": False}
    config_class = getattr(library, family.config)
    if family.encoder == "encoder":
        config = config_class(encoder_config=inner, **of_all)
    else:
        config = config_class(**(inner | of_all))
    network = getattr(library, family.network)(config)
    state = {f"{family.encoder}.{key}": value for key, value in encoder.network.state_dict().items()}
    convolved = family.head == "ctc_head"  # over single frames
    state[f"{family.head}.weight"] = model.head.weight.detach()[..., None] if convolved else model.head.weight.detach()
    state[f"{family.head}.bias"] = model.head.bias.detach()
    network.load_state_dict(state)
    return network.eval()


def _tokenizer(library: Any, vocabulary: Vocabulary, family: Family, out: Path) -> Any:
    """The library's tokenizer whose token i is symbol i; the blank is called as the library calls its padding."""
    if vocabulary.kind not in ("characters", "bpe"):
        raise InputError(
            f"transformers' CTC tokenizers spell characters or pieces, and this vocabulary is of {vocabulary.kind}; adapt with "
            "text.vocabulary characters or bpe"
        )
    if family.head == "lm_head" and vocabulary.kind == "characters":
        names = {WORD_DELIMITER if symbol == " " else symbol: i for i, symbol in enumerate(vocabulary.symbols)}
        names = {PAD if i == 0 else symbol: i for symbol, i in names.items()}
        write_atomically(out / "vocab.json", json.dumps(names, ensure_ascii=False, indent=1) + "\n")
        return library.Wav2Vec2CTCTokenizer(
            str(out / "vocab.json"),
            pad_token=PAD,
            unk_token=PAD,
            bos_token=None,
            eos_token=None,
            word_delimiter_token=WORD_DELIMITER,
        )
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    symbols = [PAD, *(WORD_START if symbol == " " else symbol for symbol in vocabulary.symbols[1:])]
    pieces = vocabulary.kind == "bpe"
    spelling = Tokenizer(
        models.BPE({symbol: i for i, symbol in enumerate(symbols)}, _merges(symbols) if pieces else [])
    )
    spelling.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always" if pieces else "never", split=False)
    spelling.decoder = decoders.Metaspace()
    return library.ParakeetTokenizer(tokenizer_object=spelling, pad_token=PAD)


def _merges(symbols: Sequence[str]) -> list[tuple[str, str]]:
    """Which two pieces make each longer one, in the order in which sentencepiece's BPE learned them."""
    number = {symbol: i for i, symbol in enumerate(symbols)}
    merges = []
    for symbol in symbols[1:]:
        halves = [
            (symbol[:i], symbol[i:]) for i in range(1, len(symbol)) if symbol[:i] in number and symbol[i:] in number
        ]
        merges += sorted(halves, key=lambda pair: (number[pair[0]], number[pair[1]]))
    return merges


def export_nemo_manifest(name: str, manifest: Path, out: Path, *, resample: bool = False, mono: bool = False) -> None:
    """Transcribe a manifest and write it as NeMo's tools read it: absolute paths, ``text`` and ``pred_text``.

    Errors are those of `transcribe`.
    """
    utterances = read_manifest(manifest)
    found = transcribe(load_model(name).to(default_device()), utterances, resample=resample, mono=mono)
    rows = [
        {
            "audio_filepath": str(utterance.audio_filepath),
            "offset": utterance.offset,
            "duration": utterance.duration,
            "text": utterance.text,
            "pred_text": found[utterance.id].text,
            "speaker": utterance.speaker,
            "lang": utterance.lang,
            "id": utterance.id,
        }
        for utterance in utterances
    ]
    write_atomically(out, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    log_info(f"wrote {out}: {len(rows)} utterances")
