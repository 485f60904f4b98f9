"""Which actions a decision asks for, in which order, and how they are taken back."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline_project.domain.core.errors import ActionInvalid
from pipeline_project.domain.core.expressions import ExpressionError, evaluate, names_in
from pipeline_project.domain.delivery.keys import action_key, fingerprint
from pipeline_project.domain.delivery.planned_actions import ActionKind, ActionTerms, PlannedAction

#: States in which an action has not left and never will unless it is sent again by a person.
UNSENT = frozenset({"waiting", "ready", "held", "dead", "rehearsed", "cancelled"})

#: Compensations come after every action that a decision could ask for.
FIRST_BACKWARD_STEP = 1_000


def plan_actions(
    terms: ActionTerms, night: str, case_id: str, epoch: int, option: str, fields: Mapping[str, Any]
) -> list[PlannedAction]:
    """The actions that an option asks for, in the order in which they are sent; none where it asks for none.

    Args:
        epoch: which decision of the case asks, counted from 1.
        fields: the case's values by name; what the kinds send and pay out is taken from them.

    Raises:
        ActionInvalid: a field is missing, or the money is no amount of 0 or more.
    """
    case = _DecidedCase(night, case_id, epoch, fields)
    return [_planned(terms, kind, step, case) for step, kind in enumerate(terms.of_option(option))]


@dataclass(frozen=True)
class _DecidedCase:
    night: str
    case_id: str
    epoch: int
    fields: Mapping[str, Any]


def _planned(terms: ActionTerms, kind: ActionKind, step: int, case: _DecidedCase) -> PlannedAction:
    fields = case.fields
    missing = [name for name in kind.payload if name not in fields]
    if missing:
        raise ActionInvalid(
            f"action {kind.name} of {terms.workflow} sends {', '.join(missing)}, which the case does not have; "
            "correct actions.kinds in the workflow's file"
        )
    money = money_of(kind, fields)
    payload = _payload(terms, kind.name, case.case_id, money, {name: fields[name] for name in kind.payload})
    return PlannedAction(
        workflow=terms.workflow,
        night=case.night,
        case_id=case.case_id,
        epoch=case.epoch,
        kind=kind.name,
        destination=kind.destination,
        step=step,
        key=action_key(terms.tenant, terms.workflow, kind.name, case.case_id, case.epoch),
        payload=payload,
        fingerprint=fingerprint(payload),
        money=money,
        final=kind.final,
        undo=kind.undo,
    )


def _payload(
    terms: ActionTerms, kind: str, case_id: str, money: float, fields: Mapping[str, Any], **more: Any
) -> Mapping[str, Any]:
    paid = {"amount": round(money, 2), "currency": terms.currency} if money else {}
    return {"action": kind, "workflow": terms.workflow, "case": case_id, **paid, "fields": dict(fields), **more}


def money_of(kind: ActionKind, fields: Mapping[str, Any]) -> float:
    """What an action pays out, to the cent.

    Raises:
        ActionInvalid: it cannot be computed, or is below 0.
    """
    if not isinstance(kind.money, str):
        return round(float(kind.money), 2)
    columns = {name: np.array([_number(fields.get(name))]) for name in names_in(kind.money)}
    try:
        money = float(evaluate(kind.money, columns, 1)[0])
    except ExpressionError as error:
        raise ActionInvalid(f"the money of action {kind.name} cannot be computed: {error}") from error
    if not math.isfinite(money) or money < 0:
        raise ActionInvalid(
            f"the money of action {kind.name} (`{kind.money}`) is no amount of 0 or more for this case; a field it "
            "needs is missing, or the expression lets it fall below 0: correct actions.kinds in the workflow's file"
        )
    return round(money, 2)


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else math.nan


@dataclass(frozen=True)
class OutboxAction:
    """An action as it stands in the outbox, as far as taking it back needs to know."""

    planned: PlannedAction
    state: str


@dataclass(frozen=True)
class CompensationPlan:
    """What becomes of a case's actions when its decision no longer holds.

    Attributes:
        cancelled: keys of those that have not left.
        compensations: for those that have, the last first.
        for_good: keys of those that have left and cannot be taken back.
    """

    cancelled: Sequence[Any]
    compensations: Sequence[PlannedAction]
    for_good: Sequence[Any]


def plan_compensations(terms: ActionTerms, standing: Iterable[OutboxAction]) -> CompensationPlan:
    """How the actions of one decision of one case are taken back.

    What has not left is cancelled, dead letters too, or somebody could send them again. What has left is compensated in
    reverse order, once each, up to the point of no return: when that has left, the case only goes forward and nothing
    of it is taken back.
    """
    ordered = sorted(standing, key=lambda action: action.planned.step)
    left = [action for action in ordered if action.state not in UNSENT]
    cancelled = [action.planned.key for action in ordered if action.state in ("waiting", "ready", "held", "dead")]
    if any(action.planned.final for action in left):
        return CompensationPlan([], [], [action.planned.key for action in left])
    undone = [action.planned for action in reversed(left) if action.planned.undo]
    return CompensationPlan(
        cancelled,
        [_compensation(terms, planned, step) for step, planned in enumerate(undone)],
        [action.planned.key for action in left if not action.planned.undo],
    )


def _compensation(terms: ActionTerms, undone: PlannedAction, step: int) -> PlannedAction:
    kind = terms.kinds[str(undone.undo)]
    fields = {name: undone.payload["fields"].get(name) for name in kind.payload}
    payload = _payload(terms, kind.name, undone.case_id, 0.0, fields, undoes=str(undone.key))
    return PlannedAction(
        workflow=undone.workflow,
        night=undone.night,
        case_id=undone.case_id,
        epoch=undone.epoch,
        kind=kind.name,
        destination=kind.destination,
        step=FIRST_BACKWARD_STEP + step,
        key=action_key(terms.tenant, undone.workflow, f"{kind.name}/{undone.key}", undone.case_id, undone.epoch),
        payload=payload,
        fingerprint=fingerprint(payload),
        money=0.0,
        undoes=undone.key,
    )
