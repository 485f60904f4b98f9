"""Several encoders of the same photos as one: their vectors side by side."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np

from pipeline_project.domain.core.devices import CPU
from pipeline_project.domain.vectors.stored import Floats, unit
from pipeline_project.ports.encoders import FileEncoder, InTwoSteps, PreparedPart
from resources.encoders.batches import gathered

_LENGTH = struct.Struct("<I")
#: Photos that are handed over together where nobody says how many.
_USUAL_PART = 32


class JoinableEncoder(FileEncoder, InTwoSteps, Protocol):
    """An encoder of photos whose work can be done in two steps."""


class JoinedImageEncoder:
    """What every one of the encoders sees of a photo, each with the same weight in the cosine of two photos.

    Args:
        encoders: at least two; a photo that one of them cannot read has no vector.
    """

    def __init__(self, encoders: Sequence[JoinableEncoder]) -> None:
        self.encoders = tuple(encoders)

    @property
    def version(self) -> str:
        return "+".join(encoder.version for encoder in self.encoders)

    @property
    def dimension(self) -> int:
        return sum(encoder.dimension for encoder in self.encoders)

    @property
    def device(self) -> str:
        """Where the one computes that needs most of a machine."""
        devices = [str(getattr(encoder, "device", CPU)) for encoder in self.encoders]
        return next((device for device in devices if device != CPU), CPU)

    def encode(self, images: Sequence[bytes]) -> tuple[Floats, list[str | None]]:
        """Unit-length float32 vectors, shape (images, dimension), zeros where one failed; and why, or None."""
        parts = [encoder.encode(images) for encoder in self.encoders]
        problems = [next(filter(None, of), None) for of in zip(*(problems for _, problems in parts), strict=True)]
        vectors = _side_by_side([vectors for vectors, _ in parts])
        vectors[[problem is not None for problem in problems]] = 0
        return vectors, problems

    def prepare(self, images: Sequence[bytes], most: int | None = None) -> tuple[list[PreparedPart], dict[int, str]]:
        """What each encoder prepares of a photo, one after the other, for `encode_prepared`."""
        problems: dict[int, str] = {}
        contents: list[dict[int, bytes]] = []
        for encoder in self.encoders:
            parts, failed = encoder.prepare(images, most)
            problems = failed | problems
            contents.append({place: of for part in parts for place, of in zip(part.places, part.contents, strict=True)})
        together = {
            place: b"".join(_LENGTH.pack(len(of[place])) + of[place] for of in contents)
            for place in range(len(images))
            if place not in problems
        }
        grouped = gathered([[place] for place in together], most or _USUAL_PART, cut=True)
        return [PreparedPart(part, [together[place] for place in part]) for part in grouped], problems

    def encode_prepared(self, prepared: Sequence[bytes]) -> Floats:
        """As `encode`, of photos that could be read."""
        apart = [list(_apart(photo)) for photo in prepared]
        return _side_by_side(
            [
                np.asarray(encoder.encode_prepared([of[place] for of in apart]), np.float32)
                for place, encoder in enumerate(self.encoders)
            ]
        )


def _apart(prepared: bytes) -> Iterator[bytes]:
    start = 0
    while start < len(prepared):
        (length,) = _LENGTH.unpack_from(prepared, start)
        start += _LENGTH.size
        yield prepared[start : start + length]
        start += length


def _side_by_side(vectors: Sequence[Floats]) -> Floats:
    return unit(np.concatenate(vectors, axis=1))
