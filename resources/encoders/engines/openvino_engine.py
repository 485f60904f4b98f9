"""OpenVINO: a stream for each worker, and a request for each thread that calls."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import numpy as np

from pipeline_project.domain.core.errors import ModelUnavailable
from pipeline_project.domain.vectors.engines import Precision
from pipeline_project.domain.vectors.stored import Floats
from resources.encoders.engines.exported import in_a_line
from resources.encoders.engines.network import Forward, Inputs

if TYPE_CHECKING:
    import openvino

_HINTS = {Precision.FP32: "f32", Precision.BF16: "bf16", Precision.INT8: "f32"}
#: Of int8: this many values of a token share one scale, so that a vector does not depend on the others of its batch.
_GROUP = 32


def openvino_forward(graph: bytes, precision: Precision, workers: int) -> Forward:
    """The forward pass of an ONNX file.

    Raises:
        ModelUnavailable: this version of OpenVINO does not run the file.
    """
    import openvino

    settings = {
        "INFERENCE_PRECISION_HINT": _HINTS[precision],
        "INFERENCE_NUM_THREADS": workers,
        "NUM_STREAMS": workers,
        **({"DYNAMIC_QUANTIZATION_GROUP_SIZE": _GROUP} if precision is Precision.INT8 else {}),
    }
    try:
        core = openvino.Core()
        network = core.read_model(graph)
        if precision is Precision.INT8:
            _quantize_weights(network)
        model = core.compile_model(network, "CPU", settings)
    except RuntimeError as error:
        raise ModelUnavailable(
            f"OpenVINO {openvino.__version__} cannot run this encoder ({in_a_line(error)}); write `engine: torch`"
        ) from error
    own = threading.local()

    def forward(inputs: Inputs) -> Floats:
        if not hasattr(own, "request"):
            own.request = model.create_infer_request()
        own.request.infer(dict(enumerate(inputs)))
        # its tensor is written again by the next call
        return np.array(own.request.get_output_tensor(0).data, np.float32)

    return forward


def _quantize_weights(network: openvino.Model) -> None:
    """Puts the weights of multiplications in 8 bits, with a scale for each output; OpenVINO does the rest."""
    from openvino import opset13 as ops

    for node in network.get_ordered_ops():
        if node.get_type_name() != "MatMul":
            continue
        source = node.input_value(1).get_node()
        if source.get_type_name() != "Constant":
            continue
        weights = np.asarray(source.data, np.float32)
        inner = weights.ndim - (1 if node.get_attributes()["transpose_b"] else 2)
        scales = np.maximum(np.abs(weights).max(axis=inner, keepdims=True), 1e-12) / 127
        stored = ops.constant(np.round(weights / scales).astype(np.int8))
        node.input(1).replace_source_output(ops.multiply(ops.convert(stored, "f32"), ops.constant(scales)).output(0))
