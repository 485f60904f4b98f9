"""OpenVINO: a stream for each worker, and a request for each thread that calls."""

from __future__ import annotations

import threading

import numpy as np

from pipeline_project.domain.core.errors import ModelUnavailable
from pipeline_project.domain.vectors.engines import Precision
from pipeline_project.domain.vectors.stored import Floats
from resources.encoders.engines.exported import in_a_line
from resources.encoders.engines.network import Forward, Inputs

_HINTS = {Precision.FP32: "f32", Precision.BF16: "bf16"}


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
    }
    try:
        core = openvino.Core()
        model = core.compile_model(core.read_model(graph), "CPU", settings)
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
