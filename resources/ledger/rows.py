"""What goes into the ledger's columns, and rows of it as values."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from sqlalchemy import Column, Connection, Row, Select, Table

from pipeline_project.domain.deciding.recorded import NewDecision

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Value = TypeVar("Value", bound="DataclassInstance")

FIRST_EPOCH = 1


def columns(kind: type[DataclassInstance], table: Table) -> list[Column[Any]]:
    """The columns of a table that a value of this class holds."""
    return [table.c[field.name] for field in fields(kind)]


def values(connection: Connection, kind: type[Value], query: Select[*tuple[Any, ...]]) -> list[Value]:
    """The rows of a query as values of a class whose fields its columns are."""
    return [kind(**row._asdict()) for row in connection.execute(query)]


def value(connection: Connection, kind: type[Value], query: Select[*tuple[Any, ...]]) -> Value | None:
    """The first row of a query, as `values` does; None where there is none."""
    row = connection.execute(query).first()
    return None if row is None else kind(**row._asdict())


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


def further_decision(asked: Row[*tuple[Any, ...]], option: str, reason: str, said: str, made_by: str) -> DecisionRow:
    """The decision that follows the one that asked.

    Args:
        asked: the row of `decisions` that stood. said: why, in words.
    """
    copied = {name: getattr(asked, name) for name in _COPIED}
    return DecisionRow(**copied, epoch=asked.epoch + 1, option=option, reason=reason, reasons=[said], made_by=made_by)


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


def jsonable(value: Any) -> Any:
    """The same value in what JSONB and the columns take: numpy unpacked, NaN and infinities null, NUL replaced."""
    if isinstance(value, str):
        return value.replace("\x00", "\ufffd")
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): jsonable(part) for key, part in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return jsonable(value.tolist())
    if isinstance(value, Sequence | set | frozenset):
        return [jsonable(part) for part in (sorted(value) if isinstance(value, set | frozenset) else value)]
    isoformat = getattr(value, "isoformat", None)
    return isoformat() if isoformat else str(value)
