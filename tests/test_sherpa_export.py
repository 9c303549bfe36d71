"""Folders for sherpa-onnx: its wheel writes the text that the model writes here, from samples alone."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from speechxfer.checkpoints.card import Card
from speechxfer.checkpoints.loading import load_model
from speechxfer.checkpoints.model_folders import save_model
from speechxfer.decoding.greedy import GreedyDecoder
from speechxfer.decoding.hypotheses import Hypothesis
from speechxfer.export import export
from speechxfer.features.log_mel import filterbank
from speechxfer.features.presets import PRESETS
from speechxfer.models.acoustic_model import AcousticModel
from speechxfer.text.vocabulary import Vocabulary
from tests import external_models as external
from tests.small_models import source_model

TEXTS = ["ba aƒ cab", "abaca ba", "caba", "b a c"]  # ƒ is 0xC6 0x92: with such letters alone tokens look like bytes
MODELS = {
    "letters": ("conformer", "characters", "kaldi-mvn-78db-1.5s"),
    "phones": ("cnn", "phones", "whisper"),
    "pieces": ("dnn", "bpe", "nemo-2025"),
    "unnormalised": ("cnn", "characters", "icefall"),
}
RECORDINGS = {
    "shortest": external.speech(0.1),
    "short": 0.3 * external.speech(0.4, 1),
    "quiet": 0.01 * external.speech(1.7, 2),
    "loud": np.clip(20 * external.speech(2.3, 3), -1, 1),
    "long": external.speech(30.0, 4),
    "silence": np.zeros(16_000, np.float32),
}


def log_probs_of(model: AcousticModel, samples: np.ndarray) -> torch.Tensor:
    features = filterbank(samples, model.spec)
    with torch.no_grad():
        log_probs, frames = model(features[None], torch.tensor([len(features)]))
    return log_probs[0, : int(frames)]


def written_here(model: AcousticModel, samples: np.ndarray) -> Hypothesis:
    return GreedyDecoder.of_model(model).decode([log_probs_of(model, samples)])[0]


def recognise(folder: Path, samples: np.ndarray, weights: str = "model.onnx") -> Any:
    sherpa = pytest.importorskip("sherpa_onnx")
    recognizer = sherpa.OfflineRecognizer.from_omnilingual_asr_ctc(
        model=str(folder / weights), tokens=str(folder / "tokens.txt")
    )
    stream = recognizer.create_stream()
    stream.accept_waveform(16_000, samples)
    recognizer.decode_stream(stream)
    return stream.result


@pytest.fixture(scope="module", params=MODELS)
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[AcousticModel, Path]:
    pytest.importorskip("onnxscript")
    encoder, kind, preset = MODELS[request.param]
    folder = tmp_path_factory.mktemp(request.param)
    model = source_model(encoder, Vocabulary.from_texts(TEXTS, kind, bpe_size=9))
    model.spec = PRESETS[preset]
    with torch.no_grad():  # all symbols alike often, so that the text changes with the sound
        model.head.bias -= log_probs_of(model, RECORDINGS["long"]).mean(dim=0)
    save_model(model, folder / "model", Card("small"))
    export(str(folder / "model"), "sherpa-onnx", folder / "sherpa")
    return load_model(folder / "model").eval(), folder / "sherpa"


def test_the_wheel_writes_our_text(exported: tuple[AcousticModel, Path]) -> None:
    model, folder = exported
    pairs = [(written_here(model, samples).text, recognise(folder, samples).text) for samples in RECORDINGS.values()]
    assert all(found == " ".join(found.split()) for _, found in pairs)
    assert sum(expected == found for expected, found in pairs) >= len(pairs) - 2
    _, cer = error_rates(pairs)
    assert cer < 0.01  # random weights leave near ties, which rounding decides
    assert len({expected for expected, _ in pairs}) > 3 and pairs[-2][0].count(" ") > 3


def test_times_are_those_of_our_words(exported: tuple[AcousticModel, Path]) -> None:
    model, folder = exported
    for name in ("short", "quiet"):
        result, words = recognise(folder, RECORDINGS[name]), written_here(model, RECORDINGS[name]).words
        noise_s = model.spec.noise_before_s(len(RECORDINGS[name]) / 16_000)
        before = [" ", *result.tokens]
        starts = [t for t, token, last in zip(result.timestamps, result.tokens, before, strict=False) if " " in (last, token[0])]
