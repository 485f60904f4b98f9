"""What a night's decisions ask for: tasks for people, actions outside; committed with the decisions or not at all."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline_project.domain.core.costs import CostMatrix, case_costs
from pipeline_project.domain.core.reasons import ASK_PERSON
from pipeline_project.domain.core.schema import CASE_ID, CaseSchema, Role, number_columns
from pipeline_project.domain.deciding.decisions import Decision, NightDecisions
from pipeline_project.domain.delivery.planned_actions import ActionTerms, PlannedAction
from pipeline_project.domain.delivery.planning import plan_actions
from pipeline_project.domain.review import content
from pipeline_project.domain.review.content import CaseContext, ModelView, Personal
from pipeline_project.domain.review.new_tasks import DeskRules, NewTask, ReviewTerms

#: The epoch of the policy's own decision; a person's answer is a later one.
FIRST_EPOCH = 1


@dataclass(frozen=True)
class NightWork:
    """What the decisions of one night ask for, by case; only what belongs to a new decision becomes a row."""

    review: ReviewTerms
    acting: ActionTerms
    tasks: Mapping[str, NewTask] = field(default_factory=dict)
    actions: Mapping[str, Sequence[PlannedAction]] = field(default_factory=dict)

    def tasks_of(self, cases: Iterable[str]) -> list[NewTask]:
        return [self.tasks[case] for case in cases if case in self.tasks]

    def actions_of(self, cases: Iterable[str]) -> list[PlannedAction]:
        return [action for case in cases for action in self.actions.get(case, ())]


def asked_cases(decided: NightDecisions) -> list[str]:
    """The cases a person is asked about, in the night's order."""
    return [decision.case_id for decision in decided.cases if decision.option == ASK_PERSON]


@dataclass(frozen=True)
class AskedCases:
    """What people see of cases beside their rows, by case.

    Attributes:
        known: what else was known of them.
        personal: their sealed values.
        problems: why no model looked at them.
    """

    known: Mapping[str, CaseContext] = field(default_factory=dict)
    personal: Mapping[str, Personal] = field(default_factory=dict)
    problems: Mapping[str, str | None] = field(default_factory=dict)


def night_work(
    decided: NightDecisions,
    cases: pa.Table,
    schema: CaseSchema,
    matrix: CostMatrix,
    rules: DeskRules,
    beside: AskedCases,
) -> NightWork:
    """Tasks for the cases that people are asked about, actions for those the policy decided.

    Args:
        cases: the admitted cases of the night.
        beside: of the cases that people are asked about.

    Raises:
        ActionInvalid: an action's money cannot be computed from the case's fields.
    """
    rows = {row[CASE_ID]: row for row in cases.to_pylist()}
    asked = {decision.case_id: decision for decision in decided.cases if decision.option == ASK_PERSON}
    picked = cases.filter(pa.array([case in asked for case in rows], pa.bool_()))
    costs = case_costs(matrix, number_columns(picked), len(picked))
    subject = schema.by_role(Role.SUBJECT)
    tasks = {}
    for i, case in enumerate(picked[CASE_ID].to_pylist()):
        decision = asked[case]
        looked = ModelView(
            probabilities=decision.probabilities,
            costs=costs[i],
            expected=decision.expected_costs,
            cheapest=decision.cheapest,
            reasons=decision.reasons,
            model_version=decision.model_version,
            problem=beside.problems.get(case),
        )
        context, personal = beside.known.get(case, CaseContext()), beside.personal.get(case, Personal())
        shown = content.build(rows[case], schema, matrix, looked, context, personal)
        tasks[case] = _task(decision, rows[case][subject.name] if subject else None, shown)
    actions = {
        decision.case_id: plan_actions(
            rules.actions,
            decision.night,
            decision.case_id,
            FIRST_EPOCH,
            decision.option,
            plain_fields(rows[decision.case_id]),
        )
        for decision in decided.cases
        if decision.option != ASK_PERSON and rules.actions.by_option.get(decision.option)
    }
    return NightWork(rules.terms, rules.actions, tasks, actions)


def _task(decision: Decision, subject: str | None, shown: Mapping[str, Any]) -> NewTask:
    likely, benefit = decision.probabilities, decision.benefit
    return NewTask(
        case_id=decision.case_id,
        why=decision.reason,
        benefit=None if benefit is None else max(0.0, benefit),
        amount=decision.amount,
        information=1.0 if likely is None else float(1.0 - np.max(likely)),
        subject=subject,
        cluster=decision.cluster,
        content=shown,
    )


def plain_fields(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """A case's values as a payload takes them: no NaN, times as ISO 8601."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in (
            (name, value.isoformat() if hasattr(value, "isoformat") else value) for name, value in row.items()
        )
    }
