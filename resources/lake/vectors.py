"""Vectors by content: what was encoded once is never encoded again, by any run, night or workflow."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence, Set
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline_project.domain.vectors.stored import pack, unpack
from resources.lake.delta import DeltaStore, Tidied, checked, reachable, verify_once

if TYPE_CHECKING:
    from deltalake import DeltaTable
    from deltalake.transaction import AddAction, RemoveAction

    from pipeline_project.ports.lake import VectorStore

_SCHEMA = pa.schema([pa.field("key", pa.binary()), pa.field("vector", pa.binary())])
#: Rows of a file that is written anew, about.
_ROWS_AT_ONCE = 200_000


class LakeVectorStore:
    """`ports.VectorStore` as one Delta table per encoder version, `<url>/_vectors/<encoder>`.

    A row is a key and a vector of little-endian 16-bit floats. What `get` returns is therefore rounded; whoever
    uses a vector fresh from its encoder passes it through `domain.vectors.as_stored`, so that a first run and a
    second one compute with the same bits. Unit length holds to about 0.001.

    Files never change once written, so the keys of each are read once per process and kept (some 70 bytes a key).

    Args:
        url: a local folder or an object store's URL.
        storage_options: passed to delta-rs as they are.
        store: instead of both, for tests that replace waiting.
    """

    def __init__(
        self, url: str, storage_options: Mapping[str, str] | None = None, store: DeltaStore | None = None
    ) -> None:
        self.store = store or DeltaStore(url, storage_options or {})
        self._keys: dict[str, pa.ChunkedArray] = {}

    def uri(self, encoder: str) -> str:
        """Where an encoder version's vectors live. Versions that differ at all never share a table."""
        slug = re.sub(r"[^a-z0-9]+", "-", encoder.lower()).strip("-")[:60]
        return self.store.uri("_vectors", f"v_{slug}-{hashlib.sha256(encoder.encode()).hexdigest()[:12]}")

    def get(self, encoder: str, keys: Sequence[str]) -> dict[str, np.ndarray]:
        """Float32 vectors, shape (dimension,), of those keys that are stored.

        Raises:
            LakeUnavailable: the store cannot be read.
        """
        table = self.store.open(self.uri(encoder)) if keys else None
        return {} if table is None else self._read(table, keys)

    def put(self, encoder: str, vectors: Mapping[str, np.ndarray]) -> None:
        """Adds the vectors whose keys are not stored yet, in one commit; stored ones stay as they are.

        Raises:
            ValueError: a vector is not finite, or they differ in dimension.
            LakeUnavailable: no room, no permission, no store; nothing was added.
        """
        if not vectors:
            return
        rows = np.stack([np.asarray(vector) for vector in vectors.values()])
        # A zero row packs to null, "nothing there"; here its key says that it is there.
        packed = dict(zip(vectors, pack(rows).fill_null(bytes(2 * rows.shape[1])).to_pylist(), strict=True))
        uri = self.uri(encoder)

        def append(table: DeltaTable | None) -> None:
            table = self.store.create(uri, _SCHEMA, []) if table is None else table
            stored = {key for _, _, names in self._find(table, list(packed)) for key in names}
            self._append(table, uri, {key: vector for key, vector in packed.items() if key not in stored})

        self.store.commit(uri, append)

    def tidy(self, encoder: str, keep_days: int = 7) -> Tidied:
        """Merges the files of many nights into one, which makes `get` quicker, and deletes what was merged."""
        return self.store.tidy(self.uri(encoder), keep_days)

    def drop_unnamed(self, uri: str, named: Set[bytes], before: datetime, dry: bool = False) -> int:
        """Takes the vectors away whose keys are not named, as far as they were added before a moment; says how many.

        One commit, which a `put` at the same time makes begin again. A vector that is needed after all is encoded anew.

        Args:
            uri: of an encoder's table.
        """
        until = int(before.timestamp() * 1000)

        def drop(table: DeltaTable | None) -> int:
            if table is None:
                return 0
            adds = pa.table(table.get_add_actions(flatten=True))
            times = adds["modification_time"].cast(pa.int64()).to_pylist()
            old = {path for path, time in zip(adds["path"].to_pylist(), times, strict=True) if time < until}
            with reachable(uri, "read"):
                parts = list(table.to_pyarrow_dataset().get_fragments())
            unnamed = {part.path: self._unnamed(uri, part, named) for part in parts if part.path in old}
            count = sum(len(rows) for rows in unnamed.values())
            if count and not dry:
                self._rewrite(table, uri, parts, unnamed)
            return count

        return self.store.commit(uri, drop)

    def _unnamed(self, uri: str, part: Any, named: Set[bytes]) -> set[int]:
        return {row for row, key in enumerate(self._keys_of(uri, part).to_pylist()) if key not in named}

    def _rewrite(self, table: DeltaTable, uri: str, parts: Sequence[Any], without: Mapping[str, Set[int]]) -> None:
        """The whole table in as few files as may be, some rows left out; memory holds one new file."""
        from deltalake import CommitProperties, Transaction

        added: list[AddAction | RemoveAction] = []
        held = [_SCHEMA.empty_table()]
        for part in parts:
            verify_once([part])
            with reachable(uri, "read"):
                rows = part.to_table(fragment_scan_options=checked()).cast(_SCHEMA)
            kept = np.setdiff1d(np.arange(rows.num_rows), np.fromiter(without.get(part.path, ()), int))
            held.append(rows.take(pa.array(kept)))
            if sum(map(len, held)) >= _ROWS_AT_ONCE:
                added.append(self._add_rows(uri, pa.concat_tables(held)))
                held = []
        if sum(map(len, held)) or not added:
            added.append(self._add_rows(uri, pa.concat_tables(held)))
        table.create_write_transaction(
            added,
            mode="overwrite",
            schema=table.schema(),
            commit_properties=CommitProperties(app_transactions=[Transaction("put", table.version() + 1)]),
        )

    def _add_rows(self, uri: str, rows: pa.Table) -> AddAction:
        # Hashes and vectors do not compress; small row groups let `get` read near the wanted rows only.
        return self.store.add_file(uri, rows, {}, compression="none", use_dictionary=False, row_group_size=2048)

    def _append(self, table: DeltaTable, uri: str, packed: Mapping[str, bytes]) -> None:
        from deltalake import CommitProperties, Transaction

        if not packed:
            return
        keys = pa.array([key.encode() for key in packed], pa.binary())
        rows = pa.table([keys, pa.array(packed.values(), pa.binary())], schema=_SCHEMA)
        added = self._add_rows(uri, rows)
        table.create_write_transaction(
            [added],
            mode="append",
            schema=table.schema(),
            # Two writers that both did not see a key would add it twice: one transaction name makes them conflict,
            # and the later one looks again.
            commit_properties=CommitProperties(app_transactions=[Transaction("put", table.version() + 1)]),
        )

    def _read(self, table: DeltaTable, keys: Sequence[str]) -> dict[str, np.ndarray]:
        by_key: dict[str, np.ndarray] = {}
        for part, rows, names in self._find(table, keys):
            with reachable(table.table_uri, "read"):
                vectors = unpack(_take(part, rows))
            by_key.update(zip(names, vectors, strict=True))
        return by_key

    def _find(self, table: DeltaTable, keys: Sequence[str]) -> list[tuple[Any, np.ndarray, list[str]]]:
        """Where the keys are: per file, the file, row numbers in rising order, and the keys in the same order."""
        wanted = pa.array([key.encode() for key in keys], pa.binary())
        with reachable(table.table_uri, "read"):
            parts = list(table.to_pyarrow_dataset().get_fragments())
            self._forget(table.table_uri, {part.path for part in parts})
            held = [(part, self._keys_of(table.table_uri, part)) for part in parts]
        places = []
        for part, stored in held:
            which = pc.index_in(stored, value_set=wanted)
            rows = np.flatnonzero(which.is_valid().to_numpy())
            if len(rows):
                places.append((part, rows, [keys[int(i)] for i in which.drop_null().to_numpy()]))
        return places

    def _keys_of(self, uri: str, part: Any) -> pa.ChunkedArray:
        path = f"{uri} {part.path}"
        if path not in self._keys:
            verify_once([part])
            self._keys[path] = part.to_table(columns=["key"], fragment_scan_options=checked())["key"]
        return self._keys[path]

    def _forget(self, uri: str, paths: set[str]) -> None:
        """Lets go of the keys of files that are no longer part of the table."""
        for path in [path for path in self._keys if path.startswith(f"{uri} ")]:
            if path.removeprefix(f"{uri} ") not in paths:
                self._keys.pop(path, None)


if TYPE_CHECKING:
    _CONFORMS: type[VectorStore] = LakeVectorStore


def _take(part: Any, rows: np.ndarray) -> pa.ChunkedArray:
    """The vectors at these row numbers of one file, reading only the row groups that hold them."""
    ends = np.cumsum([group.num_rows for group in part.row_groups])
    groups = np.searchsorted(ends, rows, side="right")
    needed = np.unique(groups)
    starts = np.concatenate([[0], ends])[:-1]
    # Where each needed group begins once the others are left out.
    begins = np.concatenate([[0], np.cumsum([part.row_groups[i].num_rows for i in needed])])[:-1]
    local = rows - starts[groups] + begins[np.searchsorted(needed, groups)]
    column = part.subset(row_group_ids=needed.tolist()).to_table(columns=["vector"], fragment_scan_options=checked())[
        "vector"
    ]
    return column.take(pa.array(local))
