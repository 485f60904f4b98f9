"""In which library and in which numbers an encoder computes: part of what a vector depends on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Engine(StrEnum):
    """Libraries that run an encoder."""

    AUTO = "auto"
    TORCH = "torch"
    ONNXRUNTIME = "onnxruntime"
    OPENVINO = "openvino"


class Precision(StrEnum):
    """Numbers in which an encoder multiplies its matrices."""

    AUTO = "auto"
    FP32 = "fp32"
    BF16 = "bf16"
    FP16 = "fp16"
    INT8 = "int8"


#: The least cosine to the vectors of full precision that is accepted where the spec says nothing.
LEAST_COSINE: Mapping[Precision, float] = {
    Precision.FP32: 0.9999,
    Precision.BF16: 0.9999,
    Precision.FP16: 0.9999,
    Precision.INT8: 0.993,
}


@dataclass(frozen=True)
class Arithmetic:
    """What was chosen: neither part is `auto`."""

    engine: Engine
    precision: Precision

    @property
    def exact(self) -> bool:
        """Whether it is what the others are compared with."""
        return self == EXACT

    @property
    def suffix(self) -> str:
        """What it adds to an encoder's version; the vectors of full precision in torch are those of the bare name."""
        return "" if self.exact else f"-{self.engine}-{self.precision}"


EXACT = Arithmetic(Engine.TORCH, Precision.FP32)


def asked(engine: Engine, precision: Precision) -> str:
    """What a spec asks for beside its encoder, as part of a step's code version; empty where it leaves both open."""
    return "" if (engine, precision) == (Engine.AUTO, Precision.AUTO) else f" {engine} {precision}"
