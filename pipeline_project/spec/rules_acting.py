"""Rules about actions, and about what people may decide and by default."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline_project.domain.core.expressions import ExpressionError, names_in
from pipeline_project.domain.core.schema import Role
from pipeline_project.spec.base import SpecFinding, Where
from pipeline_project.spec.draft import Draft, Rule, closest, is_field, there_are
from pipeline_project.spec.options import Alternatives, named_options
from pipeline_project.spec.rules_decisions import cost_name, works


def _options_act(draft: Draft) -> Iterator[SpecFinding]:
    if isinstance(draft.options, Alternatives):
        return
    declared = draft.actions.kinds if draft.actions else {}
    for name, option in draft.options.items():
        for i, action in enumerate(option.actions):
            where: Where = ("options", name, "actions", i)
            if action not in declared:
                near = closest(action, declared)
                yield SpecFinding(
                    where, f"{action} is no kind of action{near or there_are(declared)}; add it to actions.kinds"
                )
            elif action in option.actions[:i]:
                yield SpecFinding(where, f"{action} is written twice; each action of a decision happens once")
            elif (
                any(declared[before].final for before in option.actions[:i] if before in declared)
                and declared[action].undo
            ):
                yield SpecFinding(
                    where, f"{action} comes after the point of no return, so it cannot be undone; take out `undo`"
                )


def _kinds(draft: Draft) -> Iterator[SpecFinding]:
    if draft.actions is None:
        return
    for name, kind in draft.actions.kinds.items():
        here: Where = ("actions", "kinds", name)
        if kind.destination not in draft.actions.destinations:
            near = closest(kind.destination, draft.actions.destinations)
            yield SpecFinding(
                (*here, "destination"),
                f"{kind.destination} is no destination{near or there_are(draft.actions.destinations)}",
            )
        if kind.undo is not None and kind.undo not in draft.actions.kinds:
            near = closest(kind.undo, draft.actions.kinds)
            yield SpecFinding(
                (*here, "undo"), f"{kind.undo} is no kind of action{near or there_are(draft.actions.kinds)}"
            )
        if kind.final and kind.undo:
            yield SpecFinding((*here, "undo"), "what is final cannot be undone; take out `undo` or `final`")
        for i, field in enumerate(kind.payload):
            yield from _sent(draft, (*here, "payload", i), field)
        if isinstance(kind.money, str):
            yield from _money(draft, (*here, "money"), kind.money)
        elif kind.money < 0:
            yield SpecFinding((*here, "money"), "an action pays out 0 or more; write the amount without a minus")


def _sent(draft: Draft, where: Where, field: str) -> Iterator[SpecFinding]:
    yield from is_field(draft, where, field)
    declared = draft.fields.get(field)
    if declared and declared.role == Role.ID:
        yield SpecFinding(where, f"{field} is the case's id, which goes with every action anyway; take it out")
    if declared and declared.pii:
        yield SpecFinding(
            where, f"{field} is personal (`pii`); send the case's id, by which the destination knows the person"
        )


def _money(draft: Draft, where: Where, expression: str) -> Iterator[SpecFinding]:
    try:
        names = names_in(expression)
    except ExpressionError as error:
        yield SpecFinding(where, str(error))
        return
    mistakes = [finding for name in names for finding in cost_name(draft, where, name)]
    yield from mistakes or works(where, expression, names)


def _people(draft: Draft) -> Iterator[SpecFinding]:
    where: Where
    review, options = draft.review, named_options(draft.options, draft.labels)
    if review.safe_default is not None:
        where = ("review", "safe_default")
        if review.safe_default not in options:
            near = closest(review.safe_default, options)
            yield SpecFinding(where, f"{review.safe_default} is no option{near or there_are(options)}")
        elif options[review.safe_default].denies:
            yield SpecFinding(
                where, f"{review.safe_default} denies, and only people deny; write another option, or none"
            )
    for i, hours in enumerate(review.remind_hours):
        if hours >= review.due_hours:
            yield SpecFinding(
                ("review", "remind_hours", i),
                f"must be less than due_hours ({review.due_hours:g}); it counts backwards",
            )
    if review.clusters and not draft.clusters:
        yield SpecFinding(("review", "clusters"), "the workflow declares no `clusters`; declare them or take this out")


ACTING_RULES: tuple[Rule, ...] = (_options_act, _kinds, _people)
