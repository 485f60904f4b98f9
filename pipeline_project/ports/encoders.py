"""What makes vectors of the contents of cases."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

if TYPE_CHECKING:
    # each worker of a cluster imports this module, and reading specs takes longer than all the rest
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


@dataclass(frozen=True)
class PreparedPart:
    """Contents whose vectors are the same bits whether they are encoded with others or apart.

    Attributes:
        places: where each stands among the contents that were prepared.
        contents: what `encode_prepared` takes of each.
    """

    places: list[int]
    contents: list[bytes]


@runtime_checkable
class InTwoSteps(Protocol):
    """An encoder whose work for processors can be done elsewhere than the rest: tokens of texts, pixels of photos."""

    def prepare(self, contents: Sequence[Any], most: int | None, /) -> tuple[list[PreparedPart], dict[int, str]]:
        """The contents that can be encoded, in parts, and by its place why another one cannot.

        Args:
            most: contents of a part; None for as many as do not change a vector.
        """
        ...

    def encode_prepared(self, prepared: Sequence[bytes], /) -> np.ndarray:
        """Unit-length float32, shape (prepared, dimension), as `encode` of the contents."""
        ...


@dataclass(frozen=True)
class EncodedFile:
    """What came of one file.

    Attributes:
        key: of its content, None where it could not be read.
        vector: None where it failed, and where the content is stored or another file's that is encoded.
        problem: why it failed, or None.
    """

    path: str
    key: str | None
    vector: np.ndarray | None
    problem: str | None


@runtime_checkable
class StreamedTexts(Protocol):
    """A text encoder that works elsewhere and gives vectors as they come."""

    def stream_texts(self, texts: Mapping[str, str]) -> Iterator[Mapping[str, np.ndarray]]:
        """Vectors by the keys of `texts`, each once, in any order; what came is kept before more is asked for."""
        ...


@runtime_checkable
class StreamedFiles(Protocol):
    """A file encoder that reads elsewhere, asks there what is stored, and gives vectors as they come."""

    def stream_files(self, paths: Sequence[str]) -> Iterator[Sequence[EncodedFile]]:
        """What came of each path, each once, in any order; what came is kept before more is asked for."""
        ...


class Encoders(Protocol):
    """The encoders that a spec names."""

    def inline(self, spec: WorkflowSpec, modality: InlineModality) -> TextEncoder: ...

    def files(self, spec: WorkflowSpec, modality: FileModality) -> FileEncoder: ...

    def version(self, spec: WorkflowSpec, modality: Modality) -> str:
        """Of the encoder of one of the workflow's modalities."""
        ...
