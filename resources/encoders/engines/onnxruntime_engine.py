"""ONNX Runtime: one session, called by several threads, each of which computes alone."""

from __future__ import annotations

from pipeline_project.domain.core.errors import ModelUnavailable
from pipeline_project.domain.vectors.stored import Floats
from resources.encoders.engines.exported import in_a_line
from resources.encoders.engines.network import Forward, Inputs

#: Errors and worse: what its optimizer leaves out is no news.
_ERRORS = 3


def onnxruntime_forward(graph: bytes) -> Forward:
    """The forward pass of an ONNX file.

    Raises:
        ModelUnavailable: this version of ONNX Runtime does not run the file.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = _ERRORS
    try:
        session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise ModelUnavailable(
            f"ONNX Runtime {onnxruntime.__version__} cannot run this encoder ({type(error).__name__}: "
            f"{in_a_line(error)}); write `engine: torch`"
        ) from error
    names = [declared.name for declared in session.get_inputs()]

    def forward(inputs: Inputs) -> Floats:
        vectors: Floats = session.run(None, dict(zip(names, inputs, strict=True)))[0]
        return vectors

    return forward
