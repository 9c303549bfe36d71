"""Exported models compute the same log-probabilities in transformers and in ONNX runtime as the model does here."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from speechxfer.adaptation.construction import transfer, with_new_layers
from speechxfer.checkpoints.card import Card
from speechxfer.checkpoints.loading import load_model
from speechxfer.checkpoints.model_folders import save_model
from speechxfer.errors import InputError
from speechxfer.export import export
from speechxfer.export.onnx_graph import export_onnx
from speechxfer.export.transformers_models import export_hf
from speechxfer.features.batches import collate
from speechxfer.features.log_mel import Filterbank, filterbank
from speechxfer.features.presets import PRESETS
from speechxfer.models.acoustic_model import AcousticModel
from speechxfer.text.vocabulary import Vocabulary
from speechxfer.training.loop import finetune
from tests import external_models as external
from tests.small_models import ENCODERS, QUICK, Tones, source_model

RECORDINGS = [external.speech(seconds, seed) for seed, seconds in enumerate((1.7, 0.9, 0.41))]


def log_probs_of(model: AcousticModel) -> list[torch.Tensor]:
    """Log-probabilities of each recording."""
    features = [filterbank(samples, model.spec).numpy() for samples in RECORDINGS]
    batch = collate([str(i) for i in range(len(features))], features, [[] for _ in features])
    with torch.inference_mode():
        log_probs, lengths = model(batch.features, batch.lengths)
    return [values[:length] for values, length in zip(log_probs, lengths.tolist(), strict=True)]


def padded(recordings: list[np.ndarray], filling: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    samples = np.full((len(recordings), max(map(len, recordings))), filling, dtype=np.float32)
    for row, recording in zip(samples, recordings, strict=True):
        row[: len(recording)] = recording
    return samples, np.array([len(recording) for recording in recordings])


# --- transformers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["parakeet", "wav2vec2-bert"])
@pytest.mark.parametrize("vocabulary", ["characters", "bpe"])
def test_transformers_loads_an_adapted_model(tones: Tones, tmp_path: Path, kind: str, vocabulary: Any) -> None:
    transformers = pytest.importorskip("transformers")
    external.WRITERS[kind](tmp_path / "source")
    symbols = Vocabulary.from_texts((u.text for u in tones.train), vocabulary, bpe_size=12)
    model = transfer(load_model(tmp_path / "source"), symbols).model
    finetune(model, tones.train, tones.dev, QUICK, out=tmp_path / "run")
    save_model(model, tmp_path / "adapted", Card("adapted"))
    export_hf(str(tmp_path / "adapted"), tmp_path / "exported")
    network = transformers.AutoModelForCTC.from_pretrained(tmp_path / "exported").eval()
    processor = transformers.AutoProcessor.from_pretrained(tmp_path / "exported")
    for samples, expected in zip(RECORDINGS, log_probs_of(model), strict=True):
        inputs = processor(samples, sampling_rate=16000, return_tensors="pt")
        with torch.inference_mode():
            logits = network(**inputs).logits[0, : len(expected)]
        torch.testing.assert_close(logits.log_softmax(dim=-1), expected, atol=1e-4, rtol=0)
        ids = logits.argmax(dim=-1)
        [text] = processor.batch_decode(ids[None])
        ours = symbols.decode([i for j, i in enumerate(ids.tolist()) if j == 0 or i != ids[j - 1]])
        assert " ".join(text.split()) == ours
    text = tones.train[0].text
    assert processor.tokenizer(text)["input_ids"] == symbols.encode(text)
    assert network.config.pad_token_id == 0


def test_models_that_transformers_cannot_represent_are_refused(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    save_model(source_model("cnn"), tmp_path / "cnn", Card("cnn"))
    with pytest.raises(InputError, match="transformers has no CTC model for the encoder cnn"):
        export_hf(str(tmp_path / "cnn"), tmp_path / "out")
    external.write_w2v_bert(tmp_path / "source")
    extended = with_new_layers(load_model(tmp_path / "source"), adapter_dim=4)
    save_model(extended, tmp_path / "extended", Card("extended"))
    with pytest.raises(InputError, match="no place for adapters"):
        export_hf(str(tmp_path / "extended"), tmp_path / "out")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="exists and is not empty"):
        export_hf(str(tmp_path / "source"), tmp_path / "full")
    assert not (tmp_path / "out").exists()


# --- ONNX -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("preset", PRESETS)
def test_exported_features_equal_the_filterbank(preset: str) -> None:
    spec = PRESETS[preset]
    samples, lengths = padded([*RECORDINGS, external.speech(0.03), np.zeros(8000, np.float32)], filling=0.7)
    values, frames = Filterbank(spec, exportable=True)(torch.from_numpy(samples), torch.from_numpy(lengths))
    for row, length in enumerate(lengths.tolist()):
        expected = filterbank(samples[row, :length], spec)
        assert int(frames[row]) == len(expected)
        # Digital silence normalised by N - 1 divides rounding errors by 1e-5 or less: no value is right.
        silent = not samples[row, :length].any() and spec.normalize_ddof
        torch.testing.assert_close(values[row, : len(expected)], expected, atol=0.3 if silent else 1e-3, rtol=0)
        assert not values[row, len(expected) :].any()


@pytest.mark.parametrize(("encoder", "task"), [*((encoder, "ctc") for encoder in ENCODERS), ("cnn", "classify")])
def test_an_onnx_graph_computes_what_the_model_computes(tmp_path: Path, encoder: str, task: str) -> None:
    pytest.importorskip("onnxscript")
    onnxruntime = pytest.importorskip("onnxruntime")
    source = source_model(encoder, task=task)
    source.spec = PRESETS["kaldi-mvn-78db-1.5s"]  # two of the three recordings are shorter than that
    save_model(source, tmp_path / "model", Card("model"))
    export_onnx(str(tmp_path / "model"), tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    model = load_model(tmp_path / "model")
    for chosen in (RECORDINGS, RECORDINGS[1:2]):
        samples, lengths = padded(chosen, filling=0.3)
        log_probs, frames = session.run(None, {"samples": samples, "lengths": lengths})
        expected = log_probs_of(model)[: len(chosen)] if len(chosen) > 1 else log_probs_of(model)[1:2]
        for row, values in enumerate(expected):
            assert int(frames[row]) == len(values)
            np.testing.assert_allclose(log_probs[row, : len(values)], values, atol=1e-4)
    metadata = session.get_modelmeta().custom_metadata_map
    assert json.loads(metadata["vocabulary"])["symbols"] == list(model.vocabulary.symbols)
    assert metadata["sample_rate_hz"] == "16000"


@pytest.mark.parametrize("kind", ["parakeet", "wav2vec2-bert", "whisper"])
def test_an_onnx_graph_of_an_encoder_of_transformers(tmp_path: Path, kind: str) -> None:
    pytest.importorskip("transformers")
    pytest.importorskip("onnxscript")
    onnxruntime = pytest.importorskip("onnxruntime")
    external.WRITERS[kind](tmp_path / "source")
    model = transfer(load_model(tmp_path / "source"), Vocabulary.from_texts(["ab cd"])).model.eval()
    with torch.no_grad():
        model.head.weight.normal_(0.0, 0.3)
    save_model(model, tmp_path / "adapted", Card("adapted"))
    export_onnx(str(tmp_path / "adapted"), tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    for recording, expected in zip(RECORDINGS, log_probs_of(model), strict=True):
        inputs = {"samples": recording[None], "lengths": np.array([len(recording)])}
        log_probs, frames = session.run(None, inputs)
        assert int(frames[0]) == len(expected)
        np.testing.assert_allclose(log_probs[0, : len(expected)], expected, atol=1e-4)


def test_what_torch_cannot_convert_is_one_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnxscript")
    save_model(source_model("dnn"), tmp_path / "model", Card("model"))

    def data_dependent(
        self: object, features: torch.Tensor, lengths: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        return features[:, : int(lengths.max())], lengths

    monkeypatch.setattr(AcousticModel, "forward", data_dependent)
    with pytest.raises(InputError, match="cannot convert this model to a graph"):
        export_onnx(str(tmp_path / "model"), tmp_path / "model.onnx")
    assert not (tmp_path / "model.onnx").exists()


def test_the_place_of_a_graph_is_checked_before_the_conversion(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnxscript")
    save_model(source_model("dnn"), tmp_path / "model", Card("model"))
    (tmp_path / "file").write_text("mine")
    monkeypatch.setattr(torch.onnx, "export", lambda *_, **__: pytest.fail("converted first"))
    for place in (tmp_path, tmp_path / "file" / "model.onnx"):
        with pytest.raises(InputError, match=re.escape(str(place))):
            export(str(tmp_path / "model"), "onnx", place)
    assert (tmp_path / "file").read_text() == "mine"


def test_a_failed_conversion_leaves_an_older_graph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnxscript")
    save_model(source_model("dnn"), tmp_path / "model", Card("model"))
    (tmp_path / "model.onnx").write_text("older")
    monkeypatch.setattr(torch.onnx, "export", lambda *_, **__: None)
    with pytest.raises(TypeError):
        export(str(tmp_path / "model"), "onnx", tmp_path / "model.onnx")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "model.onnx"]
    assert (tmp_path / "model.onnx").read_text() == "older"


def printed_by_export(folder: Path, to: str, out: str) -> list[str]:
    """Lines of both streams from `speechxfer export model` in this folder."""
    command = [sys.executable, "-m", "speechxfer", "export", "model", "--to", to, "--out", out]
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return (ended.stdout + ended.stderr).splitlines()


def test_exporting_to_transformers_prints_one_line(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    external.write_w2v_bert(tmp_path / "model")
    assert printed_by_export(tmp_path, "hf", "out") == [
        "wrote out; next: transformers.Wav2Vec2BertForCTC.from_pretrained('out')"
    ]


def test_exporting_to_onnx_prints_what_it_does_and_the_next_step(tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    save_model(source_model("dnn"), tmp_path / "model", Card("model"))
    assert printed_by_export(tmp_path, "onnx", "model.onnx") == [
        "converting the model, which takes about half a minute",
        "wrote model.onnx; next: onnxruntime.InferenceSession('model.onnx')",
    ]


def test_a_graph_does_not_replace_a_part_of_its_model(tmp_path: Path) -> None:
    save_model(source_model("dnn"), tmp_path / "model", Card("model"))
    weights = tmp_path / "model" / "weights.safetensors"
    before = weights.read_bytes()
    with pytest.raises(InputError, match=r"weights\.safetensors: is part of the model that is exported"):
        export(str(tmp_path / "model"), "onnx", weights)
    assert weights.read_bytes() == before


@pytest.mark.parametrize(("to", "out"), [("nemo-manifest", "x.jsonl"), ("hf", "")])
def test_unknown_formats_and_places_are_refused(tmp_path: Path, to: str, out: str) -> None:
    with pytest.raises(
        InputError, match="unknown; expected one of hf, onnx, sherpa-onnx, web" if out else "no place to write"
    ):
        export(str(tmp_path / "model"), to, out)
