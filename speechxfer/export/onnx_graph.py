"""ONNX graphs: samples to log-probabilities, model and front end in one (ONNX operator set 18)."""

import json
from pathlib import Path

from torch import Tensor, nn

from speechxfer.checkpoints import load_model
from speechxfer.errors import InputError
from speechxfer.features import Filterbank
from speechxfer.models import ENCODER_FAMILIES, AcousticModel
from speechxfer.runtime import log_info

OPSET = 18


def export_onnx(name: str, out: Path) -> None:
    """Write one ONNX graph from samples to log-probabilities, front end included, for any batch and length.

    Inputs ``samples`` float32 `[batch, samples]` in [-1, 1] at the model's rate, padded with anything, and ``lengths`` int64
    `[batch]`; outputs ``log_probs`` `[batch, frames, symbols]` and ``frames`` `[batch]`. The symbols, the rate and the rules of
    spelling go into the file's metadata.

    Raises:
        InputError: the extra `onnx` is not installed, or the encoder is a borrowed one, whose code no graph can be made of.
    """
    import torch

    try:
        import onnx
        import onnxscript  # noqa: F401  what torch.onnx writes graphs with
    except ImportError as error:
        raise InputError("ONNX graphs need the extra onnx; pip install 'speechxfer[onnx]'") from error
    model = load_model(name)
    if model.architecture.encoder in ENCODER_FAMILIES:
        raise InputError(
            f"{name}: the encoder {model.architecture.encoder} is code of transformers, of which no graph can be made here; "
            "`--to hf` takes Parakeet and W2v-BERT"
        )
    rate = model.spec.sample_rate_hz
    given = (0.1 * torch.randn(2, rate), torch.tensor([rate, rate // 2]))
    batch = torch.export.Dim("batch", min=1)
    samples = torch.export.Dim("samples", min=model.spec.window_samples)
    program = torch.onnx.export(
        WaveformModel(model).eval(),
        given,
        input_names=["samples", "lengths"],
        output_names=["log_probs", "frames"],
        dynamic_shapes=({0: batch, 1: samples}, {0: batch}),
        dynamo=True,
        opset_version=OPSET,
        verbose=False,
    )
    if program is None:
        raise TypeError("torch.onnx.export gave no program")
    graph = program.model_proto
    told = {
        "sample_rate_hz": str(rate),
        "vocabulary": json.dumps(model.vocabulary.to_dict(), ensure_ascii=False),
        "normalizer": json.dumps(model.normalizer.to_dict(), ensure_ascii=False),
        "task": model.task,
    }
    onnx.helper.set_model_props(graph, told)
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_name(out.name + ".partial")
    partial.write_bytes(graph.SerializeToString())
    partial.replace(out)
    log_info(f"wrote {out}; next: onnxruntime.InferenceSession({str(out)!r})")


class WaveformModel(nn.Module):
    """``forward(samples [batch, samples], lengths [batch]) -> (log-probabilities [batch, frames', symbols], lengths')``."""

    def __init__(self, model: AcousticModel) -> None:
        super().__init__()
        self.front = Filterbank(model.spec, exportable=True)
        self.model = model

    def forward(self, samples: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Samples in [-1, 1] and their numbers to log-probabilities and the numbers of their frames."""
        features, frames = self.front(samples, lengths)
        log_probs, encoded = self.model(features, frames)
        return log_probs, encoded
