"""The reference tables of a night, as it first read them: kept by content, and read from the lake ever after."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa

from pipeline_project.domain.core.errors import LakeDamaged
from pipeline_project.domain.core.nights import NightWindow
from pipeline_project.domain.intake.lookups.matching import Reference
from pipeline_project.domain.intake.lookups.terms import LOOKUP_ROWS, LOOKUPS
from pipeline_project.domain.intake.lookups.versions import (
    NightVersions,
    ReadTable,
    of_lookup,
    rows_of_version,
    together,
    versions_of_night,
)
from pipeline_project.domain.intake.typed_rows import LookedIn
from pipeline_project.ports.lake import Lake
from pipeline_project.services.as_of import written
from pipeline_project.spec import WorkflowSpec


def kept_of_night(spec: WorkflowSpec, lake: Lake, night: str) -> pa.Table | None:
    """Which versions a night kept when it ran before; None where it did not, or for other words of the spec."""
    own = lake.read_night(spec.name, LOOKUPS, night)
    reads = {terms.name: terms.reads for terms in spec.lookup_terms}
    there = {} if own is None else dict(zip(*(own[name].to_pylist() for name in ("lookup", "reads")), strict=True))
    return own if there == reads else None


def take_in(spec: WorkflowSpec, lake: Lake, night: str, read: Mapping[str, ReadTable]) -> NightVersions:
    """What a night keeps of its reference tables; rows that lie nowhere yet are written at once.

    Args:
        read: as they lie there now; of one that is not there what the night kept before stays.
    """
    earlier = max((before for before in lake.nights(spec.name, LOOKUPS) if before < night), default=None)
    before = None if earlier is None else lake.read_night(spec.name, LOOKUPS, earlier)
    own = lake.read_night(spec.name, LOOKUPS, night)
    versions = versions_of_night(night, spec.lookup_terms, read, own, before)
    if len(versions.rows):
        there = lake.read_night(spec.name, LOOKUP_ROWS, night)
        rows = together(there, versions.rows)
        lake.write_output(spec.name, LOOKUP_ROWS, night, rows, spec.spec_hash)
    return versions


def looked_in(spec: WorkflowSpec, lake: Lake, night: NightWindow) -> LookedIn | None:
    """The reference tables of a night as they were known then; None where the workflow has none.

    Raises:
        NightMissing: they were never taken in.
        LakeDamaged: the rows of one are gone.
    """
    if not spec.lookups:
        return None
    record = written(lake, spec, LOOKUPS, night.night)
    tables = []
    for terms in spec.lookup_terms:
        references = []
        for version in of_lookup(record, terms.name):
            kept = lake.read_night(spec.name, LOOKUP_ROWS, str(version["kept_in"]))
            rows = None if kept is None else rows_of_version(kept, terms.name, str(version["content"]))
            if rows is None or len(rows) != version["rows"]:
                raise LakeDamaged(
                    f"{spec.name}/{LOOKUP_ROWS} of {version['kept_in']} lacks rows of {terms.name} that "
                    f"{night.night} rests on; restore it from its backup"
                )
            references.append(Reference(terms, rows, night.end))
        tables.append((terms, references))
    return LookedIn(tables, night.start)
