"""Engines: a network's forward pass in torch, ONNX Runtime or OpenVINO, compared with full precision before use.

    chosen     what `engine` and `precision` of a spec stand for here, without importing anything
    prepared   the forward pass, once it was seen to agree

Another engine is a line in `_FORWARD`, its precisions in `choice.py` and an extra in pyproject.toml.
"""

from __future__ import annotations

import hashlib

from pipeline_project.domain.vectors.engines import LEAST_COSINE, Arithmetic, Engine, Precision
from resources.encoders.engines.choice import chosen, require
from resources.encoders.engines.comparison import Compared, accept, agreement, remember, remembered
from resources.encoders.engines.exported import kept_graph
from resources.encoders.engines.machine import cores
from resources.encoders.engines.network import USUAL, EngineChoice, Forward, Inputs, Network, Prepared
from resources.encoders.engines.onnxruntime_engine import onnxruntime_forward
from resources.encoders.engines.openvino_engine import openvino_forward

__all__ = ["USUAL", "EngineChoice", "Forward", "Inputs", "Network", "Prepared", "chosen", "prepared"]

_FROM_GRAPH = {
    Engine.ONNXRUNTIME: lambda graph, precision, workers: onnxruntime_forward(graph),
    Engine.OPENVINO: openvino_forward,
}


def prepared(network: Network, arithmetic: Arithmetic, choice: EngineChoice, device: str) -> Prepared:
    """The network, ready to compute.

    Where the arithmetic is not torch in full precision, its vectors of fixed samples are compared with those; the
    result is remembered in the choice's folder, so that later processes only read it.

    Raises:
        ModelUnavailable: the engine is not installed or cannot run the network, its vectors lie too far from those of
            full precision, or there is no such device.
    """
    workers = 1 if device.startswith("cuda") else cores()
    forward, weights = _forward(network, arithmetic, choice, device, workers)
    if not arithmetic.exact:
        least = LEAST_COSINE[arithmetic.precision] if choice.least_cosine is None else choice.least_cosine
        compared = Compared(arithmetic, weights, device)
        result = remembered(choice.folder, compared)
        if result is None:
            result = agreement(network.samples(), forward, network.in_torch(Precision.FP32, device))
            remember(choice.folder, compared, result)
        accept(result, least, arithmetic)
    return Prepared(forward, arithmetic, workers)


def _forward(
    network: Network, arithmetic: Arithmetic, choice: EngineChoice, device: str, workers: int
) -> tuple[Forward, str]:
    """The forward pass, and a name for the weights that it was made of."""
    if arithmetic.engine is Engine.TORCH:
        return network.in_torch(arithmetic.precision, device), network.identity
    require(arithmetic.engine)
    graph = kept_graph(choice.folder, network.identity, network.graph)
    made = _FROM_GRAPH[arithmetic.engine](graph, arithmetic.precision, workers)
    return made, f"{network.identity} {hashlib.sha256(graph).hexdigest()}"
