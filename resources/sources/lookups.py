"""Reference tables as their sources give them: whole, or not at all."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pyarrow as pa

from pipeline_project.domain.core.errors import SourceUnreadable
from pipeline_project.domain.core.nights import NightWindow, shifted
from pipeline_project.domain.core.schema import ARRIVALS, NIGHT, Field, FieldType, Role
from pipeline_project.domain.intake.file_hints import DeclaredColumns
from pipeline_project.domain.intake.lookups.terms import LOOKUP_ROWS_SCHEMA, LookupTerms
from pipeline_project.domain.intake.lookups.versions import ReadTable
from pipeline_project.domain.intake.parsing import parse
from pipeline_project.spec.lookups import FileLookup, Lookup, SqlLookup
from pipeline_project.spec.workflow import WorkflowSpec
from resources.files import files_at
from resources.sources.arrivals import FileTerms, arrivals
from resources.sources.night_files import NightFiles
from resources.sources.places import location
from resources.sources.sql import QueryByNight


@dataclass(frozen=True)
class SpecLookups:
    """The reference tables that a spec declares.

    Attributes:
        variables: of the environment.
    """

    spec: WorkflowSpec
    variables: Mapping[str, str]

    def read(self, window: NightWindow, first: bool = False) -> dict[str, ReadTable]:
        """As `ports.LookupSource.read`."""
        tables = self.spec.lookups
        return {terms.name: self.table(tables[terms.name], terms, window, first) for terms in self.spec.lookup_terms}

    def table(self, declared: Lookup, terms: LookupTerms, window: NightWindow, first: bool = True) -> ReadTable:
        """One table as it lies there.

        Args:
            first: of additions takes all there are up to the night, instead of the last ones.

        Raises:
            SourceUnreadable, SourceStillGrowing: as `read`.
        """
        rows, files = self._rows(declared, terms, window, first)
        broken = len(rows) - rows["problem"].null_count
        if broken:
            raise SourceUnreadable(
                f"{_where(terms)}: {broken:,} of {len(rows):,} rows of {', '.join(files)} cannot be read: "
                f"{_first(rows['problem'].to_pylist())}; correct them, nothing is looked up in half a table"
            )
        if not len(rows) and not terms.adds:
            raise SourceUnreadable(
                f"{_where(terms)}: {', '.join(files)} has no row, so nothing could be looked up there; deliver it "
                "filled, or take the lookup out"
            )
        return ReadTable(as_lookup_rows(rows, terms), files)

    def _rows(
        self, declared: Lookup, terms: LookupTerms, window: NightWindow, first: bool
    ) -> tuple[pa.Table, tuple[str, ...]]:
        columns = _columns(declared, terms)
        if isinstance(declared, SqlLookup):
            query = QueryByNight(self.spec, declared, f"lookups.{terms.name}", self.variables)
            table = arrivals(query.rows(window), window.night, "query", "")
            _all_there(table, columns, terms)
            return table, ("the query",)
        place = location(
            declared.path if isinstance(declared, FileLookup) else declared.folder, self.spec, self.variables
        )
        if isinstance(declared, FileLookup):
            folder, _, name = place.rpartition("/")
            files = NightFiles(files_at(folder, closed=bool(self.spec.tenant)), name, self.spec.nights.every)
            if files.files.stamp(name) is None:
                raise SourceUnreadable(f"{_where(terms)}: there is no file {place}; put it there, or correct `path`")
        else:
            files = NightFiles.at(place, declared.pattern, self.spec.nights.every, self.spec.tenant)
            if terms.adds:
                since = "" if first else shifted(window.night, 1 - declared.look_back)
                names = [name for night in files.nights() if since <= night <= window.night for name in files.of(night)]
                how = FileTerms(declared=columns)
                parts = [files.read(name, declared, window.night, how).rows for name in names]
                return pa.concat_tables([ARRIVALS.empty_table(), *parts]), tuple(names)
            night = max((night for night in files.nights() if night <= window.night), default=None)
            if night is None:
                raise SourceUnreadable(
                    f"{_where(terms)}: no file of {window.night} or of a night before lies at {place}; deliver one, "
                    "or correct `folder` and `pattern`"
                )
            of_night = files.of(night)
            if len(of_night) > 1:
                raise SourceUnreadable(
                    f"{_where(terms)}: {len(of_night)} files of {night} lie there, and each is the whole table; keep "
                    "one, or let `pattern` say which"
                )
            (name,) = of_night
        read = files.read(name, declared, window.night, FileTerms(declared=columns))
        return read.rows, (name,)


def as_lookup_rows(rows: pa.Table, terms: LookupTerms) -> pa.Table:
    """Arrivals of a reference table as `LOOKUP_ROWS_SCHEMA`; what is not asked for is left out.

    Raises:
        SourceUnreadable: when a row became known cannot be read.
    """
    cells = [json.loads(raw) for raw in rows["raw"].to_pylist()]
    kept = [{name: row[name] for name in terms.columns if row.get(name) is not None} for row in cells]
    count = len(kept)
    subjects: list[str | None] = [None] * count
    if terms.subject is not None:
        subjects = [(row.get(terms.subject) or "").strip() or None for row in kept]
    columns = {
        NIGHT: [""] * count,
        "lookup": [terms.name] * count,
        "content": [""] * count,
        "known_at": _known_times([row.get(terms.known_at or "") for row in kept], terms),
        "subject": subjects,
        "raw": [json.dumps(row, ensure_ascii=False, sort_keys=True) for row in kept],
    }
    arrays = [pa.array(columns[field.name], field.type) for field in LOOKUP_ROWS_SCHEMA]
    return pa.table(arrays, schema=LOOKUP_ROWS_SCHEMA)


def _known_times(cells: list[str | None], terms: LookupTerms) -> pa.Array:
    """When each row became known; null where the table does not say so."""
    kind = LOOKUP_ROWS_SCHEMA.field("known_at").type
    if terms.known_at is None:
        return pa.nulls(len(cells), kind)
    declared = Field(terms.known_at, FieldType.TIME, terms.known_at, Role.IGNORE)
    parsed = parse(cells, declared, terms.schema)
    unread = len(parsed.unreadable) + int(parsed.absent.sum())
    if unread:
        raise SourceUnreadable(
            f"{_where(terms)}: {unread:,} of {len(cells):,} values of {terms.known_at} are missing or cannot be read "
            "as a time; correct them, or say how they are written with `time_formats` of the lookup"
        )
    return pa.array(parsed.values, from_pandas=True).cast(kind)


def _columns(declared: Lookup, terms: LookupTerms) -> DeclaredColumns:
    """The columns of the table, with the key of the spec that names each."""
    named = dict.fromkeys(declared.key.values(), f"lookups.{terms.name}.key")
    for key in ("valid_from", "valid_to", "last_day", "known_at", "subject"):
        if (column := getattr(terms, key)) is not None:
            named.setdefault(column, f"lookups.{terms.name}.{key}")
    for field in terms.fields:
        if field.column in terms.columns:
            named.setdefault(field.column, f"fields.{field.name}.column")
    return DeclaredColumns(named, strict=True)


def _all_there(table: pa.Table, columns: DeclaredColumns, terms: LookupTerms) -> None:
    """As files are looked at while they are read."""
    names: Iterable[str] = json.loads(table["raw"][0].as_py()) if len(table) else ()
    problem = columns.problem(list(names), bool(len(table)))
    if problem:
        raise SourceUnreadable(f"{_where(terms)}: {problem}")


def _first(problems: Iterable[str | None]) -> str:
    return next(problem for problem in problems if problem)


def _where(terms: LookupTerms) -> str:
    return f"lookups.{terms.name}"
