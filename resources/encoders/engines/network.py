"""A model as engines take it, and what they make of it: a forward pass on numpy's arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pipeline_project.domain.vectors.engines import Arithmetic, Engine, Precision
from pipeline_project.domain.vectors.stored import Floats

#: What one batch is made of, each of shape (contents, …): token ids and attention mask, or pixels.
Inputs = Sequence[npt.NDArray[np.generic]]
#: `Inputs` to vectors of shape (contents, dimension), not yet of length one. Several threads may call it at once.
Forward = Callable[[Inputs], Floats]


@dataclass(frozen=True)
class EngineChoice:
    """What a spec asks for, and where a home remembers what it came to.

    Attributes:
        least_cosine: None for the usual limit of the precision.
        folder: for exported graphs and the results of comparisons; None keeps them in this process alone.
    """

    engine: Engine = Engine.AUTO
    precision: Precision = Precision.AUTO
    least_cosine: float | None = None
    folder: Path | None = None

    @property
    def asks(self) -> bool:
        """Whether an engine or a precision is named."""
        return self.engine is not Engine.AUTO or self.precision is not Precision.AUTO


#: What a spec asks for that says nothing of engines.
USUAL = EngineChoice()


@dataclass(frozen=True)
class Network:
    """The weights of one model and the ways to run them; making one loads nothing.

    Attributes:
        identity: changes whenever the weights do.
        in_torch: the forward pass of torch in these numbers on this device.
        graph: the same in full precision as an ONNX file. Raises ModelUnavailable where there is none.
        samples: fixed batches, padding included, on which engines are compared.
    """

    identity: str
    in_torch: Callable[[Precision, str], Forward]
    graph: Callable[[], bytes]
    samples: Callable[[], Sequence[Inputs]]


@dataclass(frozen=True)
class Prepared:
    """A network ready to compute.

    Attributes:
        workers: how many threads may call `forward` at once with gain.
    """

    forward: Forward
    arithmetic: Arithmetic
    workers: int
