"""A night's cases as they are now instead of as they were decided: what was wrong is decided on what is right."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline_project.domain.core.errors import ActionInvalid
from pipeline_project.domain.core.reasons import ASK_PERSON
from pipeline_project.domain.core.schema import CASE_ID, CONTENT, NIGHT
from pipeline_project.domain.delivery.planned_actions import ActionTerms
from pipeline_project.domain.delivery.planning import plan_actions
from pipeline_project.domain.lifecycle.recall.effects import Again, Touched
from pipeline_project.domain.lifecycle.replay.decide import PastNights
from pipeline_project.domain.review.night_work import FIRST_EPOCH, plain_fields

# Of who delivered a row, not of what it says.
_ASIDE = ("row_sha256", CONTENT)


def overlaid(newest: pa.Table, given: pa.Table | None) -> pa.Table:
    """The cases of a night with corrected rows in the place of those with their ids.

    Args:
        newest: as the lake holds them now.
        given: corrected rows, or None; both as `schema.cases_schema`.
    """
    if given is None or not given.num_rows:
        return newest
    columns = [
        given[f.name].cast(f.type) if f.name in given.column_names else pa.nulls(given.num_rows, f.type)
        for f in newest.schema
    ]
    uncorrected = newest.filter(pc.invert(pc.is_in(newest[CASE_ID], value_set=given[CASE_ID].combine_chunks())))
    return pa.concat_tables([uncorrected, pa.table(columns, schema=newest.schema)])


def differing(past: PastNights, cases: pa.Table, columns: Collection[str] | None = None) -> list[str]:
    """The decided cases that say something else now, or are no longer there; of some columns only, if given."""
    now = {row[CASE_ID]: row for row in cases.to_pylist()}
    names = [name for name in past.cases.column_names if name not in _ASIDE and name in cases.column_names]
    looked = [name for name in names if columns is None or name in columns]
    return [
        row[CASE_ID]
        for row in past.cases.to_pylist()
        if row[CASE_ID] not in now or any(row[name] != now[row[CASE_ID]][name] for name in looked)
    ]


def with_cases(past: PastNights, cases: pa.Table, embeddings: pa.Table | None) -> PastNights:
    """The same nights on other data; decided cases that are not among them are left out.

    Args:
        cases: corrected cases of these nights.
        embeddings: vectors of them, as the lake holds them now.
    """
    place = {key: row for row, key in enumerate(_keys(cases))}
    there = [key in place for key in _keys(past.cases)]
    rows = [place[key] for key in _keys(past.cases) if key in place]
    now = cases.take(pa.array(rows, pa.int64())).select(
        [name for name in past.cases.column_names if name in cases.column_names]
    )
    earlier = past.past
    if earlier.cases is not None:
        before = earlier.cases.filter(pc.less(earlier.cases[NIGHT], past.nights[0]))
        earlier = replace(earlier, cases=pa.concat_tables([before, now.select(before.column_names)]))
    standing = past.standing[there].reset_index(drop=True)
    return replace(past, cases=now, standing=standing, past=earlier, embeddings=embeddings)


def beside_corrected(
    touched: Sequence[Touched], would_be: Mapping[str, str], was: pa.Table, now: pa.Table, terms: ActionTerms
) -> list[Again]:
    """Each touched decision with what would be decided on the corrected data.

    A case that is not in those data any more is for a person. The same option counts as another decision where its
    actions would be others.
    """
    before, after = ({row[CASE_ID]: row for row in table.to_pylist()} for table in (was, now))
    redecided = []
    for case in touched:
        option = would_be.get(case.case_id, ASK_PERSON)
        same = option == case.option and option != ASK_PERSON
        other = same and _planned(terms, case, before[case.case_id]) != _planned(terms, case, after[case.case_id])
        redecided.append(Again(case, option, other))
    return redecided


def _planned(terms: ActionTerms, case: Touched, row: Mapping[str, Any]) -> list[str] | None:
    """What the decision does about the case; None where that cannot be computed from what the case says."""
    try:
        planned = plan_actions(terms, case.night, case.case_id, FIRST_EPOCH, case.option, plain_fields(row))
    except ActionInvalid:
        return None
    return [repr(action) for action in planned]


def _keys(table: pa.Table) -> list[tuple[str, str]]:
    return list(zip(table[NIGHT].to_pylist(), table[CASE_ID].to_pylist(), strict=True))
