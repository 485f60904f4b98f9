"""Who may do what at the desk."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from enum import StrEnum


class PersonRole(StrEnum):
    """What a person may do; a person may hold several."""

    REVIEWER = "reviewer"
    APPROVER = "approver"
    MODEL_APPROVER = "model_approver"
    AUDITOR = "auditor"
    ADMIN = "admin"


@dataclass(frozen=True)
class Person:
    """Somebody signed in.

    Attributes:
        name: the unique sign-in name, as it stands in the ledger (`person:<name>`).
        shown: as pages show it.
        skills: what a workflow's `review.skill` may ask for.
    """

    name: str
    shown: str
    roles: frozenset[PersonRole]
    skills: frozenset[str] = frozenset()


@dataclass(frozen=True)
class NewAccount:
    """An account before there is one.

    Attributes:
        shown: as pages show the person; the name where it is empty.
        password: the first one; without it the person signs in at the OpenID provider, known by the e-mail.
    """

    name: str
    shown: str
    roles: Collection[PersonRole]
    password: str | None = field(default=None, repr=False)
    email: str | None = None
    skills: Collection[str] = ()


@dataclass(frozen=True)
class Session:
    """One signed-in browser.

    Attributes:
        token: known to the browser alone.
        csrf: what every form of this session repeats.
    """

    token: str
    csrf: str
    person: Person
