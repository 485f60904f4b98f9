"""An engine's vectors beside those of full precision, before any of them is used: once per home and machine kind."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path

import numpy as np

from pipeline_project.domain.core.errors import ModelUnavailable
from pipeline_project.domain.vectors.engines import Arithmetic
from pipeline_project.domain.vectors.stored import unit
from resources.encoders.engines.exported import keep, safe_name
from resources.encoders.engines.machine import machine_kind
from resources.encoders.engines.network import Forward, Inputs

#: Part of what is remembered: another one when the samples or a forward pass of ours compute otherwise.
_ROUND = "1"


@dataclass(frozen=True)
class VectorAgreement:
    """Cosines of an engine's vectors to those of full precision, over the fixed samples.

    Attributes:
        least, mean: of all of them; 0 where a vector is of no numbers.
    """

    least: float
    mean: float


@dataclass(frozen=True)
class Compared:
    """What is compared: the name under which the result is remembered.

    Attributes:
        weights: the network's identity, and the hash of its graph where the engine reads one.
        device: where it computes.
    """

    arithmetic: Arithmetic
    weights: str
    device: str

    @property
    def name(self) -> str:
        library = metadata.version(self.arithmetic.engine)
        parts = [_ROUND, self.arithmetic.engine, self.arithmetic.precision, library, self.weights, self.device]
        return safe_name("\n".join([*parts, machine_kind()]))


def agreement(samples: Sequence[Inputs], forward: Forward, exact: Forward) -> VectorAgreement:
    """Both forward passes over the samples."""
    cosines = np.concatenate([(unit(forward(batch)) * unit(exact(batch))).sum(axis=1) for batch in samples])
    return VectorAgreement(float(cosines.min()), float(cosines.mean()))


def remembered(folder: Path | None, compared: Compared) -> VectorAgreement | None:
    """What an earlier comparison came to; None where there was none, or its file is not readable."""
    if folder is None:
        return None
    try:
        document = json.loads((folder / "compared" / f"{compared.name}.json").read_text(encoding="utf-8"))
        return VectorAgreement(float(document["least"]), float(document["mean"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def remember(folder: Path | None, compared: Compared, result: VectorAgreement) -> None:
    """Keeps a result for later processes of this home."""
    if folder is not None:
        document = {**asdict(result), **asdict(compared.arithmetic), "weights": compared.weights}
        keep(folder / "compared" / f"{compared.name}.json", json.dumps(document, indent=1).encode())


def accept(result: VectorAgreement, least: float, arithmetic: Arithmetic) -> None:
    """Lets an engine's vectors be used.

    Raises:
        ModelUnavailable: they are further from full precision than the limit allows.
    """
    if result.least < least:
        raise ModelUnavailable(
            f"vectors of {arithmetic.engine} in {arithmetic.precision} have a cosine of {result.least:.5f} (mean "
            f"{result.mean:.5f}) to those of full precision on the fixed samples, and {least} is the least that is "
            "accepted; write `engine: torch` and `precision: fp32`, or a lower `least_cosine` where that is enough"
        )
