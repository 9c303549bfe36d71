"""Weights of 8 bits in ONNX graphs, a scale for each row or column; the matrices of the features keep their 32 bits.

Matrix products are computed in 8 bits, by onnxruntime's dynamic quantisation; their weights are unsigned, because products of
unsigned and signed numbers saturate on older processors (onnxruntime's documentation, 'Quantize ONNX models'). Convolutions are
stored in 8 bits and computed in 32, which is faster.
"""

import logging
from pathlib import Path
from typing import Any

import numpy as np

from speechxfer.runtime import import_extra


def quantize(graph: Any, out: Path) -> None:
    """Write a graph (a message of ONNX) with the weights of its network in 8 bits: a quarter of the size."""
    import onnx

    library = import_extra("onnxruntime.quantization", "onnx", "weights of 8 bits")
    features = [node.name for node in graph.graph.node if any(name.startswith("features.") for name in node.input)]
    disabled_level = logging.root.manager.disable
    logging.disable(logging.WARNING)  # advice about static quantisation
    try:
        library.quantize_dynamic(
            graph,
            out,
            op_types_to_quantize=["MatMul"],
            per_channel=True,
            weight_type=library.QuantType.QUInt8,
            nodes_to_exclude=features,
            extra_options={"MatMulConstBOnly": True},
        )
    finally:
        logging.disable(disabled_level)
    quantized = onnx.load(out)
    _store_convolutions(quantized.graph)
    onnx.save(quantized, out)


def _store_convolutions(graph: Any) -> None:
    """Replace the weights of convolutions, `[channels, ...]`, by whole numbers and a scale for each channel."""
    from onnx import helper, numpy_helper

    names = {node.input[1] for node in graph.node if node.op_type == "Conv"}
    for stored in [one for one in graph.initializer if one.name in names]:
        weights = numpy_helper.to_array(stored)
        largest = np.abs(weights).reshape(len(weights), -1).max(axis=1)
        scales = np.maximum(largest, np.finfo(np.float32).tiny).astype(np.float32) / 127
        numbers = np.rint(weights / scales.reshape(-1, *[1] * (weights.ndim - 1))).astype(np.int8)
        inputs = [f"{stored.name}_numbers", f"{stored.name}_scales"]
        graph.initializer.remove(stored)
        graph.initializer.extend(map(numpy_helper.from_array, (numbers, scales), inputs))
        graph.node.insert(0, helper.make_node("DequantizeLinear", inputs, [stored.name], axis=0))
