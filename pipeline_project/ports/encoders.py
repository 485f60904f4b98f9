"""What makes vectors of texts and photos."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np

from pipeline_project.spec import WorkflowSpec


@runtime_checkable
class TextEncoder(Protocol):
    """Turns texts into vectors."""

    @property
    def version(self) -> str:
        """Changes whenever the same text could give another vector."""
        ...

    @property
    def dimension(self) -> int: ...

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Unit-length float32, shape (texts, dimension), aligned with `texts`."""
        ...


class ImageEncoder(Protocol):
    """Turns photos into vectors."""

    @property
    def version(self) -> str: ...

    @property
    def dimension(self) -> int: ...

    def encode(self, images: Sequence[bytes]) -> tuple[np.ndarray, list[str | None]]:
        """Unit-length float32 vectors (zeros where a photo failed) and, aligned, why each failed or None."""
        ...


class Encoders(Protocol):
    """The encoders that a spec names."""

    def text(self, spec: WorkflowSpec) -> TextEncoder: ...

    def image(self, spec: WorkflowSpec) -> ImageEncoder: ...
