"""Folders for sherpa-onnx: its wheel writes the text that the model writes here, from samples alone."""

import textwrap
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from speechxfer.checkpoints.card import Card
from speechxfer.checkpoints.loading import load_model
from speechxfer.checkpoints.model_folders import save_model
from speechxfer.decoding.greedy import GreedyDecoder
from speechxfer.decoding.hypotheses import Hypothesis
from speechxfer.errors import InputError
from speechxfer.export import export
from speechxfer.export.sherpa import list_tokens
from speechxfer.features.log_mel import filterbank
from speechxfer.features.presets import PRESETS
from speechxfer.models.acoustic_model import AcousticModel
from speechxfer.scoring import error_rates
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
    slower = 2 if model.encoder.subsampling == 1 else 1  # the dnn's frames last 10 ms, and README.txt says so
    assert ("too large by a factor of 2" in (folder / "README.txt").read_text("utf-8")) == (slower == 2)
    compared = 0
    for samples in RECORDINGS.values():
        ours, result = written_here(model, samples), recognise(folder, samples)
        if ours.text != result.text or not ours.words:
            continue  # a near tie
        before = [" ", *result.tokens]
        pairs = zip(result.tokens, result.timestamps, before, strict=False)
        starts = [time_s / slower for token, time_s, last in pairs if token != " " and " " in (last, token[0])]
        noise_s = max(0, model.spec.shortest_samples - len(samples)) / 2 / 16_000
        shift_s = ours.words[0].start_s - starts[0]
        assert -1e-3 <= shift_s <= noise_s + 1e-3
        assert starts == pytest.approx([word.start_s - shift_s for word in ours.words], abs=1e-3)
        compared += 1
    assert compared > 2


def test_the_lines_of_the_readme_transcribe(
    exported: tuple[AcousticModel, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("sherpa_onnx")
    _, folder = exported
    monkeypatch.chdir(folder)
    stereo = np.stack([RECORDINGS["quiet"], RECORDINGS["quiet"]], axis=1)
    soundfile.write("recording.wav", stereo, 16_000, subtype="FLOAT")
    lines = (folder / "README.txt").read_text("utf-8").split("soundfile):")[1].split("With sherpa-onnx")[0]
    exec(textwrap.dedent(lines), {})
    assert capsys.readouterr().out.strip() == recognise(folder, RECORDINGS["quiet"], "model.int8.onnx").text


def test_weights_of_8_bits_write_nearly_the_same(exported: tuple[AcousticModel, Path]) -> None:
    model, folder = exported
    pairs = [
        (written_here(model, samples).text, recognise(folder, samples, "model.int8.onnx").text)
        for samples in RECORDINGS.values()
    ]
    assert 0 < error_rates(pairs)[1] < 0.1
    sizes = [(folder / name).stat().st_size for name in ("model.onnx", "model.int8.onnx")]
    weights = sum(value.numel() for value in model.parameters() if value.dim() > 1)
    assert sizes[0] - sizes[1] > 2 * weights  # three of four bytes, less what is added to the graph
    assert str(Path.cwd()) not in (folder / "model.onnx").read_bytes().decode("latin-1")


def test_tokens_are_what_sherpa_onnx_joins_to_the_text() -> None:
    assert list_tokens(Vocabulary(("<blank>", " ", "a", "é"))) == ["<blk>", "▁", "a", "é"]
    assert list_tokens(Vocabulary(("<blank>", "tʃ", "a"), "phones")) == ["<blk>", "▁tʃ", "▁a"]
    assert list_tokens(Vocabulary(("<blank>", "a", "ƙ"))) == ["<blk>", "a", "ƙ", "<中>"]
    assert list_tokens(Vocabulary(("<blank>", "a", "ƙ", "ɓ"))) == ["<blk>", "a", "ƙ", "ɓ"]
    with pytest.raises(InputError, match="'a▁b' contains a space"):
        list_tokens(Vocabulary(("<blank>", "a▁b"), "bpe", b"{"))


def test_what_sherpa_onnx_cannot_do_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnxscript")
    monkeypatch.setattr(torch.onnx, "export", lambda *_, **__: pytest.fail("converted first"))
    classifier, slow = source_model("dnn", task="classify"), source_model("dnn")
    slow.spec = replace(slow.spec, sample_rate_hz=8000)
    save_model(classifier, tmp_path / "classifier", Card("classifier"))
    save_model(slow, tmp_path / "slow", Card("slow"))
    with pytest.raises(InputError, match="the task is classify; sherpa-onnx transcribes"):
        export(str(tmp_path / "classifier"), "sherpa-onnx", tmp_path / "out")
    with pytest.raises(InputError, match="its sampling rate is 8000 Hz, but sherpa-onnx resamples to 16000"):
        export(str(tmp_path / "slow"), "sherpa-onnx", tmp_path / "out")
    with pytest.raises(InputError, match="exists and is not empty"):
        export(str(tmp_path / "slow"), "sherpa-onnx", tmp_path)
    assert not (tmp_path / "out").exists()
