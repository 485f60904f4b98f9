"""Encoders that stream through a cluster; what they make is kept as it comes, so that little is ever done again."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from pipeline_project.domain.core.errors import ComputeExhausted
from pipeline_project.ports.encoders import EncodedFile, FileEncoder, ManyTexts, TextEncoder
from resources.compute.driver import RayDriver, WorkersLost
from resources.compute.jobs import EncodedContent, Encoding, FilesJob, Job, TextsJob

if TYPE_CHECKING:
    from pipeline_project.ports.encoders import StreamedFiles, StreamedTexts
    from pipeline_project.ports.lake import VectorStore
    from pipeline_project.ports.sources import PhotoSource

log = logging.getLogger("pipeline")

#: Texts that are prepared together where the encoder does not say, as in a process, so that batches are the same.
_TEXTS_AT_ONCE = 4096
#: Files that are read together: few enough for a worker's memory, and for every worker to get some.
_FILES_AT_ONCE = 32
#: Contents of a part after the first time that workers died of one, where the spec names no number.
_FEWER = 64
#: Contents that are kept in one commit.
_KEPT_AT_ONCE = {TextsJob: 4096, FilesJob: 512}


@dataclass(frozen=True)
class RayTextEncoder:
    """A text encoder whose streams go through a cluster; `encode` stays in this process.

    Attributes:
        local: the same encoder here, which names version and dimension.
    """

    local: TextEncoder
    encoding: Encoding
    driver: RayDriver

    @property
    def version(self) -> str:
        return self.local.version

    @property
    def dimension(self) -> int:
        return self.local.dimension

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """As the encoder here does."""
        return self.local.encode(texts)

    def stream_texts(self, texts: Mapping[str, str]) -> Iterator[dict[str, np.ndarray]]:
        """As `ports.StreamedTexts`.

        Raises:
            ComputeUnavailable: as `RayDriver.results`.
            ComputeExhausted: a single text takes more memory than a worker has.
        """
        at_once = self.local.texts_at_once if isinstance(self.local, ManyTexts) else _TEXTS_AT_ONCE

        def job(keys: Sequence[str], most: int | None) -> TextsJob:
            encoding = replace(self.encoding, most=most)
            return TextsJob(encoding, {key: texts[key] for key in keys}, at_once)

        for made in _streamed(self.driver, job, list(texts), self.encoding.most):
            yield {one.name: np.frombuffer(one.vector, np.float32) for one in made if one.vector is not None}


@dataclass(frozen=True)
class RayFileEncoder:
    """A file encoder whose streams go through a cluster; `encode` stays in this process.

    Attributes:
        local: as in `RayTextEncoder`.
        source, store: how a worker opens the files, and this machine's node of the cluster the stored vectors.
    """

    local: FileEncoder
    encoding: Encoding
    driver: RayDriver
    source: Callable[[], PhotoSource]
    store: Callable[[], VectorStore]

    @property
    def version(self) -> str:
        return self.local.version

    @property
    def dimension(self) -> int:
        return self.local.dimension

    def encode(self, contents: Sequence[bytes], /) -> tuple[np.ndarray, list[str | None]]:
        """As the encoder here does."""
        return self.local.encode(contents)

    def stream_files(self, paths: Sequence[str]) -> Iterator[list[EncodedFile]]:
        """As `ports.StreamedFiles`.

        Raises:
            As `RayTextEncoder.stream_texts`, of a file.
        """

        def job(left: Sequence[str], most: int | None) -> FilesJob:
            at_once = min(most or _FILES_AT_ONCE, _FILES_AT_ONCE)
            return FilesJob(replace(self.encoding, most=most), left, at_once, self.source, self.store)

        for made in _streamed(self.driver, job, paths, self.encoding.most):
            yield [
                EncodedFile(
                    one.name,
                    one.key,
                    None if one.vector is None else np.frombuffer(one.vector, np.float32),
                    one.problem,
                )
                for one in made
            ]


def _streamed(
    driver: RayDriver, job: Callable[[Sequence[str], int | None], Job], names: Sequence[str], most: int | None
) -> Iterator[list[EncodedContent]]:
    """What came of each content, enough at a time to be kept together; whatever ends it, what came is given first.

    Where workers die of a part, what is left is tried again in parts of half the size.
    """
    left = dict.fromkeys(names)
    while left:
        asked = job(list(left), most)
        kept_at_once = _KEPT_AT_ONCE[type(asked)]
        waiting: list[EncodedContent] = []
        failed: Exception | None = None
        results = driver.results(asked)
        try:
            for made in results:
                waiting += made
                if len(waiting) >= kept_at_once:
                    yield _taken(left, waiting)
                    waiting = []
        except Exception as error:  # noqa: BLE001 - raised again below, once what came is kept
            failed = error
        finally:
            results.close()
        if waiting:
            yield _taken(left, waiting)
        if isinstance(failed, WorkersLost):
            most = _smaller(most, failed)
        elif failed is not None:
            raise failed


def _taken(left: dict[str, None], made: list[EncodedContent]) -> list[EncodedContent]:
    for one in made:
        left.pop(one.name, None)
    return made


def _smaller(most: int | None, lost: WorkersLost) -> int:
    """How many contents a part has the next time.

    Raises:
        ComputeExhausted: it had one.
    """
    if most == 1:
        raise ComputeExhausted(
            "a worker died of a single content as often as it was tried, most likely for memory (exit code 137): give "
            "the nodes more memory, let fewer actors share one (`compute.actors`), or lower `max_pixels` of the "
            "workflow's photos"
        ) from lost
    fewer = _FEWER if most is None else most // 2
    log.warning("workers died of a part; what is left is encoded in parts of %d", fewer)
    return fewer


if TYPE_CHECKING:
    _TEXTS: type[StreamedTexts] = RayTextEncoder
    _FILES: type[StreamedFiles] = RayFileEncoder
