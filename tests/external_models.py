"""Small checkpoints of other toolkits with random weights, written by those toolkits' own code, and a synthetic speech signal.

NeMo's archives are written here from the documented layout, since NeMo cannot be installed beside our versions.
"""

import io
import json
import tarfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from torch import Tensor, nn

WHISPER_SECONDS = 4  # the fixed length of the network's input; 30 in the published ones
LETTERS = "abcdehiklmnoprstuw"
PIECES = ["<unk>", "\u2581", *LETTERS, "\u2581a", "an", "\u2581an"]
NEMO_NAMES = (  # transformers' names of weights, and NeMo's
    ("subsampling.layers.", "pre_encode.conv."),
    ("subsampling.linear.", "pre_encode.out."),
    (".self_attn.q_proj.", ".self_attn.linear_q."),
    (".self_attn.k_proj.", ".self_attn.linear_k."),
    (".self_attn.v_proj.", ".self_attn.linear_v."),
    (".self_attn.o_proj.", ".self_attn.linear_out."),
    (".self_attn.relative_k_proj.", ".self_attn.linear_pos."),
    (".self_attn.bias_u", ".self_attn.pos_bias_u"),
    (".self_attn.bias_v", ".self_attn.pos_bias_v"),
    (".conv.norm.", ".conv.batch_norm."),
)


def randomized(network: Any) -> Any:
    """Random weights large enough that every part matters, and batch statistics that are not the default ones."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for weights in network.parameters():
            spread = 1.0 / max(1, weights[0].numel()) ** 0.5 if weights.dim() > 1 else 0.1
            weights.add_(spread * torch.randn(weights.shape, generator=generator))
        for module in network.modules():
            if isinstance(module, nn.BatchNorm1d):
                module.running_mean.normal_(0.0, 0.1, generator=generator)
                module.running_var.uniform_(0.5, 1.5, generator=generator)
    return network.eval()


def parakeet_encoder(**changes: Any) -> dict[str, Any]:
    return {
        "hidden_size": 32,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "intermediate_size": 64,
        "subsampling_conv_channels": 8,
    } | changes


def write_parakeet(folder: Path) -> Any:
    """A ParakeetForCTC over word pieces, the blank last as in the published ones."""
    import transformers
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    size = len(PIECES) + 1
    config = transformers.ParakeetCTCConfig(vocab_size=size, pad_token_id=size - 1, encoder_config=parakeet_encoder())
    network = randomized(transformers.ParakeetForCTC(config))
    tokenizer_model = Tokenizer(
        models.BPE(
            {piece: i for i, piece in enumerate([*PIECES, "<pad>"])}, [("\u2581", "a"), ("a", "n"), ("\u2581", "an")]
        )
    )
    tokenizer_model.pre_tokenizer, tokenizer_model.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    tokenizer = transformers.ParakeetTokenizer(tokenizer_object=tokenizer_model, pad_token="<pad>")
    transformers.ParakeetProcessor(transformers.ParakeetFeatureExtractor(), tokenizer).save_pretrained(folder)
    network.save_pretrained(folder)
    return network


def write_w2v_bert(folder: Path, *, head: bool = True, **changes: Any) -> Any:
    """A Wav2Vec2BertForCTC over characters, the blank in the middle; without a head the bare model."""
    import transformers

    symbols = ["[UNK]", "|", *LETTERS[:6], "[PAD]", *LETTERS[6:], "<s>", "</s>"]
    config = transformers.Wav2Vec2BertConfig(
        vocab_size=len(symbols),
        pad_token_id=symbols.index("[PAD]"),
        hidden_size=32,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=64,
        feature_projection_input_dim=160,
        output_hidden_size=32,
        **changes,
    )
    network = randomized((transformers.Wav2Vec2BertForCTC if head else transformers.Wav2Vec2BertModel)(config))
    network.save_pretrained(folder)
    transformers.SeamlessM4TFeatureExtractor().save_pretrained(folder)
    if head:
        (folder / "vocab.json").write_text(
            json.dumps({symbol: i for i, symbol in enumerate(symbols)}), encoding="utf-8"
        )
    return network


def write_whisper(folder: Path, mels: int = 80) -> Any:
    import transformers

    config = transformers.WhisperConfig(
        vocab_size=64,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=3,
        d_model=32,
        encoder_layers=3,
        decoder_layers=1,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=64,
        decoder_ffn_dim=64,
        num_mel_bins=mels,
        max_source_positions=50 * WHISPER_SECONDS,
    )
    network = randomized(transformers.WhisperModel(config))
    network.save_pretrained(folder)
    transformers.WhisperFeatureExtractor(feature_size=mels, chunk_length=WHISPER_SECONDS).save_pretrained(folder)
    return network


def write_speech2text(folder: Path) -> Any:
    import transformers

    config = transformers.Speech2TextConfig(
        vocab_size=64,
        d_model=32,
        encoder_layers=3,
        decoder_layers=1,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=64,
        decoder_ffn_dim=64,
        conv_channels=48,
    )
    network = randomized(transformers.Speech2TextModel(config))
    network.save_pretrained(folder)
    transformers.Speech2TextFeatureExtractor().save_pretrained(folder)
    return network


WRITERS: dict[str, Callable[[Path], Any]] = {
    "parakeet": write_parakeet,
    "wav2vec2-bert": write_w2v_bert,
    "wav2vec2-bert with adapter": partial(write_w2v_bert, add_adapter=True),  # its authors recommend it for fine-tuning
    "whisper": write_whisper,
    "speech2text": write_speech2text,
}


def nemo_config(labels: list[str] | None, **encoder: Any) -> dict[str, Any]:
    """``model_config.yaml`` of a CTC model as in the published ones, reduced to the settings that define the model."""
    config: dict[str, Any] = {
        "target": f"nemo.collections.asr.models.ctc_{'' if labels else 'bpe_'}models.EncDecCTCModel{'' if labels else 'BPE'}",
        "nemo_version": "1.20.0",
        "preprocessor": {
            "_target_": "nemo.collections.asr.modules.AudioToMelSpectrogramPreprocessor",
            "sample_rate": 16000,
            "normalize": "per_feature",
            "window_size": 0.025,
            "window_stride": 0.01,
            "window": "hann",
            "features": 80,
            "n_fft": 512,
            "log": True,
            "frame_splicing": 1,
            "dither": 1e-05,
            "pad_to": 0,
            "pad_value": 0.0,
        },
        "encoder": {
            "_target_": "nemo.collections.asr.modules.ConformerEncoder",
            "feat_in": 80,
            "feat_out": -1,
            "n_layers": 3,
            "d_model": 32,
            "subsampling": "dw_striding",
            "subsampling_factor": 8,
            "subsampling_conv_channels": 8,
            "causal_downsampling": False,
            "ff_expansion_factor": 2,
            "self_attention_model": "rel_pos",
            "n_heads": 4,
            "att_context_size": [-1, -1],
            "xscaling": True,
            "untie_biases": True,
            "pos_emb_max_len": 5000,
            "conv_kernel_size": 9,
            "conv_norm_type": "batch_norm",
            "dropout": 0.1,
        }
        | encoder,
        "decoder": {"_target_": "nemo.collections.asr.modules.ConvASRDecoder", "feat_in": 32, "vocabulary": labels},
    }
    if not labels:
        config["tokenizer"] = {"dir": None, "type": "bpe", "model_path": "nemo:0123abc_tokenizer.model"}
    return config


def nemo_weights(network: Any) -> dict[str, Tensor]:
    """The weights of a transformers' Parakeet under NeMo's names, with the front end's buffers computed by librosa and torch."""
    import librosa

    state: dict[str, Tensor] = {}
    for name, value in network.state_dict().items():
        for hf_name, nemo_name in NEMO_NAMES:
            name = name.replace(hf_name, nemo_name)
        state[name.replace("ctc_head.", "decoder.decoder_layers.0.")] = value
    bank = librosa.filters.mel(sr=16000, n_fft=512, n_mels=80, fmin=0.0, fmax=8000.0, norm="slaney")
    state["preprocessor.featurizer.fb"] = torch.from_numpy(bank)[None]
    state["preprocessor.featurizer.window"] = torch.hann_window(400, periodic=False)
    return state


def write_nemo(
    path: Path,
    config: Mapping[str, Any],
    state: Mapping[str, Any],
    files: Mapping[str, bytes] | None = None,
    mode: Any = "w",
) -> Path:
    """An archive: a tar of settings, weights and the tokenizer's files; `mode` "w:gz" as older releases wrote it."""
    weights = io.BytesIO()
    torch.save(dict(state), weights)
    members = {
        "./model_config.yaml": yaml.safe_dump(dict(config)).encode(),
        "./model_weights.ckpt": weights.getvalue(),
        **(files or {}),
    }
    with tarfile.open(path, mode) as archive:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return path


def speech(seconds: float, seed: int = 0) -> np.ndarray:
    """float32 `[samples]` at 16 kHz that resembles speech: a harmonic tone of varying pitch, bursts of noise, pauses."""
    generator = np.random.default_rng(seed)
    time = np.arange(round(seconds * 16000)) / 16000
    pitch = 120 + 40 * np.sin(2 * np.pi * 0.7 * time + seed)
    phase = 2 * np.pi * np.cumsum(pitch) / 16000
    voiced = sum(np.sin(k * phase) / k for k in range(1, 25))
    envelope = np.clip(np.sin(2 * np.pi * 2.1 * time + seed), 0, 1)
    noise = generator.standard_normal(len(time)) * np.clip(np.sin(2 * np.pi * 3.3 * time), 0, 1)
    return (0.08 * envelope * voiced + 0.02 * noise + 0.0005 * generator.standard_normal(len(time))).astype(np.float32)
