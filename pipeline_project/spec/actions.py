"""The parts of a spec that say what is done outside about a decision, where, and within what bounds."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Discriminator, Field, StringConstraints, field_validator

from pipeline_project.domain.core.names import Slug
from pipeline_project.domain.core.quantities import Hours, Seconds
from pipeline_project.domain.core.variables import Use, holds_password
from pipeline_project.domain.delivery.backoff import LONGEST_DEADLINE
from pipeline_project.domain.delivery.planned_actions import ActionKind
from pipeline_project.spec.base import Part
from pipeline_project.spec.source import Location

Variable = Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Z0-9_]*$"), Use.SECRET]


class HttpDestination(Part):
    """A service that takes actions as signed requests (Standard Webhooks)."""

    kind: Literal["http"] = Field(description="A signed POST for each action.")
    url: Location = Field(description="Where actions are posted; `${NAME}` as in `source.folder`.")
    secret: Variable = Field(
        description="The environment variable that holds the signing secret (`whsec_...`): PIPELINE_SECRET_..., or a "
        "name in PIPELINE_SPEC_VARIABLES."
    )
    lookup: Location | None = Field(
        None, description="Where an action's fate can be asked; `{key}` stands for its key. 404 means never seen."
    )
    remembers_hours: Hours = Field(
        24, gt=0, description="How long it answers the same key with the same result instead of acting again."
    )
    timeout_seconds: Seconds = Field(
        10,
        gt=0,
        le=LONGEST_DEADLINE,
        description="For the whole try: connecting, sending, the whole answer. None by then means unknown, not failed.",
    )
    attempts: int = Field(8, ge=1, le=100, description="Tries before an action becomes a dead letter.")

    @field_validator("url", "lookup")
    @classmethod
    def _without_password(cls, value: str | None) -> str | None:
        # a spec is kept with each night's decisions, and read by whoever reads those
        if value is not None and holds_password(value):
            raise ValueError("a spec never holds a password; requests are signed with `secret` instead")
        return value


class SqlDestination(Part):
    """A table that takes one row per action, whose key is unique there."""

    kind: Literal["sql"] = Field(description="One row per action.")
    url: Variable = Field(
        description="The environment variable that holds the database's URL: PIPELINE_SECRET_..., or a name in "
        "PIPELINE_SPEC_VARIABLES."
    )
    table: Slug = Field(description="The table; made when missing.")
    attempts: int = Field(8, ge=1, le=100, description="Tries before an action becomes a dead letter.")


class FileDestination(Part):
    """A folder that takes one JSON file per action, named after its key."""

    kind: Literal["files"] = Field(description="One JSON file per action.")
    folder: Location = Field(description="The folder; `${NAME}` as in `source.folder`.")
    attempts: int = Field(8, ge=1, le=100, description="Tries before an action becomes a dead letter.")


#: What is sent to each is in `resources/destinations`, a module a kind.
Destination = Annotated[HttpDestination | SqlDestination | FileDestination, Discriminator("kind")]


class ActionSpec(Part):
    """One kind of effect outside."""

    destination: Slug = Field(description="Where it is sent: one of `actions.destinations`.")
    money: float | str = Field(
        ActionKind.money,
        description="What it pays out, in the workflow's currency: a number, or an expression over the fields.",
    )
    payload: tuple[Slug, ...] = Field(
        ActionKind.payload,
        description="Fields sent along with the case's id and the money. Fields with `pii` are refused.",
    )
    undo: Slug | None = Field(None, description="The kind that takes it back; without it, it cannot be taken back.")
    final: bool = Field(
        ActionKind.final, description="The point of no return: after it a case's actions only go forward."
    )


class ActionsSpec(Part):
    """What is done outside about a decision, and within what bounds."""

    live: bool = Field(False, description="Without it actions are rehearsed: written down, shown, never sent.")
    tenant: Slug = Field("default", description="Part of every action's key, for several shops in one ledger.")
    spend_cap: float | None = Field(
        None, gt=0, description="Most money that the actions of one night may pay out; what exceeds it is held."
    )
    destinations: dict[Slug, Destination] = Field(description="Where actions are sent, by name.")
    kinds: dict[Slug, ActionSpec] = Field(description="The kinds of action, by the names that options use.")
