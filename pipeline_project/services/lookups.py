"""The reference tables of a night, as it first read them: kept by content, and read from the lake ever after."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc

from pipeline_project.domain.core.errors import LakeDamaged
from pipeline_project.domain.core.nights import NightWindow, shifted
from pipeline_project.domain.intake.lookups.late import changed_cases, late_since
from pipeline_project.domain.intake.lookups.matching import Reference
from pipeline_project.domain.intake.lookups.terms import LOOKUP_ROWS, LOOKUPS, REOPENED_SCHEMA, LookupTerms
from pipeline_project.domain.intake.lookups.versions import (
    NightVersions,
    ReadTable,
    of_lookup,
    rows_of_version,
    together,
    versions_of_night,
)
from pipeline_project.domain.intake.typed_rows import LookedIn, read_rows
from pipeline_project.partitions import window
from pipeline_project.ports.lake import Lake
from pipeline_project.services.as_of import written
from pipeline_project.spec import WorkflowSpec


def kept_of_night(spec: WorkflowSpec, lake: Lake, night: str) -> pa.Table | None:
    """Which versions a night kept when it ran before; None where it did not, or for other words of the spec."""
    own = lake.read_night(spec.name, LOOKUPS, night)
    reads = {terms.name: terms.reads for terms in spec.lookup_terms}
    there = {} if own is None else dict(zip(*(own[name].to_pylist() for name in ("lookup", "reads")), strict=True))
    return own if there == reads else None


def is_first(spec: WorkflowSpec, lake: Lake, night: str) -> bool:
    """Whether no night before this one kept reference tables."""
    return not any(before < night for before in lake.nights(spec.name, LOOKUPS))


def take_in(spec: WorkflowSpec, lake: Lake, night: str, read: Mapping[str, ReadTable]) -> NightVersions:
    """What a night keeps of its reference tables; rows that lie nowhere yet are written at once.

    Args:
        read: as they lie there now; of one that is not there what the night kept before stays.
    """
    kept = lake.nights(spec.name, LOOKUPS)
    earlier = max((before for before in kept if before < night), default=None)
    before = None if earlier is None else lake.read_night(spec.name, LOOKUPS, earlier)
    own = lake.read_night(spec.name, LOOKUPS, night)
    held = {terms.name: _held(spec, lake, terms, night) for terms in spec.lookup_terms if terms.adds}
    versions = versions_of_night(night, spec.lookup_terms, read, own, before, held, max(kept, default=""))
    if len(versions.rows):
        rows = together(lake.read_night(spec.name, LOOKUP_ROWS, night), versions.rows)
        lake.write_output(spec.name, LOOKUP_ROWS, night, rows, spec.spec_hash)
    return versions


def looked_in(spec: WorkflowSpec, lake: Lake, night: NightWindow, until: str | None = None) -> LookedIn | None:
    """The reference tables of a night as they were known then; None where the workflow has none.

    Args:
        until: of tables of additions what came up to this later night as well, as if it had been known.

    Raises:
        NightMissing: they were never taken in.
        LakeDamaged: the rows of one are gone.
    """
    if not spec.lookups:
        return None
    record = written(lake, spec, LOOKUPS, night.night)
    tables = []
    for terms in spec.lookup_terms:
        own = of_lookup(record, terms.name)
        if terms.adds:
            known_by = window(spec, until).end if until else night.end
            ends = [until] if until else [str(version["kept_in"]) for version in own]
            references = [Reference(terms, _added_until(spec, lake, terms, end, night.night), known_by) for end in ends]
        else:
            references = [Reference(terms, _version(spec, lake, terms, version), night.end) for version in own]
        tables.append((terms, references))
    return LookedIn(tables, night.start)


def reopened_by(spec: WorkflowSpec, lake: Lake, night: str) -> pa.Table:
    """The cases of decided nights that rows which came on this night would look up otherwise, as `REOPENED_SCHEMA`.

    Nights are read again only where rows came late: that are about a time before this night.
    """
    parts = [REOPENED_SCHEMA.empty_table()]
    since = min((late for terms in spec.lookup_terms if (late := _late(spec, lake, terms, night))), default=night)
    for earlier in sorted(lake.nights(spec.name, "decisions")):
        if not since <= earlier < night or spec.warms_up(earlier) or kept_of_night(spec, lake, earlier) is None:
            continue
        tables = looked_in(spec, lake, window(spec, earlier), until=night)
        typed = read_rows(written(lake, spec, "arrivals", earlier), spec.case_schema, tables)
        cases = written(lake, spec, "cases", earlier)
        parts.append(changed_cases(night, earlier, spec.lookup_terms, typed, cases))
    return pa.concat_tables(parts)


def _late(spec: WorkflowSpec, lake: Lake, terms: LookupTerms, night: str) -> str | None:
    """The first night of those looked back on that rows which came on a night are about; None where none is late."""
    if not terms.adds or not terms.reopens or is_first(spec, lake, night):
        return None
    came = lake.read_night(spec.name, LOOKUP_ROWS, night)
    if came is None:
        return None
    mine = came.filter(pc.equal(came["lookup"], terms.name))
    moment = late_since(Reference(terms, mine, window(spec, night).end), window(spec, night).start)
    return None if moment is None else max(spec.nights.of(moment), shifted(night, -terms.reopens))


def _held(spec: WorkflowSpec, lake: Lake, terms: LookupTerms, night: str) -> frozenset[str]:
    """The rows of a table of additions that are kept already, as far back as files are looked at again."""
    kept = lake.read_span(spec.name, LOOKUP_ROWS, shifted(night, -terms.look_back), shifted(night, 1))
    if kept is None:
        return frozenset()
    return frozenset(kept.filter(pc.equal(kept["lookup"], terms.name))["raw"].to_pylist())


def _added_until(spec: WorkflowSpec, lake: Lake, terms: LookupTerms, last: str, night: str) -> pa.Table:
    """All rows of a table of additions that came up to a night and still count on another one."""
    first = None if terms.nights is None else shifted(night, -terms.nights)
    kept = lake.read_span(spec.name, LOOKUP_ROWS, first, shifted(last, 1))
    if kept is None:
        raise _gone(spec, terms, last, night)
    return kept.filter(pc.equal(kept["lookup"], terms.name))


def _version(spec: WorkflowSpec, lake: Lake, terms: LookupTerms, version: Mapping[str, object]) -> pa.Table:
    kept_in = str(version["kept_in"])
    kept = lake.read_night(spec.name, LOOKUP_ROWS, kept_in)
    rows = None if kept is None else rows_of_version(kept, terms.name, str(version["content"]))
    if rows is None or len(rows) != version["rows"]:
        raise _gone(spec, terms, kept_in, str(version["night"]))
    return rows


def _gone(spec: WorkflowSpec, terms: LookupTerms, kept_in: str, night: str) -> LakeDamaged:
    return LakeDamaged(
        f"{spec.name}/{LOOKUP_ROWS} of {kept_in} lacks rows of {terms.name} that {night} rests on; restore it from its "
        "backup"
    )
