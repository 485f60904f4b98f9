"""Which versions of its reference tables a night rests on: the first it read, and later ones for what was unclear."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import pyarrow as pa
import pyarrow.compute as pc

from pipeline_project.domain.core.schema import NIGHT
from pipeline_project.domain.intake.lookups.terms import LOOKUP_ROWS_SCHEMA, LOOKUPS_SCHEMA, LookupTerms


@dataclass(frozen=True)
class ReadTable:
    """A reference table as its source gives it.

    Attributes:
        rows: as `LOOKUP_ROWS_SCHEMA`, with any night and content.
        files: what was read, by name.
    """

    rows: pa.Table
    files: tuple[str, ...]

    @property
    def content(self) -> str:
        """A hash over what the rows say, in whatever order they stand."""
        times = self.rows["known_at"].cast(pa.int64()).to_pylist()
        rows = sorted(zip(self.rows["raw"].to_pylist(), map(str, times), strict=True))
        return hashlib.sha256(json.dumps(rows).encode()).hexdigest()

    def without(self, held: Collection[str] | None) -> ReadTable:
        """The rows, each once, that are not among those held; None leaves none."""
        raw = self.rows["raw"].to_pylist()
        places = {text: place for place, text in reversed([*enumerate(raw)])}
        kept = [] if held is None else [place for text, place in places.items() if text not in held]
        return ReadTable(self.rows.take(pa.array(sorted(kept), pa.int64())), self.files)


@dataclass(frozen=True)
class NightVersions:
    """What is kept of a night's reference tables.

    Attributes:
        record: as `LOOKUPS_SCHEMA`.
        rows: as `LOOKUP_ROWS_SCHEMA`, those that lie nowhere yet.
    """

    record: pa.Table
    rows: pa.Table


def versions_of_night(
    night: str,
    terms: Iterable[LookupTerms],
    read: Mapping[str, ReadTable],
    own: pa.Table | None,
    before: pa.Table | None,
    held: Mapping[str, frozenset[str]] = MappingProxyType({}),
    newest: str = "",
) -> NightVersions:
    """What a night keeps once its tables were read.

    A night that runs again keeps the version that it first read, which is what its decisions rest on; what lies there
    now is added where it is another one. A table that no night kept yet brings its rows along.

    Args:
        read: by lookup; of one that is not there what was kept stays.
        own: what the night kept when it ran before, or None.
        before: what the nights just before kept, in order, or None.
        held: of each table of additions the rows that nights kept already, as far back as was read.
        newest: the last night that kept anything.
    """
    entries: list[dict[str, object]] = []
    added = [LOOKUP_ROWS_SCHEMA.empty_table()]
    for lookup in terms:
        mine = [row for row in of_lookup(own, lookup.name) if row["reads"] == lookup.reads]
        table = read.get(lookup.name)
        if lookup.adds and table is not None:
            new = table.without(held.get(lookup.name, frozenset()))
            if not mine:
                mine.append(_entry(night, lookup, new, 0, night))
                added.append(_as_kept(new, night, lookup.name))
            elif newest > str(mine[-1]["kept_in"]):
                # what came later lies with the nights that it came to, and is asked where the night had no answer
                mine.append(_entry(night, lookup, new.without(None), len(mine), newest))
            entries += mine
            continue
        if table is not None and table.content not in {row["content"] for row in mine}:
            there = [*of_lookup(own, lookup.name), *of_lookup(before, lookup.name)]
            kept = next((row["kept_in"] for row in reversed(there) if row["content"] == table.content), None)
            mine.append(_entry(night, lookup, table, len(mine), str(kept or night)))
            if kept is None:
                added.append(_as_kept(table, night, lookup.name))
        entries += mine
    return NightVersions(pa.Table.from_pylist(entries, schema=LOOKUPS_SCHEMA), pa.concat_tables(added))


def _entry(night: str, lookup: LookupTerms, table: ReadTable, version: int, kept_in: str) -> dict[str, object]:
    """A line of `LOOKUPS_SCHEMA`."""
    return {
        NIGHT: night,
        "lookup": lookup.name,
        "version": version,
        "content": table.content,
        "kept_in": kept_in,
        "rows": len(table.rows),
        "reads": lookup.reads,
        "files": list(table.files),
    }


def of_lookup(record: pa.Table | None, name: str) -> list[dict[str, object]]:
    """The versions of one lookup in a record, in order."""
    if record is None:
        return []
    own = record.filter(pc.equal(record["lookup"], name)).to_pylist()
    return sorted(own, key=lambda row: (row[NIGHT], row["version"]))


def rows_of_version(kept: pa.Table, lookup: str, content: str) -> pa.Table:
    """The rows of one version among all that were kept in a night."""
    return kept.filter(pc.and_(pc.equal(kept["lookup"], lookup), pc.equal(kept["content"], content)))


def together(earlier: pa.Table | None, added: pa.Table) -> pa.Table:
    """What a night keeps: the rows of versions that it kept before, and new ones. None is ever taken away, because
    later nights rest on them."""
    if earlier is None or not len(earlier):
        return added
    return pa.concat_tables([earlier.select(LOOKUP_ROWS_SCHEMA.names).cast(LOOKUP_ROWS_SCHEMA), added])


def _as_kept(table: ReadTable, night: str, lookup: str) -> pa.Table:
    count = len(table.rows)
    columns: Sequence[pa.Array | pa.ChunkedArray] = [
        pa.repeat(pa.scalar(night), count),
        pa.repeat(pa.scalar(lookup), count),
        pa.repeat(pa.scalar(table.content), count),
        *(table.rows[name] for name in ("known_at", "subject", "raw")),
    ]
    return pa.table(columns, schema=LOOKUP_ROWS_SCHEMA)
