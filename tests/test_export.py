"""What is exported computes in its new home what the model computes here."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from speechxfer.adaptation.construction import transfer, with_new_layers
from speechxfer.checkpoints.card import Card
from speechxfer.checkpoints.loading import load_model
from speechxfer.checkpoints.model_folders import save_model
from speechxfer.data.manifest import read_manifest
from speechxfer.errors import InputError
from speechxfer.export.onnx_graph import export_onnx
from speechxfer.export.transformers_models import export, export_hf, export_nemo_manifest
from speechxfer.features.batches import collate
from speechxfer.features.exportable import ExportableFrontEnd
from speechxfer.features.log_mel import filterbank
from speechxfer.features.presets import PRESETS
from speechxfer.models.acoustic_model import AcousticModel
from speechxfer.text.vocabulary import Vocabulary
from speechxfer.training.loop import finetune
from tests import foreign_models as other
from tests.small_models import ENCODERS, QUICK, Tones, source_model

RECORDINGS = [other.speech(seconds, seed) for seed, seconds in enumerate((1.7, 0.9, 0.41))]


def heard(model: AcousticModel) -> list[torch.Tensor]:
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
def test_adapted_then_loaded_by_plain_transformers(tones: Tones, tmp_path: Path, kind: str, vocabulary: Any) -> None:
    transformers = pytest.importorskip("transformers")
    other.WRITERS[kind](tmp_path / "source")
    symbols = Vocabulary.from_texts((u.text for u in tones.train), vocabulary, bpe_size=12)
    model = transfer(load_model(tmp_path / "source"), symbols).model
    finetune(model, tones.train, tones.dev, QUICK, out=tmp_path / "run")
    save_model(model, tmp_path / "adapted", Card("adapted"))
    export_hf(str(tmp_path / "adapted"), tmp_path / "exported")
    network = transformers.AutoModelForCTC.from_pretrained(tmp_path / "exported").eval()
    processor = transformers.AutoProcessor.from_pretrained(tmp_path / "exported")
    for samples, mine in zip(RECORDINGS, heard(model), strict=True):
        given = processor(samples, sampling_rate=16000, return_tensors="pt")
        with torch.inference_mode():
            logits = network(**given).logits[0, : len(mine)]
        torch.testing.assert_close(logits.log_softmax(dim=-1), mine, atol=1e-4, rtol=0)
        ids = logits.argmax(dim=-1)
        [text] = processor.batch_decode(ids[None])
        ours = symbols.decode([i for j, i in enumerate(ids.tolist()) if j == 0 or i != ids[j - 1]])
        assert " ".join(text.split()) == ours
    text = tones.train[0].text
    assert processor.tokenizer(text)["input_ids"] == symbols.encode(text)
    assert network.config.pad_token_id == 0


def test_what_transformers_cannot_say_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    save_model(source_model("cnn"), tmp_path / "cnn", Card("cnn"))
    with pytest.raises(InputError, match="transformers has no CTC model for the encoder cnn"):
        export_hf(str(tmp_path / "cnn"), tmp_path / "out")
    other.write_w2v_bert(tmp_path / "source")
    grown = with_new_layers(load_model(tmp_path / "source"), adapter_dim=4)
    save_model(grown, tmp_path / "grown", Card("grown"))
    with pytest.raises(InputError, match="no place for adapters"):
        export_hf(str(tmp_path / "grown"), tmp_path / "out")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="holds something already"):
        export_hf(str(tmp_path / "source"), tmp_path / "full")
    assert not (tmp_path / "out").exists()


def test_no_graph_is_made_of_a_borrowed_encoder(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    pytest.importorskip("onnxscript")
    other.write_w2v_bert(tmp_path / "source")
    with pytest.raises(
        InputError, match="encoder wav2vec2-bert is code of transformers, of which no graph can be made"
    ):
        export_onnx(str(tmp_path / "source"), tmp_path / "model.onnx")


# --- NeMo's manifests -----------------------------------------------------------------------------------------------------


def test_a_nemo_manifest_has_absolute_paths_and_what_was_heard(tones: Tones, tmp_path: Path) -> None:
    save_model(source_model("dnn"), tmp_path / "model", Card("model"))
    manifest = tones.folder / "dev.jsonl"
    export_nemo_manifest(str(tmp_path / "model"), manifest, tmp_path / "nemo.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "nemo.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [(row["text"], row["duration"]) for row in rows] == [(u.text, u.duration) for u in read_manifest(manifest)]
    assert all(Path(row["audio_filepath"]).is_absolute() and Path(row["audio_filepath"]).is_file() for row in rows)
    assert all(isinstance(row["pred_text"], str) for row in rows)
    with pytest.raises(InputError, match="name it with --on"):
        export(str(tmp_path / "model"), "nemo-manifest", tmp_path / "x.jsonl")


# --- ONNX -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("preset", PRESETS)
def test_the_front_end_in_plain_operations_is_the_front_end(preset: str) -> None:
    spec = PRESETS[preset]
    samples, lengths = padded([*RECORDINGS, other.speech(0.03), np.zeros(8000, np.float32)], filling=0.7)
    values, frames = ExportableFrontEnd(spec)(torch.from_numpy(samples), torch.from_numpy(lengths))
    for row, length in enumerate(lengths.tolist()):
        expected = filterbank(samples[row, :length], spec)
        assert int(frames[row]) == len(expected)
        # Of digital silence a norm by N - 1 leaves the last bit of a mean over 1e-5 or less: nobody's value is right.
        silent = not samples[row, :length].any() and spec.normalize_ddof
        torch.testing.assert_close(values[row, : len(expected)], expected, atol=0.3 if silent else 1e-3, rtol=0)
        assert not values[row, len(expected) :].any()


@pytest.mark.parametrize(("encoder", "task"), [*((encoder, "ctc") for encoder in ENCODERS), ("cnn", "classify")])
def test_an_onnx_graph_hears_what_the_model_hears(tmp_path: Path, encoder: str, task: str) -> None:
    pytest.importorskip("onnxscript")
    onnxruntime = pytest.importorskip("onnxruntime")
    made = source_model(encoder, task=task)
    made.spec = PRESETS["kaldi-mvn-78db-1.5s"]  # two of the three recordings are shorter than that
    save_model(made, tmp_path / "model", Card("model"))
    export_onnx(str(tmp_path / "model"), tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    model = load_model(tmp_path / "model")
    for chosen in (RECORDINGS, RECORDINGS[1:2]):
        samples, lengths = padded(chosen, filling=0.3)
        log_probs, frames = session.run(None, {"samples": samples, "lengths": lengths})
        expected = heard(model)[: len(chosen)] if len(chosen) > 1 else heard(model)[1:2]
        for row, mine in enumerate(expected):
            assert int(frames[row]) == len(mine)
            np.testing.assert_allclose(log_probs[row, : len(mine)], mine, atol=1e-4)
    told = session.get_modelmeta().custom_metadata_map
    assert json.loads(told["vocabulary"])["symbols"] == list(model.vocabulary.symbols)
    assert told["sample_rate_hz"] == "16000"
