"""Actions before they are rows: what a workflow declares, and what one decision asks for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID


@dataclass(frozen=True)
class ActionKind:
    """One kind of effect outside.

    Attributes:
        name, destination: as the spec names them.
        money: what it pays out, a number or an expression over the case's numeric fields, in the workflow's currency.
        payload: fields sent along with the case's id and the money.
        undo: the kind that takes it back, or None.
        final: the point of no return of a case.
    """

    name: str
    destination: str
    money: float | str = 0.0
    payload: tuple[str, ...] = ()
    undo: str | None = None
    final: bool = False


@dataclass(frozen=True)
class ActionTerms:
    """What a workflow's actions are bound by.

    Attributes:
        live: without it every action is rehearsed, never sent.
        spend_cap: most money per night, or None.
        kinds: by name.
        by_option: the kinds each option asks for, in the order in which they are sent.
        currency: ISO 4217.
    """

    workflow: str
    tenant: str
    live: bool
    spend_cap: float | None
    currency: str
    kinds: Mapping[str, ActionKind] = field(default_factory=dict)
    by_option: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def of_option(self, option: str) -> tuple[ActionKind, ...]:
        """The kinds an option asks for, in order; none for an option without actions."""
        return tuple(self.kinds[name] for name in self.by_option.get(option, ()))


@dataclass(frozen=True)
class PlannedAction:
    """One action that a decision asks for, before it is a row of the outbox.

    Attributes:
        epoch: which decision of the case it belongs to, counted from 1.
        step: its place among the case's actions of that decision, from 0; a later step waits for the earlier ones.
        key: uuid5 over tenant, action, case and epoch; the same for every run, attempt, time and score.
        fingerprint: sha256 over the payload; the same key with another one is an error.
        money: what it pays out, at least 0.
        undo: the kind that takes it back, or None.
        undoes: key of the action that this one takes back, or None.
    """

    workflow: str
    night: str
    case_id: str
    epoch: int
    kind: str
    destination: str
    step: int
    key: UUID
    payload: Mapping[str, Any]
    fingerprint: str
    money: float
    final: bool = False
    undo: str | None = None
    undoes: UUID | None = None
