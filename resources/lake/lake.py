"""The lake: one Delta table per workflow and asset, a night replaced whole in one commit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from pipeline_project.domain.core.errors import CadenceChanged, LakeDamaged, LakeSchemaChanged, LakeUnavailable
from pipeline_project.domain.core.nights import cadence_of, valid_night
from pipeline_project.domain.core.schema import NIGHT
from pipeline_project.domain.core.stored_tables import StoredTable
from resources.files.answers import is_refusal
from resources.lake.columns import agreed_schema, fitted, lake_schema
from resources.lake.decoded import DECODED
from resources.lake.delta import (
    DeltaStore,
    Tidied,
    checked,
    damaged,
    error_number,
    local_files,
    reachable,
    verified,
    verify_once,
)

if TYPE_CHECKING:
    from deltalake import DeltaTable

    from pipeline_project.ports.lake import Lake

_NOTE = "pipeline.note"
_ROWS = "pipeline.rows"
_NIGHT = "pipeline.night"
_FILE = "pipeline.file"
_SPEC_HASH = "spec_hash"


@dataclass(frozen=True)
class Commit:
    """One entry of a table's history.

    Attributes:
        version: the table's version that this commit made.
        time: when, in UTC.
        night, rows: the night it replaced and with how many rows; None for upkeep.
        note: what the writer wanted kept with it, such as the hash of the spec.
    """

    version: int
    time: datetime
    night: str | None = None
    rows: int | None = None
    note: Mapping[str, str] = field(default_factory=dict)


class DeltaLake:
    """`ports.Lake` over delta-rs.

    A night is one parquet file in the partition `night=2025-03-16` (or the key of an hour or a week). A night that
    was written and is empty has a file without rows, so the table's own list of partitions tells it from a night
    never written. Tables are opened inside methods only: delta-rs must not be used before a fork.

    Args:
        url: a local folder or an object store's URL; tables live in `<url>/<workflow>/<asset>`.
        storage_options: passed to delta-rs as they are (credentials, endpoint, region).
        store: instead of both, for tests that replace waiting.
    """

    def __init__(
        self, url: str, storage_options: Mapping[str, str] | None = None, store: DeltaStore | None = None
    ) -> None:
        self.store = store or DeltaStore(url, storage_options or {})

    def uri(self, workflow: str, asset: str) -> str:
        """Where one table lives."""
        return self.store.uri(workflow, asset)

    def keyed(self, workflow: str, hashes: Sequence[str]) -> list[str]:
        """As `Lake.keyed`: nothing is personal here."""
        return [*hashes]

    def read_night(self, workflow: str, asset: str, night: str, version: int | None = None) -> pa.Table | None:
        """The rows of `stored_night`."""
        stored = self.stored_night(workflow, asset, night, version)
        return None if stored is None else stored.rows

    def stored_night(self, workflow: str, asset: str, night: str, version: int | None = None) -> StoredTable | None:
        """One night, rows as they were written; without rows if it was empty, None if it was never written.

        Args:
            version: the table's version to read, instead of the newest.

        Raises:
            LakeUnavailable: the store cannot be read, or that version is gone.
        """
        valid_night(night)
        table = self.store.open(self.uri(workflow, asset), version)
        if table is None or night not in _nights(table):
            return None
        return self._read(table, workflow, asset, [(NIGHT, "=", night)], None)

    def read_span(
        self,
        workflow: str,
        asset: str,
        first: str | None,
        before: str,
        columns: Sequence[str] | None = None,
        version: int | None = None,
    ) -> pa.Table | None:
        """The nights first <= night < before in night order; None if there is no table.

        Args:
            first: None starts with the earliest night.
            columns: read only these, in this order.
            version: the table's version to read, instead of the newest.

        Raises:
            LakeSchemaChanged: the table has no such column.
            LakeUnavailable: the store cannot be read, or that version is gone.
        """
        table = self.store.open(self.uri(workflow, asset), version)
        if table is None:
            return None
        span = [(NIGHT, "<", valid_night(before))]
        if first is not None:
            span.append((NIGHT, ">=", valid_night(first)))
        return self._read(table, workflow, asset, span, columns).rows

    def write_night(
        self,
        workflow: str,
        asset: str,
        night: str,
        table: pa.Table,
        evolve: bool = False,
        note: Mapping[str, str] | None = None,
    ) -> int:
        """Replaces one night of one table in one atomic commit and returns the table's new version.

        Writers of other nights do not disturb it; of two writers of the same night the later one stands whole.

        Args:
            table: the night's rows; a column `night`, if present, holds this night only.
            evolve: columns may be added, and columns left out are filled with null.
            note: kept with the commit (`history`).

        Raises:
            CadenceChanged: the table's nights are of another cadence.
            LakeSchemaChanged: columns differ from the table's in name or type.
            LakeUnavailable: no room, no permission, no store; the night is as it was.
            ValueError: rows of another night, or a name that cannot be a folder's.
        """
        uri = self.uri(workflow, asset)
        rows = _rows_of(table, valid_night(night))
        metadata = {_NIGHT: night, _ROWS: rows.num_rows, _NOTE: {**(note or {})}}

        def replace(standing: DeltaTable | None) -> int:
            if standing is None:
                standing = self.store.create(uri, rows.schema, [NIGHT])
            _of_one_cadence(standing, night, workflow)
            schema = agreed_schema(_schema(standing), rows.schema, f"{workflow}/{asset}", evolve)
            return self._commit_night(standing, uri, night, fitted(rows, schema), metadata)

        version = self.store.commit(uri, replace)
        # Two first writers of one night do not conflict for Delta, which then keeps both: the later one writes again.
        for _ in range(self.store.attempts):
            if self._files(uri, night) == 1:
                return version
            version = self.store.commit(uri, replace)
        raise LakeUnavailable(
            f"others keep writing {workflow}/{asset} of {night}; run the night again when they are done"
        )

    def write_output(
        self,
        workflow: str,
        asset: str,
        night: str,
        table: pa.Table,
        spec_hash: str | None,
        note: Mapping[str, str] | None = None,
    ) -> int:
        """As `write_night`, for what an asset made under a spec: columns may change only when the spec has.

        Args:
            spec_hash: kept with the commit; None where the asset knows of no spec.
            note: what else is kept with it (`NotedTable`).
        """
        changed = spec_hash is not None and spec_hash != self.last_note(workflow, asset).get(_SPEC_HASH)
        kept = {**(note or {}), **({} if spec_hash is None else {_SPEC_HASH: spec_hash})}
        return self.write_night(workflow, asset, night, table, evolve=changed, note=kept)

    def version(self, workflow: str, asset: str) -> int | None:
        """The newest version of a table; None if there is none."""
        table = self.store.open(self.uri(workflow, asset))
        return None if table is None else table.version()

    def nights(self, workflow: str, asset: str, version: int | None = None) -> set[str]:
        """Every night that was written, empty ones included. Reads the log, no data."""
        table = self.store.open(self.uri(workflow, asset), version)
        return set() if table is None else _nights(table)

    def content(self, workflow: str, asset: str, night: str) -> str | None:
        """Which writing of a night stands now, as tables of one night say it; None if it was never written.

        Reads the log, no data.
        """
        table = self.store.open(self.uri(workflow, asset))
        if table is None:
            return None
        # the same order as in reading: of two that came first together the last one counts
        files = sorted(_files(table, night))
        return _content(files[-1]) if files else None

    def history(self, workflow: str, asset: str, limit: int | None = None) -> list[Commit]:
        """What was committed, newest first."""
        uri = self.uri(workflow, asset)
        table = self.store.open(uri)
        if table is None:
            return []
        with reachable(uri, "read the history of"):
            return [_commit(entry) for entry in table.history(limit)]

    def night_commits(self, workflow: str, asset: str) -> dict[str, list[tuple[int, datetime]]]:
        """The versions that replaced each night, with their times (UTC), in order; as far back as history is kept."""
        versions: dict[str, list[tuple[int, datetime]]] = {}
        for commit in reversed(self.history(workflow, asset)):
            if commit.night is not None:
                versions.setdefault(commit.night, []).append((commit.version, commit.time))
        return versions

    def last_note(self, workflow: str, asset: str) -> Mapping[str, str]:
        """The note of the last night written; empty if none was."""
        # Upkeep commits have no note; there are few of them between two nights.
        for limit in (4, 64, None):
            for commit in self.history(workflow, asset, limit):
                if commit.night is not None:
                    return commit.note
        return {}

    def note(self, workflow: str, asset: str, content: str) -> Mapping[str, str]:
        """What was kept in the commit of one writing of a night; empty where nothing was, or where `tidy` rewrote it.

        Args:
            content: as `content` and tables of one night say it.
        """
        uri = self.uri(workflow, asset)
        table = self.store.open(uri)
        if table is None:
            return {}
        # whoever asks has mostly just read what was just written; the log is read further back only for the others
        for limit in (16, 256, None):
            with reachable(uri, "read the history of"):
                entries = table.history(limit)
            for entry in entries:
                if _content(entry.get(_FILE, "")) == content:
                    return _commit(entry).note
            if limit is None or len(entries) < limit:
                break
        return {}

    def tidy(self, workflow: str, asset: str, keep_days: int) -> Tidied:
        """Merges small files and deletes those that no version of the last `keep_days` days needs.

        The newest version loses nothing. An older one stays readable as far as its nights were not replaced more
        than `keep_days` days ago; past that, reading it raises LakeUnavailable. What killed writers left goes too.
        """
        return self.store.tidy(self.uri(workflow, asset), keep_days)

    def _files(self, uri: str, night: str) -> int:
        table = self.store.open(uri)
        return 0 if table is None else len(_files(table, night))

    def _commit_night(self, table: DeltaTable, uri: str, night: str, rows: pa.Table, metadata: dict[str, Any]) -> int:
        from deltalake import CommitProperties, Schema, Transaction

        # Two first writers of a night take nothing out, so delta-rs sees no conflict and would keep the rows of both:
        # one transaction name a night makes them conflict, and the later one looks again.
        one_at_a_time = [Transaction(f"night {night}", table.version() + 1)]
        added = self.store.add_file(uri, rows.drop_columns([NIGHT]), {NIGHT: night}, compression="zstd")
        table.create_write_transaction(
            [added],
            mode="overwrite",
            schema=Schema.from_arrow(rows.schema),
            partition_by=[NIGHT],
            partition_filters=[(NIGHT, "=", night)],
            commit_properties=CommitProperties(
                custom_metadata={**metadata, _FILE: added.path}, app_transactions=one_at_a_time
            ),
        )
        return _version_with(table, added.path)

    def _read(
        self,
        table: DeltaTable,
        workflow: str,
        asset: str,
        where: list[tuple[str, str, str]],
        columns: Sequence[str] | None,
    ) -> StoredTable:
        name = f"{workflow}/{asset}"
        schema = _schema(table)
        if unknown := set(columns or ()) - set(schema.names):
            raise LakeSchemaChanged(
                f"{name} at version {table.version()} has no column {', '.join(sorted(unknown))}; "
                f"it has {', '.join(schema.names)}"
            )
        names = schema.names if columns is None else list(columns)
        with reachable(table.table_uri, f"read version {table.version()} of"):
            files = table.to_pyarrow_dataset(file_pruning_predicate=where)
            # A file's path begins with its night, so the order of paths is the order of nights; a scan keeps it.
            # A night is one file; of two that came first together one is read, until the later writer ends it.
            by_night = {part.path.rpartition("/")[0]: part for part in sorted(files.get_fragments(), key=_path)}
            parts = list(by_night.values())
            wanted = pa.schema([schema.field(column) for column in names])
            if not parts:
                return StoredTable(wanted.empty_table(), name, table.version())
            whole = _rows(table.table_uri, files, parts, names)
        content = _content(parts[0].path) if len(parts) == 1 else None
        return StoredTable(whole.cast(wanted), name, table.version(), content)


def _together(uri: str, files: Any, parts: Sequence[Any], names: Sequence[str]) -> pa.Table:
    """As `_rows`, of several files: what was read of one before is not read again."""
    from pyarrow.dataset import FileSystemDataset

    schema = pa.schema([files.schema.field(name) for name in names])
    infos = (local_files(uri) or files.filesystem).get_file_info([part.path for part in parts])
    places = [[(uri, info.path, info.size, info.mtime_ns, field) for field in schema] for info in infos]
    columns = [DECODED.find(of_part) for of_part in places]
    unread = [number for number, of_part in enumerate(columns) if of_part is None]
    if unread:
        missing = [parts[number] for number in unread]
        verify_once(missing)
        together = FileSystemDataset(missing, files.schema, files.format, files.filesystem)
        rows = together.to_table(columns=list(names), fragment_scan_options=checked())
        start = 0
        for number in unread:
            count = parts[number].count_rows()
            fresh = rows.slice(start, count).columns
            DECODED.keep(places[number], fresh)
            columns[number], start = fresh, start + count
    return pa.concat_tables([pa.table(of_part, schema=schema) for of_part in columns])


def _rows(uri: str, files: Any, parts: Sequence[Any], names: Sequence[str]) -> pa.Table:
    """These columns of some files of a dataset, in their order, none of them damaged.

    A file that is read alone is compared with the sha256 in its name, each time; of several each is when it is read
    first, and its columns are kept.

    Args:
        uri: the folder of the files.

    Raises:
        LakeDamaged: the message names the first file that is not as it was written.
        OSError: a file is gone, or may not be read.
    """
    try:
        if len(parts) == 1:
            content = pa.BufferReader(verified(parts[0]))
            alone = files.format.make_fragment(content, partition_expression=parts[0].partition_expression)
            return alone.to_table(schema=files.schema, columns=names, fragment_scan_options=checked())
        return _together(uri, files, parts, names)
    except LakeDamaged:
        raise
    except (pa.ArrowException, OSError) as error:
        if error_number(error) is not None or is_refusal(str(error)):
            raise
        for part in parts:
            verified(part)
        raise damaged(parts[0].path, f"it or one beside it cannot be read ({type(error).__name__})") from error


if TYPE_CHECKING:
    _CONFORMS: type[Lake] = DeltaLake


def _content(path: str) -> str:
    """What tells one writing of a night from every other: a night is one file, and each file has a name of its own."""
    return path.rpartition("/")[2].removeprefix("part-").removesuffix(".parquet")


def _path(part: Any) -> str:
    return str(part.path)


def _schema(table: DeltaTable) -> pa.Schema:
    with reachable(table.table_uri, "read"):
        return lake_schema(pa.schema(table.schema().to_arrow()))


def _files(table: DeltaTable, night: str) -> list[str]:
    wanted = [(NIGHT, "=", valid_night(night))]
    with reachable(table.table_uri, "list the files of"):
        return table.file_uris(file_pruning_predicate=wanted)


def _nights(table: DeltaTable) -> set[str]:
    with reachable(table.table_uri, "list the nights of"):
        return {partition[NIGHT] for partition in table.partitions()}


def _version_with(table: DeltaTable, path: str) -> int:
    """The version whose commit added a file: commits of other nights may have slipped in around it."""
    table.update_incremental()
    for limit in (1, 16, None):
        for entry in table.history(limit):
            if entry.get(_FILE) == path:
                return int(entry["version"])
    raise LakeUnavailable(f"{table.table_uri} lost the commit just made; somebody deletes its log. Restore _delta_log")


def _of_one_cadence(standing: DeltaTable, night: str, name: str) -> None:
    """All nights of a table are of one cadence: keys of another do not stand in one order with them."""
    with reachable(standing.table_uri, "list the nights of"):
        other = next((partition[NIGHT] for partition in standing.partitions()), night)
    if cadence_of(other) is not cadence_of(night):
        raise CadenceChanged(name, other, night)


def _rows_of(table: pa.Table, night: str) -> pa.Table:
    """The table in the lake's types, all of its rows of that night."""
    if NIGHT not in table.column_names:
        table = table.add_column(0, NIGHT, pa.repeat(pa.scalar(night), table.num_rows))
    others = set(table[NIGHT].unique().to_pylist()) - {night}
    if others:
        raise ValueError(f"rows of {', '.join(sorted(map(str, others)))} in a table for the night {night}")
    schema = lake_schema(table.schema)
    return table.cast(schema.set(schema.get_field_index(NIGHT), pa.field(NIGHT, pa.string())))


def _commit(entry: Mapping[str, Any]) -> Commit:
    return Commit(
        version=entry["version"],
        time=datetime.fromtimestamp(entry["timestamp"] / 1000, UTC),
        night=entry.get(_NIGHT),
        rows=entry.get(_ROWS),
        note=entry.get(_NOTE, {}),
    )
