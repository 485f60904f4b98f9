"""The lake, and the store of vectors by content."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

import numpy as np
import pyarrow as pa

from pipeline_project.domain.core.stored_tables import StoredTable


class Lake(Protocol):
    """Delta tables by night; one table per workflow and asset."""

    def read_night(self, workflow: str, asset: str, night: str, version: int | None = None) -> pa.Table | None:
        """The rows of `stored_night`."""
        ...

    def stored_night(self, workflow: str, asset: str, night: str, version: int | None = None) -> StoredTable | None:
        """One night of one table, or None if it was never written.

        Args:
            version: the table's version to read, instead of the newest.
        """
        ...

    def nights(self, workflow: str, asset: str) -> set[str]:
        """Every night that was written, those without a row included."""
        ...

    def night_commits(self, workflow: str, asset: str) -> dict[str, list[tuple[int, datetime]]]:
        """The versions that replaced each night, with their times (UTC), in order; as far back as history is kept."""
        ...

    def read_span(
        self,
        workflow: str,
        asset: str,
        first: str | None,
        before: str,
        columns: Sequence[str] | None = None,
    ) -> pa.Table | None:
        """The nights first <= night < before, in night order; None if there is no table."""
        ...

    def content(self, workflow: str, asset: str, night: str) -> str | None:
        """Which writing of a night stands now (`StoredTable.content`); None if it was never written."""
        ...

    def note(self, workflow: str, asset: str, content: str) -> Mapping[str, str]:
        """What was kept in the commit of one writing of a night (`NotedTable`); empty where nothing was."""
        ...

    def write_output(self, workflow: str, asset: str, night: str, table: pa.Table, spec_hash: str | None) -> int:
        """Replaces one night of what an asset made in one atomic commit and returns the table's new version."""
        ...

    def keyed(self, workflow: str, hashes: Sequence[str]) -> list[str]:
        """Hashes of contents as a workflow's tables hold them: under a key where its fields are personal."""
        ...


class VectorStore(Protocol):
    """Vectors by the content they were encoded from; a content is encoded once per encoder version."""

    def get(self, encoder: str, keys: Sequence[str]) -> dict[str, np.ndarray]:
        """Unit-length float32 vectors of those keys that are stored."""
        ...

    def put(self, encoder: str, vectors: Mapping[str, np.ndarray]) -> None: ...
