"""Which engine computes: by what the spec asks for, what is installed and what the chip can do."""

from __future__ import annotations

from importlib.util import find_spec

from pipeline_project.domain.core.errors import ModelUnavailable
from pipeline_project.domain.vectors.engines import Arithmetic, Engine, Precision
from resources.encoders.engines.machine import has_bfloat16_units
from resources.encoders.engines.network import EngineChoice

_ON_CPU = {
    Engine.TORCH: (Precision.FP32, Precision.BF16),
    Engine.ONNXRUNTIME: (Precision.FP32,),
    Engine.OPENVINO: (Precision.FP32, Precision.BF16, Precision.INT8),
}
_ON_GPU = {Engine.TORCH: (Precision.FP32, Precision.BF16, Precision.FP16)}
#: The extra of this package that brings an engine.
_EXTRAS = {Engine.ONNXRUNTIME: "onnx", Engine.OPENVINO: "openvino"}


def chosen(choice: EngineChoice, device: str, narrow: bool = False) -> Arithmetic:
    """What `auto` stands for here; imports nothing.

    Engines come to the same rate in full precision, within a tenth: multiplying takes nearly all of the time. So what
    is installed beside torch changes no version by itself.

    Args:
        narrow: whether `auto` may choose less than full precision: float16 on a GPU, bfloat16 where the processor has
            units for it.

    Raises:
        ValueError: the engine does not compute in that precision on that device; the message says in which it does.
    """
    on_gpu = device.startswith("cuda")
    # the one engine that has int8, where nobody says which
    usual = Engine.OPENVINO if choice.precision is Precision.INT8 and not on_gpu else Engine.TORCH
    engine = usual if choice.engine is Engine.AUTO else choice.engine
    possible = (_ON_GPU if on_gpu else _ON_CPU).get(engine)
    if possible is None:
        raise ValueError(f"engine {engine} computes on processors; write `engine: torch`, or set PIPELINE_DEVICE=cpu")
    if choice.precision is Precision.AUTO:
        if on_gpu:
            return Arithmetic(engine, Precision.FP16 if narrow else Precision.FP32)
        usable = narrow and Precision.BF16 in possible and has_bfloat16_units()
        return Arithmetic(engine, Precision.BF16 if usable else Precision.FP32)
    if choice.precision not in possible:
        raise ValueError(
            f"engine {engine} does not compute in {choice.precision} on {'a GPU' if on_gpu else 'a processor'}; "
            f"write `precision:` auto, {', '.join(possible)}"
        )
    return Arithmetic(engine, choice.precision)


def require(engine: Engine) -> None:
    """Sees to it that the library of an engine is there, and `onnx`, by which torch writes graphs.

    Raises:
        ModelUnavailable: it is not; the message says how to install it.
    """
    if find_spec(engine) is None or find_spec("onnx") is None:
        raise ModelUnavailable(
            f"the spec names `engine: {engine}`, which is not installed whole; leave `engine` out, or install it: "
            f"pip install '.[{_EXTRAS[engine]}]'"
        )
