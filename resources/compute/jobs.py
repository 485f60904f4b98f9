"""What is handed to the process that speaks with Ray, and what comes back; everything in it can be pickled."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline_project.ports.encoders import FileEncoder, TextEncoder
    from pipeline_project.ports.lake import VectorStore
    from pipeline_project.ports.sources import PhotoSource


@dataclass(frozen=True)
class Encoding:
    """How contents are encoded, whatever they are.

    Attributes:
        make: the encoder, in whichever process it is wanted; module and arguments travel, no weights.
        version: what the encoder must call itself there too.
        on_gpu: every actor is given a GPU.
        actors: at most; None for as many as the cluster has room for.
        most: contents of a part; None for as many as do not change a vector.
    """

    make: Callable[[], TextEncoder | FileEncoder]
    version: str
    on_gpu: bool = False
    actors: int | None = None
    most: int | None = None


@dataclass(frozen=True)
class TextsJob:
    """Texts by key, none of which is stored; `at_once` of them are prepared together, as in a process."""

    encoding: Encoding
    texts: Mapping[str, str]
    at_once: int


@dataclass(frozen=True)
class FilesJob:
    """Files by path, `at_once` of which are read together; of what `store` has nothing is decoded."""

    encoding: Encoding
    paths: Sequence[str]
    at_once: int
    source: Callable[[], PhotoSource]
    store: Callable[[], VectorStore]


@dataclass(frozen=True)
class CallsJob:
    """`function(part, *shared)` of each part, in their order."""

    function: Callable[..., Any]
    parts: Sequence[Any]
    shared: Sequence[Any]
    on_gpu: bool = False


Job = TextsJob | FilesJob | CallsJob


@dataclass(frozen=True)
class EncodedContent:
    """What came of one content.

    Attributes:
        name: the key of a text, the path of a file.
        key: of the content, None where it could not be read.
        vector: float32 as bytes, or None.
        problem: why it failed, or None.
    """

    name: str
    key: str | None
    vector: bytes | None
    problem: str | None


class Reply(StrEnum):
    """What a message from that process is."""

    RESULT = "result"
    END = "end"
    #: an exception that the work itself raised
    RAISED = "raised"
    #: workers died of a part, as often as it was tried
    LOST = "lost"
    #: the cluster cannot do the job; in words
    UNAVAILABLE = "unavailable"
