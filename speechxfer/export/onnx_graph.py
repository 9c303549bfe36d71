"""ONNX graphs: samples to log-probabilities, features and model in one graph (ONNX operator set 18)."""

import json
import logging
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from speechxfer.checkpoints import load_model
from speechxfer.errors import InputError
from speechxfer.features import Filterbank
from speechxfer.models import AcousticModel, TransformersEncoder
from speechxfer.runtime import atomic_file, import_extra, log_info

OPSET = 18


def export_onnx(name: str, out: Path) -> None:
    """Write one ONNX graph from samples to log-probabilities, features included, for any batch size and length.

    Inputs: ``samples`` float32 `[batch, samples]` in [-1, 1] at the model's rate, padded with any values, and ``lengths``
    int64 `[batch]`. Outputs: ``log_probs`` `[batch, frames, symbols]` and ``frames`` `[batch]`. The symbols, the sampling rate
    and the settings of the normaliser are in the file's metadata.

    Raises:
        InputError: the extra `onnx` is not installed, the encoder is one that torch cannot convert, or `out` cannot be written.
    """
    model = load_for_graph(name)
    with atomic_file(out) as partial:  # fails before the conversion, which takes long, if `out` cannot be written
        partial.write_bytes(waveform_graph(model).SerializeToString())
    log_info(f"wrote {out}; next: onnxruntime.InferenceSession({str(out)!r})")


def load_for_graph(name: str) -> AcousticModel:
    """The model in evaluation mode; InputError if what writes graphs is not installed."""
    for package in ("onnx", "onnxscript"):  # torch.onnx needs both
        import_extra(package, "onnx", "ONNX graphs")
    model = load_model(name).eval()
    if isinstance(model.encoder, TransformersEncoder):
        model.encoder.network.set_attn_implementation("eager")  # the others' code cannot be converted
    return model


def waveform_graph(model: AcousticModel) -> Any:
    """The graph that `export_onnx` describes, as a message of ONNX."""
    import onnx

    rate = model.spec.sample_rate_hz
    example = {"samples": 0.1 * torch.randn(2, rate), "lengths": torch.tensor([rate, rate // 2])}
    batch = torch.export.Dim("batch", min=1)
    samples = torch.export.Dim("samples", min=model.spec.window_samples)
    shapes = {"samples": {0: batch, 1: samples}, "lengths": {0: batch}}
    graph = convert(WaveformModel(model), example, shapes, ["log_probs", "frames"])
    metadata = {
        "sample_rate_hz": str(rate),
        "vocabulary": json.dumps(model.vocabulary.to_dict(), ensure_ascii=False),
        "normalizer": json.dumps(model.normalizer.to_dict(), ensure_ascii=False),
        "task": model.task,
    }
    onnx.helper.set_model_props(graph, metadata)
    return graph


def convert(
    network: nn.Module, example: Mapping[str, Tensor], shapes: Mapping[str, Any], outputs: Sequence[str]
) -> Any:
    """A network as a message of ONNX, without what torch notes about its own code.

    Args:
        network: takes the values of `example` in their order.
        example: inputs by name.
        shapes: of each input the dimensions that may vary.
        outputs: names.

    Raises:
        InputError: torch cannot convert the network.
    """
    log_info("converting the model, which takes about half a minute")
    disabled_level = logging.root.manager.disable
    logging.disable(logging.WARNING)  # what torch.onnx says about its own code: the user can do nothing about it
    try:
        with warnings.catch_warnings(action="ignore"):
            program = torch.onnx.export(
                network.eval(),
                tuple(example.values()),
                input_names=list(example),
                output_names=list(outputs),
                dynamic_shapes=tuple(shapes.values()),
                dynamo=True,
                opset_version=OPSET,
                verbose=False,
            )
    except torch.onnx.OnnxExporterError as error:
        cause = str(error.__cause__ or error).partition("\n")[0]
        raise InputError(f"torch {torch.__version__} cannot convert this model to a graph: {cause}") from error
    finally:
        logging.disable(disabled_level)
    if program is None:
        raise TypeError("torch.onnx.export returned no program")
    graph = program.model_proto
    for part in (graph.graph, *graph.graph.node, *graph.graph.input, *graph.graph.output):
        part.ClearField("metadata_props")  # stack traces with this machine's paths: a tenth of the file
    del graph.graph.value_info[:]
    return graph


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
