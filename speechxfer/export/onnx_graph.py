"""ONNX graphs: samples to log-probabilities, features and model in one graph (ONNX operator set 18)."""

import json
import logging
import warnings
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from speechxfer.checkpoints import load_model
from speechxfer.errors import InputError
from speechxfer.features import Filterbank
from speechxfer.models import ENCODER_FAMILIES, AcousticModel
from speechxfer.runtime import atomic_file, log_info

OPSET = 18


def export_onnx(name: str, out: Path) -> None:
    """Write one ONNX graph from samples to log-probabilities, features included, for any batch size and length.

    Inputs: ``samples`` float32 `[batch, samples]` in [-1, 1] at the model's rate, padded with any values, and ``lengths``
    int64 `[batch]`. Outputs: ``log_probs`` `[batch, frames, symbols]` and ``frames`` `[batch]`. The symbols, the sampling rate
    and the settings of the normaliser are in the file's metadata.

    Raises:
        InputError: the extra `onnx` is not installed, the encoder is one of transformers, which torch cannot convert, or `out`
            cannot be written.
    """
    try:
        import onnx
        import onnxscript  # noqa: F401  torch.onnx needs it
    except ImportError as error:
        raise InputError("ONNX graphs need the extra onnx; pip install 'speechxfer[onnx]'") from error
    model = load_model(name)
    if model.architecture.encoder in ENCODER_FAMILIES:
        raise InputError(
            f"{name}: the encoder {model.architecture.encoder} is code of transformers, which cannot be converted to a graph "
            "here; `--to hf` takes Parakeet and W2v-BERT"
        )
    with atomic_file(out) as partial:  # fails before the conversion, which takes long, if `out` cannot be written
        graph = _convert(model)
        metadata = {
            "sample_rate_hz": str(model.spec.sample_rate_hz),
            "vocabulary": json.dumps(model.vocabulary.to_dict(), ensure_ascii=False),
            "normalizer": json.dumps(model.normalizer.to_dict(), ensure_ascii=False),
            "task": model.task,
        }
        onnx.helper.set_model_props(graph, metadata)
        partial.write_bytes(graph.SerializeToString())
    log_info(f"wrote {out}; next: onnxruntime.InferenceSession({str(out)!r})")


def _convert(model: AcousticModel) -> Any:
    """The graph as a message of ONNX."""
    import torch

    rate = model.spec.sample_rate_hz
    example = (0.1 * torch.randn(2, rate), torch.tensor([rate, rate // 2]))
    batch = torch.export.Dim("batch", min=1)
    samples = torch.export.Dim("samples", min=model.spec.window_samples)
    disabled_level = logging.root.manager.disable
    logging.disable(
        logging.WARNING
    )  # what torch.onnx warns and logs about its own code: the user can do nothing about it
    try:
        with warnings.catch_warnings(action="ignore"):
            program = torch.onnx.export(
                WaveformModel(model).eval(),
                example,
                input_names=["samples", "lengths"],
                output_names=["log_probs", "frames"],
                dynamic_shapes=({0: batch, 1: samples}, {0: batch}),
                dynamo=True,
                opset_version=OPSET,
                verbose=False,
            )
    finally:
        logging.disable(disabled_level)
    if program is None:
        raise TypeError("torch.onnx.export returned no program")
    return program.model_proto


class WaveformModel(nn.Module):
    """A model with its features: samples `[batch, samples]` to log-probabilities `[batch, frames, symbols]`."""

    def __init__(self, model: AcousticModel) -> None:
        super().__init__()
        self.features = Filterbank(model.spec, exportable=True)
        self.model = model

    def forward(self, samples: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Samples in [-1, 1] and lengths `[batch]` in samples to log-probabilities and lengths in encoded frames."""
        log_probs, frames = self.model(*self.features(samples, lengths))
        return log_probs, frames
