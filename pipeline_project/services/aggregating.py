"""Features made of other rows, a night at a time: made once from what was known then, kept, and read by everyone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pipeline_project.domain.core.errors import NightMissing
from pipeline_project.domain.core.nights import NightWindow, days_before, shifted, window_of
from pipeline_project.domain.core.schema import CASE_ID, NIGHT, FieldType, Role
from pipeline_project.domain.features.aggregates import TERMS, CaseRows, aggregates, aggregates_schema
from pipeline_project.domain.features.series import series_features
from pipeline_project.domain.features.series_rows import (
    MeasuredRows,
    SeriesColumns,
    columns_read,
    from_cases,
    from_strings,
    keys_of,
    moments_of,
)
from pipeline_project.domain.features.table import strings
from pipeline_project.domain.vectors.modalities import file_keys
from pipeline_project.ports.lake import Lake
from pipeline_project.ports.ledger import Ledger
from pipeline_project.ports.sources import Sources
from pipeline_project.services.as_of import written
from pipeline_project.spec import WorkflowSpec
from pipeline_project.spec.features import SeriesSpec

AGGREGATES = "aggregates"


@dataclass(frozen=True)
class MadeAggregates:
    """A night's aggregates.

    Attributes:
        rows: as `aggregates_schema`.
        unusable: rows of series that had no key or moment that could be read, by series.
    """

    rows: pa.Table
    unusable: Mapping[str, int]


def terms_of(spec: WorkflowSpec) -> str:
    """Which terms aggregates are made by; a night made by others is made anew."""
    declared = spec.model_dump(mode="json", include={"features", "series"})
    return hashlib.sha256(json.dumps(declared, sort_keys=True).encode()).hexdigest()[:16]


def night_aggregates(
    spec: WorkflowSpec, lake: Lake, ledger: Ledger, sources: Sources | None, night: NightWindow
) -> MadeAggregates:
    """The features of a night's cases that are made of other rows.

    Reads as many nights as the longest span has, whatever came before them.

    Args:
        sources: for series that have a source.

    Raises:
        NightMissing: the night has no cases yet.
        SourceUnreadable: rows of a series cannot be read.
    """
    tonight = written(lake, spec, "cases", night.night)
    columns = _aggregated(spec, lake, ledger, night)
    unusable: dict[str, int] = {}
    for name in spec.series:
        of_series, unusable[name] = _series(spec, lake, sources, night, tonight, name)
        columns |= of_series
    return MadeAggregates(_table(spec, tonight, columns), unusable)


def _table(spec: WorkflowSpec, cases: pa.Table, columns: Mapping[str, np.ndarray]) -> pa.Table:
    held: dict[str, pa.Array | pa.ChunkedArray] = {NIGHT: cases.column(NIGHT), CASE_ID: cases.column(CASE_ID)}
    held[TERMS] = pa.array([terms_of(spec)] * len(cases), pa.string())
    held |= {name: pa.array(column, pa.float64(), from_pandas=True) for name, column in columns.items()}
    schema = aggregates_schema(list(spec.feature_plan.kept))
    return pa.table({name: held[name] for name in schema.names}, schema=schema)


def _aggregated(spec: WorkflowSpec, lake: Lake, ledger: Ledger, night: NightWindow) -> dict[str, np.ndarray]:
    """In the order of the night's cases."""
    plan = spec.feature_plan
    if not plan.aggregations:
        return {}
    read = [NIGHT, CASE_ID, *([plan.time.name] if plan.time else [])]
    read += [name for one in plan.aggregations for name in one.field_names]
    # a case that comes late looks back from its own time: what it could see is read for most of those
    first = days_before(night.night, max(one.days for one in plan.aggregations) + 1)
    after = shifted(night.night, 1)
    cases = lake.read_span(spec.name, "cases", first, after, list(dict.fromkeys(read)))
    if cases is None:
        return {}
    photos = [field.name for field in spec.case_schema.of_type(FieldType.IMAGE) if field.name in read]
    if photos:
        cases = _with_contents(spec, lake, cases, photos, first, after)
    rows = CaseRows.of(night.night, cases, plan.time, ledger.outcomes_known(spec.name, night.start))
    made = aggregates(rows, plan.aggregations)
    place = {case: at for at, case in enumerate(rows.ids.tolist())}
    ids = strings(written(lake, spec, "cases", night.night).column(CASE_ID))
    order = np.array([place[case] for case in ids], dtype=np.int64)
    return {name: column[order] for name, column in made.items()}


def _with_contents(
    spec: WorkflowSpec, lake: Lake, cases: pa.Table, photos: list[str], first: str, after: str
) -> pa.Table:
    """Cases with the keys of their photos' contents where their paths stand: the same photo under another name is the
    same."""
    embeddings = lake.read_span(spec.name, "embeddings", first, after)
    by_case: dict[tuple[str, str], list[str]] = {}
    if embeddings is not None:
        keys = zip(embeddings[NIGHT].to_pylist(), embeddings[CASE_ID].to_pylist(), strict=True)
        by_case = dict(zip(keys, file_keys(embeddings), strict=True))
    pairs = zip(cases[NIGHT].to_pylist(), cases[CASE_ID].to_pylist(), strict=True)
    contents = pa.array([by_case.get(pair, []) for pair in pairs], pa.list_(pa.string()))
    for name in photos:
        cases = cases.set_column(cases.column_names.index(name), name, contents)
    return cases


def _series(
    spec: WorkflowSpec, lake: Lake, sources: Sources | None, night: NightWindow, tonight: pa.Table, name: str
) -> tuple[dict[str, np.ndarray], int]:
    series = spec.series[name]
    until, moment = moment_of(spec, series)
    measured = _measured(spec, lake, sources, night, name, moment)
    rows, asker = measured.coded(keys_of(tonight, series.key, until))
    asking = (asker, moments_of(tonight, until, moment))
    # a case is its own row where rows are cases: its values are there already, and so are those of its very moment
    own = moment == FieldType.NUMBER or series.source is None
    return series_features(rows, asking, series.plan(name), own), measured.unusable


def moment_of(spec: WorkflowSpec, series: SeriesSpec) -> tuple[str, FieldType]:
    """The case's field up to which it sees rows of a series, and what both hold: a time or a number."""
    field = spec.case_schema.field(series.until) if series.until else spec.case_schema.by_role(Role.TIME)
    assert field is not None
    return field.name, field.holds


def _measured(
    spec: WorkflowSpec, lake: Lake, sources: Sources | None, night: NightWindow, name: str, moment: FieldType
) -> MeasuredRows:
    series = spec.series[name]
    if series.source is None:
        columns = SeriesColumns(series.key, series.at, moment, series.values)
        read = list(dict.fromkeys([NIGHT, CASE_ID, *columns_read([columns])]))
        first = shifted(night.night, 1 - series.nights)
        cases = lake.read_span(spec.name, "cases", first, shifted(night.night, 1), read)
        return from_cases(written(lake, spec, "cases", night.night) if cases is None else cases, columns)
    assert sources is not None
    return from_strings(sources.series(spec, name, night), source_columns(spec, series), spec.case_schema)


def source_columns(spec: WorkflowSpec, series: SeriesSpec) -> SeriesColumns:
    """Where the rows of a series' source have what it needs."""
    return SeriesColumns(series.column_of_key, series.at, moment_of(spec, series)[1], series.values)


def tonights(spec: WorkflowSpec, lake: Lake, night: str) -> pa.Table | None:
    """A night's aggregates, to score it; None where the spec declares none.

    Raises:
        NightMissing: they were never made, or by other terms; the message has the command to run.
    """
    if not spec.aggregates:
        return None
    there = written(lake, spec, AGGREGATES, night)
    held = _by_these_terms(spec, there, list(spec.feature_plan.kept))
    if len(held) < len(there):
        raise NightMissing(
            f"{spec.name}/{AGGREGATES} of {night} was made before `features` or `series` changed; run "
            f"pipeline nights {spec.name} --from {night} --to {night} --again"
        )
    return held


def aggregates_span(spec: WorkflowSpec, lake: Lake, ledger: Ledger, cases: pa.Table) -> pa.Table | None:
    """The aggregates of these cases as they stand in the lake, completed; None where the spec declares none."""
    if not spec.aggregates:
        return None
    nights = sorted(set(cases.column(NIGHT).to_pylist()))
    there = lake.read_span(spec.name, AGGREGATES, nights[0], shifted(nights[-1], 1)) if nights else None
    return completed(spec, lake, ledger, nights, there)


def completed(
    spec: WorkflowSpec, lake: Lake, ledger: Ledger, nights: Sequence[str], there: pa.Table | None
) -> pa.Table:
    """The aggregates of these nights, kept or made by today's terms.

    Nights that were made by other terms, before a feature was declared, are made here from what was known then. A
    series' source is not read again for that: what it holds now is not what it held then.

    Args:
        there: what was kept of them.

    Raises:
        NightMissing: nights lack a series; the message has the command to run.
    """
    parts = [_by_these_terms(spec, there, list(spec.feature_plan.kept))]
    covered = set(parts[0].column(NIGHT).to_pylist())
    lacking = [night for night in nights if night not in covered]
    if lacking and any(series.source is not None for series in spec.series.values()):
        raise NightMissing(
            f"{len(lacking)} nights of {spec.name} have no rows of its series yet, from {lacking[0]} on; run "
            f"pipeline nights {spec.name} --from {lacking[0]} --to {lacking[-1]} --again"
        )
    zone = spec.nights.time_zone
    parts += [night_aggregates(spec, lake, ledger, None, window_of(night, zone)).rows for night in lacking]
    return pa.concat_tables(parts)


def _by_these_terms(spec: WorkflowSpec, there: pa.Table | None, names: list[str]) -> pa.Table:
    schema = aggregates_schema(names)
    if there is None or not set(schema.names) <= set(there.column_names):
        return schema.empty_table()
    terms = np.array(there.column(TERMS).to_pylist(), dtype=object)
    return there.select(schema.names).filter(pa.array(terms == terms_of(spec))).cast(schema)
