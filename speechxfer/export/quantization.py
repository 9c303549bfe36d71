"""Weights of 8 bits in ONNX graphs: dynamic quantisation of onnxruntime, a scale per column of each weight matrix.

The matrices of the features keep their 32 bits; so do convolutions, which are a few percent of the weights.
"""

import logging
from pathlib import Path
from typing import Any

from speechxfer.runtime import import_extra


def quantize(graph: Any, out: Path) -> None:
    """Write a graph (a message of ONNX) with the matrices of its network in 8 bits; a quarter of the size."""
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
