"""Decisions as rows: which one of a case stands, and which one comes next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from sqlalchemy import BigInteger, Column, ColumnElement, Row, Select, cast, func, select, union_all
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.sql.base import ReadOnlyColumnCollection

from pipeline_project.domain.deciding.recorded import NewDecision
from resources.ledger.rows import jsonable
from resources.ledger.tables import nights as tables

FIRST_EPOCH = 1


@dataclass(frozen=True)
class DecisionRow:
    """A row of `decisions` before it is there; the database adds its number and its time."""

    workflow: str
    case_id: str
    epoch: int
    night: str
    option: str
    reason: str
    spec_hash: str
    data_versions: Mapping[str, int]
    attempt: int
    run_id: str
    made_by: str
    model_version: str | None = None
    contract: Mapping[str, int] | None = None
    cluster: str | None = None
    reasons: Sequence[str] | None = None
    probabilities: Sequence[float] | None = None
    expected_costs: Sequence[float | None] | None = None
    amount: float | None = None
    propensity: float | None = None
    option_order: Sequence[str] | None = None


#: What a further decision of a case repeats of the one that asked: what the machine knew when it did.
_COPIED = (
    "workflow", "case_id", "night", "spec_hash", "model_version", "data_versions", "contract", "cluster",
    "probabilities", "expected_costs", "option_order", "amount", "propensity", "attempt", "run_id",
)  # fmt: skip


def further_decision(
    asked: Row[*tuple[Any, ...]], option: str, reason: str, explanation: str, made_by: str
) -> DecisionRow:
    """The decision that follows the one that asked.

    Args:
        asked: the row of `decisions` that stood. explanation: why, in words.
    """
    copied = {name: getattr(asked, name) for name in _COPIED}
    return DecisionRow(
        **copied, epoch=asked.epoch + 1, option=option, reason=reason, reasons=[explanation], made_by=made_by
    )


def decision_rows(
    workflow: str, night: str, attempt: int, run_id: str, decisions: Sequence[NewDecision]
) -> list[DecisionRow]:
    """Rows for the table `decisions`, ordered by case.

    Two transactions that insert the same cases in different orders would wait for each other for ever.

    Raises:
        ValueError: a case occurs twice.
    """
    rows = [
        DecisionRow(
            workflow=workflow,
            night=night,
            attempt=attempt,
            run_id=run_id,
            epoch=FIRST_EPOCH,
            made_by="policy",
            **jsonable(vars(decision)),
        )
        for decision in decisions
    ]
    rows.sort(key=lambda row: row.case_id)
    if any(one.case_id == other.case_id for one, other in pairwise(rows)):
        raise ValueError(f"a case occurs twice among the decisions of night {night}; decide each case once")
    return rows


def standing_decisions(workflow: str) -> Select[Any]:
    """A workflow's decisions, of each case the one that holds."""
    decisions = tables.decisions.c
    return (
        select(tables.decisions)
        .ext(distinct_on(decisions.case_id))
        .where(decisions.workflow == workflow)
        .order_by(decisions.case_id, decisions.epoch.desc())
    )


def standing_counts(workflow: str, first: str | None = None, last: str | None = None) -> Select[Any]:
    """How many standing decisions there are by night and option: night, option, cases.

    All decisions are counted from an index, and those that a later one replaced taken off: few were decided further,
    and to sort all cases by their epochs would take as long as there is history.
    """
    later = tables.decisions.alias("later")
    decisions = tables.decisions.c

    def within(of: ReadOnlyColumnCollection[str, Column[Any]]) -> list[ColumnElement[bool]]:
        # a further decision of a case has the night of the first
        nights = [] if first is None else [of.night >= first]
        return [of.workflow == workflow, *nights, *([] if last is None else [of.night <= last])]

    all_of_them = select(decisions.night, decisions.option, func.count().label("cases")).where(*within(decisions))
    replaced = (
        select(decisions.night, decisions.option, -func.count(decisions.id.distinct()))
        .join_from(
            later, tables.decisions, (decisions.workflow == later.c.workflow) & (decisions.case_id == later.c.case_id)
        )
        .where(*within(later.c), later.c.epoch > FIRST_EPOCH, decisions.epoch < later.c.epoch)
    )
    both = union_all(
        all_of_them.group_by(decisions.night, decisions.option), replaced.group_by(decisions.night, decisions.option)
    ).subquery()
    cases = cast(func.sum(both.c.cases), BigInteger)
    query = select(both.c.night, both.c.option, cases.label("cases")).group_by(both.c.night, both.c.option)
    return query.having(cases > 0).order_by(both.c.night, both.c.option)
