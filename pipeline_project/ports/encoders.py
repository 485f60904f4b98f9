"""What makes vectors of the contents of cases."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np

from pipeline_project.domain.vectors.modalities import FileModality, InlineModality, Modality
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


@runtime_checkable
class ManyTexts(Protocol):
    """A text encoder that says how many texts it is best given at once."""

    @property
    def texts_at_once(self) -> int: ...


class FileEncoder(Protocol):
    """Turns the contents of files into vectors."""

    @property
    def version(self) -> str: ...

    @property
    def dimension(self) -> int: ...

    def encode(self, contents: Sequence[bytes], /) -> tuple[np.ndarray, list[str | None]]:
        """Unit-length float32 vectors (zeros where a file failed) and, aligned, why each failed or None."""
        ...


class Encoders(Protocol):
    """The encoders that a spec names."""

    def inline(self, spec: WorkflowSpec, modality: InlineModality) -> TextEncoder: ...

    def files(self, spec: WorkflowSpec, modality: FileModality) -> FileEncoder: ...

    def version(self, spec: WorkflowSpec, modality: Modality) -> str:
        """Of the encoder of one of the workflow's modalities."""
        ...
